//! [`FollowReporters`]: what a follower tells, brought to log, terminal, record and metrics file.
//!
//! Invariants: whoever tells something waits for no file: a thread of its own writes them once a second. A file that cannot be
//! written never ends following. What is kept is as large as the number of keys, however long that goes on.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rollfit_job::follow::{FollowEvent, FollowObserver, KeyLag};
use rollfit_job::lock::{lock, unpoisoned};
use rollfit_job::partition::Partition;
use rollfit_job::record::{FollowChange, FollowChangeKind, Header};
use rollfit_job::watch::{Machine, Moment};

use super::follow_log::{FollowLog, LogLine};
use super::follow_state::{ENTRIES_MAX, FollowState, pending_s};
use super::followed::Followed;
use super::rolled_record::{RollLimits, RolledRecord};
use crate::join_loss;
use crate::live::{Live, Tracker};
use crate::metrics_file::{FollowFigures, KeyFigures, MetricsFile};
use crate::run_reporters::TakenOver;
use crate::screen::Screen;
use crate::state_dir::StateDir;

/// How often files are written.
const PERIOD: Duration = Duration::from_secs(1);
/// The most changes that wait for the record. More at once is a defect, and the log has them all.
const CHANGES_MAX: usize = 10_000;

/// The reporters of a follower.
pub(crate) struct FollowReporters {
    started: Instant,
    header: Header,
    machine: Arc<dyn Machine>,
    screen: Option<Screen>,
    metrics: Option<MetricsFile>,
    told: Mutex<Told>,
    record: Mutex<RolledRecord>,
    tracker: Mutex<Tracker>,
}

/// What was told.
#[derive(Default)]
struct Told {
    followed: Followed,
    log: FollowLog,
    /// What the record lacks.
    changes: Vec<FollowChange>,
    appended: FollowChange,
}

impl FollowReporters {
    /// Starts the reporters of a follower that comes after the run of this header, whose reporters it takes over.
    pub(crate) fn start(header: Header, taken_over: TakenOver, machine: Arc<dyn Machine>) -> Self {
        let state = StateDir::open();
        let record = RolledRecord::begin(state, header.clone(), RollLimits::DAILY);
        drop(taken_over.record);
        Self {
            started: Instant::now(),
            header,
            machine,
            screen: taken_over.screen,
            metrics: taken_over.metrics,
            told: Mutex::default(),
            record: Mutex::new(record),
            tracker: Mutex::default(),
        }
    }

    /// Writes what is due once a second, until `end` is gone.
    pub(crate) fn write_until(&self, end: &Receiver<()>) {
        self.write_files();
        while end.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            let lines = self.told().log.due(Instant::now());
            self.write_lines(&lines);
            self.write_files();
        }
    }

    /// The partitions that were followed and are not behind.
    pub(crate) fn up_to_date(&self) -> BTreeSet<Partition> {
        self.told().followed.up_to_date()
    }

    /// Reports the end. Returns how the follower was at last, with all its keys.
    pub(crate) fn finish(self) -> FollowState {
        let lines = self.told().log.take();
        self.write_lines(&lines);
        let moment = self.write_files();
        if let Some(screen) = &self.screen {
            screen.clear();
        }
        if let Some(metrics) = &self.metrics {
            metrics.finish(false);
        }
        let took = self.started.elapsed();
        let state = self.told().followed.state(took, usize::MAX);
        unpoisoned(self.record.into_inner()).finish(&moment);
        state
    }

    /// Writes record, live file, metrics and terminal as they are now.
    fn write_files(&self) -> Moment {
        let (state, figures, changes, standing) = {
            let mut told = self.told();
            let appended = std::mem::take(&mut told.appended);
            let mut changes = std::mem::take(&mut told.changes);
            changes.push(FollowChange { what: FollowChangeKind::Appended, ..appended });
            let followed = &told.followed;
            let state = followed.state(self.started.elapsed(), ENTRIES_MAX);
            let standing: Vec<FollowChange> =
                followed.standing().take(ENTRIES_MAX).map(|event| change(&event)).collect();
            (state, figures(followed), changes, standing)
        };
        let moment = Moment {
            at: self.started.elapsed(),
            totals: figures.totals,
            machine: self.machine.sample(),
            ..Moment::default()
        };
        let live = Live { remaining_s: None, follow: Some(state), ..lock(&self.tracker).follow(&moment) };
        {
            let mut record = lock(&self.record);
            changes.into_iter().for_each(|change| record.add(change));
            record.update(&live, &standing);
        }
        if let Some(metrics) = &self.metrics {
            metrics.follow(&moment, live.rows_per_s, figures);
        }
        if let Some((screen, state)) = self.screen.as_ref().zip(live.follow.as_ref()) {
            screen.show(&super::lines(&self.header, &live, state, screen.size()));
        }
        moment
    }

    /// Writes lines; on a terminal those that say no more than that there are more rows are seen in place.
    fn write_lines(&self, lines: &[LogLine]) {
        let is_shown = |line: &&LogLine| self.screen.is_none() || !line.is_routine;
        lines.iter().filter(is_shown).for_each(LogLine::write);
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        lock(&self.told)
    }
}

