//! [`Work`]: what a partition needs of everything: all that the throughput of N workers follows from.

use rollfit_job::watch::MachineLimits;

use super::demand::Demand;
use super::network::{Network, QueueStation, WORKERS_MAX};
use super::tuning::{SYSTEM_CORES_MOST, SYSTEM_SHARE, WAKING_SHARE};

/// What a partition needs of everything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    pub(super) rows: f64,
    pub(super) bytes: f64,
    /// Processor time of this process.
    pub(super) own_cpu_s: f64,
    /// Processor time of the store's server, where it is on this machine.
    pub(super) store_cpu_s: f64,
    /// The share of the processor time that the partition takes longer by; while the rest of it runs, another part of the same partition does.
    pub(super) alone_share: f64,
    /// What a worker alone on the cores needs of that processor time: see [`Cores::ease`].
    pub(super) ease: f64,
    pub(super) cores: Cores,
    /// The processors of a server elsewhere; none where they are not known.
    pub(super) server: Option<ServerCores>,
    /// What a partition waits for, by [`Wait`], over and above the processor time.
    pub(super) waits_s: Waits,
    /// Which of them are had by a few at a time, and by how many.
    pub(super) queue: Queue,
    /// `cpu_max`.
    pub(super) cores_max: Option<f64>,
    /// The quota of the control group, where it is used up. It does not hold a server on this machine.
    pub(super) quota_cores: Option<f64>,
    /// `store_write_mb_per_s_max`.
    pub(super) bytes_per_s_max: Option<f64>,
}

/// The cores for this process and its server on this machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cores {
    /// Those really to be had, by affinity, quota, and what the system takes.
    pub(super) allowed: f64,
    /// Those that affinity and quota allow this process.
    pub(super) own_max: f64,
    /// All of the machine.
    pub(super) all: f64,
    /// What others want of them all the time.
    pub(super) competing_cores: f64,
    /// The share of the machine that the system takes.
    pub(super) system_share: f64,
}

/// The processors of a server elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ServerCores {
    pub(super) cores: f64,
    /// What a partition costs there.
    pub(super) cpu_s: f64,
}

/// What a partition waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Its source.
    Source,
    /// The way to the stores and back.
    RoundTrips,
    /// Small answers, round trips apart.
    Asking,
    /// The store to take its bytes.
    Bytes,
    /// A core, while others had them.
    Core,
    /// Statements that remove, check, count or clean up rows.
    Statements,
    /// Its commit.
    Commit,
    /// Nothing that works: locks, limits, pauses after failed attempts.
    Pause,
    /// What the throughput needs besides, and no activity shows.
    Unexplained,
}

/// How many [`Wait`]s there are.
const WAITS: usize = 9;

/// Seconds by [`Wait`].
pub(super) type Waits = [f64; WAITS];

/// Waits that only a few workers are served at a time in; the others never keep anybody waiting for another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Queue {
    pub(super) waits: [bool; WAITS],
    /// How many at once are served as fast as one.
    pub(super) servers: f64,
}

impl Wait {
    pub(super) const ALL: [Wait; WAITS] = [
        Wait::Source,
        Wait::RoundTrips,
        Wait::Asking,
        Wait::Bytes,
        Wait::Core,
        Wait::Statements,
        Wait::Commit,
        Wait::Pause,
        Wait::Unexplained,
    ];

    /// Whether it takes its time however many wait.
    pub(super) const fn is_fixed(self) -> bool {
        matches!(self, Wait::RoundTrips | Wait::Pause)
    }
}

impl Queue {
    /// Nobody ever waits for another.
    pub(super) const NONE: Queue = Queue { waits: [false; WAITS], servers: f64::INFINITY };

    /// One queue for these waits.
    pub(super) fn new(servers: f64, is_queued: impl Fn(Wait) -> bool) -> Self {
        Self { waits: Wait::ALL.map(|wait| is_queued(wait) && !wait.is_fixed()), servers }
    }

