//! What has the name of a view of features, or of a function that it calls: what is missing is made, what others made is left as it is and
//! blocks the partition, and no command passes over it in silence.

use rollfit_job::config::Layout;

use crate::programs::{as_server_user, postgres_program};
use crate::sandbox::Answer;
use crate::server::shared;
use crate::workload::{ONE, SMALL, Workload};

const RATE: &str = "reg_rate_eurusd_2017_01";

fn done() -> Workload<'static> {
    let workload = Workload::on(shared(), ONE).in_layout(Layout::Fits);
    workload.done();
    workload
}

impl Workload<'_> {
    /// Every command that looks at the partition says that it is blocked, and why; nothing is written.
    #[track_caller]
    fn is_blocked_by(&self, words: &[&str]) -> Answer {
        let before = self.written();
        let says = [&["blocked"], words].concat();
        let plan = self.run(&["plan"]).exits(0);
        says.iter().for_each(|word| assert!(plan.stdout.contains(word), "{word}: {plan}"));
        let run = self.run(&["run"]).exits(4);
        let told = format!("{}{}", run.stdout, run.stderr);
        says.iter().for_each(|word| assert!(told.contains(word), "{word}: {run}"));
        self.run(&["run", "--force"]).exits(4);
        self.run(&["doctor"]).exits(1).says(&says);
        assert_eq!(self.written(), before);
        run
    }

    #[track_caller]
    fn is_planned_blocked(&self, words: &[&str]) {
        let plan = self.run(&["plan"]).exits(0);
        let says = [&["blocked"], words].concat();
        says.iter().for_each(|word| assert!(plan.stdout.contains(word), "{word}: {plan}"));
    }

    /// What shows that rows or receipts were written.
    fn written(&self) -> String {
        self.database.one(
            "select coalesce(string_agg(concat_ws(' ', c.relname, relfilenode, n_tup_ins, n_tup_upd, n_tup_del), ', ' order by c.relname), '')
             from pg_class c left join pg_stat_user_tables t on t.relid = oid where relkind = 'r' and c.relname ~ '^fit_'",
        )
    }

    fn query_of(&self, view: &str) -> String {
        self.database.one(&format!("select pg_get_viewdef('{view}'::regclass)"))
    }

    #[track_caller]
    fn is_well(&self) {
        assert_eq!(self.done()["already_done"], self.partitions());
        self.run(&["verify", "--quiet"]).exits(0);
        self.doctor(0);
        assert_eq!(self.run(&["schema"]).exits(0).stdout, "-- nothing is missing\n");
    }
}

#[test]
fn a_table_where_a_view_belongs_blocks_the_partition_and_stays() {
    let workload = Workload::one();
    workload.done();
    let deployed = workload.database.texts(&format!("select * from {RATE} order by 1"));
    workload.in_fits("");
    let words = ["public.reg_rate_eurusd_2017_01 is a table", "set views_schema"];
    workload.is_blocked_by(&words);
    workload.run(&["schema"]).exits(1).says(&words);
    assert_eq!(workload.database.texts(&format!("select * from {RATE} order by 1")), deployed);
    let fits = "select count(*) from pg_class where relname ~ '^fit_'";
    assert_eq!(workload.database.one::<i64>(fits), 0, "nobody would find what was written");
    for kind in ["materialized view", "view"] {
        workload.database.sql(&format!(
            "drop {kind_before} {RATE}; create {kind} {RATE} as select 1 as x",
            kind_before = if kind == "view" { "materialized view" } else { "table" }
        ));
        let what =
            if kind == "view" { "is not the view that rollfit makes" } else { "is a materialized view" };
        workload.is_blocked_by(&[what]);
    }
    workload.database.sql(&format!("drop view {RATE}; alter table reg_bqx_eurusd_2017_01 rename to before"));
    assert_eq!(workload.done()["written"], 1);
    workload.is_well();
}