impl FollowObserver for FollowReporters {
    fn event(&self, event: &FollowEvent) {
        let lines = {
            let mut told = self.told();
            let Told { followed, log, changes, appended } = &mut *told;
            followed.add(event);
            match change(event) {
                change if change.what == FollowChangeKind::Appended => {
                    appended.times += 1;
                    appended.rows += change.rows;
                    appended.bytes += change.bytes;
                }
                change if changes.len() < CHANGES_MAX => changes.push(change),
                _ => {}
            }
            log.add(event)
        };
        self.write_lines(&lines);
    }

    fn looked(&self, lags: &[KeyLag]) {
        let lines = {
            let mut told = self.told();
            told.followed.looked(lags);
            told.log.due(Instant::now())
        };
        self.write_lines(&lines);
    }

    fn ended(&self, lags: &[KeyLag]) {
        self.told().followed.set_lags(lags);
    }
}

fn figures(followed: &Followed) -> FollowFigures {
    let key =
        |lag: &KeyLag| KeyFigures { key: lag.key.clone(), lag_s: lag.lag_s(), pending_s: pending_s(lag) };
    FollowFigures {
        keys: followed.lags().iter().map(key).collect(),
        appends: followed.appends,
        appended_rows: followed.appended_rows,
        totals: followed.totals(),
        asked_at: followed.asked_at(),
    }
}

/// What the record keeps of an event; its time is that at which it is written.
fn change(event: &FollowEvent) -> FollowChange {
    let about = |what, partition: &Partition| FollowChange {
        what,
        partition: Some(partition.clone()),
        ..FollowChange::default()
    };
    match event {
        FollowEvent::Appended { rows, bytes, .. } => FollowChange {
            what: FollowChangeKind::Appended,
            rows: *rows,
            bytes: *bytes,
            ..FollowChange::default()
        },
        FollowEvent::Rewritten { partition, was, cause, rows, bytes, .. } => FollowChange {
            cause: Some(format!("it was {was}: {cause}")),
            rows: *rows,
            bytes: *bytes,
            ..about(FollowChangeKind::Rewritten, partition)
        },
        FollowEvent::JoinLoss { partition, loss } => FollowChange {
            cause: Some(join_loss::sentence(loss)),
            ..about(FollowChangeKind::JoinLoss, partition)
        },
        FollowEvent::ViewMade { partition, what } => {
            FollowChange { cause: Some(what.clone()), ..about(FollowChangeKind::ViewMade, partition) }
        }
        FollowEvent::Opened(partition) => about(FollowChangeKind::Opened, partition),
        FollowEvent::Unwritten { partition, from } => FollowChange {
            cause: Some(format!("{}s before it have no features, {from} first", from.unit().noun())),
            ..about(FollowChangeKind::Unwritten, partition)
        },
        FollowEvent::Closed(partition) => about(FollowChangeKind::Closed, partition),
        FollowEvent::Behind { partition, cause } => {
            FollowChange { cause: Some(cause.clone()), ..about(FollowChangeKind::Behind, partition) }
        }
        FollowEvent::Waiting { key, cause } => FollowChange {
            what: FollowChangeKind::Waiting,
            key: Some(key.clone()),
            cause: Some(cause.clone()),
            ..FollowChange::default()
        },
        FollowEvent::CaughtUp(partition) => about(FollowChangeKind::CaughtUp, partition),
        FollowEvent::KeyCaughtUp { key } => FollowChange {
            what: FollowChangeKind::CaughtUp,
            key: Some(key.clone()),
            ..FollowChange::default()
        },
        FollowEvent::StoreLost(cause) => FollowChange {
            what: FollowChangeKind::StoreLost,
            cause: Some(cause.clone()),
            ..FollowChange::default()
        },
        FollowEvent::StoreBack => {
            FollowChange { what: FollowChangeKind::StoreBack, ..FollowChange::default() }
        }
        _ => FollowChange::default(),
    }
}
