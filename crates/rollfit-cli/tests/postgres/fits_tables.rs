//! Tables of fits as they are found and made: doubles only, in names that the server keeps, where their siblings are; and what is
//! said where something else is in their place.

use crate::checker::Contents;
use crate::placement::{printed, remedies};
use crate::sandbox::Answer;
use crate::server::shared;
use crate::views::DROP_VIEWS;
use crate::workload::{ONE, SMALL, Shape, Workload};
use rollfit_job::config::Layout;

const RATE: &str = "fit_reg_rate_eurusd_2017_01";
const BQX: &str = "fit_reg_bqx_eurusd_2017_01";
const PARENT_LINE: &str = "parent = \"reg_rate_{key}\"\n";

fn of_shape(shape: Shape) -> Workload<'static> {
    Workload::on(shared(), shape).in_layout(Layout::Fits)
}

fn done() -> Workload<'static> {
    let workload = of_shape(ONE);
    workload.done();
    workload
}

/// One partition, done and emptied again, changed by these statements.
fn changed(changes: &str) -> Workload<'static> {
    let workload = done();
    let changes = changes.replace("BQX", BQX).replace("RATE", RATE);
    workload.database.sql(&format!("{DROP_VIEWS} truncate {RATE}, {BQX}, rollfit_receipts; {changes}"));
    workload
}

impl Workload<'_> {
    fn with_rate_parent(self) -> Self {
        self.replace_in_configuration("[series.bqx]", &format!("{PARENT_LINE}\n[series.bqx]"));
        self
    }

    /// Puts the views elsewhere, so that tables can have the names that they would have.
    fn with_views_elsewhere(self) -> Self {
        self.database.sql("create schema next");
        self.replace_in_configuration("layout =", "views_schema = \"next\"\nlayout =");
        self
    }

    /// The types of the columns of a table, each once, in order of the name.
    fn types(&self, table: &str) -> String {
        self.database.one(&format!(
            "select string_agg(distinct format_type(atttypid, atttypmod), ', ' order by format_type(atttypid, atttypmod))
             from pg_attribute where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped"
        ))
    }

    /// A run fails with these words, and what it prints sets it right.
    #[track_caller]
    fn is_put_right(&self, words: &[&str]) {
        self.run(&["plan"]).exits(1).says(words);
        self.run(&["run"]).exits(1).says(words);
        let statements = remedies(&self.doctor(1));
        assert!(!statements.is_empty());
        self.database.sql(&statements.join(";\n"));
        self.done();
        self.run(&["verify", "--quiet"]).exits(0);
    }
}

#[test]
fn columns_that_are_no_doubles_are_refused_with_the_statement_that_makes_them_doubles() {
    let wanted = "expected double precision in a table of fits";
    let workload = changed("alter table BQX alter a2_bqx_w15 type numeric");
    let answer = workload.run(&["run"]).exits(1).says(&[BQX, "a2_bqx_w15 is numeric", wanted]);
    let alter = format!(
        "ALTER TABLE \"public\".\"{BQX}\" ALTER COLUMN \"a2_bqx_w15\" TYPE double precision \
         USING \"a2_bqx_w15\"::double precision"
    );
    assert!(printed(&answer.stdout).join(";").trim_end().ends_with(&alter), "{answer}");
    assert!(!workload.database.one::<bool>(&format!("select exists (select from {RATE})")));
    workload.is_put_right(&[wanted]);
    let workload =
        changed("alter table RATE alter b_idx_w15 type real, drop ss_res_idx_w60, drop y_last_idx");
    workload.database.sql(&remedies(&workload.doctor(1)).join(";"));
    workload.is_put_right(&[RATE, "b_idx_w15 is real"]);
    let workload = changed(
        "alter table BQX alter b_bqx_agg type real, alter ss_tot_bqx_w45 type numeric(12,6), alter y_last_bqx type text;
         create view shown as select b_bqx_agg from BQX; comment on view shown is 'it''s \\ kept'",
    );
    workload.is_put_right(&[wanted, "(and 2 more columns)"]);
    assert_eq!(workload.types(BQX), "double precision, timestamp without time zone");
    let comment = "select obj_description('shown'::regclass, 'pg_class')";
    assert_eq!(workload.database.one::<String>(comment), "it's \\ kept");
}

