//! [`FollowLog`]: what a follower tells, as lines. Additions, and months that begin or end, are gathered: a line at most a
//! second, however many keys there are.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rollfit_job::few::few;
use rollfit_job::follow::FollowEvent;
use rollfit_job::join_loss::JoinLoss;
use rollfit_job::month::display_instant;
use rollfit_job::partition::Partition;
use rollfit_job::state::State;

use crate::format::{self, plural};
use crate::{join_loss, logging};

/// How long lines are gathered.
const PERIOD: Duration = Duration::from_secs(1);
/// This many months that begin or end at once have lines of their own.
const SHOWN_MAX: usize = 3;

/// A line for the log.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LogLine {
    /// What it is about; none where it is about several, or about a store.
    partition: Option<Partition>,
    stage: &'static str,
    is_serious: bool,
    message: String,
    /// The rows added.
    rows: Option<u64>,
    /// Whether it says no more than that there are more rows, which a terminal shows in place.
    pub(super) is_routine: bool,
}

/// What was added to a partition.
#[derive(Default)]
struct AddedRows {
    rows: u64,
    /// The last instant that has features.
    last_us: Option<i64>,
}

/// Makes lines of events.
#[derive(Default)]
pub(super) struct FollowLog {
    appended: BTreeMap<Partition, AddedRows>,
    /// Written as a whole for nothing but rows that came, which some stores do with each.
    grown: BTreeMap<Partition, LogLine>,
    opened: Vec<Partition>,
    closed: Vec<Partition>,
    flushed: Option<Instant>,
}

impl LogLine {
    fn new(partition: Option<&Partition>, stage: &'static str, message: String) -> Self {
        Self {
            partition: partition.cloned(),
            stage,
            is_serious: false,
            message,
            rows: None,
            is_routine: false,
        }
    }

    fn serious(self) -> Self {
        Self { is_serious: true, ..self }
    }

    fn routine(self) -> Self {
        Self { is_routine: true, ..self }
    }

    /// Writes it.
    pub(super) fn write(&self) {
        match (&self.partition, self.rows) {
            (partition, Some(rows)) => logging::appended(partition.as_ref(), rows, &self.message),
            (Some(partition), None) => logging::about(partition, self.stage, self.is_serious, &self.message),
            (None, None) => logging::at_stage(self.stage, self.is_serious, &self.message),
        }
    }
}

impl FollowLog {
    /// Adds an event. Returns the lines that are to be written at once; what was gathered before comes before them.
    pub(super) fn add(&mut self, event: &FollowEvent) -> Vec<LogLine> {
        match event {
            FollowEvent::Appended { partition, rows, last_us, .. } => {
                let added = self.appended.entry(partition.clone()).or_default();
                added.rows += rows;
                added.last_us = added.last_us.max(*last_us);
            }
            FollowEvent::Rewritten { partition, was: State::Grown, join_loss: None, .. } => {
                self.grown.extend(at_once(event).into_iter().map(|line| (partition.clone(), line)));
            }
            FollowEvent::Opened(partition) => self.opened.push(partition.clone()),
            FollowEvent::Closed(partition) => self.closed.push(partition.clone()),
            event => {
                let mut lines = self.take();
                lines.extend(at_once(event));
                return lines;
            }
        }
        Vec::new()
    }

    /// The lines gathered, if they are due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<LogLine> {
        if self.flushed.is_some_and(|flushed| now.saturating_duration_since(flushed) < PERIOD) {
            return Vec::new();
        }
        let lines = self.take();
        if !lines.is_empty() {
            self.flushed = Some(now);
        }
        lines
    }

    /// The lines gathered so far.
    pub(super) fn take(&mut self) -> Vec<LogLine> {
        let appended = std::mem::take(&mut self.appended);
        let grown = std::mem::take(&mut self.grown);
        let opened = months(std::mem::take(&mut self.opened), "opened", "open from now on", "are open");
        let closed = months(std::mem::take(&mut self.closed), "closed", "over", "are over");
        let lines: Vec<LogLine> =
            opened.into_iter().chain(additions(&appended)).chain(rewritten(grown)).chain(closed).collect();
        if !lines.is_empty() {
            self.flushed = Some(Instant::now());
        }
        lines
    }
}

