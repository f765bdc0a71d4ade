//! Golden windows: what an independent program says is what the reference says, to the last of its 25 digits.

use crate::support::slack::Slack;
use crate::support::{exact, golden};
use num_traits::Signed;
use rollfit::reference;

/// Half a unit in the 25th digit, at most.
const WRITTEN: f64 = 5e-25;

#[test]
fn the_reference_agrees_with_every_golden_digit() {
    let Some(windows) = golden::windows() else { return };
    assert_eq!(windows.len(), 276);
    let mut worst = 0.0f64;
    for window in &windows {
        let terms = reference::terms(&window.values).unwrap().expect("golden windows have fits");
        let slack = Slack::new(&window.values, &terms);
        for (metric, expected) in &window.metrics {
            let error = exact::of_double_double(metric.of(&terms)) - expected;
            let room = exact::of_f64(WRITTEN) * expected.abs() + exact::of_f64(slack.of_metric(*metric));
            let share = exact::ratio(&error, &room);
            assert!(share <= 1.0, "{} of {} rows, {metric}: {share}", window.kind, window.values.len());
            worst = worst.max(share);
        }
    }
    println!("largest share of the room used: {worst}");
}

#[test]
fn exact_rationals_agree_with_every_golden_digit() {
    let Some(windows) = golden::windows() else { return };
    for window in &windows {
        let fit = exact::ExactFit::new(&window.values);
        for (metric, expected) in &window.metrics {
            let error = fit.metric(*metric).expect("no golden denominator is 0") - expected;
            // Roots are not rational, so an exact 0 may come out as the rounding of 90 digits.
            let room = exact::of_f64(WRITTEN) * expected.abs() + exact::of_f64(1e-80) * &fit.magnitude;
            let digits = exact::ratio(&error, &room);
            assert!(digits <= 1.0, "{} of {} rows, {metric}: {digits}", window.kind, window.values.len());
        }
    }
}

#[test]
fn golden_windows_cover_all_metrics_but_those_added_since() {
    const METRICS_WITH_DIGITS: usize = 19;
    let Some(windows) = golden::windows() else { return };
    assert!(windows.iter().all(|window| window.metrics.len() == METRICS_WITH_DIGITS));
}
