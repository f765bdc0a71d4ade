//! [`MemoryShortage`]: memory that was nearly used up when a record breaks off, which is what a process leaves that the system killed
//! for want of memory.

use rollfit_job::record::{Record, Sample};
use rollfit_job::workers::memory_reserve_bytes;
use serde::{Deserialize, Serialize};

/// Memory that would have been used up within this many seconds may have been used up.
const WITHIN_S: f64 = 3.0;
/// From how many samples the trend is taken.
const SAMPLES: usize = 4;

/// Memory at the last sample of a run without an end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryShortage {
    /// What this process held.
    pub own_bytes: u64,
    /// What it could still take.
    pub free_bytes: u64,
    /// The limit of its control group, or the memory of the machine; none where unknown.
    pub limit_bytes: Option<u64>,
    /// How fast the free memory became less, a second.
    pub falling_bytes_per_s: f64,
}

impl MemoryShortage {
    /// That of a record; none of a run that has an end, and where there was enough.
    pub(super) fn from_record(record: &Record) -> Option<Self> {
        let last = record.samples.last().filter(|_| record.end.is_none())?;
        let limits = &record.header.machine;
        let limit_bytes = [limits.memory_bytes, limits.memory_allowed_bytes].into_iter().flatten().min();
        // Pages of files that this process maps count as its own, and as free.
        let free = |sample: &Sample| {
            let left = limit_bytes
                .zip(sample.machine.own_memory_bytes)
                .map(|(limit, own)| limit.saturating_sub(own));
            Some(sample.machine.free_memory_bytes?.min(left.unwrap_or(u64::MAX)))
        };
        let (own_bytes, free_bytes) = (last.machine.own_memory_bytes?, free(last)?);
        let recent = &record.samples[record.samples.len().saturating_sub(SAMPLES)..];
        let first = recent.iter().find(|sample| sample.machine.free_memory_bytes.is_some())?;
        let fell = free(first)?.saturating_sub(free_bytes) as f64;
        let seconds = last.at_ms.saturating_sub(first.at_ms) as f64 / 1e3;
        let falling_bytes_per_s = if seconds > 0.0 { fell / seconds } else { 0.0 };
        let is_low = limit_bytes.is_some() && free_bytes < memory_reserve_bytes(limits);
        let is_falling = falling_bytes_per_s * WITHIN_S > free_bytes as f64;
        (is_low || is_falling).then_some(Self { own_bytes, free_bytes, limit_bytes, falling_bytes_per_s })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_testkit::record::made;

    /// A record that breaks off, of which the last samples had so much memory free.
    fn breaking_off(free_bytes: [u64; 4]) -> Record {
        let mut record = Record { end: None, ..made(40, 4) };
        record.samples.truncate(4);
        for (sample, free_bytes) in record.samples.iter_mut().zip(free_bytes) {
            sample.machine.free_memory_bytes = Some(free_bytes);
        }
        record
    }

    #[test]
    fn memory_that_was_or_would_be_used_up_when_a_record_breaks_off_is_a_shortage() {
        let low = MemoryShortage::from_record(&breaking_off([1_000_000_000; 4])).unwrap();
        assert_eq!((low.free_bytes, low.limit_bytes), (1_000_000_000, Some(32_000_000_000)));
        let fell = [20_000_000_000, 15_000_000_000, 10_000_000_000, 5_000_000_000];
        let falling = MemoryShortage::from_record(&breaking_off(fell)).unwrap();
        assert!((falling.falling_bytes_per_s / 5e9 - 1.0).abs() < 0.01, "{falling:?}");
    }

    #[test]
    fn a_run_with_an_end_and_one_with_enough_have_none() {
        assert_eq!(MemoryShortage::from_record(&breaking_off([20_000_000_000; 4])), None);
        let ended = Record { end: made(40, 4).end, ..breaking_off([1_000; 4]) };
        assert_eq!(MemoryShortage::from_record(&ended), None);
        let mut unknown = breaking_off([1_000; 4]);
        unknown.samples.iter_mut().for_each(|sample| sample.machine.free_memory_bytes = None);
        assert_eq!(MemoryShortage::from_record(&unknown), None);
    }
}
