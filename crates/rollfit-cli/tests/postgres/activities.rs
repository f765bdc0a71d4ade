//! The times of a run on a server: every wait has its activity, and the activities add up to the time of the partitions.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rollfit_job::Job;
use rollfit_job::activity::{Activity, Times};
use rollfit_job::config::Workers;
use rollfit_job::partition::Partition;
use rollfit_job::plan::partitions;
use rollfit_job::run::{Observer, Outcome, RunOptions, Spent, Stage, Try, run};
use rollfit_job::selection::Selection;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::Source;
use rollfit_job::watch::{Moment, Unseen};

use crate::network_conditions::NetworkConditions;
use crate::opened::{Opened, first_partition};
use crate::proxy::Proxy;
use crate::server::Setup;
use crate::workload::{SMALL, Workload};

impl Opened {
    /// Writes these partitions.
    fn run(&self, partitions: &[Partition], observer: &dyn Observer) {
        let job = Job {
            config: &self.config,
            source: &self.store,
            sink: &self.store,
            workers: Workers::Fixed(1),
            machine: &Unseen,
        };
        run(&job, partitions, &RunOptions::default(), &StopSignal::default(), observer);
    }

    fn partitions(&self) -> Vec<Partition> {
        partitions(&self.config, &self.store, &self.store, &Selection::default()).unwrap()
    }
}

/// Keeps how each partition spent its time, and tells what is seen of the workers.
#[derive(Default)]
struct Clerk {
    spent: Mutex<Vec<Spent>>,
    seen: Option<Sender<Vec<Activity>>>,
    gate: Option<Gate>,
}

/// Where a worker says that it has begun, and waits until it may go on.
struct Gate {
    begun: Sender<()>,
    may_go_on: Mutex<Receiver<()>>,
}

impl Observer for Clerk {
    fn stage(&self, _at: Try<'_>, _stage: Stage) {
        if let Some(gate) = &self.gate {
            let _ = gate.begun.send(());
            // Once the other side has gone, nothing is waited for.
            let _ = gate.may_go_on.lock().unwrap().recv();
        }
    }

    fn ended(&self, _at: Try<'_>, outcome: &Outcome, spent: &Spent) {
        assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
        self.spent.lock().unwrap().push(spent.clone());
    }

    fn sampled(&self, moment: &Moment) {
        if let Some(seen) = &self.seen {
            let _ = seen.send(moment.lanes.iter().map(|lane| lane.activity).collect());
        }
    }
}

impl Clerk {
    fn total(&self) -> Times {
        self.spent.lock().unwrap().iter().fold(Times::default(), |mut sum, spent| {
            sum.add_all(&spent.wall);
            sum
        })
    }
}

#[test]
fn every_wait_for_the_server_has_its_name() {
    let workload = Workload::small();
    let opened = Opened::open(&workload);
    let clerk = Clerk::default();
    opened.run(&opened.partitions(), &clerk);
    let spent = clerk.spent.lock().unwrap().clone();
    let total = clerk.total();
    let begun_to_ended: Duration = spent.iter().map(|spent| spent.ended - spent.begun).sum();
    let wall = Duration::from_micros(total.total_us());
    assert!(wall + Duration::from_micros(1) >= begun_to_ended, "{wall:?} of {begun_to_ended:?}");
    assert!(wall <= spent.last().unwrap().ended, "{wall:?}");
    use Activity::{Committing, Computing, Encoding, Querying, Reading, Sending};
    for activity in [Querying, Reading, Computing, Encoding, Sending, Committing] {
        assert!(total.get(activity) > 0, "{activity:?}: {total:?}");
    }
}

/// How much longer statements take than they would, by their tag.
const SLOW: [(&str, Duration); 8] = [
    ("DELETE", Duration::from_millis(40)),
    ("DO", Duration::from_millis(60)),
    ("COPY", Duration::from_millis(70)),
    ("ALTER TABLE", Duration::from_millis(80)),
    ("ANALYZE", Duration::from_millis(90)),
    ("INSERT", Duration::from_millis(100)),
    ("COMMIT", Duration::from_millis(110)),
    ("VACUUM", Duration::from_millis(120)),
];

