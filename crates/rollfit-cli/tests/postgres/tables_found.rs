//! Tables as they are found: of whatever types, in whatever order, alone or under a parent. What fits is written as the
//! server itself would; what does not is refused with what to do, and never altered.

use crate::sandbox::Answer;
use crate::workload::Workload;

const RATE: &str = "reg_rate_eurusd_2017_01";
const BQX: &str = "reg_bqx_eurusd_2017_01";

/// The names of a table's features, in its order.
fn features(workload: &Workload<'_>, table: &str) -> Vec<String> {
    let query = format!(
        "select attname::text from pg_attribute where attrelid = '{table}'::regclass and attnum > 0
         and not attisdropped and attname <> 'ts_utc' order by attnum"
    );
    workload.database.rows(&query).iter().map(|row| row.get(0)).collect()
}

/// One partition that is done in doubles; the features are to go into the schema `typed` from now on.
fn done_in_doubles() -> Workload<'static> {
    let workload = Workload::one();
    workload.done();
    workload.database.sql("create schema typed");
    workload.reconfigure(|text| {
        let url = workload.database.url();
        let store = format!("[store]\nurl = \"{url}\"");
        text.replace(
            &store,
            &format!("[source]\nurl = \"{url}\"\n[sink]\nurl = \"{url}\"\nschema = \"typed\""),
        )
    });
    workload
}

/// Makes a table in the schema `typed` whose features have these types in turn and stand in reverse order.
fn make_typed(workload: &Workload<'_>, table: &str, types: &[&str], time: &str) {
    let names = features(workload, table);
    let column = |(name, kind): (&String, &&str)| format!("{name} {kind}, ");
    let columns: Vec<String> = names.iter().zip(types.iter().cycle()).map(column).collect();
    let columns: String = columns.into_iter().rev().collect();
    workload
        .database
        .sql(&format!("create table typed.{table} ({columns} ts_utc {time} not null primary key)"));
}

/// What the server makes of a double in a column of a type; NULL where it would refuse it. Its own cast to NUMERIC keeps
/// fifteen digits only.
fn as_stored(column: &str, kind: &str) -> String {
    if kind == "real" {
        return format!("{column}::real");
    }
    let Some((precision, scale)) =
        kind.strip_prefix("numeric(").and_then(|rest| rest.strip_suffix(')')?.split_once(','))
    else {
        return format!("{column}::text::{kind}");
    };
    let rounded = format!("round({column}::text::numeric, {scale})");
    format!("case when abs({rounded}) < 10::numeric ^ ({precision} - ({scale})) then {rounded} end")
}

/// Cells that are not what the server would have made of the doubles, and cells that hold nothing of a double.
fn wrong_and_missing(workload: &Workload<'_>, table: &str, types: &[&str], time: &str) -> (i64, i64) {
    let names = features(workload, table);
    let pairs = || names.iter().zip(types.iter().cycle());
    let wrong = pairs().map(|(name, kind)| {
        format!("(t.{name} is distinct from {})::int", as_stored(&format!("d.{name}"), kind))
    });
    let missing = pairs().map(|(name, _)| format!("(t.{name} is null and d.{name} is not null)::int"));
    let sum = |terms: Vec<String>| format!("sum({})", terms.join(" + "));
    let instant = if time == "timestamptz" { "t.ts_utc at time zone 'UTC'" } else { "t.ts_utc" };
    let row = &workload.database.rows(&format!(
        "select {}, {}, count(*) from typed.{table} t join public.{table} d on {instant} = d.ts_utc",
        sum(wrong.collect()),
        sum(missing.collect())
    ))[0];
    assert_eq!(row.get::<_, i64>(2), 1488);
    (row.get(0), row.get(1))
}

/// Writes into columns of these types and holds the cells against what the server makes of the doubles.
#[track_caller]
fn takes(types: &[&str], time: &str) {
    let workload = done_in_doubles();
    [RATE, BQX].iter().for_each(|table| make_typed(&workload, table, types, time));
    let summary = workload.done();
    let mut missing = 0;
    for table in [RATE, BQX] {
        let (wrong, missing_here) = wrong_and_missing(&workload, table, types, time);
        assert_eq!(wrong, 0, "{table} {types:?}");
        missing += missing_here;
    }
    assert_eq!(summary["no_value"]["column"], missing, "{types:?}: {summary}");
    workload.run(&["verify", "--quiet"]).exits(0);
    assert_eq!(workload.done()["already_done"], 1);
}

