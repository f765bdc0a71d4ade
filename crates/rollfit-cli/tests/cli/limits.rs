//! What is too much is refused before anything is computed, and what is many does not print itself.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::sandbox::{ROLLFIT, Sandbox};
use crate::tree::Tree;

const COMMANDS: [&[&str]; 8] = [
    &["plan"],
    &["run"],
    &["verify"],
    &["compare"],
    &["doctor"],
    &["status"],
    &["adopt"],
    &["drop", "eurusd:2017-01"],
];

#[test]
fn no_command_follows_a_pattern_out_of_the_store() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    fs::rename(sandbox.path("fx/sources/m1_eurusd"), sandbox.path("m1_eurusd")).unwrap();
    let before = Tree::read(sandbox.dir());
    for pattern in ["../../m1_{key}", &format!("{}/m1_{{key}}", sandbox.dir().display()), ".lock"] {
        for command in COMMANDS {
            let refused = sandbox.run_with(&[("ROLLFIT_SERIES__IDX__TABLE", pattern)], command).exits(2);
            refused.says(&["[series.idx] table = ", pattern, "choose another pattern"]);
        }
    }
    before.is_untouched(sandbox.dir());
    fs::rename(sandbox.path("m1_eurusd"), sandbox.path("fx/sources/..m1 eurusd")).unwrap();
    let odd = sandbox.run_with(&[("ROLLFIT_SERIES__IDX__TABLE", "..m1 {key}")], &["plan"]).exits(2);
    odd.says(&["names that begin with `.` are not read"]);
    fs::rename(sandbox.path("fx/sources/..m1 eurusd"), sandbox.path("fx/sources/m1.. eurusd")).unwrap();
    sandbox.run_with(&[("ROLLFIT_SERIES__IDX__TABLE", "m1.. {key}")], &["run"]).exits(0).says(&["1 written"]);
}

#[test]
fn a_key_too_long_for_a_directory_is_refused_before_anything_is_computed() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let long = format!("eurusd,{}", "k".repeat(252));
    for command in COMMANDS {
        let refused = sandbox.run_with(&[("ROLLFIT_PARTITIONS__KEYS", &long)], command).exits(2);
        refused.says(&["a key has at most 251"]);
    }
    assert!(!sandbox.path("fx/features").exists());
    let fits = format!("eurusd,{}", "k".repeat(251));
    sandbox
        .run_with(&[("ROLLFIT_PARTITIONS__KEYS", &fits)], &["run"])
        .exits(1)
        .says(&["1 written", "1 failed"]);
}

#[test]
fn a_configuration_without_end_is_refused_and_a_long_one_is_read() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    let padded = |bytes: usize| format!("{text}\n# {}", "é".repeat((bytes - text.len() - 3) / 2));
    sandbox.write("rollfit.toml", padded(16 << 20));
    sandbox.run(&["plan"]).exits(0);
    sandbox.write("rollfit.toml", padded((16 << 20) + 2));
    sandbox.run(&["plan"]).exits(2).says(&["rollfit.toml: it has more than 16 MB"]);
    // A pipe has no size, and this one no end.
    let mut endless = Command::new("yes").stdout(Stdio::piped()).spawn().unwrap();
    let mut command = sandbox.in_clean_environment(ROLLFIT);
    command.args(["plan", "--config", "/dev/stdin"]).stdin(endless.stdout.take().unwrap());
    let output = command.output().unwrap();
    endless.kill().unwrap();
    endless.wait().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("more than 16 MB"));
}

/// A job with `count` windows, shorter than the month and longer.
fn with_windows(sandbox: &Sandbox, count: usize) {
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    let (before, after) = text.split_once("[windows]").unwrap();
    let after = after.find("\n[").map_or("", |at| &after[at..]);
    let windows: String = (0..count).map(|at| format!("v{at} = {}\n", at + 3)).collect();
    let metrics = if text.contains("[features]") { "" } else { "\n[features]\nmetrics = [\"r2\"]\n" };
    sandbox.write("rollfit.toml", format!("{before}[windows]\n{windows}{metrics}{after}"));
}

#[test]
fn ten_thousand_windows_do_not_print_themselves() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    sandbox.run(&["run"]).exits(0);
    with_windows(&sandbox, 10_000);
    let plan =
        sandbox.run(&["plan"]).exits(0).says(&["definition-changed", "windows of series idx: with 3, 4, 5"]);
    plan.says(&[", 12 and 99", "more windows", "never fill either", "--json lists them"]);
    for command in [&["plan"][..], &["run"], &["doctor"], &["status"], &["verify"]] {
        let answer = sandbox.run(command);
        assert!(answer.stdout.len() + answer.stderr.len() < 12_000, "{command:?}: {}", answer.stdout.len());
    }
    let plan: Value = sandbox.run(&["plan", "--json"]).exits(0).json();
    assert!(plan["unfilled_windows"].as_array().unwrap().len() > 9000);
}

#[test]
fn failures_of_one_cause_are_one_line_and_all_of_them_in_json() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let keys = (0..1200).map(|at| format!("k{at:05}")).collect::<Vec<_>>().join(",");
    let answer = sandbox.run_with(&[("ROLLFIT_PARTITIONS__KEYS", &keys)], &["run", "-q"]).exits(1);
    let told = "partitions failed (k00000 2017-01 .. k01199 2017-01); the first: ";
    assert!(answer.stdout.contains(told) && answer.stdout.len() < 2000, "{answer}");
    let json = sandbox.run_with(&[("ROLLFIT_PARTITIONS__KEYS", &keys)], &["run", "-q", "--json"]);
    let json: Value = json.exits(1).json();
    assert_eq!(json["failed"].as_array().unwrap().len(), 1200);
}
