//! Where features tables belong: never outside the parent of their siblings, with the bounds of their month, and with
//! nothing in the way. What is wrong is said by `plan` and `doctor` before anything is computed, and put right by what they
//! print.

use crate::roles::Findings;
use crate::server::shared;
use crate::workload::{Shape, Workload};

const RATE: &str = "reg_rate_eurusd_2017_01";
const NEXT: &str = "reg_rate_eurusd_2017_02";
const PARENT_LINE: &str = "parent = \"reg_rate_{key}\"\n";
const MONTHS: Shape = Shape { keys: &["eurusd"], months: &["2017-01", "2017-02", "2017-03"] };

/// The statements in a text, each after a semicolon.
pub(crate) fn printed(text: &str) -> Vec<String> {
    const BEGINNINGS: [&str; 7] =
        ["ALTER TABLE", "ALTER VIEW", "COMMENT ON", "CREATE ", "DROP VIEW", "GRANT ", "WITH moved"];
    let parts = text.split("; ").map(str::trim);
    parts
        .filter(|part| BEGINNINGS.iter().any(|beginning| part.starts_with(beginning)))
        .map(str::to_owned)
        .collect()
}

/// All statements that a doctor prints, one problem after the other.
pub(crate) fn remedies(found: &Findings) -> Vec<String> {
    let inside: Vec<String> = found.problems().iter().flat_map(|problem| printed(problem)).collect();
    inside.into_iter().chain(found.statements()).collect()
}

impl Workload<'_> {
    /// Gives the rates a parent.
    fn with_parent(&self) {
        self.replace_in_configuration("[series.bqx]", &format!("{PARENT_LINE}\n[series.bqx]"));
    }

    /// Neither a plan nor a run gets past these words, and nothing is written.
    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        const TABLES: &str =
            "select relname, relpartbound::text from pg_class where relname ~ '^reg_' order by 1";
        let before = self.database.texts(TABLES);
        self.run(&["plan"]).exits(1).says(words);
        self.doctor_says(1).says(words);
        self.run(&["run"]).exits(1).says(words);
        assert_eq!(self.database.texts(TABLES), before);
    }

    /// Executes what a doctor prints, after which it finds nothing.
    #[track_caller]
    fn heal(&self) {
        let statements = remedies(&self.doctor(1));
        assert!(!statements.is_empty());
        self.database.sql(&statements.join(";\n"));
        self.doctor(0);
    }
}

/// The first of these months is done below a parent.
fn first_below_parent(shape: Shape) -> Workload<'static> {
    let workload = Workload::on(shared(), shape);
    workload.with_parent();
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-01"]).exits(0);
    workload
}

#[test]
fn no_table_is_made_outside_the_parent_of_its_siblings() {
    let workload = first_below_parent(MONTHS);
    workload.replace_in_configuration(PARENT_LINE, "");
    let words =
        [NEXT, "are partitions of public.reg_rate_eurusd", "parent = \"reg_rate_{key}\"", "[series.idx]"];
    workload.refuses(&words);
    workload.run(&["schema"]).exits(1).says(&words);
    let problems = workload.doctor(1);
    assert_eq!(problems.problems().len(), 1, "{:?}", problems.problems());
    // Another key, of which there is no table yet, belongs below a parent too.
    workload
        .database
        .sql("create table m1_usdjpy as table m1_eurusd; create table bqx_usdjpy as table bqx_eurusd");
    workload.replace_in_configuration("keys = [\"eurusd\"]", "keys = [\"usdjpy\"]");
    workload.run(&["plan", "--only", "usdjpy:2017-01"]).exits(1).says(&words[1..]);
    workload.replace_in_configuration("keys = [\"usdjpy\"]", "keys = [\"eurusd\"]");
    workload.replace_in_configuration("[series.bqx]", "parent = \"rates_{key}\"\n[series.bqx]");
    workload.refuses(&["correct `parent` with the line `parent = \"reg_rate_{key}\"`"]);
    workload.replace_in_configuration("rates_{key}", "reg_rate_{key}");
    workload.done();
    let below = "select count(*) from pg_inherits where inhparent = 'reg_rate_eurusd'::regclass";
    assert_eq!(workload.database.one::<i64>(below), 3);
}

/// Attaches the rates of a month with these bounds, whose literals are read in Berlin.
fn attach_in_berlin(workload: &Workload<'_>, table: &str, from: &str, to: &str) {
    workload.database.sql(&format!(
        "set timezone = 'Europe/Berlin'; alter table reg_rate_eurusd detach partition {table};
         alter table reg_rate_eurusd attach partition {table} for values from ('{from}') to ('{to}')"
    ));
}

