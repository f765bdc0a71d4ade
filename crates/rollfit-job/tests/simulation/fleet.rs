//! Several runners on one store, each with a policy of its own: how long the job takes, how many workers there are, and who gets
//! what, beside every fixed number for all, and beside runners that do not know of each other.

use rollfit_job::config::Workers;
use rollfit_testkit::simulation::{Fleet, Over, SimulatedFleet, World, simulate_fleet};

/// The numbers of workers, of each runner, that auto is held against.
const FIXED: [usize; 6] = [1, 2, 4, 8, 16, 32];

struct FleetScenario {
    name: &'static str,
    is_together: bool,
    world: World,
}

fn scenario(name: &'static str, is_together: bool, change: impl FnOnce(&mut World)) -> FleetScenario {
    let mut world = World::default();
    world.machine.cores = 4;
    world.store.sessions_max = Some(192);
    change(&mut world);
    FleetScenario { name, is_together, world }
}

fn scenarios() -> Vec<FleetScenario> {
    [elsewhere(), on_one_machine()].into_iter().flatten().collect()
}

/// A server elsewhere, and machines of their own.
fn elsewhere() -> Vec<FleetScenario> {
    vec![
        scenario("cores decide", false, |_| ()),
        scenario("far", false, far),
        scenario("far, takes little", false, |world| {
            far(world);
            world.store.bytes_per_s = Over::always(80e6);
        }),
        scenario("takes what six bring", false, |world| world.store.bytes_per_s = Over::always(200e6)),
        scenario("server of four cores", false, |world| {
            (world.store.server_cores, world.store.cpu_us_per_byte) = (Some(4.0), 0.015);
        }),
        scenario("suffers from crowds", false, |world| {
            world.store.bytes_per_s = Over::always(300e6);
            (world.store.crowd, world.store.crowding) = (12, 0.03);
        }),
        scenario("serial commit", false, |world| {
            (world.store.commit_ms, world.store.commits_at_once) = (150.0, 1);
        }),
        scenario("files on a shared disk", false, |world| {
            (world.store.is_server, world.store.sessions_max) = (false, None);
            world.store.bytes_per_s = Over::always(200e6);
        }),
    ]
}

/// All on one machine of four cores, with the store.
fn on_one_machine() -> Vec<FleetScenario> {
    vec![
        scenario("one machine, files", true, |world| {
            (world.store.is_server, world.store.sessions_max) = (false, None);
            (world.store.is_local, world.machine.cores) = (true, 2);
        }),
        scenario("one machine, server", true, |world| {
            (world.store.is_local, world.store.cpu_us_per_byte, world.machine.cores) = (true, 0.01, 2);
        }),
    ]
}

/// Fifty milliseconds away a partition takes 2.5 s, nearly all of it round trips.
fn far(world: &mut World) {
    (world.store.questions, world.store.question_ms, world.store.connect_ms) = (48, 50.0, 500.0);
    world.job.rows = 3000;
}

struct Outcome {
    took_s: f64,
    workers: f64,
    /// What the runner that wrote least wrote, as a share of what the one wrote that wrote most.
    least_share: f64,
    decisions_each: f64,
}

impl Outcome {
    fn from_fleet(fleet: &SimulatedFleet) -> Self {
        let (least, most) = (fleet.rows.iter().min().unwrap(), fleet.rows.iter().max().unwrap());
        let decisions: usize = fleet.runs.iter().map(|run| run.record.decisions.len()).sum();
        Self {
            took_s: fleet.took_s,
            workers: fleet.workers_mean,
            least_share: *least as f64 / *most as f64,
            decisions_each: decisions as f64 / fleet.runs.len() as f64,
        }
    }
}

impl Outcome {
    /// Whether the job took little longer than with the best fixed number and than with runners that do not know of each other, nobody got
    /// next to nothing, and there were clearly fewer workers than of the latter where those climb far beyond what one alone finds enough.
    fn is_fair(&self, best_s: f64, alone: &Self, not_told: &Self) -> bool {
        let do_climb = not_told.workers > 6.0 * alone.workers;
        let most = if do_climb { 0.75 } else { 1.4 } * not_told.workers;
        self.is_quick(best_s, not_told) && self.least_share >= 0.25 && self.workers <= most
    }

    /// In a job of seconds the search for the number takes its part of the time, with others or without. On a store that suffers from crowds
    /// it is far from the best number, and still farther from what runners reach that do not know of each other.
    fn is_quick(&self, best_s: f64, not_told: &Self) -> bool {
        let is_short = best_s < SHORT_S;
        let is_saved = self.took_s <= 0.7 * not_told.took_s && self.took_s <= 1.4 * best_s;
        is_saved
            || self.took_s <= 1.15 * best_s.min(not_told.took_s)
            || is_short && self.took_s <= 1.05 * not_told.took_s
    }
}

/// A shorter job is nearly over when the number is found.
const SHORT_S: f64 = 20.0;

/// How many runners there are, how long after the one before each starts, and what is random.
#[derive(Clone, Copy)]
struct Start {
    runners: usize,
    apart_s: f64,
    seed: u64,
}

fn run(scenario: &FleetScenario, start: Start, is_told: bool, workers: Workers) -> Outcome {
    let Start { runners, apart_s, .. } = start;
    let fleet = Fleet { runners, is_together: scenario.is_together, is_told, apart_s };
    Outcome::from_fleet(&simulate_fleet(&scenario.world, fleet, workers))
}

/// Runs every scenario with so many runners, prints it, and returns what was wrong.
fn table(start: Start) -> Vec<String> {
    let Start { runners, apart_s, seed } = start;
    let mut wrong = Vec::new();
    eprintln!(
        "{:<24} {:>7} {:>5} {:>7} {:>5} | not told: {:>6} {:>7} {:>5} | told: {:>6} {:>7} {:>5} {:>9}",
        format!("{runners} runners, {apart_s} s apart"),
        "alone n",
        "best",
        "best s",
        "all n",
        "",
        "workers",
        "least",
        "",
        "workers",
        "least",
        "decisions"
    );
    for mut scenario in scenarios() {
        (scenario.world.job.partitions, scenario.world.seed) = (PARTITIONS_EACH * runners, seed);
        let alone = run(&scenario, Start { runners: 1, ..start }, true, Workers::Auto);
        let fixed =
            FIXED.map(|workers| (workers, run(&scenario, start, false, Workers::Fixed(workers)).took_s));
        let (best, best_s) = fixed.into_iter().min_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap();
        let [before, after] = [false, true].map(|is_told| run(&scenario, start, is_told, Workers::Auto));
        let line = format!(
            "{:<24} {:>7.1} {best:>5} {best_s:>7.1} {:>5} | {:>16.2} {:>7.1} {:>5.2} | {:>12.2} {:>7.1} {:>5.2} {:>9.1}",
            scenario.name,
            alone.workers,
            best * runners,
            before.took_s / best_s,
            before.workers,
            before.least_share,
            after.took_s / best_s,
            after.workers,
            after.least_share,
            after.decisions_each,
        );
        eprintln!("{line}");
        if !after.is_fair(best_s, &alone, &before) {
            wrong.push(line);
        }
    }
    wrong
}

const PARTITIONS_EACH: usize = 150;
const STARTS: [Start; 2] =
    [Start { runners: 2, apart_s: 0.7, seed: 1 }, Start { runners: 4, apart_s: 0.7, seed: 1 }];

#[test]
fn beside_others_auto_is_about_as_fast_as_the_best_number_for_all_and_nobody_starves() {
    let wrong: Vec<String> = STARTS.into_iter().flat_map(table).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
