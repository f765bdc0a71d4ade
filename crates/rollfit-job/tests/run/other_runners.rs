//! What another runner commits while this one is at work: what is taken for done unread, and what is not.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rollfit_job::config::Workers;
use rollfit_job::partition::Partition;
use rollfit_job::run::{Observer, Outcome, RunOptions, RunReport, Spent, Try};
use rollfit_job::runners::{HeldPartition, RunnerName, StoreRunner};
use rollfit_job::state::State;
use rollfit_job::store::StoreError;
use rollfit_testkit::market::{config, partition};
use rollfit_testkit::memory::StoredPartition;

use crate::bench::{Bench, MONTHS, outcomes, transient};

/// Commits something of a partition once another one has ended, for now or for good; keeps what is unavailable.
struct Meanwhile<'a> {
    bench: &'a Bench,
    after: Partition,
    commits: Mutex<Option<(Partition, StoredPartition)>>,
    unavailable: Mutex<Vec<String>>,
}

impl Observer for Meanwhile<'_> {
    fn ended(&self, at: Try<'_>, _: &Outcome, _: &Spent) {
        if *at.partition == self.after
            && let Some((partition, stored)) = self.commits.lock().unwrap().take()
        {
            self.bench.sink.put(&partition, stored);
        }
    }

    fn unavailable(&self, _: Duration, what: &str, cause: &str) {
        self.unavailable.lock().unwrap().push(format!("{what}: {cause}"));
    }
}

/// Puts in what the commit of a partition changed before its answer was lost, once it is told that it is tried again.
struct Lost<'a>(&'a Bench, StoredPartition);

impl Observer for Lost<'_> {
    fn retried(&self, at: Try<'_>, _: &StoreError, _: Duration, _: bool) {
        self.0.sink.put(at.partition, self.1.clone());
    }
}

fn month(at: usize) -> Partition {
    partition("a", MONTHS[at])
}

/// Three months of one key, none done.
fn bench() -> Bench {
    Bench::new(&[("RUN__LOCK_WAIT_S", "30"), ("PARTITIONS__TO", "2017-03")], &["a"], &MONTHS, 20)
}

/// What another runner, with these settings, makes of the last month.
fn made(values: &[(&str, &str)], bench: &Bench) -> StoredPartition {
    let mut other = self::bench();
    other.config = config(values);
    other.source.tables = bench.source.tables.clone();
    other.run();
    other.sink.stored(&month(2))
}

/// Runs while another one commits `stored` of the last month once `after` has ended.
fn run_while(bench: &Bench, options: &RunOptions, after: Partition, stored: StoredPartition) -> RunReport {
    let commits = Mutex::new(Some((month(2), stored)));
    let meanwhile = Meanwhile { bench, after, commits, unavailable: Mutex::default() };
    bench.run_with(options, &meanwhile)
}

#[test]
fn what_another_has_written_since_the_run_began_is_not_read() {
    let bench = bench();
    let report = run_while(&bench, &RunOptions::default(), month(0), made(&[], &bench));
    assert_eq!(outcomes(&report), ["written", "written", "written by another"]);
    assert_eq!((report.source_reads, report.seen_held), (2, 0));
}

#[test]
fn what_another_has_written_while_it_was_held_is_not_read() {
    // Of the changed source, of which there are features of the one before.
    let mut bench = bench();
    bench.run();
    bench.source.table("m1_a").values.iter_mut().for_each(|value| *value += 1.0);
    let made = made(&[], &bench);
    bench.sink.held.lock().unwrap().insert("a/2017-03".to_owned(), 1);
    let report = run_while(&bench, &RunOptions::default(), month(2), made.clone());
    assert_eq!(outcomes(&report), ["written", "written", "written by another"]);
    assert_eq!((report.source_reads, report.seen_held), (2, 1));
    assert!(bench.sink.stored(&month(2)) == made);
}

#[test]
fn another_configuration_at_work_ends_the_run_and_is_not_replaced() {
    let other = [("WINDOWS__W5", "7")];
    let replace = RunOptions { replace: vec![State::DefinitionChanged], ..RunOptions::default() };
    for options in [RunOptions::default(), replace.clone()] {
        let bench = bench();
        let made = made(&other, &bench);
        let report = run_while(&bench, &options, month(0), made.clone());
        assert_eq!(outcomes(&report), ["written", "written", "left alone: definition-changed"]);
        assert_eq!(report.source_reads, 2);
        let seen = report.other_configuration.unwrap();
        assert!(seen.partition == month(2) && seen.difference.contains('7'), "{seen:?}");
        assert!(bench.sink.stored(&month(2)) == made);
    }
    // What had features of that configuration before is replaced, unless it is written again meanwhile.
    let bench = bench();
    let made = made(&other, &bench);
    bench.sink.put(&month(2), made.clone());
    bench.sink.put(&month(0), self::made(&other, &bench));
    let report = run_while(&bench, &replace, month(1), made.clone());
    assert_eq!(outcomes(&report), ["written", "written", "left alone: definition-changed"]);
    assert_eq!(report.other_configuration.unwrap().partition, month(2));
    assert!(bench.sink.stored(&month(2)) == made);
}

