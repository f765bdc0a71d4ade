//! Runs that add rows to a month that is not over: the tables and receipts are those of a single run over all rows,
//! whatever happens between two bars, and rows that are there are not written again.

use std::os::unix::process::ExitStatusExt;

use crate::checker::{Contents, Undisturbed};
use crate::faults::{Fault, When, is_commit};
use crate::pooler::Pooler;
use crate::proxy::Proxy;
use crate::stopped::with_signal;
use crate::workload::Workload;

const RATE: &str = "reg_rate_eurusd_2017_02";
const BQX: &str = "reg_bqx_eurusd_2017_02";

/// Where the sources end in the beginning, and at last.
const EARLY: &str = "2017-02-28 20:00";
const END: &str = "2017-02-28 23:30";

/// The moments of an append.
const MOMENTS: [&str; 9] = [
    "connected",
    "append-began",
    "append-locked",
    "append-looked",
    "append-rows-1",
    "append-rows-2",
    "append-receipt",
    "commit-sent",
    "commit-answered",
];

/// A workload whose last month ends early and is done.
fn early() -> Workload<'static> {
    let workload = Workload::small();
    workload.cut_sources(EARLY);
    workload.done();
    workload
}

/// One that has grown by a row, or to the end.
fn grown(until: &str) -> Workload<'static> {
    let workload = early();
    workload.grow_sources(until);
    workload
}

impl Workload<'_> {
    /// How many transactions wrote the rows of a table: one where it was written as a whole.
    fn writers_of(&self, table: &str) -> i64 {
        self.database.one(&format!("select count(distinct xmin::text) from {table}"))
    }

    #[track_caller]
    fn is_added_to(&self, times: i64) {
        assert_eq!([RATE, BQX].map(|table| self.writers_of(table)), [1 + times; 2]);
    }
}

#[test]
fn rows_that_are_added_are_those_of_a_single_run_and_nothing_else_is_written() {
    let workload = grown("2017-02-28 20:30");
    let plan = workload.run(&["plan", "--json"]).exits(0).json();
    assert!(plan.to_string().contains("\"grown\""), "{plan}");
    for (times, until) in [(1, "2017-02-28 20:30"), (2, "2017-02-28 22:00"), (3, END)] {
        workload.grow_sources(until);
        let summary = workload.done();
        assert_eq!((&summary["written"], &summary["already_done"]), (&1.into(), &1.into()), "{summary}");
        workload.run(&["verify", "--quick", "--quiet"]).exits(0);
        workload.is_added_to(times);
    }
    workload.run(&["verify", "--quiet"]).exits(0);
    workload.is_as_undisturbed();
}

#[test]
fn a_month_of_few_rows_gets_many_at_once_and_windows_fill_in_the_added_rows() {
    let workload = Workload::small();
    workload.cut_sources("2017-02-02 00:00");
    workload.done();
    for (times, until) in [(1, "2017-02-02 01:00"), (2, END)] {
        workload.grow_sources(until);
        workload.done();
        workload.is_added_to(times);
    }
    workload.is_as_undisturbed();
    // The same where windows reach into the month before.
    let [workload, wanted] = ["2017-02-02 00:00", END].map(|end| {
        let workload = Workload::small();
        workload.replace_in_configuration("boundary = \"reset\"", "boundary = \"carry\"");
        workload.cut_sources(end);
        workload.done();
        workload
    });
    workload.grow_sources(END);
    workload.done();
    workload.is_added_to(1);
    workload.is(&Contents::from_database(&wanted.database));
}

/// Columns of every type, whatever the job makes of them.
fn with_types(sources_end: &str) -> Workload<'static> {
    let workload = Workload::small();
    workload.cut_sources(sources_end);
    workload.replace_in_configuration("[store]", "[store]\nnumbers = \"numeric\"");
    workload.done();
    workload.database.sql(&format!(
        "alter table {RATE} alter r2_idx_w15 type float8, alter a1_idx_w15 type numeric(12,6), alter b_idx_w15 type real,
             alter rmse_idx_agg type numeric(7,5), alter a2_idx_agg type numeric(6,6), alter ts_utc type timestamptz;
         alter table {BQX} alter r2_bqx_w15 type real, alter vertex_x_bqx_w15 type numeric(3,-1),
             drop constraint {BQX}_pkey"
    ));
    workload.run(&["run", "--quiet", "--force"]).exits(0);
    workload
}

