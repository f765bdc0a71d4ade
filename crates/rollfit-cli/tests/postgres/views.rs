//! The layout of fits as readers see it: views hold, bit for bit, what the layout of metrics would store, for whoever may read them.

use crate::workload::Workload;

/// Drops all views of features, which keep columns of their tables from being altered.
pub(crate) const DROP_VIEWS: &str = "
    do $$ declare view regclass; begin
        for view in select oid::regclass from pg_class where relkind = 'v' and relname ~ '^reg_' loop
            execute format('drop view %s', view);
        end loop;
    end $$;";

const RATE: &str = "reg_rate_eurusd_2017_01";

/// A parent for the rates alone.
const PARENT: &str = "parent = \"reg_rate_{key}\"\n\n[series.bqx]";

impl Workload<'_> {
    /// Stores fits from now on, with more lines for the store.
    pub(crate) fn in_fits(&self, lines: &str) {
        self.reconfigure(|text| {
            let url = text.lines().find(|line| line.starts_with("url = ")).unwrap().to_owned();
            text.replacen(&url, &format!("{url}\nlayout = \"fits\"\n{lines}"), 1)
        });
    }

    /// Fits beside deployed features: `next` has views with the names of the tables in `public`.
    pub(crate) fn in_fits_beside(&self, lines: &str) {
        self.database.sql("create schema if not exists next");
        self.in_fits(&format!("views_schema = \"next\"\n{lines}"));
    }

    /// Whether views in `next` hold the same as tables or views in `public`, to the last digit.
    #[track_caller]
    pub(crate) fn same_as_deployed(&self, name: &str) {
        let rows =
            |schema: &str| self.database.texts(&format!("select * from {schema}.{name} order by ts_utc"));
        let (deployed, seen) = (rows("public"), rows("next"));
        assert_eq!(deployed.len(), seen.len(), "{name}");
        assert!(deployed.len() > 1000, "{name}");
        for (deployed, seen) in deployed.iter().zip(&seen) {
            assert_eq!(deployed, seen, "{name}");
        }
        let columns = |schema: &str| {
            self.database.texts(&format!(
                "select string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod)), ', ' order by attnum)
                 from pg_attribute where attrelid = '{schema}.{name}'::regclass and attnum > 0"
            ))
        };
        assert_eq!(columns("public"), columns("next"), "{name}");
    }

    /// Makes values that try formulas: none, huge, tiny, the same for hours, a straight line, powers of ten that have two decimals.
    pub(crate) fn make_sources_odd(&self) {
        self.database.sql(
            "update m1_eurusd set rate_index = case
                 when extract(day from time) = 2 then null
                 when extract(day from time) = 3 then 'nan'
                 when extract(day from time) in (4, 5, 6) then 100
                 when extract(day from time) in (7, 8) then extract(epoch from time) - 1483228800
                 when extract(day from time) in (9, 10) then 1e99 * (extract(hour from time) - 11.5)
                 when extract(day from time) in (11, 12) then 1e-99 * (extract(hour from time) - 11)
                 when extract(day from time) in (13, 14) then 5e-324 * (extract(minute from time) + extract(hour from time))
                 when extract(day from time) in (15, 16) then 0
                 when extract(day from time) in (17, 18) then 1e23
                 when extract(day from time) in (19, 20) then 1e101
                 else rate_index end",
        );
    }
}

#[test]
fn views_hold_what_the_layout_of_metrics_stores_to_the_last_bit() {
    for (numbers, parent) in [("double precision", false), ("numeric", true)] {
        let workload = Workload::small();
        workload.make_sources_odd();
        let numbers = format!("numbers = \"{numbers}\"\n");
        workload.replace_in_configuration("[partitions]", &format!("{numbers}[partitions]"));
        if parent {
            workload.replace_in_configuration("[series.bqx]", PARENT);
        }
        workload.done();
        workload.in_fits_beside("");
        assert_eq!(workload.done()["written"], 2);
        let rate = if parent { "reg_rate_eurusd" } else { RATE };
        for table in [rate, "reg_bqx_eurusd_2017_02"] {
            workload.same_as_deployed(table);
        }
        for depth in [&["verify"][..], &["verify", "--sample", "50"], &["verify", "--quick"]] {
            workload.run(depth).exits(0);
        }
        assert_eq!(workload.done()["already_done"], 2);
        assert_eq!(workload.run(&["schema"]).exits(0).stdout, "-- nothing is missing\n");
        workload.run(&["doctor"]).exits(0);
    }
}

