//! What the policy finds, held against every fixed number of workers.

use rollfit_job::config::Workers;
use rollfit_job::record::Decision;
use rollfit_testkit::simulation::{BASE_BYTES, Over, Simulated, World, simulate};

/// The fixed numbers that auto is held against: between larger ones lies little.
const FIXED: [usize; 22] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64];

const SEEDS: [u64; 2] = [1, 2];

pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) world: World,
}

fn scenario(name: &'static str, change: impl FnOnce(&mut World)) -> Scenario {
    let mut world = World::default();
    change(&mut world);
    Scenario { name, world }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    [machines(), stores(), changes()].into_iter().flatten().collect()
}

/// Cores, memory, and what else runs on the machine.
fn machines() -> Vec<Scenario> {
    vec![
        scenario("quiet, cores decide", |_| ()),
        scenario("one core", |world| {
            world.machine.cores = 1;
            world.job.partitions = 500;
        }),
        scenario("a share of the cores", |world| {
            world.machine.cores = 16;
            world.machine.cores_allowed = Some(2.5);
            world.job.partitions = 1000;
        }),
        scenario("48 cores", |world| {
            world.machine.cores = 48;
            world.job.partitions = 10_000;
        }),
        scenario("little memory", |world| {
            world.machine.memory_bytes = (1 << 30) + (600 << 20);
            world.job.worker_bytes_per_row = 2500;
            world.store.question_ms = 100.0;
        }),
        scenario("competing load", |world| {
            world.machine.competing =
                Over::steps(&[(0, 0.0), (120, 4.0), (300, 1.0), (420, 6.0), (600, 0.0)]);
            world.machine.neighbour_weight = 50.0;
            world.job.partitions = 6000;
        }),
        scenario("competing load at first", |world| {
            world.machine.competing = Over::steps(&[(0, 6.0), (60, 0.0)]);
            world.machine.neighbour_weight = 50.0;
            world.job.partitions = 4000;
        }),
    ]
}

/// Stores near and far, with few sessions or slow commits.
fn stores() -> Vec<Scenario> {
    vec![
        scenario("store far away", |world| {
            world.machine.cores = 4;
            world.store.question_ms = 150.0;
            world.store.session_bytes_per_s = 20e6;
            world.job.partitions = 2000;
        }),
        scenario("store very far away", |world| {
            world.machine.cores = 8;
            world.store.question_ms = 1000.0;
            world.store.session_bytes_per_s = 20e6;
            world.job.partitions = 3600;
        }),
        scenario("store takes what three bring", |world| {
            world.store.bytes_per_s = Over::always(100e6);
            world.job.partitions = 1000;
        }),
        scenario("store suffers from crowds", |world| {
            world.store.bytes_per_s = Over::always(150e6);
            (world.store.crowd, world.store.crowding) = (4, 0.1);
        }),
        scenario("serial commit", |world| {
            (world.store.commit_ms, world.store.commits_at_once) = (300.0, 1);
            world.job.partitions = 1500;
        }),
        scenario("slow commit", |world| world.store.commit_ms = 3000.0),
        scenario("few sessions", |world| {
            world.store.sessions_max = Some(5);
            world.store.question_ms = 100.0;
            world.job.partitions = 1000;
        }),
        scenario("two sessions", |world| {
            world.store.sessions_max = Some(2);
            world.job.partitions = 400;
        }),
        scenario("local store", |world| {
            world.machine.cores = 4;
            world.store.is_local = true;
            world.store.cpu_us_per_byte = 0.02;
            world.store.series_apart = true;
            world.job.partitions = 1000;
        }),
    ]
}

/// What changes in the midst of a run, and uneven partitions.
fn changes() -> Vec<Scenario> {
    vec![
        scenario("slow source", |world| world.source.read_us_per_row = 100.0),
        scenario("capacity in steps", |world| {
            world.store.bytes_per_s =
                Over::steps(&[(0, 50e6), (60, 100e6), (120, 200e6), (180, 400e6), (240, 800e6)]);
            world.machine.cores = 32;
            world.job.partitions = 10_000;
        }),
        scenario("capacity that goes", |world| {
            world.store.bytes_per_s = Over::steps(&[(0, 400e6), (200, 60e6), (400, 300e6)]);
            world.job.partitions = 4000;
        }),
        scenario("failures", |world| {
            world.store.failing_share = 0.05;
            world.store.question_ms = 50.0;
        }),
        scenario("an oversized partition", |world| world.job.oversized = Some((700, 40.0))),
    ]
}

