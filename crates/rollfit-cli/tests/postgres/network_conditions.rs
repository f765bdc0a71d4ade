//! [`NetworkConditions`]: a network that is slow rather than broken.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::frames::Frame;

/// How slow a network is: every question takes so much longer, and so many bytes a second reach the server, on all
/// connections together. Statements whose tag begins so take longer as well, as if the server were slow at them.
#[derive(Default)]
pub(crate) struct NetworkConditions {
    pub(crate) latency: Duration,
    pub(crate) bytes_per_s: Option<f64>,
    pub(crate) slow_statements: &'static [(&'static str, Duration)],
    /// When the road to the server is free again.
    free_at: Mutex<Option<Instant>>,
}

impl NetworkConditions {
    pub(crate) fn far(latency: Duration) -> Self {
        Self { latency, ..Self::default() }
    }

    pub(crate) fn narrow(bytes_per_s: f64) -> Self {
        Self { bytes_per_s: Some(bytes_per_s), ..Self::default() }
    }

    pub(crate) fn slow_at(slow_statements: &'static [(&'static str, Duration)]) -> Self {
        Self { slow_statements, ..Self::default() }
    }

    /// Holds the end of a statement back.
    pub(crate) fn delay_reply(&self, frame: &Frame) {
        let Some(tag) = frame.statement_tag() else { return };
        let is_slow = |(begin, _): &&(&str, Duration)| tag.starts_with(begin);
        std::thread::sleep(self.slow_statements.iter().filter(is_slow).map(|(_, takes)| *takes).sum());
    }

    /// Holds a client's message back that came at this moment. What is sent together is on its way together.
    pub(crate) fn delay(&self, frame: &Frame, came_at: Instant) {
        if frame.may_be_answered() {
            std::thread::sleep((came_at + self.latency).saturating_duration_since(Instant::now()));
        }
        if let Some(bytes_per_s) = self.bytes_per_s {
            let takes = Duration::from_secs_f64(frame.bytes.len() as f64 / bytes_per_s);
            std::thread::sleep(self.passes_at(takes).saturating_duration_since(Instant::now()));
        }
    }

    fn passes_at(&self, takes: Duration) -> Instant {
        let (mut free_at, now) = (self.free_at.lock().unwrap(), Instant::now());
        let passes_at = free_at.unwrap_or(now).max(now) + takes;
        *free_at = Some(passes_at);
        passes_at
    }
}

/// The messages of a client that are on their way, with when each came. Few bytes fit: a client that sends many has to wait.
#[derive(Default)]
pub(crate) struct OnTheWay {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<(Instant, Frame)>,
    bytes: usize,
    is_over: bool,
}

impl OnTheWay {
    const BYTES_MAX: usize = 64 << 10;

    /// Adds messages until there are no more.
    pub(crate) fn carry(&self, frames: impl Iterator<Item = Frame>) {
        for frame in frames {
            let mut queue = self.queue.lock().unwrap();
            queue.bytes += frame.bytes.len();
            queue.frames.push_back((Instant::now(), frame));
            self.changed.notify_all();
            let is_full = |queue: &mut Queue| queue.bytes > Self::BYTES_MAX && !queue.is_over;
            let queue = self.changed.wait_while(queue, is_full).unwrap();
            if queue.is_over {
                break;
            }
        }
        self.end();
    }

    /// Lets no more messages in.
    pub(crate) fn end(&self) {
        self.queue.lock().unwrap().is_over = true;
        self.changed.notify_all();
    }

    /// The next message; none after the last one.
    pub(crate) fn next(&self) -> Option<(Instant, Frame)> {
        let is_waiting = |queue: &mut Queue| queue.frames.is_empty() && !queue.is_over;
        let mut queue = self.changed.wait_while(self.queue.lock().unwrap(), is_waiting).unwrap();
        let next = queue.frames.pop_front()?;
        queue.bytes -= next.1.bytes.len();
        self.changed.notify_all();
        Some(next)
    }
}
