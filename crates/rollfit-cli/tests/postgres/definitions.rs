//! The rows of receipts and definitions: a receipt is small, names its definition by hash and has a digest; one that does
//! not is void, and one that changed meanwhile is not overwritten.

use serde_json::Value;

use crate::checker::Undisturbed;
use crate::workload::Workload;

/// The receipt of January.
const JANUARY: &str = "where month = '2017-01-01'";

impl Workload<'_> {
    /// The state of January as planned, and why.
    #[track_caller]
    fn january(&self) -> (String, String) {
        let answer = self.run(&["plan", "--json", "--only", "eurusd:2017-01"]).exits(0);
        let planned = answer.json()["partitions"][0].clone();
        let text = |field: &str| planned[field].as_str().unwrap().to_owned();
        (text("state"), text("cause"))
    }

    #[track_caller]
    fn january_is_void(&self, cause: &str) {
        let (state, told) = self.january();
        assert_eq!(state, "foreign", "{told}");
        assert!(told.starts_with("the receipt is void: ") && told.contains(cause), "{told}");
        self.run(&["run", "--quiet"]).exits(4);
    }

    /// Runs statements, looks at January, and puts both tables back.
    fn after(&self, statements: &str, look: impl FnOnce()) {
        self.database.sql(
            "create table kept_receipts as select * from rollfit_receipts;
             create table kept_definitions as select * from rollfit_definitions",
        );
        self.database.sql(statements);
        look();
        self.database.sql(
            "create table if not exists rollfit_definitions (hash text primary key, definition jsonb not null);
             truncate rollfit_receipts, rollfit_definitions;
             insert into rollfit_receipts select * from kept_receipts;
             insert into rollfit_definitions select * from kept_definitions;
             drop table kept_receipts, kept_definitions",
        );
        assert_eq!(self.january().0, "done", "{statements}");
    }
}

#[test]
fn a_receipt_is_small_and_all_of_a_job_name_one_definition() {
    let workload = Workload::small();
    workload.done();
    let sizes = "select max(length(receipt::text))::bigint from rollfit_receipts";
    let size: i64 = workload.database.one(sizes);
    let definition: i64 =
        workload.database.one("select length(definition::text)::bigint from rollfit_definitions");
    assert!(size < 700 && definition > 3500, "{size} and {definition} bytes");
    let named = "select count(*) from rollfit_receipts r join rollfit_definitions d on d.hash = r.receipt ->> 'definition'
                 where length(r.digest) = 64 and r.period is null";
    assert_eq!(workload.database.one::<i64>(named), 2);
    workload.is_as_undisturbed();
    // Another definition gets a row of its own, and the earlier one stays.
    workload.replace_in_configuration("agg = 90", "agg = 91");
    workload.run(&["run", "--replace", "definition-changed", "--only", "eurusd:2017-01"]).exits(0);
    assert_eq!(workload.database.one::<i64>("select count(*) from rollfit_definitions"), 2);
    assert_eq!(workload.database.one::<i64>(named), 2);
}

#[test]
fn a_receipt_whose_definition_or_digest_is_not_what_its_hash_says_is_void() {
    let workload = Workload::small();
    workload.done();
    for (statements, cause) in [
        ("delete from rollfit_definitions", " is not in public.rollfit_definitions"),
        (
            "drop table rollfit_definitions",
            "public.rollfit_definitions, which holds its definition, is missing",
        ),
        (
            "update rollfit_definitions set definition = jsonb_set(definition, '{boundary}', '\"carry\"')",
            "of public.rollfit_definitions is another one",
        ),
        ("update rollfit_definitions set definition = definition || '{\"more\": 1}'", "is another one"),
        ("update rollfit_receipts set digest = null", "its digest is not that of its JSON"),
        ("update rollfit_receipts set digest = repeat('0', 64)", "its digest is not that of its JSON"),
        (
            "update rollfit_receipts set receipt = jsonb_set(receipt, '{stored,checksum}', '\"0000000000000000\"')",
            "its digest is not that of its JSON",
        ),
        (
            "update rollfit_receipts set receipt = receipt || '{\"definition\": \"x\"}'",
            "its definition is no hash",
        ),
    ] {
        workload.after(statements, || workload.january_is_void(cause));
    }
}

