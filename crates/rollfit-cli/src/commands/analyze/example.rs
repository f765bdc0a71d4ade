//! Analyses to test what is made of them: one that tells everything, and one that hardly tells a thing.

mod over_time;

use rollfit_analysis::{
    Analysis, Basis, Bottleneck, Cause, Combined, Estimate, FORMAT, Foretold, LaneSlice, Predicted, Remedy,
    Resource, RunFacts, Scaling, Worth,
};
use rollfit_job::record::{Decision, Header, Unavailable};
use rollfit_job::spec::{Origin, Setting};
use rollfit_job::watch::{MachineLimits, Totals};

use self::over_time::{activities, lanes, timeline};

fn estimate(low: f64, expected: f64, high: f64) -> Estimate {
    Estimate { low, expected, high }
}

/// A run of one worker where four would pay: 336 partitions.
pub(super) fn full() -> Analysis {
    of_partitions(336, 4)
}

/// As [`full`], with so many partitions, done by so many workers.
pub(super) fn of_partitions(partitions: u64, workers: usize) -> Analysis {
    let lanes: Vec<LaneSlice> = lanes(partitions, workers);
    let took_s = lanes.iter().map(|slice| slice.begun_s + slice.took_s).fold(0.0, f64::max);
    let rows = lanes.iter().map(|slice| slice.rows).sum();
    let totals = Totals {
        partitions,
        ended: partitions,
        written: partitions - 1,
        failed: 1,
        retries: 2,
        rows,
        bytes: rows * 1440,
    };
    let mut slowest = lanes.clone();
    slowest.sort_by(|a, b| b.took_s.total_cmp(&a.took_s));
    slowest.truncate(12);
    Analysis {
        format: FORMAT,
        header: header(partitions),
        run: RunFacts {
            state: "finished".to_owned(),
            took_s,
            totals,
            rows_per_s: rows as f64 / took_s,
            bytes_per_s: totals.bytes as f64 / took_s,
            workers: workers as f64 - 0.25,
            workers_max: workers,
            job_s: Some(40_320.0),
            memory_bytes_max: Some(412_300_000),
        },
        finding: "Fewer workers than would pay: the store was at work 24% of the time and 3 of 4 cores were idle, while \
            the one worker was blocked sending 58% of its time."
            .to_owned(),
        bottlenecks: vec![workers_bottleneck(), commit_bottleneck()],
        resources: resources(),
        activities: activities(&lanes),
        scaling: scaling(),
        worth: Some(Worth {
            workers: 6,
            why: "the seventh adds 1.4%, less than 3%, because the store's log takes 180.0 MB/s".to_owned(),
        }),
        combined: Some(Combined {
            gain: estimate(2.7, 3.1, 3.4),
            job_s_now: 40_320.0,
            job_s: estimate(11_858.8, 13_006.0, 14_933.0),
            steps: vec![
                "workers = 1 -> workers = 4, from the next run".to_owned(),
                "synchronous_commit = on -> off for the role, at once".to_owned(),
            ],
        }),
        foretold: Some(Foretold {
            at_s: 120.0,
            told_s: estimate(330.0, 360.0, 400.0),
            left_s: 352.0,
            error: 360.0 / 352.0 - 1.0,
        }),
        predicted: Some(Predicted {
            by_run: "20261121T093012Z-815".to_owned(),
            changes: vec!["run.workers = 1 -> 4".to_owned()],
            rows_per_s: estimate(75_112.0, 81_954.0, 90_049.0),
            observed_rows_per_s: 78_676.0,
            error: -0.04,
        }),
        timeline: timeline(took_s, workers),
        slowest,
        lanes,
        decisions: vec![
            decision(0, 0, 1, "2 of 4 cores are free, the store allows 17 sessions: begin with 1", None),
            decision(61_000, 1, 2, "41,310 rows/s with 1: try 2", Some(41_310.4)),
            decision(
                140_500,
                2,
                workers,
                "80,122 rows/s with 2, 94% more: go on while another worker adds more than 5%",
                Some(80_122.0),
            ),
        ],
        unavailable: vec![Unavailable {
            at_ms: 1_003,
            what: "pressure".to_owned(),
            cause: "/proc/pressure/cpu: no such file or directory".to_owned(),
        }],
    }
}

/// A run that was killed at once, on a machine that tells nothing.
pub(super) fn bare() -> Analysis {
    Analysis {
        format: FORMAT,
        header: Header { run: "r".to_owned(), ..Header::default() },
        run: RunFacts {
            state: "unfinished".to_owned(),
            took_s: 0.0,
            totals: Totals::default(),
            rows_per_s: 0.0,
            bytes_per_s: 0.0,
            workers: 0.0,
            workers_max: 0,
            job_s: None,
            memory_bytes_max: None,
        },
        finding: "The record tells nothing: no partition has ended.".to_owned(),
        bottlenecks: Vec::new(),
        resources: vec![Resource {
            name: "cores".to_owned(),
            utilisation: None,
            used: String::new(),
            saturation: None,
            errors: None,
        }],
        activities: Vec::new(),
        scaling: Vec::new(),
        worth: None,
        combined: None,
        foretold: None,
        predicted: None,
        timeline: Vec::new(),
        lanes: Vec::new(),
        slowest: Vec::new(),
        decisions: Vec::new(),
        unavailable: Vec::new(),
    }
}

