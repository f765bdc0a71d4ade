//! [`Conditions`]: the machines, the store and the job of a simulation.

/// What is simulated. Times are in seconds; those of work are means, which vary from partition to partition.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    pub(crate) partitions: u32,
    pub(crate) machines: u32,
    /// Of each machine.
    pub(crate) workers: u32,
    /// Of each machine.
    pub(crate) cores: u32,
    /// Whether each machine has a share of its own; else all have the whole job, and begin at different places.
    pub(crate) shards: bool,
    /// How many machines die when half of the partitions are done.
    pub(crate) deaths: u32,
    /// How long the store takes to release what a dead machine has claimed.
    pub(crate) notice_s: f64,
    /// How many workers the store admits, on all machines together.
    pub(crate) sessions: u32,
    /// How many partitions the store works on at once: the cores of a server, the lanes of a file system.
    pub(crate) store_lanes: u32,
    /// The time of a lane for the series of a partition.
    pub(crate) store_read_s: f64,
    /// The time of a lane for the features of a partition.
    pub(crate) store_write_s: f64,
    /// Processor time of the runner for a partition.
    pub(crate) compute_s: f64,
    /// A look: one round trip.
    pub(crate) look_s: f64,
    /// Waits for the source, beside the store's own work.
    pub(crate) read_s: f64,
    /// A claim with the second look.
    pub(crate) claim_s: f64,
    /// A commit with all its waits.
    pub(crate) commit_s: f64,
    /// What a runner takes to list a partition and to note its mark, before it begins with the first.
    pub(crate) start_s: f64,
    /// How much the work of partitions and the waits vary: the standard deviation of their logarithms.
    pub(crate) spread: f64,
    pub(crate) seed: u64,
}

/// Marks that one question is about.
pub(crate) const MARKS_A_QUESTION: u32 = 1000;

impl Conditions {
    /// Machines of 8 cores before a store, with partitions of the reference workload (30,900 rows x 180 features, 35 MB).
    pub(crate) fn of_store(store: &str) -> Result<Self, String> {
        let common = Self {
            partitions: 336,
            machines: 4,
            workers: 8,
            cores: 8,
            shards: true,
            deaths: 0,
            notice_s: 60.0,
            sessions: u32::MAX,
            store_lanes: 16,
            store_read_s: 0.0,
            store_write_s: 0.0,
            compute_s: 0.04,
            look_s: 0.0005,
            read_s: 0.001,
            claim_s: 0.0005,
            commit_s: 0.005,
            start_s: 20e-6,
            spread: 0.3,
            seed: 1,
        };
        match store {
            // A file system of 4 GB/s: 16 lanes of 250 MB/s, a millisecond an operation.
            "parquet" => Ok(Self {
                store_read_s: 0.002,
                store_write_s: 0.14,
                look_s: 0.003,
                read_s: 0.004,
                claim_s: 0.005,
                commit_s: 0.02,
                ..common
            }),
            // A server of 32 cores, which has more to do with a partition than its runner.
            "postgres" => {
                Ok(Self { sessions: 200, store_lanes: 32, store_read_s: 0.02, store_write_s: 0.65, ..common })
            }
            _ => Err(format!("`{store}` is no store of the simulation: parquet or postgres")),
        }
    }

    /// The same with another value for a field.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Result<Self, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("{name}={value}: {error}");
        if let Some(field) = self.whole_number(name) {
            *field = value.parse().map_err(|error| wrong(&error))?;
        } else if let Some(field) = self.time(name) {
            *field = value.parse().map_err(|error| wrong(&error))?;
        } else {
            match name {
                "shards" => self.shards = value.parse().map_err(|error| wrong(&error))?,
                "seed" => self.seed = value.parse().map_err(|error| wrong(&error))?,
                _ => return Err(format!("`{name}` is not a condition of the simulation")),
            }
        }
        self.check()
    }

    fn whole_number(&mut self, name: &str) -> Option<&mut u32> {
        Some(match name {
            "partitions" => &mut self.partitions,
            "machines" => &mut self.machines,
            "workers" => &mut self.workers,
            "cores" => &mut self.cores,
            "deaths" => &mut self.deaths,
            "sessions" => &mut self.sessions,
            "store_lanes" => &mut self.store_lanes,
            _ => return None,
        })
    }

    fn time(&mut self, name: &str) -> Option<&mut f64> {
        Some(match name {
            "notice_s" => &mut self.notice_s,
            "store_read_s" => &mut self.store_read_s,
            "store_write_s" => &mut self.store_write_s,
            "compute_s" => &mut self.compute_s,
            "look_s" => &mut self.look_s,
            "read_s" => &mut self.read_s,
            "claim_s" => &mut self.claim_s,
            "commit_s" => &mut self.commit_s,
            "start_s" => &mut self.start_s,
            "spread" => &mut self.spread,
            _ => return None,
        })
    }

    fn check(mut self) -> Result<Self, String> {
        let names = ["partitions", "machines", "workers", "cores", "sessions", "store_lanes"];
        for name in names {
            if self.whole_number(name).is_some_and(|number| *number == 0) {
                return Err(format!("{name} is at least 1"));
            }
        }
        const TIMES: [&str; 10] = [
            "notice_s",
            "store_read_s",
            "store_write_s",
            "compute_s",
            "look_s",
            "read_s",
            "claim_s",
            "commit_s",
            "start_s",
            "spread",
        ];
        for name in TIMES {
            if self.time(name).is_some_and(|time| !(0.0..1e9).contains(time)) {
                return Err(format!("{name} is not between 0 and 1e9"));
            }
        }
        if self.deaths >= self.machines { Err("one machine has to survive".to_owned()) } else { Ok(self) }
    }
}
