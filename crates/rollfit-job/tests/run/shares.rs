//! Runs that have a share of the job: what they do first, what they help with, and what they say of the rest.

use std::time::Duration;

use rollfit_job::Job;
use rollfit_job::config::Workers;
use rollfit_job::partition::Partition;
use rollfit_job::run::{Observer, OtherShares, Outcome, RunOptions, RunReport, Spent, Try, run};
use rollfit_job::runners::Shard;
use rollfit_job::state::State;
use rollfit_job::store::Sink;
use rollfit_testkit::market::config;

use crate::bench::{Bench, MONTHS, Record, name, outcomes};

const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const NO_HELP: RunOptions = RunOptions { replace: Vec::new(), force: false, no_help: true };

fn bench() -> Bench {
    Bench::new(&[("RUN__ORDER", "spread")], &KEYS, &MONTHS, 20)
}

fn shard(shard: &str) -> Shard {
    shard.parse().unwrap()
}

fn share_of(bench: &Bench, shard: Shard) -> Vec<Partition> {
    let partitions = bench.partitions();
    partitions.into_iter().filter(|partition| shard.owns(&bench.sink.output(partition))).collect()
}

fn run_share(bench: &Bench, of: &str, options: &RunOptions, observer: &dyn Observer) -> RunReport {
    let mut config = bench.config.clone();
    config.run.shard = Some(shard(of));
    let job = Job { config: &config, ..bench.job() };
    let report = run(&job, &bench.partitions(), options, &bench.stop, observer);
    let others = report.other_shares.as_ref().unwrap();
    assert_eq!(report.own_partitions + others.partitions, bench.partitions().len());
    let OtherShares { helped, written_by_others, unchecked, missing, unknown, .. } = others;
    let told = helped.len() + written_by_others + unchecked + missing.len() + unknown;
    assert_eq!(told, others.partitions, "each is counted once: {others:?}");
    report
}

fn plain(bench: &Bench, of: &str) -> RunReport {
    run_share(bench, of, &RunOptions::default(), &Record::default())
}

fn others(report: &RunReport) -> &OtherShares {
    report.other_shares.as_ref().unwrap()
}

/// How those ended that were helped with.
fn helped(report: &RunReport) -> Vec<String> {
    others(report).helped.iter().map(|(_, outcome)| name(outcome)).collect()
}

fn names(partitions: &[Partition]) -> Vec<String> {
    partitions.iter().map(Partition::to_string).collect()
}

#[test]
fn the_own_share_comes_first_and_then_what_is_missing_of_the_others_from_the_other_side() {
    let bench = bench();
    let record = Record::default();
    let report = run_share(&bench, "1/3", &RunOptions::default(), &record);
    let own = share_of(&bench, shard("1/3"));
    assert_eq!(outcomes(&report), vec!["written"; own.len()]);
    assert_eq!(helped(&report), vec!["written"; bench.partitions().len() - own.len()]);
    assert!(!report.interrupted && bench.sink.all().len() == bench.partitions().len());

    let begun = record.ended.lock().unwrap().clone();
    let (first, rest) = begun.split_at(own.len());
    assert_eq!(first, names(&own), "in the order of the plan");
    let mut backwards: Vec<String> =
        names(&bench.partitions()).into_iter().filter(|name| !first.contains(name)).collect();
    backwards.reverse();
    let begins = backwards.iter().position(|name| *name == rest[0]).unwrap();
    backwards.rotate_left(begins);
    assert_eq!(rest, backwards);
}

#[test]
fn without_help_the_other_shares_are_left_and_told() {
    let bench = bench();
    let report = run_share(&bench, "0/3", &NO_HELP, &Record::default());
    let own = share_of(&bench, shard("0/3"));
    let all = bench.partitions();
    let rest: Vec<Partition> = all.iter().filter(|partition| !own.contains(partition)).cloned().collect();
    assert_eq!((bench.sink.all().len(), report.outcomes.len()), (own.len(), own.len()));
    assert_eq!(others(&report).missing, rest);
    assert!(!report.interrupted);

    // The shares of all are all there is; what a run before has done is not read, and nothing is claimed for it.
    run_share(&bench, "1/3", &NO_HELP, &Record::default());
    let last = run_share(&bench, "2/3", &NO_HELP, &Record::default());
    assert_eq!((others(&last).unchecked, bench.sink.all().len()), (others(&last).partitions, all.len()));
    let claims = bench.sink.claims.lock().unwrap().len();
    assert_eq!(claims, all.len());
    let again = plain(&bench, "0/3");
    assert_eq!(outcomes(&again), vec!["already done"; own.len()]);
    assert_eq!((again.source_reads as usize, others(&again).unchecked), (own.len(), rest.len()));
    assert_eq!(bench.sink.claims.lock().unwrap().len(), claims, "where all is done nothing is claimed");
}