#[test]
fn bounds_are_held_against_the_month_as_instants_however_they_were_written() {
    let workload = Workload::on(shared(), MONTHS);
    workload.with_parent();
    let schema = workload.run(&["schema"]).exits(0).stdout.replace("timestamp ", "timestamptz ");
    workload.database.sql(&schema);
    attach_in_berlin(&workload, RATE, "2017-01-01 01:00", "2017-02-01 01:00");
    workload.doctor(0);
    let name = workload.database.name();
    workload.database.sql(&format!("alter database {name} set timezone = 'America/New_York'; alter database {name} set datestyle = 'German'"));
    workload.doctor(0);
    // All months begin an hour early: what the table of one month has to give up, the next one takes.
    workload.database.sql(&format!(
        "alter table reg_rate_eurusd detach partition {NEXT};
         alter table reg_rate_eurusd detach partition reg_rate_eurusd_2017_03"
    ));
    attach_in_berlin(&workload, RATE, "2017-01-01 00:00", "2017-02-01 00:00");
    for (table, from, to) in [(NEXT, "02", "03"), ("reg_rate_eurusd_2017_03", "03", "04")] {
        workload.database.sql(&format!(
            "set timezone = 'Europe/Berlin'; alter table reg_rate_eurusd attach partition {table}
             for values from ('2017-{from}-01') to ('2017-{to}-01')"
        ));
    }
    workload.refuses(&[
        "takes rows from 2016-12-31T23:00:00Z to 2017-01-31T23:00:00Z",
        "2017-01 is from 2017-01-01T00:00:00Z to 2017-02-01T00:00:00Z",
    ]);
    workload.heal();
    workload.done();
}

#[test]
fn a_table_that_takes_more_or_less_than_its_month_is_refused_and_put_right_by_what_is_printed() {
    let workload = first_below_parent(MONTHS);
    for bounds in ["from (minvalue) to ('2017-02-01')", "from ('2017-01-01') to ('2017-02-02')"] {
        workload.database.sql(&format!(
            "alter table reg_rate_eurusd detach partition {RATE};
             alter table reg_rate_eurusd attach partition {RATE} for values {bounds}"
        ));
        let only: [&str; 2] = ["--only", "eurusd:2017-01"];
        for command in ["plan", "run", "verify", "doctor"] {
            workload.run(&[&[command], &only[..]].concat()).exits(1).says(&[RATE, "takes rows from"]);
        }
        workload.heal();
    }
    workload.database.sql(&format!(
        "alter table reg_rate_eurusd detach partition {RATE};
         alter table reg_rate_eurusd attach partition {RATE} default"
    ));
    for command in ["plan", "run", "doctor"] {
        workload
            .run(&[command, "--only", "eurusd:2017-01"])
            .exits(1)
            .says(&[RATE, "is the DEFAULT partition"]);
    }
    workload.heal();
    workload.done();
}

#[test]
fn a_wider_partition_is_in_the_way_and_its_rows_are_kept() {
    let workload = first_below_parent(MONTHS);
    workload.database.sql(
        "create table reg_rate_eurusd_rest partition of reg_rate_eurusd
             for values from ('2017-02-01') to ('2017-12-01');
         insert into reg_rate_eurusd (ts_utc) values ('2017-02-03'), ('2017-11-04')",
    );
    let words = ["reg_rate_eurusd_rest", "is in the way of 2017-02", "split it"];
    let only = ["--only", "eurusd:2017-02"];
    workload.run(&[&["plan"], &only[..]].concat()).exits(1).says(&words[..2]);
    workload.run(&[&["run"], &only[..]].concat()).exits(1).says(&words[..2]);
    workload.run(&[&["schema"], &only[..]].concat()).exits(1).says(&words[..2]);
    // March lies in the middle: no statement leaves one partition what is before and after it.
    workload.run(&["plan", "--only", "eurusd:2017-03"]).exits(1).says(&words[2..]);
    let of_february = workload.run(&[&["doctor", "--json"], &only[..]].concat()).exits(1).json();
    let text = of_february["problems"][0]["what"].as_str().unwrap();
    workload.database.sql(&printed(text).join(";"));
    let rows = format!("select count(*) from {NEXT} where ts_utc = '2017-02-03'");
    assert_eq!(workload.database.one::<i64>(&rows), 1);
    workload.run(&[&["run"], &only[..]].concat()).exits(4).says(&["foreign"]);
    workload.run(&[&["run", "--replace", "foreign"], &only[..]].concat()).exits(0);
    assert_eq!(
        workload.database.one::<i64>("select count(*) from reg_rate_eurusd where ts_utc >= '2017-11-01'"),
        1
    );
}