#[test]
fn unlimited_numerics_hold_every_double() {
    takes(&["numeric"], "timestamp");
}

#[test]
fn numerics_of_few_digits_hold_what_the_server_would_round_to() {
    takes(&["numeric(24,12)"], "timestamptz");
    takes(&["numeric(6,2)", "numeric(5,-1)", "numeric(3,6)"], "timestamp");
}

#[test]
fn singles_hold_the_nearest() {
    takes(&["real"], "timestamptz");
}

#[test]
fn columns_of_mixed_types_stand_in_any_order() {
    takes(&["double precision", "numeric", "real", "numeric(12,6)"], "timestamptz");
    takes(&["double precision"], "timestamptz(6)");
}

/// Empty tables as a user may have made them, changed by these statements.
fn empty_tables(changes: &str) -> Workload<'static> {
    let workload = Workload::one();
    workload.done();
    workload.database.sql(&format!("truncate {RATE}, {BQX}, rollfit_receipts; {changes}"));
    workload
}

/// Checks that a run is refused with these words, that the statement it prints can be run, and that the run can after it.
#[track_caller]
fn is_put_right_by_what_is_printed(changes: &str, words: &[&str]) {
    let workload = empty_tables(changes);
    let answer = workload.run(&["run"]).exits(1).says(words);
    assert!(!workload.database.one::<bool>(&format!("select exists (select from {BQX})")), "{answer}");
    workload.database.sql(statement(&answer));
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
}

/// The statement that a message ends with.
#[track_caller]
fn statement(answer: &Answer) -> &str {
    let line = answer.stdout.lines().find(|line| line.contains("ALTER TABLE"));
    let line = line.unwrap_or_else(|| panic!("no statement in {answer}"));
    &line[line.find("ALTER TABLE").unwrap()..]
}

#[test]
fn a_column_of_a_wrong_type_is_told_with_the_statement_that_puts_it_right() {
    for (found, cast) in [("integer", "integer"), ("text", "text"), ("bigint", "bigint")] {
        is_put_right_by_what_is_printed(
            &format!("alter table {BQX} alter r2_bqx_agg type {found} using r2_bqx_agg::{cast}"),
            &[BQX, "r2_bqx_agg", found, "expected double precision, numeric or real"],
        );
    }
    for found in ["date", "timestamp(0)"] {
        is_put_right_by_what_is_printed(
            &format!("alter table {RATE} alter ts_utc type {found}"),
            &[RATE, "ts_utc", found, "expected timestamp"],
        );
    }
}

#[test]
fn missing_columns_are_told_with_the_statement_that_adds_them() {
    is_put_right_by_what_is_printed(
        &format!("alter table {BQX} drop r2_bqx_agg"),
        &[BQX, "column r2_bqx_agg (double precision) is missing"],
    );
    is_put_right_by_what_is_printed(
        &format!("alter table {BQX} drop r2_bqx_agg, drop b_bqx_w15, drop rmse_bqx_w45"),
        &[BQX, "3 columns are missing, the first is b_bqx_w15 (double precision)"],
    );
    is_put_right_by_what_is_printed(
        &format!("alter table {RATE} drop ts_utc"),
        &[RATE, "column ts_utc (timestamp) is missing"],
    );
}

#[test]
fn what_is_no_table_of_rows_is_refused() {
    let workload = empty_tables(&format!("drop table {BQX}; create view {BQX} as select * from {RATE}"));
    workload.run(&["run"]).exits(1).says(&[BQX, "is not a table"]);
    workload
        .database
        .sql(&format!("drop view {BQX}; create table {BQX} (ts_utc timestamp) partition by range (ts_utc)"));
    workload.run(&["run"]).exits(1).says(&[BQX, "is a partitioned table", "`features` of series `bqx`"]);
}