#[test]
fn a_share_without_a_partition_helps_all_the_same() {
    let mut bench = Bench::new(&[], &["a"], &MONTHS[..1], 20);
    bench.workers = Workers::Fixed(2);
    let empty = if share_of(&bench, shard("0/2")).is_empty() { "0/2" } else { "1/2" };
    let report = plain(&bench, empty);
    assert_eq!((report.own_partitions, helped(&report)), (0, vec!["written".to_owned()]));
}

#[test]
fn what_a_dead_runner_left_is_done_also_where_its_claim_ends_late() {
    let mut bench = bench();
    bench.config.run.lock_wait = Duration::from_secs(30);
    for of in ["0/3", "1/3"] {
        run_share(&bench, of, &NO_HELP, &Record::default());
    }
    let dead = share_of(&bench, shard("2/3"));
    let output = bench.sink.output(&dead[0]);
    bench.sink.claimed.lock().unwrap().insert(output.clone());
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            bench.sink.claimed.lock().unwrap().remove(&output);
        });
        plain(&bench, "0/3")
    });
    assert_eq!(helped(&report), vec!["written"; dead.len()]);
    assert_eq!(others(&report).unchecked, share_of(&bench, shard("1/3")).len());
    assert_eq!(report.seen_held, 1);
    assert_eq!(bench.sink.all().len(), bench.partitions().len());
}

#[test]
fn what_is_held_in_the_end_is_told_apart_by_whose_share_it_is_in() {
    for of in ["0/2", "1/2"] {
        let bench = bench();
        let held = share_of(&bench, shard("0/2")).remove(0);
        bench.sink.held.lock().unwrap().insert(bench.sink.output(&held), usize::MAX);
        let report = plain(&bench, of);
        let (own, helped) = (outcomes(&report), helped(&report));
        let (with, without) = if of == "0/2" { (own, helped) } else { (helped, own) };
        assert_eq!(with.iter().filter(|name| *name == "held by another runner").count(), 1);
        assert_eq!(with.iter().filter(|name| *name == "written").count(), with.len() - 1);
        assert!(without.iter().all(|name| name == "written"), "{without:?}");
        assert_eq!(report.source_reads as usize, bench.partitions().len() - 1);
    }
}

#[test]
fn a_failure_in_another_share_is_told_and_is_not_ones_own() {
    let mut bench = bench();
    let other = share_of(&bench, shard("1/2"))[0].clone();
    let failing = other.clone();
    bench.sink.write_fault = Some(Box::new(move |partition| {
        if *partition == failing {
            Err(rollfit_job::store::StoreError::permanent("disk on fire"))
        } else {
            Ok(())
        }
    }));
    let report = plain(&bench, "0/2");
    assert!(outcomes(&report).iter().all(|name| name == "written"));
    let failed: Vec<&Partition> = others(&report)
        .helped
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
        .map(|(partition, _)| partition)
        .collect();
    assert_eq!(failed, [&other]);
}

#[test]
fn features_of_another_share_are_replaced_only_where_that_is_wanted_and_never_read_for_nothing() {
    let done = || {
        let mut bench = bench();
        bench.run();
        let own = share_of(&bench, shard("0/2")).len();
        // One key has features of another definition, and one those of another program.
        let other = Bench { config: config(&[("WINDOWS__W5", "7")]), ..self::bench() };
        other.run();
        for partition in bench.partitions() {
            match partition.key.as_str() {
                "b" => bench.sink.put(&partition, other.sink.stored(&partition)),
                "c" => bench.sink.foreign.lock().unwrap().push(bench.sink.output(&partition)),
                _ => {}
            }
        }
        bench.workers = Workers::Fixed(2);
        (bench, own)
    };
    let of_key = |report: &RunReport, key: &str| {
        let of = |(partition, _): &&(Partition, Outcome)| partition.key == key;
        others(report).helped.iter().filter(of).map(|(_, outcome)| name(outcome)).collect::<Vec<_>>()
    };
    let (bench, own) = done();
    let report = plain(&bench, "0/2");
    assert_eq!(
        (report.source_reads as usize, others(&report).unchecked),
        (own, bench.partitions().len() - own)
    );

    let options = RunOptions { replace: vec![State::DefinitionChanged], ..RunOptions::default() };
    let report = run_share(&bench, "0/2", &options, &Record::default());
    let replaced = of_key(&report, "b");
    assert!(!replaced.is_empty() && replaced.iter().all(|name| name == "written"), "{replaced:?}");
    assert!(of_key(&report, "c").iter().chain(&of_key(&report, "a")).all(|name| name == "unchecked"));
    assert_eq!(report.source_reads as usize, own + replaced.len());

    // With force a runner writes its own share again, and helps only with what is missing.
    let (bench, own) = done();
    let options = RunOptions { force: true, ..RunOptions::default() };
    let report = run_share(&bench, "0/2", &options, &Record::default());
    assert!(outcomes(&report).contains(&"written".to_owned()));
    assert_eq!((report.source_reads as usize, helped(&report).len()), (own, 0));
    assert_eq!(others(&report).unchecked, bench.partitions().len() - own);
}

