//! Import into PostgreSQL: the same tables as in a store of files, all keys of a command or none, no row touched that is as
//! it should be, and nothing of a killed import left.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bars::{bars, config, csv};
use crate::faults::{Fault, When, is_commit};
use crate::features::Columns;
use crate::pooler::Pooler;
use crate::proxy::Proxy;
use crate::running::Running;
use crate::sandbox::{Answer, Sandbox};
use crate::sql::Database;
use crate::tree::Tree;

const KEYS: [&str; 2] = ["eurusd", "usdjpy"];
const MONTHS: [&str; 4] = ["2017-01", "2017-02", "2017-03", "2017-04"];

/// A database to import into, and a directory to do it from.
pub(crate) struct ImportSandbox {
    sandbox: Sandbox,
    pub(crate) database: Database<'static>,
}

/// A row of a table: its instant in microseconds and the bits of its numbers.
pub(crate) type Bits = (i64, Vec<u64>);

impl ImportSandbox {
    pub(crate) fn new() -> Self {
        Self { sandbox: Sandbox::new(), database: Database::fresh() }
    }

    pub(crate) fn import(&self, options: &[&str], files: &[PathBuf]) -> Answer {
        self.import_into(&self.database.url(), options, files)
    }

    pub(crate) fn import_into(&self, url: &str, options: &[&str], files: &[PathBuf]) -> Answer {
        self.sandbox.run(&arguments(url, options, files))
    }

    /// Starts an import that gets a signal at a moment.
    fn import_until(&self, failpoint: &str, files: &[PathBuf]) -> Running {
        let mut command = self.sandbox.command(&arguments(&self.database.url(), &[], files));
        command.env("ROLLFIT_FAILPOINT", failpoint);
        Running::start(command)
    }

    /// The files of keys and months.
    pub(crate) fn files(&self, keys: &[&str], months: &[&str]) -> Vec<PathBuf> {
        let pairs = keys.iter().flat_map(|key| months.iter().map(move |month| (key, month)));
        pairs.map(|(key, month)| self.sandbox.bars_file(key, month)).collect()
    }

    fn m1(&self, key: &str) -> Vec<Bits> {
        self.bits(&format!("m1_{key}"), "time", &["close", "rate_index"])
    }

    fn bqx(&self, key: &str) -> Vec<Bits> {
        self.bits(&format!("bqx_{key}"), "ts_utc", &["w15_bqx_return"])
    }

    pub(crate) fn tables(&self, key: &str) -> [Vec<Bits>; 2] {
        [self.m1(key), self.bqx(key)]
    }

    fn bits(&self, table: &str, time: &str, columns: &[&str]) -> Vec<Bits> {
        let numbers: String = columns.iter().map(|column| format!(", {column}::float8")).collect();
        let query =
            format!("select (extract(epoch from {time}) * 1000000)::int8{numbers} from {table} order by 1");
        let rows = self.database.rows(&query);
        let numbers =
            |row: &postgres::Row| (1..=columns.len()).map(|at| row.get::<_, f64>(at).to_bits()).collect();
        rows.iter().map(|row| (row.get(0), numbers(row))).collect()
    }

    /// Which transaction wrote each row and where it stands, of every table of the schema.
    fn versions(&self) -> Vec<Vec<Option<String>>> {
        let tables = self.database.texts("select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1");
        let of = |table: &Vec<Option<String>>| {
            let table = table[0].as_deref().unwrap();
            self.database.texts(&format!("select '{table}', xmin, ctid from {table} order by ctid"))
        };
        tables.iter().flat_map(of).collect()
    }

    /// Waits until nobody else is connected to the database.
    pub(crate) fn wait_until_alone(&self) {
        let others = "select count(*) from pg_stat_activity where datname = current_database()
                      and pid <> pg_backend_pid() and backend_type = 'client backend'";
        wait_until("a session is left", || self.database.one::<i64>(others) == 0);
    }

    pub(crate) fn has_no_tables(&self) -> bool {
        self.database.one::<i64>("select count(*) from pg_class where relnamespace = 'public'::regnamespace")
            == 0
    }
}

