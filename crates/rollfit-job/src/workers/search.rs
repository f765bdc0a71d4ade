//! [`Search`]: finds the number of workers that gives the most, and of those that give as much the smallest. It tries more as
//! long as that pays, in growing steps; then fewer, as long as that costs nothing; then it rests, and looks again from time to
//! time, for what a machine and a store can do changes.
//!
//! Invariants: it has no clock and knows no machine; what it decides follows from the speeds and [`Limits`] that it is given.

use std::time::Duration;

use super::OtherRunners;
use super::meter::Speed;
use crate::record::WorkerCeiling;

/// What may be tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) at: Duration,
    pub(super) least: usize,
    pub(super) most: usize,
    /// Whether more workers could not do more, whatever `most` says.
    pub(super) is_full: bool,
    /// Whether the workers mostly wait, for anything but cores.
    pub(super) they_wait: bool,
    /// How many workers would keep the cores busy that others leave; none where unknown.
    pub(super) workers_to_fill: Option<f64>,
    /// The share of the cores that may be used and are not busy; 0 where unknown.
    pub(super) idle_share: f64,
    /// How many cores a worker keeps busy; none where unknown.
    pub(super) cores_a_worker: Option<f64>,
    /// How long the rest of the run takes at this rate.
    pub(super) left_s: f64,
    /// Who else works on the store.
    pub(super) others: OtherRunners,
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trial {
    /// Nothing.
    Rest,
    /// This many more than the best.
    More(usize),
    /// This many fewer.
    Fewer(usize),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Search {
    trial: Trial,
    /// The best so far.
    best: Option<Speed>,
    /// The largest number below it that gave clearly less.
    lower: Option<Speed>,
    /// What the best of this round gave: fewer workers are compared with that, so that losses do not add up.
    most_rows_per_s: f64,
    rest_s: f64,
    rest_until: Duration,
    /// What the last trial cost.
    cost_s: f64,
    /// Whether the last speed was another than usual.
    was_off: bool,
    /// How idle the cores were when the rest began.
    idle_share: f64,
    /// When fewer were last tried in vain.
    fewer_failed: Option<Duration>,
}

/// A number and why.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) workers: usize,
    pub(super) reason: String,
    /// What keeps it from being more, where that is no limit but what was seen.
    pub(super) held_back_by: Option<WorkerCeiling>,
}

impl Choice {
    fn new(workers: usize, reason: String) -> Self {
        Self { workers, reason, held_back_by: None }
    }
}

/// What more workers must bring at least.
const GAIN: f64 = 0.04;
/// Of a number twice as large it must bring this much: what is closer to noise is not worth its memory and sessions.
const GAIN_OF_DOUBLING: f64 = 0.1;
/// How sure the first speed must be where workers mostly wait: more of them are tried in any case.
const ERROR_OF_WAITING: f64 = 0.25;
/// What fewer may cost at most.
const LOSS: f64 = 0.02;
/// The share of the time that looking for fewer may cost.
const COST: f64 = 0.02;
/// A speed that changed by this much while the number stayed the same starts a new search.
const DRIFT: f64 = 0.15;
const REST_S: f64 = 10.0;
const REST_MAX_S: f64 = 60.0;
/// After a trial that cost much it rests longer, but not longer than this: what was too much may be little by then.
const REST_AFTER_LOSS_MAX_S: f64 = 120.0;

impl Search {
    pub(super) fn new() -> Self {
        Self {
            trial: Trial::Rest,
            best: None,
            lower: None,
            most_rows_per_s: 0.0,
            rest_s: REST_S,
            rest_until: Duration::ZERO,
            cost_s: 0.0,
            was_off: false,
            idle_share: 1.0,
            fewer_failed: None,
        }
    }

    /// Forgets the measurements: the number was changed for another reason.
    pub(super) fn forget(&mut self) {
        *self = Self { fewer_failed: self.fewer_failed, ..Self::new() };
    }

    /// Whether it has come to rest since it began, or since it forgot what it had measured.
    pub(super) fn has_rested(&self) -> bool {
        self.rest_until > Duration::ZERO
    }