#[test]
fn a_view_that_somebody_changed_blocks_the_partition_until_it_is_dropped() {
    let workload = done();
    let query = workload.query_of(RATE);
    workload.database.sql(&format!("create schema beside; create table beside.fit_{RATE} (like fit_{RATE})"));
    for other in [
        query.replacen("rollfit_rmse(", "rollfit_residual_std(", 1),
        query.replace(&format!("FROM fit_{RATE}"), &format!("FROM beside.fit_{RATE}")),
        query.replace(';', " WHERE ts_utc < '2017-01-15';"),
        query.replacen(".a2_idx_w15", ".a1_idx_w15 AS a2_idx_w15", 1),
        query.replacen(", 15)", ", 16)", 1),
    ] {
        assert_ne!(other, query);
        workload.database.sql(&format!("create or replace view {RATE} as {other}"));
        workload.is_planned_blocked(&["is not the view that rollfit makes"]);
    }
    workload.run(&["verify"]).exits(1).says(&["is not the view that rollfit makes"]);
    workload.is_blocked_by(&[
        "is not the view that rollfit makes",
        "DROP VIEW \"public\".\"reg_rate_eurusd_2017_01\"",
    ]);
    workload.database.sql(&format!("create or replace view {RATE} as {query}"));
    workload.is_well();
    workload.database.sql(&format!("alter view {RATE} rename column rmse_idx_w15 to other"));
    workload.is_planned_blocked(&["is not the view that rollfit makes"]);
    workload.database.sql(&format!("drop view {RATE}"));
    workload.is_well_again();
}

#[test]
fn what_an_owner_may_decide_about_a_view_leaves_it_ours() {
    let workload = done();
    let role = format!("reader_{}", workload.database.name());
    workload.database.sql(&format!(
        "create role {role}; comment on view {RATE} is 'features'; grant select on {RATE} to {role};
         alter view {RATE} owner to {role}; alter view {RATE} set (security_barrier = true);
         create view above as select * from {RATE}; create rule r as on insert to {RATE} do instead nothing"
    ));
    workload.is_well();
}

impl Workload<'_> {
    /// A run makes what is missing and writes no row.
    #[track_caller]
    fn is_well_again(&self) {
        let before = self.written();
        self.run(&["verify"]).exits(1).says(&["missing", "rollfit run makes it"]);
        let plan = self.run(&["plan"]).exits(0);
        assert!(plan.stdout.contains("missing, and a run makes it"), "{plan}");
        self.is_well();
        assert_eq!(self.written(), before);
    }
}

#[test]
fn a_view_that_is_gone_is_made_again_without_its_rows_or_the_run_fails() {
    for parent in [false, true] {
        let workload = Workload::on(shared(), SMALL).in_layout(Layout::Fits);
        if parent {
            workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
        }
        workload.done();
        let view = if parent { "reg_rate_eurusd" } else { RATE };
        workload.database.sql(&format!("drop view {view}"));
        workload.is_well_again();
        workload.database.sql(&format!("drop view {view}, reg_bqx_eurusd_2017_02"));
        let role = workload.as_new_role("runner");
        workload.database.sql(&format!(
            "grant select on all tables in schema public to {role};
             grant insert, delete on all tables in schema public to {role}; grant update on rollfit_receipts to {role}"
        ));
        workload.run(&["run"]).exits(1).says(&["create", view, "permission denied"]);
        let grants = workload.doctor(1).statements();
        assert!(grants.iter().any(|grant| grant.contains("GRANT CREATE ON SCHEMA")), "{grants:?}");
        workload.database.sql(&grants.join(";"));
        workload.is_well_again();
    }
}

