//! Rows of others that refer to features by foreign keys with an action: they are never deleted, nor lose their references.
//! What would have to be replaced is blocked, and says by what; what nobody refers to is written.

use crate::checker::Undisturbed;
use crate::sandbox::Answer;
use crate::workload::{ONE, Workload};

const RATE: &str = "reg_rate_eurusd_2017_01";
const INSTANT: &str = "2017-01-09 03:30";

/// A partition that is done, to one row of which a table `labels` refers.
fn referenced(action: &str) -> Workload<'static> {
    let workload = Workload::one();
    workload.done();
    workload.database.sql(&labels(action));
    workload
}

fn labels(action: &str) -> String {
    format!(
        "create table labels (id int, ts timestamp default 'epoch', constraint labels_key foreign key (ts) references {RATE} \
         (ts_utc) on delete {action});
         insert into labels values (1, null), (2, '{INSTANT}')"
    )
}

/// The rows that refer to a feature row.
fn references(workload: &Workload<'_>) -> i64 {
    workload.database.one(&format!("select count(*) from labels where ts = '{INSTANT}'"))
}

/// Runs a command that leaves the partition alone and says why.
#[track_caller]
fn is_blocked(workload: &Workload<'_>, arguments: &[&str]) -> Answer {
    let answer = workload.run(arguments).exits(4);
    let told = format!("{}{}", answer.stdout, answer.stderr);
    for word in ["blocked", "public.labels", "labels_key"] {
        assert!(told.contains(word), "{arguments:?} does not say {word}: {answer}");
    }
    assert_eq!(references(workload), 1, "{arguments:?}");
    answer
}

/// The state and the cause of the only partition, as `plan` has them.
fn planned(workload: &Workload<'_>) -> (String, String) {
    let plan = workload.run(&["plan", "--json"]).exits(0).json();
    let [state, cause] =
        ["state", "cause"].map(|field| plan["partitions"][0][field].as_str().unwrap().to_owned());
    (state, cause)
}

#[test]
fn no_command_deletes_or_changes_rows_that_refer_to_features() {
    let workload = Workload::one();
    workload.done();
    for action in ["cascade", "set null", "set default"] {
        workload.database.sql(&labels(action));
        is_blocked(&workload, &["run", "--force"]);
        is_blocked(&workload, &["drop", "eurusd:2017-01"]);
        workload.change_sources();
        is_blocked(&workload, &["run"]);
        let (state, cause) = planned(&workload);
        assert_eq!(state, "blocked");
        let action = action.to_uppercase();
        for words in ["input-changed", "labels_key", &format!("ON DELETE {action}"), "DROP CONSTRAINT"] {
            assert!(cause.contains(words), "{cause}");
        }
        workload.doctor_says(1).says(&["blocked", "public.labels", "labels_key"]);
        workload.run(&["run", "--replace", "blocked"]).exits(2).says(&["remove what blocks"]);
        workload.database.sql("delete from labels where id = 2");
        assert_eq!(workload.done()["written"], 1);
        workload.database.sql("drop table labels");
    }
}

#[test]
fn one_row_blocks_its_partition_and_the_others_are_written_and_what_is_done_stays_done() {
    let workload = Workload::small();
    workload.done();
    workload.database.sql(&labels("cascade"));
    assert_eq!(workload.done()["already_done"], 2);
    let notes = workload.doctor(0).0["notes"].to_string();
    assert!(notes.contains("eurusd 2017-01: cannot be replaced") && notes.contains("labels_key"), "{notes}");
    workload.change_sources();
    let summary = workload.run(&["run", "--json"]).exits(4).json();
    assert_eq!((&summary["written"], &summary["skipped"][0]["state"]), (&1.into(), &"blocked".into()));
    assert_eq!(references(&workload), 1);
    workload.run(&["drop", "--json", "eurusd:2017-01", "eurusd:2017-02"]).exits(4).says(&["labels_key"]);
    workload.database.sql("drop table labels");
    workload.done();
    workload.is(&Undisturbed::small().changed);
}

