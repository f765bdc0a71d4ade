//! What is expected step by step agrees with what each remedy says alone, and nothing is told of more than twice what was measured.

use rollfit_analysis::{Analysis, Basis, Change, WorkersLimit, WorthReason};
use rollfit_job::config::Workers;
use rollfit_testkit::simulation::{Over, World};

use super::runs::played;

fn analysis(workers: Workers, change: impl Fn(&mut World)) -> Analysis {
    let mut world = World::default();
    world.job.partitions = 200;
    change(&mut world);
    played(&world, workers, |run| Analysis::new(&run.record, None))
}

fn slow_bytes(world: &mut World) {
    world.store.bytes_per_s = Over::always(100e6);
}

fn few_sessions(world: &mut World) {
    world.store.sessions_max = Some(4);
}

fn two_busy_neighbours(world: &mut World) {
    (world.machine.cores, world.machine.competing) = (2, Over::always(2.0));
}

#[test]
fn a_remedy_alone_and_all_together_with_one_member_say_the_same() {
    let mut alone = 0;
    let few: [fn(&mut World); 4] = [
        few_sessions,
        slow_bytes,
        |world| world.limits.cpu_max = Some(3.0),
        |world| world.machine.cores_allowed = Some(1.5),
    ];
    for change in few {
        let analysis = analysis(Workers::Auto, change);
        let combined = analysis.combined.as_ref().unwrap();
        let gain = |at: usize| analysis.bottlenecks[at].remedy.as_ref().unwrap().gain.unwrap();
        assert_eq!(combined.after[0].gain, gain(combined.steps[0]), "{:?}", analysis.bottlenecks);
        if combined.steps.len() == 1 {
            alone += 1;
            assert_eq!(combined.gain, gain(0));
        }
    }
    assert!(alone > 0, "no run had one remedy alone");
}

#[test]
fn after_each_step_the_job_is_as_much_faster_as_its_time_says() {
    let analysis = analysis(Workers::Auto, |world| {
        few_sessions(world);
        world.source.rows_per_s_max = 60e3;
    });
    let combined = analysis.combined.as_ref().unwrap();
    assert!(combined.after.len() > 1, "{:?}", analysis.bottlenecks);
    let steps: Vec<usize> = combined.after.iter().map(|after| after.bottleneck).collect();
    assert_eq!(steps, combined.steps);
    for after in &combined.after {
        let job_s = combined.job_s_now / after.gain.expected;
        assert!((after.job_s.expected / job_s - 1.0).abs() < 1e-9, "{after:?}");
        assert!(after.load.is_some() && after.memory_bytes.is_some(), "{after:?}");
        assert_eq!((after.sessions, after.eta_s), (Some(after.workers + 1), None));
    }
    let last = combined.after.last().unwrap();
    assert_eq!((last.gain, last.job_s), (combined.gain, combined.job_s));
    // The sessions that the change names are those that the gain is told for.
    let wanted = analysis.bottlenecks.iter().find_map(|found| match found.remedy.as_ref()?.change {
        Change::Sessions { sessions_wanted, .. } => Some(sessions_wanted),
        _ => None,
    });
    assert_eq!(wanted, last.sessions, "{:?}", analysis.bottlenecks);
}

type Run = (Workers, fn(&mut World));

#[test]
fn lifted_causes_and_auto_are_never_told_for_more_than_twice_the_workers_measured() {
    let runs: [Run; 4] = [
        (Workers::Auto, few_sessions),
        (Workers::Auto, |world| world.machine.cores_allowed = Some(1.5)),
        (Workers::Auto, |world| {
            (world.machine.memory_bytes, world.job.worker_bytes) = (2 << 30, 400 << 20);
        }),
        (Workers::Fixed(2), slow_bytes),
    ];
    for (workers, change) in runs {
        let analysis = analysis(workers, change);
        let most = 2 * analysis.run.workers_max;
        for after in &analysis.combined.as_ref().unwrap().after {
            assert!(after.workers <= most, "{most}: {after:?}");
        }
        for found in &analysis.bottlenecks {
            if let Change::Quota { cores_wanted, .. } = found.remedy.as_ref().unwrap().change {
                assert!(cores_wanted <= most as f64, "{cores_wanted}");
            }
        }
    }
}

