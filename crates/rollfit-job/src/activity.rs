//! [`Activity`]: what a worker does now, and how long it did each thing. Code that starts another activity calls
//! `enter` on the worker's own thread; other time belongs to the activity around it.
//!
//! Invariants: between [`start`] and [`lap`] every microsecond belongs to exactly one activity. On threads
//! that are no workers nothing is counted.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::foreign;
use crate::lock::lock;
use crate::partition::Partition;

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// Has no partition.
    Idle,
    /// Waits for a session with the store, or for a partition that another runner has.
    Waiting,
    /// Opens a session with the store.
    Connecting,
    /// Sends the store short queries: receipts, tables, locks.
    Querying,
    /// Reads the source.
    Reading,
    /// Joins, fits, derives metrics, sums up.
    Computing,
    /// Turns features into the bytes of the store.
    Encoding,
    /// Is blocked handing bytes to the store.
    Sending,
    /// Removes the features that were there before.
    Deleting,
    /// Makes and checks keys and constraints.
    Keying,
    /// Has the store count what it now holds, for its planner.
    Analyzing,
    /// Makes what was handed over durable and visible. Records of earlier versions count deleting, keys, statistics and cleaning here too.
    Committing,
    /// Has the store clean up after what was replaced.
    Vacuuming,
    /// Is throttled, because the configuration limits what it may use.
    Throttled,
    /// Waits before trying a partition again.
    Pausing,
}

impl Activity {
    /// All of them.
    pub const ALL: [Activity; 15] = [
        Activity::Idle,
        Activity::Waiting,
        Activity::Connecting,
        Activity::Querying,
        Activity::Reading,
        Activity::Computing,
        Activity::Encoding,
        Activity::Sending,
        Activity::Deleting,
        Activity::Keying,
        Activity::Analyzing,
        Activity::Committing,
        Activity::Vacuuming,
        Activity::Throttled,
        Activity::Pausing,
    ];

    /// The name in logs and records.
    pub const fn name(self) -> &'static str {
        match self {
            Activity::Idle => "idle",
            Activity::Waiting => "waiting",
            Activity::Connecting => "connecting",
            Activity::Querying => "querying",
            Activity::Reading => "reading",
            Activity::Computing => "computing",
            Activity::Encoding => "encoding",
            Activity::Sending => "sending",
            Activity::Deleting => "deleting",
            Activity::Keying => "keying",
            Activity::Analyzing => "analyzing",
            Activity::Committing => "committing",
            Activity::Vacuuming => "vacuuming",
            Activity::Throttled => "throttled",
            Activity::Pausing => "pausing",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|activity| activity.name() == name)
    }
}

/// How long each activity took, in microseconds. In JSON a map of those that took any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    us: [u64; Activity::ALL.len()],
}

impl Times {
    /// The microseconds of one.
    pub fn get(&self, activity: Activity) -> u64 {
        self.us[activity as usize]
    }

    /// Adds microseconds to one.
    pub fn add(&mut self, activity: Activity, us: u64) {
        let sum = &mut self.us[activity as usize];
        *sum = sum.saturating_add(us);
    }

    /// Adds those of another.
    pub fn add_all(&mut self, other: &Times) {
        for (sum, us) in self.us.iter_mut().zip(other.us) {
            *sum = sum.saturating_add(us);
        }
    }

    /// The microseconds of all.
    pub fn total_us(&self) -> u64 {
        self.us.iter().fold(0, |sum, us| sum.saturating_add(*us))
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let taken = Activity::ALL.into_iter().filter(|&activity| self.get(activity) > 0);
        let mut map = serializer.serialize_map(None)?;
        for activity in taken {
            map.serialize_entry(activity.name(), &self.get(activity))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Times {
    /// Activities that this version does not know are left out.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, u64>::deserialize(deserializer)?;
        let mut times = Times::default();
        for (name, us) in map {
            if let Some(activity) = Activity::named(&name) {
                times.add(activity, us);
            }
        }
        Ok(times)
    }
}

/// The round trips to the stores: how many in which activity, and how long the shortest took. What was read came from the source; all else is
/// of the sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trips {
    /// How many, by the activity that waited.
    pub count: Times,
    /// The shortest to the source, in microseconds; none where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_us: Option<u64>,
    /// The shortest to the sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink_us: Option<u64>,
}

impl Trips {
    /// Whether there were none.
    pub fn is_none(&self) -> bool {
        self.count.total_us() == 0
    }
}

/// What others can see of a worker while it works.
#[derive(Debug, Default)]
pub struct Lane {
    worker: usize,
    activity: AtomicU8,
    partition: Mutex<Option<(Partition, Instant)>>,
    cpu_us: AtomicU64,
    memory_bytes: AtomicU64,
    rows: AtomicU64,
    thread: AtomicI32,
}

/// A worker as it was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneState {
    /// The worker, from 0.
    pub worker: usize,
    /// What it did.
    pub activity: Activity,
    /// On which partition; none where it had none.
    pub partition: Option<Partition>,
    /// For how long it had had that partition.
    pub since_ms: u64,
    /// The processor time it has used since it began.
    pub cpu_us: u64,
    /// What it holds for the partition: input, a tile, and what the sink has not written yet.
    pub memory_bytes: u64,
    /// The rows of that partition that are to be written; 0 where that is not known yet.
    #[serde(default)]
    pub rows: u64,
    /// The thread's number in the system; 0 where unknown.
    pub thread: i32,
}

