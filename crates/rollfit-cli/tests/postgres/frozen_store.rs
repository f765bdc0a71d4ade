//! Stores of definitions 2 and 3, frozen in `fixtures/stores`. Of the first, what reads, reads it; what writes says what has to be
//! done first; after that its partitions are adopted, or written again. The second is opened as it is.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::checker::Contents;
use crate::programs::{as_server_user, postgres_program};
use crate::sandbox::Sandbox;
use crate::sql::Database;

const REFUSED: &str = "error: public.rollfit_receipts is of an earlier version (no column digest): have its owner run the \
                       statements that rollfit schema prints";
const ALTER: &str =
    "ALTER TABLE \"public\".\"rollfit_receipts\" ADD COLUMN digest text, ADD COLUMN period text;";

/// What becomes of each partition under the definition of today.
const STATES: [(&str, &str); 8] = [
    ("eurusd 2017-01", "definition-changed"),
    ("eurusd 2017-02", "definition-changed"),
    ("eurusd 2017-03", "definition-changed"),
    ("eurusd 2017-04", "foreign"),
    ("usdjpy 2017-01", "definition-changed"),
    ("usdjpy 2017-02", "shrunk"),
    ("usdjpy 2017-03", "definition-changed"),
    ("usdjpy 2017-04", "missing"),
];

/// The states in which the store of definition 3 was frozen.
const STATES_OF_3: [(&str, &str); 8] = [
    ("eurusd 2017-01", "done"),
    ("eurusd 2017-02", "input-changed"),
    ("eurusd 2017-03", "definition-changed"),
    ("eurusd 2017-04", "foreign"),
    ("usdjpy 2017-01", "done"),
    ("usdjpy 2017-02", "shrunk"),
    ("usdjpy 2017-03", "blocked"),
    ("usdjpy 2017-04", "missing"),
];

/// The store in a database of its own, and its job.
struct Frozen {
    sandbox: Sandbox,
    database: Database<'static>,
}

impl Frozen {
    fn new() -> Self {
        Self::with_definition(2)
    }

    fn with_definition(definition: u32) -> Self {
        let frozen = Self { sandbox: Sandbox::new(), database: Database::fresh() };
        let stores = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stores");
        let fixture = stores.join(format!("definition-{definition}"));
        frozen.execute(std::fs::read(fixture.join("postgres.sql")).unwrap());
        let job = std::fs::read_to_string(fixture.join("postgres.toml")).unwrap();
        frozen.sandbox.write("rollfit.toml", job.replace("postgres://HERE", &frozen.database.url()));
        frozen
    }

