//! What the policy finds, held against every fixed number of workers.

use rollfit_job::spec::Workers;

use super::run::{Simulated, simulate};
use super::world::{Over, World};

const MOST: usize = 64;

struct Scenario {
    name: &'static str,
    world: World,
}

fn scenario(name: &'static str, change: impl FnOnce(&mut World)) -> Scenario {
    let mut world = World::default();
    change(&mut world);
    Scenario { name, world }
}

fn scenarios() -> Vec<Scenario> {
    vec![
        scenario("quiet, cores decide", |world| world.job.partitions = 4000),
        scenario("one core", |world| {
            world.machine.cores = 1;
            world.job.partitions = 500;
        }),
        scenario("a share of the cores", |world| {
            world.machine.cores = 16;
            world.machine.cores_allowed = Some(2.5);
            world.job.partitions = 1000;
        }),
        scenario("64 cores", |world| {
            world.machine.cores = 64;
            world.job.partitions = 20_000;
        }),
        scenario("store far away", |world| {
            world.machine.cores = 4;
            world.store.question_ms = 150.0;
            world.store.session_bytes_per_s = 20e6;
            world.job.partitions = 4000;
        }),
        scenario("store very far away", |world| {
            world.machine.cores = 8;
            world.store.question_ms = 1000.0;
            world.store.session_bytes_per_s = 20e6;
            world.job.partitions = 6000;
        }),
        scenario("store takes what three bring", |world| world.store.bytes_per_s = Over::always(100e6)),
        scenario("store suffers from crowds", |world| {
            world.store.bytes_per_s = Over::always(150e6);
            (world.store.crowd, world.store.crowding) = (4, 0.1);
        }),
        scenario("serial commit", |world| {
            (world.store.commit_ms, world.store.commits_at_once) = (300.0, 1);
            world.job.partitions = 1500;
        }),
        scenario("slow commit", |world| world.store.commit_ms = 3000.0),
        scenario("slow source", |world| world.source.read_us_per_row = 100.0),
        scenario("few sessions", |world| {
            world.store.sessions_max = Some(5);
            world.store.question_ms = 100.0;
        }),
        scenario("two sessions", |world| {
            world.store.sessions_max = Some(2);
            world.job.partitions = 400;
        }),
        scenario("little memory", |world| {
            world.machine.memory_bytes = (1 << 30) + (600 << 20);
            world.job.worker_bytes_per_row = 2500;
            world.store.question_ms = 100.0;
        }),
        scenario("local store", |world| {
            world.machine.cores = 4;
            world.store.is_local = true;
            world.store.cpu_us_per_byte = 0.02;
            world.store.series_apart = true;
        }),
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
        scenario("neighbours", |world| {
            world.machine.neighbours =
                Over::steps(&[(0, 0.0), (120, 4.0), (300, 1.0), (420, 6.0), (600, 0.0)]);
            world.machine.neighbour_weight = 50.0;
            world.job.partitions = 6000;
        }),
        scenario("neighbours at first", |world| {
            world.machine.neighbours = Over::steps(&[(0, 6.0), (60, 0.0)]);
            world.machine.neighbour_weight = 50.0;
            world.job.partitions = 4000;
        }),
        scenario("failures", |world| {
            world.store.failing_share = 0.05;
            world.store.question_ms = 50.0;
        }),
        scenario("a giant", |world| world.job.giant = Some((700, 40.0))),
    ]
}

fn best(world: &World) -> (usize, Simulated) {
    let fixed = (1..=MOST)
        .filter(|n| *n <= 10 || n % 4 == 0)
        .map(|workers| (workers, simulate(world, Workers::Fixed(workers))));
    fixed
        .filter(|(_, run)| run.memory_missing_bytes == 0)
        .min_by(|(_, a), (_, b)| a.took_s.total_cmp(&b.took_s))
        .unwrap()
}

#[test]
fn table() {
    let only = std::env::var("ONLY").unwrap_or_default();
    eprintln!(
        "{:<30} {:>5} {:>6} {:>9} {:>9} {:>7} {:>5}",
        "scenario", "seed", "best", "best s", "auto s", "off", "dec"
    );
    for scenario in scenarios().into_iter().filter(|s| s.name.contains(&only)) {
        for short in [false, true] {
            for seed in 1..=3 {
                let mut world = scenario.world.clone();
                world.seed = seed;
                if short {
                    world.job.partitions /= 10;
                }
                let (number, best) = best(&world);
                let auto = simulate(&world, Workers::Auto);
                let off = auto.took_s / best.took_s - 1.0;
                eprintln!(
                    "{:<30} {seed:>5} {number:>6} {:>9.1} {:>9.1} {:>6.1}% {:>5} {}",
                    scenario.name,
                    best.took_s,
                    auto.took_s,
                    100.0 * off,
                    auto.record.decisions.len(),
                    if auto.memory_missing_bytes > 0 { "OUT OF MEMORY" } else { "" }
                );
                if !only.is_empty() && seed == 1 {
                    for d in &auto.record.decisions {
                        eprintln!(
                            "   {:>7.0} {:>3} -> {:>3} {}",
                            d.at_ms as f64 / 1e3,
                            d.was,
                            d.workers,
                            d.reason
                        );
                    }
                }
            }
        }
    }
}