impl Lane {
    /// The lane of a worker.
    pub fn new(worker: usize) -> Arc<Self> {
        Arc::new(Self { worker, ..Self::default() })
    }

    /// The worker as it is now.
    pub fn state(&self) -> LaneState {
        let partition = lock(&self.partition).clone();
        LaneState {
            worker: self.worker,
            activity: Activity::ALL[usize::from(self.activity.load(Ordering::Relaxed))],
            since_ms: partition.as_ref().map_or(0, |(_, since)| since.elapsed().as_millis() as u64),
            partition: partition.map(|(partition, _)| partition),
            cpu_us: self.cpu_us.load(Ordering::Relaxed),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            thread: self.thread.load(Ordering::Relaxed),
        }
    }

    /// Sets the partition that starts, or none.
    pub fn begin(&self, partition: Option<&Partition>) {
        self.rows.store(0, Ordering::Relaxed);
        *lock(&self.partition) = partition.map(|partition| (partition.clone(), Instant::now()));
    }

    /// Sets the rows that the partition will have.
    pub fn expect(&self, rows: u64) {
        self.rows.store(rows, Ordering::Relaxed);
    }

    /// Sets the memory that the worker holds.
    pub fn hold(&self, memory_bytes: u64) {
        self.memory_bytes.store(memory_bytes, Ordering::Relaxed);
    }
}

thread_local! {
    static CLOCK: RefCell<Option<Clock>> = const { RefCell::new(None) };
}

/// A worker's clock: wall and processor time of every activity.
struct Clock {
    lane: Arc<Lane>,
    activity: Activity,
    since: Instant,
    cpu_since_us: u64,
    lap: Lap,
}

/// What a thread spent since [`start`] or the last lap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lap {
    /// How long each activity took.
    pub wall: Times,
    /// The processor time of each.
    pub cpu: Times,
    /// The round trips.
    pub trips: Trips,
    /// Who last held a lock that was waited for.
    pub locked_by: Option<String>,
    /// How often the source of a partition was read.
    pub source_reads: u32,
}

/// Counts this thread's time from now on, for `lane` to show.
pub fn start(lane: Arc<Lane>) {
    lane.thread.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Relaxed);
    let clock = Clock {
        lane,
        activity: Activity::Idle,
        since: Instant::now(),
        cpu_since_us: thread_cpu_us(),
        lap: Lap::default(),
    };
    CLOCK.with_borrow_mut(|slot| *slot = Some(clock));
}

/// Ends a lap and begins the next.
pub fn lap() -> Lap {
    CLOCK.with_borrow_mut(|clock| match clock {
        Some(clock) => {
            clock.turn_to(clock.activity);
            std::mem::take(&mut clock.lap)
        }
        None => Lap::default(),
    })
}

/// Counts a round trip to a store in what the thread does now. `reply` is how long its first answer took; none where that may be less than the
/// way there and back takes, because no answer came, or one was under way before.
pub fn round_trip(reply: Option<Duration>) {
    CLOCK.with_borrow_mut(|clock| {
        if let Some(Clock { activity, lap: Lap { trips, .. }, .. }) = clock {
            trips.count.add(*activity, 1);
            let shortest =
                if *activity == Activity::Reading { &mut trips.source_us } else { &mut trips.sink_us };
            *shortest = shortest.iter().copied().chain(reply.map(micros)).min();
        }
    });
}

/// Counts that the thread reads the source of a partition.
pub(crate) fn note_source_read() {
    CLOCK.with_borrow_mut(|clock| {
        if let Some(clock) = clock {
            clock.lap.source_reads += 1;
        }
    });
}

/// Notes who holds a lock that the thread waits for.
pub fn note_holder(holder: &str) {
    CLOCK.with_borrow_mut(|clock| {
        if let Some(clock) = clock {
            clock.lap.locked_by = Some(foreign::message(holder).into_owned());
        }
    });
}

