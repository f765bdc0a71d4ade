//! The constants of the model and of what is told: every number that was chosen and not measured.
//! `docs/notes/model.md` says how each was.

/// The share of the machine that the system takes for itself once the cores are in demand. The one constant that was fitted: on runs of a
/// two-core machine.
pub(super) const SYSTEM_SHARE: f64 = 0.125;

/// It takes no more than that, however many cores there are: nobody has measured it on large machines, and ranges hold both.
pub(super) const SYSTEM_CORES_MOST: f64 = 0.5;

/// The share of its processor time that a server on this machine needs less where the cores are full than where it hardly computes. Fitted on runs
/// of a two-core machine.
pub(super) const WAKING_SHARE: f64 = 0.15;

/// Where a run was slower than its waits explain, so much fewer cores, relative, go with so long a wait that nothing shows, as a share of a
/// partition's time. Which of the two it is does not show: the first matters where cores are in demand, the second where they are not.
pub(super) const SLOWER_CORES: f64 = 0.1;
pub(super) const SLOWER_WAIT: f64 = 0.05;

/// Where less than this share of the cores is idle, they hide how long is waited besides; by this share it is taken to be shorter where none is.
/// Fitted on one core of a two-core machine.
pub(super) const FULL_CORES_IDLE: f64 = 0.1;
pub(super) const SHORTER_WAIT: f64 = 0.6;

/// Below this share of what a limit of the configuration allows, the limit did not slow the run.
pub(super) const FREE_OF_LIMITS: f64 = 0.9;

/// How uncertain the share of a wait in a partition's time is.
pub(super) const WAIT_ERROR: f64 = 0.1;

/// A step that brings less than this is not worth it.
pub(super) const WORTH: f64 = 0.05;

/// What gains less is not worth naming.
pub(super) const GAIN_LEAST: f64 = 0.05;

/// Where no gain is known, what costs less is not worth naming.
pub(super) const IMPACT_LEAST: f64 = 0.1;

/// So many times the most workers measured are recommended, and estimated for, at most.
pub(super) const BEYOND_MEASURED: usize = 2;

/// An estimate is at least this uncertain, relative, and the scatter of partitions makes it no more uncertain than that.
pub(super) const UNCERTAINTY_LEAST: f64 = 0.12;
pub(super) const UNCERTAINTY_MOST: f64 = 0.2;

/// How much more uncertain it is for each doubling or halving of the workers measured.
pub(super) const UNCERTAINTY_A_DOUBLING: f64 = 0.03;

/// The share of its uncertainty that a gain of nothing has: run times differ without a cause.
pub(super) const UNCERTAINTY_OF_NO_GAIN: f64 = 0.25;

/// So many errors of earlier estimates say how uncertain the next one is; fewer say nothing.
pub(super) const ERRORS_LEAST: usize = 3;

/// The half-width of a range, in root mean squares of those errors, that holds four of five: Student's t for three of them.
pub(super) const ERRORS_TIMES: f64 = 1.64;

/// However right earlier estimates were, a range is not narrower.
pub(super) const UNCERTAINTY_BY_ERRORS_LEAST: f64 = 0.03;

/// Nor is it wider.
pub(super) const UNCERTAINTY_BY_ERRORS_MOST: f64 = 1.0;

/// So many earlier runs are looked at.
pub(super) const EARLIER_RUNS_MOST: usize = 8;

/// How much better, in variances, levels must fit another behaviour than the usual one.
pub(super) const UNUSUAL: f64 = 2.0;

/// Behaviours that fit worse by more than this, in variances, are not plausible.
pub(super) const PLAUSIBLE: f64 = 4.0;

/// A wait below this share of a partition's time is not looked at for a queue.
pub(super) const WAIT_NOTABLE: f64 = 0.03;