    /// The same, serving this number at once, at least one.
    pub(super) fn serving(mut self, servers: f64) -> Self {
        self.servers = servers.max(1.0);
        self
    }
}

impl Cores {
    /// The cores beside processes that kept `competing` of them busy while work took `stretch` times as long as alone: those that wanted more
    /// got no more than their share.
    pub(super) fn new(limits: &MachineLimits, stolen: f64, competing: f64, stretch: f64) -> Self {
        let known = limits.cores.map(|cores| cores as f64).or(limits.cores_allowed);
        let Some(all) = known.map(|all| (all - stolen).max(0.1)) else {
            let all = f64::INFINITY;
            return Cores { allowed: all, own_max: all, all, competing_cores: 0.0, system_share: 0.0 };
        };
        let own_max = limits.cores_allowed.unwrap_or(all).min(all).max(0.1);
        // Cores that this process may not use are theirs first.
        let competing_cores = (competing * stretch - (all - own_max)).max(0.0);
        Self { allowed: own_max, own_max, all, competing_cores, system_share: 0.0 }.less_system(SYSTEM_SHARE)
    }

    /// The processor time that work takes alone on the machine, over that which it took while `busy` cores were: the threads of a core slow each
    /// other, and the system works for all.
    pub(super) fn ease(&self, busy: f64) -> f64 {
        let half = self.all / 2.0;
        if half.is_finite() { 1.0 - SYSTEM_SHARE * ((busy - half) / half).clamp(0.0, 1.0) } else { 1.0 }
    }

    /// The processor time that a server takes where it is busy, over that which it took while `busy` cores were: one that mostly waits finds its caches
    /// cold, and each time it wakes costs.
    pub(super) fn awake(&self, busy: f64) -> f64 {
        if self.allowed.is_finite() {
            1.0 - WAKING_SHARE * (1.0 - busy / self.allowed).clamp(0.0, 1.0)
        } else {
            1.0
        }
    }

    /// What is left where the system takes this share of the machine.
    pub(super) fn less_system(self, share: f64) -> Self {
        let system = (self.all * share).min(SYSTEM_CORES_MOST);
        let free = if self.all.is_finite() { self.all - system } else { self.all };
        Self { allowed: self.own_max.min(free), system_share: share, ..self }
    }

    /// The same where affinity and quota allow this process `own_max` cores, at least as many as it had.
    pub(super) fn allowing(self, own_max: f64) -> Self {
        let Self { allowed, system_share, .. } = Self { own_max, ..self }.less_system(self.system_share);
        Self { allowed: allowed.max(self.allowed), own_max, system_share, ..self }
    }
}

impl Work {
    /// The place of the queue among the stations.
    pub(super) const QUEUE: usize = 2;

    /// What a partition costs, by what it waited for when it was measured: an upper bound, as waits for other workers are part of it.
    pub(super) fn new(demand: &Demand, store_cpu_s: f64, server: Option<ServerCores>, cores: Cores) -> Self {
        let mut waits_s = waits_s(demand);
        // The processor time of the store is a part of what its session was waited for, but not of what that waited for itself.
        let server_s = store_cpu_s * demand.stretch + server.map_or(0.0, |server| server.cpu_s);
        let seen = demand.seen_waiting_s;
        let idle_s = |wait: Wait| match wait {
            Wait::Bytes => (seen.bytes_s - demand.sending_latency_s).max(0.0),
            Wait::Commit => seen.durable_s,
            _ => 0.0,
        };
        let left_s = less_busy(&mut waits_s, server_s, |wait, wait_s| (wait_s - idle_s(wait)).max(0.0));
        less_busy(&mut waits_s, left_s, |_, wait_s| wait_s);
        Self {
            rows: demand.rows,
            bytes: demand.bytes,
            own_cpu_s: demand.cpu_s,
            store_cpu_s,
            alone_share: 1.0,
            ease: 1.0,
            cores,
            server,
            waits_s,
            queue: Queue::NONE,
            cores_max: None,
            quota_cores: None,
            bytes_per_s_max: None,
        }
    }

