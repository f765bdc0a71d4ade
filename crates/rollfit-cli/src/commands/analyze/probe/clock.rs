//! [`timed`]: how long work took, by activity, on a thread of its own, as it would be counted on a worker.

use rollfit_job::activity::{self, Activity, Lane, Times};

/// What work took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Took {
    /// How long it took.
    pub(super) wall: Times,
    /// The processor time of it.
    pub(super) cpu: Times,
}

impl Took {
    /// Seconds in which the thread did something or waited for somebody, sessions that were opened left out: a worker
    /// opens one a run.
    pub(super) fn wall_s(&self) -> f64 {
        without_connecting_s(&self.wall)
    }

    /// The processor time of that.
    pub(super) fn cpu_s(&self) -> f64 {
        without_connecting_s(&self.cpu)
    }
}

fn without_connecting_s(times: &Times) -> f64 {
    (times.total_us() - times.of(Activity::Connecting)) as f64 / 1e6
}

/// Does work, as an activity, and tells what it took. To be called on a thread that nothing else counts on.
pub(super) fn timed<T>(activity: Activity, work: impl FnOnce() -> T) -> (T, Took) {
    activity::start(Lane::new(0));
    let done = activity::during(activity, work);
    let (wall, cpu) = activity::lap();
    (done, Took { wall, cpu })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn opening_a_session_is_no_part_of_what_a_partition_takes() {
        let (_, took) = timed(Activity::Reading, || {
            activity::during(Activity::Connecting, || std::thread::sleep(Duration::from_millis(50)));
        });
        assert!(took.wall.of(Activity::Connecting) >= 50_000);
        assert!(took.wall_s() < 0.05, "{}", took.wall_s());
        assert!(took.cpu_s() <= took.wall_s());
    }
}