/// The wall time of a partition in each activity is at least that of the statements that belong to it, with the number of each. Half of it: a worker
/// that gets a core late sees answers late.
#[track_caller]
fn takes_at_least(spent: &Spent, statements: &[(Activity, &[(&str, u32)])]) {
    for (activity, begins) in statements {
        let slow =
            |(begin, count): &(&str, u32)| SLOW.iter().find(|(slow, _)| slow == begin).unwrap().1 * *count;
        let least: Duration = begins.iter().map(slow).sum::<Duration>() / 2;
        let took = Duration::from_micros(spent.wall.get(*activity));
        assert!(took >= least, "{activity:?}: {took:?} and not {least:?}: {:?}", spent.wall);
    }
}

/// The server is slow at each statement. All of a batch are sent at once, and each of them is waited for in its own activity.
#[test]
fn every_statement_is_counted_in_its_activity() {
    use Activity::{Analyzing, Committing, Deleting, Keying, Querying, Reading, Sending, Vacuuming, Waiting};
    let workload = Workload::one();
    let proxy =
        Proxy::with_conditions(&workload.database.server().socket(), NetworkConditions::slow_at(&SLOW));
    let opened = Opened::at(&workload, &proxy.url(workload.database.name()), &[]);
    let run = || {
        let clerk = Clerk::default();
        opened.run(&[first_partition()], &clerk);
        clerk.spent.into_inner().unwrap().remove(0)
    };
    let both = |begin| [(begin, 2)];
    let (sent, analyzed) = (both("COPY"), both("ANALYZE"));
    let committed = [("INSERT", 1), ("COMMIT", 1)];
    let created = run();
    takes_at_least(
        &created,
        &[(Sending, &sent), (Keying, &both("ALTER TABLE")), (Analyzing, &analyzed), (Committing, &committed)],
    );
    assert_eq!(created.wall.get(Deleting) + created.wall.get(Vacuuming), 0, "{:?}", created.wall);
    workload.change_sources();
    let replaced = run();
    takes_at_least(
        &replaced,
        &[
            (Waiting, &[("DO", 1)]),
            (Deleting, &both("DELETE")),
            (Sending, &sent),
            (Analyzing, &analyzed),
            (Committing, &committed),
            (Vacuuming, &both("VACUUM")),
        ],
    );
    assert_eq!(replaced.wall.get(Keying), 0, "{:?}", replaced.wall);
    // What begins a batch is what its round trip is counted in.
    let count = replaced.trips.count;
    assert!(
        [Reading, Querying, Deleting, Sending, Committing].iter().all(|one| count.get(*one) > 0),
        "{count:?}"
    );
    assert_eq!(count.get(Waiting) + count.get(Analyzing) + count.get(Vacuuming), 0, "{count:?}");
}

/// Far from a server nobody waits for a lock that is free, and the shortest round trip is as long as the way.
#[test]
fn far_from_a_server_nothing_is_waited_for_but_answers() {
    const FAR: Duration = Duration::from_millis(50);
    let workload = Workload::one();
    workload.done();
    workload.change_sources();
    let conditions = NetworkConditions::far(FAR);
    let proxy = Proxy::with_conditions(&workload.database.server().socket(), conditions);
    let opened = Opened::at(&workload, &proxy.url(workload.database.name()), &[]);
    let clerk = Clerk::default();
    opened.run(&[first_partition()], &clerk);
    let Spent { wall, trips, .. } = clerk.spent.into_inner().unwrap().remove(0);
    assert!(Duration::from_micros(wall.get(Activity::Waiting)) < FAR, "{wall:?}");
    let shortest = [trips.source_us, trips.sink_us].map(|us| Duration::from_micros(us.unwrap()));
    assert!(shortest.iter().all(|shortest| (FAR..2 * FAR).contains(shortest)), "{shortest:?}");
    // Each activity has waited for its round trips.
    for activity in Activity::ALL {
        let (waited, trips) = (Duration::from_micros(wall.get(activity)), trips.count.get(activity) as u32);
        assert!(waited >= FAR * trips, "{activity:?}: {waited:?} for {trips} round trips");
    }
    let travelled = FAR * trips.count.total_us() as u32;
    assert!(travelled >= Duration::from_micros(wall.total_us()).mul_f64(0.3), "{travelled:?} of {wall:?}");
}