/// One line for all the rows added.
fn additions(appended: &BTreeMap<Partition, AddedRows>) -> Option<LogLine> {
    let rows: u64 = appended.values().map(|added| added.rows).sum();
    let added = format!("{} added", plural(usize::try_from(rows).unwrap_or(usize::MAX), "row"));
    let (first, AddedRows { last_us, .. }) = appended.first_key_value()?;
    let line = if appended.len() == 1 {
        let to = last_us.map(|us| format!(", to {}", display_instant(us)));
        LogLine::new(Some(first), "appended", format!("{added}{}", to.unwrap_or_default()))
    } else {
        LogLine::new(None, "appended", format!("{added} to {}", plural(appended.len(), "partition")))
    };
    Some(LogLine { rows: Some(rows), ..line }.routine())
}

/// One line for all that was written because rows came.
fn rewritten(grown: BTreeMap<Partition, LogLine>) -> Option<LogLine> {
    let count = grown.len();
    let (partition, first) = grown.into_iter().next()?;
    if count <= 1 {
        return Some(first.routine());
    }
    let (written, example) = (plural(count, "partition"), first.message);
    let message = format!("{written} written (were {}), such as {partition}: {example}", State::Grown);
    Some(LogLine::new(None, "written", message).routine())
}

/// Lines for months that begin or end.
fn months(partitions: Vec<Partition>, stage: &'static str, one: &str, several: &str) -> Vec<LogLine> {
    if partitions.len() <= SHOWN_MAX {
        let line = |partition: &Partition| LogLine::new(Some(partition), stage, one.to_owned());
        return partitions.iter().map(line).collect();
    }
    let count = plural(partitions.len(), "partition");
    vec![LogLine::new(None, stage, format!("{count} {several}: {}", few(&partitions)))]
}

fn lost(partition: &Partition, loss: &JoinLoss) -> LogLine {
    LogLine::new(Some(partition), "join", join_loss::sentence(loss)).serious()
}

