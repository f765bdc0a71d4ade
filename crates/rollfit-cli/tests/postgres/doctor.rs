//! `rollfit doctor`: what stands in the way of a run is named, with the statement that sets it right; what it says of
//! servers and tables is true; and it writes nothing.

use crate::certificates::Presented;
use crate::checker::Contents;
use crate::sandbox::Sandbox;
use crate::server::Server;
use crate::workload::{SMALL, WIDE, Workload};

/// The next transaction number. Whoever writes takes one.
const TRANSACTIONS: &str = "select pg_snapshot_xmax(pg_current_snapshot())::text";

#[test]
fn a_role_without_rights_is_told_the_exact_grants_and_with_them_a_run_succeeds() {
    let workload = Workload::small();
    workload.database.sql("revoke all on schema public from public");
    workload.replace_in_configuration("[partitions]", "schema = \"public\"\n\n[partitions]");
    let role = workload.as_new_role("runner");
    let found = workload.doctor(1);
    let wanted = [
        format!("GRANT USAGE ON SCHEMA \"public\" TO \"{role}\""),
        format!("GRANT SELECT ON \"public\".\"m1_eurusd\", \"public\".\"bqx_eurusd\" TO \"{role}\""),
        format!("GRANT CREATE ON SCHEMA \"public\" TO \"{role}\""),
    ];
    assert_eq!(found.statements(), wanted);
    workload.doctor_says(1).says(&["3 problems", &format!("    {};", wanted[1])]);
    workload.database.sql(&found.statements().join(";"));
    assert!(workload.doctor(0).problems().is_empty());
    workload.done();
    workload.is_as_undisturbed();
}

#[test]
fn a_role_that_owns_no_table_is_told_what_to_be_granted_on_tables_and_receipts() {
    let workload = Workload::small();
    workload.done();
    let role = workload.as_new_role("other");
    let found = workload.doctor(1);
    let tables = workload
        .tables()
        .iter()
        .map(|table| format!("\"public\".\"{table}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let wanted = [
        format!("GRANT SELECT ON \"public\".\"m1_eurusd\", \"public\".\"bqx_eurusd\" TO \"{role}\""),
        format!("GRANT SELECT, INSERT ON \"public\".\"rollfit_definitions\" TO \"{role}\""),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON \"public\".\"rollfit_receipts\" TO \"{role}\""),
        format!("GRANT SELECT, INSERT, DELETE ON {tables} TO \"{role}\""),
    ];
    assert_eq!(found.statements(), wanted);
    workload.database.sql(&found.statements().join(";"));
    workload.doctor(0);
    workload.doctor_says(0).says(&["4 features tables have another owner", "A run can start."]);
    workload.run(&["run", "--force"]).exits(0);
    workload.is_as_undisturbed();
}

#[test]
fn new_tables_of_another_owner_take_membership_and_the_parents_owner() {
    let workload = Workload::small();
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    let owner = format!("owner_{}", workload.database.name());
    workload.database.sql(&format!("create role {owner}; grant create on schema public to {owner}"));
    workload.run(&["run", "--quiet", "--only", "eurusd:2017-01"]).exits(0);
    for table in ["rollfit_receipts", "reg_rate_eurusd", "reg_rate_eurusd_2017_01", "reg_bqx_eurusd_2017_01"]
    {
        workload.database.sql(&format!("alter table {table} owner to {owner}"));
    }
    let role = workload.as_new_role("runner");
    let found = workload.doctor(1);
    assert!(
        found.statements().contains(&format!("GRANT \"{owner}\" TO \"{role}\"")),
        "{:?}",
        found.problems()
    );
    workload.database.sql(&found.statements().join(";"));
    workload.doctor(0);
    workload.run(&["run", "--quiet"]).exits(0);
    let owners = "select string_agg(distinct tableowner, ' ') from pg_tables where tablename like 'reg%'";
    assert_eq!(workload.database.one::<String>(owners), owner);
}

#[test]
fn doctor_and_schema_write_nothing() {
    let server = Server::with(&[("autovacuum", "off")]);
    let workload = Workload::on(&server, SMALL);
    let before_the_run = workload.database.one::<String>(TRANSACTIONS);
    workload.doctor(0);
    workload.run(&["schema", "--months-ahead", "2"]).exits(0);
    assert_eq!(workload.database.one::<String>(TRANSACTIONS), before_the_run);
    workload.done();
    let (transactions, contents) =
        (workload.database.one::<String>(TRANSACTIONS), Contents::from_database(&workload.database));
    workload.doctor(0);
    workload.run(&["schema", "--months-ahead", "2"]).exits(0);
    assert_eq!(workload.database.one::<String>(TRANSACTIONS), transactions);
    assert_eq!(Contents::from_database(&workload.database).differences(&contents), Vec::<String>::new());
}

