//! Estimates come true: for 1 to 64 workers, on several machines and stores, what the analysis of one run says of another
//! number of workers is what that number gives.

use std::collections::BTreeMap;

use rollfit_analysis::{Analysis, Basis, ChangeSince, EtaEstimator, Scaling, WorkersLimit};
use rollfit_job::config::Workers;
use rollfit_job::record::Record;
use rollfit_testkit::simulation::{Over, World, simulate};

use super::runs::played;

/// What is promised where a run had several numbers of workers.
const ERROR_MAX: f64 = 0.15;

fn world(change: impl Fn(&mut World)) -> World {
    let mut world = World::default();
    world.job.partitions = 400;
    change(&mut world);
    world
}

fn cores(cores: usize, change: impl Fn(&mut World)) -> World {
    world(|world| {
        world.machine.cores = cores;
        change(world);
    })
}

fn worlds() -> Vec<(&'static str, World)> {
    vec![
        ("nothing but cores", world(|_| ())),
        ("two cores", cores(2, |_| ())),
        ("64 cores", cores(64, |world| world.job.partitions = 2000)),
        ("a control group", cores(16, |world| world.machine.cores_allowed = Some(2.5))),
        ("competing load", world(|world| world.machine.competing = Over::always(5.0))),
        ("a store far away", cores(4, |world| world.store.question_ms = 300.0)),
        (
            "a server on the same machine",
            world(|world| {
                (world.store.is_local, world.store.cpu_us_per_byte) = (true, 0.02);
            }),
        ),
        (
            "sessions with little bandwidth",
            cores(16, |world| {
                world.store.bytes_per_s = Over::always(150e6);
                world.store.session_bytes_per_s = 40e6;
            }),
        ),
        ("a store with little bandwidth", cores(32, |world| world.store.bytes_per_s = Over::always(200e6))),
        (
            "one commit at a time",
            cores(32, |world| {
                (world.store.commit_ms, world.store.commits_at_once) = (150.0, 1);
            }),
        ),
        (
            "a slow source",
            cores(16, |world| {
                (world.source.read_us_per_row, world.source.rows_per_s_max) = (60.0, 100e3);
            }),
        ),
        ("few sessions", world(|world| world.store.sessions_max = Some(6))),
    ]
}

/// A run that had each of these numbers of workers for a while.
fn run_with(world: &World, numbers: &[usize]) -> Record {
    let mut record = Record::default();
    for workers in numbers {
        let mut part = played(world, Workers::Fixed(*workers), |run| run.record.clone());
        let from_ms = record.end.as_ref().map_or(0, |end| end.at_ms);
        for end in &mut part.partitions {
            (end.begun_ms, end.at_ms) = (end.begun_ms + from_ms, end.at_ms + from_ms);
        }
        part.samples.iter_mut().for_each(|sample| sample.at_ms += from_ms);
        part.end.as_mut().unwrap().at_ms += from_ms;
        record.header = part.header;
        record.partitions.extend(part.partitions);
        record.samples.extend(part.samples);
        record.end = part.end;
    }
    record
}

/// The rows a second of each number of workers.
struct Observed<'a> {
    world: &'a World,
    known: BTreeMap<usize, f64>,
}

impl Observed<'_> {
    fn rows_per_s(&mut self, workers: usize) -> f64 {
        *self.known.entry(workers).or_insert_with(|| {
            played(self.world, Workers::Fixed(workers), |run| {
                run.record.partitions.iter().map(|end| end.rows).sum::<u64>() as f64 / run.took_s
            })
        })
    }
}

/// Holds every line with a throughput against what is observed.
fn assert_come_true(
    record: &Record,
    observed: &mut Observed<'_>,
    holds: impl Fn(&Scaling, f64) -> bool,
    name: &str,
) {
    let analysis = Analysis::new(record, None);
    assert!(analysis.scaling.iter().any(|line| line.basis == Basis::Modelled), "{name}: nothing is modelled");
    for line in &analysis.scaling {
        let Some(told) = line.rows_per_s else { continue };
        let rows_per_s = observed.rows_per_s(line.workers);
        assert!(
            told.low <= rows_per_s && rows_per_s <= told.high,
            "{name}: {} workers give {rows_per_s:.0} rows/s, {:?} was told: {told:?}",
            line.workers,
            line.basis
        );
        assert!(
            holds(line, rows_per_s),
            "{name}: {} workers give {rows_per_s:.0} rows/s, not {told:?}",
            line.workers
        );
    }
}

