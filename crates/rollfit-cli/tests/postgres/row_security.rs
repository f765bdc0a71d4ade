//! Row-level security: rows that a policy may hide from the role are never overlooked. A source, a target and the table of
//! receipts are refused then, unless the configuration accepts it, which the receipts remember.

use serde_json::Value;

use crate::bars::{bars, csv};
use crate::checker::Contents;
use crate::workload::Workload;

/// Half of the month.
const FIRST_HALF: &str = "create policy first_half on m1_eurusd for select using (time < '2017-01-16')";
const ACCEPTED: (&str, &str) = ("ROLLFIT_STORE__ROW_SECURITY", "apply");

/// A workload of a role that may read its sources and make tables.
fn of_a_plain_role() -> (Workload<'static>, String) {
    let workload = Workload::one();
    let role = workload.as_new_role("tenant");
    workload.database.sql(&format!(
        "grant select on m1_eurusd, bqx_eurusd to {role}; grant create, usage on schema public to {role}"
    ));
    (workload, role)
}

/// Has policies apply on a table, to its owner as well.
fn enable(workload: &Workload<'_>, table: &str) {
    workload.database.sql(&format!(
        "alter table {table} enable row level security; alter table {table} force row level security"
    ));
}

/// Checks that nothing reads the store, for the reason that `words` say.
#[track_caller]
fn is_refused(workload: &Workload<'_>, words: &[&str]) {
    let before = Contents::from_database(&workload.database);
    for command in ["run", "plan", "doctor"] {
        workload.run(&[command]).exits(1).says(words).says(&["row-level security", "BYPASSRLS"]);
    }
    assert_eq!(Contents::from_database(&workload.database), before);
}

#[test]
fn rows_that_a_policy_hides_from_a_source_are_missed_unless_that_is_accepted() {
    let (workload, role) = of_a_plain_role();
    enable(&workload, "m1_eurusd");
    is_refused(&workload, &["public.m1_eurusd", "no policy", "row_security = \"apply\" in [source]"]);
    workload.database.sql(FIRST_HALF);
    is_refused(&workload, &["public.m1_eurusd", "\"first_half\"", &role]);
    let summary = workload.run_with(&[ACCEPTED], &["run", "--json"]).exits(0).json();
    assert_eq!(summary["rows"], 15 * 48, "{summary}");
    workload.run_with(&[ACCEPTED], &["verify", "--quiet"]).exits(0);
    let found = workload.run_with(&[ACCEPTED], &["doctor", "--json"]).exits(0).json();
    let told = &found["stores"][0]["postgres"]["row_security"];
    assert_eq!(
        (&told["setting"], &told["tables"][0]["table"]),
        (&"apply".into(), &"public.m1_eurusd".into())
    );
    workload.run_with(&[ACCEPTED], &["doctor"]).exits(0).says(&["public.m1_eurusd (first_half)"]);
    // Who bypasses policies reads all rows, and what was computed of fewer is another definition.
    workload.database.sql(&format!("alter role {role} bypassrls"));
    let plan = workload.run(&["plan", "--json"]).exits(0).json();
    assert_eq!(plan["partitions"][0]["state"], "definition-changed");
    workload.run(&["run"]).exits(4).says(&["row-level security applied to source and sink"]);
    let summary = workload.run(&["run", "--json", "--replace", "definition-changed"]).exits(0).json();
    assert_eq!(summary["rows"], 31 * 48, "{summary}");
}

#[test]
fn what_the_server_alone_knows_to_be_hidden_is_refused_in_the_same_words() {
    let (workload, role) = of_a_plain_role();
    workload.database.sql(&format!(
        "alter table m1_eurusd rename to bars; grant select on bars to {role};
         alter table bars enable row level security; create policy p on bars using (time < '2017-01-16');
         create view m1_eurusd with (security_invoker = true) as select * from bars;
         grant select on m1_eurusd to {role}"
    ));
    is_refused(&workload, &["row_security = \"apply\""]);
    workload.run_with(&[ACCEPTED], &["run"]).exits(0);
}

#[test]
fn source_and_sink_accept_policies_apart() {
    let (workload, _) = of_a_plain_role();
    enable(&workload, "m1_eurusd");
    workload.database.sql(FIRST_HALF);
    workload.reconfigure(|text| {
        let url = text.lines().find(|line| line.starts_with("url = ")).unwrap().to_owned();
        let apart = format!("[source]\n{url}\nrow_security = \"apply\"\n\n[sink]\n{url}");
        text.replace(&format!("[store]\n{url}"), &apart)
    });
    workload.run(&["run"]).exits(0);
    enable(&workload, "rollfit_receipts");
    workload.run(&["plan"]).exits(1).says(&["public.rollfit_receipts", "in [sink] or [store]"]);
}