/// The best fixed number, of those for which there is memory whatever partitions they have at once.
fn best(world: &World) -> (usize, f64) {
    let machine = &world.machine;
    let taken_bytes = machine.memory_of_others.at(0) + BASE_BYTES + machine.memory_bytes / 20;
    let room_bytes = machine.memory_bytes - taken_bytes;
    let rows = world.rows().into_iter().map(|(_, rows)| rows).max().unwrap();
    let worker_bytes = (world.job.worker_bytes + rows * world.job.worker_bytes_per_row) * 7 / 6;
    let fixed = FIXED.into_iter().filter(|workers| *workers as u64 * worker_bytes <= room_bytes);
    let took = fixed.map(|workers| (workers, simulate(world, Workers::Fixed(workers)).took_s));
    took.min_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap()
}

/// Holds auto against the best fixed number, prints it, and returns the worlds in which it took longer than `bound_s` says of
/// the best number, the best time and the run. The seeds run at once.
fn too_slow(
    partitions: impl Fn(usize) -> usize + Sync,
    bound_s: impl Fn(&World, (usize, f64), &Simulated) -> f64 + Sync,
) -> Vec<String> {
    eprintln!(
        "{:<30} {:>4} {:>5} {:>9} {:>9} {:>7} {:>9}",
        "", "seed", "best", "best s", "auto s", "", "decisions"
    );
    let (partitions, bound_s) = (&partitions, &bound_s);
    std::thread::scope(|scope| {
        let seeds = SEEDS.map(|seed| scope.spawn(move || too_slow_with(seed, partitions, bound_s)));
        seeds.into_iter().flat_map(|slow| slow.join().unwrap()).collect()
    })
}

/// As [`too_slow`], with one seed.
fn too_slow_with(
    seed: u64,
    partitions: &impl Fn(usize) -> usize,
    bound_s: &impl Fn(&World, (usize, f64), &Simulated) -> f64,
) -> Vec<String> {
    let mut slow = Vec::new();
    for Scenario { name, mut world } in scenarios() {
        world.job.partitions = partitions(world.job.partitions);
        world.seed = seed;
        let best = best(&world);
        let auto = simulate(&world, Workers::Auto);
        let line = format!(
            "{name:<30} {seed:>4} {:>5} {:>9.1} {:>9.1} {:>+6.1}% {:>9}",
            best.0,
            best.1,
            auto.took_s,
            100.0 * (auto.took_s / best.1 - 1.0),
            auto.record.decisions.len(),
        );
        eprintln!("{line}");
        assert_eq!(auto.memory_missing_bytes, 0, "{name}: {:?}", auto.record.decisions);
        if auto.took_s > bound_s(&world, best, &auto) {
            slow.push(line);
        }
    }
    slow
}

#[test]
fn in_a_long_job_auto_takes_no_more_than_a_tenth_longer_than_the_best_fixed_number() {
    let slow = too_slow(|partitions| partitions, |_, (_, best_s), _| 1.1 * best_s);
    assert!(slow.is_empty(), "{slow:#?}");
}

/// A job of half a minute to two is over soon after the number is found. To get from the first number to the best, each time
/// twice as many, takes at least the two seconds and the partition that it takes to see what a number is worth; so does the one
/// try that shows that there is no better one.
#[test]
fn in_a_short_job_auto_loses_no_more_than_the_time_it_takes_to_find_the_number() {
    let bound_s = |world: &World, (best, best_s): (usize, f64), auto: &Simulated| {
        let first = auto.record.decisions[0].workers;
        let alone_s = simulate(world, Workers::Fixed(first)).took_s;
        let partition_s = alone_s * first as f64 / world.job.partitions as f64;
        let doublings = (best as f64 / first as f64).log2().max(1.0);
        1.1 * best_s + doublings * (2.0 + partition_s)
    };
    let slow = too_slow(|partitions| partitions / 10, bound_s);
    assert!(slow.is_empty(), "{slow:#?}");
}

#[test]
fn probing_costs_a_short_run_of_short_partitions_next_to_nothing() {
    for bytes_per_s in [4e9, 200e6, 60e6] {
        let mut world = World::default();
        world.store.bytes_per_s = Over::always(bytes_per_s);
        (world.job.rows, world.job.partitions) = (6000, 900);
        let auto = simulate(&world, Workers::Auto);
        let first = simulate(&world, Workers::Fixed(auto.record.decisions[0].workers)).took_s;
        assert!(auto.took_s <= 1.02 * first, "{} s, and {first} s without a probe", auto.took_s);
    }
}

