//! What all charts are made of: a figure with its title and legend, and [`Plot`], the place in it where marks are drawn,
//! with its scales and axes.
//!
//! Invariants: a mark says by its class what it means; what colour that is in which scheme is the style's business, and no two meanings
//! share one. Activities have one order in all charts and legends, that of [`Activity::ALL`].

use maud::{Markup, html};
use rollfit_job::activity::{Activity, Times};

use crate::format::{TimeUnit, time};
use crate::format::{percent, quantity};

/// The width of every chart, in its own units: about a pixel each on a screen that is wide enough.
pub(super) const WIDTH: f64 = 1000.0;

/// What an axis of time counts from.
pub(super) const SINCE: &str = "since the run began";

/// A chart with its title, what it shows, and its legend.
pub(super) struct Figure<'a> {
    pub(super) id: &'a str,
    pub(super) title: &'a str,
    /// What is to be seen, in a sentence; also for those who cannot see it.
    pub(super) about: &'a str,
    pub(super) legend: Markup,
    pub(super) height: f64,
}

impl Figure<'_> {
    pub(super) fn with(&self, marks: &Markup) -> Markup {
        html! {
            figure id=(self.id) {
                figcaption { h3 { (self.title) } p { (self.about) } }
                div.legend { (self.legend) }
                div.wide {
                    svg viewBox={ "0 0 " (px(WIDTH)) " " (px(self.height)) } role="img" aria-label={ (self.title) ". " (self.about) } {
                        (marks)
                    }
                }
            }
        }
    }

    /// In place of a chart of which nothing is known.
    pub(super) fn without_marks(&self, why: &str) -> Markup {
        html! { figure.none id=(self.id) { figcaption { h3 { (self.title) } p.unknown { (why) } } } }
    }
}

/// A line of a legend: a mark of the class and its meaning.
pub(super) fn legend(class: &str, meaning: &str) -> Markup {
    html! { span.entry { span class={ "key " (class) } {} (meaning) } }
}

/// A legend of activities: those that something is told of.
pub(super) fn activity_legend(told: impl Fn(Activity) -> Option<String>) -> Markup {
    html! { @for activity in Activity::ALL { @if let Some(told) = told(activity) { (legend(activity.name(), &told)) } } }
}

/// From values to places.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    /// The value at the far end; at the near end is 0.
    pub(super) max: f64,
    from_px: f64,
    to_px: f64,
}

impl Scale {
    pub(super) fn at(&self, value: f64) -> f64 {
        self.from_px + (self.to_px - self.from_px) * value / self.max
    }

    /// How long so much is.
    pub(super) fn length(&self, value: f64) -> f64 {
        (self.to_px - self.from_px).abs() * value / self.max
    }

    /// Round values from 0 on, about `about` of them, in steps of 1, 2 or 5 of a power of ten of `unit`, none below `step_min`.
    fn ticks(&self, about: f64, unit: f64, step_min: f64) -> Vec<f64> {
        let step = (round_step(self.max / unit / about) * unit).max(step_min);
        (0..)
            .map(|number| f64::from(number) * step)
            .take_while(|&tick| tick <= self.max * 1.000_001)
            .collect()
    }
}

fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= step * 0.999).unwrap_or(10.0);
    digit * power
}

/// The place for marks.
pub(super) struct Plot {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) height: f64,
    pub(super) x: Scale,
    pub(super) y: Scale,
}

impl Plot {
    /// The last tick of an axis has room for half of its text.
    const RIGHT: f64 = WIDTH - 30.0;