#[test]
fn a_function_that_somebody_replaced_blocks_what_calls_it_until_schema_puts_it_right() {
    let workload = done();
    let body = "select prosrc from pg_proc where proname = 'rollfit_rmse'";
    let before: String = workload.database.one(body);
    let words = ["rollfit_rmse(double precision, integer)", "rollfit schema prints"];
    for change in [
        "alter function rollfit_rmse volatile",
        "alter function rollfit_rmse parallel unsafe",
        "alter function rollfit_rmse security definer",
        "alter function rollfit_rmse set work_mem = '1MB'",
        "create or replace function rollfit_rmse(ss_res double precision, rows integer) returns double precision
             language sql immutable parallel safe as 'select 0.5'",
    ] {
        workload.database.sql(change);
        workload.is_planned_blocked(&words);
        let printed = workload.run(&["schema"]).exits(0).stdout;
        assert_eq!(printed.matches("FUNCTION").count(), 1, "{printed}");
        if change.starts_with("alter") {
            workload.execute_with_psql(&printed);
        }
    }
    workload.run(&["verify"]).exits(1).says(&words);
    workload.is_blocked_by(&words);
    workload.execute_with_psql(&workload.run(&["schema"]).exits(0).stdout);
    assert_eq!(workload.database.one::<String>(body), before);
    // One of the same name with other arguments is another one.
    workload.database.sql("create function rollfit_rmse(text) returns text language sql as 'select $1'");
    workload.is_well();
    workload.database.sql("drop function rollfit_rmse(double precision, integer) cascade");
    workload.is_well_again();
}

