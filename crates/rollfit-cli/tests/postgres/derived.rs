//! Series derived from closes that are INSERTed: the features of an import of the same bars, with the base that an import stored
//! or the configured one, in tables that have no rate index, or one that nobody fills.

use std::fs;
use std::sync::Arc;

use rollfit_job::config::JobConfig;
use rollfit_job::derived_source::DerivedSource;
use rollfit_job::store::{LatestQuery, LatestRows, Purpose, SeriesRows, Source};
use rollfit_postgres::PostgresStore;
use serde_json::json;

use crate::bars::{bars, config};
use crate::sandbox::{Answer, Sandbox};
use crate::sql::Database;

const MONTHS: [&str; 3] = ["2017-01", "2017-02", "2017-03"];

const DERIVED: [(&str, &str); 6] = [
    ("ROLLFIT_SERIES__IDX__VALUE", "close"),
    ("ROLLFIT_SERIES__IDX__DERIVE", "rate_index"),
    ("ROLLFIT_SERIES__BQX__TABLE", "m1_{key}"),
    ("ROLLFIT_SERIES__BQX__TIME", "time"),
    ("ROLLFIT_SERIES__BQX__VALUE", "close"),
    ("ROLLFIT_SERIES__BQX__DERIVE", "backward_return(15)"),
];

/// A database of closes, and the job over them.
struct Closes {
    sandbox: Sandbox,
    database: Database<'static>,
}

impl Closes {
    fn new() -> Self {
        let (sandbox, database) = (Sandbox::new(), Database::fresh());
        let text = config(&["eurusd"], MONTHS[0], MONTHS[2]);
        sandbox.write("rollfit.toml", text.replace("parquet:fx", &database.url()));
        Self { sandbox, database }
    }

    fn imported(months: &[&str]) -> Self {
        let closes = Self::new();
        closes.import(&[], months).exits(0);
        closes
    }

    fn import(&self, options: &[&str], months: &[&str]) -> Answer {
        let file = |month: &&str| self.sandbox.bars_file("eurusd", month).display().to_string();
        let files: Vec<String> = months.iter().map(file).collect();
        let url = self.database.url();
        let mut arguments = ["import", "--format", "csv", "--json", "--into", &url].to_vec();
        arguments.extend(options);
        arguments.extend(files.iter().map(String::as_str));
        self.sandbox.run(&arguments)
    }

    /// INSERTs closes of months, as a feed does.
    fn insert(&self, table: &str, months: &[&str]) {
        let rows = months.iter().flat_map(|month| bars("eurusd", month));
        let row = |(us, close): (i64, f64)| {
            format!("(to_timestamp({}) at time zone 'UTC', {close})", us / 1_000_000)
        };
        let rows = rows.map(row).collect::<Vec<_>>().join(", ");
        self.database.sql(&format!("insert into {table} (time, close) values {rows}"));
    }

    /// Runs a command of the job over derived series.
    fn run(&self, arguments: &[&str]) -> Answer {
        self.run_with(&[], arguments)
    }

    fn run_with(&self, more: &[(&str, &str)], arguments: &[&str]) -> Answer {
        self.sandbox.run_with(&[&DERIVED, more].concat(), arguments)
    }

    /// The job and its store, with these variables.
    fn open(&self, variables: &[(&str, &str)]) -> (JobConfig, Arc<PostgresStore>) {
        let text = fs::read_to_string(self.sandbox.path("rollfit.toml")).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = JobConfig::parse(&text, variables).unwrap();
        let store = PostgresStore::open(&config.source, &config, Purpose::Read).unwrap();
        (config, Arc::new(store))
    }

    /// Every feature and receipt.
    fn features(&self) -> Vec<Vec<Vec<Option<String>>>> {
        let mut tables = vec![self.database.texts("select output, receipt from rollfit_receipts order by 1")];
        for month in MONTHS.map(|month| month.replace('-', "_")) {
            let table = |series| format!("select * from reg_{series}_eurusd_{month} order by 1");
            tables.extend(["rate", "bqx"].map(|series| self.database.texts(&table(series))));
        }
        tables
    }
}

