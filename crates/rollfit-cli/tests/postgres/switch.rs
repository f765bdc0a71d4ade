//! `rollfit switch` in PostgreSQL: views of fits take the place of deployed tables in one transaction, and its reverse restores what
//! there was.

use crate::programs::{as_server_user, finish, postgres_program};
use crate::workload::{ONE, Workload};

/// Where the views are made first; a name that needs quotes.
const NEXT: &str = "bqx next";

impl Workload<'_> {
    /// Goes over to fits, with views in a schema of their own.
    fn use_fits(&self) {
        let next = format!("layout = \"fits\"\nviews_schema = \"{NEXT}\"\n\n[partitions]");
        self.replace_in_configuration("[partitions]", &next);
    }

    /// As after a switch.
    fn without_views_schema(&self) {
        self.replace_in_configuration(&format!("views_schema = \"{NEXT}\"\n"), "");
    }

    #[track_caller]
    fn switch(&self, arguments: &[&str]) -> String {
        self.run(&[&["switch", NEXT], arguments].concat()).exits(0).stdout
    }

    #[track_caller]
    fn no_switch(&self, code: i32, words: &[&str]) {
        self.run(&["switch", NEXT]).exits(code).says(words);
    }

    /// Names, owners, grants and definitions of all there is.
    fn dump(&self) -> String {
        let mut command = as_server_user(postgres_program("pg_dump"));
        let dump = finish(command.arg("-s").arg(self.database.url()));
        // Lines that differ each time.
        dump.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }

    /// Tables of features in production: the rates under a parent, of another owner, with readers; a view of somebody, a table
    /// that refers to them. The owner's name.
    fn deploy(&self) -> String {
        let owner = format!("owner_{}", self.database.name());
        self.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
        self.done();
        self.database.sql(&format!(
            "create role {owner}; create role reader_{owner} login; create role lead_{owner}; create role writer_{owner};
             grant create on schema public to {owner};
             alter table reg_rate_eurusd owner to {owner}; alter table reg_bqx_eurusd_2017_01 owner to {owner};
             grant select on reg_rate_eurusd, reg_bqx_eurusd_2017_01 to reader_{owner};
             grant select on reg_rate_eurusd to lead_{owner} with grant option;
             grant insert, delete on reg_rate_eurusd to writer_{owner};
             create table notes (ts timestamp references reg_bqx_eurusd_2017_01);
             create view best as select ts_utc from reg_rate_eurusd where r2_idx_w60 is not null;
             alter table reg_bqx_eurusd_2017_01 add remark text;
             create table reg_rate_eurusd_2017_01_metrics (only_a_name int); create schema \"{NEXT}\""
        ));
        owner
    }

    /// Tables of features, the rates under a parent, and their fits beside them. The name of one.
    fn deploy_beside_fits(&self) -> &'static str {
        self.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
        self.done();
        self.database.sql(&format!("create schema \"{NEXT}\""));
        self.use_fits();
        self.done();
        "reg_bqx_eurusd_2017_02"
    }

    /// Executes statements, which fail and change nothing.
    #[track_caller]
    fn fails_with_psql(&self, statements: &str, words: &str) {
        let mut client = self.database.connect();
        let before = self.dump();
        let error = client.batch_execute(statements).unwrap_err();
        assert!(format!("{error:?}").contains(words), "{error:?}");
        drop(client);
        assert_eq!(self.dump(), before);
    }

    fn names(&self, schema: &str) -> String {
        self.database.one(&format!(
            "select string_agg(relkind::text || ' ' || relname, ', ' order by relname) from pg_class
             where relkind in ('r', 'p', 'v') and relname ~ '^(fit_)?reg_' and relnamespace = '\"{schema}\"'::regnamespace"
        ))
    }

    /// What a role reads through a name.
    fn sum_as(&self, role: &str, table: &str, column: &str) -> f64 {
        let mut client = self.database.connect();
        client.batch_execute(&format!("set role {role}")).unwrap();
        client.query_one(&format!("select sum({column}) from {table}"), &[]).unwrap().get(0)
    }
}