/// Opens a session with the store: what only the store itself sees of its calls, as are [`waiting`] and [`sending`].
pub fn connecting<T>(open: impl FnOnce() -> T) -> T {
    during(Activity::Connecting, open)
}

/// Waits for a session that others use, or for a lock.
pub fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    during(Activity::Waiting, wait)
}

/// Hands bytes to where the store keeps them, and is blocked for as long as it takes them.
pub fn sending<T>(send: impl FnOnce() -> T) -> T {
    during(Activity::Sending, send)
}

/// From now until the answer is dropped the thread does this.
#[must_use]
pub(crate) fn enter(activity: Activity) -> Entered {
    Entered { before: turn_to(activity), _same_thread: std::marker::PhantomData }
}

/// Does something as this activity. A store tells apart what only it can, such as the statements of a commit.
pub fn during<T>(activity: Activity, work: impl FnOnce() -> T) -> T {
    let _entered = enter(activity);
    work()
}

fn turn_to(activity: Activity) -> Activity {
    CLOCK.with_borrow_mut(|clock| match clock {
        Some(clock) => clock.turn_to(activity),
        None => activity,
    })
}

/// See `enter`.
pub(crate) struct Entered {
    before: Activity,
    /// The clock is this thread's.
    _same_thread: std::marker::PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        turn_to(self.before);
    }
}

impl Clock {
    fn turn_to(&mut self, activity: Activity) -> Activity {
        let (wall_us, cpu_us) = (micros(self.since.elapsed()), thread_cpu_us());
        self.lap.wall.add(self.activity, wall_us);
        self.lap.cpu.add(self.activity, cpu_us - self.cpu_since_us);
        self.lane.cpu_us.fetch_add(cpu_us - self.cpu_since_us, Ordering::Relaxed);
        self.lane.activity.store(activity as u8, Ordering::Relaxed);
        // The part of a microsecond that is left over belongs to what comes next.
        self.since += Duration::from_micros(wall_us);
        self.cpu_since_us = cpu_us;
        std::mem::replace(&mut self.activity, activity)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The processor time of this thread.
pub(crate) fn thread_cpu_us() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_belongs_to_the_innermost_activity_and_the_one_before_goes_on_after_it() {
        let lane = Lane::new(3);
        start(Arc::clone(&lane));
        {
            let _reading = enter(Activity::Reading);
            during(Activity::Waiting, || std::thread::sleep(Duration::from_millis(5)));
            assert_eq!(lane.state().activity, Activity::Reading);
        }
        assert_eq!(lane.state().activity, Activity::Idle);
        let Lap { wall, cpu, .. } = lap();
        assert!(wall.get(Activity::Waiting) >= 5000);
        assert!(cpu.get(Activity::Waiting) <= wall.get(Activity::Waiting));
        assert_eq!(lap().wall.get(Activity::Waiting), 0);
    }

    #[test]
    fn a_thread_that_is_no_worker_counts_nothing() {
        std::thread::spawn(|| {
            during(Activity::Reading, || ());
            assert_eq!(lap(), Lap::default());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn round_trips_count_in_what_waits_for_them_and_the_shortest_is_kept_by_store() {
        start(Lane::new(0));
        let trip = |us| round_trip(Some(Duration::from_micros(us)));
        trip(70);
        during(Activity::Reading, || trip(500));
        during(Activity::Committing, || trip(50));
        during(Activity::Sending, || round_trip(None));
        let trips = lap().trips;
        assert_eq!((trips.source_us, trips.sink_us), (Some(500), Some(50)));
        assert_eq!(
            serde_json::to_string(&trips).unwrap(),
            r#"{"count":{"idle":1,"reading":1,"sending":1,"committing":1},"source_us":500,"sink_us":50}"#
        );
        assert!(lap().trips.is_none());
    }

    #[test]
    fn who_held_a_lock_is_noted_for_one_lap() {
        note_holder("nobody counts here");
        start(Lane::new(0));
        note_holder("one");
        note_holder("another\n");
        assert_eq!(lap().locked_by.as_deref(), Some("another\\n"));
        assert_eq!(lap().locked_by, None);
    }

    #[test]
    fn times_are_a_map_and_unknown_activities_are_left_out() {
        let mut times = Times::default();
        times.add(Activity::Sending, 7);
        assert_eq!(serde_json::to_string(&times).unwrap(), r#"{"sending":7}"#);
        assert_eq!(serde_json::from_str::<Times>(r#"{"sending":7,"dreaming":9}"#).unwrap(), times);
    }
}