#[test]
fn inserted_closes_have_the_features_of_imported_ones() {
    let imported = Closes::imported(&MONTHS);
    let carried = [("ROLLFIT_RUN__BOUNDARY", "carry")];
    imported.sandbox.run_with(&carried, &["run", "--quiet"]).exits(0);
    let live = Closes::imported(&MONTHS[..1]);
    live.database.sql("drop table bqx_eurusd");
    live.insert("m1_eurusd", &MONTHS[1..]);
    let nulls = "select count(*) from m1_eurusd where rate_index is null";
    assert!(live.database.one::<i64>(nulls) > 700);
    live.run_with(&carried, &["doctor"]).exits(0);
    let run = live.run_with(&carried, &["run", "--json"]).exits(0).json();
    assert_eq!((&run["written"], &run["already_done"]), (&json!(3), &json!(0)));
    assert!(live.features() == imported.features());
    live.run_with(&carried, &["verify", "--quiet"]).exits(0);
    live.run_with(&carried, &["compare", "--quiet"]).exits(0);
    // Features of another program are adopted.
    live.database.sql("delete from rollfit_receipts");
    let adopted = live.run_with(&carried, &["adopt", "--json"]).exits(0).json();
    assert_eq!(adopted["adopted"], 3, "{adopted}");
    assert_eq!(live.run_with(&carried, &["run", "--json"]).exits(0).json()["already_done"], 3);
    // Over imported series the same job has nothing to do.
    let again = imported.run_with(&carried, &["run", "--json"]).exits(0).json();
    assert_eq!((&again["written"], &again["already_done"]), (&json!(0), &json!(3)));
}

#[test]
fn an_import_over_inserted_closes_fills_what_they_lack() {
    let live = Closes::imported(&MONTHS[..1]);
    live.insert("m1_eurusd", &MONTHS[1..]);
    let report = live.import(&[], &MONTHS).exits(0).json();
    let key = &report["keys"][0];
    assert_eq!((&key["added"], &key["files_written"]), (&json!(0), &json!(2)), "{report}");
    let imported = Closes::imported(&MONTHS);
    for query in ["select * from m1_eurusd order by 1", "select * from bqx_eurusd order by 1"] {
        assert!(live.database.texts(query) == imported.database.texts(query), "{query}");
    }
    let again = live.import(&[], &MONTHS).exits(0).json();
    assert_eq!(again["keys"][0]["files_written"], 0);
}

#[test]
fn a_table_of_closes_alone_needs_a_configured_base() {
    let live = Closes::new();
    live.database.sql("create table m1_eurusd (time timestamptz primary key, close numeric)");
    live.insert("m1_eurusd", &MONTHS);
    let said = ["m1_eurusd", "no import has stored a base for eurusd", "set `base` in [series.idx]"];
    for command in ["plan", "run", "doctor"] {
        live.run(&[command]).exits(1).says(&said);
    }
    let base = bars("eurusd", MONTHS[0])[0].1.to_string();
    let bases = [("ROLLFIT_SERIES__IDX__BASE", &base[..]), ("ROLLFIT_SERIES__BQX__BASE", &base[..])];
    live.run_with(&bases, &["run", "--quiet"]).exits(0);
    let imported = Closes::imported(&MONTHS);
    imported.sandbox.run(&["run", "--quiet"]).exits(0);
    assert!(live.features() == imported.features());
    // Another table than that of the import is not of its base.
    imported.database.sql("create view closes_eurusd as select time, close from m1_eurusd");
    let other = [("ROLLFIT_SERIES__IDX__TABLE", "closes_{key}")];
    imported
        .run_with(&other, &["plan"])
        .exits(1)
        .says(&["closes_eurusd: series `idx`", "no import has stored"]);
}

