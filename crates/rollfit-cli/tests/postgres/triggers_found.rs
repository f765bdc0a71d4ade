//! Triggers and rules on the tables that are written: rows that they keep are never doubled and never reported as dropped, and
//! what they change is not passed off as features. Those that do no harm are in nobody's way.

use crate::checker::{Contents, Undisturbed};
use crate::workload::Workload;

const RATE: &str = "reg_rate_eurusd_2017_01";
const BQX: &str = "reg_bqx_eurusd_2017_01";

fn done() -> Workload<'static> {
    let workload = Workload::one();
    workload.done();
    workload
}

/// Runs commands that fail, say so with these words, and change nothing.
#[track_caller]
fn fail_and_change_nothing(workload: &Workload<'_>, commands: &[&[&str]], words: &[&str]) {
    let before = Contents::from_database(&workload.database);
    for arguments in commands {
        workload.run(arguments).exits(1).says(words);
        assert_eq!(Contents::from_database(&workload.database).differences(&before), Vec::<String>::new());
    }
}

const REPLACE_AND_DROP: [&[&str]; 2] = [&["run", "--force"], &["drop", "eurusd:2017-01"]];

#[test]
fn rows_that_a_rule_keeps_are_not_doubled_and_not_reported_as_dropped() {
    for table in [RATE, BQX] {
        let workload = done();
        workload.database.sql(&format!(
            "alter table {table} drop constraint {table}_pkey;
             create rule keep as on delete to {table} do instead nothing"
        ));
        fail_and_change_nothing(&workload, &REPLACE_AND_DROP, &[table, "still has rows", "rule keep"]);
        let notes = workload.doctor(0).0["notes"].to_string();
        assert!(notes.contains(&format!("rule keep on public.{table}")), "{notes}");
        workload.database.sql(&format!("drop rule keep on {table}"));
        REPLACE_AND_DROP.iter().for_each(|arguments| drop(workload.run(arguments).exits(0)));
    }
}

#[test]
fn rows_that_a_trigger_keeps_or_puts_back_are_not_reported_as_dropped() {
    const TRIGGERS: [&str; 3] = [
        "create trigger keep before delete on TABLE for each row when (old.ts_utc < '2017-01-02') execute function nothing()",
        "create trigger keep after delete on TABLE for each statement execute function put_back()",
        "create constraint trigger keep after delete on TABLE deferrable initially deferred for each row
             when (old.ts_utc < '2017-01-01 00:30') execute function put_back()",
    ];
    let workload = done();
    workload.database.sql(&format!(
        "create function nothing() returns trigger language plpgsql as 'begin return null; end';
         create function put_back() returns trigger language plpgsql as
             'begin insert into {RATE} (ts_utc) values (''2017-01-31 23:59''); return null; end'"
    ));
    for trigger in TRIGGERS {
        workload.database.sql(&trigger.replace("TABLE", RATE));
        fail_and_change_nothing(
            &workload,
            &[&["drop", "eurusd:2017-01"]],
            &[RATE, "still has rows", "trigger keep"],
        );
        workload.run(&["run", "--force"]).exits(1).says(&["trigger keep"]);
        workload.database.sql(&format!("drop trigger keep on {RATE}"));
    }
    workload.run(&["drop", "eurusd:2017-01"]).exits(0);
}