#[test]
fn states_that_are_replaced_on_request_say_beforehand_what_would_block_them() {
    let workload = referenced("cascade");
    workload.database.sql("delete from rollfit_receipts");
    let (state, cause) = planned(&workload);
    assert!(state == "foreign" && cause.contains("labels_key"), "{state}: {cause}");
    is_blocked(&workload, &["run", "--replace", "foreign"]);
    workload.database.sql("truncate labels");
    workload.run(&["run", "--replace", "foreign"]).exits(0);
    workload.replace_in_configuration("agg = 90", "agg = 89");
    workload.database.sql(&format!("insert into labels values (2, '{INSTANT}')"));
    let (state, cause) = planned(&workload);
    assert!(state == "definition-changed" && cause.contains("labels_key"), "{state}: {cause}");
    is_blocked(&workload, &["run", "--replace", "definition-changed"]);
}

#[test]
fn empty_tables_are_filled_whatever_may_refer_to_them() {
    let workload = Workload::one();
    workload.done();
    workload.run(&["drop", "eurusd:2017-01"]).exits(0);
    workload.database.sql(&labels("cascade").replace(", (2, '2017-01-09 03:30')", ""));
    assert_eq!(workload.done()["written"], 1);
}

/// A table in a schema of its own with quoted names and parts refers to the parent of the features table.
#[test]
fn references_to_a_parent_are_found_and_told_once() {
    let workload = Workload::on(crate::server::shared(), ONE);
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    workload.done();
    workload.database.sql(&format!(
        "create schema \"The others\";
         create table \"The others\".\"my labels\" (\"at\" timestamptz, \"the ts\" timestamp,
             constraint \"my key\" foreign key (\"the ts\") references reg_rate_eurusd on delete set null)
             partition by range (\"at\");
         create table \"The others\".early partition of \"The others\".\"my labels\" default;
         insert into \"The others\".\"my labels\" values (now(), '{INSTANT}')"
    ));
    let keys =
        format!("select count(*) from pg_constraint where contype = 'f' and confrelid = '{RATE}'::regclass");
    assert!(workload.database.one::<i64>(&keys) > 0, "the server keeps copies of the key for the leaf");
    workload.change_sources();
    let (state, cause) = planned(&workload);
    assert_eq!(
        (state.as_str(), cause.matches("my key (ON DELETE SET NULL)").count()),
        ("blocked", 1),
        "{cause}"
    );
    assert!(cause.contains("The others.my labels"), "{cause}");
    workload.run(&["run"]).exits(4).says(&["The others.my labels", "my key"]);
    let left = "select count(\"the ts\") from \"The others\".\"my labels\"";
    assert_eq!(workload.database.one::<i64>(left), 1);
    workload.database.sql("truncate \"The others\".\"my labels\"");
    workload.done();
}

#[test]
fn referring_rows_that_cannot_all_be_read_count_as_references() {
    let workload = referenced("cascade");
    workload.database.sql("delete from labels where id = 2");
    workload.change_sources();
    let role = workload.as_new_role("narrow");
    workload.database.sql(&format!(
        "grant usage on schema public to {role}; grant select on m1_eurusd, bqx_eurusd to {role};
         grant select, insert, update, delete on rollfit_receipts, {RATE}, reg_bqx_eurusd_2017_01 to {role};
         grant select on rollfit_definitions to {role}"
    ));
    let grant = format!("GRANT SELECT ON \"public\".\"labels\" TO \"{role}\"");
    workload.run(&["run"]).exits(4).says(&["public.labels may refer to its rows", "labels_key", &grant]);
    workload
        .database
        .sql("alter table labels enable row level security; create policy few on labels using (id = 1)");
    workload.database.sql(&grant);
    workload.run(&["run"]).exits(4).says(&["row-level security", "labels_key"]);
    workload.database.sql("alter table labels disable row level security");
    assert_eq!(workload.done()["written"], 1);
}

#[test]
fn tables_of_one_partition_may_refer_to_each_other() {
    let workload = Workload::one();
    workload.done();
    workload.database.sql(&format!(
        "alter table reg_bqx_eurusd_2017_01 alter ts_utc type timestamp using ts_utc,
             add foreign key (ts_utc) references {RATE} on delete cascade"
    ));
    workload.change_sources();
    assert_eq!(workload.done()["written"], 1);
    workload.run(&["verify", "--quiet"]).exits(0);
}

#[test]
fn a_key_that_the_server_checks_at_once_fails_its_partition_for_good() {
    let workload = referenced("restrict");
    workload.change_sources();
    let summary = workload.run(&["run", "--json"]).exits(1).json();
    let cause = summary["failed"][0]["cause"].as_str().unwrap();
    assert!(cause.contains("labels_key") && cause.contains("23503"), "{cause}");
    assert_eq!(summary["retries"], 0);
    assert_eq!(references(&workload), 1);
}

/// The way out that the message about a blocked partition names.
#[test]
fn a_deferred_key_lets_rows_of_the_same_instants_be_replaced_and_none_be_taken_away() {
    let workload = referenced("no action deferrable initially deferred");
    workload.change_sources();
    assert_eq!(workload.done()["written"], 1);
    workload.database.sql(&format!("delete from m1_eurusd where time = '{INSTANT}'"));
    let summary = workload.run(&["run", "--json"]).exits(1).json();
    let cause = summary["failed"][0]["cause"].as_str().unwrap();
    assert!(cause.contains("labels_key") && cause.contains("23503"), "{cause}");
    assert_eq!(summary["retries"], 0);
    workload.run(&["drop", "eurusd:2017-01"]).exits(1).says(&["labels_key"]);
    assert_eq!(references(&workload), 1);
}

/// Nobody refers to the partition yet, and it has to be replaced.
fn about_to_be_referenced(key: &str) -> Workload<'static> {
    let workload = referenced(key);
    workload.database.sql("delete from labels where id = 2");
    workload.change_sources();
    workload
}