    /// A plot whose axes reach from 0 to so much. A maximum of nothing becomes 1.
    pub(super) fn new(left: f64, top: f64, height: f64, x_max: f64, y_max: f64) -> Self {
        let some = |max: f64| if max > 0.0 && max.is_finite() { max } else { 1.0 };
        Self {
            left,
            top,
            height,
            x: Scale { max: some(x_max), from_px: left, to_px: Self::RIGHT },
            y: Scale { max: some(y_max), from_px: top + height, to_px: top },
        }
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Lines across at round values, `step_min` apart at least, with the values beside them and what they are above.
    pub(super) fn y_axis(&self, label: &str, step_min: f64, told: impl Fn(f64) -> String) -> Markup {
        let ticks = self.y.ticks((self.height / 45.0).max(4.0), 1.0, step_min);
        html! {
            text.label x=(px(self.left)) y=(px(self.top - 9.0)) { (label) }
            @for tick in ticks {
                line.grid x1=(px(self.left)) x2=(px(Self::RIGHT)) y1=(px(self.y.at(tick))) y2=(px(self.y.at(tick))) {}
                text.tick.end x=(px(self.left - 6.0)) y=(px(self.y.at(tick) + 4.0)) { (told(tick)) }
            }
        }
    }

    /// An axis of time, in the unit that suits it.
    pub(super) fn time_axis(&self, label: &str) -> Markup {
        let unit = TimeUnit::new(self.x.max);
        let told = |tick: f64| quantity(tick / unit.seconds);
        self.x_axis(&self.x.ticks(10.0, unit.seconds, 0.0), &format!("{} {label}", unit.plural), told)
    }

    /// The axis below, with a value at each of the ticks and what they are.
    pub(super) fn x_axis(&self, ticks: &[f64], label: &str, told: impl Fn(f64) -> String) -> Markup {
        let y = self.bottom();
        html! {
            line.axis x1=(px(self.left)) x2=(px(Self::RIGHT)) y1=(px(y)) y2=(px(y)) {}
            @for &tick in ticks {
                line.axis x1=(px(self.x.at(tick))) x2=(px(self.x.at(tick))) y1=(px(y)) y2=(px(y + 4.0)) {}
                text.tick.middle x=(px(self.x.at(tick))) y=(px(y + 17.0)) { (told(tick)) }
            }
            text.label.middle x=(px(f64::midpoint(self.left, Self::RIGHT))) y=(px(y + 34.0)) { (label) }
        }
    }

    /// Whole numbers, about `about` of them.
    pub(super) fn x_ticks(&self, about: f64) -> Vec<f64> {
        self.x.ticks(about, 1.0, 1.0)
    }
}

/// A place as short as it can be written: a tenth is less than anybody sees.
pub(super) fn px(place: f64) -> String {
    let rounded = (place * 10.0).round() / 10.0;
    // `0.0` and `-0.0` are both `0`.
    if rounded == 0.0 { "0".to_owned() } else { rounded.to_string() }
}

/// A rectangle, as a path because that is shorter. Its edges are rounded, not its width, so that there is no gap between two.
pub(super) fn rectangle(class: &str, x: f64, y: f64, width: f64, height: f64) -> Markup {
    let path = format!("M{} {}H{}V{}H{0}z", px(x), px(y), px(x + width), px(y + height));
    html! { path class=(class) d=(path) {} }
}

/// A part of a bar: what it is, where in the bar it begins and how much of the bar it is, both from 0 to 1.
pub(super) struct Part {
    pub(super) activity: Activity,
    pub(super) begin: f64,
    pub(super) share: f64,
}

/// The activities that took any time, one after the other.
pub(super) fn parts(times: &Times) -> impl Iterator<Item = Part> + '_ {
    let total_us = times.total_us() as f64;
    let taken = Activity::ALL.into_iter().filter(|&activity| times.get(activity) > 0);
    taken.scan(0, move |before_us, activity| {
        let begin = *before_us as f64 / total_us;
        *before_us += times.get(activity);
        Some(Part { activity, begin, share: times.get(activity) as f64 / total_us })
    })
}

/// A bar from left to right, divided by what the time was taken for.
pub(super) fn divided(times: &Times, x: f64, y: f64, width: f64, height: f64) -> Markup {
    html! {
        @for part in parts(times) {
            (rectangle(part.activity.name(), x + width * part.begin, y, width * part.share, height))
        }
    }
}

/// Times for people who point at a mark: `3.2 s: sending 62 %, reading 20 %, ...`.
pub(super) fn told(times: &Times) -> String {
    let mut parts: Vec<Part> = parts(times).collect();
    parts.sort_by(|a, b| b.share.total_cmp(&a.share));
    let parts = parts.iter().map(|part| format!("{} {}", part.activity.name(), percent(part.share)));
    format!("{}: {}", time(times.total_us() as f64 / 1e6), parts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_end_with_the_axis() {
        let ticks = |max, unit| Plot::new(0.0, 0.0, 100.0, max, 1.0).x.ticks(10.0, unit, 0.0);
        assert_eq!(
            ticks(600.0, 60.0),
            [0.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 420.0, 480.0, 540.0, 600.0]
        );
        assert_eq!(ticks(7.0, 1.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(ticks(130_000.0, 1.0).len(), 7);
        assert_eq!(Plot::new(0.0, 0.0, 100.0, 2.1, 1.0).x_ticks(10.0), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn the_parts_of_a_bar_follow_each_other_and_make_all_of_it() {
        let mut times = Times::default();
        times.add(Activity::Sending, 3);
        times.add(Activity::Reading, 1);
        let parts: Vec<_> = parts(&times).map(|part| (part.activity, part.begin, part.share)).collect();
        assert_eq!(parts, [(Activity::Reading, 0.0, 0.25), (Activity::Sending, 0.25, 0.75)]);
        assert_eq!(told(&times), "0.0 ms: sending 75 %, reading 25 %");
    }

    #[test]
    fn places_are_short() {
        assert_eq!([0.04, -0.01, 12.0, 12.34].map(px), ["0", "0", "12", "12.3"]);
    }
}