#[test]
fn a_copy_made_by_pg_dump_is_ours() {
    let workload = Workload::on(shared(), ONE);
    workload.in_fits("numbers = \"numeric\"\n");
    workload.done();
    let copy = shared().database();
    let mut dump = as_server_user(postgres_program("pg_dump"));
    let dumped = dump.arg(workload.database.url()).output().unwrap();
    assert!(dumped.status.success());
    let path = workload.sandbox.write("dump.sql", &dumped.stdout);
    std::process::Command::new("chmod").args(["-R", "a+rX"]).arg(workload.sandbox.dir()).status().unwrap();
    let mut restore = as_server_user(postgres_program("psql"));
    restore.args(["-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]).arg(copy.url());
    let restored = restore.stdin(std::fs::File::open(path).unwrap()).output().unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    workload.reconfigure(|text| text.replace(&workload.database.url(), &copy.url()));
    workload.is_well();
}

#[test]
fn names_may_hold_anything_and_be_as_long_as_the_server_keeps() {
    let workload = Workload::small();
    let long = "y".repeat(63 - "fit_".len() - "éurusd".len() - "201701".len() - 1);
    workload.in_fits("");
    for (from, to) in [
        ("reg_rate_{key}_{yyyy}_{mm}", format!("{long}{{key}}{{yyyy}}{{mm}}")),
        ("reg_bqx_{key}_{yyyy}_{mm}", "Tab'le\\\\ $$ . \\\"{key}\\n{yyyy}{mm}".to_owned()),
        (
            "[series.bqx]",
            "parent = \"Pa \\\" . rent {key}\"\ncolumn = \"{metric}, \\\"{series}' (.) {window}\"\n\n[series.bqx]".to_owned(),
        ),
    ] {
        workload.replace_in_configuration(from, &to);
    }
    workload.execute_with_psql(&workload.run(&["schema", "--only", "eurusd:2017-01"]).exits(0).stdout);
    workload.done();
    workload.is_well();
}

#[test]
fn a_view_that_is_gone_is_made_when_rows_come_and_when_all_are_written() {
    for parent in [false, true] {
        let workload = Workload::on(shared(), ONE).in_layout(Layout::Fits);
        if parent {
            workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
        }
        workload.cut_sources("2017-01-20");
        workload.done();
        let view = if parent { "reg_rate_eurusd" } else { RATE };
        workload.database.sql(&format!("drop view {view}"));
        workload.grow_sources("2017-01-25");
        workload.run(&["plan"]).exits(0).says(&["grown", "is missing, and a run makes it"]);
        let run = workload.run(&["run"]).exits(0);
        assert!(run.stderr.contains(&format!("the view public.{view} is missing: made again")), "{run}");
        assert!(run.stderr.contains("new rows"), "{run}");
        workload.is_well();
        workload.database.sql(&format!("drop view {view}"));
        workload.change_sources();
        assert_eq!(workload.done()["written"], 1);
        workload.is_well();
        // Where the role may not, no row is added that nobody would find.
        workload.database.sql(&format!("drop view {view}"));
        let role = workload.as_new_role("runner");
        workload.database.sql(&format!(
            "grant select on all tables in schema public to {role};
             grant insert, delete on all tables in schema public to {role}; grant update on rollfit_receipts to {role}"
        ));
        workload.grow_sources("infinity");
        let before = workload.written();
        workload.run(&["run"]).exits(1).says(&["create", view, "permission denied"]);
        assert_eq!(workload.written(), before);
    }
}

#[test]
fn a_follower_makes_a_missing_view_when_it_checks_a_partition() {
    let workload = Workload::on(shared(), ONE).in_layout(Layout::Fits);
    workload.done();
    workload.database.sql(&format!("drop view {RATE}"));
    let follower = workload.follow(&[("ROLLFIT_RUN__RECHECK_EVERY_S", "1")]);
    let is_there = format!("select to_regclass('{RATE}') is not null");
    workload.wait_until("the view", &is_there);
    workload.database.sql(&format!("drop view {RATE}"));
    workload.wait_until("the view, again", &is_there);
    let told = follower.stop();
    let made = format!("the view public.{RATE} is missing: made again");
    assert!(told.stderr.contains(&made), "{told}");
    workload.is_well();
}

#[test]
fn each_way_out_that_is_told_of_a_blocked_view_works() {
    let workload = done();
    let query = workload.query_of(RATE);
    let other = query.replacen("rollfit_rmse(", "rollfit_residual_std(", 1);
    let users = format!("create view users as select ts_utc, rmse_idx_w15 from {RATE}");
    workload
        .database
        .sql(&format!("create schema beside; create or replace view {RATE} as {other}; {users}"));
    let run = workload
        .is_blocked_by(&["rename it, set views_schema, or drop what depends on it (view public.users), run"]);
    let told = format!("{}{}", run.stdout, run.stderr);
    let drop = &told[told.find("DROP VIEW").unwrap()..told.find(" and rollfit makes").unwrap()];
    let mut client = workload.database.connect();
    client.batch_execute(drop).unwrap_err();
    workload.database.sql(&format!("alter view {RATE} rename to before"));
    workload.is_well();
    workload.database.sql(&format!("drop view {RATE}; alter view before rename to {RATE}"));
    workload.replace_in_configuration("layout = \"fits\"", "layout = \"fits\"\nviews_schema = \"beside\"");
    workload.is_well();
    workload.replace_in_configuration("\nviews_schema = \"beside\"", "");
    workload.is_planned_blocked(&["view public.users"]);
    client.batch_execute(&format!("drop view users; {drop}")).unwrap();
    workload.is_well();
}

#[test]
fn a_function_that_the_server_does_not_replace_gets_another_name() {
    let workload = Workload::on(shared(), ONE).in_layout(Layout::Fits);
    let others =
        ["(ss_res double precision, rows integer) returns numeric", "(a float8, b integer) returns float8"];
    for (at, other) in (0_i64..).zip(others) {
        workload.database.sql(&format!("create function rollfit_rmse{other} language sql as 'select 0.5'"));
        let plan = workload.run(&["plan"]).exits(0);
        assert!(plan.stdout.contains("run the statements that rollfit schema prints"), "{plan}");
        workload.run(&["run"]).exits(4).says(&["rollfit_rmse(double precision, integer)"]);
        let printed = workload.run(&["schema"]).exits(0).stdout;
        workload.database.sql(&printed);
        let kept = "select count(*) from pg_proc where proname like 'rollfit\\_rmse\\_before\\_%'";
        assert_eq!(workload.database.one::<i64>(kept), at + 1, "{printed}");
        workload.database.sql("drop function rollfit_rmse(double precision, integer) cascade");
    }
    workload.done();
    workload.is_well();
}
