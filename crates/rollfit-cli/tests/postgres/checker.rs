//! The one checker that is used after every fault: [`Contents`], what a database holds, told without a look at any
//! receipt's own numbers; and what must be true of it, whatever happened before.
//!
//! After a fault and the same command again: every table has the rows that an undisturbed run gives, one receipt a
//! partition, nothing else is there, no session holds a lock or a transaction, and a further run writes nothing.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use postgres::Client;
use rollfit_job::config::Layout;

use crate::sql::Database;
use crate::workload::{SMALL, Shape, WIDE, Workload};

/// How long the server may take to notice that a client is gone before the checker says that something is left.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rows and an order-free checksum over all columns.
const SUM: &str =
    "select count(*) || ' rows with checksum ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)";

/// The versions of all rows: a row that is written again has another.
const VERSIONS: &str = "
    select count(*) || ' ' || coalesce(sum(hashtextextended(t.ctid::text || ' ' || t.xmin::text, 0)::numeric), 0)";

/// Everything that a user has made.
const RELATIONS: &str = "
    select format('%I.%I', n.nspname, c.relname), c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') order by 1";

/// Sessions of others that hold a lock or have a transaction open.
const BUSY: &str = "
    select format('process %s (%s) is %s and holds %s', pid, application_name, state,
                  (select string_agg(locktype || ' ' || mode, ', ') from pg_locks l where l.pid = a.pid and granted))
    from pg_stat_activity a
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
    and (xact_start is not null or exists (select from pg_locks l where l.pid = a.pid and granted))";

/// What a database holds: by the name of each table and of each receipt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contents(BTreeMap<String, String>);

impl Contents {
    pub(crate) fn from_database(database: &Database<'_>) -> Self {
        let mut client = database.connect();
        let mut found = relations(&mut client, SUM);
        found.remove("public.rollfit_receipts");
        found.remove("public.rollfit_definitions");
        for (receipt, texts) in receipts(&mut client) {
            found.insert(format!("receipt of {receipt}"), texts);
        }
        Self(found)
    }

    /// What one partition consists of, in words that can be compared.
    fn of_partition(&self, key: &str, month: &str) -> Vec<(&String, &String)> {
        let name = format!("_{key}_{}", month.replace('-', "_"));
        self.0.iter().filter(|(place, _)| place.contains(&name)).collect()
    }

    /// Where the two differ.
    pub(crate) fn differences(&self, wanted: &Self) -> Vec<String> {
        let places = self.0.keys().chain(wanted.0.keys().filter(|place| !self.0.contains_key(*place)));
        let differs = |place: &&String| self.0.get(*place) != wanted.0.get(*place);
        let tell = |place: &String| {
            format!("{place} is {:?}, wanted is {:?}", self.0.get(place), wanted.0.get(place))
        };
        places.filter(differs).map(tell).collect()
    }
}

/// What `query` says of every table, and nothing of what has no rows of its own.
fn relations(client: &mut Client, query: &str) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for row in client.query(RELATIONS, &[]).unwrap() {
        let (name, kind): (String, String) = (row.get(0), row.get(1));
        let text = match kind.as_str() {
            "r" => client.query_one(&format!("{query} from {name} t"), &[]).unwrap().get(0),
            _ => kind,
        };
        told.insert(name, text);
    }
    told
}

