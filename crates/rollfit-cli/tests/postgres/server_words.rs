//! What the server says reaches the user as far as it helps: details are short and printed once, transient faults are
//! distinguished from permanent ones, and the holder of a partition is named as far as the role may see it.

use crate::workload::Workload;

/// Has each statement that writes rows of the rate tables refused in these words.
fn refuse(workload: &Workload<'_>, code: &str, detail: &str) {
    workload.database.sql(&format!(
        "create function refuse() returns trigger language plpgsql as $$
         begin raise exception 'refused' using errcode = '{code}', detail = {detail}, hint = 'a hint'; end $$"
    ));
    for month in ["01", "02"] {
        workload.database.sql(&format!(
            "create trigger refuse before insert on reg_rate_eurusd_2017_{month}
             for each statement execute function refuse()"
        ));
    }
}

#[test]
fn a_detail_is_cut_off_and_printed_once() {
    let workload = Workload::small();
    workload.done();
    refuse(&workload, "23514", "repeat('ä', 5000)");
    let answer = workload.run(&["run", "--force"]).exits(1).says(&["2 failed", "SQLSTATE 23514"]).to_string();
    assert_eq!(answer.matches(&format!("{}...", "ä".repeat(200))).count(), 1, "{answer}");
    assert_eq!(answer.matches('ä').count(), 200, "{answer}");
    assert_eq!(answer.matches("a hint").count(), 1, "{answer}");
    // Reports for programs have it for each partition.
    let summary = workload.run(&["run", "--force", "--json"]).exits(1).json();
    assert_eq!(summary["failed"].to_string().matches('ä').count(), 400);
}

#[test]
fn the_end_of_a_transaction_as_a_whole_is_transient() {
    let workload = Workload::small();
    workload.done();
    refuse(&workload, "25P04", "'once'");
    let patience = [("ROLLFIT_RUN__ATTEMPTS", "2")];
    let summary = workload.run_with(&patience, &["run", "--force", "--json"]).exits(1).json();
    assert_eq!(summary["retries"], 2, "{summary}");
}

#[test]
fn of_a_holder_the_role_is_named_and_what_the_server_hides_is_called_hidden() {
    let workload = Workload::small();
    workload.done();
    workload.change_sources();
    let role = workload.as_new_role("watcher");
    workload.database.sql(&format!("grant all on all tables in schema public to {role}"));
    let mut job = workload.database.connect();
    job.batch_execute("set application_name = 'the old job'; begin; delete from reg_bqx_eurusd_2017_01")
        .unwrap();
    let patience = [("ROLLFIT_RUN__LOCK_WAIT_S", "1")];
    let answer = workload.run_with(&patience, &["run"]).exits(1);
    answer.says(&[
        "still in use by the old job (role postgres, server process ",
        ", host hidden, since hidden)",
    ]);
}
