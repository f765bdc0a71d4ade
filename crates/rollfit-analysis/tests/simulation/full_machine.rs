//! A machine that is full gets no advice to use it more, and one that is not does.

use rollfit_analysis::{Analysis, Change, LimitingCause};
use rollfit_job::config::Workers;
use rollfit_testkit::simulation::{Over, World, simulate};

fn analysis(workers: usize, change: impl Fn(&mut World)) -> Analysis {
    let mut world = World::default();
    world.job.partitions = 100;
    change(&mut world);
    Analysis::new(&simulate(&world, Workers::Fixed(workers)).record, None)
}

fn workers_wanted(analysis: &Analysis) -> Option<String> {
    let found = analysis.bottlenecks.iter().find(|bottleneck| bottleneck.cause == LimitingCause::Workers)?;
    match &found.remedy.as_ref()?.change {
        Change::Setting { after, .. } => after.clone(),
        _ => None,
    }
}

/// Two cores, and a server on them that takes as much as the run.
fn with_server(world: &mut World) {
    world.machine.cores = 2;
    (world.store.is_local, world.store.cpu_us_per_byte) = (true, 0.02);
}

#[test]
fn a_full_machine_gets_no_more_workers_and_an_idle_one_does() {
    for workers in [2, 3, 4] {
        let analysis = analysis(workers, with_server);
        assert_eq!(workers_wanted(&analysis), None, "{workers}: {:?}", analysis.bottlenecks);
        assert!(analysis.worth.as_ref().unwrap().workers <= 3, "{:?}", analysis.worth);
    }
    let idle = analysis(2, |world| {
        with_server(world);
        world.machine.cores = 8;
    });
    assert_eq!(workers_wanted(&idle).as_deref(), Some("4"), "{:?}", idle.bottlenecks);
}

#[test]
fn from_too_many_workers_fewer_are_advised() {
    let analysis = analysis(6, |world| world.machine.cores = 2);
    assert!(analysis.worth.as_ref().unwrap().workers <= 3, "{:?}", analysis.worth);
    assert_eq!(workers_wanted(&analysis), None, "{:?}", analysis.bottlenecks);
}

#[test]
fn no_time_is_shorter_than_the_processor_time_over_the_cores() {
    let analysis = analysis(1, with_server);
    let cpu_s: f64 = analysis.activities.iter().map(|share| share.cpu_s).sum();
    let steps = analysis.combined.iter().flat_map(|combined| &combined.after).map(|after| after.job_s);
    for job_s in analysis.scaling.iter().filter_map(|line| line.job_s).chain(steps) {
        assert!(job_s.low >= 0.98 * cpu_s / 2.0, "{job_s:?}, {cpu_s} s of processor time");
    }
}

#[test]
fn a_far_store_beside_busy_neighbours_wants_workers_and_no_more_than_twice_as_many() {
    let analysis = analysis(1, |world| {
        (world.machine.cores, world.machine.competing) = (2, Over::always(1.5));
        (world.store.questions, world.store.question_ms) = (60, 50.0);
        (world.job.compute_us_per_row, world.job.encode_us_per_row) = (2.0, 1.0);
    });
    assert_eq!(workers_wanted(&analysis).as_deref(), Some("2"), "{:?}", analysis.bottlenecks);
    assert!(analysis.scaling.iter().all(|line| line.workers <= 2 || line.rows_per_s.is_none()));
}
