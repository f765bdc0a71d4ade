//! Analyses for tests: one with every fact, and one with hardly any.

mod over_time;

use rollfit_analysis::{
    AfterStep, Analysis, Basis, Capacity, Change, ChangeSince, CombinedGain, CoresUse, DisksUse, Durations,
    Early, Estimate, EstimateVsObserved, EtaVsObserved, FORMAT, Headline, LaneSlice, Limit, LimitingCause,
    MemoryUse, NoEstimate, NotLimit, Observation, RankedCause, Remedy, Resources, RunEnding, RunProgress,
    RunSummary, SampledActivity, Scaling, ServerCpuBasis, SessionsUse, StoreUse, WaitShare, WaitedFor, Watch,
    WorkInProgress, WorkerLine, WorkersAllowed, WorkersLimit, Worth, WorthReason,
};
use rollfit_job::activity::Activity;
use rollfit_job::config::Setting;
use rollfit_job::partition::Partition;
use rollfit_job::record::{Decision, Header, Unavailable};
use rollfit_job::store::{AppliesWhen, WaitKind};
use rollfit_job::watch::{MachineLimits, Totals};
use rollfit_testkit::record;

use self::over_time::{activities, lanes, timeline};

fn estimate(low: f64, expected: f64, high: f64) -> Estimate {
    Estimate { low, expected, high }
}

/// A run of one worker where four would pay: 336 partitions.
pub(super) fn full() -> Analysis {
    of_partitions(336, 4)
}

/// As [`full`], with other numbers of partitions and workers.
pub(super) fn of_partitions(partitions: u64, workers: usize) -> Analysis {
    let lanes: Vec<LaneSlice> = lanes(partitions, workers);
    let took_s = lanes.iter().map(|slice| slice.begun_s + slice.took_s).fold(0.0, f64::max);
    let mut slowest = lanes.clone();
    slowest.sort_by(|a, b| b.took_s.total_cmp(&a.took_s));
    slowest.truncate(12);
    let timeline = timeline(took_s, workers);
    Analysis {
        header: header(partitions),
        run: run(&lanes, took_s, workers),
        finding: Headline::Limited { cause: LimitingCause::Workers, gain: Some(estimate(2.6, 2.9, 3.1)) },
        bottlenecks: vec![too_few_workers(), slow_commits()],
        resources: Some(resources()),
        activities: activities(&lanes),
        scaling: scaling(),
        worth: Some(Worth {
            workers: 6,
            why: WorthReason::LittleGain { workers: 8, gain: 0.014, capacity: bandwidth() },
        }),
        combined: Some(CombinedGain {
            gain: estimate(2.7, 3.1, 3.4),
            job_s_now: 40_320.0,
            job_s: estimate(11_858.8, 13_006.0, 14_933.0),
            steps: vec![0],
            after: vec![after_step()],
        }),
        eta_vs_observed: Some(eta_vs_observed()),
        no_estimate: None,
        progress: RunProgress {
            partitions,
            done: partitions - 1,
            failed: 1,
            left: 1,
            ..RunProgress::default()
        },
        not_limits: not_limits(),
        other_runners: None,
        durations: Some(durations(&slowest, lanes.len())),
        worker_lines: (0..workers).map(|worker| worker_line(worker, &lanes)).collect(),
        estimate_vs_observed: Some(estimate_vs_observed()),
        timeline,
        slowest,
        lanes,
        decisions: decisions(workers),
        unavailable: vec![Unavailable {
            at_ms: 1_003,
            what: "pressure".to_owned(),
            cause: "/proc/pressure/cpu: no such file or directory".to_owned(),
        }],
        ..bare()
    }
}

fn run(lanes: &[LaneSlice], took_s: f64, workers: usize) -> RunSummary {
    let rows = lanes.iter().map(|slice| slice.rows).sum();
    let partitions = lanes.len() as u64;
    let totals = Totals {
        partitions,
        ended: partitions,
        written: partitions - 1,
        failed: 1,
        retries: 2,
        rows,
        rows_committed: rows,
        bytes: rows * 1440,
    };
    RunSummary {
        state: RunEnding::Finished,
        took_s,
        totals,
        rows_per_s: rows as f64 / took_s,
        bytes_per_s: totals.bytes as f64 / took_s,
        workers: workers as f64 - 0.25,
        workers_max: workers,
        job_s: Some(40_320.0),
        memory_bytes_max: Some(412_300_000),
    }
}

fn eta_vs_observed() -> EtaVsObserved {
    EtaVsObserved {
        at_s: 120.0,
        eta_s: estimate(330.0, 360.0, 400.0),
        left_s: 352.0,
        error: 360.0 / 352.0 - 1.0,
    }
}

fn estimate_vs_observed() -> EstimateVsObserved {
    EstimateVsObserved {
        by_run: "20261121T093012Z-815".to_owned(),
        changes: vec![ChangeSince::Setting {
            name: "run.workers".to_owned(),
            before: Some("1".to_owned()),
            after: Some("4".to_owned()),
        }],
        rows_per_s: estimate(75_112.0, 81_954.0, 90_049.0),
        observed_rows_per_s: 78_676.0,
        error: -0.04,
    }
}

