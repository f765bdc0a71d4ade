//! The matrix of causes: one is injected at a time, or two, or none. The analysis has to name it first, and what it promises
//! has to come true once the cause is removed.

use rollfit_analysis::{Analysis, Change, Headline, Limit, LimitingCause};
use rollfit_job::config::Workers;
use rollfit_testkit::simulation::{Over, World};

use super::runs::played;

/// A job in its world.
#[derive(Clone)]
struct Scene {
    world: World,
    workers: Workers,
}

/// A cause, how a scene gets it, and how it is got rid of: as the remedy says.
struct Injection {
    cause: LimitingCause,
    inject: fn(&mut Scene),
    remove: fn(&mut Scene, &Change),
}

impl Scene {
    fn healthy() -> Self {
        Self { world: World::default(), workers: Workers::Auto }
    }

    fn with(injections: &[&Injection]) -> Self {
        let mut scene = Self::healthy();
        injections.iter().for_each(|injection| (injection.inject)(&mut scene));
        scene
    }

    fn analysis(&self) -> Analysis {
        played(&self.world, self.workers, |run| Analysis::new(&run.record, None))
    }

    fn took_s(&self) -> f64 {
        played(&self.world, self.workers, |run| run.took_s)
    }
}

fn free_cores(scene: &mut Scene, change: &Change) {
    match change {
        Change::Cores { cores_wanted, .. } => {
            let kept = scene.world.machine.cores as f64 - cores_wanted;
            scene.world.machine.competing = Over::always(kept);
        }
        other => panic!("{other:?}"),
    }
}

fn set_workers(scene: &mut Scene, change: &Change) {
    match change {
        Change::Setting { after: Some(after), .. } => scene.workers = after.parse().unwrap(),
        other => panic!("{other:?}"),
    }
}