#[test]
fn a_whole_receipt_counts_whatever_the_other_columns_say() {
    let workload = Workload::small();
    workload.done();
    let whole = "update rollfit_receipts set receipt = jsonb_set(receipt, '{definition}',
                     (select definition from rollfit_definitions))";
    for digest in ["digest", "null", "'another'"] {
        workload.after(&format!("{whole}, digest = {digest}, period = 'month'"), || {
            assert_eq!(workload.january().0, "done");
            workload.run(&["verify", "--quiet"]).exits(0);
        });
    }
    // A receipt of an earlier definition whose digest is stale becomes one of today's.
    workload.database.sql(whole);
    workload
        .database
        .sql("update rollfit_receipts set receipt = jsonb_set(receipt, '{definition,version}', '2')");
    assert_eq!(workload.january().0, "definition-changed");
    workload.run(&["adopt"]).exits(0);
    workload.is_as_undisturbed();
}

#[test]
fn a_receipt_of_a_later_version_is_left_alone_whatever_its_hashes_are() {
    let workload = Workload::small();
    workload.done();
    let later_definition =
        "update rollfit_definitions set definition = jsonb_set(definition, '{version}', '99')";
    for statements in [
        format!("update rollfit_receipts set receipt = receipt || '{{\"format\": 4}}' {JANUARY}"),
        format!(
            "update rollfit_receipts set receipt = receipt || '{{\"format\": 4, \"definition\": \"x\"}}', digest = 'y' {JANUARY}"
        ),
        format!(
            "update rollfit_receipts set receipt = jsonb_set(receipt, '{{input,digest}}', '\"rows2:0\"') {JANUARY}"
        ),
        later_definition.to_owned(),
    ] {
        workload.after(&statements, || {
            let before: String =
                workload.database.one("select string_agg(t::text, '') from rollfit_receipts t");
            assert_eq!(workload.january().0, "newer", "{statements}");
            workload.run(&["run", "--force", "--only", "eurusd:2017-01"]).exits(4).says(&["newer"]);
            let after: String =
                workload.database.one("select string_agg(t::text, '') from rollfit_receipts t");
            assert_eq!(after, before, "{statements}");
        });
    }
}

#[test]
fn a_lost_table_of_definitions_is_reported_and_made_again() {
    let workload = Workload::small();
    workload.done();
    workload.database.sql("drop table rollfit_definitions");
    let found = workload.doctor(1);
    assert_eq!(found.database()["targets"]["has_definitions"], false);
    let problem = &found.problems()[0];
    assert!(
        problem.contains("rollfit_definitions is missing, and with it the definitions of 2 receipts"),
        "{problem}"
    );
    // The definition of the job comes back with the table, and the receipts count again.
    workload.run(&["adopt"]).exits(0).says(&["0 adopted", "2 already ours"]);
    workload.is_as_undisturbed();
    assert_eq!(workload.doctor(0).database()["targets"]["has_definitions"], true);
}

#[test]
fn a_receipt_that_changed_meanwhile_is_not_overwritten() {
    for (change, found) in [
        ("update rollfit_receipts set receipt = jsonb_set(receipt, '{stored,rows}', '7')", "retries"),
        ("delete from rollfit_receipts", "nothing"),
    ] {
        let workload = Workload::changed();
        let stopped = workload.stopped_at("receipt-read", &[], &["--only", "eurusd:2017-01"]);
        workload.database.sql(&format!("{change} {JANUARY}"));
        let answer = stopped.go_on().finish();
        if found == "nothing" {
            // A row that is gone is none to be taken the place of.
            answer.exits(0);
            workload.done();
            workload.is(&Undisturbed::small().changed);
            continue;
        }
        let answer = answer.exits(4).says(&["another program changed the receipt of", "meanwhile"]);
        assert_eq!(answer.json()["retries"], 1, "{answer}");
        workload.january_is_void("its digest is not that of its JSON");
    }
    // A receipt that appears meanwhile is not overwritten either.
    let workload = Workload::small();
    workload.done();
    workload
        .database
        .sql("create table kept as select * from rollfit_receipts; delete from rollfit_receipts");
    workload.change_sources();
    let stopped =
        workload.stopped_at("receipt-read", &[], &["--replace", "foreign", "--only", "eurusd:2017-01"]);
    workload.database.sql("insert into rollfit_receipts select * from kept");
    let answer = stopped.go_on().finish().exits(0).says(&["another program changed the receipt of"]);
    assert_eq!((&answer.json()["retries"], &answer.json()["written"]), (&1.into(), &1.into()), "{answer}");
}

