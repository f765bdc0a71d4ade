//! [`Demand`]: what a partition costs a worker.
//!
//! Invariants: times are those of a partition of mean size. What a worker waited for a core counts with the cores, wherever
//! it waited, and not with the store that it was asking. What went into round trips is in `latency_s` and nowhere else.

use rollfit_job::activity::{Activity, Times, Trips};
use rollfit_job::record::{PartitionEnd, PartitionOutcome, Record};

/// What a partition costs on average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Demand {
    /// How many partitions that is known from.
    pub(super) partitions: usize,
    pub(super) rows: f64,
    pub(super) bytes: f64,
    pub(super) wall_s: f64,
    /// Processor time of this process.
    pub(super) cpu_s: f64,
    /// How many times as long as its processor time computing takes.
    pub(super) stretch: f64,
    /// Round trips to the sink and to the source; 0 where none are known, as in records of earlier versions.
    pub(super) sink_trips: f64,
    pub(super) source_trips: f64,
    /// What round trips took: their number times the round-trip time, sink and source together, and the source's part of it.
    pub(super) latency_s: f64,
    pub(super) source_latency_s: f64,
    /// The part of it that went by while rows were sent.
    pub(super) sending_latency_s: f64,
    /// What a worker waited for a core while it was asking a store.
    pub(super) core_wait_s: f64,
    /// Times in which neither this process computes nor the worker waits for a core or for bytes on their way, by activity.
    pub(super) reading_s: f64,
    /// Opening sessions included.
    pub(super) querying_s: f64,
    pub(super) sending_s: f64,
    pub(super) deleting_s: f64,
    pub(super) keying_s: f64,
    pub(super) analyzing_s: f64,
    /// In records without round trips deleting, keys, statistics and cleaning too.
    pub(super) committing_s: f64,
    pub(super) vacuuming_s: f64,
    /// For sessions and locks.
    pub(super) waiting_s: f64,
    pub(super) throttled_s: f64,
    pub(super) pausing_s: f64,
    /// The part of the times above in which sessions were seen to wait.
    pub(super) seen_waiting_s: SeenWaiting,
}

/// How long the session of a partition was seen to wait, for bytes of this process and until something was durable: its server computed nothing
/// for it meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct SeenWaiting {
    pub(super) bytes_s: f64,
    pub(super) durable_s: f64,
}

/// How long a round trip to each store takes; none where none is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RoundTripTimes {
    pub(super) source_s: Option<f64>,
    pub(super) sink_s: Option<f64>,
}

/// The partitions that were written.
pub(super) fn written(record: &Record) -> impl Iterator<Item = &PartitionEnd> {
    record.partitions.iter().filter(|end| end.outcome == PartitionOutcome::Written && end.rows > 0)
}

impl RoundTripTimes {
    /// The shortest of all partitions of a record: those that waited for nothing but the way.
    pub(super) fn from_record(record: &Record) -> Self {
        let shortest = |of: fn(&Trips) -> Option<u64>| {
            record.partitions.iter().filter_map(|end| of(&end.trips)).min().map(|us| us as f64 / 1e6)
        };
        Self { source_s: shortest(|trips| trips.source_us), sink_s: shortest(|trips| trips.sink_us) }
    }

    fn of_activity_s(self, activity: Activity) -> f64 {
        let known_s = if activity == Activity::Reading { self.source_s } else { self.sink_s };
        known_s.unwrap_or(0.0)
    }
}

