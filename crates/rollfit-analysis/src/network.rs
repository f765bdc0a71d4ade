//! [`Network`]: workers that go round between stations (cores, the source, the store), and how often a second they get
//! round. Solved exactly, by Buzen's convolution (Comm. ACM 16, 1973); the terms and laws are those of Lazowska, Zahorjan,
//! Graham and Sevcik, *Quantitative System Performance* (1984), chapters 3, 5 and 8.
//!
//! Invariants: a station with m servers works at the rate min(n, m) for n workers, m need not be whole, and shares itself
//! among them and its competing load, which does not go round. The result depends on what a round costs at each station, not on how
//! the costs scatter.

/// The most workers that are computed with: beyond, the numbers leave the range of a double.
pub(super) const WORKERS_MAX: usize = 128;

/// Where a worker spends time on a partition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct QueueStation {
    /// What a partition costs there when it runs alone.
    pub(super) demand_s: f64,
    /// How many it serves at once as fast as one; infinity where nobody ever waits for another.
    pub(super) servers: f64,
    /// Others that want to be served all the time, with the same right.
    pub(super) competing_cores: f64,
}

/// The stations of a round.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    pub(super) stations: Vec<QueueStation>,
}

/// The weights of the states of the stations: at \[n\] for n workers there.
type Weights = Vec<f64>;

impl QueueStation {
    pub(super) fn delay(demand_s: f64) -> Self {
        Self { demand_s, servers: f64::INFINITY, competing_cores: 0.0 }
    }

    /// How much faster than for one alone it works for `here`: all have one server each, or a fair share.
    fn rate(self, here: f64) -> f64 {
        if self.servers.is_infinite() {
            return here;
        }
        let fair = self.servers * here / (here + self.competing_cores);
        here.min(fair.max(self.servers - self.competing_cores)).max(f64::MIN_POSITIVE)
    }

    /// For each number of workers there the product of demand over rate; in units of `unit_s`.
    fn weights(self, workers: usize, unit_s: f64) -> Weights {
        let mut weights = vec![1.0];
        for here in 1..=workers {
            weights.push(weights[here - 1] * self.demand_s / unit_s / self.rate(here as f64));
        }
        weights
    }
}

impl Network {
    /// Rounds a second for 0, 1, 2.. up to `workers` workers.
    pub(super) fn rates(&self, workers: usize) -> Vec<f64> {
        let unit_s = self.unit_s();
        let weights = self.weights_but(None, workers, unit_s);
        let rate = |n: usize| weights[n - 1] / weights[n] / unit_s;
        std::iter::once(0.0).chain((1..=workers).map(rate)).collect()
    }

    /// Rounds a second for this many workers: cheaper than all of [`Self::rates`].
    pub(super) fn rate(&self, workers: usize) -> f64 {
        let unit_s = self.unit_s();
        let mut weights = self.station_weights(None, workers, unit_s);
        let last = weights.pop().unwrap_or_default();
        let others = weights.into_iter().reduce(|sum, weights| convolve(&sum, &weights));
        let total = |n: usize| match &others {
            Some(others) => (0..=n).map(|i| others[i] * last[n - i]).sum::<f64>(),
            None => last[n],
        };
        total(workers - 1) / total(workers) / unit_s
    }

    /// How many of the workers are at each station, on average.
    pub(super) fn at_stations(&self, workers: usize) -> Vec<f64> {
        let unit_s = self.unit_s();
        let rate = self.rates(workers)[workers];
        let there = |(at, station): (usize, &QueueStation)| {
            let is_delay = station.servers.is_infinite();
            if is_delay { rate * station.demand_s } else { self.at_station(at, workers, unit_s) }
        };
        self.stations.iter().enumerate().map(there).collect()
    }

    /// How many of the workers are at a station where they wait for each other; `unit_s` is that of [`Self::unit_s`].
    fn at_station(&self, at: usize, workers: usize, unit_s: f64) -> f64 {
        let here = self.stations[at].weights(workers, unit_s);
        let elsewhere = self.weights_but(Some(at), workers, unit_s);
        let terms = (0..=workers).map(|n| (n as f64, here[n] * elsewhere[workers - n]));
        let (number, all) = terms.fold((0.0, 0.0), |(number, all), (n, p)| (number + n * p, all + p));
        number / all
    }