fn decisions(workers: usize) -> Vec<Decision> {
    let first = "2 of 4 cores are free, the store allows 17 sessions: starting with 1";
    let last = "80,122 rows/s with 2, 94 % more: trying more while another worker adds more than 5 %";
    vec![
        decision(0, 0, 1, first, None),
        decision(61_000, 1, 2, "41,310 rows/s with 1: trying 2", Some(41_310.4)),
        decision(140_500, 2, workers, last, Some(80_122.0)),
    ]
}

/// A run in progress that has written nothing yet, of one worker on two cores.
pub(super) fn early() -> Analysis {
    let header = header(336);
    let machine = MachineLimits { cores: Some(2), cores_allowed: Some(2.0), ..header.machine };
    let run =
        RunSummary { took_s: 42.0, totals: Totals { partitions: 336, ..Totals::default() }, ..bare().run };
    Analysis {
        header: Header { machine, options: Some(Vec::new()), ..header },
        run,
        progress: RunProgress {
            partitions: 336,
            in_progress: 1,
            left: 336,
            next: Some(2),
            ..RunProgress::default()
        },
        not_limits: not_limits(),
        early: Some(Early {
            seconds: 42.0,
            samples: 42,
            workers: 1,
            workers_set: "1".to_owned(),
            allowed: WorkersAllowed {
                cores: Some(2.0),
                memory: Some(70),
                sessions: Some(16),
                partitions: 336,
                auto: 8,
            },
            in_progress: WorkInProgress { partitions: 1, age_s: 41.5, rows: 12_000, rows_all: Some(31_000) },
            rows_per_s: Some(285.7),
            bytes_per_s: Some(411_428.0),
            activities: vec![SampledActivity { activity: Activity::Sending, share: 0.62 }],
            own_cores: Some(0.4),
            server_cores: None,
            server_basis: ServerCpuBasis::Unknown,
            others_cores: Some(0.1),
            idle_cores: Some(1.5),
            memory_bytes_max: Some(412_300_000),
            room_bytes: Some(8.6e9),
            eta_s: Some(estimate(36_000.0, 56_921.0, 90_000.0)),
        }),
        ..bare()
    }
}

fn not_limits() -> Vec<NotLimit> {
    vec![
        NotLimit::Memory { used_bytes: 412_300_000, available_bytes: 8.6e9, workers: 70 },
        NotLimit::Sessions { used: 5, available: 17 },
        NotLimit::Network { bytes_per_s: 1.2e7, waiting: 0.02 },
    ]
}

fn durations(slowest: &[LaneSlice], partitions: usize) -> Durations {
    let max_s = slowest[0].took_s;
    Durations { partitions, p50_s: max_s / 3.0, p90_s: max_s / 2.0, p99_s: max_s / 1.2, max_s }
}

fn worker_line(worker: usize, lanes: &[LaneSlice]) -> WorkerLine {
    let own = || lanes.iter().filter(|slice| slice.worker == worker);
    WorkerLine {
        worker,
        partitions: own().count() as u64,
        rows: own().map(|slice| slice.rows).sum(),
        busy: 0.97,
        cpu: Some(0.42),
        mostly: Some(Activity::Sending),
        mostly_share: 0.33,
        in_progress_s: None,
    }
}

fn after_step() -> AfterStep {
    AfterStep {
        bottleneck: 0,
        gain: estimate(2.7, 3.1, 3.4),
        job_s: estimate(11_858.8, 13_006.0, 14_933.0),
        eta_s: None,
        workers: 4,
        load: Some(3.9),
        memory_bytes: Some(412_000_000),
        sessions: Some(5),
    }
}

/// A run that was killed at once, on a machine of which nothing is known.
pub(super) fn bare() -> Analysis {
    Analysis {
        format: FORMAT,
        header: Header { run: "r".to_owned(), ..Header::default() },
        run: RunSummary {
            state: RunEnding::Unfinished,
            took_s: 0.0,
            totals: Totals::default(),
            rows_per_s: 0.0,
            bytes_per_s: 0.0,
            workers: 0.0,
            workers_max: 0,
            job_s: None,
            memory_bytes_max: None,
        },
        finding: Headline::NothingWritten,
        bottlenecks: Vec::new(),
        resources: None,
        activities: Vec::new(),
        scaling: Vec::new(),
        worth: None,
        combined: None,
        eta_vs_observed: None,
        estimate_vs_observed: None,
        timeline: Vec::new(),
        lanes: Vec::new(),
        slowest: Vec::new(),
        decisions: Vec::new(),
        unavailable: Vec::new(),
        progress: RunProgress::default(),
        no_estimate: Some(NoEstimate::NothingWritten),
        early: None,
        not_limits: Vec::new(),
        other_runners: None,
        durations: None,
        worker_lines: Vec::new(),
        memory_shortage: None,
    }
}