/// A server elsewhere with four cores, of which a partition takes a second.
fn server_elsewhere(world: &mut World) {
    (world.store.server_cores, world.store.cpu_us_per_byte) = (Some(4.0), 0.025);
    (world.job.compute_us_per_row, world.job.encode_us_per_row) = (4.0, 2.0);
}

#[test]
fn a_server_that_shows_its_cores_bounds_what_is_told_and_one_that_does_not_leaves_a_lower_and_an_upper_bound()
{
    let rows_per_s = |workers: usize| {
        let mut world = World::default();
        world.job.partitions = 200;
        server_elsewhere(&mut world);
        let rows = |run: &rollfit_testkit::simulation::Simulated| {
            run.record.partitions.iter().map(|end| end.rows).sum::<u64>() as f64 / run.took_s
        };
        played(&world, Workers::Fixed(workers), rows)
    };
    let line = |analysis: &Analysis| analysis.scaling.iter().find(|line| line.workers == 8).cloned().unwrap();
    let seen = line(&analysis(Workers::Fixed(4), |world| {
        server_elsewhere(world);
        world.store.tells_cpu = true;
    }));
    let (told, truth) = (seen.rows_per_s.unwrap(), rows_per_s(8));
    assert!(!seen.server_unseen && (told.expected / truth - 1.0).abs() <= 0.15, "{told:?}, {truth}");
    // Four cores over the processor time of a row: 1440 bytes.
    assert!(told.high <= 1.02 * 4.0 / (1440.0 * 0.025e-6), "{told:?}");
    let unseen = line(&analysis(Workers::Fixed(4), server_elsewhere));
    let bounds = unseen.rows_per_s.unwrap();
    assert!(unseen.server_unseen && bounds.low <= 1.05 * rows_per_s(4), "{bounds:?}");
    assert!(bounds.low <= truth && truth <= bounds.high && bounds.high > told.high, "{bounds:?}, {truth}");
}

#[test]
fn beside_busy_neighbours_the_table_ends_at_the_first_ceiling_and_more_workers_are_worth_what_they_take() {
    let analysis = analysis(Workers::Fixed(2), two_busy_neighbours);
    let last = analysis.scaling.last().unwrap();
    assert!(last.workers <= 8 && last.limit.is_some(), "{last:?}");
    for line in analysis.scaling.iter().filter(|line| line.basis != Basis::Ceiling) {
        let load = line.load.unwrap();
        assert!(load <= 2.2 + line.workers as f64, "{line:?}");
    }
    let worth = analysis.worth.unwrap();
    assert!(worth.workers >= 2, "{worth:?}");
}

#[test]
fn workers_that_would_take_cores_from_a_busy_neighbour_are_told_as_that() {
    let beside = |competing: f64| {
        analysis(Workers::Fixed(2), |world| {
            (world.machine.cores, world.machine.competing) = (2, Over::always(competing));
        })
    };
    let one = beside(1.0);
    let worth = one.worth.as_ref().unwrap();
    let told = matches!(worth.why, WorthReason::CompetingLoad { workers: 2, competing_cores, .. } if (competing_cores - 1.0).abs() < 0.2);
    assert!(told && worth.workers == 1, "{worth:?}");
    let is_beside =
        |limit: &WorkersLimit| matches!(limit, WorkersLimit::CompetingLoad { workers_max: 1, .. });
    assert!(one.scaling.iter().filter_map(|line| line.limit.as_ref()).any(is_beside), "{:?}", one.scaling);
    let none = beside(0.0).worth.unwrap();
    assert!(matches!(none.why, WorthReason::LittleGain { .. }) && none.workers == 2, "{none:?}");
}