#[test]
fn rows_of_the_month_in_a_default_partition_are_in_the_way_and_others_are_not() {
    let workload = first_below_parent(MONTHS);
    workload.database.sql(
        "create table reg_rate_eurusd_rest partition of reg_rate_eurusd default;
         insert into reg_rate_eurusd (ts_utc) values ('2019-02-03')",
    );
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-02"]).exits(0);
    workload.database.sql("insert into reg_rate_eurusd (ts_utc) values ('2017-03-31 23:59')");
    workload.refuses(&["reg_rate_eurusd_rest, the DEFAULT partition", "holds rows of 2017-03"]);
    workload.heal();
    workload.run(&["run"]).exits(4).says(&["reg_rate_eurusd_2017_03", "foreign"]);
    workload.run(&["run", "--replace", "foreign"]).exits(0);
    assert_eq!(workload.database.one::<i64>("select count(*) from reg_rate_eurusd_rest"), 1);
}

#[test]
fn rows_of_tables_that_inherit_are_neither_overlooked_nor_doubled() {
    let workload = Workload::one();
    workload.done();
    workload.database.sql(&format!(
        "create table \"More \"\"rows\" () inherits ({RATE}); insert into \"More \"\"rows\" (ts_utc) values ('2017-01-03 00:00:01')"
    ));
    workload.refuses(&["\"More \"\"rows\" inherits from it"]);
    for arguments in [&["run", "--force"][..], &["drop", "eurusd:2017-01"], &["verify"]] {
        workload.run(arguments).exits(1).says(&["inherits from it"]);
    }
    workload.heal();
    assert_eq!(workload.done()["already_done"], 1);
    // A table that inherits itself is seen from above, and loses nothing.
    workload
        .database
        .sql(&format!("create table above (ts_utc timestamp not null); alter table {RATE} inherit above"));
    workload.run(&["run", "--force"]).exits(0);
    assert_eq!(workload.database.one::<i64>("select count(*) from above"), 1488);
}

#[test]
fn a_table_outside_the_configured_parent_is_refused_and_attached_by_what_is_printed() {
    let workload = Workload::small();
    workload.done();
    workload.with_parent();
    workload.refuses(&["it is not a partition of public.reg_rate_eurusd, the `parent` of series `idx`"]);
    workload.heal();
    assert_eq!(workload.done()["already_done"], 2);
    assert_eq!(workload.database.one::<i64>("select count(*) from reg_rate_eurusd"), 1488 + 1344);
    workload.replace_in_configuration(PARENT_LINE, "parent = \"other_{key}\"\n");
    workload.refuses(&["it is a partition of public.reg_rate_eurusd, not of public.other_eurusd"]);
}

#[test]
fn a_parent_that_no_month_can_hang_under_is_refused() {
    let workload = Workload::one();
    workload.done();
    workload.forget();
    let columns = workload.run(&["schema"]).exits(0).stdout;
    let columns =
        columns.split_once(&format!("{RATE}\" (")).unwrap().1.split_once("\n)").unwrap().0.to_owned();
    workload.with_parent();
    for key in ["list (ts_utc)", "hash (ts_utc)", "range (a2_idx_w15)", "range (ts_utc, a2_idx_w15)"] {
        workload.database.sql(&format!(
            "drop table if exists reg_rate_eurusd; create table reg_rate_eurusd ({columns}) partition by {key}"
        ));
        let name = key.to_uppercase().replace("TS_UTC", "ts_utc").replace("A2_IDX_W15", "a2_idx_w15");
        workload.refuses(&[&format!("reg_rate_eurusd is PARTITION BY {name}"), "`parent` of series `idx`"]);
    }
    // A year below a parent of all years takes its own months only.
    workload.database.sql(&format!(
        "drop table reg_rate_eurusd;
         create table reg_rate_eurusd ({columns}) partition by range (ts_utc);
         create table reg_rate_eurusd_2018 partition of reg_rate_eurusd
             for values from ('2018-01-01') to ('2019-01-01') partition by range (ts_utc);
         create table reg_rate_eurusd_2017 partition of reg_rate_eurusd
             for values from ('2017-01-01') to ('2018-01-01') partition by range (ts_utc)"
    ));
    workload.refuses(&["reg_rate_eurusd_2017", "is in the way of 2017-01", "make `parent` name it"]);
    workload.replace_in_configuration(PARENT_LINE, "parent = \"reg_rate_{key}_2018\"\n");
    workload.refuses(&["takes only rows from 2018-01-01T00:00:00Z to 2019-01-01T00:00:00Z"]);
    workload.replace_in_configuration("{key}_2018", "{key}_{yyyy}");
    workload.done();
    workload.doctor(0);
    assert_eq!(workload.database.one::<i64>("select count(*) from reg_rate_eurusd_2017"), 1488);
}