#[test]
fn rows_of_others_in_other_types_are_neither_adopted_nor_replaced() {
    let workload = done();
    workload.database.sql(&format!(
        "{DROP_VIEWS} delete from rollfit_receipts; alter table {RATE} alter b_idx_w15 type real;
         alter table {BQX} alter ss_res_bqx_agg type numeric"
    ));
    let before = Contents::from_database(&workload.database);
    for command in [&["adopt"][..], &["run", "--replace", "foreign"], &["compare"], &["run", "--force"]] {
        workload.run(command).exits(1).says(&["b_idx_w15 is real", "double precision in a table of fits"]);
    }
    assert_eq!(Contents::from_database(&workload.database), before);
}

#[test]
fn a_parent_of_decimals_is_refused_and_a_sibling_of_decimals_is_no_model() {
    let workload = of_shape(SMALL).with_rate_parent();
    let schema = workload.run(&["schema", "--only", "eurusd:2017-01"]).exits(0).stdout;
    assert_eq!(schema.matches("CREATE TABLE").count(), 2 + 3, "{schema}");
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-01"]).exits(0);
    workload.database.sql(&format!(
        "{DROP_VIEWS} truncate {RATE}, {BQX}, rollfit_receipts; alter table fit_reg_rate_eurusd alter a2_idx_w15 type numeric(20,10);
         alter table {BQX} alter a2_bqx_w15 type numeric"
    ));
    let alter =
        "ALTER TABLE \"public\".\"fit_reg_rate_eurusd\" ALTER COLUMN \"a2_idx_w15\" TYPE double precision";
    for only in ["eurusd:2017-01", "eurusd:2017-02"] {
        let says = ["a2_idx_w15 is numeric(20,10)", alter];
        workload.run(&["run", "--only", only]).exits(1).says(&says);
        workload.run(&["schema"]).exits(1).says(&says);
    }
    workload.database.sql(&format!("{alter} USING \"a2_idx_w15\"::double precision"));
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-02"]).exits(0);
    for table in ["fit_reg_rate_eurusd_2017_02", "fit_reg_bqx_eurusd_2017_02"] {
        assert_eq!(workload.types(table), "double precision, timestamp without time zone");
    }
}

#[test]
fn new_tables_hold_doubles_whatever_numbers_the_views_show() {
    let workload = of_shape(ONE);
    workload.replace_in_configuration("layout =", "numbers = \"numeric\"\nlayout =");
    let plan = workload.run(&["plan", "--json"]).exits(0).json();
    assert_eq!(plan["partitions"][0]["write_bytes"], 1488 * 2 * (14 + 31 * 12), "{plan}");
    assert_eq!(workload.doctor(0).0["work"]["write_bytes"], 1488 * 2 * (14 + 31 * 12));
    let summary = workload.done();
    assert_eq!(workload.types(RATE), "double precision, timestamp without time zone");
    let columns =
        format!("select count(*) from pg_attribute where attrelid = '{RATE}'::regclass and attnum > 0");
    assert_eq!(workload.database.one::<i64>(&columns), 1 + 31);
    let bytes = summary["bytes"].as_u64().unwrap();
    assert!(bytes <= 1488 * 2 * (14 + 31 * 12) + 100 && bytes > 1488 * 2 * 30 * 8, "{summary}");
}

#[test]
fn instants_are_kept_as_siblings_do_and_else_as_the_tables_that_the_view_stands_for() {
    let zoned = "double precision, timestamp with time zone";
    let naive = "double precision, timestamp without time zone";
    // The very table, that of another month, and a parent.
    let workload = of_shape(SMALL).with_views_elsewhere().with_rate_parent();
    workload.database.sql(
        "create table reg_bqx_eurusd_2016_05 (ts_utc timestamptz); create table reg_bqx_eurusd_2017_02 (ts_utc timestamp);
         create table reg_rate_eurusd (ts_utc timestamptz) partition by range (ts_utc)",
    );
    let printed = workload.run(&["schema"]).exits(0).stdout;
    assert!(printed.contains("FROM (timestamptz '2017-01-01"), "{printed}");
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-02"]).exits(0);
    assert_eq!(workload.types("fit_reg_bqx_eurusd_2017_02"), naive);
    assert_eq!(workload.types("fit_reg_rate_eurusd_2017_02"), zoned);
    workload
        .database
        .sql("drop table reg_bqx_eurusd_2017_02, fit_reg_bqx_eurusd_2017_02, rollfit_receipts cascade");
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-01"]).exits(0);
    assert_eq!(workload.types(BQX), zoned, "as another month");
    workload.database.sql(&format!("{DROP_VIEWS} alter table {BQX} alter ts_utc type timestamp"));
    workload.database.sql("create table reg_bqx_eurusd_2017_02 (ts_utc timestamptz)");
    workload.run(&["run", "--quiet"]).exits(4).says(&[]);
    workload.run(&["run", "--quiet", "--replace", "foreign"]).exits(0);
    assert_eq!(workload.types("fit_reg_bqx_eurusd_2017_02"), naive, "as its sibling");
    // What has no such column says nothing.
    let workload = of_shape(ONE).with_views_elsewhere();
    workload.database.sql(
        "create table reg_bqx_eurusd_2017_01 (at timestamptz); create view reg_rate_eurusd_2017_01 as select now() ts_utc",
    );
    workload.done();
    assert_eq!([workload.types(BQX), workload.types(RATE)], [naive, zoned]);
}