    /// Has psql execute statements in one transaction.
    #[track_caller]
    fn execute(&self, statements: impl AsRef<[u8]>) {
        let path: PathBuf = self.sandbox.write("statements.sql", statements);
        let mut command = as_server_user(postgres_program("psql"));
        command.args(["-q", "-1", "-v", "ON_ERROR_STOP=1"]).arg(self.database.url());
        let output = command.stdin(std::fs::File::open(path).unwrap()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The state of each partition as planned.
    #[track_caller]
    fn states(&self) -> Vec<(String, String)> {
        let plan = self.sandbox.run(&["plan", "--json"]).exits(0).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let partitions = plan["partitions"].as_array().unwrap().iter();
        partitions
            .map(|planned| {
                let (key, month) = (text(&planned["partition"]["key"]), text(&planned["partition"]["month"]));
                (format!("{key} {month}"), text(&planned["state"]))
            })
            .collect()
    }
}

fn owned(states: [(&str, &str); 8]) -> Vec<(String, String)> {
    states.iter().map(|(partition, state)| ((*partition).to_owned(), (*state).to_owned())).collect()
}

#[test]
fn a_store_of_definition_3_is_opened_as_it_is() {
    let frozen = Frozen::with_definition(3);
    let before = Contents::from_database(&frozen.database);
    assert_eq!(frozen.states(), owned(STATES_OF_3));
    frozen.sandbox.run(&["verify", "--only", "eurusd:2017-01", "--only", "usdjpy:2017-01"]).exits(0);
    assert_eq!(Contents::from_database(&frozen.database), before);
    // What is changed or missing is written; the rest is done, blocked or skipped.
    let run = frozen.sandbox.run(&["run", "--json"]).exits(4).json();
    assert_eq!((&run["written"], &run["failed"]), (&2.into(), &Vec::<Value>::new().into()), "{run}");
    frozen.sandbox.run(&["verify", "--only", "eurusd:2017-02", "--only", "usdjpy:2017-04"]).exits(0);
}

#[test]
fn a_month_without_recorded_types_is_written_as_a_whole_once_and_then_added_to() {
    let frozen = Frozen::with_definition(3);
    let only = ["run", "--json", "--only", "usdjpy:2017-01"];
    let types = "select receipt #> '{stored,types}' is not null from rollfit_receipts where output like '%usdjpy_2017_01%'";
    let writers = "select count(distinct xmin::text) from reg_rate_usdjpy_2017_01";
    assert_eq!(frozen.sandbox.run(&only).exits(0).json()["already_done"], 1);
    assert!(!frozen.database.one::<bool>(types));
    for (hour, written_by) in [(17, 1), (18, 2)] {
        frozen.database.sql(&format!(
            "insert into m1_usdjpy values ('2017-01-31 {hour}:00', 100.5); insert into bqx_usdjpy values ('2017-01-31 {hour}:00Z', 0.05)"
        ));
        assert_eq!(frozen.sandbox.run(&only).exits(0).json()["written"], 1);
        assert!(frozen.database.one::<bool>(types));
        assert_eq!(frozen.database.one::<i64>(writers), written_by);
        frozen.sandbox.run(&["verify", "--only", "usdjpy:2017-01"]).exits(0);
    }
}

#[test]
fn what_reads_an_earlier_store_reads_it() {
    let frozen = Frozen::new();
    let before = Contents::from_database(&frozen.database);
    assert_eq!(frozen.states(), owned(STATES));
    frozen.sandbox.run(&["status"]).exits(0);
    frozen.sandbox.run(&["verify"]).exits(1).says(&["definition version 2 became 3"]);
    let compared = frozen.sandbox.run(&["compare", "--json", "--only", "eurusd:2017-01"]).exits(0).json();
    assert_eq!((&compared["clean"], &compared["outside"]), (&1.into(), &0.into()), "{compared}");
    assert_eq!(Contents::from_database(&frozen.database), before);
}

#[test]
fn what_writes_an_earlier_store_stops_before_the_first_partition() {
    let frozen = Frozen::new();
    let before = Contents::from_database(&frozen.database);
    for command in [
        &["run"][..],
        &["run", "--force"],
        &["run", "--replace", "definition-changed", "--only", "eurusd:2017-01"],
        &["adopt"],
        &["drop", "eurusd:2017-01"],
    ] {
        let answer = frozen.sandbox.run(command).exits(2);
        assert_eq!(answer.stderr.trim_end(), REFUSED, "{answer}");
    }
    assert_eq!(Contents::from_database(&frozen.database), before);
    assert_eq!(
        frozen.database.one::<i64>("select count(*) from pg_class where relname = 'rollfit_definitions'"),
        0
    );
}

#[test]
fn schema_prints_what_an_earlier_store_lacks_and_doctor_reports_it() {
    let frozen = Frozen::new();
    let doctor = frozen.sandbox.run(&["doctor", "--json"]).exits(1).json();
    let problem = &doctor["problems"][0];
    assert_eq!(
        (problem["what"].as_str().unwrap(), problem["statements"][0].as_str().unwrap()),
        (
            "public.rollfit_receipts is of an earlier version (no column digest): have its owner alter it",
            ALTER.trim_end_matches(';')
        ),
        "{doctor}"
    );
    frozen
        .sandbox
        .run(&["doctor"])
        .exits(1)
        .says(&["rollfit_receipts is there, rollfit_definitions is missing"]);
    let printed = frozen.sandbox.run(&["schema", "--only", "eurusd"]).exits(0).stdout;
    let definitions = "CREATE TABLE IF NOT EXISTS \"public\".\"rollfit_definitions\" (\n    hash text PRIMARY KEY,\n    \
                       definition jsonb NOT NULL\n);";
    assert_eq!(printed.trim_end(), format!("{ALTER}\n{definitions}"));
    frozen.execute(&printed);
    assert_eq!(
        frozen.sandbox.run(&["schema", "--only", "eurusd"]).exits(0).stdout,
        "-- nothing is missing\n"
    );
    frozen.sandbox.run(&["doctor"]).exits(0).says(&["rollfit_definitions is there"]);
    // Half of it is not enough.
    frozen.database.sql("alter table rollfit_receipts drop column period");
    let half = frozen.sandbox.run(&["schema", "--only", "eurusd"]).exits(0).stdout;
    assert_eq!(half, "ALTER TABLE \"public\".\"rollfit_receipts\" ADD COLUMN period text;\n");
    frozen.sandbox.run(&["run"]).exits(2).says(&["of an earlier version (no column period)"]);
}

#[test]
fn an_earlier_store_is_adopted_after_the_statements_that_schema_prints() {
    let frozen = Frozen::new();
    let printed = frozen.sandbox.run(&["schema"]).exits(0).stdout;
    frozen.execute(&printed);
    assert_eq!(frozen.states(), owned(STATES), "the statements change no state");
    let rows = "select sum(hashtextextended(t::text, 0)::numeric)::text from reg_rate_eurusd_2017_01 t";
    let before: String = frozen.database.one(rows);

    let adopted = frozen.sandbox.run(&["adopt"]);
    assert!(matches!(adopted.status.code(), Some(1 | 4)), "{adopted}");
    let done = |states: &mut Vec<(String, String)>, partitions: &[&str]| {
        let is_meant = |partition: &str| partitions.contains(&partition);
        states
            .iter_mut()
            .filter(|(partition, _)| is_meant(partition))
            .for_each(|(_, state)| *state = "done".into());
    };
    let mut wanted = owned(STATES);
    done(&mut wanted, &["eurusd 2017-01", "eurusd 2017-04", "usdjpy 2017-01"]);
    assert_eq!(frozen.states(), wanted, "{adopted}");
    assert_eq!(frozen.database.one::<String>(rows), before);
    for partition in ["eurusd:2017-01", "eurusd:2017-04", "usdjpy:2017-01"] {
        frozen.sandbox.run(&["verify", "--only", partition]).exits(0);
    }

    let told =
        frozen.sandbox.run(&["run", "--replace", "definition-changed", "--replace", "shrunk"]).exits(4);
    told.says(&["4 written", "blocked"]);
    done(&mut wanted, &["eurusd 2017-02", "eurusd 2017-03", "usdjpy 2017-02", "usdjpy 2017-04"]);
    assert_eq!(frozen.states(), wanted);
    let moved = "select count(*) from rollfit_receipts where jsonb_typeof(receipt -> 'definition') = 'string'
                 and digest is not null and period is null";
    assert_eq!(frozen.database.one::<i64>(moved), 7);
    assert_eq!(frozen.database.one::<i64>("select count(*) from rollfit_definitions"), 1);
}

#[test]
fn a_role_with_the_least_rights_needs_those_on_the_new_table_too() {
    let frozen = Frozen::new();
    let loader = format!("loader_of_{}", frozen.database.name());
    let tables = "select string_agg(quote_ident(relname), ', ') from pg_class where relkind = 'r'
                  and relnamespace = 'public'::regnamespace and relname ";
    let [targets, sources] = ["~ '^reg_'", "!~ '^reg_|^rollfit_'"]
        .map(|are| frozen.database.one::<String>(&format!("{tables} {are}")));
    frozen.database.sql(&format!(
        "create role {loader} login; grant usage on schema public to {loader}; grant select on {sources} to {loader};
         grant select, insert, delete on {targets} to {loader};
         grant select, insert, update, delete on rollfit_receipts to {loader}"
    ));
    let printed = frozen.sandbox.run(&["schema"]).exits(0).stdout;
    frozen.execute(&printed);
    let owner = std::fs::read_to_string(frozen.sandbox.path("rollfit.toml")).unwrap();
    frozen.sandbox.write("rollfit.toml", owner.replace("//postgres@", &format!("//{loader}@")));
    let adopt = ["adopt", "--only", "eurusd:2017-01"];
    frozen.sandbox.run(&adopt).exits(1).says(&["permission denied", "rollfit_definitions"]);
    frozen.database.sql(&format!("grant select, insert on rollfit_definitions to {loader}"));
    frozen.sandbox.run(&adopt).exits(0).says(&["1 moved to definition 3"]);
    let run = ["run", "--replace", "definition-changed", "--only", "eurusd:2017-02"];
    frozen.sandbox.run(&run).exits(0).says(&["1 written"]);
    frozen.database.sql(&format!("drop owned by {loader}; drop role {loader}"));
}