#[test]
fn shares_that_are_forced_one_after_the_other_write_everything_once() {
    let bench = bench();
    bench.run();
    let options = RunOptions { force: true, ..RunOptions::default() };
    for of in ["0/3", "1/3", "2/3"] {
        run_share(&bench, of, &options, &Record::default());
    }
    for partition in bench.partitions() {
        assert_eq!(bench.sink.commits_of(&partition), 2, "{partition}: first, and by force");
    }
}

/// Runs a share while another runner, of other windows, does the rest.
fn run_beside_other_windows(is_replacing: bool, no_help: bool) -> (Bench, RunReport) {
    let bench = bench();
    let other = Bench { config: config(&[("WINDOWS__W5", "7")]), ..self::bench() };
    other.run();
    let rest: Vec<Partition> = share_of(&bench, shard("1/2"));
    let replace = if is_replacing { vec![State::DefinitionChanged] } else { Vec::new() };
    let options = RunOptions { replace, no_help, ..RunOptions::default() };
    let report = {
        let (sink, other) = (&bench.sink, &other.sink);
        let record = Meanwhile(Box::new(move || {
            rest.iter().filter(|partition| sink.commits_of(partition) == 0).for_each(|partition| {
                sink.put(partition, other.stored(partition));
            });
        }));
        run_share(&bench, "0/2", &options, &record)
    };
    (bench, report)
}

/// Does something whenever a partition has ended.
struct Meanwhile<'a>(Box<dyn Fn() + Sync + 'a>);

impl Observer for Meanwhile<'_> {
    fn ended(&self, _: Try<'_>, _: &Outcome, _: &Spent) {
        (self.0)();
    }
}

#[test]
fn what_others_write_of_their_shares_with_another_configuration_is_seen_in_the_end() {
    for (is_replacing, no_help) in [(false, false), (false, true), (true, false)] {
        let (bench, report) = run_beside_other_windows(is_replacing, no_help);
        assert!(outcomes(&report).iter().all(|name| name == "written"), "the own share is done");
        assert!(!report.interrupted);
        let others = others(&report);
        assert_eq!((others.written_by_others, others.helped.len()), (0, others.partitions));
        assert!(helped(&report).iter().all(|name| name == "left alone: definition-changed"));
        assert!(report.other_configuration.unwrap().difference.contains('7'));
        let rest = share_of(&bench, shard("1/2"));
        assert!(rest.iter().all(|partition| bench.sink.commits_of(partition) == 1), "nothing is replaced");
    }
}

#[test]
fn a_stop_while_it_helps_leaves_the_own_share_done() {
    let bench = bench();
    let own = share_of(&bench, shard("0/2"));
    let stop = bench.stop.clone();
    let ended = std::sync::atomic::AtomicUsize::new(0);
    let count = own.len();
    let record = Record {
        on_stage: Some(Box::new(move |stage| {
            let is_commit = *stage == rollfit_job::run::Stage::Commit;
            if is_commit && ended.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == count {
                stop.finish();
            }
        })),
        ..Record::default()
    };
    let report = run_share(&bench, "0/2", &RunOptions::default(), &record);
    assert!(!report.interrupted);
    assert_eq!((outcomes(&report).len(), helped(&report)), (own.len(), vec!["written".to_owned()]));
    assert_eq!(others(&report).unknown, others(&report).partitions - 1);
}

#[test]
fn the_total_is_the_own_share_and_grows_by_what_it_helps_with() {
    let bench = bench();
    run_share(&bench, "1/3", &NO_HELP, &Record::default());
    let totals = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&totals);
    let record = Record {
        on_sample: Some(Box::new(move |moment| seen.lock().unwrap().push(moment.totals))),
        ..Record::default()
    };
    let report = run_share(&bench, "0/3", &RunOptions::default(), &record);
    let last = *totals.lock().unwrap().last().unwrap();
    assert_eq!(last.partitions as usize, report.outcomes.len() + others(&report).helped.len());
    assert_eq!(last.ended, last.partitions);
}