#[test]
fn rows_are_added_in_the_bits_of_a_single_run_in_columns_of_every_type() {
    let (workload, wanted) = (with_types(EARLY), with_types(END));
    for (times, until) in [(1, "2017-02-28 20:30"), (2, END)] {
        workload.grow_sources(until);
        workload.done();
        workload.is_added_to(times);
    }
    workload.is(&Contents::from_database(&wanted.database));
    for arguments in [&["verify", "--quiet"][..], &["verify", "--quick", "--quiet"], &["compare", "--quiet"]]
    {
        workload.run(arguments).exits(0);
    }
    let zoned = "select count(*) from rollfit_receipts
                 where receipt #>> '{stored,types,0,0,0}' = 'timestamp with time zone'";
    assert_eq!(workload.database.one::<i64>(zoned), 1);
}

#[test]
fn killed_at_any_moment_an_append_leaves_the_old_or_the_new_and_is_finished_by_the_same_command() {
    let (workload, undisturbed) = (early(), Undisturbed::small());
    let old = Contents::from_database(&workload.database);
    for moment in MOMENTS {
        workload.cut_sources(EARLY);
        workload.run(&["run", "--quiet", "--force", "--only", "eurusd:2017-02"]).exits(0);
        workload.grow_sources(END);
        let variable = with_signal(moment, "KILL");
        let answer = workload.run_with(&[("ROLLFIT_FAILPOINT", &variable)], &["run", "--quiet"]);
        assert_eq!(answer.status.signal(), Some(9), "{moment}: {answer}");
        workload.each_partition_is_old_or_new(&old, &undisturbed.usual);
        workload.run(&["run", "--quiet"]).exits(0);
        workload.is_added_to(1);
        let differences = Contents::from_database(&workload.database).differences(&undisturbed.usual);
        assert_eq!(differences, Vec::<String>::new(), "{moment}");
    }
    workload.is_as_undisturbed();
}

#[test]
fn whoever_stands_still_in_an_append_is_overtaken_and_adds_nothing_twice() {
    const IMPATIENT: [(&str, &str); 1] = [("ROLLFIT_RUN__IDLE_TIMEOUT_S", "1")];
    for (moment, has_key) in
        [("connected", true), ("connected", false), ("append-looked", false), ("append-receipt", true)]
    {
        let workload = early();
        if !has_key {
            for table in [RATE, BQX] {
                workload.database.sql(&format!("alter table {table} drop constraint {table}_pkey"));
            }
        }
        workload.grow_sources(END);
        let stopped = workload.stopped_at(moment, &IMPATIENT, &[]);
        let summary = workload.run_with(&IMPATIENT, &["run", "--json"]).exits(0).json();
        assert_eq!(summary["written"], 1, "{moment}: {summary}");
        let overtaken = stopped.go_on().finish().exits(0).json();
        let count = |field: &str| overtaken[field].as_u64().unwrap();
        let done = count("already_done") + count("written_by_others");
        assert_eq!((count("written"), done), (0, 2), "{overtaken}");
        workload.is_added_to(1);
        if !has_key {
            for table in [RATE, BQX] {
                workload.database.sql(&format!("alter table {table} add primary key (ts_utc)"));
            }
        }
        workload.is_as_undisturbed();
    }
}

#[test]
fn a_reader_sees_all_of_the_old_or_all_of_the_new_and_is_never_blocked() {
    let workload = grown(END);
    let both = "select (select count(*) from reg_rate_eurusd_2017_02), (select count(*) from reg_bqx_eurusd_2017_02),
                       (select rows from rollfit_receipts where month = '2017-02-01')";
    let count = |client: &mut postgres::Transaction<'_>| {
        let row = client.query_one(both, &[]).unwrap();
        [row.get::<_, i64>(0), row.get(1), row.get(2)]
    };
    let (mut before, mut during) = (workload.database.connect(), workload.database.connect());
    let level = postgres::IsolationLevel::RepeatableRead;
    let mut before = before.build_transaction().isolation_level(level).start().unwrap();
    assert_eq!(count(&mut before), [1337; 3]);
    let stopped = workload.stopped_at("append-receipt", &[], &[]);
    let mut during = during.build_transaction().isolation_level(level).start().unwrap();
    assert_eq!(count(&mut during), [1337; 3]);
    stopped.go_on().finish().exits(0);
    assert_eq!([count(&mut before), count(&mut during)], [[1337; 3]; 2]);
    before.commit().unwrap();
    during.commit().unwrap();
    let mut after = workload.database.connect();
    assert_eq!(count(&mut after.transaction().unwrap()), [1344; 3]);
}

