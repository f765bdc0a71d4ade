//! [`Load`]: how many want each thing at one moment, and how fast each of them gets on: cores, the source and the way to the
//! store are shared evenly.

use super::plan::Need;
use super::world::World;

/// How many steps need what.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) own: usize,
    pub(crate) server: usize,
    pub(crate) readers: usize,
    pub(crate) senders: usize,
    pub(crate) commits: usize,
}

/// How fast each gets on: amounts a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Speeds {
    own: f64,
    server: f64,
    read: f64,
    send: f64,
    commit: f64,
    /// The cores that other processes keep busy, all together.
    pub(crate) competing: f64,
}

impl Load {
    pub(crate) fn add(&mut self, need: Need) {
        match need {
            Need::Core => self.own += 1,
            Need::ServerCore => self.server += 1,
            Need::Read => self.readers += 1,
            Need::Send => self.senders += 1,
            Need::Commit => self.commits += 1,
            Need::Time | Need::Session => {}
        }
    }

    /// How fast everybody gets on in a second of the run.
    pub(crate) fn speeds(self, world: &World, second: u64) -> Speeds {
        let store = &world.store;
        let each = |all: f64, count: usize| all / count.max(1) as f64;
        let crowd = self.senders.saturating_sub(store.crowd) as f64;
        let bandwidth = store.bytes_per_s.at(second) / (1.0 + store.crowding * crowd);
        let mut speeds = self.cores(world, second);
        speeds.read =
            (1e6 / world.source.read_us_per_row).min(each(world.source.rows_per_s_max, self.readers));
        speeds.send = store.session_bytes_per_s.min(each(bandwidth, self.senders));
        speeds.commit = each(store.commits_at_once as f64, self.commits).min(1.0);
        speeds
    }

    fn cores(self, world: &World, second: u64) -> Speeds {
        let machine = &world.machine;
        let allowed = machine.cores_allowed.unwrap_or(machine.cores as f64);
        let threads = machine.competing.at(second);
        let server = if world.store.is_local { self.server } else { 0 };
        let wanting = [
            Wanting {
                threads: self.own as f64,
                weight: 1.0,
                most: (allowed / self.own.max(1) as f64).min(1.0),
            },
            Wanting { threads: server as f64, weight: 1.0, most: 1.0 },
            Wanting { threads, weight: machine.neighbour_weight, most: 1.0 },
        ];
        let [own, server, competitor] = share(machine.cores as f64, wanting);
        let elsewhere =
            world.store.server_cores.map_or(1.0, |cores| (cores / self.server.max(1) as f64).min(1.0));
        let server = if world.store.is_local { server } else { elsewhere };
        Speeds { own, server, competing: competitor * threads, ..Speeds::default() }
    }
}

impl std::ops::Add for Load {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            own: self.own + other.own,
            server: self.server + other.server,
            readers: self.readers + other.readers,
            senders: self.senders + other.senders,
            commits: self.commits + other.commits,
        }
    }
}

impl Speeds {
    pub(crate) fn of(&self, need: Need) -> f64 {
        match need {
            Need::Time => 1.0,
            Need::Core => self.own,
            Need::ServerCore => self.server,
            Need::Read => self.read,
            Need::Send => self.send,
            Need::Commit => self.commit,
            Need::Session => 0.0,
        }
    }
}

/// Threads that want a core each.
#[derive(Clone, Copy)]
struct Wanting {
    threads: f64,
    weight: f64,
    /// What one of them takes at most.
    most: f64,
}

/// What one thread of each kind gets of the cores: by weight, and what one leaves the others have.
fn share(cores: f64, wanting: [Wanting; 3]) -> [f64; 3] {
    let mut given: [Option<f64>; 3] = [None; 3];
    loop {
        let taken: f64 =
            given.iter().zip(&wanting).map(|(given, kind)| given.unwrap_or(0.0) * kind.threads).sum();
        let open = given.iter().zip(&wanting).filter(|(given, _)| given.is_none());
        let weight: f64 = open.map(|(_, kind)| kind.weight * kind.threads).sum();
        let each = (cores - taken).max(0.0) / weight.max(1e-9);
        let full = |at: &usize| given[*at].is_none() && wanting[*at].weight * each >= wanting[*at].most;
        match (0..3).find(full) {
            Some(at) => given[at] = Some(wanting[at].most),
            None => return std::array::from_fn(|at| given[at].unwrap_or(wanting[at].weight * each)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_by_weight_and_what_one_leaves_the_others_have() {
        let kind = |threads, weight| Wanting { threads, weight, most: 1.0 };
        assert_eq!(share(4.0, [kind(2.0, 1.0), kind(1.0, 1.0), kind(1.0, 1.0)]), [1.0; 3]);
        assert_eq!(share(4.0, [kind(6.0, 1.0), kind(0.0, 1.0), kind(2.0, 1.0)]), [0.5, 0.5, 0.5]);
        let [own, _, competitor] = share(4.0, [kind(6.0, 1.0), kind(0.0, 1.0), kind(2.0, 20.0)]);
        assert!((own - 2.0 / 6.0).abs() < 1e-9 && competitor == 1.0, "{own} {competitor}");
    }
}
