//! [`steps`]: what a worker does for a partition, one step after the other, each with what it needs to get on.

use std::collections::VecDeque;

use rollfit_job::activity::Activity;

use super::world::World;

/// What a step uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Need {
    /// Time alone: the amount is seconds.
    Time,
    /// A core of this machine: seconds of one.
    Core,
    /// A core of the store's server: seconds of one.
    ServerCore,
    /// The source: rows.
    Read,
    /// The way to the store: bytes.
    Send,
    /// The store's log: seconds of one that makes durable.
    Commit,
    /// A session with the store; nothing is used up.
    Session,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) activity: Activity,
    pub(crate) need: Need,
    pub(crate) amount: f64,
    /// What it hands to the sink, once it is done.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// The round trips in it.
    pub(crate) trips: u32,
    /// Whether the attempt fails here.
    pub(crate) fails: bool,
}

/// How often a partition changes between computing and sending. A real one does hundreds of times.
const CHUNKS: u64 = 2;

fn step(activity: Activity, need: Need, amount: f64) -> Step {
    Step { activity, need, amount, rows: 0, bytes: 0, trips: 0, fails: false }
}

/// What happens to an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) rows: u64,
    /// Whether the worker has no session yet.
    pub(crate) connects: bool,
    pub(crate) is_locked: bool,
    pub(crate) fails: bool,
}

/// What comes before the partition is claimed.
pub(crate) fn look(world: &World, attempt: Attempt) -> VecDeque<Step> {
    let store = &world.store;
    let mut steps = VecDeque::new();
    if store.sessions_max.is_some() {
        steps.push_back(step(Activity::Waiting, Need::Session, 0.0));
    }
    if attempt.connects {
        steps.push_back(step(Activity::Connecting, Need::Time, store.connect_ms / 1e3));
    }
    steps.push_back(step(Activity::Reading, Need::Read, attempt.rows as f64));
    steps.push_back(questions(world, store.questions / 2));
    steps
}

/// What comes once it is.
pub(crate) fn write(world: &World, attempt: Attempt) -> VecDeque<Step> {
    let store = &world.store;
    let mut steps = VecDeque::new();
    if attempt.is_locked {
        steps.push_back(step(Activity::Waiting, Need::Time, store.locked_ms / 1e3));
    }
    for chunk in 0..CHUNKS {
        let rows = attempt.rows * (chunk + 1) / CHUNKS - attempt.rows * chunk / CHUNKS;
        steps.extend(write_chunk(world, rows, attempt, chunk));
    }
    steps.push_back(questions(world, store.questions - store.questions / 2));
    for (activity, work_ms) in [
        (Activity::Deleting, store.deleting_ms),
        (Activity::Keying, store.keying_ms),
        (Activity::Analyzing, store.analyzing_ms),
    ] {
        steps.extend(statement(world, activity, work_ms));
    }
    if store.is_server {
        steps.push_back(round_trips(world, Activity::Committing, 1));
    }
    steps.push_back(step(Activity::Committing, Need::Commit, store.commit_ms / 1e3));
    steps.extend(statement(world, Activity::Vacuuming, store.vacuuming_ms));
    steps
}

/// A statement that the server works for; none where it has nothing to do.
fn statement(world: &World, activity: Activity, work_ms: f64) -> Vec<Step> {
    if work_ms <= 0.0 {
        return Vec::new();
    }
    vec![round_trips(world, activity, 1), step(activity, Need::ServerCore, work_ms / 1e3)]
}

fn questions(world: &World, count: u32) -> Step {
    round_trips(world, Activity::Querying, count)
}

fn round_trips(world: &World, activity: Activity, count: u32) -> Step {
    let seconds = f64::from(count) * world.store.question_ms / 1e3;
    let trips = if world.store.is_server { count } else { 0 };
    Step { trips, ..step(activity, Need::Time, seconds) }
}

fn write_chunk(world: &World, rows: u64, attempt: Attempt, chunk: u64) -> [Step; 4] {
    let seconds = |us: f64| rows as f64 * us / 1e6;
    let bytes = rows * world.job.bytes_per_row;
    let (counted, times) = match (world.store.series_apart, chunk < CHUNKS / 2) {
        (false, _) => (true, 1),
        (true, is_first_series) => (is_first_series, 2),
    };
    [
        step(Activity::Computing, Need::Core, seconds(world.job.compute_us_per_row)),
        step(Activity::Encoding, Need::Core, seconds(world.job.encode_us_per_row)),
        step(Activity::Sending, Need::ServerCore, bytes as f64 * world.store.cpu_us_per_byte / 1e6),
        Step {
            rows: if counted { rows * times } else { 0 },
            bytes,
            fails: attempt.fails && chunk == CHUNKS / 2,
            ..step(Activity::Sending, Need::Send, bytes as f64)
        },
    ]
}
