//! [`Record`]: what happened in a run, as one JSON object a line. `docs/format.md` documents the format.
//!
//! Invariants: a record that breaks off in the middle of a line, as one of a killed run does, is read up to there; a line
//! that is whole and invalid is an error that names it; events that a later version of the same format added are
//! skipped. A record is input: `bounds.rs` says what is accepted of it.

mod bounds;
mod event;

use std::io::{BufRead, Read};

use self::bounds::{EVENTS_MAX, LINE_BYTES_MAX, RECORD_BYTES_MAX};
pub use self::bounds::{TypedError, WORKERS_MAX, typed};
pub use self::event::{
    Decision, Event, FORMAT, FORMAT_MIN, FollowChange, FollowChangeKind, Header, PartitionEnd,
    PartitionOutcome, Retry, RunEnd, Sample, Unavailable, WorkerCeiling, format_by,
};

/// A record as read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// What the run is.
    pub header: Header,
    /// The partitions that ended, in order.
    pub partitions: Vec<PartitionEnd>,
    /// The attempts that were repeated.
    pub retries: Vec<Retry>,
    /// The numbers of workers.
    pub decisions: Vec<Decision>,
    /// The samples.
    pub samples: Vec<Sample>,
    /// What could not be found out.
    pub unavailable: Vec<Unavailable>,
    /// What changed while a source was followed.
    pub changes: Vec<FollowChange>,
    /// What a run with --force has not rewritten that was interrupted, as selectors.
    pub remaining: Vec<String>,
    /// The end; none if the run is in progress or was killed.
    pub end: Option<RunEnd>,
    /// Whether its process is gone without an end. The record itself cannot say so: who looks for the process does.
    pub was_killed: bool,
}