/// The partition waits for a lock until its holder is done, and is written. The record says who that was, if a session is left to ask.
#[test]
fn a_lock_that_was_waited_for_leaves_who_held_it() {
    const HELD: Duration = Duration::from_millis(400);
    const LOCK: &str =
        "set application_name = 'the old job'; begin; lock table reg_bqx_eurusd_2017_01 in exclusive mode";
    const WAITERS: &str = "select count(*) from pg_stat_activity
        where wait_event_type = 'Lock' and application_name like 'opened %' and datname = current_database()";
    let workload = Workload::one();
    workload.done();
    for (sessions, is_held, locked_by) in
        [("2", true, Some("the old job")), ("2", false, None), ("1", true, None)]
    {
        workload.change_sources();
        let opened =
            Opened::at(&workload, &workload.database.url(), &[("RUN__STORE_SESSIONS_MAX", sessions)]);
        let clerk = Clerk::default();
        let (mut job, mut watcher) = (workload.database.connect(), workload.database.connect());
        std::thread::scope(|scope| {
            if is_held {
                job.batch_execute(LOCK).unwrap();
                scope.spawn(move || {
                    while watcher.query_one(WAITERS, &[]).unwrap().get::<_, i64>(0) == 0 {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    std::thread::sleep(HELD);
                    job.batch_execute("commit").unwrap();
                });
            }
            opened.run(&[first_partition()], &clerk);
        });
        let Spent { wall, locked_by: told, .. } = clerk.spent.into_inner().unwrap().remove(0);
        let waited = Duration::from_micros(wall.get(Activity::Waiting));
        assert!((waited > HELD / 2) == is_held, "{waited:?}");
        assert!(told.as_deref().unwrap_or_default().starts_with(locked_by.unwrap_or_default()), "{told:?}");
        assert_eq!(told.is_some(), locked_by.is_some(), "{told:?}");
    }
}

/// Waits until a worker was seen doing this.
fn wait_for(seen: &Receiver<Vec<Activity>>, activity: Activity) {
    let is_doing = |activities: &Vec<Activity>| activities.contains(&activity);
    assert!(seen.iter().any(|activities| is_doing(&activities)), "the run ended first");
}

#[test]
fn a_worker_that_waits_for_a_session_or_opens_one_says_so() {
    let server = Setup::default().start();
    let workload = Workload::on(&server, SMALL);
    let opened = Opened::at(&workload, &workload.database.url(), &[("RUN__STORE_SESSIONS_MAX", "1")]);
    let (seen, seen_by_us) = channel();
    let ((begun, has_begun), (go_on, may_go_on)) = (channel(), channel());
    let gate = Some(Gate { begun, may_go_on: Mutex::new(may_go_on) });
    let clerk = Clerk { seen: Some(seen), gate, ..Clerk::default() };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| opened.run(&[first_partition()], &clerk));
        // What a run asks before its workers begin needs the session too.
        has_begun.recv().unwrap();
        let snapshot = opened
            .store
            .snapshot(&opened.config.series_of_key("eurusd"), first_partition().period, 0)
            .unwrap();
        drop(go_on);
        wait_for(&seen_by_us, Activity::Waiting);
        // What the worker gets is a seat without a session.
        server.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'opened %'",
        );
        drop(snapshot);
        running.join().unwrap();
    });
    let total = clerk.total();
    assert!(total.get(Activity::Waiting) > 0 && total.get(Activity::Connecting) > 0, "{total:?}");
}
