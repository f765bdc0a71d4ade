//! `rollfit drop` where fits are stored: a view that shows nothing but the partition goes with its rows, unless others still use it.

use rollfit_job::config::Layout;

use crate::server::shared;
use crate::workload::{ONE, SMALL, Workload};

const RATE: &str = "reg_rate_eurusd_2017_01";
const DROP: [&str; 2] = ["drop", "eurusd:2017-01"];

/// Objects that depend on the view of rates: statements that make one, its name in messages, and the statement that drops it.
const DEPENDENTS: [[&str; 3]; 9] = [
    ["create view users as select ts_utc, r2_idx_w15 from RATE", "view public.users", "drop view users"],
    [
        "create materialized view kept as select count(*) from RATE",
        "materialized view public.kept",
        "drop materialized view kept",
    ],
    ["create rule r as on insert to RATE do instead nothing", "rule r on public.RATE", "drop rule r on RATE"],
    [
        "create table other (x int); create rule r as on insert to other do also select 1 from RATE",
        "rule r on public.other",
        "drop table other",
    ],
    [
        "create function stay() returns trigger language plpgsql as 'begin return new; end';
         create trigger t instead of insert on RATE for each row execute function stay()",
        "trigger t on public.RATE",
        "drop function stay() cascade",
    ],
    [
        "create function f() returns bigint begin atomic select count(*) from RATE; end",
        "function public.f()",
        "drop function f()",
    ],
    [
        "create function g(RATE) returns int language sql as 'select 1'",
        "function public.g(public.RATE)",
        "drop function g(RATE)",
    ],
    [
        "create table other (x int); create policy few on other using (exists (select from RATE))",
        "policy few on public.other",
        "drop table other",
    ],
    ["create table other (x RATE[])", "table public.other", "drop table other"],
];

fn done_in_fits() -> Workload<'static> {
    let workload = Workload::on(shared(), ONE).in_layout(Layout::Fits);
    workload.done();
    workload
}

impl Workload<'_> {
    fn rows_of(&self, relation: &str) -> i64 {
        self.database.one(&format!("select count(*) from {relation}"))
    }

    fn has(&self, relation: &str) -> bool {
        self.database.one(&format!("select to_regclass('{relation}') is not null"))
    }
}

#[test]
fn what_depends_on_a_view_keeps_its_partition_from_being_dropped() {
    let workload = done_in_fits();
    let rows = workload.rows_of(RATE);
    for dependent in DEPENDENTS {
        let [make, name, remove] = dependent.map(|text| text.replace("RATE", RATE));
        workload.database.sql(&make);
        let dropped = workload.run(&DROP).exits(1);
        assert!(dropped.stderr.contains(&format!("depend on them: {name};")), "{dropped}");
        assert_eq!((workload.rows_of(RATE), workload.rows_of("rollfit_receipts")), (rows, 1));
        workload.database.sql(&remove);
    }
    // What depends on the table of fits alone is in nobody's way, nor are comments, grants and defaults.
    workload.database.sql(&format!(
        "create view beside as select * from fit_{RATE}; comment on view {RATE} is 'x'; grant select on {RATE} to public;
         alter view {RATE} alter ts_utc set default now()"
    ));
    workload.run(&DROP).exits(0).says(&["dropped eurusd 2017-01"]);
    assert_eq!(workload.rows_of("beside"), 0);
    assert!(!workload.has(RATE) && !workload.has("reg_bqx_eurusd_2017_01"), "views are gone");
    assert_eq!(workload.rows_of("rollfit_receipts"), 0);
    workload.run(&DROP).exits(1).says(&["has no features to drop"]);
    workload.run(&["plan"]).exits(0).says(&["missing"]);
    assert_eq!(workload.done()["written"], 1);
    assert_eq!(workload.rows_of(RATE), rows);
    workload.run(&["verify", "--quick", "--quiet"]).exits(0);
}

#[test]
fn of_several_partitions_none_is_dropped_where_something_depends_on_one() {
    let workload = Workload::on(shared(), SMALL).in_layout(Layout::Fits);
    workload.done();
    workload.database.sql("create view users as table reg_bqx_eurusd_2017_02");
    workload
        .run(&["drop", "eurusd:2017-01", "eurusd:2017-02"])
        .exits(1)
        .says(&["2017-02", "view public.users"]);
    assert_eq!(workload.rows_of("rollfit_receipts"), 2);
    workload.run(&DROP).exits(0);
    assert!(!workload.has(RATE) && workload.has("users") && workload.has("reg_rate_eurusd_2017_02"));
}

#[test]
fn a_view_of_a_parent_stays_with_what_depends_on_it() {
    let workload = Workload::on(shared(), SMALL).in_layout(Layout::Fits);
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    workload.done();
    workload.database.sql("create view users as table reg_rate_eurusd");
    let rows = workload.rows_of("users");
    workload.run(&DROP).exits(0);
    let left = workload.rows_of("users");
    assert!(0 < left && left < rows, "{left} of {rows}");
    assert!(!workload.has("reg_bqx_eurusd_2017_01") && workload.has("reg_bqx_eurusd_2017_02"));
    assert_eq!(workload.done()["written"], 1);
    assert_eq!(workload.rows_of("users"), rows);
    workload.run(&["verify", "--quick", "--quiet"]).exits(0);
}

#[test]
fn a_view_of_others_or_of_another_role_stays() {
    let workload = done_in_fits();
    let role = format!("owner_{}", workload.database.name());
    workload.database.sql(&format!(
        "drop view {RATE}; create view {RATE} as select 1 as x; create view users as table {RATE}; create role {role};
         alter view reg_bqx_eurusd_2017_01 owner to {role}"
    ));
    let runner = workload.as_new_role("runner");
    workload.database.sql(&format!(
        "grant select, insert, delete on all tables in schema public to {runner}; grant update on rollfit_receipts to {runner}"
    ));
    let dropped = workload.run(&DROP).exits(0);
    assert!(
        dropped.stderr.contains("the view public.reg_bqx_eurusd_2017_01 stays, without rows"),
        "{dropped}"
    );
    assert_eq!((workload.rows_of("users"), workload.rows_of("reg_bqx_eurusd_2017_01")), (1, 0));
    assert_eq!(workload.rows_of("rollfit_receipts"), 0);
}

#[test]
fn a_reader_of_the_view_makes_drop_fail_and_nothing_changes() {
    let workload = done_in_fits();
    let rows = workload.rows_of(RATE);
    let mut reader = workload.database.connect();
    reader.batch_execute(&format!("begin; select count(*) from {RATE}")).unwrap();
    let impatient = [("ROLLFIT_RUN__LOCK_WAIT_S", "1")];
    workload.run_with(&impatient, &DROP).exits(1).says(&["drop the view", RATE]);
    reader.batch_execute("commit").unwrap();
    assert_eq!((workload.rows_of(RATE), workload.rows_of("rollfit_receipts")), (rows, 1));
    workload.run(&DROP).exits(0);
}