#[test]
fn a_new_table_has_the_owner_and_grants_of_the_fits_before_it_and_not_of_features() {
    let workload = of_shape(SMALL).with_views_elsewhere();
    let [owner, reader] = ["owner", "reader"].map(|role| format!("{role}_of_{}", workload.database.name()));
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-01"]).exits(0);
    workload.database.sql(&format!(
        "create role {owner}; create role {reader}; grant select on {BQX} to {reader};
         alter table {BQX} owner to {owner}; alter table {BQX} add note text default 'none';
         create table reg_bqx_eurusd_2017_01 (ts_utc timestamptz); grant all on reg_bqx_eurusd_2017_01 to public"
    ));
    workload.done();
    let access = |table: &str| {
        workload.database.one::<String>(&format!(
            "select concat_ws(' ', pg_get_userbyid(relowner), relacl) from pg_class where oid = '{table}'::regclass"
        ))
    };
    let next = "fit_reg_bqx_eurusd_2017_02";
    assert_eq!(access(next), access(BQX));
    assert!(workload.types(next).contains("text"));
    workload.database.sql(&format!("drop owned by {owner}, {reader} cascade; drop role {owner}, {reader}"));
}

/// `pattern`, made longer until its names have `bytes` bytes.
fn padded(pattern: &str, bytes: usize) -> String {
    let expanded = [("{key}", "eurusd"), ("{yyyy}", "2017"), ("{mm}", "01"), ("{metric}", "ss_tot")];
    let expanded = expanded.into_iter().chain([("{series}", "idx"), ("{window}", "w15")]);
    let name = expanded.fold(pattern.to_owned(), |name, (from, to)| name.replace(from, to));
    format!("{}{pattern}", "x".repeat(bytes - name.len()))
}

#[test]
fn names_that_grow_beyond_63_bytes_are_refused_before_anything_is_written() {
    const FEATURES: &str = "reg_rate_{key}_{yyyy}_{mm}";
    let configured = |features: usize, parent: usize, column: usize| {
        let workload = of_shape(ONE).with_rate_parent();
        workload.replace_in_configuration(FEATURES, &padded(FEATURES, features));
        workload.replace_in_configuration(
            "\"reg_rate_{key}\"",
            &format!("{:?}", padded("reg_rate_{key}", parent)),
        );
        let column = padded("{metric}_{series}_{window}", column);
        workload.replace_in_configuration("[run]", &format!("[features]\ncolumn = {column:?}\n\n[run]"));
        workload
    };
    let workload = configured(59, 59, 50);
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
    let fits =
        ["layout = \"fits\" adds `fit_`", "64 bytes, but PostgreSQL keeps 63", "choose a shorter pattern"];
    let names = "select string_agg(relname, ' ' order by relname) from pg_class where relnamespace = 'public'::regnamespace";
    for (features, parent, column, words) in [
        (60, 30, 20, "[series.idx] features = \"xx"),
        (40, 60, 20, "[series.idx] parent = \"xx"),
        (40, 30, 64, "[series.idx] column"),
    ] {
        let workload = configured(features, parent, column);
        let before: String = workload.database.one(names);
        for command in ["run", "plan", "schema"] {
            let answer = workload.run(&[command]).exits(2).says(&[words, "63"]);
            assert!(column == 64 || fits.iter().all(|part| answer.stderr.contains(part)), "{answer}");
        }
        assert_eq!(workload.database.one::<String>(names), before);
        // The layout of metrics keeps the same names.
        if column < 64 {
            workload.replace_in_configuration("layout = \"fits\"", "");
            workload.run(&["plan"]).exits(0);
        }
    }
}