#[test]
fn values_in_a_column_that_is_not_ours_are_not_lost() {
    let workload = Workload::one();
    workload.done();
    workload.database.sql(&format!(
        "alter table {BQX} add note text, add checked boolean default false;
         update {BQX} set note = 'mine' where ts_utc = (select max(ts_utc) from {BQX})"
    ));
    workload.change_sources();
    workload.run(&["run"]).exits(1).says(&[BQX, "column note is not rollfit's and holds values"]);
    assert_eq!(workload.database.one::<i64>(&format!("select count(*) from {BQX} where note = 'mine'")), 1);
    workload.database.sql(&format!("update {BQX} set note = null"));
    workload.done();
    let usual = format!("select count(*) from {BQX} where note is null and not checked");
    assert_eq!(workload.database.one::<i64>(&usual), 1488);
    workload.run(&["verify", "--quiet"]).exits(0);

    workload.database.sql(&format!("update {BQX} set checked = true"));
    workload.run(&["run", "--force"]).exits(1).says(&["column checked is not rollfit's"]);
}

#[test]
fn a_column_that_is_not_ours_and_must_have_a_value_is_put_right_by_what_is_printed() {
    is_put_right_by_what_is_printed(
        &format!("alter table {BQX} add note text not null"),
        &[BQX, "note", "NULL"],
    );
}

#[test]
fn rows_of_another_month_are_an_error_and_stay() {
    let workload = Workload::one();
    workload.done();
    for instant in ["2017-02-01 00:00", "2016-12-31 23:59:59.999999", "infinity"] {
        workload.database.sql(&format!("insert into {RATE} (ts_utc) values ('{instant}')"));
        for arguments in [&["run"][..], &["run", "--force"], &["drop", "eurusd:2017-01"]] {
            workload.run(arguments).exits(1).says(&[RATE, "holds rows outside 2017-01"]);
        }
        let deleted = format!(
            "with gone as (delete from {RATE} where ts_utc = '{instant}' returning 1) select count(*) from gone"
        );
        assert_eq!(workload.database.one::<i64>(&deleted), 1, "{instant}");
    }
    assert_eq!(workload.done()["already_done"], 1);
}

#[test]
fn rows_of_others_are_left_alone_until_told_otherwise() {
    let workload = empty_tables(&format!("insert into {BQX} (ts_utc) values ('2017-01-09 01:23:45')"));
    workload.run(&["run"]).exits(4).says(&["foreign", BQX, "rows without a rollfit receipt"]);
    workload.run(&["run", "--replace", "foreign"]).exits(0);
    workload.run(&["verify", "--quiet"]).exits(0);
}

/// A word about each of the roles of a test; roles belong to the whole server.
fn roles(workload: &Workload<'_>) -> [String; 2] {
    let roles = ["owner", "reader"].map(|role| format!("{role}_in_{}", workload.database.name()));
    workload.database.sql(&roles.iter().map(|role| format!("create role {role};")).collect::<String>());
    roles
}

fn owner_and_grants(workload: &Workload<'_>, table: &str) -> (String, String) {
    let query = format!(
        "select pg_get_userbyid(relowner)::text, (select string_agg(a::text, ' ' order by a::text) from unnest(relacl) a)
         from pg_class where oid = '{table}'::regclass"
    );
    let row = &workload.database.rows(&query)[0];
    (row.get(0), row.get::<_, Option<String>>(1).unwrap_or_default())
}

fn drop_roles(workload: &Workload<'_>, roles: &[String]) {
    let drops = roles.iter().map(|role| format!("drop owned by {role}; drop role {role};"));
    workload.database.sql(&drops.collect::<String>());
}

#[test]
fn a_new_table_is_like_the_latest_of_its_series() {
    let workload = Workload::small();
    workload.run(&["run", "--only", "eurusd:2017-01"]).exits(0);
    let [owner, reader] = roles(&workload);
    workload.database.sql(&format!(
        "alter table {BQX} alter r2_bqx_w15 type numeric(10,4), add note text default 'none';
         grant select on {BQX} to {reader} with grant option; grant select on {BQX} to public;
         alter table {BQX} owner to {owner}; alter table {RATE} owner to {owner}"
    ));
    workload.run(&["run", "--only", "eurusd:2017-02"]).exits(0);
    let next = "reg_bqx_eurusd_2017_02";
    assert_eq!(owner_and_grants(&workload, next), owner_and_grants(&workload, BQX));
    assert_eq!(owner_and_grants(&workload, "reg_rate_eurusd_2017_02").0, owner);
    let columns = |table| {
        workload.database.texts(&format!(
            "select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute
             where attrelid = '{table}'::regclass and attnum > 0 order by attnum"
        ))
    };
    assert_eq!(columns(next), columns(BQX));
    let keys = format!("select count(*) from pg_index where indrelid = '{next}'::regclass and indisprimary");
    assert_eq!(workload.database.one::<i64>(&keys), 1);
    workload.run(&["verify", "--quiet", "--only", "eurusd:2017-02"]).exits(0);
    drop_roles(&workload, &[owner, reader]);
}

