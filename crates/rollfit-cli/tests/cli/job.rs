//! The main job from bars to verified features: import, plan, run, verify, and a further run that does nothing.

use std::fs;

use serde_json::{Value, json};

use crate::bars::bars;
use crate::features::{Columns, WINDOWS, kernel_features, same_bits};
use crate::sandbox::Sandbox;
use crate::tree::{Tree, leftovers};

const KEYS: [&str; 2] = ["eurusd", "usdjpy"];
const MONTHS: [&str; 2] = ["2017-01", "2017-02"];

fn states(plan: &Value) -> Vec<&str> {
    plan["partitions"].as_array().unwrap().iter().map(|line| line["state"].as_str().unwrap()).collect()
}

#[test]
fn bars_become_verified_features_and_a_further_run_writes_nothing() {
    let sandbox = Sandbox::imported(&KEYS, &MONTHS);
    let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
    assert_eq!(states(&plan), ["missing"; 4]);

    let run = sandbox.run(&["run", "--json"]).exits(0).json();
    assert_eq!((&run["written"], &run["already_done"]), (&json!(4), &json!(0)));
    let verified = sandbox.run(&["verify", "--json"]).exits(0).json();
    assert_eq!((&verified["equal"], &verified["different"]), (&json!(4), &json!(0)));
    assert_eq!(states(&sandbox.run(&["plan", "--json"]).exits(0).json()), ["done"; 4]);
    assert!(leftovers(&sandbox.path("fx/features")).is_empty());

    let before = Tree::read(&sandbox.path("fx"));
    let again = sandbox.run(&["run", "--json"]).exits(0).json();
    assert_eq!((&again["written"], &again["already_done"]), (&json!(0), &json!(4)));
    sandbox.run(&["verify", "--quick"]).exits(0);
    before.is_untouched(&sandbox.path("fx"));
}

#[test]
fn the_stored_features_are_the_kernels_bit_for_bit() {
    let sandbox = Sandbox::done(&["eurusd"], &MONTHS);
    for month in MONTHS {
        let stored = Columns::read(&sandbox.part("eurusd", month));
        let joined = sandbox.joined("eurusd", &[month]);
        assert_eq!(stored.instants_us, joined.instants_us);
        assert_eq!(stored.values.len(), 180);
        let computed = [kernel_features(&joined.idx), kernel_features(&joined.bqx)].concat();
        for ((name, ours), theirs) in stored.names.iter().zip(&stored.values).zip(&computed) {
            assert!(same_bits(ours, theirs), "{name} in {month}");
        }
    }
}

#[test]
fn the_columns_stand_in_the_order_of_the_configuration() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let names = Columns::read(&sandbox.part("eurusd", "2017-01")).names;
    assert_eq!(names[..3], ["a2_idx_w15", "a1_idx_w15", "b_idx_w15"]);
    assert_eq!(names[14], "extrapolation_error_idx_w15");
    let first_of_windows: Vec<&String> = names.iter().step_by(15).collect();
    let wanted: Vec<String> = ["idx", "bqx"]
        .iter()
        .flat_map(|series| WINDOWS.map(|(label, _)| format!("a2_{series}_{label}")))
        .collect();
    assert_eq!(first_of_windows, wanted.iter().collect::<Vec<_>>());
}

#[test]
fn every_verb_prints_json_with_the_right_numbers() {
    let sandbox = Sandbox::new();
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    let rows = bars("eurusd", "2017-01").len() as u64;
    let file = sandbox.bars_file("eurusd", "2017-01").display().to_string();
    let imported =
        sandbox.run(&["--json", "import", "--format", "csv", "--into", "parquet:fx", &file]).exits(0).json();
    assert_eq!(imported["files"][0]["key"], "eurusd");
    assert_eq!(imported["files"][0]["rows_read"], rows);
    assert_eq!(imported["files"][0]["rows_kept"], rows);
    assert_eq!(imported["keys"][0]["added"], rows);
    assert_eq!(imported["keys"][0]["total"], rows);
    assert_eq!(imported["keys"][0]["first"], "2017-01-01T00:00:00Z");

    let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
    let line = &plan["partitions"][0];
    assert_eq!(line["partition"], json!({"key": "eurusd", "month": "2017-01"}));
    assert_eq!((&line["state"], &line["rows"]), (&json!("missing"), &json!(rows - 15)));
    assert_eq!(plan["write_bytes"], line["write_bytes"]);
    assert_eq!(plan["enough_space"], true);

    let run = sandbox.run(&["run", "--json"]).exits(0).json();
    let warmup: u64 = WINDOWS.iter().map(|(_, window)| (*window as u64 - 1) * 15 * 2).sum();
    assert_eq!((&run["partitions"], &run["rows"]), (&json!(1), &json!(rows - 15)));
    assert_eq!(run["no_value"], json!({"warmup": warmup, "input": 0, "undefined": 0, "column": 0}));
    assert_eq!((&run["join_lost_rows"], &run["interrupted"]), (&json!(15), &json!(false)));
    let bytes = fs::metadata(sandbox.part("eurusd", "2017-01")).unwrap().len();
    assert_eq!(run["bytes"], bytes);

    let verified = sandbox.run(&["verify", "--json"]).exits(0).json();
    let cells = (rows - 15) * 180;
    assert_eq!((&verified["rows"], &verified["cells"]), (&json!(rows - 15), &json!(cells)));
    assert_eq!(verified["reference_cells"], cells);
    let worst = verified["worst_error"].as_f64().unwrap();
    assert!(worst > 0.0 && worst <= 1.0, "{worst}");

    let metrics = sandbox.run(&["metrics", "--json"]).exits(0).json();
    let stored = |line: &&Value| line["stored_by_default"] == true;
    assert_eq!(metrics.as_array().unwrap().iter().filter(stored).count(), 15);
    let dropped = sandbox.run(&["drop", "--json", "eurusd:2017-01"]).exits(0).json();
    assert_eq!(dropped, json!([{"key": "eurusd", "month": "2017-01"}]));
    let wrote = sandbox.run(&["init", "--json", "--config", "new.toml"]).exits(0).json();
    assert_eq!((&wrote["config"], &wrote["series"]), (&json!("new.toml"), &json!(["idx", "bqx"])));
}

