//! How fast the store takes features, and what that costs it where it works on this machine.

use std::time::{Duration, Instant};

use rollfit_job::error_chain;
use rollfit_job::panel::Panel;
use rollfit_job::spec::Spec;
use rollfit_job::speed::StoreSpeed;
use rollfit_job::store::{Fault, FeatureTile, Sink, StoreError};
use rollfit_job::watch::Machine;

use super::panel::Tiles;
use crate::exit::Failure;

/// How long the store is measured, about.
const TIME: Duration = Duration::from_secs(8);

/// How often it is measured at most.
const TIMES: usize = 3;

/// How fast the store is.
pub(super) struct Stored {
    pub(super) speed: StoreSpeed,
    /// The store's processor time for a row, where it works on this machine and that could be seen.
    pub(super) cpu_us_per_row: Option<f64>,
}

/// Hands features of a panel to the sink. Asked right after a time without questions to the store: what others kept busy
/// then is not its work. None, with a note, where the store cannot be measured.
pub(super) fn measure(
    spec: &Spec,
    sink: &dyn Sink,
    panel: &Panel,
    machine: &dyn Machine,
    notes: &mut Vec<String>,
) -> Result<Option<Stored>, Failure> {
    let without_us = machine.sample().others_cores;
    let tiles = Tiles::of(spec, sink.grouping(), panel);
    machine.sample();
    let began = Instant::now();
    let speeds = match several(sink, &tiles.tiles()) {
        Ok(speeds) => speeds,
        Err(error) if error.fault() == Fault::Unreachable => return Err(error.into()),
        Err(error) => {
            notes.push(format!("the store could not be measured: {}", error_chain(&error)));
            return Ok(None);
        }
    };
    let lasted_s = began.elapsed().as_secs_f64();
    let others = without_us.zip(machine.sample().others_cores);
    let rows: u64 = speeds.iter().map(rows).sum();
    let is_seen = sink.is_local() == Some(true) && rows > 0;
    let us_per_row =
        |(without_us, with_us): (f64, f64)| (with_us - without_us).max(0.0) * lasted_s * 1e6 / rows as f64;
    let speed = median(speeds);
    Ok(Some(Stored { speed, cpu_us_per_row: others.filter(|_| is_seen).map(us_per_row) }))
}

/// Measures as often as there is time for.
fn several(sink: &dyn Sink, tiles: &[FeatureTile<'_>]) -> Result<Vec<StoreSpeed>, StoreError> {
    let began = Instant::now();
    let mut speeds = Vec::new();
    loop {
        let each_before = began.elapsed();
        speeds.push(sink.measure(tiles, TIME.saturating_sub(each_before))?);
        let took = began.elapsed() - each_before;
        if speeds.len() == TIMES || began.elapsed() + took > TIME {
            return Ok(speeds);
        }
    }
}

/// The one in the middle, by what several sessions, or one, took for a row.
fn median(mut speeds: Vec<StoreSpeed>) -> StoreSpeed {
    let row_us = |speed: &StoreSpeed| {
        let most = speed.together.unwrap_or(speed.alone);
        1e6 / most.rows_per_s + most.complete_us_per_row / most.sessions as f64
    };
    speeds.sort_by(|a, b| row_us(a).total_cmp(&row_us(b)));
    let middle = speeds.len() / 2;
    speeds.swap_remove(middle)
}

fn rows(speed: &StoreSpeed) -> u64 {
    speed.alone.rows + speed.together.map_or(0, |together| together.rows)
}

#[cfg(test)]
mod tests {
    use rollfit_job::speed::WriteSpeed;

    use super::*;

    #[test]
    fn the_speed_in_the_middle_is_told() {
        let speed = |rows_per_s: f64| WriteSpeed { sessions: 2, rows_per_s, ..WriteSpeed::default() };
        let of = |rows_per_s| StoreSpeed {
            together: Some(speed(rows_per_s)),
            alone: speed(1.0),
            ..StoreSpeed::default()
        };
        let told = |all: &[f64]| median(all.iter().copied().map(of).collect()).together.unwrap().rows_per_s;
        assert_eq!(told(&[5.0]), 5.0);
        assert_eq!(told(&[1.0, 9.0, 5.0]), 5.0);
        assert_eq!(told(&[9.0, 5.0]), 5.0);
    }
}