/// Configures parents.
fn with_parents(workload: &Workload<'_>) {
    workload.reconfigure(|text| {
        text.replace("_{yyyy}_{mm}\"\n", "_{yyyy}_{mm}\"\nparent = \"PARENT_{key}\"\n")
            .replacen("PARENT", "reg_rate", 1)
            .replacen("PARENT", "reg_bqx", 1)
    });
}

fn parent_of(workload: &Workload<'_>, table: &str) -> String {
    let query = format!(
        "select inhparent::regclass || ' ' || pg_get_expr(relpartbound, inhrelid)
         from pg_inherits join pg_class c on c.oid = inhrelid where inhrelid = '{table}'::regclass"
    );
    workload.database.one(&query)
}

const JANUARY: &str = "FOR VALUES FROM ('2017-01-01 00:00:00') TO ('2017-02-01 00:00:00')";

#[test]
fn a_parent_that_is_missing_is_made_with_its_leaves() {
    let workload = Workload::small();
    with_parents(&workload);
    workload.done();
    assert_eq!(parent_of(&workload, BQX), format!("reg_bqx_eurusd {JANUARY}"));
    assert_eq!(workload.database.one::<i64>("select count(*) from reg_rate_eurusd"), 1488 + 1344);
    workload.run(&["verify", "--quiet"]).exits(0);
    workload.change_sources();
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
    assert_eq!(parent_of(&workload, RATE), format!("reg_rate_eurusd {JANUARY}"));
}

/// Parents with the columns that the features have, and a leaf of the month before with one row.
fn make_parents(workload: &Workload<'_>) {
    workload.done();
    for series in ["rate", "bqx"] {
        workload.database.sql(&format!(
            "create table reg_{series}_eurusd (like reg_{series}_eurusd_2017_01, primary key (ts_utc))
                 partition by range (ts_utc);
             create table reg_{series}_eurusd_2016_12 partition of reg_{series}_eurusd
                 for values from ('2016-12-01') to ('2017-01-01');
             insert into reg_{series}_eurusd (ts_utc) values ('2016-12-24')"
        ));
    }
    workload.forget();
    with_parents(workload);
}

#[test]
fn leaves_are_attached_to_a_parent_that_is_there_and_are_like_those_before_them() {
    let workload = Workload::small();
    make_parents(&workload);
    let [owner, reader] = roles(&workload);
    workload.database.sql(&format!(
        "grant select on reg_bqx_eurusd_2016_12 to {reader}; alter table reg_bqx_eurusd_2016_12 owner to {owner};"
    ));
    workload.done();
    assert_eq!(parent_of(&workload, BQX), format!("reg_bqx_eurusd {JANUARY}"));
    assert_eq!(owner_and_grants(&workload, BQX), owner_and_grants(&workload, "reg_bqx_eurusd_2016_12"));
    assert_eq!(workload.database.one::<i64>("select count(*) from reg_bqx_eurusd"), 1 + 1488 + 1344);
    let others = "select count(*) from reg_rate_eurusd_2016_12 where ts_utc = '2016-12-24'";
    assert_eq!(workload.database.one::<i64>(others), 1);
    workload.run(&["verify", "--quiet"]).exits(0);
    drop_roles(&workload, &[owner, reader]);
}

#[test]
fn the_first_leaf_of_a_parent_is_like_the_parent() {
    let workload = Workload::small();
    make_parents(&workload);
    let [owner, reader] = roles(&workload);
    workload.database.sql(&format!(
        "drop table reg_bqx_eurusd_2016_12;
         grant select on reg_bqx_eurusd to {reader}; alter table reg_bqx_eurusd owner to {owner}"
    ));
    workload.done();
    assert_eq!(owner_and_grants(&workload, BQX), owner_and_grants(&workload, "reg_bqx_eurusd"));
    drop_roles(&workload, &[owner, reader]);
}