#[test]
fn what_is_no_table_of_fits_is_named_and_stays() {
    let workload = changed("drop table BQX cascade; create view BQX as select 1 as ts_utc");
    let rule = "layout = \"fits\" keeps the rows of one key and month in a table named `fit_`";
    let refused = |words: &[&str]| {
        for command in [&["run"][..], &["plan"], &["run", "--force"], &["drop", "eurusd:2017-01"]] {
            workload.run(command).exits(1).says(&[BQX]).says(words);
        }
        workload.doctor_says(1).says(words);
    };
    refused(&["it is not a table but a view", rule, "`features` of series `bqx`"]);
    workload.database.sql(&format!("drop view {BQX}; create materialized view {BQX} as select 1 as ts_utc"));
    refused(&["it is not a table but a materialized view", rule]);
    workload.database.sql(&format!(
        "drop materialized view {BQX}; create table {BQX} (ts_utc timestamp) partition by range (ts_utc)"
    ));
    refused(&["it is a partitioned table", rule]);
    // In the other layout, where a view shows features.
    let metrics = Workload::one();
    metrics.database.sql("create view reg_bqx_eurusd_2017_01 as select now()::timestamp as ts_utc");
    let words = ["it is not a table but a view", "if it shows fits, set layout = \"fits\""];
    metrics.run(&["run"]).exits(1).says(&words);
    metrics.run(&["plan"]).exits(1).says(&words);
}

#[test]
fn tables_of_fits_lie_below_their_own_parent() {
    let workload = of_shape(SMALL).with_rate_parent();
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-01"]).exits(0);
    let below = |parent: &str| {
        let count = format!("select count(*) from pg_inherits where inhparent = '{parent}'::regclass");
        workload.database.one::<i64>(&count)
    };
    assert_eq!(below("fit_reg_rate_eurusd"), 1);
    workload.replace_in_configuration(PARENT_LINE, "");
    let words = [
        "are partitions of public.fit_reg_rate_eurusd",
        "add the line `parent = \"reg_rate_{key}\"` under [series.idx]",
    ];
    for command in ["plan", "run", "schema"] {
        workload.run(&[command, "--only", "eurusd:2017-02"]).exits(1).says(&words);
    }
    workload.replace_in_configuration("[series.bqx]", &format!("{PARENT_LINE}\n[series.bqx]"));
    workload.done();
    assert_eq!(below("fit_reg_rate_eurusd"), 2);
    // A leaf that somebody took out of its parent, and one with other bounds.
    for bounds in [None, Some("from ('2016-12-31') to ('2017-02-01')"), Some("default")] {
        workload.database.sql(&format!("alter table fit_reg_rate_eurusd detach partition {RATE}"));
        if let Some(bounds) = bounds {
            let bounds = if bounds == "default" { bounds.to_owned() } else { format!("for values {bounds}") };
            workload
                .database
                .sql(&format!("alter table fit_reg_rate_eurusd attach partition {RATE} {bounds}"));
        }
        workload.is_put_right(&[RATE]);
    }
    assert_eq!(workload.database.one::<i64>("select count(*) from fit_reg_rate_eurusd"), 1488 + 1344);
}

#[test]
fn a_plain_table_in_the_place_of_the_parent_is_named_and_a_parent_below_another_one_is_used() {
    let workload = of_shape(ONE).with_rate_parent();
    workload.database.sql("create table fit_reg_rate_eurusd (ts_utc timestamp)");
    let words =
        ["public.fit_reg_rate_eurusd is not a partitioned table", "layout = \"fits\" puts `fit_` before"];
    for command in ["plan", "run", "schema"] {
        workload.run(&[command]).exits(1).says(&words);
    }
    workload.database.sql("drop table fit_reg_rate_eurusd");
    workload.done();
    workload.database.sql(
        "create table every (like fit_reg_rate_eurusd, primary key (ts_utc)) partition by range (ts_utc);
         alter table every attach partition fit_reg_rate_eurusd for values from ('2017-01-01') to ('2018-01-01')",
    );
    workload.run(&["run", "--quiet", "--force"]).exits(0);
    workload.run(&["verify", "--quiet"]).exits(0);
    assert_eq!(workload.database.one::<i64>("select count(*) from every"), 1488);
    // Its bounds are those of the tables above it, too.
    workload.database.sql(
        "alter table every detach partition fit_reg_rate_eurusd;
         alter table every attach partition fit_reg_rate_eurusd for values from ('2016-01-01') to ('2017-01-31 23:59')",
    );
    workload.run(&["run", "--force"]).exits(1).says(&[RATE, "takes only rows from"]);
}