#[test]
fn rows_are_added_whatever_the_role_has_as_defaults_and_behind_a_pooler() {
    let workload = early();
    let by_default = |setting: &str| {
        workload.database.sql(&format!("alter database {} set {setting}", workload.database.name()));
    };
    let levels = ["serializable", "repeatable read", "read committed", "read uncommitted"];
    for (level, until) in levels.into_iter().zip(["20:30", "21:00", "21:30", "22:00"]) {
        by_default(&format!("default_transaction_isolation = '{level}'"));
        workload.grow_sources(&format!("2017-02-28 {until}"));
        assert_eq!(workload.done()["retries"], 0);
    }
    by_default("timezone = 'Asia/Tokyo'");
    by_default("standard_conforming_strings = off");
    by_default("row_security = off");
    by_default("synchronous_commit = off");
    workload.grow_sources("2017-02-28 22:30");
    workload.done();
    let pooler = Pooler::before(workload.database.server(), 2);
    let url = pooler.url(workload.database.name());
    for until in ["2017-02-28 23:00", END] {
        workload.grow_sources(until);
        let summary = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &["run", "--json"]).exits(0).json();
        assert_eq!((&summary["written"], &summary["retries"]), (&1.into(), &0.into()), "{summary}");
    }
    workload.is_added_to(7);
    // The checker reads instants as the default has them.
    by_default("timezone = 'UTC'");
    workload.is_as_undisturbed();
}

#[test]
fn an_append_whose_answer_is_lost_is_found_done_and_one_that_never_came_is_done_again() {
    let workload = early();
    for (until, when) in [("2017-02-28 21:00", When::Answered(is_commit)), (END, When::Comes(is_commit))] {
        workload.grow_sources(until);
        let proxy = Proxy::before(&workload.database.server().socket());
        proxy.arm(when, Fault::Cut);
        let url = proxy.url(workload.database.name());
        let only = ["run", "--json", "--only", "eurusd:2017-02"];
        let summary = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &only).exits(0).json();
        assert_eq!(summary["retries"], 1, "{summary}");
    }
    workload.is_added_to(2);
    workload.is_as_undisturbed();
}

#[test]
fn two_runners_add_rows_once() {
    let workload = grown(END);
    let runners = [0; 2].map(|_| workload.start(&[], &["--only", "eurusd:2017-02"]));
    let summaries = runners.map(|running| running.finish().exits(0).json());
    let sum = |field: &str| summaries.iter().map(|summary| summary[field].as_u64().unwrap()).sum::<u64>();
    let done = sum("already_done") + sum("written_by_others");
    assert_eq!((sum("written"), done), (1, 1), "{summaries:?}");
    workload.is_added_to(1);
    workload.is_as_undisturbed();
}

#[test]
fn what_somebody_took_away_or_changed_is_written_again_as_a_whole() {
    const CHANGES: [&str; 4] = [
        "delete from reg_bqx_eurusd_2017_02 where ts_utc = '2017-02-09 03:30'",
        "delete from reg_rate_eurusd_2017_02 where ts_utc > '2017-02-28'",
        "alter table reg_rate_eurusd_2017_02 alter r2_idx_w15 type numeric(12,6); -- and back
         alter table reg_rate_eurusd_2017_02 alter r2_idx_w15 type numeric(14,6)",
        "create function keep() returns trigger language plpgsql as 'begin return new; end';
         create trigger keep after insert on reg_bqx_eurusd_2017_02 for each row execute function keep()",
    ];
    for change in CHANGES {
        let workload = grown(END);
        workload.database.sql(change);
        workload.done();
        workload.is_added_to(0);
        workload.run(&["verify", "--quiet"]).exits(0);
        if !change.starts_with("alter") {
            workload.is_as_undisturbed();
        }
    }
}

#[test]
fn rows_of_others_are_neither_added_to_nor_removed_unless_told() {
    let workload = grown(END);
    workload.database.sql(&format!("insert into {RATE} (ts_utc) values ('2017-02-28 21:10')"));
    let before = Contents::from_database(&workload.database);
    workload.run(&["run"]).exits(1).says(&[
        RATE,
        "has 1338 rows",
        "another program added rows",
        "run --force",
    ]);
    assert_eq!(Contents::from_database(&workload.database).differences(&before), Vec::<String>::new());
    // What else would have the month written again changes nothing about that.
    workload.database.sql(&format!(
        "create function keep() returns trigger language plpgsql as 'begin return new; end';
         create trigger keep after insert on {BQX} for each row execute function keep()"
    ));
    workload.run(&["run"]).exits(1).says(&[RATE, "has 1338 rows", "another program added rows"]);
    assert_eq!(Contents::from_database(&workload.database).differences(&before), Vec::<String>::new());
    workload.run(&["run", "--quiet", "--force", "--only", "eurusd:2017-02"]).exits(0);
    workload.is_as_undisturbed();
}