fn header(partitions: u64) -> Header {
    let machine = MachineLimits {
        cores_allowed: Some(4.0),
        memory_bytes: Some(33_600_000_000),
        memory_allowed_bytes: Some(8_589_934_592),
        ..record::header().machine
    };
    Header {
        source: "the directory /srv/fx".to_owned(),
        sink: "database fx at db.example, schema reg".to_owned(),
        sink_kind: "postgres".to_owned(),
        sink_is_local: Some(false),
        partitions,
        machine,
        sessions_max: Some(17),
        sessions_why: Some("100 of the server, less 3 reserved, less 80 others'".to_owned()),
        settings: vec![setting()],
        ..record::header()
    }
}

fn setting() -> Setting {
    record::setting("run.workers", "1")
}

fn too_few_workers() -> RankedCause {
    RankedCause {
        cause: LimitingCause::Workers,
        impact: 0.655,
        evidence: vec![
            Observation::WorkersAtOnce { workers: 1, workers_wanted: 4 },
            Observation::OwnCores { own_cores: 0.8, cores: Some(4) },
            Observation::WorkerWaits { share: 0.58 },
        ],
        setting: Some(setting()),
        remedy: Some(Remedy {
            change: Change::Setting {
                name: "run.workers".to_owned(),
                before: Some("1".to_owned()),
                after: Some("auto".to_owned()),
            },
            applies: AppliesWhen::NextRun,
            gain: Some(estimate(2.6, 2.9, 3.1)),
            job_s: Some(estimate(13_006.0, 13_903.0, 15_507.0)),
            limit_then: Limit::Cores,
            server_unseen: false,
            watch: Watch::LoadAverage { cores: Some(4) },
            try_on: Some(Partition::new("eurusd".to_owned(), "2017-01".parse().unwrap())),
        }),
    }
}

fn slow_commits() -> RankedCause {
    RankedCause {
        cause: LimitingCause::Commit,
        impact: 0.043,
        evidence: vec![Observation::PartitionWait {
            waited_for: WaitedFor::Commit,
            wait_s: 0.22,
            share: 0.043,
            partition_s: 5.1,
        }],
        setting: None,
        remedy: None,
    }
}

fn bandwidth() -> Capacity {
    Capacity::Time { limit: Limit::StoreBandwidth, at_once: 2.0, partition_s: 0.24, rows_per_s: 250_000.0 }
}

fn resources() -> Resources {
    Resources {
        cores: CoresUse {
            utilisation: Some(0.81),
            own: Some(2.9),
            others: Some(0.3),
            stolen: None,
            all: Some(8),
            allowed: Some(4.0),
            quota_reached: None,
            waiting_threads: Some(0.4),
            pressure: Some(0.12),
            load_max: Some(3.6),
        },
        memory: MemoryUse {
            utilisation: Some(0.048),
            bytes_max: Some(412_300_000),
            room_bytes: Some(8.6e9),
            pressure: Some(0.0),
        },
        disks: DisksUse {
            busy: None,
            device_read_bytes_per_s: None,
            device_written_bytes_per_s: None,
            read_bytes_per_s: None,
            written_bytes_per_s: None,
            pressure: None,
        },
        sessions: Some(SessionsUse {
            utilisation: Some(5.0 / 17.0),
            own: 5,
            own_max: Some(17),
            all: Some(85),
            all_max: Some(97),
            waiting_share: 0.0,
        }),
        store: StoreUse {
            utilisation: None,
            cores: Some(3.7),
            cores_all: None,
            basis: ServerCpuBasis::Sessions,
            samples: 200,
            waiting_share: 0.63,
            waits: vec![WaitShare { wait: WaitKind::Sync, event: "IO:WALSync".to_owned(), sessions: 0.4 }],
            errors: 3,
        },
    }
}

fn scaling() -> Vec<Scaling> {
    (1..=8).map(scaling_line).chain([16, 32].map(scaling_line)).collect()
}

fn scaling_line(workers: usize) -> Scaling {
    let expected = 41_310.0 * workers as f64 / (1.0 + 0.04 * (workers * workers) as f64).sqrt();
    let (basis, spread) = match workers {
        1 | 2 | 4 => (Basis::Measured, 0.02),
        3 | 5..=8 => (Basis::Modelled, 0.02 * workers as f64),
        _ => (Basis::Ceiling, 0.0),
    };
    let around = |middle: f64| estimate(middle * (1.0 - spread), middle, middle * (1.0 + spread));
    let is_known = basis != Basis::Ceiling;
    Scaling {
        workers,
        basis,
        rows_per_s: is_known.then(|| around(expected)),
        job_s: is_known.then(|| around(40_320.0 * 41_310.0 / expected)),
        sessions: Some(workers + 1),
        memory_bytes: Some(103_000_000 * workers as u64),
        load: Some(0.9 * workers as f64 + 0.3),
        limit: (workers > 8).then(|| WorkersLimit::Sessions {
            workers,
            sessions_wanted: workers + 1,
            sessions: 17,
            workers_max: 16,
            why: Some("100 of the server - 3 reserved - 80 of others".to_owned()),
        }),
        server_unseen: false,
    }
}

fn decision(at_ms: u64, was: usize, workers: usize, reason: &str, rows_per_s: Option<f64>) -> Decision {
    Decision { at_ms, was, workers, reason: reason.to_owned(), held_back_by: None, rows_per_s }
}