    /// Where a trial is under way that costs something, what it would go back to.
    pub(super) fn give_up(&mut self) -> Option<usize> {
        let trial = std::mem::replace(&mut self.trial, Trial::Rest);
        self.best.filter(|_| matches!(trial, Trial::Fewer(_))).map(|best| best.workers)
    }

    /// Whether a speed is known well enough to decide by.
    pub(super) fn is_clear(&self, speed: &Speed, they_wait: bool, others: OtherRunners) -> bool {
        let least = if they_wait { ERROR_OF_WAITING } else { GAIN };
        let Some(best) = self.best else { return speed.is_final || speed.error < least };
        let noise = speed.error.hypot(best.error);
        let far_from =
            |limit: f64, rows_per_s: f64| (speed.rows_per_s / rows_per_s - limit).abs() > 2.0 * noise;
        speed.is_final
            || match self.trial {
                Trial::Rest => false,
                Trial::More(_) if others.count > 0 => {
                    far_from(others.rate_wanted(speed.workers as f64 / best.workers as f64), best.rows_per_s)
                }
                Trial::More(_) => far_from(1.0 + GAIN, best.rows_per_s),
                Trial::Fewer(_) => far_from(1.0 - LOSS, self.most_rows_per_s),
            }
    }

    /// What to do, now that a speed is known.
    pub(super) fn next(&mut self, speed: Speed, room: Limits) -> Option<Choice> {
        let Some(best) = self.best else { return self.begin(speed, room) };
        match self.trial {
            Trial::Rest => self.rested(best, speed, room),
            Trial::More(step) => self.tried_more(best, speed, step, room),
            Trial::Fewer(step) => self.tried_fewer(best, speed, step, room),
        }
    }

    fn begin(&mut self, speed: Speed, room: Limits) -> Option<Choice> {
        (self.best, self.most_rows_per_s) = (Some(speed), speed.rows_per_s);
        let step = first_step(speed.workers, room);
        let said = format!("{} gave {}", workers(speed.workers), rows(speed));
        self.look_around(speed, step, room, &said)
    }

    fn rested(&mut self, before: Speed, speed: Speed, room: Limits) -> Option<Choice> {
        if let Some(said) = self.news(before, speed, room) {
            (self.best, self.most_rows_per_s) = (Some(speed), speed.rows_per_s);
            (self.lower, self.rest_s) = (None, REST_S);
            return self.look_around(speed, first_step(speed.workers, room), room, &said);
        }
        let usual = Speed { rows_per_s: 0.5 * (before.rows_per_s + speed.rows_per_s), ..speed };
        (self.best, self.most_rows_per_s) = (Some(usual), usual.rows_per_s);
        if room.at < self.rest_until {
            return None;
        }
        let said = give(usual);
        self.look_around(usual, quarter(usual.workers), room, &said)
    }

    /// What has changed while the number stayed the same, if anything has. A speed must be off twice to count.
    fn news(&mut self, before: Speed, speed: Speed, room: Limits) -> Option<String> {
        let gave = give(speed);
        if room.idle_share > self.idle_share + 0.2 {
            return Some(format!("cores came free, {gave}"));
        }
        if room.others.count > 0 {
            // What one runner tries the others feel: that is no reason for them to try something too.
            return None;
        }
        let change = (speed.rows_per_s / before.rows_per_s - 1.0).abs();
        let is_off = change > DRIFT.max(3.0 * (speed.error + before.error));
        let was_off = std::mem::replace(&mut self.was_off, is_off);
        (is_off && was_off).then(|| format!("{gave} and gave {} before", rows(before)))
    }

    /// Tries more, or else fewer.
    fn look_around(&mut self, from: Speed, step: usize, room: Limits, said: &str) -> Option<Choice> {
        self.try_more(from, step, room, said)
            .or_else(|| self.try_fewer(from, room, said))
            .or_else(|| self.rest(from, room, None))
    }

