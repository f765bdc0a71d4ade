//! [`NetworkConditions`]: a network that is slow rather than broken.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::frames::Frame;

/// How slow a network is: every question takes so much longer, and so many bytes a second reach the server, on all
/// connections together.
#[derive(Default)]
pub(crate) struct NetworkConditions {
    pub(crate) latency: Duration,
    pub(crate) bytes_per_s: Option<f64>,
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

    /// Holds a client's message back.
    pub(crate) fn delay(&self, frame: &Frame) {
        if frame.wants_an_answer() {
            std::thread::sleep(self.latency);
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
