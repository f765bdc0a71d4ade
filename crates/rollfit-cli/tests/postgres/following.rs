//! [`Feed`]: bars that are kept back and come later, one by one; [`Follower`]: `rollfit run --follow` beside it; and what
//! must be true of features that came so: they are those of a single run, to the byte, receipts included.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use postgres::Client;

use crate::checker::Contents;
use crate::running::{Running, signal};
use crate::sandbox::Answer;
use crate::stopped::wait_until_stopped;
use crate::workload::Workload;

/// How long a follower may take on a busy machine before a test says that something never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// One row of each series, as the server writes them.
#[derive(Clone)]
pub(crate) struct Bar {
    pub(crate) at: String,
    values: [String; 2],
}

/// The source tables of a key, and the bars that they do not have yet.
pub(crate) struct Feed {
    client: Client,
    key: &'static str,
    bars: VecDeque<Bar>,
}

impl Workload<'_> {
    /// Takes the rows of a key away from an instant on, to be fed again later.
    pub(crate) fn keep_back(&self, key: &'static str, from: &str) -> Feed {
        let query = format!(
            "select time::text, rate_index::text, w15_bqx_return::text from m1_{key}
             join bqx_{key} on ts_utc at time zone 'UTC' = time where time >= '{from}' order by time"
        );
        let text = |row: &[Option<String>], at: usize| row[at].clone().unwrap();
        let bars = self.database.texts(&query);
        let bars = bars.iter().map(|row| Bar { at: text(row, 0), values: [text(row, 1), text(row, 2)] });
        let feed = Feed { client: self.database.connect(), key, bars: bars.collect() };
        self.database.sql(&format!(
            "delete from m1_{key} where time >= '{from}'; delete from bqx_{key} where ts_utc >= '{from}+00'"
        ));
        feed
    }

    /// Starts a follower, with messages in JSON, and waits until it follows.
    #[track_caller]
    pub(crate) fn follow(&self, variables: &[(&str, &str)]) -> Follower {
        let mut follower = self.start_to_follow(variables);
        follower.0.wait_for_words("following ");
        follower
    }

    /// As [`Workload::follow`], and does not wait.
    pub(crate) fn start_to_follow(&self, variables: &[(&str, &str)]) -> Follower {
        Follower(self.start(variables, &["--follow", "--poll-interval", "10ms"]))
    }

    /// Waits until both tables of the month have a row of this instant.
    #[track_caller]
    pub(crate) fn wait_for_features(&self, key: &str, at: &str) {
        let month = at[..7].replace('-', "_");
        let tables = ["rate", "bqx"].map(|series| self.table(&format!("reg_{series}_{key}_{month}")));
        let has = |table: &String| format!("exists (select from {table} where ts_utc = '{at}+00')");
        self.wait_until(at, &format!("select {} and {}", has(&tables[0]), has(&tables[1])));
    }

    /// Waits until a query says that something is so. What it asks for may not be there yet.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, query: &str) {
        let (started, mut client) = (Instant::now(), self.database.connect());
        client.batch_execute("set time zone 'UTC'").unwrap();
        while !client.query_one(query, &[]).is_ok_and(|row| row.get(0)) {
            assert!(started.elapsed() < PATIENCE, "never came: {what}: {query}");
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Checks that nothing is left to do or left over, and that one run over all rows stores the same, to the byte.
    #[track_caller]
    pub(crate) fn is_as_one_run_makes_it(&self) {
        let followed = Contents::from_database(&self.database);
        assert_eq!(self.findings(&followed), Vec::<String>::new());
        self.run(&["verify", "--quick", "--quiet"]).exits(0);
        self.forget();
        self.done();
        let differences = followed.differences(&Contents::from_database(&self.database));
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}

impl Feed {
    /// Both rows of the next bar, each in a commit of its own, by turns this one first and that one.
    #[track_caller]
    pub(crate) fn bar(&mut self) -> String {
        let bar = self.take();
        let first = self.bars.len() % 2;
        self.send(first, &bar);
        self.send(1 - first, &bar);
        bar.at
    }

    /// So many bars; the instant of the last.
    #[track_caller]
    pub(crate) fn bars(&mut self, count: usize) -> String {
        (0..count).map(|_| self.bar()).last().unwrap()
    }

    /// The same feed, after its server was away.
    pub(crate) fn reconnected(self, workload: &Workload<'_>) -> Self {
        Self { client: workload.database.connect(), ..self }
    }

    /// All that are left.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> String {
        self.bars(self.bars.len())
    }

    pub(crate) fn len(&self) -> usize {
        self.bars.len()
    }

    /// The next bar, which the test sends itself.
    #[track_caller]
    pub(crate) fn take(&mut self) -> Bar {
        self.bars.pop_front().expect("a bar that was kept back")
    }

    /// One side of a bar: 0 is the rate index, 1 the backward return.
    #[track_caller]
    pub(crate) fn send(&mut self, side: usize, bar: &Bar) {
        self.client.batch_execute(&bar.insert(side, self.key)).unwrap();
    }
}

impl Bar {
    /// The statement that inserts one side of it.
    pub(crate) fn insert(&self, side: usize, key: &str) -> String {
        let (table, zone) = if side == 0 { ("m1", "") } else { ("bqx", "+00") };
        format!("insert into {table}_{key} values ('{}{zone}', '{}')", self.at, self.values[side])
    }
}

/// A follower. It ends with the test.
pub(crate) struct Follower(pub(crate) Running);

impl Follower {
    /// Asks it to end, as systemd does, and waits; what it said.
    #[track_caller]
    pub(crate) fn stop(self) -> Answer {
        signal(&self.0, "TERM");
        self.0.finish().exits(0)
    }

    /// Waits until a signal of its own has stopped it.
    #[track_caller]
    pub(crate) fn wait_until_stopped(&self) {
        wait_until_stopped(&self.0);
    }

    /// Ends it without a chance to finish anything.
    pub(crate) fn kill(self) -> Answer {
        signal(&self.0, "KILL");
        self.0.finish()
    }
}
