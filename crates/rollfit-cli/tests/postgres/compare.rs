//! Trust in the change-over: `compare` and `adopt` on features that somebody else wrote. What a numpy job stores is clean
//! and can be adopted; what is not as the source gives it is found, and named with its metric and instant.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::bars::config;
use crate::sandbox::{Answer, Sandbox};
use crate::sql::Database;

const JANUARY: [&str; 2] = ["reg_rate_eurusd_2017_01", "reg_bqx_eurusd_2017_01"];
const FEBRUARY: [&str; 2] = ["reg_rate_eurusd_2017_02", "reg_bqx_eurusd_2017_02"];
/// Minutes of February in the source tables.
const ROWS: u64 = 2000;
const CELLS: u64 = ROWS * 180;

/// A walk of closes with five digits, a minute apart, from the end of January on; and the two series that an import makes of
/// closes.
const SOURCES: &str = "
    create table m1_eurusd (time timestamp primary key, close float8, rate_index float8);
    create table bqx_eurusd (ts_utc timestamptz primary key, w15_bqx_return float8);
    insert into m1_eurusd (time, close)
    select t, (round(1.07 + sum((hashtext('walk ' || t) % 20) / 1e5) over (order by t), 5))::float8
    from generate_series('2017-01-31 12:00'::timestamp, '2017-02-02 09:19', '1 minute') t;
    update m1_eurusd set rate_index = (100 * close) / (select close from m1_eurusd order by time limit 1);
    insert into bqx_eurusd
    select time at time zone 'UTC', (sum(rate_index) over before - 15 * rate_index) / rate_index from m1_eurusd
    window before as (order by time rows between 15 preceding and 1 preceding) offset 15;";

/// A job on a database of its own.
struct Change {
    sandbox: Sandbox,
    database: Database<'static>,
}

impl Change {
    /// Sources, and no features yet.
    fn new() -> Self {
        let change = Self { sandbox: Sandbox::new(), database: Database::fresh() };
        change.database.sql(SOURCES);
        change.configure(&change.database.url());
        change
    }

    /// With a February that the numpy job wrote; none, said aloud, where there is no Python for it.
    fn by_numpy() -> Option<Self> {
        static FEATURES: OnceLock<Option<[String; 2]>> = OnceLock::new();
        let features = FEATURES.get_or_init(write_with_numpy).as_ref()?;
        let change = Self::new();
        for (table, rows) in FEBRUARY.into_iter().zip(features) {
            change.database.sql(&create_table(table, "numeric"));
            let mut client = change.database.connect();
            let mut copy = client.copy_in(&format!("copy {table} from stdin")).unwrap();
            copy.write_all(rows.as_bytes()).unwrap();
            copy.finish().unwrap();
        }
        Some(change)
    }

    fn configure(&self, url: &str) {
        let text = config(&["eurusd"], "2017-02", "2017-02").replace("parquet:fx", url);
        self.sandbox.write("rollfit.toml", text);
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        self.sandbox.run(arguments)
    }

    fn compared(&self, code: i32) -> Value {
        self.run(&["compare", "--json"]).exits(code).json()
    }

    /// Every row and column of these tables.
    fn contents(&self, tables: &[&str]) -> Vec<String> {
        let sum = |table: &&str| {
            self.database.one(&format!("select md5(string_agg(t::text, ' ' order by ts_utc)) from {table} t"))
        };
        tables.iter().map(sum).collect()
    }

    fn receipts(&self) -> i64 {
        self.database.one("select count(*) from rollfit_receipts")
    }

    /// Checks that both commands find this, and that nothing is adopted.
    #[track_caller]
    fn is_found(&self, parts: &[&str]) {
        self.run(&["compare"]).exits(1).says(parts).says(&["0 clean, 1 different"]);
        self.run(&["adopt"]).exits(4).says(&["0 adopted, 0 already ours, 1 different", parts[0]]);
        assert_eq!(self.receipts(), 0);
    }
}

