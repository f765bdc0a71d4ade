//! The speed of a server without a run, and the times of a run on one: what is measured is plausible, whoever measures, and
//! nothing stays behind.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rollfit_job::Job;
use rollfit_job::activity::{Activity, Times};
use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::plan::partitions;
use rollfit_job::run::{Observer, Outcome, RunOptions, Spent, Try, run};
use rollfit_job::spec::{Series, Workers};
use rollfit_job::speed::StoreSpeed;
use rollfit_job::stop::Stop;
use rollfit_job::store::{FeatureTile, Sink, Source, StoreError};
use rollfit_job::watch::{Moment, Unseen};

use crate::opened::{Opened, first_partition};
use crate::pooler::Pooler;
use crate::server::{Server, Setup};
use crate::workload::{ONE, SMALL, Workload};

const MINUTE_US: i64 = 60_000_000;

impl Opened {
    /// Measures with 1000 rows of noise.
    fn measure(&self, time_max: Duration) -> Result<StoreSpeed, StoreError> {
        let instants_us: Vec<i64> = (0..1000).map(|row| row * MINUTE_US).collect();
        let values: Vec<f64> = (0..1000 * self.spec.feature_count()).map(|_| fastrand::f64() - 0.5).collect();
        let mut first_column = 0;
        let tile = |series: &Series| {
            let columns = first_column..first_column + series.columns.len();
            first_column = columns.end;
            let values = &values[1000 * columns.start..1000 * columns.end];
            FeatureTile { instants_us: &instants_us, first_column: columns.start, values }
        };
        let tiles: Vec<FeatureTile<'_>> = self.spec.series.iter().map(tile).collect();
        self.store.measure(&tiles, time_max)
    }

    /// Writes these partitions.
    fn run(&self, partitions: &[Partition], observer: &dyn Observer) {
        let job = Job {
            spec: &self.spec,
            source: &self.store,
            sink: &self.store,
            workers: Workers::Fixed(1),
            machine: &Unseen,
        };
        run(&job, partitions, &RunOptions::default(), &Stop::default(), observer);
    }

    fn partitions(&self) -> Vec<Partition> {
        partitions(&self.spec, &self.store, &self.store, &[]).unwrap()
    }
}

/// What is in the database: tables, and rows of the catalogue that are to be seen.
fn tables(workload: &Workload<'_>) -> Vec<Vec<Option<String>>> {
    workload.database.texts("select oid, relname from pg_class order by oid")
}

#[track_caller]
fn is_plausible(speed: &StoreSpeed, sessions: usize) {
    let writes = [Some(&speed.alone), speed.together.as_ref()];
    for write in writes.into_iter().flatten() {
        assert!(write.rows >= 1000 && write.rows_per_s > 0.0 && write.cpu_us_per_row > 0.0, "{write:?}");
        assert!(write.bytes_per_s / write.rows_per_s > 100.0 && write.complete_us_per_row > 0.0, "{write:?}");
    }
    assert_eq!((speed.alone.sessions, speed.together.map_or(1, |write| write.sessions)), (1, sessions));
    assert!(
        speed.commit_us > 0.0 && speed.connect_us > Some(0.0) && speed.round_trip_us > Some(0.0),
        "{speed:?}"
    );
}

#[test]
fn a_server_is_measured_and_nothing_stays_behind() {
    let workload = Workload::one();
    workload.done();
    let before = tables(&workload);
    let opened = Opened::of(&workload);
    let speed = opened.measure(Duration::from_secs(1)).unwrap();
    is_plausible(&speed, 4);
    assert_eq!(speed.notes, Vec::<String>::new());
    assert_eq!(tables(&workload), before);
}

