//! docs/postgres.md, "Changing over to fits", typed command by command on deployed tables.

use std::os::unix::fs::symlink;
use std::process::Output;

use crate::documented::blocks;
use crate::programs::postgres_program;
use crate::sandbox::ROLLFIT;
use crate::workload::Workload;

const DOCUMENT: &str = include_str!("../../../../docs/postgres.md");
const HEADING: &str = "\n## Changing over to fits\n";

/// The commands of the section.
fn commands() -> Vec<String> {
    let (_, section) = DOCUMENT.split_once(HEADING).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let blocks = blocks(section).into_iter().filter(|block| block.language == "sh");
    blocks.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

impl Workload<'_> {
    /// Types a command where the configuration is; what it prints.
    #[track_caller]
    fn types_command(&self, line: &str) -> String {
        let mut command = self.sandbox.in_clean_environment("sh");
        let programs = postgres_program("psql").parent().unwrap().display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(["-c", line]).env("PATH", format!("{}:{programs}:{path}", self.sandbox.dir().display()));
        let server = self.database.server();
        command.env("PGHOST", server.host()).env("PGPORT", server.port().to_string());
        command.env("PGUSER", "postgres").env("PGDATABASE", self.database.name());
        let output: Output = command.output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{line}: {}\n{said}", output.status);
        said
    }

    /// Whether readers find views or tables.
    fn kind_of_features(&self) -> String {
        let kind = "select string_agg(distinct relkind::text, '') from pg_class
                    where relname ~ '^reg_.*[0-9]$' and relnamespace = 'public'::regnamespace";
        self.database.one(kind)
    }
}

#[test]
fn the_documented_commands_change_over_and_back() {
    let workload = Workload::small();
    workload.done();
    symlink(ROLLFIT, workload.sandbox.path("rollfit")).unwrap();
    let mut kinds = Vec::new();
    for line in commands() {
        let said = workload.types_command(&line);
        if line.contains("plan") {
            assert!(said.contains("2 partitions: 2 done"), "{said}");
        }
        if line.contains(" -f ") {
            kinds.push(workload.kind_of_features());
        }
    }
    assert_eq!(kinds, ["v", "r"], "views after the switch, tables after the way back");
    assert_eq!(workload.done()["written"], 0);
}
