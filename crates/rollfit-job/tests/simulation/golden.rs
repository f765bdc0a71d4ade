//! A runner alone: the numbers that it decides, and when, stay as they are unless somebody means to change them.

use std::fmt::Write;

use rollfit_job::config::Workers;
use rollfit_testkit::simulation::simulate;

use super::policy::{Scenario, scenarios};

/// Rewritten with `ROLLFIT_UPDATE_SNAPSHOTS=1`.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/golden/alone.txt");

/// A line for each run: when, in milliseconds, there were to be how many workers.
fn decisions() -> String {
    let mut lines = String::new();
    for Scenario { name, world } in scenarios() {
        let run = simulate(&world, Workers::Auto);
        write!(lines, "{name}:").unwrap();
        for decision in &run.record.decisions {
            write!(lines, " {}={}", decision.at_ms, decision.workers).unwrap();
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn a_runner_alone_decides_what_it_always_did() {
    let decided = decisions();
    if std::env::var_os("ROLLFIT_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(GOLDEN, &decided).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    for (decided, golden) in decided.lines().zip(golden.lines()) {
        assert_eq!(decided, golden);
    }
    assert_eq!(decided.lines().count(), golden.lines().count());
}
