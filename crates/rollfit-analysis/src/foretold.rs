//! [`foretold`]: what was said after a quarter of the run about how long the rest would take, beside how long it took.

use std::time::Duration;

use super::forecast::Forecast;
use super::report::{Estimate, Foretold};
use rollfit_job::record::Record;

/// What the run itself was told, from the same samples; none of a run that did not finish, or was too short to be told
/// anything.
pub(super) fn foretold(record: &Record) -> Option<Foretold> {
    let end = record.end.as_ref().filter(|end| !end.interrupted)?;
    let mut forecast = Forecast::default();
    for sample in &record.samples {
        forecast.add(Duration::from_millis(sample.at_ms), &sample.totals, sample.workers);
        if sample.at_ms >= end.at_ms / 4 {
            let eta = forecast.eta()?;
            let left_s = end.at_ms.saturating_sub(sample.at_ms) as f64 / 1e3;
            return (left_s > 0.0).then(|| Foretold {
                at_s: sample.at_ms as f64 / 1e3,
                told_s: Estimate { low: eta.low_s, expected: eta.expected_s, high: eta.high_s },
                left_s,
                error: eta.expected_s / left_s - 1.0,
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_job::record::{End, Sample};
    use rollfit_job::watch::Totals;

    /// A run that ends a partition a second.
    fn steady() -> Record {
        let totals =
            |ended| Totals { partitions: 100, ended, written: ended, rows: 10 * ended, ..Totals::default() };
        let sample = |at| Sample { at_ms: 1000 * at, workers: 1, totals: totals(at), ..Sample::default() };
        Record {
            samples: (0..=100).map(sample).collect(),
            end: Some(End { at_ms: 100_000, totals: totals(100), interrupted: false }),
            ..Record::default()
        }
    }

    #[test]
    fn of_a_steady_run_the_rest_is_foretold_after_a_quarter() {
        let foretold = foretold(&steady()).unwrap();
        assert_eq!((foretold.at_s, foretold.left_s), (25.0, 75.0));
        assert!(foretold.error.abs() < 0.05, "{foretold:?}");
    }

    #[test]
    fn a_run_that_did_not_finish_has_no_rest_to_foretell() {
        assert_eq!(foretold(&Record { end: None, ..steady() }), None);
        let interrupted = steady().end.map(|end| End { interrupted: true, ..end });
        assert_eq!(foretold(&Record { end: interrupted, ..steady() }), None);
    }
}