fn arguments(url: &str, options: &[&str], files: &[PathBuf]) -> Vec<PathBuf> {
    let mut arguments = ["import", "--format", "csv", "--into", url].map(PathBuf::from).to_vec();
    arguments.extend(options.iter().map(PathBuf::from));
    arguments.extend_from_slice(files);
    arguments
}

fn wait_until(otherwise: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "{otherwise}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the import into a store of files gives for a key: `m1` and `bqx`.
fn parquet_tables(sandbox: &Sandbox, key: &str, months: &[&str]) -> [Vec<Bits>; 2] {
    ["m1", "bqx"].map(|table| {
        let file =
            |month: &&str| Columns::read(&sandbox.path(format!("fx/sources/{table}_{key}/{month}.parquet")));
        months.iter().map(file).flat_map(|columns| bits_of(&columns)).collect()
    })
}

fn bits_of(columns: &Columns) -> Vec<Bits> {
    let numbers = |row: usize| columns.values.iter().map(|column| column[row].to_bits()).collect();
    columns.instants_us.iter().enumerate().map(|(row, instant_us)| (*instant_us, numbers(row))).collect()
}

#[test]
fn the_tables_are_those_of_a_store_of_files_bit_for_bit() {
    for options in [&[][..], &["--base-date", "2017-02-10"]] {
        let target = ImportSandbox::new();
        let files = target.files(&KEYS, &MONTHS);
        let ours = target.import(&[&["--json"], options].concat(), &files).exits(0).json();
        let theirs =
            target.import_into("parquet:fx", &[&["--json"], options].concat(), &files).exits(0).json();
        for (at, key) in KEYS.iter().enumerate() {
            let wanted = parquet_tables(&target.sandbox, key, &MONTHS);
            assert!(wanted[1].len() > 1000 && wanted[0].len() == wanted[1].len() + 15);
            assert!(target.tables(key) == wanted, "{key}");
            let told = |document: &serde_json::Value| {
                let mut report = document["keys"][at].clone();
                report["files_written"].take();
                report
            };
            assert_eq!(told(&ours), told(&theirs));
        }
        assert_eq!(ours["keys"][0]["files_written"], 2);
    }
}

#[test]
fn new_tables_have_the_documented_columns() {
    let target = ImportSandbox::new();
    target.import(&[], &target.files(&["eurusd"], &MONTHS[..1])).exits(0);
    let columns = "select attname, format_type(atttypid, atttypmod), attnotnull,
                   exists (select from pg_index i where i.indrelid = a.attrelid and indisprimary and attnum = any(indkey))
                   from pg_attribute a where attrelid = $1::regclass and attnum > 0 order by attnum";
    let told = |table: &str| -> Vec<String> {
        let rows = target.database.texts(&columns.replace("$1", &format!("'{table}'")));
        rows.into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" ")).collect()
    };
    let m1 = [
        "time timestamp without time zone t t",
        "close double precision t f",
        "rate_index double precision f f",
    ];
    assert_eq!(told("m1_eurusd"), m1);
    assert_eq!(
        told("bqx_eurusd"),
        ["ts_utc timestamp with time zone t t", "w15_bqx_return double precision t f"]
    );
    let analyzed = "select count(*) from pg_stats where tablename in ('m1_eurusd', 'bqx_eurusd')";
    assert_eq!(target.database.one::<i64>(analyzed), 5);
}

#[test]
fn files_in_any_order_and_with_overlap_give_the_same_tables() {
    let target = ImportSandbox::new();
    target.import(&[], &target.files(&KEYS, &MONTHS)).exits(0);
    let other = ImportSandbox::new();
    let overlap = other.sandbox.write("overlap.csv", csv(&bars("eurusd", "2017-03")[100..300]));
    other.import(&["--key", "eurusd"], &[overlap]).exits(0);
    for month in [2, 0, 3, 1, 2] {
        other.import(&["--rebase"], &other.files(&KEYS, &MONTHS[month..=month])).exits(0);
    }
    for key in KEYS {
        assert!(target.tables(key) == other.tables(key), "{key}");
    }
}

