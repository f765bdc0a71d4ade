//! [`World`]: what a simulated run works on: a machine, a source, a store, and partitions. The default is a quiet machine of
//! eight cores and a store near by that takes all it is given, so that a scenario says only what is different.

/// All of it.
#[derive(Clone, Debug)]
pub struct World {
    pub machine: SimulatedMachine,
    pub source: SimulatedSource,
    pub store: SimulatedStore,
    pub job: SimulatedJob,
    pub limits: SimulatedLimits,
    /// What is random is so by this.
    pub seed: u64,
}

/// The machine that the workers are on.
#[derive(Clone, Debug)]
pub struct SimulatedMachine {
    pub cores: usize,
    /// The cores that the quota of a control group allows.
    pub cores_allowed: Option<f64>,
    pub memory_bytes: u64,
    /// What other processes take of it, from a second on.
    pub memory_of_others: Over<u64>,
    /// The threads of other processes that want a core, from a second on.
    pub competing: Over<f64>,
    /// How much more of a core another process's thread gets than one of this process, where there are too few.
    pub neighbour_weight: f64,
}

/// Where series come from.
#[derive(Clone, Debug)]
pub struct SimulatedSource {
    /// To read a row, however many do.
    pub read_us_per_row: f64,
    /// The rows a second that it gives all readers together.
    pub rows_per_s_max: f64,
}

/// Where features go.
#[derive(Clone, Debug)]
pub struct SimulatedStore {
    /// The bytes a second that it takes from all sessions together, from a second on.
    pub bytes_per_s: Over<f64>,
    /// The bytes a second that it takes from one session.
    pub session_bytes_per_s: f64,
    /// By what share its bandwidth shrinks with every session beyond `crowd` that sends at once.
    pub crowding: f64,
    pub crowd: usize,
    /// The small questions of a partition, and how long a round trip takes: what each of them takes, what a commit and every other
    /// statement takes beside its work.
    pub questions: u32,
    pub question_ms: f64,
    pub connect_ms: f64,
    /// What the statements of a partition that are no questions take of the server's processor time.
    pub deleting_ms: f64,
    pub keying_ms: f64,
    pub analyzing_ms: f64,
    pub vacuuming_ms: f64,
    /// How long a partition takes to be made durable, and how many can be at once.
    pub commit_ms: f64,
    pub commits_at_once: usize,
    /// The processor time of the server for a byte, on this machine if it is local.
    pub cpu_us_per_byte: f64,
    pub is_local: bool,
    /// The cores of a server elsewhere, and whether it tells how busy they are; none for as many as it needs.
    pub server_cores: Option<f64>,
    pub tells_cpu: bool,
    /// A server has sessions and reports its state. A directory has neither.
    pub is_server: bool,
    /// The most sessions that this process may have.
    pub sessions_max: Option<usize>,
    /// The share of the partitions that another session has locked when they are written, and for how long.
    pub locked_share: f64,
    pub locked_ms: f64,
    /// The share of the partitions that another runner has, and until when.
    pub held_share: f64,
    pub held_until_s: f64,
    /// The share of the attempts that fail for a cause that passes.
    pub failing_share: f64,
    /// Rows of one series before those of the next: only the first half of what is sent counts as rows.
    pub series_apart: bool,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub struct SimulatedJob {
    pub partitions: usize,
    /// The rows of a partition, on average.
    pub rows: u64,
    /// How far they lie apart: 0.2 is between 80% and 120% of the average.
    pub spread: f64,
    /// Which partition, counted from 0, has how many times the rows.
    pub oversized: Option<(usize, f64)>,
    pub largest_first: bool,
    pub compute_us_per_row: f64,
    pub encode_us_per_row: f64,
    pub bytes_per_row: u64,
    /// What a worker holds without rows, and for a row.
    pub worker_bytes: u64,
    pub worker_bytes_per_row: u64,
    /// What is thought at first that a worker holds.
    pub guessed_worker_bytes: u64,
}

/// What the configuration allows.
#[derive(Clone, Debug, Default)]
pub struct SimulatedLimits {
    pub cpu_max: Option<f64>,
    pub store_write_mb_per_s_max: Option<f64>,
}

/// A value that changes at some seconds.
#[derive(Clone, Debug)]
pub struct Over<T>(Vec<(u64, T)>);

impl<T: Copy> Over<T> {
    pub fn always(value: T) -> Self {
        Self(vec![(0, value)])
    }

    /// The first is from second 0 on.
    pub fn steps(steps: &[(u64, T)]) -> Self {
        assert_eq!(steps[0].0, 0, "what it is at first is not said");
        Self(steps.to_vec())
    }

    pub fn at(&self, second: u64) -> T {
        self.0.iter().rev().find(|(from, _)| *from <= second).unwrap().1
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            machine: SimulatedMachine::default(),
            source: SimulatedSource { read_us_per_row: 2.0, rows_per_s_max: f64::INFINITY },
            store: SimulatedStore::default(),
            job: SimulatedJob::default(),
            limits: SimulatedLimits::default(),
            seed: 1,
        }
    }
}

impl Default for SimulatedMachine {
    fn default() -> Self {
        Self {
            cores: 8,
            cores_allowed: None,
            memory_bytes: 32 << 30,
            memory_of_others: Over::always(1 << 30),
            competing: Over::always(0.0),
            neighbour_weight: 1.0,
        }
    }
}

impl Default for SimulatedStore {
    fn default() -> Self {
        Self {
            bytes_per_s: Over::always(4e9),
            session_bytes_per_s: 1e9,
            crowding: 0.0,
            crowd: usize::MAX,
            questions: 6,
            question_ms: 0.2,
            connect_ms: 2.0,
            deleting_ms: 0.0,
            keying_ms: 0.0,
            analyzing_ms: 0.0,
            vacuuming_ms: 0.0,
            commit_ms: 5.0,
            commits_at_once: usize::MAX,
            cpu_us_per_byte: 0.0,
            is_local: false,
            server_cores: None,
            tells_cpu: false,
            is_server: true,
            sessions_max: Some(96),
            locked_share: 0.0,
            locked_ms: 0.0,
            held_share: 0.0,
            held_until_s: 0.0,
            failing_share: 0.0,
            series_apart: false,
        }
    }
}

impl Default for SimulatedJob {
    /// About a second of one core a partition.
    fn default() -> Self {
        Self {
            partitions: 2000,
            rows: 30_000,
            spread: 0.2,
            oversized: None,
            largest_first: false,
            compute_us_per_row: 25.0,
            encode_us_per_row: 8.0,
            bytes_per_row: 1440,
            worker_bytes: 2 << 20,
            worker_bytes_per_row: 40,
            guessed_worker_bytes: 100 << 20,
        }
    }
}

impl World {
    /// The rows of every partition, in the order in which they start.
    pub fn rows(&self) -> Vec<(usize, u64)> {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let job = &self.job;
        let mut rows = |at: usize| {
            let varied = job.rows as f64 * (1.0 + job.spread * (2.0 * random.f64() - 1.0));
            let times =
                job.oversized.filter(|(oversized, _)| *oversized == at).map_or(1.0, |(_, times)| times);
            (at, (varied * times).max(1.0) as u64)
        };
        let mut partitions: Vec<(usize, u64)> = (0..job.partitions).map(&mut rows).collect();
        if job.largest_first {
            partitions.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        }
        partitions
    }
}
