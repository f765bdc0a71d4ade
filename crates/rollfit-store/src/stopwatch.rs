//! [`Stopwatch`]: the time that something takes, on the wall and of this thread's processor.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Runs from when it is started.
pub(crate) struct Stopwatch {
    began: Instant,
    cpu_began: Duration,
}

/// What a stopwatch shows; laps add up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lap {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { began: Instant::now(), cpu_began: thread_cpu() }
    }

    pub(crate) fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn lap(&self) -> Lap {
        Lap { wall: self.began.elapsed(), cpu: thread_cpu().saturating_sub(self.cpu_began) }
    }
}

impl std::ops::AddAssign for Lap {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

/// The processor time of this thread so far.
fn thread_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// Microseconds, with a fraction.
pub(crate) fn micros(duration: Duration) -> f64 {
    1e6 * duration.as_secs_f64()
}