#[test]
fn the_same_bars_again_touch_no_row() {
    let target = ImportSandbox::new();
    let files = target.files(&KEYS, &MONTHS[..2]);
    target.import(&["--base-date", "2017-01-05"], &files).exits(0);
    let before = target.versions();
    let again = target.import(&["--json"], &files).exits(0).json();
    for (at, key) in KEYS.iter().enumerate() {
        let rows = MONTHS[..2].iter().map(|month| bars(key, month).len()).sum::<usize>();
        let report = &again["keys"][at];
        assert_eq!((&report["added"], &report["unchanged"]), (&json!(0), &json!(rows)));
        assert_eq!(report["files_written"], 0);
    }
    assert!(target.versions() == before);
    target.import(&[], &files[..1]).exits(0).says(&["eurusd"]);
    assert!(target.versions() == before);
}

#[test]
fn a_contradiction_stops_every_key_until_replace_is_given() {
    let target = ImportSandbox::new();
    target.import(&[], &target.files(&KEYS, &MONTHS[..1])).exits(0);
    let before = target.versions();
    let mut changed = bars("usdjpy", "2017-01");
    let stored = changed[200].1;
    changed[200].1 = 1.5;
    let mut files = target.files(&["eurusd", "gbpusd"], &MONTHS[..2]);
    files.push(target.sandbox.write("bars/key=usdjpy/changed.csv", csv(&changed)));
    let closes = format!("is 1.5 there and {stored} in the store");
    target.import(&[], &files).exits(1).says(&[
        "changed.csv:202",
        "the close of usdjpy",
        &closes,
        "--replace",
    ]);
    assert!(target.versions() == before);

    let replaced = target.import(&["--replace", "--json"], &files).exits(0).json();
    assert_eq!((&replaced["keys"][2]["replaced"], &replaced["keys"][2]["added"]), (&json!(1), &json!(0)));
    assert_eq!(f64::from_bits(target.m1("usdjpy")[200].1[0]), 1.5);
    // One bar, and the returns that look at it.
    let kept = target.versions().iter().filter(|row| before.contains(row)).count();
    let touched = before.len() - kept;
    assert!((17..=17 + 2).contains(&touched), "{touched} rows");
}

#[test]
fn a_base_that_would_change_stops_until_rebase_is_given() {
    let target = ImportSandbox::new();
    target.import(&[], &target.files(&KEYS, &MONTHS[1..2])).exits(0);
    let before = target.versions();
    let [january, february] = ["2017-01", "2017-02"].map(|month| bars("usdjpy", month)[0].1);
    let change =
        format!("from the close {february} at 2017-02-01T00:00:00Z to {january} at 2017-01-01T00:00:00Z");
    let earlier = target.files(&["usdjpy"], &MONTHS[..1]);
    let told = target.import(&[], &earlier).exits(1);
    told.says(&["the base of usdjpy", &change, "--rebase", "--base-date"]);
    assert!(target.versions() == before);

    target.import(&["--rebase"], &earlier).exits(0);
    let fresh = ImportSandbox::new();
    fresh.import(&[], &fresh.files(&["usdjpy"], &MONTHS[..2])).exits(0);
    assert!(target.tables("usdjpy") == fresh.tables("usdjpy"));
    let bases =
        target.database.texts("select key, from_at, instant, close from rollfit_bases order by 1 desc");
    let wanted = ["usdjpy", "2017-01-01 00:00:00+00", &january.to_string()].map(|text| Some(text.to_owned()));
    assert_eq!([&bases[0][0], &bases[0][2], &bases[0][3]], wanted.each_ref());
}