const INJECTIONS: [Injection; 18] = [
    // Others that leave room, in which the run stays, and others that leave none, so that the system divides the cores.
    Injection {
        cause: LimitingCause::Cpu,
        inject: |scene| scene.world.machine.competing = Over::always(5.0),
        remove: free_cores,
    },
    Injection {
        cause: LimitingCause::Cpu,
        inject: |scene| scene.world.machine.competing = Over::always(6.0),
        remove: free_cores,
    },
    // The server of the store is on the same machine and has no quota.
    Injection {
        cause: LimitingCause::Cpu,
        inject: |scene| {
            (scene.workers, scene.world.store.is_local) = (Workers::Fixed(4), true);
            scene.world.store.cpu_us_per_byte = 0.02;
            scene.world.machine.cores_allowed = Some(0.2);
        },
        remove: |scene, change| match change {
            Change::Quota { cores_wanted, .. } => scene.world.machine.cores_allowed = Some(*cores_wanted),
            other => panic!("{other:?}"),
        },
    },
    Injection {
        cause: LimitingCause::Cpu,
        inject: |scene| scene.world.machine.cores_allowed = Some(1.5),
        remove: |scene, change| match change {
            Change::Quota { cores_wanted, .. } => scene.world.machine.cores_allowed = Some(*cores_wanted),
            other => panic!("{other:?}"),
        },
    },
    Injection {
        cause: LimitingCause::Memory,
        inject: |scene| {
            (scene.world.machine.memory_bytes, scene.world.job.worker_bytes) = (2 << 30, 200 << 20);
        },
        remove: |scene, change| match change {
            Change::Memory { bytes_wanted, .. } => {
                scene.world.machine.memory_bytes =
                    *bytes_wanted as u64 + scene.world.machine.memory_of_others.at(0);
            }
            other => panic!("{other:?}"),
        },
    },
    // The server of the store is on the same cores.
    Injection {
        cause: LimitingCause::Workers,
        inject: |scene| {
            (scene.workers, scene.world.store.is_local) = (Workers::Fixed(2), true);
            scene.world.store.cpu_us_per_byte = 0.02;
        },
        remove: set_workers,
    },
    Injection {
        cause: LimitingCause::Workers,
        inject: |scene| scene.workers = Workers::Fixed(2),
        remove: set_workers,
    },
    Injection {
        cause: LimitingCause::SourceRead,
        inject: |scene| scene.world.source.rows_per_s_max = 60e3,
        remove: |scene, _| scene.world.source.rows_per_s_max = f64::INFINITY,
    },
    // A store far away, beside busy neighbours.
    Injection {
        cause: LimitingCause::StoreLatency,
        inject: |scene| {
            (scene.workers, scene.world.job.partitions) = (Workers::Fixed(2), 200);
            (scene.world.machine.cores, scene.world.machine.competing) = (2, Over::always(1.5));
            (scene.world.store.questions, scene.world.store.question_ms) = (60, 50.0);
            (scene.world.job.compute_us_per_row, scene.world.job.encode_us_per_row) = (2.0, 1.0);
        },
        remove: |scene, _| scene.world.store.question_ms = 0.2,
    },
    Injection {
        cause: LimitingCause::StoreLatency,
        inject: |scene| scene.world.store.question_ms = 3000.0,
        remove: |scene, _| scene.world.store.question_ms = 0.2,
    },
    Injection {
        cause: LimitingCause::StoreBandwidth,
        inject: |scene| scene.world.store.bytes_per_s = Over::always(100e6),
        remove: |scene, _| scene.world.store.bytes_per_s = Over::always(4e9),
    },
    Injection {
        cause: LimitingCause::Sessions,
        inject: |scene| scene.world.store.sessions_max = Some(4),
        remove: |scene, change| match change {
            Change::Sessions { sessions_wanted, .. } => {
                scene.world.store.sessions_max = Some(*sessions_wanted);
            }
            other => panic!("{other:?}"),
        },
    },
    Injection {
        cause: LimitingCause::Locks,
        inject: |scene| (scene.world.store.locked_share, scene.world.store.locked_ms) = (0.5, 60e3),
        remove: |scene, _| scene.world.store.locked_share = 0.0,
    },
    Injection {
        cause: LimitingCause::Locks,
        inject: |scene| (scene.world.store.held_share, scene.world.store.held_until_s) = (0.01, 1500.0),
        remove: |scene, _| scene.world.store.held_share = 0.0,
    },
    Injection {
        cause: LimitingCause::Commit,
        inject: |scene| (scene.world.store.commit_ms, scene.world.store.commits_at_once) = (400.0, 1),
        remove: |scene, _| {
            (scene.world.store.commit_ms, scene.world.store.commits_at_once) = (5.0, usize::MAX);
        },
    },
    Injection {
        cause: LimitingCause::OversizedPartition,
        inject: |scene| scene.world.job.oversized = Some((1990, 200.0)),
        remove: |scene, _| scene.world.job.largest_first = true,
    },
    Injection {
        cause: LimitingCause::Retries,
        inject: |scene| scene.world.store.failing_share = 0.6,
        remove: |scene, _| scene.world.store.failing_share = 0.0,
    },
    Injection {
        cause: LimitingCause::OwnLimit,
        inject: |scene| scene.world.limits.cpu_max = Some(3.0),
        remove: |scene, _| scene.world.limits.cpu_max = None,
    },
];

/// The pairs of which both cost time, whatever the other does: a bottleneck can hide another.
const PAIRS: [(LimitingCause, LimitingCause); 9] = [
    (LimitingCause::Workers, LimitingCause::Retries),
    (LimitingCause::Cpu, LimitingCause::Retries),
    (LimitingCause::Cpu, LimitingCause::OversizedPartition),
    (LimitingCause::Sessions, LimitingCause::SourceRead),
    (LimitingCause::Sessions, LimitingCause::StoreLatency),
    (LimitingCause::Memory, LimitingCause::StoreLatency),
    (LimitingCause::OwnLimit, LimitingCause::OversizedPartition),
    (LimitingCause::Commit, LimitingCause::OversizedPartition),
    (LimitingCause::Locks, LimitingCause::StoreBandwidth),
];

fn injection(cause: LimitingCause) -> &'static Injection {
    // Of locks the partitions that another runner has.
    INJECTIONS.iter().rfind(|injection| injection.cause == cause).unwrap()
}