    fn tried_more(&mut self, best: Speed, speed: Speed, step: usize, room: Limits) -> Option<Choice> {
        let gain = speed.rows_per_s / best.rows_per_s - 1.0;
        let noise = speed.error.hypot(best.error).min(2.0 * GAIN);
        let said =
            format!("{} gave {}, {} gave {}", workers(speed.workers), rows(speed), best.workers, rows(best));
        let grew = step as f64 / best.workers as f64;
        if gain >= gain_wanted(grew, noise, room.others) {
            (self.best, self.lower) = (Some(speed), Some(best));
            (self.most_rows_per_s, self.rest_s) = (speed.rows_per_s, REST_S);
            // A small step's gain is noise for a good part: only a large one that paid in full is reason to be bold.
            let step = if grew >= 0.5 && gain >= 0.8 * grew {
                let bold = if room.they_wait { 3 * speed.workers } else { 2 * speed.workers };
                // Beside others part of the gain may be what they gave up meanwhile: no step is bolder than the one before.
                if room.others.count > 0 { bold.min((grew * speed.workers as f64) as usize) } else { bold }
            } else {
                (2 * step).min(speed.workers)
            };
            return self.look_around(speed, step, room, &said);
        }
        self.cost_s += (-gain).max(0.0) * speed.took_s;
        // Where more was worse, the best may lie between; where nothing below is known yet, more likely there.
        if room.others.count > 0 {
            let said = taken(speed, best, gain, room.others);
            let held_back_by = Some(WorkerCeiling::OtherRunners);
            return self.rest(best, room, Some(&said)).map(|choice| Choice { held_back_by, ..choice });
        }
        if gain < -LOSS && self.lower.is_some() && step / 2 >= quarter(best.workers).div_ceil(2) {
            return self.try_more(best, step / 2, room, &said);
        }
        let said = format!("{} gave no more than {} ({:+.0} %)", speed.workers, best.workers, 100.0 * gain);
        self.try_fewer(best, room, &said).or_else(|| self.rest(best, room, Some(&said)))
    }

    fn tried_fewer(&mut self, best: Speed, speed: Speed, step: usize, room: Limits) -> Option<Choice> {
        let loss = 1.0 - speed.rows_per_s / self.most_rows_per_s;
        if loss <= LOSS {
            let said =
                format!("{} gave {}, as much as {}", workers(speed.workers), rows(speed), best.workers);
            self.best = Some(speed);
            self.most_rows_per_s = self.most_rows_per_s.max(speed.rows_per_s);
            return self.try_fewer(speed, room, &said).or_else(|| self.rest(speed, room, None));
        }
        (self.lower, self.fewer_failed) = (Some(speed), Some(room.at));
        let said = format!("{} gave {:.0} % less than {}", speed.workers, 100.0 * loss, best.workers);
        if step > 1 {
            return self.try_fewer(best, room, &said).or_else(|| self.rest(best, room, Some(&said)));
        }
        self.rest(best, room, Some(&said))
    }

    fn try_more(&mut self, from: Speed, step: usize, room: Limits, said: &str) -> Option<Choice> {
        // Of a small step it could not be told what it gains and what it takes.
        let step = if room.others.count > 0 { step.max(from.workers) } else { step };
        let workers = (from.workers + step).min(room.most);
        if workers <= from.workers || room.is_full {
            return None;
        }
        self.trial = Trial::More(workers - from.workers);
        Some(Choice::new(workers, format!("{said}: trying {}", self::workers(workers))))
    }

    fn try_fewer(&mut self, from: Speed, room: Limits, said: &str) -> Option<Choice> {
        // The others would take what one gives up, and where all give up at once each sees only its own part of the loss.
        if room.others.count > 0 {
            return None;
        }
        let least = self.lower.map_or(room.least, |lower| room.least.max(lower.workers + 1));
        let workers = from.workers.saturating_sub(quarter(from.workers)).max(least);
        if workers >= from.workers || !self.is_worth(from, workers, room) {
            return None;
        }
        self.trial = Trial::Fewer(from.workers - workers);
        Some(Choice::new(workers, format!("{said}: trying {}", self::workers(workers))))
    }