#[test]
fn the_first_returns_move_with_the_first_bars() {
    let target = ImportSandbox::new();
    let options = ["--base-date", "2017-02-01"];
    target.import(&options, &target.files(&["eurusd"], &MONTHS[1..2])).exits(0);
    let february = target.tables("eurusd");
    target.import(&[], &target.files(&["eurusd"], &MONTHS[..1])).exits(0);
    let fresh = ImportSandbox::new();
    fresh.import(&options, &fresh.files(&["eurusd"], &MONTHS[..2])).exits(0);
    assert!(target.tables("eurusd") == fresh.tables("eurusd"));
    assert_eq!(target.bqx("eurusd").first().map(|row| row.0), target.m1("eurusd").get(15).map(|row| row.0));

    // Old bars that somebody took away take the returns that looked at them along.
    target.database.sql("delete from m1_eurusd where time < '2017-02-01'; delete from bqx_eurusd where ts_utc < '2017-02-01Z'");
    assert_eq!(target.bqx("eurusd").len(), target.m1("eurusd").len());
    target.import(&[], &target.files(&["eurusd"], &MONTHS[1..2])).exits(0);
    assert!(target.tables("eurusd") == february);
}

#[test]
fn a_killed_import_leaves_nothing_that_the_next_does_not_put_right() {
    let undisturbed = ImportSandbox::new();
    undisturbed.import(&["--rebase"], &undisturbed.files(&KEYS, &MONTHS[..2])).exits(0);
    let moments = [
        "import-locked:KILL",
        "import-copying:KILL",
        "import-copying:KILL:2",
        "import-table-written:KILL:2",
        "import-copying:KILL:4",
        "import-commit-sent:KILL",
    ];
    // Into nothing, and into tables that have to be staged for.
    for first in [None, Some(&MONTHS[..1])] {
        for moment in moments {
            let target = ImportSandbox::new();
            if let Some(months) = first {
                target.import(&[], &target.files(&KEYS, months)).exits(0);
            }
            let before = target.versions();
            let files = target.files(&KEYS, &MONTHS[..2]);
            let status = target.import_until(moment, &files).finish().status;
            assert_eq!(status.code(), None, "{moment} is never reached");
            target.wait_until_alone();
            assert!(target.versions() == before, "{moment}");
            assert_eq!(first.is_none(), target.has_no_tables(), "{moment}");
            target.import(&[], &files).exits(0);
            assert!(KEYS.iter().all(|key| target.tables(key) == undisturbed.tables(key)), "{moment}");
        }
    }
    let target = ImportSandbox::new();
    let status = target
        .import_until("import-commit-answered:KILL", &target.files(&KEYS, &MONTHS[..2]))
        .finish()
        .status;
    assert_eq!(status.code(), None);
    assert!(KEYS.iter().all(|key| target.tables(key) == undisturbed.tables(key)));
}

#[test]
fn a_commit_whose_answer_is_lost_is_told_and_the_next_import_finds_it_done() {
    let target = ImportSandbox::new();
    let files = target.files(&["eurusd"], &MONTHS[..1]);
    let proxy = Proxy::before(&target.database.server().socket());
    proxy.arm(When::Answered(is_commit), Fault::Cut);
    let url = proxy.url(target.database.name());
    target
        .import_into(&url, &[], &files)
        .exits(1)
        .says(&["cannot commit", "importing again changes nothing"]);
    let before = target.versions();
    target.import(&[], &files).exits(0);
    assert!(!before.is_empty() && target.versions() == before);
}