impl Demand {
    /// What these partitions cost; none where there are none.
    pub(super) fn from_ends<'a>(
        ends: impl IntoIterator<Item = &'a PartitionEnd>,
        round_trip: RoundTripTimes,
    ) -> Option<Self> {
        let mut sum = Sum::default();
        for end in ends {
            sum.partitions += 1;
            sum.rows += end.rows;
            sum.bytes += end.bytes;
            sum.wall_us.add_all(&end.wall_us);
            sum.cpu_us.add_all(&end.cpu_us);
            sum.trips.add_all(&end.trips.count);
        }
        (sum.partitions > 0).then(|| Self::from_sum(&sum, round_trip))
    }

    fn from_sum(sum: &Sum, round_trip: RoundTripTimes) -> Self {
        let stretch = sum.stretch();
        let each = |count: u64| count as f64 / sum.partitions as f64;
        let each_s = |us: u64| each(us) / 1e6;
        let blocked_s = |activity: Activity| {
            (each_s(sum.wall_us.get(activity)) - stretch * each_s(sum.cpu_us.get(activity))).max(0.0)
        };
        let latency_s = |activity: Activity| {
            (each(sum.trips.get(activity)) * round_trip.of_activity_s(activity)).min(blocked_s(activity))
        };
        let rest_s = |activity: Activity| blocked_s(activity) - latency_s(activity);
        Self {
            partitions: sum.partitions,
            rows: each(sum.rows),
            bytes: each(sum.bytes),
            wall_s: each_s(sum.wall_us.total_us() - sum.wall_us.get(Activity::Idle)),
            cpu_s: each_s(sum.cpu_us.total_us()),
            stretch,
            core_wait_s: 0.0,
            sink_trips: each(sum.trips.total_us() - sum.trips.get(Activity::Reading)),
            source_trips: each(sum.trips.get(Activity::Reading)),
            latency_s: Activity::ALL.into_iter().map(latency_s).sum(),
            source_latency_s: latency_s(Activity::Reading),
            sending_latency_s: latency_s(Activity::Sending),
            reading_s: rest_s(Activity::Reading),
            querying_s: rest_s(Activity::Querying) + rest_s(Activity::Connecting),
            sending_s: rest_s(Activity::Sending),
            deleting_s: rest_s(Activity::Deleting),
            keying_s: rest_s(Activity::Keying),
            analyzing_s: rest_s(Activity::Analyzing),
            committing_s: rest_s(Activity::Committing),
            vacuuming_s: rest_s(Activity::Vacuuming),
            waiting_s: rest_s(Activity::Waiting),
            throttled_s: rest_s(Activity::Throttled),
            pausing_s: rest_s(Activity::Pausing),
            seen_waiting_s: SeenWaiting::default(),
        }
    }

    /// What a partition of `rows` rows would cost.
    pub(super) fn sized(&self, rows: f64) -> Self {
        let times = rows / self.rows;
        Self {
            rows,
            bytes: self.bytes * times,
            wall_s: self.wall_s * times,
            cpu_s: self.cpu_s * times,
            core_wait_s: self.core_wait_s * times,
            latency_s: self.latency_s * times,
            source_latency_s: self.source_latency_s * times,
            sending_latency_s: self.sending_latency_s * times,
            reading_s: self.reading_s * times,
            querying_s: self.querying_s * times,
            sending_s: self.sending_s * times,
            deleting_s: self.deleting_s * times,
            keying_s: self.keying_s * times,
            analyzing_s: self.analyzing_s * times,
            committing_s: self.committing_s * times,
            vacuuming_s: self.vacuuming_s * times,
            waiting_s: self.waiting_s * times,
            throttled_s: self.throttled_s * times,
            pausing_s: self.pausing_s * times,
            seen_waiting_s: SeenWaiting {
                bytes_s: self.seen_waiting_s.bytes_s * times,
                durable_s: self.seen_waiting_s.durable_s * times,
            },
            ..*self
        }
    }

    /// The same where connections and small answers are those of the source.
    pub(super) fn asking_source(self) -> Self {
        Self { reading_s: self.reading_s + self.querying_s, querying_s: 0.0, ..self }
    }

    /// The same where so much of what seemed to be waited for source and store was waited for a core. In which activity that was does not show: in
    /// each the same share.
    pub(super) fn waiting_for_cores(self, core_wait_s: f64) -> Self {
        const MOST: f64 = 0.9;
        let asking_s = self.reading_s + self.querying_s + self.sending_s + self.making_durable_s();
        let core_wait_s = core_wait_s.clamp(0.0, MOST * asking_s);
        let rest = if asking_s > 0.0 { 1.0 - core_wait_s / asking_s } else { 1.0 };
        Self {
            core_wait_s,
            reading_s: self.reading_s * rest,
            querying_s: self.querying_s * rest,
            sending_s: self.sending_s * rest,
            deleting_s: self.deleting_s * rest,
            keying_s: self.keying_s * rest,
            analyzing_s: self.analyzing_s * rest,
            committing_s: self.committing_s * rest,
            vacuuming_s: self.vacuuming_s * rest,
            ..self
        }
    }

    /// The same where sessions were seen to wait so. Statements that are not the commit wait until something is durable too.
    pub(super) fn seen_waiting(self, seen: SeenWaiting) -> Self {
        let statements_s = self.making_durable_s() - self.committing_s;
        let moved_s = (seen.durable_s - self.committing_s).clamp(0.0, statements_s);
        let rest = if statements_s > 0.0 { 1.0 - moved_s / statements_s } else { 1.0 };
        Self {
            deleting_s: self.deleting_s * rest,
            keying_s: self.keying_s * rest,
            analyzing_s: self.analyzing_s * rest,
            vacuuming_s: self.vacuuming_s * rest,
            committing_s: self.committing_s + moved_s,
            seen_waiting_s: seen,
            ..self
        }
    }

    /// What it waits for the store to make durable what it has, the commit included.
    pub(super) fn making_durable_s(&self) -> f64 {
        self.deleting_s + self.keying_s + self.analyzing_s + self.committing_s + self.vacuuming_s
    }

    /// What it waits for the store that is written to, the way to it included.
    pub(super) fn store_s(&self) -> f64 {
        self.latency_s - self.source_latency_s + self.querying_s + self.sending_s + self.making_durable_s()
    }
}

