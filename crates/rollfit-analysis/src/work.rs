//! [`Work`]: a partition's way through the stations, and what limits the speed besides: all that the throughput of N
//! workers follows from.

use super::demand::Demand;
use super::network::{Network, QueueStation, WORKERS_MAX};

/// What a partition needs of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) rows: f64,
    pub(super) bytes: f64,
    /// Processor time of this process.
    pub(super) own_cpu_s: f64,
    /// Processor time of the store that its session is waited for, where it is on this machine.
    pub(super) store_cpu_s: f64,
    /// Processor time of the store while this process computes too.
    pub(super) hidden_cpu_s: f64,
    pub(super) cores: Cores,
    /// Small questions, and opening sessions.
    pub(super) querying_s: f64,
    /// Waits that are not work of any resource.
    pub(super) pausing_s: f64,
    /// Each that workers share, by [`Station`].
    pub(super) shared: [Shared; Station::ALL.len()],
    /// `cpu_max`.
    pub(super) cores_max: Option<f64>,
    /// `store_write_mb_per_s_max`.
    pub(super) bytes_per_s_max: Option<f64>,
}

/// The cores for this process, and others who want some all the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cores {
    pub(super) allowed: f64,
    pub(super) competing_cores: f64,
}

/// Something that workers share and that may be able to serve only a few at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Station {
    Reading,
    Sending,
    Committing,
}

/// What is shared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shared {
    /// What a partition costs when it runs alone.
    pub(super) demand_s: f64,
    /// How many it serves at once as fast as one.
    pub(super) servers: f64,
}

impl Station {
    pub(super) const ALL: [Station; 3] = [Station::Reading, Station::Sending, Station::Committing];

    /// Its place among the stations of [`Work::network`].
    pub(super) fn station(self) -> usize {
        2 + self as usize
    }
}

impl Work {
    /// What a partition costs, where nobody waits for another but at the cores.
    pub(super) fn new(demand: &Demand, store_cpu_s: f64, cores: Cores) -> Self {
        // The store's processor time is a part of what its session was waited for; what is more, nobody waited for.
        let store_wait_s = (demand.store_s() + demand.reading_s).max(1e-9);
        let waited_cpu_s = store_cpu_s.min(store_wait_s / demand.stretch);
        let rest = 1.0 - waited_cpu_s * demand.stretch / store_wait_s;
        let shared = |demand_s| Shared { demand_s: demand_s * rest, servers: f64::INFINITY };
        Self {
            rows: demand.rows,
            bytes: demand.bytes,
            own_cpu_s: demand.cpu_s,
            store_cpu_s: waited_cpu_s,
            hidden_cpu_s: store_cpu_s - waited_cpu_s,
            cores,
            querying_s: (demand.querying_s + demand.latency_s) * rest,
            pausing_s: demand.pausing_s + demand.waiting_s + demand.throttled_s,
            shared: [demand.reading_s, demand.sending_s, demand.making_durable_s()].map(shared),
            cores_max: None,
            bytes_per_s_max: None,
        }
    }

    pub(super) fn at(&self, place: Station) -> Shared {
        self.shared[place as usize]
    }

    pub(super) fn at_mut(&mut self, place: Station) -> &mut Shared {
        &mut self.shared[place as usize]
    }

    /// The stations: cores, pure waits, then each [`Station`].
    pub(super) fn network(&self) -> Network {
        let shared = |shared: &Shared| QueueStation {
            demand_s: shared.demand_s,
            servers: shared.servers,
            competing_cores: 0.0,
        };
        let alone = [self.core_station(), QueueStation::delay(self.querying_s + self.pausing_s)];
        Network { stations: alone.into_iter().chain(self.shared.iter().map(shared)).collect() }
    }

    fn core_station(&self) -> QueueStation {
        let demand_s = self.own_cpu_s + self.store_cpu_s;
        let observed = demand_s / (demand_s + self.hidden_cpu_s).max(1e-12);
        QueueStation {
            demand_s,
            servers: self.cores.allowed * observed,
            competing_cores: self.cores.competing_cores * observed,
        }
    }

    /// Processor time of a partition, the store's included.
    pub(super) fn cpu_s(&self) -> f64 {
        self.own_cpu_s + self.store_cpu_s + self.hidden_cpu_s
    }

    /// What a partition takes when it is alone.
    pub(super) fn alone_s(&self) -> f64 {
        self.network().stations.iter().map(|station| station.demand_s).sum()
    }

    /// Rows a second of 0, 1, 2.. workers.
    pub(super) fn rows_per_s(&self, workers: usize) -> Vec<f64> {
        let rates = self.network().rates(workers.min(WORKERS_MAX));
        let most = self.own_limit();
        rates.into_iter().map(|rate| rate.min(most) * self.rows).collect()
    }

    /// The partitions a second that own limits allow.
    pub(super) fn own_limit(&self) -> f64 {
        let by_cpu = self.cores_max.map_or(f64::INFINITY, |cores| cores / self.own_cpu_s);
        let by_bytes = self.bytes_per_s_max.map_or(f64::INFINITY, |bytes_per_s| bytes_per_s / self.bytes);
        by_cpu.min(by_bytes)
    }
}