fn change(analysis: &Analysis, cause: LimitingCause) -> &Change {
    let found = analysis.bottlenecks.iter().find(|bottleneck| bottleneck.cause == cause);
    &found.and_then(|bottleneck| bottleneck.remedy.as_ref()).unwrap().change
}

fn causes(analysis: &Analysis) -> Vec<LimitingCause> {
    analysis.bottlenecks.iter().map(|bottleneck| bottleneck.cause).collect()
}

fn told(analysis: &Analysis) -> String {
    let gains = analysis.bottlenecks.iter().map(|bottleneck| {
        let gain = bottleneck.remedy.as_ref().and_then(|remedy| remedy.gain);
        format!("  {:?}: {gain:?}, {:?}", bottleneck.cause, bottleneck.evidence)
    });
    std::iter::once(format!("{:?}", analysis.finding)).chain(gains).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_first_finding_names_the_injected_cause_and_its_gain_comes_true() {
    for injection in &INJECTIONS {
        let mut scene = Scene::with(&[injection]);
        let analysis = scene.analysis();
        let told = told(&analysis);
        assert_eq!(causes(&analysis).first(), Some(&injection.cause), "{told}");
        let remedy = analysis.bottlenecks[0].remedy.as_ref().unwrap();
        let gain = remedy.gain.unwrap();
        let before_s = scene.took_s();
        (injection.remove)(&mut scene, &remedy.change);
        let observed = before_s / scene.took_s();
        println!("{:?}: {:.2} times as fast, {:.2} was told", injection.cause, observed, gain.expected);
        assert!(
            (observed / gain.expected - 1.0).abs() <= 0.15,
            "{:?}: {observed}, not\n{told}",
            injection.cause
        );
        assert!(
            0.98 * gain.low <= observed && observed <= 1.02 * gain.high,
            "{:?}: {observed}, not\n{told}",
            injection.cause
        );
    }
}

#[test]
fn of_two_causes_both_are_named_and_one_of_them_first() {
    for (one, other) in PAIRS {
        let analysis = Scene::with(&[injection(one), injection(other)]).analysis();
        let (causes, told) = (causes(&analysis), told(&analysis));
        assert!([one, other].contains(causes.first().unwrap()), "{one:?} and {other:?}: {told}");
        assert!(causes.contains(&one) && causes.contains(&other), "{one:?} and {other:?}: {told}");
    }
}

#[test]
fn where_nothing_stands_out_the_run_is_balanced() {
    let healthy: [fn(&mut Scene); 4] = [
        |_| (),
        |scene| scene.world.machine.cores = 2,
        |scene| scene.workers = Workers::Fixed(9),
        |scene| (scene.world.store.is_local, scene.world.store.cpu_us_per_byte) = (true, 0.01),
    ];
    for change in healthy {
        let mut scene = Scene::healthy();
        change(&mut scene);
        let analysis = scene.analysis();
        assert_eq!(causes(&analysis), [], "{}", told(&analysis));
        let is_balanced = matches!(analysis.finding, Headline::Balanced { limit: Limit::Cores, .. });
        assert!(is_balanced, "{:?}", analysis.finding);
        assert_eq!(analysis.combined, None);
    }
}

#[test]
fn all_remedies_together_give_what_is_told() {
    for (one, other) in PAIRS {
        let mut scene = Scene::with(&[injection(one), injection(other)]);
        let analysis = scene.analysis();
        let combined = analysis.combined.as_ref().unwrap();
        let before_s = scene.took_s();
        for cause in [one, other] {
            (injection(cause).remove)(&mut scene, change(&analysis, cause));
        }
        let observed = before_s / scene.took_s();
        println!(
            "{one:?} and {other:?}: {observed:.2} times as fast, {:.2} was told",
            combined.gain.expected
        );
        assert!(
            (observed / combined.gain.expected - 1.0).abs() <= 0.2,
            "{one:?} and {other:?}: {observed}: {combined:?}"
        );
    }
}