#[test]
fn views_take_the_place_of_tables_and_the_reverse_restores_what_there_was() {
    let workload = Workload::on(crate::server::shared(), ONE);
    let owner = workload.deploy();
    let reader = format!("reader_{owner}");
    let before = workload.sum_as(&reader, "reg_rate_eurusd", "r2_idx_w60");
    let metrics = std::fs::read_to_string(workload.sandbox.path("rollfit.toml")).unwrap();
    workload.use_fits();
    workload.done();
    workload.run(&["compare", "--quiet"]).exits(0);
    let (old, receipts) = (workload.dump(), workload.database.texts("table rollfit_receipts"));
    let (switch, back) = (workload.switch(&[]), workload.switch(&["--back"]));
    for words in [
        "-- the views lack the columns remark of reg_bqx_eurusd_2017_01",
        &format!(
            "grants are not copied (writer_{owner}: DELETE, INSERT), because views are only read, of reg_rate_eurusd"
        ),
        "view public.best",
        "constraint notes_ts_fkey on table public.notes",
    ] {
        assert!(switch.contains(words), "{words}\n{switch}");
    }
    assert_eq!(workload.dump(), old, "nothing is executed");

    workload.psql(&["-X"], &switch);
    assert_eq!(
        workload.names("public"),
        "r fit_reg_bqx_eurusd_2017_01, p fit_reg_rate_eurusd, r fit_reg_rate_eurusd_2017_01, v reg_bqx_eurusd_2017_01, \
         r reg_bqx_eurusd_2017_01_metrics, v reg_rate_eurusd, r reg_rate_eurusd_2017_01_metrics, \
         r reg_rate_eurusd_2017_01_metrics_2, p reg_rate_eurusd_metrics"
    );
    let same = |read: f64| assert_eq!(read.to_bits(), before.to_bits());
    same(workload.sum_as(&reader, "reg_rate_eurusd", "r2_idx_w60"));
    same(workload.sum_as(&owner, "reg_rate_eurusd", "r2_idx_w60"));
    let access = "select concat_ws(' ', pg_get_userbyid(relowner), relacl) from pg_class where relname = 'reg_rate_eurusd'";
    let access = workload.database.one::<String>(access);
    assert!(access.starts_with(&format!("{owner} ")), "{access}");
    for readers in [format!("{reader}=r/{owner}"), format!("lead_{owner}=r*/{owner}")] {
        assert!(access.contains(&readers) && !access.contains("writer"), "{access}");
    }
    assert!(workload.database.one::<i64>("select count(*) from best") > 0, "it still reads the old table");
    workload.without_views_schema();
    assert_eq!(workload.done()["written"], 0);
    workload.run(&["verify", "--quiet"]).exits(0);
    workload.no_switch(2, &["set layout = \"fits\" and views_schema"]);
    assert_eq!(workload.database.texts("table rollfit_receipts"), receipts);
    workload.fails_with_psql(&switch, "does not exist");

    workload.sandbox.write("rollfit.toml", &metrics);
    let switched = workload.dump();
    workload.run(&["run", "--quiet"]).exits(1);
    assert_eq!(workload.dump(), switched, "a job of before writes nothing");

    workload.psql(&["-X"], &back);
    assert_eq!(workload.dump(), old);
    assert_eq!(workload.done()["written"], 0);
    same(workload.sum_as(&reader, "reg_rate_eurusd", "r2_idx_w60"));
    workload.fails_with_psql(&back, "is not a view");
}