#[test]
fn a_definition_that_goes_away_during_a_run_fails_the_partition() {
    let workload = Workload::small();
    let stopped = workload.stopped_at("deleted", &[], &["--only", "eurusd:2017-01"]);
    workload.database.sql("delete from rollfit_definitions");
    let answer = stopped.go_on().finish().exits(1);
    let told = answer.says(&["public.rollfit_definitions no longer holds the definition of this job"]);
    assert_eq!(told.json()["written"], 0);
    workload.done();
    workload.is_as_undisturbed();
}

#[test]
fn a_definition_that_somebody_changed_is_not_built_upon() {
    let workload = Workload::small();
    workload.done();
    workload.change_sources();
    workload.database.sql("update rollfit_definitions set definition = '{}'");
    let words = ["somebody changed it", "DELETE FROM \"public\".\"rollfit_definitions\" WHERE hash = '"];
    let answer = workload.run(&["run", "--json", "--replace", "foreign"]).exits(1).says(&words);
    assert_eq!(answer.json()["written"], 0);
    workload.database.sql("delete from rollfit_definitions");
    workload.run(&["run", "--replace", "foreign"]).exits(0);
    workload.is(&Undisturbed::small().changed);
}

#[test]
fn a_trigger_that_keeps_a_definition_out_is_told_before_the_first_partition() {
    let workload = Workload::small();
    workload.database.sql(
        "create table rollfit_definitions (hash text primary key, definition jsonb not null);
         create function nothing() returns trigger language plpgsql as 'begin return null; end';
         create trigger keep before insert on rollfit_definitions for each row execute function nothing()",
    );
    let answer = workload.run(&["run", "--json"]).exits(1).says(&["did not store the definition: a trigger"]);
    assert_eq!(answer.json()["written"], 0);
    workload.database.sql("drop trigger keep on rollfit_definitions");
    workload.done();
    workload.is_as_undisturbed();
}

#[test]
fn a_role_without_rights_on_definitions_reads_on_and_is_told() {
    let workload = Workload::small();
    workload.done();
    let role = workload.as_new_role("reader");
    let tables = workload.tables().join(", ");
    workload
        .database
        .sql(&format!("grant select on m1_eurusd, bqx_eurusd, {tables}, rollfit_receipts to {role}"));
    let (state, cause) = workload.january();
    assert_eq!(state, "foreign");
    assert!(cause.contains("the role may not read public.rollfit_definitions"), "{cause}");
    workload.run(&["compare"]).exits(0).says(&["may not read public.rollfit_definitions", "2 clean"]);
    workload.database.sql(&format!("grant select on rollfit_definitions to {role}"));
    assert_eq!(workload.january().0, "done");
    // Where the definition is there already, SELECT is enough to write.
    workload.database.sql(&format!(
        "grant insert, delete on {tables} to {role}; grant insert, update, delete on rollfit_receipts to {role}"
    ));
    workload.run(&["run", "--force"]).exits(0);
    workload.replace_in_configuration("agg = 90", "agg = 91");
    let answer = workload.run(&["run", "--replace", "definition-changed"]).exits(1);
    answer.says(&["write the definition into public.rollfit_definitions", "permission denied"]);
}

#[test]
fn hostile_names_in_a_definition_are_stored_as_they_are() {
    let workload = Workload::small();
    let column = r#"column = '''{metric}"\n';--\ {series}{window} é'''"#;
    workload.replace_in_configuration("[series.bqx]", &format!("{column}\n\n[series.bqx]"));
    let server_setting =
        format!("alter database {} set standard_conforming_strings = off", workload.database.name());
    workload.database.sql(&server_setting);
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
    let columns = "select definition #>> '{series,0,columns,0}' from rollfit_definitions";
    assert_eq!(workload.database.one::<String>(columns), r#"a2"\n';--\ idxw15 é"#);
    let plan: Value = workload.run(&["plan", "--json"]).exits(0).json();
    assert_eq!(plan["partitions"][0]["state"], "done");
}