/// The receipts of each output; one where all is well.
fn receipts(client: &mut Client) -> Vec<(String, String)> {
    let query = "select output, string_agg(receipt::text || key || month || rows, ' and ')
                 from rollfit_receipts group by 1";
    let is_there = "select to_regclass('rollfit_receipts') is not null";
    if !client.query_one(is_there, &[]).unwrap().get::<_, bool>(0) {
        return Vec::new();
    }
    client.query(query, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// What an undisturbed run gives.
pub(crate) struct Undisturbed {
    pub(crate) usual: Contents,
    /// With changed sources.
    pub(crate) changed: Contents,
}

impl Undisturbed {
    fn new(shape: Shape, layout: Layout) -> Self {
        let workload = Workload::on(crate::server::shared(), shape).in_layout(layout);
        workload.done();
        workload.run(&["verify", "--quiet"]).exits(0);
        let usual = Contents::from_database(&workload.database);
        workload.change_sources();
        workload.done();
        workload.run(&["verify", "--quiet"]).exits(0);
        Self { usual, changed: Contents::from_database(&workload.database) }
    }

    pub(crate) fn small() -> &'static Self {
        static SMALL_ONE: OnceLock<Undisturbed> = OnceLock::new();
        SMALL_ONE.get_or_init(|| Self::new(SMALL, Layout::Metrics))
    }

    pub(crate) fn wide() -> &'static Self {
        static WIDE_ONE: OnceLock<Undisturbed> = OnceLock::new();
        WIDE_ONE.get_or_init(|| Self::new(WIDE, Layout::Metrics))
    }

    /// The small one in a layout.
    pub(crate) fn small_in(layout: Layout) -> &'static Self {
        static SMALL_ONE: OnceLock<Undisturbed> = OnceLock::new();
        match layout {
            Layout::Metrics => Self::small(),
            Layout::Fits => SMALL_ONE.get_or_init(|| Self::new(SMALL, layout)),
        }
    }
}