#[test]
fn a_transaction_that_began_before_sees_nothing_of_a_leaf_that_is_attached_meanwhile() {
    let workload = Workload::small();
    make_parents(&workload);
    let mut client = workload.database.connect();
    client.batch_execute("begin isolation level repeatable read").unwrap();
    let mut count = |series: &str| -> i64 {
        client.query_one(&format!("select count(*) from reg_{series}_eurusd"), &[]).unwrap().get(0)
    };
    assert_eq!(count("rate"), 1);
    workload.done();
    assert_eq!([count("rate"), count("bqx")], [1, 1]);
}

#[test]
fn what_is_no_parent_is_refused() {
    let workload = Workload::small();
    with_parents(&workload);
    workload.database.sql("create table reg_bqx_eurusd (ts_utc timestamp)");
    workload
        .run(&["run"])
        .exits(1)
        .says(&["reg_bqx_eurusd is not a partitioned table", "`parent` of series `bqx`"]);
    assert_eq!(workload.database.one::<Option<String>>("select to_regclass('reg_rate_eurusd')::text"), None);
}

/// A schema whose name is hostile.
const SCHEMA: &str = r#"we"ird 'schema'; drop table x; -- ü"#;

/// A name made hostile.
fn hostile(name: &str) -> String {
    format!("'{name}\" \\ $1; -- é")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Gives a source table and its columns hostile names, in the hostile schema.
fn rename_source(workload: &Workload<'_>, table: &str, columns: [&str; 2]) {
    let (schema, renamed) = (quoted(SCHEMA), quoted(&hostile(table)));
    for column in columns {
        let renamed = quoted(&hostile(column));
        workload.database.sql(&format!("alter table {table} rename {column} to {renamed}"));
    }
    workload.database.sql(&format!(
        "create schema if not exists {schema};
         alter table {table} rename to {renamed}; alter table {renamed} set schema {schema}"
    ));
}

/// Gives everything a hostile name that can have one.
fn with_hostile_names() -> Workload<'static> {
    let workload = Workload::one();
    rename_source(&workload, "m1_eurusd", ["time", "rate_index"]);
    rename_source(&workload, "bqx_eurusd", ["ts_utc", "w15_bqx_return"]);
    let names = ["m1_{key}", "time", "rate_index", "bqx_{key}", "ts_utc", "w15_bqx_return"];
    let tables = ["reg_rate_{key}_{yyyy}_{mm}", "reg_bqx_{key}_{yyyy}_{mm}"];
    let rename =
        |text: String, name: &&str| text.replace(&format!("= \"{name}\""), &format!("= {:?}", hostile(name)));
    let column = hostile("{metric}_{series}_{window}");
    workload.reconfigure(|text| {
        names
            .iter()
            .chain(&tables)
            .fold(text, rename)
            .replace("[run]", &format!("[features]\nmetrics = [\"b\", \"r2\"]\ncolumn = {column:?}\n[run]"))
            .replace("[partitions]", &format!("schema = {SCHEMA:?}\n[partitions]"))
    });
    workload
}

#[test]
fn hostile_names_are_only_names() {
    let workload = with_hostile_names();
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
    let relations = "select count(*) from pg_class";
    let before: i64 = workload.database.one(relations);
    workload.run(&["run", "--force"]).exits(0);
    assert_eq!(workload.done()["already_done"], 1);
    assert_eq!(workload.database.one::<i64>(relations), before);
    let count = format!("select count(*) from {}.{}", quoted(SCHEMA), quoted(&hostile(RATE)));
    assert_eq!(workload.database.one::<i64>(&count), 1488);
    workload.run(&["drop", "eurusd:2017-01"]).exits(0);
    assert_eq!(workload.database.one::<i64>(&count), 0);
}

