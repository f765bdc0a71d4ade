//! [`RetryState`]: what keeps something from being followed, when it is tried again, and whether anybody was told.

use std::time::Duration;

use crate::store::{Fault, StoreError};

/// What went wrong with one try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FollowFailure {
    /// Another runner has it, for a moment or for long; what is known of that one.
    Held(String),
    /// Something that may pass.
    Passing(String),
    /// Something that somebody has to do something about.
    Lasting(String),
}

impl FollowFailure {
    /// That of an error.
    pub(super) fn from_error(error: &StoreError) -> Self {
        let cause = crate::error_chain(error);
        if error.fault() == Fault::Transient { Self::Passing(cause) } else { Self::Lasting(cause) }
    }

    fn cause(self) -> String {
        match self {
            Self::Held(holder) => format!("held by {holder}"),
            Self::Passing(cause) | Self::Lasting(cause) => cause,
        }
    }

    /// How long to wait after so many failures before this one.
    fn pause(&self, failures: u32) -> Duration {
        let (first_ms, longest_ms) = match self {
            Self::Held(_) => (100, 5_000),
            Self::Passing(_) => (200, 60_000),
            Self::Lasting(_) => (1_000, 60_000),
        };
        doubled(Duration::from_millis(first_ms), failures, Duration::from_millis(longest_ms))
    }
}

/// A pause that doubles with each failure.
pub(super) fn doubled(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.min(16)).min(longest)
}

/// The failures since the last success.
#[derive(Debug, Default)]
pub(super) struct RetryState {
    failures: u32,
    since: Duration,
    retry_at: Duration,
    told: Option<String>,
}

impl RetryState {
    /// Notes a failure. Returns its cause if it has to be told: who holds something for less than `held_max` isn't, nor is what passes
    /// at once, nor what was told before.
    pub(super) fn fail(
        &mut self,
        failure: FollowFailure,
        now: Duration,
        held_max: Duration,
    ) -> Option<String> {
        if self.failures == 0 {
            self.since = now;
        }
        self.retry_at = now + failure.pause(self.failures);
        let is_news = match &failure {
            FollowFailure::Held(_) => now.saturating_sub(self.since) > held_max,
            FollowFailure::Passing(_) => self.failures > 0,
            FollowFailure::Lasting(_) => true,
        };
        self.failures += 1;
        let cause = failure.cause();
        (is_news && self.told.as_ref() != Some(&cause)).then(|| self.told.insert(cause).clone())
    }

    /// Notes a success. Returns whether a failure was told before.
    pub(super) fn end(&mut self) -> bool {
        std::mem::take(self).told.is_some()
    }

    /// Whether it is time to try again.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.failures == 0 || now >= self.retry_at
    }

    /// Whether the last try failed.
    pub(super) fn is_there(&self) -> bool {
        self.failures > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_lasts_is_told_once_and_tried_less_and_less_often() {
        let mut retry = RetryState::default();
        let mut now = Duration::ZERO;
        let told = |retry: &mut RetryState, cause: &str, now| {
            retry.fail(FollowFailure::Lasting(cause.to_owned()), now, SECOND).is_some()
        };
        assert!(told(&mut retry, "a", now));
        for wanted_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = retry.retry_at - now;
            assert_eq!(pause.as_secs(), wanted_s);
            assert!(!retry.is_due(now + pause - Duration::from_millis(1)) && retry.is_due(now + pause));
            now += pause;
            assert!(!told(&mut retry, "a", now));
        }
        assert!(told(&mut retry, "b", now), "another cause");
        assert!(retry.end() && retry.is_due(Duration::ZERO));
        assert!(!retry.end(), "nothing to take back");
    }

    #[test]
    fn what_passes_at_once_is_not_told() {
        let mut retry = RetryState::default();
        let passing = || FollowFailure::Passing("busy".to_owned());
        assert_eq!(retry.fail(passing(), SECOND, SECOND), None);
        assert!(!retry.end());
        assert_eq!(retry.fail(passing(), SECOND, SECOND), None);
        assert_eq!(retry.fail(passing(), SECOND, SECOND).as_deref(), Some("busy"));
    }

    #[test]
    fn who_holds_it_for_long_is_told() {
        let mut retry = RetryState::default();
        let held = || FollowFailure::Held("a run".to_owned());
        for now_s in [10, 15, 20] {
            assert_eq!(retry.fail(held(), now_s * SECOND, 10 * SECOND), None);
        }
        let told = retry.fail(held(), 21 * SECOND, 10 * SECOND);
        assert_eq!(told.as_deref(), Some("held by a run"));
    }
}
