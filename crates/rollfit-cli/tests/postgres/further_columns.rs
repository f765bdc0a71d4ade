//! Further columns of imported bars in PostgreSQL: made, added to tables of ours, filled, kept; never in the way of columns,
//! views and functions of others.

use rollfit_job::config::StoreConfig;
use rollfit_job::import::{BarsOptions, KeyReport};
use rollfit_job::store::{StoreError, StoreKind};
use rollfit_postgres::Postgres;
use rollfit_testkit::bars::TestBars;

use crate::bars::{bars, config};
use crate::sandbox::Sandbox;
use crate::sql::Database;

const NONE: f64 = f64::NAN;
const KEEP: BarsOptions = BarsOptions { base_from_us: None, rebase: false, replace: false };
const REPLACE: BarsOptions = BarsOptions { replace: true, ..KEEP };
const REBASE: BarsOptions = BarsOptions { rebase: true, ..KEEP };
/// 2017-01-01.
const START_US: i64 = 1_483_228_800_000_000;

/// A database to import bars of one key into.
struct Target(Database<'static>);

impl Target {
    fn new() -> Self {
        Self(Database::fresh())
    }

    /// One with these bars.
    fn with(bars: &TestBars) -> Self {
        let target = Self::new();
        target.import(KEEP, bars).unwrap();
        target
    }

    fn import(&self, options: BarsOptions, bars: &TestBars) -> Result<KeyReport, StoreError> {
        self.import_as(&self.0.url(), options, bars)
    }

    fn import_as(&self, url: &str, options: BarsOptions, bars: &TestBars) -> Result<KeyReport, StoreError> {
        let mut import = Postgres.import_into(&StoreConfig::new(url.to_owned()), options)?;
        let report = import.add("eurusd", bars)?;
        import.commit()?;
        Ok(report)
    }

    /// Checks that an import is refused with these words and changes nothing.
    #[track_caller]
    fn refuses(&self, options: BarsOptions, bars: &TestBars, says: &[&str]) -> String {
        let before = self.versions();
        let error = rollfit_job::error_chain(&self.import(options, bars).unwrap_err());
        for part in says {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
        assert!(self.versions() == before);
        error
    }

    #[track_caller]
    fn assert_column(&self, name: &str, wanted: &[f64]) {
        let rows = self.0.rows(&format!("select {name}::float8 from m1_eurusd order by time"));
        let found: Vec<Option<u64>> =
            rows.iter().map(|row| row.get::<_, Option<f64>>(0).map(f64::to_bits)).collect();
        let wanted: Vec<Option<u64>> =
            wanted.iter().map(|value| (!value.is_nan()).then_some(value.to_bits())).collect();
        assert_eq!(found, wanted);
    }

    /// The columns of `m1_eurusd`, as the server describes them.
    fn columns(&self) -> Vec<String> {
        let rows = self.0.texts(
            "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute
             where attrelid = 'm1_eurusd'::regclass and attnum > 0 and not attisdropped order by attnum",
        );
        rows.into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" ")).collect()
    }

    /// Which transaction wrote each row, of every table of the schema, and what it is.
    fn versions(&self) -> Vec<Vec<Option<String>>> {
        let tables = self.0.texts(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1",
        );
        let rows = |table: &Vec<Option<String>>| {
            let table = table[0].as_deref().unwrap();
            self.0.texts(&format!("select '{table}', xmin, ctid, t::text from \"{table}\" t order by ctid"))
        };
        tables.iter().flat_map(rows).collect()
    }
}

/// Forty bars.
fn forty() -> TestBars {
    let closes: Vec<f64> = (0..40).map(|row| 1.1 + f64::from(row * 7 % 20) / 1e4).collect();
    TestBars::new(START_US, &closes)
}

fn part(rows: std::ops::Range<usize>) -> TestBars {
    TestBars { bars: forty().bars[rows].to_vec(), ..TestBars::default() }
}

fn volume() -> Vec<f64> {
    (0..40).map(|row| if row == 5 { NONE } else { f64::from(row) + 0.1 }).collect()
}