#[test]
fn a_run_that_comes_across_another_configuration_begins_nothing_more() {
    let bench = bench();
    let made = made(&[("WINDOWS__W5", "7")], &bench);
    let meanwhile = Meanwhile {
        bench: &bench,
        after: month(0),
        commits: Mutex::new(Some((month(1), made))),
        unavailable: Mutex::default(),
    };
    let report = bench.run_with(&RunOptions::default(), &meanwhile);
    assert_eq!(outcomes(&report), ["written", "left alone: definition-changed"]);
    assert!(report.interrupted && report.other_configuration.is_some());
    assert_eq!(bench.sink.commits_of(&month(2)), 0);
}

#[test]
fn features_of_another_definition_from_before_are_no_other_configuration_at_work() {
    let bench = bench();
    bench.sink.put(&month(2), made(&[("WINDOWS__W5", "7")], &bench));
    let report = bench.run();
    assert_eq!(outcomes(&report), ["written", "written", "left alone: definition-changed"]);
    assert_eq!(report.other_configuration, None);
}

#[test]
fn what_somebody_had_when_the_run_began_is_read_since_that_one_may_have_read_an_older_source() {
    let mut bench = bench();
    let older = made(&[], &bench);
    bench.source.table("m1_a").values.iter_mut().for_each(|value| *value += 1.0);
    let held = HeldPartition { partition: month(2), since_us: None, bytes: None };
    let name = RunnerName { pid: 1, host: "other".to_owned(), definition: None, shard: None };
    let runner = StoreRunner { name, address: None, sessions: None, since_us: None, held: vec![held] };
    bench.sink.runners.lock().unwrap().push(runner);
    let report = run_while(&bench, &RunOptions::default(), month(0), older.clone());
    assert_eq!(outcomes(&report), ["written"; 3]);
    assert!(bench.sink.stored(&month(2)) != older);
    assert_eq!((report.source_reads, report.seen_held), (3, 1));
}

#[test]
fn with_force_what_another_has_rewritten_is_not_written_again_though_its_receipt_is_the_same() {
    let bench = bench();
    bench.run();
    let options = RunOptions { force: true, ..RunOptions::default() };
    let report = run_while(&bench, &options, month(0), bench.sink.stored(&month(2)));
    assert_eq!(outcomes(&report), ["written", "written", "written by another"]);
    assert_eq!(bench.sink.commits_of(&month(2)), 2, "the first time, and by the other");
    assert_eq!(outcomes(&bench.run_with(&options, &crate::bench::Record::default())), ["written"; 3]);
}

#[test]
fn a_commit_whose_answer_is_lost_is_not_taken_for_another_runners() {
    let mut bench = bench();
    bench.config.run.attempts = 2;
    // It fails after the change itself.
    let made = made(&[], &bench);
    let is_lost = AtomicBool::new(false);
    bench.sink.commit_fault = Some(Box::new(move |partition| {
        let is_first = *partition == month(2) && !is_lost.swap(true, Ordering::SeqCst);
        if is_first { Err(transient()) } else { Ok(()) }
    }));
    let report = bench.run_with(&RunOptions::default(), &Lost(&bench, made));
    assert_eq!(outcomes(&report), ["written", "written", "already done"]);
}

#[test]
fn a_store_that_tells_no_marks_is_worked_on_all_the_same_and_nothing_is_taken_for_done_unread() {
    let mut bench = bench();
    bench.sink.marks_fault = Some(Box::new(|_| Err(StoreError::permanent("no right to see that"))));
    let commits = Mutex::new(Some((month(2), made(&[], &bench))));
    let meanwhile = Meanwhile { bench: &bench, after: month(0), commits, unavailable: Mutex::default() };
    let report = bench.run_with(&RunOptions::default(), &meanwhile);
    assert_eq!(outcomes(&report), ["written", "written", "already done"]);
    let unavailable = meanwhile.unavailable.into_inner().unwrap();
    assert_eq!(unavailable, ["what other runners have written meanwhile: no right to see that"]);
}

#[test]
fn marks_that_cannot_be_had_for_a_while_fail_nothing_and_are_asked_for_again() {
    for is_defect in [false, true] {
        let mut bench = bench();
        bench.workers = Workers::Fixed(2);
        let asked = AtomicUsize::new(0);
        bench.sink.marks_fault = Some(Box::new(move |_| {
            let is_first = asked.fetch_add(1, Ordering::SeqCst) == 0;
            assert!(!(is_first && is_defect), "a defect");
            if is_first { Err(transient()) } else { Ok(()) }
        }));
        assert_eq!(outcomes(&bench.run()), ["written"; 3]);
    }
}
