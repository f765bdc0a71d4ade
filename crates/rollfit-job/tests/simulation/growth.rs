//! How `auto` begins and grows: where workers mostly wait, where the machine is full, and beside other processes.

use rollfit_job::config::Workers;
use rollfit_job::record::{Decision, WorkerCeiling};
use rollfit_testkit::simulation::{Over, Simulated, World, simulate};

/// Two cores, and partitions of a tenth of a second of one.
fn two_cores(change: impl FnOnce(&mut World)) -> World {
    let mut world = World::default();
    world.machine.cores = 2;
    (world.job.rows, world.job.partitions) = (3000, 400);
    change(&mut world);
    world
}

/// Fifty milliseconds away a partition takes 2.5 s, nearly all of it round trips.
fn far(world: &mut World) {
    (world.store.questions, world.store.question_ms, world.store.connect_ms) = (48, 50.0, 500.0);
    world.store.session_bytes_per_s = 20e6;
}

fn local_server(world: &mut World) {
    (world.store.is_local, world.store.cpu_us_per_byte) = (true, 0.02);
    world.job.rows = 20_000;
}

fn best_s(world: &World) -> f64 {
    let took = [1, 2, 3, 4, 6, 8, 16, 32].map(|workers| simulate(world, Workers::Fixed(workers)).took_s);
    took.into_iter().fold(f64::INFINITY, f64::min)
}

fn numbers(run: &Simulated) -> Vec<usize> {
    run.record.decisions.iter().map(|decision| decision.workers).collect()
}

fn refusals(run: &Simulated) -> Vec<&Decision> {
    run.record.decisions.iter().filter(|decision| decision.was == decision.workers).collect()
}

/// Holds auto against the best fixed number, and returns its run.
fn within(world: &World, most: f64, name: &str) -> Simulated {
    let (auto, best_s) = (simulate(world, Workers::Auto), best_s(world));
    eprintln!("{name:<32} {best_s:>7.1} s {:>7.1} s {:>5.2}", auto.took_s, auto.took_s / best_s);
    assert!(
        auto.took_s <= most * best_s,
        "{name}: {} s, {best_s} s: {:#?}",
        auto.took_s,
        auto.record.decisions
    );
    auto
}

#[test]
fn where_workers_wait_and_partitions_are_short_many_are_there_within_three_seconds() {
    let world = two_cores(|world| {
        far(world);
        (world.store.questions, world.store.connect_ms, world.job.partitions) = (8, 100.0, 1000);
    });
    let run = simulate(&world, Workers::Auto);
    let third = &run.record.decisions[2];
    assert!(third.at_ms <= 3000 && third.workers >= 20, "{:#?}", run.record.decisions);
}

#[test]
fn workers_that_mostly_wait_become_many_in_few_steps() {
    for (partitions, most) in [(400, 1.25), (150, 1.5)] {
        let auto = within(&two_cores(|world| (far(world), world.job.partitions = partitions).0), most, "far");
        let numbers = numbers(&auto);
        assert!(numbers[0] == 2 && numbers[1] >= 8, "{numbers:?}");
    }
    within(&two_cores(|world| world.source.read_us_per_row = 800.0), 1.25, "slow source");
    // A store that takes no more than what one worker sends: they wait, and more don't help.
    let narrow = two_cores(|world| world.store.bytes_per_s = Over::always(4e6));
    let auto = within(&narrow, 1.1, "narrow");
    assert!(numbers(&auto).last() <= Some(&4), "{:?}", numbers(&auto));
}

#[test]
fn workers_that_wait_are_added_whatever_others_do_with_the_cores() {
    let world = two_cores(|world| (far(world), world.machine.competing = Over::always(2.0)).0);
    let auto = within(&world, 1.4, "far, beside two busy processes");
    assert!(numbers(&auto).iter().any(|workers| *workers >= 16), "{:?}", numbers(&auto));
    // Those that compute aren't, where others want half of the cores.
    let world = two_cores(|world| world.machine.competing = Over::always(1.0));
    let auto = simulate(&world, Workers::Auto);
    assert!(numbers(&auto).iter().all(|workers| *workers <= 2), "{:?}", numbers(&auto));
}

#[test]
fn a_full_machine_gets_no_more_workers_and_the_run_says_so_once() {
    let name = "full, with a local server";
    for (world, why) in [
        (two_cores(local_server), "the store's server"),
        (two_cores(|world| world.job.rows = 20_000), "of 2 cores"),
    ] {
        let auto = within(&world, 1.1, name);
        assert!(numbers(&auto).iter().all(|workers| *workers <= 3), "{:?}", numbers(&auto));
        let [refusal] = refusals(&auto)[..] else { panic!("{:#?}", auto.record.decisions) };
        assert!(refusal.reason.starts_with("staying with") && refusal.reason.contains(why), "{refusal:?}");
        assert_eq!(refusal.held_back_by, Some(WorkerCeiling::Cores));
    }
}

#[test]
fn a_quota_of_cores_is_filled_and_no_more() {
    let world = two_cores(|world| (world.machine.cores_allowed = Some(1.5), world.job.rows = 20_000).0);
    let auto = within(&world, 1.1, "quota");
    assert!(
        numbers(&auto)[0] == 2 && numbers(&auto).iter().all(|workers| *workers <= 3),
        "{:?}",
        numbers(&auto)
    );
    assert!(refusals(&auto)[0].reason.contains("of 1.5 cores"), "{:?}", refusals(&auto));
}

#[test]
fn beside_processes_that_want_all_cores_there_are_a_few_workers_a_core_and_not_more() {
    let world = two_cores(|world| (world.machine.competing = Over::always(2.0), world.job.rows = 10_000).0);
    let auto = within(&world, 1.4, "beside two busy processes");
    let took = |workers| simulate(&world, Workers::Fixed(workers)).took_s;
    let best_s = [1, 2, 3, 4, 6, 8].map(took).into_iter().fold(f64::INFINITY, f64::min);
    assert!(auto.took_s < 1.15 * best_s, "{} {best_s}", auto.took_s);
    assert!(
        numbers(&auto)[0] == 1 && numbers(&auto).iter().all(|workers| *workers <= 6),
        "{:?}",
        numbers(&auto)
    );
    // Once they are gone, the number stays or falls, and all cores are the run's.
    let mut gone = world.clone();
    gone.machine.competing = Over::steps(&[(0, 2.0), (40, 0.0)]);
    within(&gone, 1.25, "gone later");
}
