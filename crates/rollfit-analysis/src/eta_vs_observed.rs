//! [`eta_vs_observed`]: the first ETA after a quarter of the run, and how long the rest took.

use super::estimate::Estimate;
use serde::{Deserialize, Serialize};

use super::eta::EtaEstimator;
use rollfit_job::record::Record;

/// What was estimated of the rest of a run, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EtaVsObserved {
    /// When, in seconds since the run began.
    pub at_s: f64,
    /// How long the rest would take, in seconds.
    pub eta_s: Estimate,
    /// How long it took.
    pub left_s: f64,
    /// Expected to taken, less 1.
    pub error: f64,
}

/// The ETA that the run itself showed, from the same samples; none of a run that did not finish, or was too short for one.
pub(super) fn eta_vs_observed(record: &Record) -> Option<EtaVsObserved> {
    let end = record.end.as_ref().filter(|end| !end.interrupted)?;
    let mut estimator = EtaEstimator::default();
    for sample in &record.samples {
        estimator.add(sample);
        if sample.at_ms < end.at_ms / 4 {
            continue;
        }
        if let Some(eta_s) = estimator.eta_s() {
            let left_s = end.at_ms.saturating_sub(sample.at_ms) as f64 / 1e3;
            return (left_s > 0.0).then(|| EtaVsObserved {
                at_s: sample.at_ms as f64 / 1e3,
                eta_s,
                left_s,
                error: eta_s.expected / left_s - 1.0,
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_job::record::{RunEnd, Sample};
    use rollfit_job::watch::Totals;

    /// A run that ends a partition a second.
    fn steady() -> Record {
        let totals =
            |ended| Totals { partitions: 100, ended, written: ended, rows: 10 * ended, ..Totals::default() };
        let sample = |at| Sample {
            at_ms: 1000 * at,
            workers: 1,
            activities: [("sending".to_owned(), 1)].into(),
            totals: totals(at),
            in_hand_ms: 1,
            ..Sample::default()
        };
        Record {
            samples: (0..=100).map(sample).collect(),
            end: Some(RunEnd { at_ms: 100_000, totals: totals(100), interrupted: false }),
            ..Record::default()
        }
    }

    #[test]
    fn after_a_quarter_of_a_steady_run_the_eta_is_right() {
        let compared = eta_vs_observed(&steady()).unwrap();
        assert_eq!((compared.at_s, compared.left_s), (25.0, 75.0));
        assert!(compared.error.abs() < 0.05, "{compared:?}");
    }

    #[test]
    fn a_run_that_did_not_finish_has_no_eta_to_compare() {
        assert_eq!(eta_vs_observed(&Record { end: None, ..steady() }), None);
        let interrupted = steady().end.map(|end| RunEnd { interrupted: true, ..end });
        assert_eq!(eta_vs_observed(&Record { end: interrupted, ..steady() }), None);
    }
}
