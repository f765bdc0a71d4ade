//! How fast this machine turns rows into features: one thread, and as many as there are cores. Fits, metrics, checksums;
//! nothing is encoded or stored.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use rollfit_job::activity::Activity;
use rollfit_job::features::FeatureEngine;
use rollfit_job::panel::Panel;
use rollfit_job::receipt::Input;
use rollfit_job::spec::Spec;
use rollfit_job::store::{FeatureTile, Grouping};

use super::clock::{Took, timed};

/// How long each of the two measurements lasts, about.
const TIME: Duration = Duration::from_millis(700);

/// The rows computed again and again: as many as a month of minutes has.
const ROWS: usize = 32_768;

/// How fast features are computed.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(super) struct Computing {
    /// One thread.
    pub(super) alone: ComputingSpeed,
    /// As many threads as there are cores.
    pub(super) together: ComputingSpeed,
}

/// How fast so many threads compute.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(super) struct ComputingSpeed {
    pub(super) threads: usize,
    /// Of all threads.
    pub(super) rows_per_s: f64,
    pub(super) cpu_us_per_row: f64,
    /// Processor time of a fit with its metrics and its share of the checksums.
    pub(super) cpu_ns_per_fit: f64,
}

/// Measures on the rows of a panel.
pub(super) fn measure(spec: &Spec, grouping: Grouping, panel: &Panel, threads: usize) -> Computing {
    let panel = beginning(panel);
    let speed = |threads| speed(spec, grouping, &panel, threads);
    Computing { alone: speed(1), together: speed(threads) }
}

fn speed(spec: &Spec, grouping: Grouping, panel: &Panel, threads: usize) -> ComputingSpeed {
    let began = Instant::now();
    let (rounds, cpu_s) = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(|| rounds(spec, grouping, panel))).collect();
        let ended = all.into_iter().filter_map(|thread| thread.join().ok());
        ended.fold((0, 0.0), |(rounds, cpu_s), (more, took)| (rounds + more, cpu_s + took.cpu_s()))
    });
    let rows = (rounds * panel.rows()) as f64;
    let cpu_us_per_row = cpu_s * 1e6 / rows;
    ComputingSpeed {
        threads,
        rows_per_s: rows / began.elapsed().as_secs_f64(),
        cpu_us_per_row,
        cpu_ns_per_fit: cpu_us_per_row * 1e3 / fits(spec) as f64,
    }
}

/// Computes the panel as often as there is time for, once at least.
fn rounds(spec: &Spec, grouping: Grouping, panel: &Panel) -> (usize, Took) {
    let mut engine = FeatureEngine::new(spec);
    timed(Activity::Computing, || {
        let began = Instant::now();
        let mut rounds = 0;
        while rounds == 0 || began.elapsed() < TIME {
            std::hint::black_box(Input::of(panel));
            each_tile(&mut engine, grouping, panel, |tile| {
                std::hint::black_box(tile);
            });
            rounds += 1;
        }
        rounds
    })
}

/// Computes the tiles of a panel.
pub(super) fn each_tile(
    engine: &mut FeatureEngine,
    grouping: Grouping,
    panel: &Panel,
    mut take: impl FnMut(FeatureTile<'_>),
) {
    let Ok(_) = engine.compute(panel, grouping, None, |tile| {
        take(tile);
        Ok::<(), Infallible>(())
    });
}

/// The fits of a row.
pub(super) fn fits(spec: &Spec) -> usize {
    spec.series.iter().map(|series| series.windows.len()).sum()
}

/// The first rows of a panel.
fn beginning(panel: &Panel) -> Panel {
    let rows = panel.instants_us.len().min(panel.lookback_rows + ROWS);
    Panel {
        instants_us: panel.instants_us[..rows].to_vec(),
        columns: panel.columns.iter().map(|column| column[..rows].to_vec()).collect(),
        ..panel.clone()
    }
}

#[cfg(test)]
mod tests {
    use rollfit_job::spec::EXAMPLE;

    use super::super::panel::synthetic;
    use super::*;

    #[test]
    fn speed_is_rows_over_time_and_a_fit_its_share_of_a_row() {
        let spec = Spec::parse(EXAMPLE, []).unwrap();
        let measured = measure(&spec, Grouping::Together, &synthetic(&spec, 600), 2);
        assert_eq!((measured.alone.threads, measured.together.threads), (1, 2));
        for speed in [measured.alone, measured.together] {
            assert!(speed.rows_per_s > 0.0 && speed.cpu_us_per_row > 0.0, "{speed:?}");
            assert!(
                (speed.cpu_ns_per_fit * 12.0 / 1e3 / speed.cpu_us_per_row - 1.0).abs() < 1e-9,
                "{speed:?}"
            );
        }
    }
}