#[test]
fn what_is_not_ready_is_refused_by_name() {
    let workload = Workload::small();
    let next = |schema: &str| format!("layout = \"fits\"\nviews_schema = \"{schema}\"\n\n[partitions]");
    workload.done();
    workload.no_switch(2, &["moves the views of views_schema", "set layout = \"fits\""]);
    workload.run(&["schema", "--switch"]).exits(2).says(&["rollfit switch NEXT"]);
    workload.run(&["plan", "--name", "next"]).exits(2).says(&["a name, of --name", "views_schema"]);
    workload.reconfigure(|text| text.replace("[partitions]", &next("public")));
    workload.run(&["switch", "public"]).exits(1).says(&["nothing to switch: the views are made in public"]);
    workload.no_switch(2, &["`bqx next` is not the views_schema of the configuration, \"public\""]);
    workload.reconfigure(|text| text.replace("\"public\"", &format!("\"{NEXT}\"")));
    workload.no_switch(2, &["CREATE SCHEMA"]);
    workload.run(&["switch", "bqx nxt"]).exits(2).says(&["did you mean `bqx next`?"]);
    workload.run(&["switch", NEXT, "--incomplete"]).exits(2).says(&["--incomplete is for directories"]);
    workload.database.sql(&format!("create schema \"{NEXT}\""));
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-01"]).exits(0);
    workload.no_switch(
        1,
        &["bqx next lacks 2 of 4 views", "reg_rate_eurusd_2017_02", "`rollfit run` makes them"],
    );
    workload.done();
    workload.change_sources();
    workload.no_switch(1, &["2 of 2 partitions not done: eurusd 2017-01 (input-changed)"]);
    workload.done();
    workload.database.sql("alter table reg_bqx_eurusd_2017_02 enable row level security");
    workload.no_switch(1, &["has row-level security and public.fit_reg_bqx_eurusd_2017_02 has none"]);
    workload.database.sql("alter table fit_reg_bqx_eurusd_2017_02 enable row level security");
    workload.switch(&[]);
    workload
        .database
        .sql("drop table reg_bqx_eurusd_2017_02; create view reg_bqx_eurusd_2017_02 as select 1");
    workload.no_switch(1, &["reg_bqx_eurusd_2017_02", "should be tables"]);
    workload.database.sql("drop view reg_bqx_eurusd_2017_02");
    let switch = workload.switch(&[]);
    workload.psql(&["-X"], &switch);
    workload.no_switch(1, &["nothing to switch: the views are in public already"]);
}

#[test]
fn rows_that_the_views_would_not_show_are_named() {
    let workload = Workload::small();
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    workload.done();
    workload.database.sql(&format!("create schema \"{NEXT}\""));
    workload.use_fits();
    workload.replace_in_configuration("to = \"2017-02\"", "to = \"2017-01\"");
    workload.done();
    workload.no_switch(
        1,
        &["readers would lose the rows of public.reg_rate_eurusd_2017_02", "widen [partitions]"],
    );
    workload.database.sql("alter table reg_rate_eurusd detach partition reg_rate_eurusd_2017_02");
    let switch = workload.switch(&[]);
    let left = "tables of other partitions keep their names and rows: reg_bqx_eurusd_2017_02, reg_rate_eurusd_2017_02";
    assert!(switch.contains(left), "{switch}");
    workload.psql(&["-X"], &switch);
}

#[test]
fn hostile_names_and_a_first_deployment_are_switched_too() {
    let workload = Workload::on(crate::server::shared(), ONE);
    workload.replace_in_configuration(
        "reg_rate_{key}_{yyyy}_{mm}",
        "R\\\"; drop table m1_eurusd; -- {key} {yyyy}{mm}",
    );
    workload.replace_in_configuration(
        "reg_bqx_{key}_{yyyy}_{mm}",
        &format!("é{}_{{yyyy}}{{mm}}", "b{key}".repeat(6)),
    );
    let role = format!("ro\nle; select 1/0 {}", workload.database.name());
    workload.done();
    workload.database.sql(&format!(
        "create schema \"{NEXT}\"; create role \"{role}\"; grant select on \"R\"\"; drop table m1_eurusd; -- eurusd 201701\" to \"{role}\";
         drop table \"é{}_201701\"",
        "beurusd".repeat(6)
    ));
    workload.use_fits();
    workload.done();
    let json = workload.run(&["switch", NEXT, "--json"]).exits(0).json();
    let is_step = |statement: &&serde_json::Value| {
        let text = statement.as_str().unwrap();
        !["SET", "LOCK", "DO"].iter().any(|word| text.starts_with(word))
    };
    let [steps, back] =
        ["statements", "back"].map(|name| json[name].as_array().unwrap().iter().filter(is_step).count());
    assert_eq!(steps, back, "each has its reverse");
    let (old, switch, back) = (workload.dump(), workload.switch(&[]), workload.switch(&["--back"]));
    workload.psql(&["-X"], &switch);
    workload.without_views_schema();
    assert_eq!(workload.done()["written"], 0);
    workload.psql(&["-X"], &back);
    assert_eq!(workload.dump(), old);
}