    pub(super) fn wait_s(&self, wait: Wait) -> f64 {
        self.waits_s[wait as usize]
    }

    pub(super) fn wait_mut(&mut self, wait: Wait) -> &mut f64 {
        &mut self.waits_s[wait as usize]
    }

    fn waits_total_s(&self, is_queued: bool) -> f64 {
        let waits = std::iter::zip(self.waits_s, self.queue.waits);
        waits.filter(|(_, queued)| *queued == is_queued).map(|(wait_s, _)| wait_s).sum()
    }

    /// What is waited for one at a time, or a few.
    pub(super) fn queued_s(&self) -> f64 {
        self.waits_total_s(true)
    }

    /// The stations: cores, pure waits, the queue, the processors of a server elsewhere.
    pub(super) fn network(&self) -> Network {
        let queue =
            QueueStation { demand_s: self.queued_s(), servers: self.queue.servers, competing_cores: 0.0 };
        let server = self.server.map(|server| QueueStation {
            demand_s: server.cpu_s,
            servers: server.cores,
            competing_cores: 0.0,
        });
        let known = [self.core_station(), QueueStation::delay(self.waits_total_s(false)), queue];
        Network { stations: known.into_iter().chain(server).collect() }
    }

    fn core_station(&self) -> QueueStation {
        // What all cores do together is what was measured; only one worker alone is faster.
        let eased = self.ease * self.alone_share;
        QueueStation {
            demand_s: self.cpu_s() * eased,
            servers: self.cores.allowed * eased,
            competing_cores: self.cores.competing_cores * self.alone_share,
        }
    }

    /// Processor time of a partition on this machine.
    pub(super) fn cpu_s(&self) -> f64 {
        self.own_cpu_s + self.store_cpu_s
    }

    /// The scarcest cores, and what a partition costs them: those of the quota, or those of the machine.
    pub(super) fn scarcest_cores(&self) -> (f64, f64) {
        let of_machine = (self.cores.allowed, self.cpu_s());
        let of_quota = self.quota_cores.map(|cores| (cores, self.own_cpu_s));
        of_quota.filter(|quota| quota.0 * of_machine.1 < of_machine.0 * quota.1).unwrap_or(of_machine)
    }

    /// What a partition takes when it is alone.
    pub(super) fn alone_s(&self) -> f64 {
        self.network().stations.iter().map(|station| station.demand_s).sum()
    }

    /// Partitions a second of 0, 1, 2.. workers.
    pub(super) fn rates(&self, workers: usize) -> Vec<f64> {
        let most = self.own_limit();
        let rates = self.network().rates(workers.min(WORKERS_MAX));
        rates.into_iter().map(|rate| rate.min(most)).collect()
    }

    /// Rows a second of 0, 1, 2.. workers.
    pub(super) fn rows_per_s(&self, workers: usize) -> Vec<f64> {
        self.rates(workers).into_iter().map(|rate| rate * self.rows).collect()
    }

    /// The partitions a second that own limits allow.
    pub(super) fn own_limit(&self) -> f64 {
        let cores_max = self.cores_max.into_iter().chain(self.quota_cores).reduce(f64::min);
        let by_cpu = cores_max.map_or(f64::INFINITY, |cores| cores / self.own_cpu_s);
        let by_bytes = self.bytes_per_s_max.map_or(f64::INFINITY, |bytes_per_s| bytes_per_s / self.bytes);
        by_cpu.min(by_bytes)
    }

    /// The partitions a second that nothing exceeds: processor time over cores, and limits.
    pub(super) fn rate_max(&self) -> f64 {
        let over = |cores: f64, cpu_s: f64| if cpu_s > 0.0 { cores / cpu_s } else { f64::INFINITY };
        let own = over(self.cores.own_max.max(self.cores.allowed), self.own_cpu_s);
        let machine = over(self.cores.all.max(self.cores.allowed), self.cpu_s());
        let server = self.server.map_or(f64::INFINITY, |server| over(server.cores, server.cpu_s));
        own.min(machine).min(server).min(self.own_limit())
    }
}