#[test]
fn columns_of_others_stay_and_their_values_are_not_lost() {
    let workload = done();
    workload.database.sql(&format!(
        "alter table {BQX} add note text, add checked boolean default false,
             add twice float8 generated always as (a2_bqx_w15 * 2) stored;
         update {BQX} set note = 'mine' where ts_utc = (select max(ts_utc) from {BQX})"
    ));
    workload.change_sources();
    workload.run(&["run"]).exits(1).says(&[BQX, "column note is not rollfit's and holds values"]);
    assert_eq!(workload.database.one::<i64>(&format!("select count(note) from {BQX}")), 1);
    workload.database.sql(&format!("update {BQX} set note = null"));
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
    let usual =
        format!("select count(*) from {BQX} where note is null and not checked and twice is not null");
    assert_eq!(workload.database.one::<i64>(&usual), 1488 - 14);
    workload
        .database
        .sql(&format!("truncate {RATE}, {BQX}, rollfit_receipts; alter table {BQX} add must text not null"));
    workload.is_put_right(&["column must is not rollfit's, is NOT NULL and has no default"]);
    // A feature of a former layout is a column of others too.
    workload
        .database
        .sql(&format!("alter table {BQX} add r2_bqx_w15 float8; update {BQX} set r2_bqx_w15 = 0.5"));
    workload.change_sources();
    workload.run(&["run"]).exits(1).says(&["column r2_bqx_w15 is not rollfit's"]);
}

#[test]
fn a_row_of_more_fits_than_fit_on_a_page_is_refused_beforehand() {
    let workload = of_shape(ONE);
    let usual = [15, 30, 45, 60, 75, 90];
    let others = (3..=210).filter(|rows| !usual.contains(rows));
    let windows: String = others.map(|rows| format!("v{rows} = {rows}\n")).collect();
    workload
        .replace_in_configuration("[run]", &format!("{windows}\n[features]\nmetrics = [\"r2\"]\n\n[run]"));
    workload.run(&["plan"]).exits(1).says(&["numbers of fits has", "use fewer windows"]);
    let answer: Answer = workload.run(&["run"]).exits(1);
    assert!(!answer.stdout.contains("numbers ="), "{answer}");
    assert_eq!(workload.database.one::<Option<String>>(&format!("select to_regclass('{RATE}')::text")), None);
    workload.replace_in_configuration(&windows, &windows[..windows.find("v190").unwrap()]);
    workload.done();
}

#[test]
fn another_layout_of_the_same_tables_is_another_definition() {
    let workload = done();
    let fits = "layout = \"fits\"";
    // The tables of fits as those of features, which they have no columns for.
    workload.replace_in_configuration(fits, "");
    workload.replace_in_configuration("\"reg_rate", "\"fit_reg_rate");
    workload.replace_in_configuration("\"reg_bqx", "\"fit_reg_bqx");
    let before = Contents::from_database(&workload.database);
    for command in [&["plan"][..], &["run"], &["run", "--replace", "definition-changed"], &["verify"]] {
        workload.run(command).exits(1).says(&["columns are missing", "`rollfit doctor` prints"]);
    }
    assert_eq!(Contents::from_database(&workload.database), before);
    workload.database.sql(&remedies(&workload.doctor(1)).join(";"));
    let words = ["definition-changed", "layout fits became metrics"];
    workload.run(&["plan"]).exits(0).says(&words);
    workload.run(&["run"]).exits(4).says(&words);
    let held = format!("select count(y_last_idx) from {RATE}");
    assert_eq!(workload.database.one::<i64>(&held), 1488 - 14, "nothing is lost");
    workload.run(&["run", "--quiet", "--replace", "definition-changed"]).exits(0);
    workload.run(&["verify", "--quiet"]).exits(0);
    // And back, with columns of both layouts in them.
    for (from, to) in [("\"fit_reg_rate", "\"reg_rate"), ("\"fit_reg_bqx", "\"reg_bqx")] {
        workload.replace_in_configuration(from, to);
    }
    workload.replace_in_configuration("[partitions]", &format!("{fits}\n\n[partitions]"));
    workload.run(&["run"]).exits(4).says(&["definition-changed", "layout metrics became fits"]);
    assert_eq!(workload.database.one::<i64>(&format!("select count(r2_idx_w15) from {RATE}")), 1488 - 14);
    workload.run(&["run", "--quiet", "--replace", "definition-changed"]).exits(0);
    workload.run(&["verify", "--quiet"]).exits(0);
    assert_eq!(workload.done()["already_done"], 1);
}