/// A record that cannot be read: where, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot be read")]
    Io(#[from] std::io::Error),
    /// It is not a run record at all.
    #[error("is not a run record of rollfit: its first line should be an object with \"event\":\"run\"")]
    NoHeader,
    /// Another version wrote it.
    #[error(
        "was written by rollfit {version} in format {format}, this version reads formats {FORMAT_MIN} to {FORMAT}; use that version"
    )]
    OtherFormat {
        /// The version that wrote it.
        version: String,
        /// Its format.
        format: u32,
    },
    /// A whole line is invalid.
    #[error("line {line} is invalid, the record is damaged: {cause}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What the reader says.
        cause: TypedError,
    },
    /// A second run begins, which may be one of another format.
    #[error("line {line} begins another run: the record is damaged, or two are in one file; separate them")]
    SecondHeader {
        /// The line, from 1.
        line: usize,
    },
    /// A line is longer than any that is written.
    #[error(
        "line {line} has more than {LINE_BYTES_MAX} bytes: it is not a run record of rollfit, or it is damaged"
    )]
    LongLine {
        /// The line, from 1.
        line: usize,
    },
    /// It is longer than any that is written.
    #[error("has more than {EVENTS_MAX} lines or {RECORD_BYTES_MAX} bytes, too many to read")]
    Long,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`], when it is none, another version wrote it, a whole line is invalid, or it is too long.
    pub fn read(input: impl BufRead) -> Result<Self, RecordError> {
        let mut lines = Lines { input, line: Vec::new(), number: 0, bytes: 0 };
        let mut record =
            Self { header: header(lines.next_line()?.ok_or(RecordError::NoHeader)?)?, ..Self::default() };
        while let Some(line) = lines.next_line()? {
            match typed(line).map_err(|cause| RecordError::Line { line: lines.number, cause })? {
                Event::Run(_) => return Err(RecordError::SecondHeader { line: lines.number }),
                event => record.add(event),
            }
        }
        Ok(record)
    }

    /// Reads what the run is, and no further.
    ///
    /// # Errors
    /// As [`Record::read`].
    pub fn read_header(input: impl BufRead) -> Result<Header, RecordError> {
        let mut lines = Lines { input, line: Vec::new(), number: 0, bytes: 0 };
        header(lines.next_line()?.ok_or(RecordError::NoHeader)?)
    }

    /// Whether a partition was written, as far as the record goes. Reads no further than the first one.
    ///
    /// # Errors
    /// As [`Record::read`], of what was read.
    pub fn has_written(input: impl BufRead) -> Result<bool, RecordError> {
        let mut lines = Lines { input, line: Vec::new(), number: 0, bytes: 0 };
        header(lines.next_line()?.ok_or(RecordError::NoHeader)?)?;
        while let Some(line) = lines.next_line()? {
            let event = typed(line).map_err(|cause| RecordError::Line { line: lines.number, cause })?;
            if matches!(event, Event::Partition(end) if end.outcome == PartitionOutcome::Written) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds what happened next.
    pub fn add(&mut self, event: Event) {
        match event {
            Event::Run(header) => self.header = *header,
            Event::Partition(end) => self.partitions.push(*end),
            Event::Retry(retry) => self.retries.push(retry),
            Event::Decision(decision) => self.decisions.push(decision),
            Event::Sample(sample) => self.samples.push(*sample),
            Event::Unavailable(unavailable) => self.unavailable.push(unavailable),
            Event::Change(change) => self.changes.push(*change),
            Event::Remaining { only } => self.remaining.extend(only),
            Event::End(end) => self.end = Some(end),
            Event::Unknown => {}
        }
    }
}

/// The whole lines of a record, none of them longer than it may be.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// The line, from 1.
    number: usize,
    /// What was read so far.
    bytes: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next line; none at the end, or where a line breaks off: the run is still writing it, or was killed meanwhile. A
    /// machine that crashed may have left zeros in the place of what had not reached its disk.
    fn next_line(&mut self) -> Result<Option<&[u8]>, RecordError> {
        self.number += 1;
        self.line.clear();
        let read = (&mut self.input).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut self.line)? as u64;
        self.bytes += read;
        if read > LINE_BYTES_MAX {
            // A file without this first line is not a record.
            return Err(match self.number {
                1 => RecordError::NoHeader,
                line => RecordError::LongLine { line },
            });
        }
        if self.number > EVENTS_MAX || self.bytes > RECORD_BYTES_MAX {
            return Err(RecordError::Long);
        }
        let is_whole = self.line.pop() == Some(b'\n') && !self.line.contains(&0);
        Ok(is_whole.then_some(self.line.as_slice()))
    }
}

fn header(line: &[u8]) -> Result<Header, RecordError> {
    // A later format may have a header that this version cannot read; its number it can.
    #[derive(serde::Deserialize)]
    struct Start {
        event: String,
        format: u32,
        version: String,
    }
    let start: Start = serde_json::from_slice(line).map_err(|_| RecordError::NoHeader)?;
    if start.event != "run" {
        return Err(RecordError::NoHeader);
    }
    if !(FORMAT_MIN..=FORMAT).contains(&start.format) {
        return Err(RecordError::OtherFormat { version: start.version, format: start.format });
    }
    typed(line).map_err(|cause| RecordError::Line { line: 1, cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::{Lane, LaneState};
    use crate::watch::Moment;

    fn lines(events: &[Event]) -> String {
        events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
    }

    fn example() -> String {
        let header = Header { format: FORMAT, run: "r".to_owned(), ..Header::default() };
        let decision = Decision {
            at_ms: 1,
            was: 0,
            workers: 2,
            reason: "why".to_owned(),
            held_back_by: None,
            rows_per_s: None,
        };
        lines(&[Event::Run(Box::new(header)), Event::Decision(decision), Event::Sample(Box::default())])
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record::read(example().as_bytes()).unwrap();
        assert_eq!((record.header.run.as_str(), record.decisions[0].workers), ("r", 2));
        assert_eq!((record.samples.len(), record.end), (1, None));
    }

    #[test]
    fn a_sample_says_how_large_the_largest_partition_in_progress_is() {
        let lane = |worker, rows, since_ms| LaneState { rows, since_ms, ..Lane::new(worker).state() };
        let sample =
            |lanes: &[LaneState]| Sample::from_moment(&Moment { lanes: lanes.to_vec(), ..Moment::default() });
        let seen = sample(&[lane(0, 5, 100), lane(1, 9, 40), lane(2, 0, 300)]);
        assert_eq!((seen.rows_in_hand, seen.known_in_hand, seen.in_hand_ms), (14, 2, 440));
        assert_eq!((seen.largest_in_hand_rows, seen.largest_in_hand_ms), (9, 40));
        let unknown = sample(&[lane(0, 0, 300)]);
        assert_eq!((unknown.largest_in_hand_rows, unknown.largest_in_hand_ms), (0, 0));
    }

    #[test]
    fn records_of_the_format_before_are_read_and_those_of_others_are_not() {
        let of_format = |format: u32| {
            let header = Header { format, ..Header::default() };
            Record::read(lines(&[Event::Run(Box::new(header))]).as_bytes())
        };
        for format in [2, 3, 4] {
            assert_eq!(of_format(format).unwrap().header.format, format);
        }
        for format in [0, 1, 5] {
            assert!(matches!(of_format(format), Err(RecordError::OtherFormat { .. })), "{format}");
        }
    }

    #[test]
    fn a_line_that_breaks_off_is_the_end() {
        let whole = example();
        let cut = &whole.as_bytes()[..whole.len() - 3];
        assert_eq!(Record::read(cut).unwrap().samples.len(), 0);
    }

    #[test]
    fn a_torn_record_is_read_as_far_as_it_is_whole() {
        let whole = example();
        let header_bytes = whole.find('\n').unwrap() + 1;
        let events = |record: &Record| record.decisions.len() + record.samples.len();
        for end in 0..whole.len() {
            let kept = &whole.as_bytes()[..end];
            let lines = kept.iter().filter(|byte| **byte == b'\n').count();
            let zeros = vec![0; whole.len() - end];
            let later = [&zeros, whole.as_bytes()].concat();
            for torn in [kept.to_vec(), [kept, &zeros].concat(), [kept, &later].concat()] {
                match Record::read(torn.as_slice()) {
                    Ok(record) => assert_eq!((events(&record), record.end), (lines - 1, None), "{end}"),
                    Err(error) => {
                        assert!(
                            end < header_bytes && matches!(error, RecordError::NoHeader),
                            "{end}: {error}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn events_of_later_versions_are_skipped_and_damage_is_named() {
        let later = example() + "{\"event\":\"dream\",\"at_ms\":3}\n";
        assert_eq!(Record::read(later.as_bytes()).unwrap().samples.len(), 1);
        let damaged = example() + "{\"event\":\"retry\"}\n";
        let error = Record::read(damaged.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("line 4 is invalid"), "{error}");
    }

    #[test]
    fn a_record_is_of_one_run() {
        let other = lines(&[Event::Run(Box::new(Header { run: "other".to_owned(), ..Header::default() }))]);
        for two in [example() + &other, example() + &example()] {
            let error = Record::read(two.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("line 4 begins another run"), "{error}");
            assert_eq!(Record::read_header(two.as_bytes()).unwrap().run, "r");
        }
    }

    #[test]
    fn what_is_no_record_or_one_of_another_format_is_refused() {
        for text in ["", "\n", "{}\n", "hello\n", "{\"event\":\"end\",\"format\":1,\"version\":\"0\"}\n"] {
            let error = Record::read(text.as_bytes()).unwrap_err();
            assert!(matches!(error, RecordError::NoHeader), "{text}: {error}");
        }
        for format in [1, 99] {
            let other =
                format!("{{\"event\":\"run\",\"format\":{format},\"version\":\"7.0.0\",\"run\":5}}\n");
            let error = Record::read(other.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("7.0.0") && error.contains(&format!("format {format},")), "{error}");
        }
    }
}