#[test]
fn what_policies_hide_stays_hidden() {
    let workload = Workload::on(crate::server::shared(), ONE);
    let (table, reader) = ("reg_bqx_eurusd_2017_01", format!("reader_{}", workload.database.name()));
    let early = "ts_utc < '2017-01-11'";
    workload.done();
    workload.database.sql(&format!(
        "create schema \"{NEXT}\"; create role {reader}; grant select on {table} to {reader}; alter table {table} enable row level \
         security; create policy early on {table} to {reader} using ({early})"
    ));
    let rows = |name: &str| {
        let mut client = workload.database.connect();
        client.batch_execute(&format!("set role {reader}")).unwrap();
        client.query_one(&format!("select count(*) from {name}"), &[]).unwrap().get::<_, i64>(0)
    };
    let before = rows(table);
    assert!(before > 0 && before < workload.database.one(&format!("select count(*) from {table}")));
    workload.use_fits();
    workload.done();
    workload.no_switch(1, &["has row-level security", "fit_reg_bqx_eurusd_2017_01 has none"]);
    workload.database.sql(&format!(
        "alter table fit_{table} enable row level security; create policy early on fit_{table} to {reader} using (true)"
    ));
    workload.no_switch(
        1,
        &["the policies for reading of", "only the first has TO", "only the second has TO", "(true)"],
    );
    let same = |command: &str, role: &str| {
        workload.database.sql(&format!(
            "drop policy early on fit_{table}; create policy early on fit_{table} for {command} to {role} using ({early})"
        ));
    };
    same("select", "public");
    workload.no_switch(1, &["TO PUBLIC USING"]);
    same("delete", &reader);
    workload.no_switch(1, &["only the first has TO"]);
    same("select", &reader);
    workload.database.sql(&format!("alter table fit_{table} force row level security"));
    workload.no_switch(1, &["hold for its owner", "NO FORCE ROW LEVEL SECURITY"]);
    workload.database.sql(&format!(
        "alter table fit_{table} no force row level security; alter view \"{NEXT}\".{table} set (security_invoker = false)"
    ));
    workload.no_switch(1, &["reads with the rights of its owner", "SET (security_invoker = true)"]);
    workload.database.sql(&format!("alter view \"{NEXT}\".{table} set (security_invoker = on)"));
    let switch = workload.switch(&[]);
    workload.database.sql(&format!("alter policy early on fit_{table} using (true)"));
    workload.fails_with_psql(&switch, "changed since this was printed");
    workload.database.sql(&format!("alter policy early on fit_{table} using ({early})"));
    let switch = workload.switch(&[]);
    workload.psql(&["-X"], &switch);
    assert_eq!(rows(table), before);
}

#[test]
fn tables_that_become_one_view_agree_in_who_reads_them() {
    let workload = Workload::small();
    workload.done();
    let (reader, owner) =
        (format!("reader_{}", workload.database.name()), format!("owner_{}", workload.database.name()));
    let [first, second] = ["reg_rate_eurusd_2017_01", "reg_rate_eurusd_2017_02"];
    workload.database.sql(&format!(
        "create schema \"{NEXT}\"; create role {reader}; create role {owner}; grant select on {second} to {reader}"
    ));
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    workload.use_fits();
    workload.done();
    workload.no_switch(
        1,
        &[
            "takes the place of 2 tables",
            first,
            second,
            &format!("differ in their readers (none and {reader})"),
        ],
    );
    workload
        .database
        .sql(&format!("grant select on {first} to {reader}; alter table {first} owner to {owner}"));
    workload.no_switch(1, &[&format!("differ in their owner ({owner} and postgres)")]);
    workload.database.sql(&format!(
        "alter table {first} owner to postgres; alter table {first} enable row level security"
    ));
    workload.no_switch(1, &["differ in their row-level security"]);
    workload.database.sql(&format!("alter table {first} disable row level security"));
    let switch = workload.switch(&[]);
    workload.psql(&["-X"], &switch);
    assert!(workload.sum_as(&reader, "reg_rate_eurusd", "r2_idx_w60").is_finite());
}