/// A features table as deployments have them.
fn create_table(table: &str, numbers: &str) -> String {
    let series = if table.contains("rate") { "idx" } else { "bqx" };
    let metrics = rollfit::Metric::STORED.iter().map(|metric| metric.name());
    let windows = ["w15", "w30", "w45", "w60", "w75", "agg"];
    let column = |window: &str, metric: &str| format!("{metric}_{series}_{window} {numbers}");
    let columns: Vec<String> =
        windows.iter().flat_map(|window| metrics.clone().map(move |metric| column(window, metric))).collect();
    format!("create table {table} (ts_utc timestamp not null primary key, {})", columns.join(", "))
}

/// The Python that the numpy job needs, or none, said aloud.
fn python() -> Option<String> {
    let has_modules = |python: &String| {
        let import = Command::new(python).args(["-c", "import numpy, psycopg, pyarrow"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let python = std::env::var("ROLLFIT_PYTHON").ok().filter(has_modules);
    if python.is_none() {
        println!("skipped: ROLLFIT_PYTHON names no Python with numpy, psycopg and pyarrow");
    }
    python
}

/// Runs the per-row job, which makes the features tables of a month with NUMERIC columns.
#[track_caller]
fn numpy_job(python: &str, read: &str, write: &str, month: &str) {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../benches/numpy_job.py"));
    command.args(["--read", read, "--write", write, "eurusd", month]);
    Answer::from_command(command).exits(0);
}

/// The rows of February as the job writes them. It takes seconds, so that it is run once.
fn write_with_numpy() -> Option<[String; 2]> {
    let python = python()?;
    let database = Database::fresh();
    database.sql(SOURCES);
    numpy_job(&python, &database.url(), &database.url(), "2017-02");
    Some(FEBRUARY.map(|table| {
        let mut text = String::new();
        let mut client = database.connect();
        client.copy_out(&format!("copy {table} to stdout")).unwrap().read_to_string(&mut text).unwrap();
        text
    }))
}

#[test]
fn a_month_written_by_a_numpy_job_is_clean_and_once_adopted_it_is_done() {
    let Some(change) = Change::by_numpy() else { return };
    let before = change.contents(&FEBRUARY);
    change.run(&["run"]).exits(4).says(&["1 skipped", "foreign"]);

    let compared = change.compared(0);
    assert_eq!((&compared["clean"], &compared["different"]), (&json!(1), &json!(0)));
    let count = |name: &str| compared[name].as_u64().unwrap();
    assert_eq!(count("bit_equal") + count("within") + count("undetermined"), CELLS);
    assert!(count("within") > CELLS / 2 && count("undetermined") < CELLS / 14, "{compared}");
    let feature = &compared["features"][180 - 15];
    assert_eq!((&feature["feature"], &feature["window"]), (&json!("a2_bqx_agg"), &json!("agg")));
    let cells = ["bit_equal", "within", "undetermined"].map(|name| feature[name].as_u64().unwrap());
    assert_eq!((cells.iter().sum::<u64>(), &feature["outside"]), (ROWS, &json!(0)));
    let worst = feature["worst"]["distance"].as_f64().unwrap();
    assert!(worst > 0.0 && worst < 1.0, "{worst}");

    change.run(&["adopt"]).exits(0).says(&["1 adopted, 0 already ours, 0 different", "2,000 rows adopted"]);
    let receipt = change.database.one::<String>("select receipt::text from rollfit_receipts");
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!((&receipt["stored"]["adopted"], &receipt["stored"]["rows"]), (&json!(true), &json!(ROWS)));
    let warmup = (14 + 29 + 44 + 59 + 74 + 89) * 15 * 2;
    assert_eq!(receipt["stored"]["no_value"]["warmup"], warmup);
    change.run(&["adopt"]).exits(0).says(&["0 adopted, 1 already ours"]);
    let run = change.run(&["run", "--json"]).exits(0).json();
    assert_eq!((&run["written"], &run["already_done"]), (&json!(0), &json!(1)));
    change.run(&["verify"]).exits(0);
    change.run(&["verify", "--quick"]).exits(0);
    change.run(&["compare"]).exits(0).says(&["1 clean"]);
    assert_eq!(change.contents(&FEBRUARY), before);
}

#[test]
fn a_whole_real_month_of_a_numpy_job_is_clean() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("ROLLFIT_SHARED").map_or(shared, PathBuf::from);
    let bars = shared.join("data/m1/pair=eurusd/2017-12.parquet");
    if !bars.exists() {
        println!("skipped: shared data {} is absent", bars.display());
        return;
    }
    let Some(python) = python() else { return };
    let (sandbox, database) = (Sandbox::new(), Database::fresh());
    let import = ["import", "--format", "parquet", "--into", "parquet:fx"].map(PathBuf::from);
    let imported = sandbox.run(&[&import[..], &[bars]].concat()).exits(0);
    let store = format!("[source]\nurl = \"parquet:fx\"\n[sink]\nurl = \"{}\"", database.url());
    let text = config(&["eurusd"], "2017-12", "2017-12").replace("[store]\nurl = \"parquet:fx\"", &store);
    sandbox.write("rollfit.toml", text);
    let sources = sandbox.path("fx/sources").display().to_string();
    numpy_job(&python, &sources, &database.url(), "2017-12");
    let compared = sandbox.run(&["compare", "--json"]).exits(0).json();
    assert_eq!(compared["outside"], 0, "{imported}");
    assert!(compared["partitions"][0]["tables"][0]["rows"].as_u64().unwrap() > 20_000);
    sandbox.run(&["adopt"]).exits(0);
    sandbox.run(&["run"]).exits(0).says(&["0 written, 1 already done"]);
}

#[test]
fn a_changed_digit_is_found_and_named() {
    let instant = "2017-02-01T15:00:00Z";
    for (series, column, change) in [
        ("rate", "prediction_idx_w60", "+ 0.0001"),
        ("rate", "vertex_y_idx_agg", "+ 0.0001"),
        ("rate", "a2_idx_w15", "* 1.00001"),
        ("bqx", "a1_bqx_w45", "* 1.00001"),
        ("bqx", "r2_bqx_w30", "* 1.00001"),
    ] {
        let Some(changed) = Change::by_numpy() else { return };
        changed.database.sql(&format!(
            "update reg_{series}_eurusd_2017_02 set {column} = {column} {change} where ts_utc = '{instant}'"
        ));
        changed.is_found(&[&format!("{column} at {instant}: "), "1 outside"]);
        let compared = changed.compared(1);
        let features = compared["features"].as_array().unwrap();
        let feature = features.iter().find(|feature| feature["feature"] == column).unwrap();
        assert_eq!((&feature["outside"], &feature["worst"]["instant"]), (&json!(1), &json!(instant)));
    }
}

#[test]
fn rows_that_are_shifted_by_one_are_found_and_named() {
    let Some(change) = Change::by_numpy() else { return };
    // The stretch has the values of the rows before it: its first row is gone, and the row after it overwritten.
    change.database.sql(
        "alter table reg_bqx_eurusd_2017_02 drop constraint reg_bqx_eurusd_2017_02_pkey;
         delete from reg_bqx_eurusd_2017_02 where ts_utc = '2017-02-01 11:00';
         update reg_bqx_eurusd_2017_02 set ts_utc = ts_utc + interval '1 minute'
         where ts_utc >= '2017-02-01 10:00' and ts_utc < '2017-02-01 11:00'",
    );
    change.is_found(&[
        "series bqx: 1 row is only computed, the first at 2017-02-01T10:00:00Z",
        "a2_bqx_w15 at 2017-02-01T10:01:00Z: ",
    ]);
    let compared = change.compared(1);
    let outside = |feature: &Value| {
        (feature["outside"].as_u64().unwrap(), feature["metric"].as_str().unwrap().to_owned())
    };
    let found: Vec<(u64, String)> = compared["features"].as_array().unwrap().iter().map(outside).collect();
    assert!(found[..90].iter().all(|(outside, _)| *outside == 0), "the other table is as it was");
    for (outside, metric) in &found[90..] {
        assert!(*outside >= 55 || metric == "residual_mean", "{metric}: {outside}");
    }
}

#[test]
fn a_month_written_under_carry_is_found_and_explained() {
    let change = Change::new();
    let carry = [("ROLLFIT_RUN__BOUNDARY", "carry")];
    change.sandbox.run_with(&carry, &["run"]).exits(0);
    change.database.sql("delete from rollfit_receipts");
    change.is_found(&[
        "a2_idx_w15 at 2017-02-01T00:00:00Z: ",
        " stored, NULL computed, and 13 more",
        "windows may have reached further back",
    ]);
    let warmup = (14 + 29 + 44 + 59 + 74 + 89) * 15 * 2;
    let compared = change.compared(1);
    assert_eq!((&compared["outside"], &compared["one_sided"]), (&json!(warmup), &json!(warmup)));
    assert_eq!(compared["bit_equal"], CELLS - warmup);
    change.sandbox.run_with(&carry, &["compare"]).exits(0).says(&["0 within", "1 clean"]);
}

#[test]
fn comparing_needs_only_select_and_leaves_the_database_as_it_was() {
    let change = Change::new();
    change.run(&["run"]).exits(0);
    let reader = format!("reader_of_{}", change.database.name());
    change.database.server().sql(&format!("create role {reader} login"));
    let tables = [FEBRUARY[0], FEBRUARY[1], "m1_eurusd", "bqx_eurusd"].join(", ");
    change.database.sql(&format!(
        "revoke all on schema public from public; grant usage on schema public to {reader};
         grant select on {tables} to {reader}"
    ));
    change.configure(&change.database.url().replace("postgres@", &format!("{reader}@")));
    let before = (change.contents(&FEBRUARY), everything(&change.database));

    let answer = change.run(&["compare"]).exits(0).says(&["1 clean"]);
    assert_eq!(answer.stderr.matches("may not read public.rollfit_receipts").count(), 1, "{answer}");
    assert_eq!((change.contents(&FEBRUARY), everything(&change.database)), before);
    change.database.sql("drop table rollfit_receipts");
    let answer = change.run(&["compare"]).exits(0).says(&["1 clean"]);
    assert!(!answer.stderr.contains("may not"), "{answer}");
    assert_eq!(
        change.database.one::<i64>("select count(*) from pg_class where relname = 'rollfit_receipts'"),
        0
    );
    change.run(&["adopt"]).exits(1).says(&["permission denied"]);

    change.configure(&change.database.url());
    change.database.sql(&format!("drop owned by {reader}; drop role {reader}"));
}

/// Every relation with the file that it is in, and the version of every row.
fn everything(database: &Database<'_>) -> Vec<Vec<Option<String>>> {
    let relations =
        "select relname::text, relfilenode from pg_class where relnamespace = 'public'::regnamespace";
    let versions = "select tableoid::regclass::text, xmin::text from";
    let tables = [FEBRUARY[0], FEBRUARY[1], "m1_eurusd", "bqx_eurusd", "rollfit_receipts"];
    let versions = tables.map(|table| database.texts(&format!("{versions} {table} order by ctid")));
    [database.texts(&format!("{relations} order by 1")), versions.concat()].concat()
}

#[test]
fn what_rollfit_wrote_is_bit_equal_whatever_the_type_of_the_columns() {
    for numbers in ["double precision", "numeric", "numeric(14,6)", "numeric(3,-1)", "real"] {
        let change = Change::new();
        FEBRUARY.iter().for_each(|table| change.database.sql(&create_table(table, numbers)));
        change.run(&["run"]).exits(0);
        let compared = change.compared(0);
        assert_eq!((&compared["bit_equal"], &compared["outside"]), (&json!(CELLS), &json!(0)), "{numbers}");
        change.run(&["compare"]).exits(0).says(&["360,000 bit-equal, 0 within", "1 clean"]);
    }
}

#[test]
fn what_others_rounded_to_fewer_digits_is_clean() {
    for numbers in ["double precision", "numeric(14,6)", "real"] {
        let Some(change) = Change::by_numpy() else { return };
        for (table, series) in FEBRUARY.into_iter().zip(["idx", "bqx"]) {
            let columns = change.database.rows(&format!(
                "select column_name::text from information_schema.columns where table_name = '{table}' and column_name like '%{series}%'"
            ));
            let alter = |row: &postgres::Row| format!("alter {} type {numbers}", row.get::<_, String>(0));
            let alters: Vec<String> = columns.iter().map(alter).collect();
            assert_eq!(alters.len(), 90);
            change.database.sql(&format!("alter table {table} {}", alters.join(", ")));
        }
        change.run(&["compare"]).exits(0).says(&[" 0 outside", "1 clean"]);
        change.run(&["adopt"]).exits(0).says(&["1 adopted"]);
        change.run(&["run"]).exits(0).says(&["0 written, 1 already done"]);
        change.run(&["verify"]).exits(0);
    }
}

#[test]
fn a_negative_zero_is_a_zero_and_a_stored_nan_is_no_null() {
    let warmup = "2017-02-01T00:03:00Z";
    let later = "2017-02-01T15:00:00Z";
    for numbers in ["double precision", "numeric", "real"] {
        let change = Change::new();
        FEBRUARY.iter().for_each(|table| change.database.sql(&create_table(table, numbers)));
        change.run(&["run"]).exits(0);
        change.database.sql(&format!("update {} set residual_mean_idx_w15 = '-0.0'", FEBRUARY[0]));
        let outside = change.compared(1)["outside"].as_u64().unwrap();
        assert_eq!(outside, 14, "{numbers}: zeros where there is no value");
        change.database.sql(&format!(
            "update {} set residual_mean_idx_w15 = null where ts_utc < '2017-02-01 00:14'",
            FEBRUARY[0]
        ));
        change.run(&["compare"]).exits(0);
        for instant in [warmup, later] {
            let set = |value: &str| {
                let table = FEBRUARY[1];
                change
                    .database
                    .sql(&format!("update {table} set b_bqx_agg = {value} where ts_utc = '{instant}'"));
            };
            let value: Option<String> = change
                .database
                .one(&format!("select b_bqx_agg::text from {} where ts_utc = '{instant}'", FEBRUARY[1]));
            set("'NaN'");
            let place = format!("b_bqx_agg at {instant}");
            change.run(&["compare"]).exits(1).says(&[&place, "NaN or an infinity stored"]);
            let verified = change.run(&["verify"]).exits(1);
            assert!(verified.stdout.contains("different"), "{verified}");
            set(&value.map_or("null".to_owned(), |value| format!("'{value}'")));
            change.run(&["compare"]).exits(0);
        }
    }
}

#[test]
fn a_sample_judges_that_many_rows() {
    let change = Change::new();
    change.run(&["run"]).exits(0);
    let compared = change.run(&["compare", "--sample", "40", "--json"]).exits(0).json();
    assert_eq!(compared["bit_equal"], 40 * 180);
    assert_eq!(compared["partitions"][0]["tables"][1]["rows"], ROWS);
    change.database.sql(&format!("delete from {} where ts_utc = '2017-02-01 00:10'", FEBRUARY[0]));
    change.run(&["compare", "--sample", "1"]).exits(1).says(&["the first at 2017-02-01T00:10:00Z"]);
}

#[test]
fn what_has_no_features_is_absent_and_what_lacks_a_table_fails() {
    let change = Change::new();
    change.run(&["run"]).exits(0);
    let january = [("ROLLFIT_PARTITIONS__FROM", "2017-01")];
    let compared = change.sandbox.run_with(&january, &["compare", "--json"]).exits(4).json();
    assert_eq!((&compared["clean"], &compared["absent"]), (&json!(1), &json!(1)));
    change
        .sandbox
        .run_with(&january, &["compare"])
        .exits(4)
        .says(&["eurusd 2017-01: absent: there are no features"]);
    change.sandbox.run_with(&january, &["adopt"]).exits(0).says(&["1 already ours", "1 without features"]);
    change.sandbox.run_with(&january, &["run"]).exits(0);
    change.database.sql(&format!("drop table {}", JANUARY[1]));
    let found = change.sandbox.run_with(&january, &["compare", "--json"]).exits(1).json();
    assert_eq!((&found["clean"], &found["failed"]), (&json!(1), &json!(1)));
}

#[test]
fn what_another_session_writes_is_not_adopted() {
    let change = Change::new();
    change.run(&["run"]).exits(0);
    change.database.sql("delete from rollfit_receipts");
    let mut other = change.database.connect();
    other.batch_execute(&format!("begin; delete from {} where false", FEBRUARY[1])).unwrap();
    change.run(&["adopt"]).exits(1).says(&["1 failed", "; try again later"]);
    assert_eq!(change.receipts(), 0);
    other.batch_execute("rollback").unwrap();
    change.run(&["adopt"]).exits(0).says(&["1 adopted"]);
    assert_eq!(change.receipts(), 1);
}