/// What partitions cost together.
#[derive(Default)]
struct Sum {
    partitions: usize,
    rows: u64,
    bytes: u64,
    wall_us: Times,
    cpu_us: Times,
    /// Round trips, not microseconds.
    trips: Times,
}

impl Sum {
    /// How many times as long as its processor time work takes that needs nothing but a core.
    fn stretch(&self) -> f64 {
        const PURE: [Activity; 2] = [Activity::Computing, Activity::Encoding];
        let sum = |times: &Times| PURE.into_iter().map(|activity| times.get(activity)).sum::<u64>() as f64;
        // Of a few milliseconds one wait makes anything.
        const FEW_US: f64 = 100_000.0;
        ((sum(&self.wall_us) + FEW_US) / (sum(&self.cpu_us) + FEW_US)).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollfit_testkit::record::{far_partition, made};

    #[test]
    fn round_trips_are_latency_and_taken_out_of_each_activity() {
        // Two questions, a key and a commit of 50 ms each; reading is of a source 10 ms away.
        let end = far_partition(0, 0);
        let round_trip = RoundTripTimes { source_s: Some(0.01), sink_s: Some(0.05) };
        let demand = Demand::from_ends([&end], round_trip).unwrap();
        assert_eq!((demand.sink_trips, demand.source_trips), (4.0, 3.0));
        assert!((demand.latency_s - 0.23).abs() < 1e-9, "{demand:?}");
        assert!((demand.source_latency_s - 0.03).abs() < 1e-9, "{demand:?}");
        let rest = [demand.querying_s, demand.keying_s, demand.committing_s, demand.reading_s];
        for (rest_s, told_s) in rest.into_iter().zip([0.02, 0.1, 0.001, 0.07]) {
            assert!((rest_s - told_s).abs() < 1e-9, "{demand:?}");
        }
        assert_eq!((demand.deleting_s, demand.waiting_s), (0.0, 0.0));
    }

    #[test]
    fn latency_is_never_more_than_an_activity_waited() {
        let end = far_partition(0, 0);
        let round_trip = RoundTripTimes { source_s: None, sink_s: Some(7.0) };
        let demand = Demand::from_ends([&end], round_trip).unwrap();
        assert!((demand.latency_s - 0.321).abs() < 1e-9, "{demand:?}");
        assert_eq!((demand.querying_s, demand.keying_s, demand.committing_s), (0.0, 0.0, 0.0));
        assert!((demand.reading_s - 0.1).abs() < 1e-9, "{demand:?}");
    }

    #[test]
    fn the_round_trip_time_is_the_shortest_of_all_partitions_by_store() {
        let mut record = made(3, 1);
        assert_eq!(RoundTripTimes::from_record(&record), RoundTripTimes::default());
        for (end, (source_us, sink_us)) in
            record.partitions.iter_mut().zip([(None, Some(900)), (Some(80), Some(400)), (None, None)])
        {
            (end.trips.source_us, end.trips.sink_us) = (source_us, sink_us);
        }
        let round_trip = RoundTripTimes { source_s: Some(80e-6), sink_s: Some(400e-6) };
        assert_eq!(RoundTripTimes::from_record(&record), round_trip);
    }

    #[test]
    fn records_without_round_trips_know_of_no_latency() {
        let record = made(3, 1);
        let demand = Demand::from_ends(written(&record), RoundTripTimes::from_record(&record)).unwrap();
        assert_eq!((demand.latency_s, demand.sink_trips), (0.0, 0.0));
        assert!(demand.committing_s > 0.0 && demand.committing_s == demand.making_durable_s());
    }
}