fn is_stopped(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    status.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

#[test]
fn of_two_imports_at_once_the_second_is_told_who_has_the_schema() {
    let target = ImportSandbox::new();
    target.database.sql("create schema other");
    let files = target.files(&["eurusd"], &MONTHS[..1]);
    let first = target.import_until("import-table-written:STOP", &files);
    wait_until("the first import does not stop", || is_stopped(first.id()));
    let told = target.import(&[], &files).exits(1);
    told.says(&[
        "rollfit",
        "server process",
        "is importing into postgres@",
        "schema public: wait until it is done",
    ]);
    target.import(&["--schema", "other"], &files).exits(0);
    drop(first);
    target.wait_until_alone();
    target.import(&[], &files).exits(0);
}

#[test]
fn another_writer_of_a_table_is_named_and_readers_are_not_in_the_way() {
    let target = ImportSandbox::new();
    target.import(&[], &target.files(&["eurusd"], &MONTHS[..1])).exits(0);
    let mut reader = target.database.connect();
    reader.batch_execute("begin isolation level repeatable read; select count(*) from m1_eurusd").unwrap();
    let mut writer = target.database.connect();
    let write = "set application_name = 'old job'; begin; update m1_eurusd set rate_index = 0 where false";
    writer.batch_execute(write).unwrap();
    let before = target.versions();
    let files = target.files(&["eurusd"], &MONTHS[1..2]);
    target
        .import(&[], &files)
        .exits(1)
        .says(&["old job", "is writing public.m1_eurusd or public.bqx_eurusd"]);
    assert!(target.versions() == before);
    writer.batch_execute("rollback").unwrap();
    target.import(&[], &files).exits(0);
    let seen: i64 = reader.query_one("select count(*) from m1_eurusd", &[]).unwrap().get(0);
    assert_eq!(seen as usize, bars("eurusd", "2017-01").len());
}

#[test]
fn hostile_names_of_keys_and_schemas_are_only_names() {
    let target = ImportSandbox::new();
    let long = "k".repeat(59);
    for key in ["select", "user", "1", "_", &long] {
        let file = target.files(&[key], &MONTHS[..1]);
        target.import(&[], &file).exits(0);
        assert_eq!(target.m1(key).len(), bars(key, MONTHS[0]).len());
    }
    let too_long = "k".repeat(60);
    let file = target.files(&[&too_long], &MONTHS[..1]);
    target.import(&[], &file).exits(1).says(&["64 bytes", "63"]);

    let schema = r#"we"ird\; --'$1"#;
    let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
    target.database.sql(&format!("create schema {quoted}"));
    let file = target.files(&["eurusd"], &MONTHS[..1]);
    target.import(&["--schema", schema], &file).exits(0);
    let count = format!("select count(*) from {quoted}.m1_eurusd");
    assert_eq!(target.database.one::<i64>(&count) as usize, bars("eurusd", MONTHS[0]).len());
    let options = format!("-csearch_path={}", quoted.replace('\\', "\\\\").replace(' ', "\\ "));
    let encoded: String = options.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let url = format!("{}&options={encoded}", target.database.url());
    let again = target.import_into(&url, &["--json"], &file).exits(0).json();
    assert_eq!(again["keys"][0]["added"], 0);
    assert_eq!(target.database.one::<i64>("select count(*) from pg_tables where tablename = 'm1_eurusd'"), 1);
}

/// The statement that a message recommends.
fn grant_in(answer: &Answer) -> String {
    let at = answer.stderr.find("GRANT ").unwrap_or_else(|| panic!("no GRANT\n{answer}"));
    answer.stderr[at..].lines().next().unwrap().to_owned()
}

#[test]
fn a_missing_right_is_told_with_the_grant_that_gives_it() {
    let target = ImportSandbox::new();
    let role = format!("limited_{}", target.database.name());
    let name = target.database.name();
    target
        .database
        .sql(&format!("create role \"{role}\" login; revoke temporary on database {name} from public"));
    let url = target.database.url().replace("//postgres@", &format!("//{role}:hunter2@"));
    let mut granted = Vec::new();
    let mut import_with_grants = |months: &[&str]| loop {
        let answer = target.import_into(&url, &[], &target.files(&["eurusd"], months));
        assert!(!answer.stderr.contains("hunter2"), "{answer}");
        if answer.status.success() {
            return;
        }
        let answer = answer.exits(1);
        let grant = grant_in(&answer);
        assert!(!granted.contains(&grant), "{grant} is not enough\n{answer}");
        target.database.sql(&grant);
        granted.push(grant);
    };
    import_with_grants(&MONTHS[..1]);
    for table in ["rollfit_bases", "m1_eurusd", "bqx_eurusd"] {
        target.database.sql(&format!("alter table {table} owner to postgres"));
    }
    import_with_grants(&MONTHS[..2]);
    let on =
        |what: &str| format!("GRANT SELECT, INSERT, UPDATE, DELETE ON \"public\".\"{what}\" TO \"{role}\"");
    let wanted = [
        format!("GRANT CREATE ON SCHEMA \"public\" TO \"{role}\""),
        on("rollfit_bases"),
        on("m1_eurusd"),
        on("bqx_eurusd"),
        format!("GRANT TEMPORARY ON DATABASE \"{name}\" TO \"{role}\""),
    ];
    assert_eq!(granted, wanted);
    target.database.sql(&format!("drop owned by \"{role}\"; drop role \"{role}\""));
}

#[test]
fn tables_that_no_import_wrote_are_not_added_to() {
    for table in ["m1_eurusd", "bqx_eurusd"] {
        let target = ImportSandbox::new();
        target.database.sql(
            "create table m1_eurusd (time timestamp primary key, close numeric, rate_index numeric);
             create table bqx_eurusd (ts_utc timestamptz primary key, w15_bqx_return numeric)",
        );
        target.database.sql(&format!("insert into {table} values ('2016-01-01', 1)"));
        let files = target.files(&["eurusd"], &MONTHS[..1]);
        let sentence = "was not written by `rollfit import`, which cannot add to its table";
        target.import(&[], &files).exits(1).says(&[&format!("public.{table} {sentence}")]);
        assert_eq!(target.database.one::<i64>(&format!("select count(*) from {table}")), 1);
        target.database.sql(&format!("delete from {table}"));
        target.import(&[], &files).exits(0);
    }
}

#[test]
fn a_key_whose_tables_were_dropped_or_emptied_begins_anew() {
    let fresh = ImportSandbox::new();
    fresh.import(&[], &fresh.files(&["eurusd"], &MONTHS[..1])).exits(0);
    let wanted = fresh.tables("eurusd");
    let statements = [
        "drop table m1_eurusd, bqx_eurusd",
        "truncate m1_eurusd, bqx_eurusd",
        "truncate m1_eurusd",
        "drop table bqx_eurusd",
    ];
    for statement in statements {
        let target = ImportSandbox::new();
        let loses_its_bars = statement.contains("m1_");
        let first = if loses_its_bars { &MONTHS[1..2] } else { &MONTHS[..1] };
        target.import(&[], &target.files(&["eurusd"], first)).exits(0);
        target.database.sql(statement);
        target.import(&[], &target.files(&["eurusd"], &MONTHS[..1])).exits(0);
        assert!(target.tables("eurusd") == wanted, "{statement}");
    }
}

#[test]
fn a_pooler_and_what_a_killed_import_left_on_its_connection_are_no_matter() {
    let target = ImportSandbox::new();
    let pooler = Pooler::before(target.database.server(), 1);
    let url = pooler.url(target.database.name());
    let files = target.files(&["eurusd"], &MONTHS[..2]);
    let mut command = target.sandbox.command(&arguments(&url, &[], &files));
    let killed = command.env("ROLLFIT_FAILPOINT", "import-copying:KILL:2").output().unwrap();
    assert_eq!(killed.status.code(), None);
    for files in [&files[..1], &files, &files] {
        target.import_into(&url, &[], files).exits(0);
    }
    let fresh = ImportSandbox::new();
    fresh.import(&[], &files).exits(0);
    assert!(target.tables("eurusd") == fresh.tables("eurusd"));
}

#[test]
fn columns_as_found_are_written_as_they_are() {
    let target = ImportSandbox::new();
    target.database.sql(
        "create table m1_eurusd (rate_index numeric(12, 4), note text default 'n', close numeric, \"time\" timestamptz primary key);
         create table bqx_eurusd (ts_utc timestamp primary key, w15_bqx_return real)",
    );
    let files = target.files(&["eurusd"], &MONTHS[..2]);
    target.import(&[], &files[..1]).exits(0);
    target.import(&[], &files).exits(0);
    let before = target.versions();
    target.import(&[], &files).exits(0);
    assert!(target.versions() == before, "a rounded value is not the one that was imported");
    let fresh = ImportSandbox::new();
    fresh.import(&[], &files).exits(0);
    let [m1, bqx] = fresh.tables("eurusd");
    let [ours, our_bqx] = target.tables("eurusd");
    assert_eq!((ours.len(), our_bqx.len()), (m1.len(), bqx.len()));
    for (ours, wanted) in ours.iter().zip(&m1) {
        assert_eq!((ours.0, ours.1[0]), (wanted.0, wanted.1[0]));
        assert!((f64::from_bits(ours.1[1]) - f64::from_bits(wanted.1[1])).abs() < 0.000_051);
    }
    for (ours, wanted) in our_bqx.iter().zip(&bqx) {
        assert_eq!(f64::from_bits(ours.1[0]) as f32, f64::from_bits(wanted.1[0]) as f32);
    }
    assert_eq!(
        target.database.one::<i64>("select count(*) from m1_eurusd where note = 'n'") as usize,
        m1.len()
    );
}

#[test]
fn a_table_that_cannot_hold_what_belongs_there_is_told_with_what_to_alter() {
    let refused = [
        (
            "(\"time\" timestamp primary key, close numeric(6, 2), rate_index float8)",
            "close is numeric(6,2) and cannot hold",
        ),
        ("(\"time\" timestamp primary key, close text, rate_index float8)", "column close is text"),
        ("(\"time\" timestamp primary key, close float8)", "column rate_index (double precision) is missing"),
        ("(\"time\" timestamp, close float8, rate_index float8)", "PRIMARY KEY (time)"),
    ];
    for (columns, said) in refused {
        let target = ImportSandbox::new();
        target.database.sql(&format!("create table m1_eurusd {columns}"));
        let files = target.files(&["eurusd"], &MONTHS[..2]);
        let first = target.import(&[], &files[..1]);
        // A key is missed only when there are rows to add to.
        let told = if first.status.success() { target.import(&[], &files) } else { first };
        told.exits(1).says(&["public.m1_eurusd", said]);
    }
}

#[test]
fn features_from_these_sources_are_those_from_a_store_of_files() {
    let target = ImportSandbox::new();
    let files = target.files(&KEYS, &MONTHS[..3]);
    target.import(&[], &files).exits(0);
    target.import_into("parquet:fx", &[], &files).exits(0);
    let wanted = config(&KEYS, MONTHS[0], MONTHS[2]);
    target.sandbox.write("rollfit.toml", &wanted);
    target.sandbox.run(&["run", "--quiet"]).exits(0);
    let wanted = features(&target.sandbox.path("fx"));

    let stores = format!("[source]\nurl = {:?}\n\n[sink]\nurl = \"parquet:ours\"\n", target.database.url());
    let text = config(&KEYS, MONTHS[0], MONTHS[2]).replace("[store]\nurl = \"parquet:fx\"\n", &stores);
    target.sandbox.write("rollfit.toml", text);
    std::fs::create_dir(target.sandbox.path("ours")).unwrap();
    target.sandbox.run(&["run", "--quiet"]).exits(0);
    let differences = wanted.differences(&features(&target.sandbox.path("ours")));
    assert!(differences.is_empty(), "{differences:?}");
}

fn features(store: &Path) -> Tree {
    Tree::read(&store.join("features"))
}

#[test]
fn a_place_that_makes_no_sense_is_told_by_its_exit_code_and_without_the_password() {
    let target = ImportSandbox::new();
    let files = target.files(&["eurusd"], &MONTHS[..1]);
    let nobody = "postgres://me:hunter2@127.0.0.1:1/db";
    let cases = [
        ("parquet:fx", &["--schema", "s"][..], 2, "--schema"),
        ("postgres://me:hunter2@[oops/db", &[], 2, "[::1]"),
        (nobody, &[], 3, "127.0.0.1:1"),
        (&target.database.url(), &["--schema", "absent"], 2, "CREATE SCHEMA \"absent\""),
    ];
    for (url, options, exit, said) in cases {
        let answer = target.import_into(url, options, &files).exits(exit).says(&[said]);
        assert!(!format!("{}{}", answer.stdout, answer.stderr).contains("hunter2"), "{answer}");
    }
}