/// What is reported at once.
fn at_once(event: &FollowEvent) -> Vec<LogLine> {
    match event {
        FollowEvent::Rewritten { partition, was, cause, rows, bytes, join_loss } => {
            let (rows, bytes) = (format::count(*rows), format::bytes(*bytes));
            let written = format!("written (was {was}: {cause}), {rows} rows, {bytes}");
            let loss = join_loss.as_ref().map(|loss| lost(partition, loss));
            std::iter::once(LogLine::new(Some(partition), "written", written)).chain(loss).collect()
        }
        FollowEvent::JoinLoss { partition, loss } => vec![lost(partition, loss)],
        FollowEvent::ViewMade { partition, what } => {
            vec![LogLine::new(Some(partition), "view", format!("{what}: made again"))]
        }
        FollowEvent::Behind { partition, cause } => {
            vec![
                LogLine::new(Some(partition), "behind", format!("behind: {cause}; rollfit tries again"))
                    .serious(),
            ]
        }
        FollowEvent::Waiting { key, cause } => {
            let message = format!("{key}: cannot be followed: {cause}; rollfit tries again");
            vec![LogLine::new(None, "waiting", message).serious()]
        }
        FollowEvent::Unwritten { partition, from } => {
            let message = format!(
                "is followed, but {unit}s of {key} before it have no features, {from} first: run `rollfit run --only {key}`, now if \
                 you like",
                unit = from.unit().noun(),
                key = partition.key
            );
            vec![LogLine::new(Some(partition), "unwritten", message).serious()]
        }
        FollowEvent::CaughtUp(partition) => {
            vec![LogLine::new(Some(partition), "caught-up", "up to date again".to_owned())]
        }
        FollowEvent::KeyCaughtUp { key } => {
            vec![LogLine::new(None, "caught-up", format!("{key}: followed again"))]
        }
        FollowEvent::StoreLost(cause) => {
            let message = format!("a store does not answer: {cause}; rollfit asks again until it does");
            vec![LogLine::new(None, "store-lost", message).serious()]
        }
        FollowEvent::StoreBack => {
            vec![LogLine::new(None, "store-back", "the store answers again".to_owned())]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(key: &str) -> Partition {
        Partition::new(key.to_owned(), "2017-01".parse().unwrap())
    }

    fn appended(key: &str, rows: u64) -> FollowEvent {
        FollowEvent::Appended {
            partition: partition(key),
            rows,
            last_us: Some(1_483_525_860_000_000),
            bytes: 10,
        }
    }

    fn told(lines: &[LogLine]) -> Vec<String> {
        let about = |line: &LogLine| line.partition.as_ref().map(|partition| format!("{partition}: "));
        lines.iter().map(|line| about(line).unwrap_or_default() + &line.message).collect()
    }

    #[test]
    fn additions_are_gathered_to_a_line_a_second() {
        let mut log = FollowLog::default();
        assert_eq!(log.add(&appended("eurusd", 1)), []);
        let now = Instant::now();
        assert_eq!(told(&log.due(now)), ["eurusd 2017-01: 1 row added, to 2017-01-04T10:31:00Z"]);
        for key in 0..28 {
            assert_eq!(log.add(&appended(&format!("key{key}"), 2)), []);
        }
        assert_eq!(log.due(now + PERIOD / 2), []);
        assert_eq!(told(&log.due(now + PERIOD)), ["56 rows added to 28 partitions"]);
        assert_eq!(log.take(), []);
    }

    fn rewritten(key: &str, was: State, cause: &str) -> FollowEvent {
        let (partition, cause) = (partition(key), cause.to_owned());
        FollowEvent::Rewritten { partition, was, cause, rows: 31_623, bytes: 36_100_000, join_loss: None }
    }

    #[test]
    fn so_is_what_a_store_that_cannot_add_rows_writes_for_each() {
        let mut log = FollowLog::default();
        for _ in 0..3 {
            assert_eq!(log.add(&rewritten("eurusd", State::Grown, "1 row more")), []);
        }
        let line = "eurusd 2017-01: written (was grown: 1 row more), 31,623 rows, 36.1 MB";
        assert_eq!(told(&log.take()), [line]);
        for key in 0..28 {
            log.add(&rewritten(&format!("key{key}"), State::Grown, "1 row more"));
        }
        let example = "key0 2017-01: written (was grown: 1 row more), 31,623 rows, 36.1 MB";
        assert_eq!(told(&log.take()), [format!("28 partitions written (were grown), such as {example}")]);
    }

    #[test]
    fn what_was_gathered_comes_before_what_is_told_at_once() {
        let mut log = FollowLog::default();
        log.add(&FollowEvent::Opened(partition("eurusd")));
        log.add(&appended("eurusd", 3));
        let rewritten = rewritten("eurusd", State::InputChanged, "the source has other values");
        let expected = [
            "eurusd 2017-01: open from now on",
            "eurusd 2017-01: 3 rows added, to 2017-01-04T10:31:00Z",
            "eurusd 2017-01: written (was input-changed: the source has other values), 31,623 rows, 36.1 MB",
        ];
        assert_eq!(told(&log.add(&rewritten)), expected);
        let lost = log.add(&FollowEvent::StoreLost("no route to host".to_owned()));
        assert!(lost[0].is_serious && lost[0].message.contains("no route to host"), "{lost:?}");
        assert!(!log.add(&FollowEvent::StoreBack)[0].is_serious);
    }

    #[test]
    fn what_a_join_loses_is_a_warning_after_what_was_added() {
        let mut log = FollowLog::default();
        log.add(&appended("eurusd", 3));
        let loss =
            JoinLoss { series: "idx".to_owned(), lost_rows: 20, rows: 1090, lacking: vec!["bqx".to_owned()] };
        let lines = log.add(&FollowEvent::JoinLoss { partition: partition("eurusd"), loss });
        let expected = [
            "eurusd 2017-01: 3 rows added, to 2017-01-04T10:31:00Z",
            "eurusd 2017-01: the join loses 20 of 1,090 rows (1.8 %) of series idx, which series bqx lacks",
        ];
        assert_eq!(
            (told(&lines).as_slice(), lines[1].is_serious),
            (expected.map(str::to_owned).as_slice(), true)
        );
    }

    #[test]
    fn what_is_to_be_done_about_a_key_is_told_at_once_and_that_it_is_fine_again() {
        let mut log = FollowLog::default();
        let unwritten =
            FollowEvent::Unwritten { partition: partition("eurusd"), from: "2016-03".parse().unwrap() };
        let line = &log.add(&unwritten)[0];
        assert!(line.is_serious && line.message.contains("2016-03 first: run `rollfit run --only eurusd`"));
        let waiting =
            FollowEvent::Waiting { key: "eurusd".to_owned(), cause: "there is no table".to_owned() };
        assert!(log.add(&waiting)[0].is_serious);
        let line = &log.add(&FollowEvent::KeyCaughtUp { key: "eurusd".to_owned() })[0];
        assert_eq!((line.is_serious, line.message.as_str()), (false, "eurusd: followed again"));
    }

    #[test]
    fn many_months_that_begin_at_once_are_one_line() {
        let mut log = FollowLog::default();
        for key in 0..28 {
            log.add(&FollowEvent::Opened(partition(&format!("key{key:02}"))));
        }
        let lines = told(&log.take());
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with("28 partitions are open: key00 2017-01, "), "{lines:?}");
        assert!(lines[0].ends_with(" and 18 more"), "{lines:?}");
    }
}