#[test]
fn a_new_table_has_the_columns_and_the_same_bars_touch_no_row() {
    let bars = forty().with("volume", &volume()).with("Ask \"x\"", &[NONE; 40]);
    let target = Target::with(&bars);
    assert_eq!(
        target.columns()[1..],
        [
            "close double precision t",
            "rate_index double precision f",
            "Ask \"x\" double precision f",
            "volume double precision f"
        ]
    );
    target.assert_column("volume", &volume());
    target.assert_column("\"Ask \"\"x\"\"\"", &[NONE; 40]);
    let before = target.versions();
    for options in [KEEP, REPLACE, REBASE] {
        assert_eq!(target.import(options.clone(), &bars).unwrap().files_written, 0);
        assert_eq!(target.import(options, &forty()).unwrap().files_written, 0);
    }
    assert!(target.versions() == before);
}

#[test]
fn a_missing_column_is_added_beside_views_and_filled() {
    let target = Target::with(&part(0..30));
    target.0.sql(
        "create view everything as select * from m1_eurusd; create materialized view kept as select * from m1_eurusd;
         create function closes() returns setof float8 language sql as 'select close from m1_eurusd order by time'",
    );
    let report = target.import(KEEP, &part(20..40).with("volume", &volume()[20..])).unwrap();
    assert_eq!((report.added, report.unchanged, report.filled, report.replaced), (10, 0, 10, 0));
    target.assert_column("volume", &[[NONE; 20].as_slice(), &volume()[20..]].concat());
    assert_eq!(target.columns()[3], "volume double precision f");
    assert_eq!(
        target.0.one::<i64>("select count(*) from everything e, closes() where e.close is not null"),
        1600
    );
    let report = target.import(KEEP, &forty().with("volume", &volume())).unwrap();
    assert_eq!((report.unchanged, report.filled), (21, 19));
    target.assert_column("volume", &volume());
}

#[test]
fn no_import_without_columns_loses_them() {
    let target = Target::with(&part(20..40).with("volume", &volume()[20..]));
    target.import(REBASE, &part(0..20)).unwrap();
    let wanted = [[NONE; 20].as_slice(), &volume()[20..]].concat();
    target.assert_column("volume", &wanted);
    target.import(REPLACE, &forty()).unwrap();
    target.assert_column("volume", &wanted);
    assert_eq!(target.import(KEEP, &forty().with("volume", &volume())).unwrap().filled, 19);
    target.assert_column("volume", &volume());
}

#[test]
fn a_replaced_close_takes_imported_values_along_and_no_others() {
    let target = Target::with(&forty().with("volume", &volume()));
    target.0.sql("alter table m1_eurusd add column mine float8 default 7, add column note text default 'n'");
    let mut changed = forty();
    changed.bars[3].close = 1.5;
    target.refuses(KEEP, &changed, &["line 4", "the close of eurusd", "--replace"]);
    assert_eq!(target.import(REPLACE, &changed).unwrap().replaced, 1);
    let mut wanted = volume();
    wanted[3] = NONE;
    target.assert_column("volume", &wanted);
    target.assert_column("mine", &[7.0; 40]);
    assert_eq!(target.0.one::<i64>("select count(*) from m1_eurusd where note = 'n'"), 40);
    // A table that is made anew has no columns of imports but those that are brought.
    target.0.sql("drop table m1_eurusd, bqx_eurusd");
    target.import(KEEP, &forty()).unwrap();
    target.0.sql("alter table m1_eurusd add column volume float8; update m1_eurusd set volume = 9");
    target.import(REPLACE, &changed).unwrap();
    target.assert_column("volume", &[9.0; 40]);
}

#[test]
fn another_value_is_an_error_that_names_it() {
    let target = Target::with(&forty().with("volume", &volume()));
    let mut other = volume();
    other[25] = 0.5;
    let bars = forty().with("volume", &other);
    let says = ["line 26", "column `volume` of eurusd", "0.5 there and 25.1 in the store", "--replace"];
    target.refuses(KEEP, &bars, &says);
    assert_eq!(target.import(REPLACE, &bars).unwrap().replaced, 1);
    target.assert_column("volume", &other);
    other[25] = NONE;
    assert_eq!(target.import(KEEP, &forty().with("volume", &other)).unwrap().files_written, 0);
}