/// Fits whose views are `NUMERIC`, of one month with odd values.
fn decimals() -> Workload<'static> {
    let workload = Workload::one();
    workload.make_sources_odd();
    workload.in_fits("numbers = \"numeric\"\n");
    workload.done();
    workload
}

impl Workload<'_> {
    /// The rows of the view after some settings, each with all digits.
    fn rows_with(&self, settings: &str) -> Vec<Vec<Option<String>>> {
        self.database.texts(&format!("{settings}; select * from {RATE} order by ts_utc"))
    }
}

#[test]
fn decimals_are_the_shortest_in_every_session() {
    let workload = decimals();
    let rows = workload.rows_with("set extra_float_digits = 1");
    assert!(rows.iter().flatten().flatten().any(|value| value.len() > 90), "no huge value was tried");
    for digits in ["0", "-15", "3"] {
        assert_eq!(workload.rows_with(&format!("set extra_float_digits = {digits}")), rows, "{digits}");
    }
    // A plan that was made with other digits.
    let planned = "set extra_float_digits = 1; set plan_cache_mode = force_generic_plan;
                   prepare read as select * from reg_rate_eurusd_2017_01 order by ts_utc; explain execute read;
                   set extra_float_digits = 0";
    let again = workload.database.texts(&format!("{planned}; execute read"));
    assert_eq!(again[again.len() - rows.len()..], rows);
}

#[test]
fn parallel_workers_and_any_search_path_give_the_same() {
    let workload = decimals();
    let rows = workload.rows_with("set max_parallel_workers_per_gather = 0");
    let parallel = "set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;
                    set max_parallel_workers_per_gather = 2; set enable_indexscan = off; set enable_bitmapscan = off";
    let plan = workload.database.texts(&format!("{parallel}; explain select * from {RATE} order by ts_utc"));
    assert!(plan.iter().flatten().flatten().any(|line| line.contains("Gather")), "{plan:?}");
    assert_eq!(workload.rows_with(parallel), rows);
    workload.database.sql(
        "create schema evil; create function evil.abs(float8) returns float8 language sql as 'select 7::float8';
         create function evil.sevens(float8, float8) returns float8 language sql as 'select 7::float8';
         create operator evil.* (leftarg = float8, rightarg = float8, function = evil.sevens);
         create operator evil./ (leftarg = float8, rightarg = float8, function = evil.sevens);
         create function evil.always(float8, float8) returns boolean language sql as 'select true';
         create function evil.always(text, text) returns boolean language sql as 'select true';
         create operator evil.< (leftarg = float8, rightarg = float8, function = evil.always);
         create operator evil.= (leftarg = text, rightarg = text, function = evil.always)",
    );
    for (path, digits) in [("''", 1), ("evil, pg_catalog, public", 1), ("evil, pg_catalog, public", 0)] {
        let read = format!(
            "set search_path = {path}; set extra_float_digits = {digits}; select * from public.{RATE} order by ts_utc"
        );
        assert_eq!(workload.database.texts(&read), rows, "{path}");
    }
}