#[test]
fn a_table_of_which_policies_may_hide_rows_is_never_written() {
    let (workload, _) = of_a_plain_role();
    workload.done();
    workload.change_sources();
    let table = "reg_rate_eurusd_2017_01";
    enable(&workload, table);
    workload.database.sql(&format!("create policy early on {table} using (ts_utc < '2017-01-16')"));
    is_refused(&workload, &[table, "\"early\"", "in [sink] or [store]"]);
    let before = Contents::from_database(&workload.database);
    for command in [&["run", "--replace", "definition-changed"][..], &["drop", "eurusd:2017-01"]] {
        workload.run_with(&[ACCEPTED], command).exits(1).says(&["would stay beside", "USING (true)"]);
    }
    workload.run_with(&[ACCEPTED], &["doctor"]).exits(1).says(&["would stay beside"]);
    assert_eq!(Contents::from_database(&workload.database), before);
    // A policy that hides nothing does no harm.
    workload
        .database
        .sql(&format!("drop policy early on {table}; create policy every on {table} using (true)"));
    workload.run_with(&[ACCEPTED], &["run", "--replace", "definition-changed"]).exits(0).says(&["1 written"]);
    workload.run_with(&[ACCEPTED], &["verify", "--quiet"]).exits(0);
    let rows: i64 = workload.database.one(&format!("select count(*) from {table}"));
    assert_eq!(rows, 31 * 48);
    workload.run_with(&[ACCEPTED], &["drop", "eurusd:2017-01"]).exits(0);
    assert_eq!(workload.database.one::<i64>(&format!("select count(*) from {table}")), 0);
}

#[test]
fn a_table_whose_rows_are_all_hidden_is_not_planned_as_missing() {
    let (workload, _) = of_a_plain_role();
    workload.run_with(&[ACCEPTED], &["run"]).exits(0);
    for table in ["reg_rate_eurusd_2017_01", "reg_bqx_eurusd_2017_01"] {
        enable(&workload, table);
    }
    for command in ["plan", "run"] {
        let words = ["hides every row", "would stay beside"];
        let answer = workload.run_with(&[ACCEPTED], &[command]).exits(1).says(&words);
        assert!(!answer.stdout.contains("no features yet"), "{answer}");
    }
}

#[test]
fn receipts_that_a_policy_hides_or_keeps_are_not_overlooked() {
    let (workload, _) = of_a_plain_role();
    workload.run_with(&[ACCEPTED], &["run"]).exits(0);
    enable(&workload, "rollfit_definitions");
    is_refused(&workload, &["public.rollfit_definitions"]);
    workload
        .run_with(&[ACCEPTED], &["plan"])
        .exits(0)
        .says(&["foreign", "is not in public.rollfit_definitions"]);
    let replaced = workload.run_with(&[ACCEPTED], &["run", "--replace", "foreign"]);
    replaced.exits(1).says(&["cannot write the definition into public.rollfit_definitions"]);
    workload.database.sql("alter table rollfit_definitions disable row level security");
    enable(&workload, "rollfit_receipts");
    is_refused(&workload, &["public.rollfit_receipts"]);
    // Readable and not to be deleted.
    workload.database.sql("create policy readable on rollfit_receipts for select using (true)");
    let dropped = workload.run_with(&[ACCEPTED], &["drop", "eurusd:2017-01"]);
    dropped.exits(1).says(&["keeps the receipt"]);
    assert_eq!(workload.database.one::<i64>("select count(*) from reg_rate_eurusd_2017_01"), 31 * 48);
    workload.database.sql(
        "drop policy readable on rollfit_receipts; create policy every on rollfit_receipts using (true)",
    );
    workload.run_with(&[ACCEPTED], &["run", "--force"]).exits(0).says(&["1 written"]);
}

#[test]
fn an_import_does_not_compute_from_some_of_the_bars() {
    let (workload, role) = of_a_plain_role();
    workload.database.sql("drop table m1_eurusd; drop table bqx_eurusd");
    let file = workload.sandbox.path("eurusd.csv");
    workload.sandbox.write("eurusd.csv", csv(&bars("eurusd", "2017-01")));
    let url = workload.database.url().replace("//postgres@", &format!("//{role}@"));
    let import = || {
        let file = file.to_str().unwrap();
        workload.run(&["import", "--format", "csv", "--key", "eurusd", "--into", &url, file])
    };
    import().exits(0);
    enable(&workload, "m1_eurusd");
    let refused = import().exits(1).says(&["public.m1_eurusd", "no policy", "BYPASSRLS"]);
    assert!(!refused.to_string().contains("row_security ="), "an import has no such setting: {refused}");
    workload.database.sql("alter table m1_eurusd disable row level security");
    import().exits(0);
}

#[test]
fn receipts_from_before_the_setting_was_known_are_valid() {
    let workload = Workload::one();
    workload.done();
    let receipt: Value =
        serde_json::from_str(&workload.database.one::<String>("select receipt::text from rollfit_receipts"))
            .unwrap();
    assert!(receipt["definition"].get("row_security").is_none(), "{receipt}");
    workload.run(&["run"]).exits(0).says(&["1 already done"]);
    workload.run_with(&[ACCEPTED], &["run"]).exits(4).says(&["applies to source and sink now"]);
}
