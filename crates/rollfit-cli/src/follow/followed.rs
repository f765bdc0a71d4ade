//! [`Followed`]: what a follower has done and how far each key is, event by event.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use rollfit_job::follow::{FollowEvent, KeyLag};
use rollfit_job::partition::Partition;
use rollfit_job::watch::Totals;

use super::follow_state::{BehindNow, FollowState, KeyNow};

/// What is known of a follower. As large as the number of keys, however long it follows.
#[derive(Default)]
pub(super) struct Followed {
    lags: Vec<KeyLag>,
    /// The partitions that it wrote or closed.
    kept: BTreeSet<Partition>,
    behind: BTreeMap<Partition, String>,
    /// The keys that cannot be looked at.
    waiting: BTreeMap<String, String>,
    store_lost: Option<String>,
    pub(super) appends: u64,
    pub(super) appended_rows: u64,
    pub(super) rewritten: u64,
    rewritten_rows: u64,
    bytes: u64,
    asked: Option<(Instant, SystemTime)>,
}

impl Followed {
    /// Adds what happened.
    pub(super) fn add(&mut self, event: &FollowEvent) {
        match event {
            FollowEvent::Appended { partition, rows, bytes, .. } => {
                self.appends += 1;
                self.appended_rows += rows;
                self.bytes += bytes;
                self.keep(partition);
            }
            FollowEvent::Rewritten { partition, rows, bytes, .. } => {
                self.rewritten += 1;
                self.rewritten_rows += rows;
                self.bytes += bytes;
                self.keep(partition);
            }
            FollowEvent::Closed(partition) | FollowEvent::CaughtUp(partition) => {
                self.behind.remove(partition);
                self.keep(partition);
            }
            FollowEvent::Behind { partition, cause } => {
                self.behind.insert(partition.clone(), cause.clone());
            }
            FollowEvent::Waiting { key, cause } => {
                self.waiting.insert(key.clone(), cause.clone());
            }
            FollowEvent::KeyCaughtUp { key } => drop(self.waiting.remove(key)),
            FollowEvent::StoreLost(cause) => self.store_lost = Some(cause.clone()),
            FollowEvent::StoreBack => self.store_lost = None,
            _ => {}
        }
    }

    fn keep(&mut self, partition: &Partition) {
        self.waiting.remove(&partition.key);
        if !self.kept.contains(partition) {
            self.kept.insert(partition.clone());
        }
    }

    /// The source was asked.
    pub(super) fn looked(&mut self, lags: &[KeyLag]) {
        self.asked = Some((Instant::now(), SystemTime::now()));
        self.set_lags(lags);
    }

    /// Sets how far each key is.
    pub(super) fn set_lags(&mut self, lags: &[KeyLag]) {
        if self.lags != lags {
            self.lags = lags.to_vec();
        }
    }

    /// How far each key is.
    pub(super) fn lags(&self) -> &[KeyLag] {
        &self.lags
    }

    /// When the source answered last, by the clock.
    pub(super) fn asked_at(&self) -> Option<SystemTime> {
        self.asked.map(|(_, at)| at)
    }

    /// How many partitions are behind, and keys that cannot be looked at.
    fn behind(&self) -> u64 {
        (self.behind.len() + self.waiting.len()) as u64
    }

    /// What was told of what is still so: who is behind, and whether a store is away.
    pub(super) fn standing(&self) -> impl Iterator<Item = FollowEvent> {
        let store_lost = self.store_lost.iter().cloned().map(FollowEvent::StoreLost);
        let behind = self.behind.iter();
        let behind = behind.map(|(partition, cause)| (partition.clone(), cause.clone()));
        let behind = behind.map(|(partition, cause)| FollowEvent::Behind { partition, cause });
        let waiting = self.waiting.iter().map(|(key, cause)| (key.clone(), cause.clone()));
        let waiting = waiting.map(|(key, cause)| FollowEvent::Waiting { key, cause });
        store_lost.chain(behind).chain(waiting)
    }

    /// The partitions that it wrote or closed, and that are not behind.
    pub(super) fn up_to_date(&self) -> BTreeSet<Partition> {
        self.kept.iter().filter(|partition| !self.behind.contains_key(partition)).cloned().collect()
    }