#[test]
fn the_plans_estimate_of_bytes_is_near_what_is_written() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let estimate = sandbox.run(&["plan", "--json"]).exits(0).json()["write_bytes"].as_f64().unwrap();
    let written = sandbox.run(&["run", "--json"]).exits(0).json()["bytes"].as_f64().unwrap();
    assert!((0.5..2.0).contains(&(estimate / written)), "{estimate} for {written}");
}

#[test]
fn stdout_is_data_and_stderr_is_progress() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let run = sandbox.run(&["run"]).exits(0);
    assert!(run.stdout.starts_with("2 partitions: 2 written"), "{run}");
    assert!(
        run.stderr.contains("eurusd 2017-01: written (was missing)") && !run.stdout.contains("was missing"),
        "{run}"
    );
    let verified = sandbox.run(&["verify"]).exits(0);
    assert!(verified.stdout.starts_with("2 partitions: 2 verified"), "{verified}");
    assert!(verified.stderr.contains("eurusd 2017-02"), "{verified}");
}

#[test]
fn quiet_prints_only_what_was_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    let file = sandbox.bars_file("eurusd", "2017-01").display().to_string();
    let import = ["import", "--format", "csv", "--into", "parquet:fx", &file];
    for arguments in [&import[..], &["plan"], &["run"], &["verify"], &["drop", "eurusd:2017-01"]] {
        let answer = sandbox.run(&[arguments, &["--quiet"]].concat()).exits(0);
        let is_asked_for = arguments == ["plan"];
        assert!(answer.stderr.is_empty() && answer.stdout.is_empty() != is_asked_for, "{answer}");
    }
}

#[test]
fn only_selects_keys_and_partitions() {
    let sandbox = Sandbox::imported(&KEYS, &MONTHS);
    let run = sandbox.run(&["run", "--json", "--only", "usdjpy", "--only", "eurusd:2017-02"]).exits(0).json();
    assert_eq!((&run["partitions"], &run["written"]), (&json!(3), &json!(3)));
    assert!(!sandbox.part("eurusd", "2017-01").exists());
    sandbox.run(&["run", "--only", "gbpusd"]).exits(2).says(&["no key gbpusd; it has eurusd, usdjpy"]);
    sandbox
        .run(&["run", "--only", "eurusd:2018-01"])
        .exits(2)
        .says(&["`eurusd:2018-01` selects nothing: this job has 2017-01 to 2017-02 of eurusd"]);
}

#[test]
fn all_keys_and_open_months_are_those_of_the_store() {
    let sandbox = Sandbox::imported(&KEYS, &MONTHS);
    sandbox.import(&["usdjpy"], &["2017-03"]);
    let open = [
        ("ROLLFIT_PARTITIONS__KEYS", "all"),
        ("ROLLFIT_PARTITIONS__FROM", "first"),
        ("ROLLFIT_PARTITIONS__TO", "latest"),
    ];
    let run = sandbox.run_with(&open, &["run", "--json"]).exits(0).json();
    assert_eq!((&run["partitions"], &run["written"]), (&json!(5), &json!(5)));
    assert!(sandbox.part("usdjpy", "2017-03").exists());
    assert!(!sandbox.part("eurusd", "2017-03").exists());
}

#[test]
fn any_number_of_workers_gives_the_same_files() {
    let [one, four] = ["1", "4"].map(|workers| {
        let sandbox = Sandbox::imported(&KEYS, &MONTHS);
        sandbox.run(&["run", "--workers", workers]).exits(0);
        sandbox
    });
    let features = [one, four].map(|sandbox| Tree::read(&sandbox.path("fx/features")));
    assert!(features[0].has_the_files_of(&features[1]));
}

#[test]
fn the_demo_does_the_whole_job() {
    let sandbox = Sandbox::new();
    let demo = sandbox.run(&["demo", "--dir", "d"]).exits(0);
    let parts = ["9 written", "9 verified", "read_parquet", "d/store/features"];
    let demo = demo.says(&parts);
    assert!(demo.stdout.contains("0 failed"), "{demo}");
    let plan = sandbox.run(&["plan", "--json", "--config", "d/rollfit.toml"]).exits(0).json();
    assert_eq!(states(&plan), ["done"; 9]);
}

#[test]
fn the_demo_prints_one_json_document() {
    let sandbox = Sandbox::new();
    let demo = sandbox.run(&["demo", "--json", "--quiet"]).exits(0).json();
    assert_eq!(demo["run"]["written"], 9);
    assert_eq!(demo["verify"]["equal"], 9);
    assert_eq!(demo["import"]["keys"].as_array().unwrap().len(), 3);
    assert_eq!(demo["features"], "rollfit-demo/store/features");
}
