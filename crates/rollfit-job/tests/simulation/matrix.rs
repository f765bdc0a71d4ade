//! The matrix of causes: one is injected at a time, or two, or none. The analysis has to name it first, and what it promises
//! has to come true once the cause is removed.

use rollfit_job::analysis::{Analysis, Cause};
use rollfit_job::spec::Workers;

use super::run::simulate;
use super::world::{Over, World};

/// A cause, and how a world gets it.
struct Injection {
    name: &'static str,
    cause: Cause,
    /// As many workers as turn out best, where the cause is not another number.
    workers: Workers,
    inject: fn(&mut World),
    remove: fn(&mut World),
}

const CAUSES: [Injection; 12] = [
    Injection {
        cause: Cause::Cpu,
        inject: |world| world.machine.neighbours = Over::always(6.0),
        ..named("neighbours")
    },
    Injection {
        cause: Cause::Memory,
        inject: |world| world.machine.memory_bytes = (1 << 30) + (80 << 20),
        ..named("memory")
    },
    Injection { cause: Cause::Workers, workers: Workers::Fixed(2), ..named("workers") },
    Injection {
        cause: Cause::SourceRead,
        inject: |world| world.source.rows_per_s_max = 60e3,
        ..named("source")
    },
    Injection {
        cause: Cause::StoreLatency,
        inject: |world| world.store.question_ms = 2000.0,
        ..named("latency")
    },
    Injection {
        cause: Cause::StoreBandwidth,
        inject: |world| world.store.bytes_per_s = Over::always(100e6),
        ..named("bandwidth")
    },
    Injection {
        cause: Cause::Sessions,
        inject: |world| world.store.sessions_max = Some(4),
        ..named("sessions")
    },
    Injection {
        cause: Cause::Locks,
        inject: |world| (world.store.locked_share, world.store.locked_ms) = (0.5, 30e3),
        ..named("locks")
    },
    Injection {
        cause: Cause::Commit,
        inject: |world| (world.store.commit_ms, world.store.commits_at_once) = (400.0, 1),
        ..named("commit")
    },
    Injection {
        cause: Cause::GiantPartition,
        inject: |world| world.job.giant = Some((1990, 200.0)),
        remove: |world| world.job.largest_first = true,
        ..named("giant")
    },
    Injection { cause: Cause::Retries, inject: |world| world.store.failing_share = 0.5, ..named("retries") },
    Injection {
        cause: Cause::OwnLimit,
        inject: |world| world.limits.cpu_max = Some(3.0),
        ..named("own limit")
    },
];

const fn named(name: &'static str) -> Injection {
    Injection { name, cause: Cause::Cpu, workers: Workers::Auto, inject: |_| (), remove: |_| () }
}

fn show(name: &str, analysis: &Analysis) {
    eprintln!("== {name}: {:.0} s, workers {:.1}", analysis.run.took_s, analysis.run.workers);
    eprintln!("   {}", analysis.finding);
    for bottleneck in &analysis.bottlenecks {
        eprintln!(
            "   {:?} impact {:.2} gain {:?}",
            bottleneck.cause,
            bottleneck.impact,
            bottleneck.remedy.as_ref().and_then(|remedy| remedy.gain)
        );
    }
}

#[test]
fn look() {
    let workers = std::env::var("WORKERS").ok().map(|workers| workers.parse().unwrap());
    let none = simulate(&World::default(), workers.unwrap_or(Workers::Auto));
    show("none", &Analysis::of(&none.record, None));
    for injection in CAUSES {
        let mut world = World::default();
        (injection.inject)(&mut world);
        let workers = if injection.workers == Workers::Auto {
            workers.unwrap_or(Workers::Auto)
        } else {
            injection.workers
        };
        let run = simulate(&world, workers);
        let begun = std::time::Instant::now();
        let analysis = Analysis::of(&run.record, None);
        show(injection.name, &analysis);
        let mut world = World::default();
        (injection.remove)(&mut world);
        if injection.cause == Cause::GiantPartition {
            (injection.inject)(&mut world);
        }
        let after =
            simulate(&world, if injection.cause == Cause::Workers { Workers::Fixed(12) } else { workers });
        eprintln!("   observed gain {:.3}  ({:?})", run.took_s / after.took_s, begun.elapsed());
    }
}