#[test]
fn a_row_that_refers_to_a_partition_and_is_not_committed_yet_is_waited_for() {
    let workload = about_to_be_referenced("cascade");
    let mut other = workload.database.connect();
    other
        .batch_execute(&format!(
            "set application_name = 'labeller'; begin; insert into labels values (2, '{INSTANT}')"
        ))
        .unwrap();
    let mut running = workload.start(&[], &[]);
    let held = running.wait_for_stage("held");
    assert!(held["message"].as_str().unwrap().contains("labeller"), "{held}");
    other.batch_execute("commit").unwrap();
    let summary = running.finish().exits(4).json();
    assert_eq!(summary["skipped"][0]["state"], "blocked");
    assert_eq!(references(&workload), 1);
}

#[test]
fn a_row_that_comes_to_refer_to_a_partition_in_the_midst_of_its_replacement_waits_and_stays() {
    for (key, moment) in
        [("cascade", "references-read"), ("cascade deferrable initially deferred", "deleted")]
    {
        let workload = about_to_be_referenced(key);
        let stopped = workload.stopped_at(moment, &[], &[]);
        let mut other = workload.database.connect();
        let insert = format!("insert into labels values (2, '{INSTANT}')");
        let inserting = std::thread::spawn(move || other.batch_execute(&insert));
        let is_waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        while workload.database.one::<i64>(is_waiting) == 0 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(stopped.go_on().finish().exits(0).json()["written"], 1, "{key}");
        inserting.join().unwrap().unwrap();
        assert_eq!(references(&workload), 1, "{key}");
    }
}

/// What comes by replication is not checked, and takes no lock.
#[test]
fn a_row_that_took_no_lock_is_not_cascaded_away_either() {
    let workload = about_to_be_referenced("cascade");
    let stopped = workload.stopped_at("references-read", &[], &[]);
    workload
        .database
        .sql(&format!("set session_replication_role = replica; insert into labels values (2, '{INSTANT}')"));
    let summary = stopped.go_on().finish().exits(4).json();
    assert_eq!(summary["skipped"][0]["state"], "blocked");
    assert_eq!(references(&workload), 1);
}

#[test]
fn rows_that_refer_to_a_receipt_are_not_deleted_with_it() {
    let workload = Workload::one();
    workload.done();
    workload.database.sql(
        "create table labels (output text constraint labels_key references rollfit_receipts on delete cascade);
         insert into labels select output from rollfit_receipts",
    );
    workload.run(&["drop", "eurusd:2017-01"]).exits(1).says(&["public.labels", "labels_key"]);
    assert_eq!(workload.database.one::<i64>("select count(*) from labels"), 1);
    assert_eq!(workload.done()["already_done"], 1);
    workload.database.sql("truncate labels");
    workload.run(&["drop", "eurusd:2017-01"]).exits(0);
}
