//! Messages on stderr as JSON: every line names its run, and partition, stage and attempt, empty where it is about none.

use serde_json::Value;

use crate::sandbox::{Answer, Sandbox};

/// The lines of stderr, each checked to be an object that has every promised field.
#[track_caller]
fn lines(answer: &Answer) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let lines: Vec<Value> = answer.stderr.lines().map(parse).collect();
    for line in &lines {
        for field in ["timestamp", "level", "message", "run", "partition", "stage", "attempt"] {
            assert!(line.get(field).is_some(), "no {field} in {line}");
        }
        assert!(line["run"].is_string(), "{line}");
    }
    lines
}

fn of_stage<'a>(lines: &'a [Value], stage: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["stage"] == stage).collect()
}

#[test]
fn every_line_of_a_run_names_run_partition_stage_and_attempt() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    let lines = lines(&sandbox.run(&["run", "--log-format", "json"]).exits(0));
    for stage in ["read", "write", "commit", "written"] {
        let of_stage = of_stage(&lines, stage);
        assert_eq!(of_stage.len(), 2, "{stage}");
        assert!(of_stage.iter().all(|line| line["attempt"] == 1));
        let mut partitions: Vec<_> =
            of_stage.iter().map(|line| line["partition"].as_str().unwrap()).collect();
        partitions.sort_unstable();
        assert_eq!(partitions, ["eurusd 2017-01", "eurusd 2017-02"]);
    }
    assert!(lines.iter().all(|line| line["run"] == lines[0]["run"]));
    assert!(of_stage(&lines, "decision")[0]["workers"].is_u64());
}

#[test]
fn what_is_left_alone_and_what_fails_is_a_warning_in_the_log() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    sandbox.write("fx/features/key=eurusd/month=2017-01/part.parquet", "strange");
    let left = lines(&sandbox.run(&["run", "--log-format", "json"]).exits(4));
    assert_eq!(of_stage(&left, "left-alone")[0]["level"], "WARN");

    sandbox.write("fx/sources/m1_eurusd/2017-02.parquet", "broken");
    let failed = lines(&sandbox.run(&["run", "--log-format", "json", "--force"]).exits(1));
    let failed = of_stage(&failed, "failed");
    assert_eq!((&failed[0]["level"], &failed[0]["attempt"]), (&"WARN".into(), &1.into()));
    assert!(failed[0]["message"].as_str().unwrap().contains("2017-02.parquet"));
}

#[test]
fn errors_and_other_verbs_log_in_json_too() {
    let sandbox = Sandbox::new();
    let missing = sandbox.run(&["run", "--log-format", "json"]).exits(2);
    let lines_of_error = lines(&missing);
    assert_eq!(lines_of_error.len(), 1);
    assert_eq!(lines_of_error[0]["level"], "ERROR");
    assert_eq!(lines_of_error[0]["partition"], "", "it is about none");

    let file = sandbox.bars_file("eurusd", "2017-01").display().to_string();
    let import = ["import", "--format", "csv", "--into", "parquet:fx", "--log-format", "json", &file];
    assert!(!lines(&sandbox.run(&import).exits(0)).is_empty());
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    sandbox.run(&["run", "--quiet"]).exits(0);
    let verified = lines(&sandbox.run(&["verify", "--log-format", "json"]).exits(0));
    assert_eq!(of_stage(&verified, "verify")[0]["partition"], "eurusd 2017-01");

    sandbox.write("fx/sources/m1_eurusd/2017-02.pq", "PAR1");
    let of_the_store = lines(&sandbox.run(&["plan", "--log-format", "json"]).exits(0));
    assert!(of_the_store.iter().any(|line| line["message"].as_str().unwrap().contains("2017-02.pq")));
}