#[test]
fn whoever_reads_the_deployed_table_reads_the_view_with_what_schema_prints() {
    let workload = Workload::small();
    let roles = ["reader", "other"].map(|role| format!("{role}_{}", workload.database.name()));
    let [reader, other] = &roles;
    workload.database.sql(&format!("create role {reader}; create role {other}"));
    workload.database.sql("revoke all on schema public from public; alter default privileges revoke execute on functions from public");
    workload.database.sql(&format!("grant usage on schema public to {other}"));
    workload.done();
    workload.database.sql(&format!("grant select on {RATE} to {reader} with grant option"));
    workload.in_fits_beside("");
    workload.execute_with_psql(&workload.run(&["schema"]).exits(0).stdout);
    assert_eq!(workload.done()["written"], 2);
    workload.database.sql(&format!("grant usage on schema next to {reader}, {other}"));
    let read = |role: &str, table: &str| {
        let mut session = workload.database.connect();
        session.batch_execute(&format!("set role {role}")).unwrap();
        session.query(&format!("select sum(rmse_idx_w15) from next.{table}"), &[]).is_ok()
    };
    assert!(read(reader, RATE));
    assert!(!read(reader, "reg_rate_eurusd_2017_02") && !read(other, RATE));
    // The reader's own rights hold for the table of fits, and its policies.
    workload.database.sql(&format!("grant select on next.{RATE} to {other}"));
    assert!(!read(other, RATE));
    workload.is_well_beside();
}

impl Workload<'_> {
    #[track_caller]
    fn is_well_beside(&self) {
        assert_eq!(self.done()["already_done"], self.partitions());
        assert_eq!(self.run(&["schema"]).exits(0).stdout, "-- nothing is missing\n");
    }
}

#[test]
fn a_new_view_is_given_to_those_who_may_use_its_sibling() {
    let workload = Workload::small();
    workload.in_fits("");
    let role = format!("reader_{}", workload.database.name());
    workload.run(&["run", "--only", "eurusd:2017-01", "--quiet"]).exits(0);
    workload.database.sql(&format!(
        "create role {role}; create role {role}_too; grant select on {RATE}, fit_{RATE} to {role}_too with grant option; grant select on {RATE}, fit_{RATE} to {role}; alter view {RATE} owner to {role};
         grant {role} to current_user"
    ));
    workload.done();
    let access = |view: &str| {
        workload.database.one::<String>(&format!(
            "select concat_ws(' ', pg_get_userbyid(relowner), relacl) from pg_class where oid = '{view}'::regclass"
        ))
    };
    assert_eq!(access("reg_rate_eurusd_2017_02"), access(RATE));
}

#[test]
fn rows_added_later_are_seen() {
    let workload = Workload::one();
    workload.cut_sources("2017-01-20");
    workload.in_fits("");
    workload.done();
    workload.database.sql(&format!(
        "create materialized view kept as select * from {RATE}; create view above as table {RATE}"
    ));
    workload.grow_sources("2017-01-25");
    assert_eq!(workload.done()["written"], 1);
    let rows = |from: &str| workload.database.one::<i64>(&format!("select count(*) from {from}"));
    assert_eq!((rows(RATE), rows("above")), (rows(&format!("fit_{RATE}")), rows(RATE)));
    assert!(rows(RATE) > rows("kept"));
    workload.run(&["verify"]).exits(0);
}

#[test]
fn verify_notices_what_readers_would_not_find() {
    let workload = Workload::one();
    workload.in_fits("");
    workload.done();
    let role = format!("owner_{}", workload.database.name());
    workload.database.sql(&format!(
        "create role {role}; alter view {RATE} owner to {role}; alter view {RATE} set (security_invoker = false)"
    ));
    workload.run(&["verify", "--quick"]).exits(1).says(&["permission denied for table"]);
    workload.database.sql(&format!(
        "grant select on fit_{RATE} to {role}; alter table fit_{RATE} enable row level security;
         create policy few on fit_{RATE} to {role} using (ts_utc < '2017-01-02')"
    ));
    workload.run(&["verify", "--quick"]).exits(1).says(&["row-level security"]);
    workload.database.sql(&format!("alter view {RATE} set (security_invoker = true)"));
    workload.run(&["verify", "--quick"]).exits(0);
}