#[test]
fn a_table_of_an_earlier_import_is_altered_as_schema_prints() {
    let live = Closes::imported(&MONTHS[..1]);
    live.database.sql("alter table m1_eurusd alter column rate_index set not null");
    let alter = "ALTER TABLE \"public\".\"m1_eurusd\" ALTER COLUMN \"rate_index\" DROP NOT NULL";
    let schema = |closes: &Closes| closes.run(&["schema"]).exits(0).stdout;
    assert!(schema(&live).ends_with(&format!("{alter};\n")), "{}", schema(&live));
    live.run(&["doctor"]).says(&["column rate_index is NOT NULL, although", alter]);
    // A job that reads the column is not told so.
    assert!(!live.sandbox.run(&["schema"]).exits(0).stdout.contains(alter));
    live.database.sql(&schema(&live));
    live.insert("m1_eurusd", &MONTHS[1..]);
    live.run(&["run", "--quiet"]).exits(0);
    assert_eq!(schema(&live), "-- nothing is missing\n");
    let doctor = live.run(&["doctor"]).exits(0);
    assert!(!doctor.stdout.contains("is NOT NULL, although"), "{doctor}");
}

#[test]
fn bases_that_the_role_may_not_read_are_told_with_the_grant() {
    let live = Closes::imported(&MONTHS);
    let role = format!("reader_{}", live.database.name());
    live.database.sql(&format!("create role {role} login; grant select on m1_eurusd to {role}"));
    let url = live.database.url().replacen("//postgres@", &format!("//{role}@"), 1);
    let source = [("ROLLFIT_SOURCE__URL", &url[..])];
    let grant = "GRANT SELECT ON \"public\".\"rollfit_bases\"";
    for command in ["plan", "doctor"] {
        live.run_with(&source, &[command]).exits(1).says(&["may not read public.rollfit_bases", grant]);
    }
    live.database.sql(&format!("grant select on rollfit_bases to {role}"));
    live.run_with(&source, &["plan"]).exits(0);
}

fn bits(rows: &[SeriesRows]) -> Vec<(Vec<i64>, Vec<u64>)> {
    let bits = |rows: &SeriesRows| rows.values.iter().map(|value| value.to_bits()).collect();
    rows.iter().map(|rows| (rows.instants_us.clone(), bits(rows))).collect()
}

#[test]
fn the_last_rows_take_one_round_trip_with_the_closes_before_them_and_the_base() {
    let closes = Closes::imported(&MONTHS);
    let (config, store) = closes.open(&DERIVED);
    let (imported_config, imported) = closes.open(&[]);
    let derived = DerivedSource::new(store.clone());
    let (series, imported_series) = (config.series_of_key("eurusd"), imported_config.series_of_key("eurusd"));
    let latest = |query| -> (u64, LatestRows, LatestRows) {
        let before = store.round_trips();
        let one = derived.latest(&series, query).unwrap();
        (store.round_trips() - before, one, imported.latest(&imported_series, query).unwrap())
    };
    let starts = MONTHS.map(|month| rollfit_job::month::Month::span_us(month.parse().unwrap()).start);
    latest(LatestQuery { from_us: starts[2], count_from_us: None });
    let step_us = crate::bars::STEP_S * 1_000_000;
    for from_us in
        [starts[2], starts[2] + 7 * step_us, starts[0], starts[0] + 3 * step_us, starts[0] + 20 * step_us]
    {
        for count_from_us in [None, Some(starts[0]), Some(starts[2]), Some(starts[0] + 2 * step_us)] {
            let query = LatestQuery { from_us, count_from_us: count_from_us.map(|us| us.min(from_us)) };
            let (round_trips, found, wanted) = latest(query);
            assert_eq!((round_trips, bits(&found.rows)), (1, bits(&wanted.rows)), "{query:?}");
            assert_eq!(found.counts, wanted.counts, "{query:?}");
        }
    }
    // Another base is seen at once, and a table of bases that has gone.
    let query = LatestQuery { from_us: starts[2], count_from_us: None };
    closes.database.sql("update rollfit_bases set close = close * 2");
    let (_, halved, _) = latest(query);
    assert_ne!(bits(&halved.rows), bits(&imported.latest(&imported_series, query).unwrap().rows));
    closes.database.sql("drop table rollfit_bases");
    let error = derived.latest(&series, query).unwrap_err().to_string();
    assert!(error.contains("no import has stored a base for eurusd"), "{error}");
}