#[test]
fn what_triggers_change_or_add_is_not_committed_under_a_receipt() {
    const TRIGGERS: [&str; 4] = [
        "create trigger meddle before insert on TABLE for each row execute function meddle()",
        "create trigger meddle after insert on TABLE for each statement execute function update_all()",
        "create trigger meddle after insert on TABLE for each statement execute function add_one()",
        "create constraint trigger meddle after insert on TABLE deferrable initially deferred for each row
             when (new.ts_utc = '2017-01-09 03:30') execute function update_all()",
    ];
    let workload = done();
    workload.database.sql(&format!(
        "create function meddle() returns trigger language plpgsql as 'begin new.r2_bqx_agg = 0.5; return new; end';
         create function update_all() returns trigger language plpgsql as
             'begin update {BQX} set r2_bqx_agg = 0.5 where ts_utc = ''2017-01-09 03:30''; return null; end';
         create function add_one() returns trigger language plpgsql as
             'begin if pg_trigger_depth() = 1 then insert into {BQX} (ts_utc) values (''2017-01-31 23:59''); end if;
              return null; end'"
    ));
    workload.change_sources();
    for trigger in TRIGGERS {
        workload.database.sql(&trigger.replace("TABLE", BQX));
        fail_and_change_nothing(&workload, &[&["run"]], &["do not hold what was written", "trigger meddle"]);
        workload.database.sql(&format!("drop trigger meddle on {BQX}"));
    }
    assert_eq!(workload.done()["written"], 1);
}

#[test]
fn a_trigger_that_the_parent_gives_its_parts_is_found_too() {
    let workload = Workload::one();
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    workload.done();
    workload.database.sql(
        "create function meddle() returns trigger language plpgsql as 'begin new.r2_idx_agg = 0.5; return new; end';
         create trigger meddle before insert on reg_rate_eurusd for each row execute function meddle()",
    );
    workload.change_sources();
    fail_and_change_nothing(&workload, &[&["run"]], &["do not hold what was written", "trigger meddle"]);
}

#[test]
fn a_trigger_that_does_no_harm_is_named_and_in_nobodys_way() {
    let workload = Workload::small();
    workload.done();
    workload
        .database
        .sql("create function log_it() returns trigger language plpgsql as 'begin return null; end'");
    for table in workload.tables() {
        workload.database.sql(&format!(
            "create trigger audit after insert or delete on {table} for each row execute function log_it();
             create rule log as on delete to {table} do also nothing"
        ));
    }
    let notes = workload.doctor(0).0["notes"].to_string();
    assert!(notes.contains("trigger audit on 4 tables") && notes.contains("rule log on 4 tables"), "{notes}");
    workload.change_sources();
    workload.done();
    workload.is(&Undisturbed::small().changed);
    workload.run(&["drop", "eurusd:2017-01"]).exits(0);
}

#[test]
fn features_are_not_committed_without_their_receipt_and_receipts_are_not_kept_without_features() {
    let workload = done();
    workload.database.sql(
        "create function nothing() returns trigger language plpgsql as 'begin return null; end';
         create trigger keep before insert or delete on rollfit_receipts for each row execute function nothing()",
    );
    fail_and_change_nothing(&workload, &REPLACE_AND_DROP, &["rollfit_receipts", "trigger"]);
}

#[test]
fn a_receipt_that_a_later_trigger_removes_is_not_taken_for_written() {
    const LATER: [&str; 2] = [
        "create trigger gone after insert or update",
        "create constraint trigger gone after insert or update",
    ];
    let workload = done();
    workload.database.sql(
        "create function gone() returns trigger language plpgsql as
             'begin delete from rollfit_receipts where output = new.output; return null; end'",
    );
    for trigger in LATER {
        let deferred = if trigger.contains("constraint") { "deferrable initially deferred" } else { "" };
        workload
            .database
            .sql(&format!("{trigger} on rollfit_receipts {deferred} for each row execute function gone()"));
        fail_and_change_nothing(&workload, &[&["run", "--force"]], &["rollfit_receipts", "trigger"]);
        workload.database.sql("drop trigger gone on rollfit_receipts");
    }
    workload.database.sql(
        "delete from rollfit_receipts; create trigger gone after insert on rollfit_receipts for each row execute function gone()",
    );
    fail_and_change_nothing(&workload, &[&["adopt"]], &["rollfit_receipts", "trigger"]);
    workload.database.sql("drop trigger gone on rollfit_receipts");
    workload.run(&["adopt"]).exits(0);
}