#[test]
fn a_row_that_the_fits_lack_is_not_lost() {
    let workload = Workload::small();
    let table = workload.deploy_beside_fits();
    workload.database.sql(&format!("insert into {table} (ts_utc) values ('2017-02-03 00:00:01')"));
    workload.no_switch(
        1,
        &["1 of 1345 of public.reg_bqx_eurusd_2017_02, from 2017-02-03 00:00:01 to 2017-02-03 00:00:01, are not in \
           public.fit_reg_bqx_eurusd_2017_02"],
    );
    // As many rows as the fits have, and another one.
    workload.database.sql(&format!("delete from {table} where ts_utc = '2017-02-20'"));
    workload.no_switch(1, &["1 of 1344 of"]);
    workload.database.sql(&format!("delete from {table} where extract(second from ts_utc) = 1"));
    let switch = workload.switch(&[]);
    assert!(switch.contains("-- readers find more rows than in reg_bqx_eurusd_2017_02 (1)"), "{switch}");
    workload.psql(&["-X"], &switch);
}

#[test]
fn what_changes_after_printing_fails_the_transaction() {
    let workload = Workload::small();
    let table = workload.deploy_beside_fits();
    let switch = workload.switch(&[]);
    let (role, view) = (format!("role_{}", workload.database.name()), format!("\"{NEXT}\".{table}"));
    workload.database.sql(&format!("create role {role}"));
    let row = "(ts_utc) values ('2017-02-03 00:00:01')";
    for (change, undo, words) in [
        (
            format!("insert into {table} {row}"),
            format!("delete from {table} where extract(second from ts_utc) = 1"),
            "has rows that",
        ),
        (
            "create table new partition of reg_rate_eurusd for values from ('2017-03-01') to ('2017-04-01')"
                .to_owned(),
            "drop table new".to_owned(),
            "changed since",
        ),
        (
            format!("alter table {table} owner to {role}"),
            format!("alter table {table} owner to postgres"),
            "changed since",
        ),
        (
            format!("alter table {table} alter ts_utc type timestamptz"),
            format!("alter table {table} alter ts_utc type timestamp"),
            "changed since",
        ),
        (
            format!("grant select (ts_utc) on {table} to {role}"),
            format!("revoke select (ts_utc) on {table} from {role}"),
            "changed since",
        ),
        (
            format!("alter view {view} rename to o; create view {view} as table \"{NEXT}\".o limit 1"),
            format!("drop view {view}; alter view \"{NEXT}\".o rename to {table}"),
            "changed since",
        ),
    ] {
        workload.database.sql(&change);
        let error = workload.database.connect().batch_execute(&switch).unwrap_err();
        assert!(format!("{error:?}").contains(words), "{change}: {error:?}");
        workload.database.sql(&undo);
    }
    // Rows that both get, or the fits alone, are no change.
    let another = "(ts_utc) values ('2017-02-03 00:00:02')";
    workload.database.sql(&format!(
        "insert into fit_{table} {row}; insert into {table} {row}; insert into fit_{table} {another}"
    ));
    workload.psql(&["-X"], &switch);
}

#[test]
fn only_functions_of_views_are_granted() {
    let workload = Workload::on(crate::server::shared(), ONE);
    workload.done();
    workload.database.sql(&format!(
        "create schema \"{NEXT}\"; grant select on reg_bqx_eurusd_2017_01 to public;
         create function rollfit_reset() returns int language sql as 'select 1';
         create function rollfit_r2(text) returns int language sql as 'select 1';
         create procedure rollfit_clear() language sql as 'select 1';
         revoke execute on all functions in schema public from public; revoke execute on all procedures in schema public from public"
    ));
    workload.use_fits();
    workload.done();
    assert!(!workload.switch(&[]).contains("GRANT EXECUTE"));
    workload.database.sql("revoke execute on all functions in schema public from public");
    let switch = workload.switch(&[]);
    let grant = switch.lines().find(|line| line.starts_with("GRANT EXECUTE")).unwrap();
    assert!(grant.contains("public.rollfit_r2(double precision,double precision)"), "{grant}");
    for other in ["rollfit_reset", "rollfit_clear", "rollfit_r2(text)"] {
        assert!(!switch.contains(other), "{other}: {grant}");
    }
    workload.psql(&["-X"], &switch);
}