#[test]
fn tables_are_told_with_their_rows_and_who_wrote_them() {
    let workload = Workload::small();
    let held = |rows: [(&str, u64); 2]| rows.map(|(holds, rows)| (holds.to_owned(), rows));
    assert_eq!(workload.doctor(0).held(), held([("nothing", 0), ("nothing", 0)]));
    workload.done();
    let found = workload.doctor(0);
    assert_eq!(found.held(), held([("ours", 1488), ("ours", 1344)]));
    let source = &found.database()["sources"][1];
    assert_eq!([&source["table"], &source["time"]], ["public.bqx_eurusd", "ts_utc timestamp with time zone"]);
    assert_eq!(
        source["periods"].to_string(),
        r#"[{"month":"2017-01","rows":1488},{"month":"2017-02","rows":1344}]"#
    );
    workload.database.sql("delete from rollfit_receipts where month = '2017-02-01'");
    workload.replace_in_configuration("agg = 90", "agg = 91");
    assert_eq!(workload.doctor(0).held(), held([("other-definition", 1488), ("foreign", 1344)]));
    workload.doctor_says(0).says(&["rollfit adopt", "--replace definition-changed"]);
}

#[test]
fn the_speed_of_the_last_run_is_that_of_a_run_whatever_was_adopted_since() {
    let workload = Workload::wide();
    workload.done();
    workload.database.sql(
        "update rollfit_receipts r set written_by = 'rollfit 7@then',
             written_at = date '2020-01-01' + n * interval '30 s', receipt = jsonb_set(receipt, '{definition}',
                 (select jsonb_set(definition, '{version}', '2') from rollfit_definitions))
         from (select output, row_number() over (order by output) n from rollfit_receipts) o where o.output = r.output",
    );
    let speed = || workload.doctor(0).database()["targets"]["last_run"].clone();
    let of_run = speed();
    assert_eq!((&of_run["partitions"], &of_run["seconds"]), (&6.into(), &150.0.into()));
    workload.run(&["adopt"]).exits(0).says(&["6 moved to definition 3"]);
    assert_eq!(speed(), of_run);
    // What only `adopt` has a receipt of names no run.
    let adopted = "update rollfit_receipts set receipt = jsonb_set(receipt, '{stored,adopted}', 'true')";
    workload.database.sql(&format!(
        "{adopted}, written_by = 'rollfit 8@later', written_at = now() where key = 'usdjpy' and month = '2017-03-01'"
    ));
    assert_eq!(speed()["partitions"], 5);
    // Nothing is told of a run some of whose rows may be those of others.
    workload.database.sql(&format!("{adopted} where month = '2017-02-01'"));
    assert!(speed().is_null());
}

#[test]
fn what_is_wrong_with_tables_is_named_with_what_to_do() {
    let workload = Workload::wide();
    workload.done();
    workload.database.sql(
        "drop table m1_usdjpy;
         alter table bqx_usdjpy alter w15_bqx_return type text;
         delete from m1_eurusd where time >= '2017-03-01';
         insert into bqx_eurusd values ('infinity', 1);
         alter table reg_rate_eurusd_2017_01 drop column r2_idx_w15;
         alter table reg_bqx_eurusd_2017_02 alter a2_bqx_agg type text;
         update reg_bqx_eurusd_2017_03 set ts_utc = '2018-01-01' where ts_utc = '2017-03-01'",
    );
    let found = workload.doctor(1);
    let problems = found.problems().join("\n");
    for told in [
        "table public.m1_usdjpy does not exist or the role cannot see it",
        "public.bqx_usdjpy: column w15_bqx_return is text, expected a number",
        "eurusd: public.m1_eurusd has no rows in 2017-03; import them",
        "public.bqx_eurusd: \"ts_utc\" is infinite in 1 rows",
        "ALTER TABLE \"public\".\"reg_rate_eurusd_2017_01\" ADD COLUMN \"r2_idx_w15\" double precision",
        "ALTER TABLE \"public\".\"reg_bqx_eurusd_2017_02\" ALTER COLUMN \"a2_bqx_agg\" TYPE double precision",
        "public.reg_bqx_eurusd_2017_03 holds rows outside 2017-03, such as 2018-01-01T00:00:00Z",
    ] {
        assert!(problems.contains(told), "not told: {told}\n{problems}");
    }
    assert_eq!(found.problems().len(), 7, "{problems}");
}