#[test]
fn a_loss_in_the_join_is_told_of_tables_too() {
    let workload = Workload::small();
    workload.database.sql("delete from bqx_eurusd where extract(minute from ts_utc) < 30");
    let loss = "(50.0 %) of series idx, which series bqx lacks";
    workload.run(&["plan"]).exits(0).says(&["the join loses 743 of 1,487 rows", loss]);
    workload
        .run(&["run"])
        .exits(0)
        .says(&["warning: eurusd 2017-01: the join loses 743 of 1,487 rows", loss]);
}

#[test]
fn no_table_is_made_outside_a_parent_that_its_siblings_have_just_got() {
    let workload = Workload::on(shared(), MONTHS);
    let stopped = workload.stopped_at("commit-answered", &[("ROLLFIT_RUN__WORKERS", "1")], &[]);
    workload.database.sql(&format!(
        "create table reg_rate_eurusd (like {RATE}, primary key (ts_utc)) partition by range (ts_utc);
         alter table reg_rate_eurusd attach partition {RATE} for values from ('2017-01-01') to ('2017-02-01')"
    ));
    let summary = stopped.go_on().finish().exits(1).json();
    assert_eq!(
        (&summary["written"], summary["failed"].as_array().unwrap().len()),
        (&1.into(), 2),
        "{summary}"
    );
    let cause = summary["failed"][0]["cause"].as_str().unwrap();
    assert!(cause.contains(PARENT_LINE.trim()), "{cause}");
    assert_eq!(
        workload.database.one::<i64>("select count(*) from pg_class where relname ~ '^reg_.*_0[23]$'"),
        0
    );
}

#[test]
fn a_parent_that_is_missing_is_printed_once_for_all_tables_outside_it() {
    let workload = Workload::on(shared(), MONTHS);
    workload.done();
    workload.with_parent();
    let statements = remedies(&workload.doctor(1));
    let made = statements.iter().filter(|statement| statement.starts_with("CREATE TABLE")).count();
    assert_eq!((made, statements.len()), (1, 4), "{statements:?}");
    workload.heal();
    workload.done();
}

#[test]
fn rows_of_others_are_not_deleted_by_what_is_printed() {
    let workload = first_below_parent(Shape { months: &["2017-01", "2017-02"], ..MONTHS });
    workload.database.sql(&format!(
        "create table rest partition of reg_rate_eurusd default;
         insert into reg_rate_eurusd (ts_utc) values ('2017-02-10'), ('2017-02-11');
         create table labels (ts_utc timestamp constraint labels_key references reg_rate_eurusd on delete cascade);
         insert into labels values ('2017-02-10'), ((select min(ts_utc) from {RATE}))"
    ));
    workload.refuses(&[NEXT, "public.labels refer", "labels_key", "before that"]);
    assert!(!remedies(&workload.doctor(1)).iter().any(|statement| statement.contains("DELETE")));
    workload.database.sql("delete from labels where ts_utc = '2017-02-10'");
    workload.heal();
    assert_eq!(workload.database.one::<i64>("select count(*) from labels"), 1);
    workload.run(&["run", "--replace", "foreign"]).exits(0);
    // Nor is a table detached to whose rows others refer.
    workload.database.sql(&format!(
        "delete from labels; alter table reg_rate_eurusd detach partition {NEXT};
         alter table reg_rate_eurusd attach partition {NEXT} for values from ('2017-02-01') to ('2017-04-01');
         insert into labels values ('2017-02-10')"
    ));
    workload.refuses(&[NEXT, "detach it", "before that, rows of public.labels refer", "labels_key"]);
    workload.database.sql("delete from labels");
    workload.heal();
}