#[test]
fn a_run_that_found_its_number_is_left_in_peace() {
    let mut world = World::default();
    world.job.partitions = 30_000;
    let auto = simulate(&world, Workers::Auto);
    assert!(auto.took_s > 3600.0 && auto.record.decisions.len() < 20, "{:#?}", auto.record.decisions);
    world.store.bytes_per_s = Over::always(100e6);
    world.job.partitions = 10_000;
    let auto = simulate(&world, Workers::Auto);
    let decisions = auto.record.decisions.len() as f64;
    assert!(decisions <= 20.0 + auto.took_s / 20.0, "{decisions} in {} s", auto.took_s);
}

#[test]
fn neighbours_get_most_of_the_cores_they_want_and_the_run_gets_them_back() {
    let mut world = World::default();
    world.machine.competing = Over::steps(&[(0, 0.0), (100, 4.0), (700, 0.0)]);
    world.job.partitions = 6000;
    let auto = simulate(&world, Workers::Auto);
    let fixed = simulate(&world, Workers::Fixed(32));
    let got = |run: &Simulated| run.competing_got_s / run.competing_wanted_s;
    assert!(got(&auto) > 0.85, "{:.2}", got(&auto));
    assert!(got(&fixed) < 0.3, "{:.2}", got(&fixed));
    let at = |second: u64| {
        let mut before = auto.record.decisions.iter().rev();
        before.find(|decision| decision.at_ms <= second * 1000).unwrap().workers
    };
    assert!(at(90) >= 8 && at(300) <= 5 && at(780) >= 8, "{:#?}", auto.record.decisions);
}

#[test]
fn no_number_outside_a_range_or_above_a_limit_is_ever_decided() {
    for (setting, least, most) in
        [(Workers::Between(3, 5), 3, 5), (Workers::Between(12, 40), 12, 40), (Workers::Auto, 1, usize::MAX)]
    {
        for Scenario { name, mut world } in scenarios() {
            world.job.partitions = world.job.partitions.min(500);
            let run = simulate(&world, setting);
            let sessions = world.store.sessions_max.map_or(usize::MAX, |most| (most - 1).max(1));
            let most = most.min(if setting == Workers::Auto { sessions } else { usize::MAX });
            let decided = run.record.decisions.iter().map(|decision| decision.workers);
            assert!(decided.clone().all(|workers| (least..=most).contains(&workers)), "{name}: {setting}");
            assert!(run.record.decisions.iter().all(|decision| !decision.reason.is_empty()));
        }
    }
}

#[test]
fn a_fixed_number_stays_and_what_makes_it_pointless_is_told_once() {
    let mut world = World::default();
    world.store.sessions_max = Some(5);
    let run = simulate(&world, Workers::Fixed(16));
    assert_eq!(run.record.decisions.len(), 1);
    let Decision { workers, reason, .. } = &run.record.decisions[0];
    assert_eq!(*workers, 16);
    assert!(reason.contains("workers = 16") && reason.contains("5 sessions"), "{reason}");

    let mut world = World::default();
    world.machine.memory_of_others = Over::steps(&[(0, 1 << 30), (20, (32 << 30) - (300 << 20))]);
    world.job.worker_bytes_per_row = 1000;
    let run = simulate(&world, Workers::Fixed(16));
    let reasons: Vec<&str> = run.record.decisions.iter().map(|decision| decision.reason.as_str()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[1].contains("workers = 16 is kept, although memory leaves room for"), "{reasons:?}");
    assert!(run.record.decisions.iter().all(|decision| decision.workers == 16));
}

#[test]
fn memory_that_others_take_sends_workers_home_and_that_they_give_back_brings_them_back() {
    let mut world = World::default();
    let most = 4_u64 << 30;
    world.machine.memory_bytes = most;
    world.machine.memory_of_others = Over::steps(&[(0, 1 << 30), (60, most - (800 << 20)), (160, 1 << 30)]);
    (world.job.worker_bytes_per_row, world.job.partitions) = (3000, 1500);
    let run = simulate(&world, Workers::Auto);
    let decided = |from: u64, to: u64| {
        let within = |decision: &&Decision| (from * 1000..to * 1000).contains(&decision.at_ms);
        run.record.decisions.iter().filter(within).map(|decision| decision.workers).collect::<Vec<_>>()
    };
    assert!(decided(60, 63).iter().any(|workers| *workers <= 6), "{:#?}", run.record.decisions);
    assert!(decided(160, 180).iter().any(|workers| *workers >= 8), "{:#?}", run.record.decisions);
}