#[test]
fn names_that_the_server_cannot_keep_are_refused() {
    let target = Target::new();
    let long = "v".repeat(64);
    for name in ["ctid", "xmin", "tableoid", "close", "Time", "", long.as_str()] {
        target.refuses(KEEP, &forty().with(name, &[1.0; 40]), &["cannot be imported", "--columns"]);
    }
    assert!(target.versions().is_empty());
    for name in ["XMIN", "user", "a.b", "größe", &long[..63]] {
        let target = Target::with(&forty().with(name, &[1.5; 40]));
        target.assert_column(&format!("\"{name}\""), &[1.5; 40]);
    }
    let target = Target::with(&forty().with("Volume", &[1.5; 40]));
    target.refuses(KEEP, &forty().with("volume", &[1.5; 40]), &["`volume`", "`Volume`"]);
}

#[test]
fn columns_that_are_there_must_hold_every_value_exactly() {
    let column = |kind: &str| {
        let target = Target::with(&forty());
        target.0.sql(&format!("alter table m1_eurusd add column volume {kind}"));
        target
    };
    for kind in ["numeric", "numeric(12,4)", "float8"] {
        let target = column(kind);
        target.import(KEEP, &forty().with("volume", &volume())).unwrap();
        target.assert_column("volume", &volume());
        let again = target.import(KEEP, &forty().with("volume", &volume())).unwrap();
        assert_eq!(again.files_written, 0);
    }
    for (kind, value) in
        [("real", 0.1), ("numeric(12,2)", 0.125), ("numeric", -0.0), ("numeric", f64::INFINITY)]
    {
        let says = ["column volume is", "cannot hold", "ALTER COLUMN \"volume\" TYPE double precision"];
        column(kind).refuses(KEEP, &forty().with("volume", &[value; 40]), &says);
    }
    column("bigint").refuses(KEEP, &forty().with("volume", &volume()), &["volume", "bigint", "ALTER TABLE"]);
    let generated = column("float8 generated always as (close) stored");
    generated.refuses(KEEP, &forty().with("volume", &volume()), &["generates", "volume"]);
    generated.import(REPLACE, &forty()).unwrap();
    // What somebody wrote there already counts as any stored value.
    let target = column("float8 default 3");
    target.refuses(KEEP, &forty().with("volume", &volume()), &["0.1 there and 3 in the store"]);
}

/// The statement that a message recommends.
fn alter_in(error: &str) -> &str {
    &error[error.find("ALTER TABLE").unwrap()..]
}

#[test]
fn a_table_that_is_not_ours_to_alter_is_left_alone_with_the_statement() {
    let bars = forty().with("volume", &volume());
    // No import has written to it yet: its owner decides its columns.
    let target = Target::new();
    target.0.sql("create table m1_eurusd (time timestamp primary key, close float8, rate_index float8)");
    let error = target.refuses(KEEP, &bars, &["column volume (double precision) is missing"]);
    target.0.sql(alter_in(&error));
    target.import(KEEP, &bars).unwrap();
    target.assert_column("volume", &volume());

    // A partition gets its columns from its parent.
    let target = Target::with(&forty());
    target.0.sql(
        "create table all_bars (like m1_eurusd including all) partition by range (time);
         alter table all_bars attach partition m1_eurusd default",
    );
    let error = target.refuses(KEEP, &bars, &["column volume (double precision) is missing", "all_bars"]);
    target.0.sql(alter_in(&error));
    target.import(KEEP, &bars).unwrap();

    // Somebody relies on which columns there are.
    for (dependent, says) in [
        (
            "create function bars() returns setof m1_eurusd language sql
             as 'select time, close, rate_index from m1_eurusd'",
            "function bars()",
        ),
        ("create table log (bar m1_eurusd)", "column bar of table log"),
        ("create publication feed for table m1_eurusd", "publication feed"),
    ] {
        let target = Target::with(&forty());
        target.0.sql(dependent);
        let error = target.refuses(KEEP, &bars, &[says, "column volume is missing"]);
        target.import(KEEP, &forty()).unwrap();
        target.0.sql(alter_in(&error));
        target.import(KEEP, &bars).unwrap();
    }
}