/// Takes the time in which a server computed off the waits, from each in proportion to the part of it in which it may have computed; returns
/// what is more than all these parts.
fn less_busy(waits_s: &mut Waits, server_s: f64, busy_s: impl Fn(Wait, f64) -> f64) -> f64 {
    let busy_s =
        Wait::ALL.map(|wait| if wait.is_fixed() { 0.0 } else { busy_s(wait, waits_s[wait as usize]) });
    let all_s: f64 = busy_s.iter().sum();
    let share = (server_s / all_s.max(1e-9)).min(1.0);
    for (wait_s, busy_s) in std::iter::zip(waits_s, busy_s) {
        *wait_s -= share * busy_s;
    }
    (server_s - all_s).max(0.0)
}

fn waits_s(demand: &Demand) -> Waits {
    Wait::ALL.map(|wait| match wait {
        Wait::Source => demand.reading_s,
        Wait::RoundTrips => demand.latency_s,
        Wait::Asking => demand.querying_s,
        Wait::Bytes => demand.sending_s,
        Wait::Core => demand.core_wait_s,
        Wait::Statements => demand.making_durable_s() - demand.committing_s,
        Wait::Commit => demand.committing_s,
        Wait::Pause => demand.pausing_s + demand.waiting_s + demand.throttled_s,
        Wait::Unexplained => 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::super::demand::SeenWaiting;
    use super::*;

    fn work(seen_waiting_s: SeenWaiting, server_cpu_s: f64) -> Work {
        let demand = Demand {
            partitions: 1,
            stretch: 1.0,
            latency_s: 0.3,
            sending_latency_s: 0.2,
            sending_s: 4.0,
            keying_s: 1.0,
            committing_s: 2.0,
            seen_waiting_s,
            ..Demand::default()
        };
        let cores = Cores::new(&MachineLimits::default(), 0.0, 0.0, 1.0);
        Work::new(&demand, server_cpu_s, None, cores)
    }

    #[test]
    fn a_server_that_mostly_waits_needs_more_for_the_same() {
        let limits = MachineLimits { cores: Some(2), ..MachineLimits::default() };
        let cores = Cores::new(&limits, 0.0, 0.0, 1.0);
        assert_eq!((cores.awake(0.0), cores.awake(cores.allowed / 2.0)), (0.85, 0.925));
        assert_eq!((cores.awake(cores.allowed), cores.awake(2.0)), (1.0, 1.0));
        assert_eq!(Cores::new(&MachineLimits::default(), 0.0, 0.0, 1.0).awake(0.1), 1.0);
    }

    #[track_caller]
    fn assert_waits(work: &Work, wanted: [(Wait, f64); 4]) {
        for (wait, wanted_s) in wanted {
            assert!((work.wait_s(wait) - wanted_s).abs() < 1e-9, "{wait:?}: {:?}", work.waits_s);
        }
    }

    #[test]
    fn a_server_computed_while_its_sessions_were_not_seen_to_wait() {
        use Wait::{Bytes, Commit, RoundTrips, Statements};
        let blind = work(SeenWaiting::default(), 3.5);
        assert_waits(&blind, [(Bytes, 2.0), (Statements, 0.5), (Commit, 1.0), (RoundTrips, 0.3)]);
        // Of 4 s of sending 3 s were waited for bytes; the 0.2 s before them were round trips. All of the commit was a sync.
        let seen = SeenWaiting { bytes_s: 3.2, durable_s: 2.5 };
        assert_waits(&work(seen, 1.0), [(Bytes, 3.5), (Statements, 0.5), (Commit, 2.0), (RoundTrips, 0.3)]);
        // It computed more than that leaves room for: looks once a second are rough.
        assert_waits(&work(seen, 3.5), [(Bytes, 2.1), (Statements, 0.0), (Commit, 1.4), (RoundTrips, 0.3)]);
    }
}
