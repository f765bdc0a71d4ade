//! Anything at any moment: rows that come early, late, or not at all, go, and are corrected, also between reading and writing; other runs,
//! faults and new starts. Once it is quiet, the features are those of one run.

use std::sync::{Arc, Mutex, OnceLock};

use rollfit_job::store::{Fault, StoreError};

use crate::bench::{Bench, Live, turn};

/// What happens to the source.
struct Chaos {
    random: fastrand::Rng,
    /// The next minute of each series.
    next: [i64; 2],
    /// Minutes that a series has passed without a row.
    missing: [Vec<i64>; 2],
    /// How far back rows go and are corrected.
    reach: i64,
    /// Whether stores have faults, after which everything is checked.
    has_faults: bool,
    is_on: bool,
}

impl Chaos {
    fn new(seed: u64, start: i64, reach: i64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let has_faults = seed.is_multiple_of(3);
        Self { random, next: [start; 2], missing: [Vec::new(), Vec::new()], reach, has_faults, is_on: true }
    }

    /// One change.
    fn act(&mut self, source: &Bench) {
        let series = self.random.usize(..2);
        match self.random.u32(..100) {
            0..80 => self.go_on(source, series),
            80..88 => {
                if let Some(at) = self.missing[series].len().checked_sub(1) {
                    let minute = self.missing[series].swap_remove(self.random.usize(..=at));
                    source.insert(series, minute);
                }
            }
            88..92 => source.correct(series, self.random.i64(0..self.reach) as usize),
            92..94 => {
                let minute = self.next[series] - 1 - self.random.i64(0..self.reach);
                if !self.missing[series].contains(&minute) {
                    source.remove(series, minute);
                    self.missing[series].push(minute);
                }
            }
            _ => (0..self.random.i64(0..40)).for_each(|_| self.go_on(source, series)),
        }
    }

    /// Some changes. Returns how long it is until the next look.
    fn act_some(&mut self, source: &Bench) -> f64 {
        (0..self.random.usize(..4)).for_each(|_| self.act(source));
        [0.0, 0.1, 1.0, 3.0, 11.0][self.random.usize(..5)]
    }

    /// The source changes while features are computed from it, and stores have faults.
    fn at_claim(&mut self, source: Option<&'static Bench>) -> Result<(), StoreError> {
        let Some(source) = source.filter(|_| self.is_on) else { return Ok(()) };
        match self.random.u32(..20) {
            0..4 => self.act(source),
            8 if self.has_faults => return Err(StoreError::new(Fault::Transient, "busy")),
            9 if self.has_faults => return Err(StoreError::unconnected(Fault::Transient, "no connection")),
            _ => {}
        }
        Ok(())
    }

    /// The next minute of a series, mostly with a row. The other one follows sooner or later.
    fn go_on(&mut self, source: &Bench, series: usize) {
        let series = if self.next[series] > self.next[1 - series] + 200 { 1 - series } else { series };
        let minute = self.next[series];
        self.next[series] += 1;
        if self.random.u32(..20) == 0 {
            self.missing[series].push(minute);
        } else {
            source.insert(series, minute);
        }
    }
}

/// Plays a part that the seed decides, and compares what came of it with one run.
fn play(seed: u64) {
    let boundary = ["reset", "carry"][(seed % 2) as usize];
    // What goes or is corrected far back is found when all is read again; everything else without that.
    let (recheck_every, reach) = [("60", 200), ("86400", 100)][(seed / 2 % 2) as usize];
    let values = [
        ("RUN__BOUNDARY", boundary),
        ("RUN__RECHECK_EVERY_S", recheck_every),
        ("RUN__SETTLE_S", "1000000"),
        ("RUN__JOIN_LOSS_MAX", "1"),
        ("RUN__SHRUNK_ROWS_MIN", "0"),
    ];
    let mut bench = Bench::new(&values, &["a"], 0);
    bench.sink.can_append = !seed.is_multiple_of(5);
    let start = turn() - 400;
    bench.insert_both(start - 250..start);
    let chaos = Arc::new(Mutex::new(Chaos::new(seed, start, reach)));
    let source = Arc::new(OnceLock::new());
    bench.sink.claim_fault = Some(Box::new({
        let (chaos, source) = (Arc::clone(&chaos), Arc::clone(&source));
        move |_| chaos.lock().unwrap().at_claim(source.get().copied())
    }));
    let bench: &'static Bench = Box::leak(Box::new(bench));
    bench.run();
    source.set(bench).ok().unwrap();
    let job = bench.job();
    let mut live = Live::new(bench, &job);
    for step in 0..300 {
        let seconds = chaos.lock().unwrap().act_some(bench);
        live.poll_after(seconds);
        match step % 97 {
            31 => bench.run(),
            62 => live = Live::new(bench, &job),
            _ => {}
        }
    }
    chaos.lock().unwrap().is_on = false;
    (0..4).for_each(|_| drop(live.poll_after(61.0)));
    bench.assert_is_batch_but_for_losses();
}

#[test]
fn whatever_happens_the_features_are_those_of_one_run_once_it_is_quiet() {
    let seeds = std::env::var("ROLLFIT_CHAOS_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(6);
    for seed in 0..seeds {
        play(seed);
    }
}
