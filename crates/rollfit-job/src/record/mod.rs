//! [`Record`]: what happened in a run, as one JSON object a line. `docs/runs.md` documents the format.
//!
//! Holds true: a record that breaks off in the middle of a line, as one of a killed run does, is read up to there; a line
//! that is whole and makes no sense is an error that names it; events that a later version of the same format added are
//! skipped.

mod event;

use std::io::BufRead;

pub use self::event::{Decision, End, Event, FORMAT, Header, PartitionEnd, Retry, Sample, Unavailable};

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
    /// The end; none where the run goes on or was killed.
    pub end: Option<End>,
}

/// A record that cannot be read: where, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file cannot be read.
    #[error("cannot be read")]
    Io(#[from] std::io::Error),
    /// It is not a run record at all.
    #[error("is no run record of rollfit: its first line should be an object with \"event\":\"run\"")]
    NoHeader,
    /// A later version wrote it.
    #[error(
        "was written by rollfit {version} in format {format}, this version reads formats up to {FORMAT}: use that one"
    )]
    Newer {
        /// The version that wrote it.
        version: String,
        /// Its format.
        format: u32,
    },
    /// A whole line makes no sense.
    #[error("line {line} makes no sense, the record is damaged: {cause}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What the reader says.
        cause: serde_json::Error,
    },
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`], when it is none, a later version wrote it, or a whole line makes no sense.
    pub fn read(mut input: impl BufRead) -> Result<Self, RecordError> {
        let mut record = Self::default();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            input.read_until(b'\n', &mut line)?;
            match (line.pop(), number) {
                (Some(b'\n'), 1) => record.header = header(&line)?,
                (Some(b'\n'), _) => record.add(event(&line, number)?),
                (_, 1) => return Err(RecordError::NoHeader),
                // The run goes on, or it was killed in the middle of this line.
                (_, _) => break,
            }
        }
        Ok(record)
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
            Event::End(end) => self.end = Some(end),
            Event::Unknown => {}
        }
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
    if start.format > FORMAT {
        return Err(RecordError::Newer { version: start.version, format: start.format });
    }
    serde_json::from_slice(line).map_err(|cause| RecordError::Line { line: 1, cause })
}

fn event(line: &[u8], number: usize) -> Result<Event, RecordError> {
    serde_json::from_slice(line).map_err(|cause| RecordError::Line { line: number, cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(events: &[Event]) -> String {
        events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect()
    }

    fn example() -> String {
        let header = Header { format: FORMAT, run: "r".to_owned(), ..Header::default() };
        let decision = Decision { at_ms: 1, was: 0, workers: 2, reason: "why".to_owned(), rows_per_s: None };
        lines(&[Event::Run(Box::new(header)), Event::Decision(decision), Event::Sample(Box::default())])
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record::read(example().as_bytes()).unwrap();
        assert_eq!((record.header.run.as_str(), record.decisions[0].workers), ("r", 2));
        assert_eq!((record.samples.len(), record.end), (1, None));
    }

    #[test]
    fn a_line_that_breaks_off_is_the_end() {
        let whole = example();
        let cut = &whole.as_bytes()[..whole.len() - 3];
        assert_eq!(Record::read(cut).unwrap().samples.len(), 0);
    }

    #[test]
    fn events_of_later_versions_are_skipped_and_damage_is_named() {
        let later = example() + "{\"event\":\"dream\",\"at_ms\":3}\n";
        assert_eq!(Record::read(later.as_bytes()).unwrap().samples.len(), 1);
        let damaged = example() + "{\"event\":\"retry\"}\n";
        let error = Record::read(damaged.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("line 4 makes no sense"), "{error}");
    }

    #[test]
    fn what_is_no_record_or_a_newer_one_is_told_so() {
        for text in ["", "\n", "{}\n", "hello\n", "{\"event\":\"end\",\"format\":1,\"version\":\"0\"}\n"] {
            let error = Record::read(text.as_bytes()).unwrap_err();
            assert!(matches!(error, RecordError::NoHeader), "{text}: {error}");
        }
        let newer = "{\"event\":\"run\",\"format\":99,\"version\":\"7.0.0\",\"run\":5}\n";
        let error = Record::read(newer.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("7.0.0") && error.contains("format 99"), "{error}");
    }
}