impl Workload<'_> {
    /// Checks everything that must be true after a fault and the same command again.
    #[track_caller]
    pub(crate) fn is_as_undisturbed(&self) {
        let wanted = match self.shape.keys.len() {
            1 => Undisturbed::small_in(self.layout),
            _ => Undisturbed::wide(),
        };
        self.is(&wanted.usual);
    }

    #[track_caller]
    pub(crate) fn is(&self, wanted: &Contents) {
        let findings = self.findings(wanted);
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }

    /// What is not as it should be.
    pub(crate) fn findings(&self, wanted: &Contents) -> Vec<String> {
        let mut findings = self.left_over_sessions();
        findings.extend(Contents::from_database(&self.database).differences(wanted));
        findings.extend(self.written_by_a_further_run());
        findings
    }

    /// Sessions with locks or transactions that do not end.
    pub(crate) fn left_over_sessions(&self) -> Vec<String> {
        let started = Instant::now();
        loop {
            let busy = self.busy_sessions();
            if busy.is_empty() || started.elapsed() > PATIENCE {
                return busy;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn busy_sessions(&self) -> Vec<String> {
        self.database.rows(BUSY).iter().map(|row| row.get(0)).collect()
    }

    fn written_by_a_further_run(&self) -> Vec<String> {
        let versions = || Contents(relations(&mut self.database.connect(), VERSIONS));
        let before = versions();
        let again = self.run(&["run", "--json"]);
        let mut findings = versions().differences(&before);
        let has_nothing_to_do =
            again.status.success() && again.json()["already_done"] == self.partitions() as u64;
        if !has_nothing_to_do {
            findings.push(format!("a further run has something to do: {again}"));
        }
        findings
    }

    /// Checks that each partition is in one of two states, and not in between: its tables and its receipt.
    #[track_caller]
    pub(crate) fn each_partition_is_old_or_new(&self, old: &Contents, new: &Contents) {
        assert_eq!(self.left_over_sessions(), Vec::<String>::new());
        let found = Contents::from_database(&self.database);
        for (key, month) in
            self.shape.keys.iter().flat_map(|key| self.shape.months.iter().map(move |month| (key, month)))
        {
            let partition = found.of_partition(key, month);
            let is_whole = [old, new].iter().any(|state| state.of_partition(key, month) == partition);
            assert!(is_whole, "{key} {month} is neither old nor new: {partition:?}");
        }
    }
}

impl Contents {
    /// Of a database in which nothing was run.
    pub(crate) fn none() -> Self {
        Self(BTreeMap::new())
    }
}

/// A workload that is as it should be, and what it should be.
fn done() -> (Workload<'static>, &'static Contents) {
    let workload = Workload::small();
    workload.done();
    (workload, &Undisturbed::small().usual)
}

/// What the checker says after a change by SQL.
fn found_after(change: &str) -> Vec<String> {
    let (workload, wanted) = done();
    workload.database.sql(change);
    workload.findings(wanted)
}

#[track_caller]
fn says(findings: &[String], parts: &[&str]) {
    for part in parts {
        assert!(findings.iter().any(|finding| finding.contains(part)), "does not say {part}: {findings:#?}");
    }
}

#[test]
fn the_checker_finds_nothing_where_nothing_is_wrong() {
    let (workload, wanted) = done();
    workload.is(wanted);
}

#[test]
fn the_checker_finds_a_row_that_is_there_twice() {
    let table = "reg_rate_eurusd_2017_01";
    let change = format!(
        "alter table {table} drop constraint {table}_pkey; insert into {table} (select * from {table} limit 1)"
    );
    let findings = found_after(&change);
    says(&findings, &["public.reg_rate_eurusd_2017_01 is Some(\"1489 rows", "wanted is Some(\"1488 rows"]);
}

#[test]
fn the_checker_finds_a_changed_cell() {
    let last = "(select max(ts_utc) from reg_bqx_eurusd_2017_02)";
    let findings = found_after(&format!(
        "update reg_bqx_eurusd_2017_02 set r2_bqx_agg = r2_bqx_agg * (1 + 1e-15) where ts_utc = {last}"
    ));
    assert_eq!(findings.len(), 1, "{findings:#?}");
    says(&findings, &["public.reg_bqx_eurusd_2017_02 is"]);
}

#[test]
fn the_checker_finds_that_a_receipt_is_missing() {
    let findings = found_after("delete from rollfit_receipts where month = '2017-02-01'");
    says(
        &findings,
        &["receipt of \"public\".\"reg_rate_eurusd_2017_02\"", "a further run has something to do"],
    );
}

#[test]
fn the_checker_finds_a_receipt_that_is_there_twice() {
    let findings = found_after(
        "alter table rollfit_receipts drop constraint rollfit_receipts_pkey;
         insert into rollfit_receipts (select * from rollfit_receipts limit 1)",
    );
    says(&findings, &["receipt of \"public\".\"reg_rate_eurusd_2017_01\""]);
}

#[test]
fn the_checker_finds_a_stale_table() {
    let (workload, _) = done();
    workload.database.sql("create table kept as select * from reg_bqx_eurusd_2017_01");
    workload.change_sources();
    workload.done();
    workload.database.sql(
        "delete from reg_bqx_eurusd_2017_01; insert into reg_bqx_eurusd_2017_01 select * from kept; drop table kept",
    );
    let findings = workload.findings(&Undisturbed::small().changed);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    says(&findings, &["public.reg_bqx_eurusd_2017_01 is"]);
}

#[test]
fn the_checker_finds_what_is_staged() {
    let findings = found_after("create table staged (a int)");
    assert_eq!(findings, ["public.staged is Some(\"0 rows with checksum 0\"), wanted is None"]);
}

#[test]
fn the_checker_finds_who_is_idle_in_a_transaction_and_who_holds_a_lock() {
    let (workload, _) = done();
    assert_eq!(workload.busy_sessions(), Vec::<String>::new());
    let mut sessions = [0; 2].map(|_| workload.database.connect());
    sessions[0].batch_execute("begin; lock table m1_eurusd in share mode").unwrap();
    sessions[1].batch_execute("select pg_advisory_lock(1)").unwrap();
    let busy = workload.busy_sessions();
    says(
        &busy,
        &[
            "is idle in transaction and holds",
            "relation ShareLock",
            "is idle and holds advisory ExclusiveLock",
        ],
    );
}

#[test]
fn the_checker_finds_a_further_run_that_writes() {
    let (workload, wanted) = done();
    workload.database.sql("update m1_eurusd set rate_index = rate_index where false");
    workload.is(wanted);
    workload.change_sources();
    let findings = workload.findings(&Contents::from_database(&workload.database));
    says(&findings, &["public.reg_rate_eurusd_2017_01 is", "a further run has something to do"]);
}