    /// Whether fewer could do as much, and what it costs to find out that they do not is little.
    fn is_worth(&self, from: Speed, workers: usize, room: Limits) -> bool {
        let each_counts = self.lower.is_some_and(|lower| {
            let grew = from.rows_per_s / lower.rows_per_s - 1.0;
            grew >= 0.5 * (from.workers as f64 / lower.workers as f64 - 1.0)
        });
        let since_s =
            self.fewer_failed.map_or(f64::INFINITY, |failed| room.at.saturating_sub(failed).as_secs_f64());
        let cost_s = (1.0 - workers as f64 / from.workers as f64) * (from.took_s + from.partition_s);
        let computes = room.cores_a_worker.is_some_and(|cores| cores > 0.85);
        !each_counts && !computes && cost_s <= COST * room.left_s.min(since_s)
    }

    fn rest(&mut self, best: Speed, room: Limits, said: Option<&str>) -> Option<Choice> {
        let rest_s = self.rest_s * if room.others.count > 0 { 1.0 + room.others.phase } else { 1.0 };
        let rest_s = rest_s.max(2.0 * best.took_s).max((self.cost_s / COST).min(REST_AFTER_LOSS_MAX_S));
        (self.cost_s, self.idle_share) = (0.0, room.idle_share);
        (self.trial, self.rest_until) = (Trial::Rest, room.at + Duration::from_secs_f64(rest_s));
        self.rest_s = (2.0 * self.rest_s).min(REST_MAX_S);
        said.map(|said| Choice::new(best.workers, format!("back to {}: {said}", workers(best.workers))))
    }
}

/// A quarter more; where most cores have nothing to do, as many as it takes to keep them busy: half as many again to twice as many, and
/// up to four times as many where workers mostly wait.
fn first_step(workers: usize, room: Limits) -> usize {
    let missing = room.workers_to_fill.map_or(0, |fill| (fill as usize).saturating_sub(workers));
    match room.they_wait {
        true => missing.clamp(workers, 3 * workers),
        false if room.idle_share > 0.4 => missing.clamp(workers.div_ceil(2), workers),
        false => quarter(workers),
    }
}

/// The number of workers at which the search comes to rest where n of them do `rows_per_s[n]`: the fewest that do about as much
/// as any number.
pub fn settled_workers(rows_per_s: &[f64]) -> usize {
    let best = rows_per_s.iter().copied().fold(0.0, f64::max);
    rows_per_s.iter().position(|rate| *rate >= (1.0 - LOSS) * best).unwrap_or(1).max(1)
}

/// What `grew` times as many more workers must bring, as a share of what there is, where `noise` is in both.
fn gain_wanted(grew: f64, noise: f64, others: OtherRunners) -> f64 {
    match others.count {
        0 => GAIN.max(noise).max(GAIN_OF_DOUBLING * grew.min(1.0)),
        _ => others.rate_wanted(1.0 + grew) - 1.0,
    }
}

/// Why more workers that brought something did not bring enough.
fn taken(speed: Speed, best: Speed, gain: f64, others: OtherRunners) -> String {
    let (more, fewer, gain) = (speed.workers, best.workers, 100.0 * gain);
    match gain {
        ..0.5 => format!("{more} gave no more than {fewer} ({gain:+.0} %)"),
        _ => format!("{more} gave {gain:.0} % more than {fewer}, most of it taken from {}", runners(others)),
    }
}

fn runners(others: OtherRunners) -> String {
    match others.count {
        1 => "1 other runner".to_owned(),
        count => format!("{count} other runners"),
    }
}

fn quarter(workers: usize) -> usize {
    (workers / 4).max(1)
}

pub(super) fn workers(count: usize) -> String {
    if count == 1 { "1 worker".to_owned() } else { format!("{count} workers") }
}

fn give(speed: Speed) -> String {
    let verb = if speed.workers == 1 { "gives" } else { "give" };
    format!("{} {verb} {}", workers(speed.workers), rows(speed))
}

fn rows(speed: Speed) -> String {
    format!("{} rows/s", thousands(speed.rows_per_s))
}

/// A whole number with its thousands apart.
fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (!head.is_empty()).then(|| head.to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}
