//! [`Thinning`]: which moments of a run its record keeps: every one of the first ten minutes, and fewer the longer it takes.

use std::time::Duration;

use rollfit_job::watch::Moment;

/// How many samples a run of any length has, about, between some time and twice that time.
const SAMPLES: u32 = 600;

/// Chooses the moments that become samples.
#[derive(Default)]
pub(crate) struct Thinning {
    next: Duration,
}

impl Thinning {
    /// Whether this moment is to be kept. Moments come once a second.
    pub(crate) fn is_due(&mut self, moment: &Moment) -> bool {
        const HALF_A_STEP: Duration = Duration::from_millis(500);
        if moment.at < self.next {
            return false;
        }
        self.next = moment.at + (moment.at / SAMPLES).max(2 * HALF_A_STEP) - HALF_A_STEP;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(run_s: u64) -> usize {
        let mut thinning = Thinning::default();
        let moment = |at_s| Moment { at: Duration::from_secs(at_s), ..Moment::default() };
        (1..=run_s).filter(|&at_s| thinning.is_due(&moment(at_s))).count()
    }

    #[test]
    fn the_first_minutes_are_kept_whole_and_a_long_run_has_few_more_samples() {
        assert_eq!(samples(600), 600);
        assert!((1000..=1200).contains(&samples(1200)), "{}", samples(1200));
        assert!(samples(24 * 3600) < 4500, "{}", samples(24 * 3600));
    }
}
