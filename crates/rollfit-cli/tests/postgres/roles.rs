//! Roles without any rights, as which a test runs the executable, and what `rollfit doctor` says that they lack.

use serde_json::Value;

use crate::sandbox::Answer;
use crate::workload::Workload;

/// What `rollfit doctor` found.
pub(crate) struct Findings(pub(crate) Value);

impl Workload<'_> {
    /// Runs everything from now on as a new role, `name` and then the database's name, which is nobody's member.
    pub(crate) fn as_new_role(&self, name: &str) -> String {
        let role = format!("{name}_{}", self.database.name());
        self.database.sql(&format!("create role {role} login"));
        self.run_as(&role);
        role
    }

    pub(crate) fn run_as(&self, role: &str) {
        let place = self.database.url();
        let (before, after) = place.split_once("//postgres@").unwrap();
        self.reconfigure(|text| {
            let url = text.lines().find(|line| line.starts_with("url = ")).unwrap();
            text.replace(url, &format!("url = \"{before}//{role}@{after}\""))
        });
    }

    /// Puts `to` in the place of `from` in the configuration.
    #[track_caller]
    pub(crate) fn replace_in_configuration(&self, from: &str, to: &str) {
        self.reconfigure(|text| {
            assert!(text.contains(from), "{text}");
            text.replace(from, to)
        });
    }

    /// What a doctor finds, with this exit code.
    #[track_caller]
    pub(crate) fn doctor(&self, code: i32) -> Findings {
        Findings(self.run(&["doctor", "--json"]).exits(code).json())
    }

    /// What a doctor prints for people, with this exit code.
    #[track_caller]
    pub(crate) fn doctor_says(&self, code: i32) -> Answer {
        self.run(&["doctor"]).exits(code)
    }
}

impl Findings {
    /// The statements that set things right.
    pub(crate) fn statements(&self) -> Vec<String> {
        let problems = self.0["problems"].as_array().unwrap().iter();
        let statements = problems.flat_map(|problem| problem["statements"].as_array().unwrap());
        statements.map(|statement| statement.as_str().unwrap().to_owned()).collect()
    }

    /// What is wrong, for people.
    pub(crate) fn problems(&self) -> Vec<&str> {
        self.0["problems"]
            .as_array()
            .unwrap()
            .iter()
            .map(|problem| problem["what"].as_str().unwrap())
            .collect()
    }

    /// What was found of the one database.
    pub(crate) fn database(&self) -> &Value {
        &self.0["stores"][0]["postgres"]
    }

    /// What each partition holds, and its rows.
    pub(crate) fn held(&self) -> Vec<(String, u64)> {
        let targets = self.database()["targets"]["partitions"].as_array().unwrap().iter();
        targets
            .map(|target| (target["holds"].as_str().unwrap().to_owned(), target["rows"].as_u64().unwrap()))
            .collect()
    }
}