#[test]
fn rows_of_others_are_refused_before_their_columns() {
    let target = Target::new();
    target.0.sql(
        "create table m1_eurusd (time timestamp primary key, close float8, rate_index float8);
         insert into m1_eurusd values ('2017-01-01', 1, 100)",
    );
    target.refuses(KEEP, &forty().with("volume", &volume()), &["was not written by `rollfit import`"]);
}

#[test]
fn a_role_that_does_not_own_the_table_gets_the_statements() {
    let target = Target::with(&forty());
    let role = format!("loader_of_{}", target.0.name());
    target.0.sql(&format!(
        "create role {role} login; grant temporary on database {0} to {role}; grant usage on schema public to {role};
         grant select, insert, update, delete on m1_eurusd, bqx_eurusd, rollfit_bases to {role}",
        target.0.name()
    ));
    let url = format!("{}&user={role}", target.0.url());
    let bars = forty().with("volume", &volume());
    let refused = || rollfit_job::error_chain(&target.import_as(&url, KEEP, &bars).unwrap_err());
    let error = refused();
    assert!(error.contains("column volume (double precision) is missing"), "{error}");
    target.0.sql(alter_in(&error));
    let error = refused();
    assert!(
        error.contains("cannot create public.rollfit_columns") && error.contains("GRANT CREATE"),
        "{error}"
    );
    target.0.sql(&error[error.find("GRANT").unwrap()..]);
    target.import_as(&url, KEEP, &bars).unwrap();
    target.assert_column("volume", &volume());
    // Without columns it needs no right but those before.
    target.0.sql(&format!("revoke create on schema public from {role}; drop table rollfit_columns"));
    target.import_as(&url, REPLACE, &forty()).unwrap();
    target.assert_column("volume", &volume());
    target.0.sql(&format!("drop owned by {role}; drop role {role}"));
}

#[test]
fn a_reader_of_a_table_that_gets_a_column_is_named() {
    let target = Target::with(&forty());
    let mut reader = target.0.connect();
    reader
        .batch_execute("set application_name = 'old report'; begin; select count(*) from m1_eurusd")
        .unwrap();
    let bars = forty().with("volume", &volume());
    target.refuses(KEEP, &bars, &["old report", "uses public.m1_eurusd"]);
    target.import(KEEP, &forty()).unwrap();
    reader.batch_execute("rollback").unwrap();
    target.import(KEEP, &bars).unwrap();
}

#[test]
fn a_job_fits_a_further_column_and_its_receipts_do_not_depend_on_others() {
    let sandbox = Sandbox::new();
    let closes: Vec<f64> = bars("eurusd", "2017-01").iter().map(|(_, close)| *close).collect();
    let all = TestBars::new(START_US, &closes);
    let volume: Vec<f64> =
        (0..closes.len()).map(|row| if row % 100 == 50 { NONE } else { row as f64 }).collect();
    let target = Target::with(&all.clone().with("volume", &volume));
    let text = config(&["eurusd"], "2017-01", "2017-01").replace("parquet:fx", &target.0.url());
    sandbox.write("rollfit.toml", text.replacen("value = \"rate_index\"", "value = \"volume\"", 1));
    sandbox.run(&["run"]).exits(0);
    let valued = target.0.one::<i64>("select count(a2_idx_w15) from reg_rate_eurusd_2017_01");
    let joined = closes.len() - 15;
    let windows = (15..closes.len()).filter(|row| row + 14 < closes.len());
    let full = windows.filter(|row| (0..15).all(|back| !volume[row + back].is_nan())).count();
    assert!(valued as usize == full && full < joined);
    // Another column, and more values of it, are no input of this job.
    target.import(KEEP, &all.clone().with("bid", &volume)).unwrap();
    sandbox.run(&["plan"]).exits(0).says(&["done"]);
    let again = sandbox.run(&["run", "--json"]).exits(0).json();
    assert_eq!(again["written"], 0);
    sandbox.run(&["doctor"]).exits(0);
}