#[test]
fn a_table_that_is_taken_away_before_the_lock_is_not_made_anew_with_the_last_rows_only() {
    let workload = grown(END);
    let stopped = workload.stopped_at("connected", &[], &[]);
    workload.database.sql(&format!("drop table {RATE}"));
    stopped.go_on().finish().exits(4);
    assert_eq!(workload.database.one::<i64>(&format!("select count(*) from {BQX}")), 1337);
    workload.run(&["run", "--quiet", "--replace", "foreign"]).exits(0);
    workload.is_as_undisturbed();
}

#[test]
fn what_adopt_gives_a_receipt_records_the_types_too() {
    let (workload, undisturbed) = (Workload::small(), Undisturbed::small());
    workload.done();
    workload.database.sql("delete from rollfit_receipts");
    workload.run(&["adopt", "--quiet"]).exits(0);
    let types = "select receipt #>> '{stored,types}' from rollfit_receipts";
    let one = r#"[["timestamp without time zone", 1], ["double precision", 90]]"#;
    assert_eq!(workload.database.texts(types), vec![vec![Some(format!("[{one}, {one}]"))]; 2]);
    // Rows of another program are not added to: they are written again.
    workload.cut_sources(EARLY);
    workload.run(&["run", "--quiet", "--force"]).exits(0);
    workload.database.sql("delete from rollfit_receipts where month = '2017-02-01'");
    workload.run(&["adopt", "--quiet"]).exits(0);
    workload.grow_sources(END);
    workload.done();
    workload.is_added_to(0);
    workload.is(&undisturbed.usual);
}

#[test]
fn rows_are_added_to_the_leaf_of_a_parent_in_its_place_and_the_parent_shows_them() {
    let workload = Workload::small();
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    workload.cut_sources(EARLY);
    workload.done();
    workload.grow_sources("2017-02-28 20:30");
    workload.done();
    workload.is_added_to(1);
    assert_eq!(workload.database.one::<i64>("select count(*) from reg_rate_eurusd"), 1488 + 1338);
    // A leaf with the bounds of another month is not added to.
    workload.grow_sources(END);
    workload.database.sql(
        "alter table reg_rate_eurusd detach partition reg_rate_eurusd_2017_02;
         alter table reg_rate_eurusd attach partition reg_rate_eurusd_2017_02 for values from ('2017-02-01') to ('2017-04-01')",
    );
    workload.run(&["run"]).exits(1).says(&["reg_rate_eurusd_2017_02", "2017-04-01"]);
    assert_eq!(workload.database.one::<i64>("select count(*) from reg_rate_eurusd"), 1488 + 1338);
}

#[test]
fn a_change_before_the_last_row_writes_the_month_again_also_where_it_has_grown() {
    let workload = grown(END);
    workload.database.sql("update m1_eurusd set rate_index = rate_index + 1 where time = '2017-02-09 03:30'");
    workload.done();
    workload.is_added_to(0);
    workload.database.sql("update m1_eurusd set rate_index = rate_index - 1 where time = '2017-02-09 03:30'");
    workload.done();
    workload.is_as_undisturbed();
}

#[test]
fn a_role_that_may_not_analyze_or_vacuum_adds_rows_with_the_least_rights() {
    let workload = early();
    let role = format!("loader_{}", workload.database.name());
    workload.database.sql(&format!(
        "create role {role} login; grant usage on schema public to {role};
         grant select on all tables in schema public to {role};
         grant insert, delete on {RATE}, {BQX} to {role};
         grant insert, update, delete on rollfit_receipts to {role}; grant insert on rollfit_definitions to {role}"
    ));
    let url = workload.database.url().replace("postgres@", &format!("{role}@"));
    for until in ["2017-02-28 22:00", END] {
        workload.grow_sources(until);
        let only = ["run", "--only", "eurusd:2017-02"];
        let answer = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &only).exits(0);
        assert!(!answer.to_string().contains("may not VACUUM"), "{answer}");
    }
    workload.is_added_to(2);
    workload.is_as_undisturbed();
    workload.database.sql(&format!("drop owned by {role}; drop role {role}"));
}