#[test]
fn a_role_that_may_make_no_tables_measures_with_temporary_ones_and_is_told_so() {
    let workload = Workload::one();
    workload.database.sql("revoke create on schema public from public");
    let role = workload.as_new_role("visitor");
    let url = workload.database.url().replace("//postgres@", &format!("//{role}@"));
    let opened = Opened::at(&workload, &url, &[("RUN__STORE_SESSIONS_MAX", "1")]);
    let speed = opened.measure(Duration::from_secs(1)).unwrap();
    is_plausible(&speed, 1);
    assert!(speed.notes[0].contains("temporary"), "{speed:?}");
    workload.database.sql(&format!("revoke temporary on database {} from public", workload.database.name()));
    let error = error_chain(&opened.measure(Duration::from_secs(1)).unwrap_err());
    assert!(error.contains("permission denied to create temporary tables"), "{error}");
}

#[test]
fn a_server_is_measured_through_a_pooler() {
    let server = Server::start();
    let workload = Workload::on(&server, ONE);
    let pooler = Pooler::before(&server, 4);
    let opened = Opened::at(&workload, &pooler.url(workload.database.name()), &[]);
    is_plausible(&opened.measure(Duration::from_secs(1)).unwrap(), 4);
}

#[test]
fn numeric_columns_are_measured_as_such() {
    let workload = Workload::one();
    let bytes_per_row = |numbers| {
        let opened = Opened::at(&workload, &workload.database.url(), &[("STORE__NUMBERS", numbers)]);
        let alone = opened.measure(Duration::from_millis(500)).unwrap().alone;
        alone.bytes_per_s / alone.rows_per_s
    };
    let (doubles, decimals) = (bytes_per_row("double precision"), bytes_per_row("numeric"));
    assert!(decimals > 1.2 * doubles, "{doubles} {decimals}");
}

#[test]
fn the_round_trips_of_a_new_partition_are_about_those_told() {
    let workload = Workload::small();
    let opened = Opened::of(&workload);
    let told = opened.measure(Duration::from_millis(500)).unwrap().round_trips.unwrap();
    let partitions = opened.partitions();
    let before = opened.store.round_trips();
    opened.run(&partitions, &Clerk::default());
    let each = (opened.store.round_trips() - before) as f64 / partitions.len() as f64;
    assert!((each / told as f64 - 1.0).abs() < 0.15, "{told} told, {each} each");
}

/// Keeps how each partition spent its time, and tells what is seen of the workers.
#[derive(Default)]
struct Clerk {
    spent: Mutex<Vec<Spent>>,
    seen: Option<Sender<Vec<Activity>>>,
}

impl Observer for Clerk {
    fn ended(&self, _at: Try<'_>, outcome: &Outcome, spent: &Spent) {
        assert!(matches!(outcome, Outcome::Written { .. }), "{outcome:?}");
        self.spent.lock().unwrap().push(*spent);
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
    let opened = Opened::of(&workload);
    let clerk = Clerk::default();
    opened.run(&opened.partitions(), &clerk);
    let spent = clerk.spent.lock().unwrap().clone();
    let total = clerk.total();
    let begun_to_ended: Duration = spent.iter().map(|spent| spent.ended - spent.begun).sum();
    let wall = Duration::from_micros(total.total_us());
    assert!(wall + Duration::from_micros(1) >= begun_to_ended, "{wall:?} of {begun_to_ended:?}");
    assert!(wall <= spent.last().unwrap().ended, "{wall:?}");
    use Activity::{Asking, Committing, Computing, Encoding, Reading, Sending};
    for activity in [Asking, Reading, Computing, Encoding, Sending, Committing] {
        assert!(total.of(activity) > 0, "{activity:?}: {total:?}");
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
    let clerk = Clerk { seen: Some(seen), ..Clerk::default() };
    std::thread::scope(|scope| {
        let snapshot =
            opened.store.snapshot(&opened.spec.series_of_key("eurusd"), first_partition().period, 0).unwrap();
        let running = scope.spawn(|| opened.run(&[first_partition()], &clerk));
        wait_for(&seen_by_us, Activity::Waiting);
        // What the worker gets is a seat without a session.
        server.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'opened %'",
        );
        drop(snapshot);
        running.join().unwrap();
    });
    let total = clerk.total();
    assert!(total.of(Activity::Waiting) > 0 && total.of(Activity::Connecting) > 0, "{total:?}");
}