#[test]
fn a_run_that_tried_several_numbers_estimates_others_within_15_percent() {
    for (name, world) in worlds() {
        let mut observed = Observed { world: &world, known: BTreeMap::new() };
        for numbers in [&[1, 2, 4, 8, 12][..], &[6, 8, 10], &[16, 24, 32]] {
            let record = run_with(&world, numbers);
            let near = |line: &Scaling, rows_per_s: f64| {
                // What few workers give does not follow from what many gave who stood in each other's way.
                let is_above = line.workers >= numbers[0];
                let error = line.rows_per_s.unwrap().expected / rows_per_s - 1.0;
                !is_above || error.abs() <= ERROR_MAX
            };
            assert_come_true(&record, &mut observed, near, &format!("{name}, {numbers:?}"));
        }
    }
}

#[test]
fn a_run_with_one_number_estimates_a_range_that_holds() {
    for (name, world) in worlds() {
        let mut observed = Observed { world: &world, known: BTreeMap::new() };
        for workers in [1, 2, 8, 20] {
            let record = run_with(&world, &[workers]);
            assert_come_true(&record, &mut observed, |_, _| true, &format!("{name}, {workers}"));
        }
    }
}

#[test]
fn beyond_twice_what_was_measured_only_ceilings_are_told() {
    let record = simulate(&world(|world| world.store.sessions_max = Some(12)), Workers::Fixed(4)).record;
    let analysis = Analysis::new(&record, None);
    for line in &analysis.scaling {
        let is_far = line.workers > 8;
        assert_eq!((line.basis == Basis::Ceiling, line.rows_per_s.is_none()), (is_far, is_far), "{line:?}");
    }
    let limit = |workers| {
        let line = analysis.scaling.iter().find(|line| line.workers == workers);
        line.and_then(|line| line.limit.clone())
    };
    let sessions = |limit: &Option<WorkersLimit>| match limit {
        Some(WorkersLimit::Sessions { workers, sessions_wanted, .. }) => Some((*workers, *sessions_wanted)),
        _ => None,
    };
    assert_eq!(sessions(&limit(12)), Some((12, 13)), "{:?}", limit(12));
    assert_eq!(limit(4), None);
    assert!(analysis.scaling.iter().any(|line| line.workers == 11), "the theoretical maximum is missing");
}

#[test]
fn the_estimate_of_an_earlier_run_is_compared_with_what_came_of_it() {
    let world = world(|world| world.store.bytes_per_s = Over::always(200e6));
    let earlier = simulate(&world, Workers::Fixed(2)).record;
    let now = simulate(&world, Workers::Fixed(4)).record;
    let compared = Analysis::new(&now, Some(&earlier)).estimate_vs_observed.unwrap();
    assert_eq!(compared.by_run, earlier.header.run);
    let change = ChangeSince::Setting {
        name: "run.workers".to_owned(),
        before: Some("2".to_owned()),
        after: Some("4".to_owned()),
    };
    assert_eq!(compared.changes, [change]);
    let rows: u64 = now.partitions.iter().map(|end| end.rows).sum();
    let rows_per_s = rows as f64 / (now.end.unwrap().at_ms as f64 / 1e3);
    assert!((compared.observed_rows_per_s / rows_per_s - 1.0).abs() < 1e-9, "{compared:?}");
    assert!(compared.error.abs() <= ERROR_MAX, "{compared:?}");
    assert!(
        (compared.observed_rows_per_s / compared.rows_per_s.expected - 1.0 - compared.error).abs() < 1e-9
    );
}

#[test]
fn after_a_quarter_of_a_run_the_eta_is_right_within_15_percent() {
    for (name, mut world) in worlds() {
        // Long enough for `auto` to have found its number by then: until it has, nobody can know how fast it will be.
        world.job.partitions = 2000;
        for workers in [Workers::Auto, Workers::Fixed(8)] {
            let record = simulate(&world, workers).record;
            let took_s = record.end.as_ref().unwrap().at_ms as f64 / 1e3;
            let mut estimator = EtaEstimator::default();
            for sample in record.samples.iter().take_while(|sample| sample.at_ms as f64 <= 250.0 * took_s) {
                estimator.add(sample);
            }
            let at_s = record
                .samples
                .iter()
                .map(|sample| sample.at_ms as f64 / 1e3)
                .rfind(|at_s| *at_s <= 0.25 * took_s);
            let eta = estimator.eta_s().unwrap();
            let error = (at_s.unwrap() + eta.expected) / took_s - 1.0;
            println!("{name}, {workers}: {:+.1}%", 100.0 * error);
            assert!(error.abs() <= ERROR_MAX, "{name}, {workers}: {eta:?} of {took_s} s");
            let left_s = took_s - at_s.unwrap();
            assert!(
                eta.low <= left_s && left_s <= eta.high,
                "{name}, {workers}: {eta:?}, {left_s} s were left"
            );
        }
    }
}