    /// How many of the workers are at this station, on average.
    pub(super) fn at(&self, at: usize, workers: usize) -> f64 {
        self.at_station(at, workers, self.unit_s())
    }

    fn weights_but(&self, but: Option<usize>, workers: usize, unit_s: f64) -> Weights {
        let weights = self.station_weights(but, workers, unit_s);
        weights.into_iter().reduce(|sum, weights| convolve(&sum, &weights)).unwrap_or_default()
    }

    /// The weights of all stations but one, delays together first.
    fn station_weights(&self, but: Option<usize>, workers: usize, unit_s: f64) -> Vec<Weights> {
        let stations =
            self.stations.iter().enumerate().filter(|(at, _)| Some(*at) != but).map(|(_, station)| station);
        let (delays, others): (Vec<&QueueStation>, Vec<&QueueStation>) = stations
            .filter(|station| station.demand_s > 0.0)
            .partition(|station| station.servers.is_infinite());
        // Delays in a row are one delay.
        let delay = QueueStation::delay(delays.iter().map(|station| station.demand_s).sum());
        let weights = |station: &QueueStation| station.weights(workers, unit_s);
        std::iter::once(weights(&delay)).chain(others.into_iter().map(weights)).collect()
    }

    /// What a round costs, which keeps the weights near 1.
    fn unit_s(&self) -> f64 {
        self.stations.iter().map(|station| station.demand_s).sum::<f64>().max(1e-12)
    }
}

fn convolve(a: &Weights, b: &Weights) -> Weights {
    let term = |n: usize| (0..=n).map(|i| a[i] * b[n - i]).sum();
    (0..a.len()).map(term).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(stations: &[(f64, f64)]) -> Network {
        let station = |&(demand_s, servers)| QueueStation { demand_s, servers, competing_cores: 0.0 };
        Network { stations: stations.iter().map(station).collect() }
    }

    fn assert_close(got: f64, wanted: f64) {
        assert!((got / wanted - 1.0).abs() < 1e-9, "{got} is not {wanted}");
    }

    #[test]
    fn a_delay_never_limits_and_one_station_gives_its_servers() {
        let delay = network(&[(2.0, f64::INFINITY)]).rates(WORKERS_MAX);
        assert_close(delay[WORKERS_MAX], WORKERS_MAX as f64 / 2.0);
        let cores = network(&[(2.0, 3.5)]).rates(8);
        assert_close(cores[2], 1.0);
        assert_close(cores[8], 1.75);
    }

    #[test]
    fn mean_value_analysis_gives_the_same_for_single_servers() {
        // By hand, with the arrival theorem: R_k(n) = D_k (1 + Q_k(n - 1)).
        let demands = [0.3, 0.5, 0.1];
        let mut queues = [0.0; 3];
        let rates = network(&demands.map(|demand_s| (demand_s, 1.0))).rates(20);
        for (n, &rate) in rates.iter().enumerate().skip(1) {
            let residences: Vec<f64> = demands.iter().zip(queues).map(|(d, q)| d * (1.0 + q)).collect();
            let by_hand = n as f64 / residences.iter().sum::<f64>();
            queues = std::array::from_fn(|k| by_hand * residences[k]);
            assert_close(rate, by_hand);
            assert_close(network(&demands.map(|demand_s| (demand_s, 1.0))).rate(n), by_hand);
        }
    }

    #[test]
    fn competing_load_takes_a_fair_share_and_no_more_than_they_can_use() {
        let cores = QueueStation { demand_s: 1.0, servers: 8.0, competing_cores: 6.0 };
        let rates = Network { stations: vec![cores] }.rates(8);
        assert_close(rates[2], 2.0);
        assert_close(rates[8], 8.0 * 8.0 / 14.0);
    }

    #[test]
    fn all_workers_are_somewhere() {
        let network = network(&[(0.3, 2.0), (0.5, f64::INFINITY), (0.1, 1.0), (0.0, 1.0)]);
        for workers in [1, 5, 40] {
            assert_close(network.at_stations(workers).iter().sum(), workers as f64);
        }
    }
}