#[test]
fn a_store_that_cannot_be_looked_into_is_another_exit_code_than_one_that_can() {
    let workload = Workload::small();
    workload.replace_in_configuration("[partitions]", "schema = \"elsewhere\"\n\n[partitions]");
    workload.doctor_says(2).says(&["schema elsewhere does not exist", "CREATE SCHEMA"]);
    workload.configure("");
    workload.replace_in_configuration(workload.database.name(), "no_such_database");
    workload.doctor_says(3).says(&["no_such_database"]);
    workload.configure("");
    workload.run(&["doctor", "--only", "gbpusd"]).exits(2).says(&["this job has no key gbpusd"]);
}

#[test]
fn the_way_to_the_server_is_told_and_what_was_said_in_vain() {
    let server = Server::with_tls(Presented::Good);
    let workload = Workload::on(&server, SMALL);
    let url = server.tcp_url("localhost", workload.database.name());
    let secure =
        format!("{url}?sslmode=verify-full&sslrootcert={}&krbsrvname=x", server.authority().display());
    workload.replace_in_configuration(&workload.database.url(), &secure);
    let found = workload.doctor(0);
    let connection = &found.database()["connection"];
    assert_eq!(connection["tls"]["version"], "TLSv1.3");
    assert_eq!(connection["role"], "postgres");
    assert_eq!(connection["is_superuser"], true);
    assert!(connection["round_trip_ms"].as_f64().unwrap() > 0.0);
    assert!(connection["upload_bytes_per_second"].as_f64().unwrap() > 0.0);
    let warning = found.database()["warnings"][0].as_str().unwrap();
    assert!(warning.contains("krbsrvname") && warning.contains("is ignored"), "{warning}");
    let stderr = workload.run(&["plan"]).exits(0).stderr;
    assert_eq!(stderr.matches("krbsrvname").count(), 1, "{stderr}");
}

#[test]
fn a_standby_will_do_as_a_source_and_files_have_a_section_of_their_own() {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    let standby = server.standby();
    standby.catches_up_with(&server);
    let files: Sandbox = Sandbox::new();
    let (source, sink) = (standby.url(workload.database.name()), files.dir().display());
    let store = format!("[store]\nurl = \"{}\"\n", workload.database.url());
    workload.replace_in_configuration(
        &store,
        &format!("[source]\nurl = \"{source}\"\n[sink]\nurl = \"parquet:{sink}\"\n"),
    );
    let found = workload.doctor(0);
    assert_eq!(found.database()["connection"]["is_standby"], true);
    assert!(found.database()["targets"].is_null());
    let directory = &found.0["stores"][1]["parquet"];
    assert!(directory["free_bytes"].as_u64().unwrap() > 0);
    assert_eq!(found.0["work"]["rows"], 1488 + 1344);
    workload.doctor_says(0).says(&[", a standby", "sink: ", "A run can start."]);
    workload.replace_in_configuration(&format!("parquet:{sink}"), &source);
    workload.doctor_says(3).says(&["standby"]);
    workload.run(&["check"]).exits(2).says(&["PROBLEM coverage: no features in eurusd 2017-01"]);
}

#[test]
fn sessions_of_others_count_against_the_budget_though_their_kind_is_hidden() {
    let server = Server::with(&[("max_connections", "12")]);
    let workload = Workload::on(&server, SMALL);
    workload.as_new_role("runner");
    let _others: Vec<_> = (0..5).map(|_| workload.database.connect()).collect();
    let found = workload.doctor(1);
    let sessions = &found.database()["sessions"];
    assert_eq!(sessions["server_max"], 9);
    assert_eq!(sessions["others"], 5);
    assert_eq!(sessions["sessions"], 2);
    workload.doctor_says(1).says(&["2, the lowest of ", "2 spare (9 connections - 5 others - 2 headroom)"]);
}

#[test]
fn the_time_is_told_from_the_way_to_the_server_and_from_the_last_run() {
    let workload = Workload::on(crate::server::shared(), WIDE);
    let fresh = &workload.doctor(0).0["work"];
    assert_eq!(fresh["missing"], 6);
    assert!(fresh["seconds_min"].as_f64().unwrap() > 0.0 && fresh["seconds_as_last_run"].is_null());
    workload.done();
    workload.run(&["drop", "usdjpy:2017-03"]).exits(0);
    let work = &workload.doctor(0).0["work"];
    assert_eq!(work["missing"], 1);
    assert_eq!(work["rows"], 1488);
    assert!(work["write_bytes"].as_u64().unwrap() > 1488 * 180 * 8);
    assert!(
        work["seconds_min"].as_f64().unwrap() > 0.0 && work["seconds_as_last_run"].as_f64().unwrap() > 0.0
    );
}
