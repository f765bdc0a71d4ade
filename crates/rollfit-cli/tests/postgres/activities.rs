//! The times of a run on a server: every wait has its activity, and the activities add up to the time of the partitions.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rollfit_job::Job;
use rollfit_job::activity::{Activity, Times};
use rollfit_job::config::Workers;
use rollfit_job::partition::Partition;
use rollfit_job::plan::partitions;
use rollfit_job::run::{Observer, Outcome, RunOptions, Spent, Try, run};
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store::Source;
use rollfit_job::watch::{Moment, Unseen};

use crate::opened::{Opened, first_partition};
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
        partitions(&self.config, &self.store, &self.store, &[]).unwrap()
    }
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
        let snapshot = opened
            .store
            .snapshot(&opened.config.series_of_key("eurusd"), first_partition().period, 0)
            .unwrap();
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
    assert!(total.get(Activity::Waiting) > 0 && total.get(Activity::Connecting) > 0, "{total:?}");
}