    /// The follower in the figures of a run: its partitions are those of its keys that are open, of which there is one at least;
    /// written is what was written as a whole, failed what is behind.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            partitions: self.lags.len() as u64,
            ended: 0,
            written: self.rewritten,
            failed: self.behind(),
            retries: 0,
            rows: self.appended_rows + self.rewritten_rows,
            rows_committed: self.appended_rows + self.rewritten_rows,
            bytes: self.bytes,
        }
    }

    /// The follower after `took`, with at most `entries_max` keys: those furthest behind, and of them the ones of which nothing
    /// is known first.
    pub(super) fn state(&self, took: Duration, entries_max: usize) -> FollowState {
        let mut keys: Vec<&KeyLag> = self.lags.iter().collect();
        let lag_s = |lag: &KeyLag| lag.lag_s().unwrap_or(f64::INFINITY);
        keys.sort_by(|a, b| lag_s(b).total_cmp(&lag_s(a)).then_with(|| a.key.cmp(&b.key)));
        let partitions = self.behind.iter().map(|(partition, cause)| (partition.to_string(), cause));
        let waiting = self.waiting.iter().map(|(key, cause)| (key.clone(), cause));
        let behind = partitions.chain(waiting).take(entries_max);
        FollowState {
            seconds: took.as_secs_f64(),
            asked_s: self.asked.map(|(asked, _)| asked.elapsed().as_secs_f64()),
            store_lost: self.store_lost.clone(),
            appends: self.appends,
            appended_rows: self.appended_rows,
            rewritten: self.rewritten,
            bytes: self.bytes,
            keys_followed: self.lags.len() as u64,
            keys: keys.into_iter().take(entries_max).map(KeyNow::from_lag).collect(),
            partitions_behind: self.behind(),
            behind: behind.map(|(what, cause)| BehindNow { what, cause: cause.clone() }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(key: &str, source_us: Option<i64>, features_us: Option<i64>) -> KeyLag {
        KeyLag { key: key.to_owned(), source_us, features_us, pending_us: None }
    }

    fn partition(key: &str) -> Partition {
        Partition::new(key.to_owned(), "2017-01".parse().unwrap())
    }

    fn appended(key: &str, rows: u64) -> FollowEvent {
        FollowEvent::Appended { partition: partition(key), rows, last_us: None, bytes: 10 * rows }
    }

    #[test]
    fn the_keys_furthest_behind_come_first_and_of_those_the_unknown() {
        let mut followed = Followed::default();
        followed.looked(&[
            lag("near", Some(2_000_000), Some(1_000_000)),
            lag("done", Some(5), Some(5)),
            lag("far", Some(9_000_000), Some(-1_000_000)),
            lag("new", Some(7), None),
        ]);
        let state = followed.state(Duration::from_secs(3), 3);
        let keys: Vec<(&str, Option<f64>)> =
            state.keys.iter().map(|key| (key.key.as_str(), key.lag_s)).collect();
        assert_eq!(keys, [("new", None), ("far", Some(10.0)), ("near", Some(1.0))]);
        assert_eq!((state.keys_followed, state.seconds), (4, 3.0));
        assert!(state.asked_s.is_some() && followed.asked_at().is_some());
    }

    #[test]
    fn what_is_behind_is_so_until_it_has_caught_up_or_is_over() {
        let mut followed = Followed::default();
        for key in ["a", "b", "c"] {
            followed.add(&FollowEvent::Behind { partition: partition(key), cause: "no table".to_owned() });
        }
        followed.add(&FollowEvent::Waiting { key: "d".to_owned(), cause: "no source".to_owned() });
        assert_eq!(followed.totals().failed, 4);
        followed.add(&FollowEvent::CaughtUp(partition("a")));
        followed.add(&FollowEvent::Closed(partition("b")));
        followed.add(&appended("d", 1));
        followed.add(&FollowEvent::Waiting { key: "e".to_owned(), cause: "no source".to_owned() });
        assert_eq!(followed.totals().failed, 2);
        followed.add(&FollowEvent::KeyCaughtUp { key: "e".to_owned() });
        let standing: Vec<FollowEvent> = followed.standing().collect();
        assert_eq!(
            standing,
            [FollowEvent::Behind { partition: partition("c"), cause: "no table".to_owned() }]
        );
        let state = followed.state(Duration::ZERO, 10);
        assert_eq!((state.partitions_behind, state.behind[0].what.as_str()), (1, "c 2017-01"));
        let up_to_date: Vec<String> = followed.up_to_date().iter().map(|p| p.key.clone()).collect();
        assert_eq!(up_to_date, ["a", "b", "d"]);
    }

    #[test]
    fn what_is_known_is_as_large_after_many_events_as_after_few() {
        let mut followed = Followed::default();
        for round in 0..100_000 {
            followed.add(&appended(if round % 2 == 0 { "eurusd" } else { "usdjpy" }, 1));
        }
        assert_eq!(
            (followed.appends, followed.appended_rows, followed.totals().bytes),
            (100_000, 100_000, 1_000_000)
        );
        assert_eq!((followed.kept.len(), followed.lags.len(), followed.behind.len()), (2, 0, 0));
    }
}