fn header(partitions: u64) -> Header {
    Header {
        format: 1,
        version: "0.1.0".to_owned(),
        run: "20261122T184510Z-4711".to_owned(),
        started: "2026-11-22T18:45:10Z".to_owned(),
        host: "loader-3".to_owned(),
        pid: 4711,
        config: "/srv/fx/rollfit.toml".to_owned(),
        job: "7c1f".to_owned(),
        source: "the directory /srv/fx".to_owned(),
        sink: "database fx at db.example, schema reg".to_owned(),
        source_kind: "parquet".to_owned(),
        sink_kind: "postgres".to_owned(),
        sink_is_local: Some(false),
        partitions,
        features: 180,
        fits: 12,
        kernel: "AVX2".to_owned(),
        machine: MachineLimits {
            cores: Some(8),
            cores_allowed: Some(4.0),
            memory_bytes: Some(33_600_000_000),
            memory_allowed_bytes: Some(8_589_934_592),
            unavailable: Vec::new(),
        },
        sessions_max: Some(17),
        sessions_why: Some("100 of the server, less 3 reserved, less 80 others'".to_owned()),
        settings: vec![setting()],
    }
}

fn setting() -> Setting {
    Setting { name: "run.workers".to_owned(), value: Some("1".to_owned()), origin: Origin::Line(31) }
}

fn workers_bottleneck() -> Bottleneck {
    Bottleneck {
        cause: Cause::Workers,
        title: "Fewer workers than would pay".to_owned(),
        impact: 0.655,
        evidence: vec![
            "1 worker on 4 cores: 0.8 cores were busy, 3.1 were not.".to_owned(),
            "The server was at work for 0.24 of 1 session; its log took 41.2 MB/s.".to_owned(),
            "Sending took 58% of the worker's time, and no session waited for a lock or for disks while it did, \
             which says that the round trips of one connection are what it waited for."
                .to_owned(),
        ],
        setting: Some(setting()),
        remedy: Some(Remedy {
            action: "Let four partitions be worked on at once".to_owned(),
            before: "workers = 1".to_owned(),
            after: "workers = 4".to_owned(),
            applies: "next run".to_owned(),
            gain: Some(estimate(2.6, 2.9, 3.1)),
            job_s: Some(estimate(13_006.0, 13_903.0, 15_507.0)),
            risk: "Four times the memory of one worker: 412.3 MB of 8.6 GB.".to_owned(),
            effort: "One line of the configuration.".to_owned(),
            watch: "The share of time in which tasks wait for disks, at most 20%".to_owned(),
            roll_back: "workers = 1 in the configuration; what is written stays".to_owned(),
            try_on_one: "rollfit run --workers 4 --only eurusd:2017-01 --force --config /srv/fx/rollfit.toml"
                .to_owned(),
        }),
    }
}

fn commit_bottleneck() -> Bottleneck {
    Bottleneck {
        cause: Cause::Commit,
        title: "Each commit waits for the disk".to_owned(),
        impact: 0.043,
        evidence: vec!["Committing took 4.3% of the workers' time, 0.22 s a partition.".to_owned()],
        setting: None,
        remedy: None,
    }
}

fn resources() -> Vec<Resource> {
    let resource = |name: &str, utilisation, used: &str, saturation: Option<&str>, errors| Resource {
        name: name.to_owned(),
        utilisation,
        used: used.to_owned(),
        saturation: saturation.map(str::to_owned),
        errors,
    };
    vec![
        resource(
            "cores",
            Some(0.81),
            "3.2 of 4: 2.9 by this process, 0.3 by others",
            Some("0.4 threads"),
            Some(0),
        ),
        resource("memory", Some(0.048), "412.3 MB of 8.6 GB", Some("no pressure"), Some(0)),
        resource("disk", None, "", None, None),
        resource("sessions", Some(4.0 / 17.0), "4 of 17", Some("nobody waited"), Some(0)),
        resource(
            "store",
            Some(0.93),
            "3.7 of 4 sessions at work, an estimate",
            Some("WALWrite 12%"),
            Some(3),
        ),
    ]
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
        limit: (workers > 8).then(|| {
            format!(
                "no gain: limited by sessions, {} asked of 17 = 100 of the server - 3 reserved - 80 others'",
                workers + 1
            )
        }),
    }
}

fn decision(at_ms: u64, was: usize, workers: usize, reason: &str, rows_per_s: Option<f64>) -> Decision {
    Decision { at_ms, was, workers, reason: reason.to_owned(), rows_per_s }
}