#[test]
fn names_of_63_bytes_are_written_and_longer_ones_refused_before_anything_is() {
    let padded = |pattern: &str, length: usize| {
        let expanded = pattern
            .replace("{key}", "eurusd")
            .replace("{yyyy}", "2017")
            .replace("{mm}", "01")
            .replace("{metric}", "r2")
            .replace("{series}", "idx")
            .replace("{window}", "w15");
        // Of two bytes each, but for one where that does not come out even.
        let rest = length - expanded.len();
        format!("{}{}{pattern}", "x".repeat(rest % 2), "é".repeat(rest / 2))
    };
    let table = "reg_rate_{key}_{yyyy}_{mm}";
    let configured = |table_bytes: usize, column_bytes: usize| {
        let workload = Workload::one();
        workload.reconfigure(|text| {
            let column = padded("{metric}_{series}_{window}", column_bytes);
            text.replace(table, &padded(table, table_bytes))
                .replace("[run]", &format!("[features]\nmetrics = [\"r2\"]\ncolumn = {column:?}\n[run]"))
        });
        workload
    };
    let workload = configured(63, 63);
    workload.done();
    workload.run(&["run", "--force"]).exits(0);
    workload.run(&["verify", "--quiet"]).exits(0);
    for (table_bytes, column_bytes, words) in
        [(64, 20, "[series.idx] features"), (60, 64, "[series.idx] column")]
    {
        let workload = configured(table_bytes, column_bytes);
        let relations = "select string_agg(relname, ' ' order by relname) from pg_class
                         where relnamespace = 'public'::regnamespace";
        let before: String = workload.database.one(relations);
        workload.run(&["run"]).exits(2).says(&[words, "63"]);
        assert_eq!(workload.database.one::<String>(relations), before);
    }
}

#[test]
fn a_source_of_numerics_is_read_as_the_nearest_doubles() {
    let workload = Workload::one();
    workload.done();
    // What is added is too little to make another double of any value.
    workload.database.sql(
        "alter table m1_eurusd alter rate_index type numeric using rate_index::text::numeric + 1e-25;
         alter table bqx_eurusd alter w15_bqx_return type numeric using w15_bqx_return::text::numeric - 1e-25",
    );
    assert_eq!(workload.done()["already_done"], 1);
}

#[test]
fn what_is_not_a_number_in_a_source_counts_as_input() {
    for kind in ["numeric", "float8", "real"] {
        let workload = Workload::one();
        workload.database.sql(&format!("alter table m1_eurusd alter rate_index type {kind}"));
        for (day, value) in [(5, "'NaN'"), (10, "'Infinity'"), (15, "'-Infinity'"), (20, "null")] {
            workload
                .database
                .sql(&format!("update m1_eurusd set rate_index = {value} where time = '2017-01-{day}'"));
        }
        let summary = workload.done();
        // Each spoils as many rows of a window as the window has, in each of fifteen metrics.
        let windows = 15 + 30 + 45 + 60 + 75 + 90;
        assert_eq!(summary["no_value"]["input"], 4 * 15 * windows, "{kind}: {summary}");
        let counts: Vec<u64> = ["warmup", "input", "undefined", "column"]
            .map(|kind| summary["no_value"][kind].as_u64().unwrap())
            .to_vec();
        assert_eq!(nulls(&workload), counts.iter().sum::<u64>(), "{kind}: {summary}");
        workload.run(&["verify", "--quiet"]).exits(0);
    }
}

/// Features without a value in both tables.
fn nulls(workload: &Workload<'_>) -> u64 {
    let count = |table: &str| {
        let columns = features(workload, table).join(", ");
        workload.database.one::<i64>(&format!("select sum(num_nulls({columns}))::int8 from {table}"))
    };
    (count(RATE) + count(BQX)).unsigned_abs()
}

#[test]
fn an_instant_without_end_in_a_source_is_an_error() {
    for (table, time, instant) in [("m1_eurusd", "time", "infinity"), ("bqx_eurusd", "ts_utc", "-infinity")] {
        let workload = Workload::one();
        workload.database.sql(&format!("insert into {table} values ('{instant}', 1.5)"));
        workload.run(&["run"]).exits(1).says(&[table, time, &format!("is {instant}")]);
    }
}

#[test]
fn an_instant_in_two_rows_of_a_source_without_a_key_is_an_error() {
    let workload = Workload::one();
    workload.database.sql(
        "alter table bqx_eurusd drop constraint bqx_eurusd_pkey;
         insert into bqx_eurusd values ('2017-01-20 12:30:00+00', 1.5)",
    );
    workload.run(&["run"]).exits(1).says(&["bqx_eurusd", "2017-01-20T12:30:00Z in two rows"]);
}
