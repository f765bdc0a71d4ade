//! `rollfit analyze --probe`: what is measured without a run is told, and nothing that was written stays.

use std::fs;

use serde_json::Value;

use crate::running::{Running, signal};
use crate::sandbox::Sandbox;
use crate::tree::{Tree, walk};

const PROBE: [&str; 3] = ["analyze", "--probe", "--json"];

/// A figure that has to be there and above 0.
#[track_caller]
fn figure(document: &Value, pointer: &str) -> f64 {
    let figure = document.pointer(pointer).and_then(Value::as_f64);
    figure.filter(|figure| *figure > 0.0).unwrap_or_else(|| panic!("{pointer}: {figure:?} in {document:#}"))
}

#[track_caller]
fn is_estimate(document: &Value, pointer: &str) {
    let of = |part: &str| figure(document, &format!("{pointer}/{part}"));
    assert!(of("low") <= of("expected") && of("expected") <= of("high"), "{document:#}");
}

#[test]
fn machine_source_and_store_are_measured_and_nothing_stays() {
    let sandbox = Sandbox::imported(&["eurusd", "usdjpy"], &["2017-01", "2017-02"]);
    let before = Tree::of(sandbox.dir());
    let document = sandbox.run(&PROBE).exits(0).json();
    // The directory itself was written to, and is as it was.
    assert_eq!(before.differences(&Tree::of(sandbox.dir())), Vec::<String>::new());

    let rows: f64 = {
        let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
        plan["partitions"].as_array().unwrap().iter().map(|line| line["rows"].as_f64().unwrap()).sum()
    };
    assert_eq!(document["job"]["partitions"], 4);
    assert!((figure(&document, "/job/rows") / rows - 1.0).abs() < 0.02, "{document:#}");
    for part in ["alone", "together"] {
        let each = |name: &str| figure(&document, &format!("/computing/{part}/{name}"));
        assert!((each("cpu_us_per_row") * 1e3 / 12.0 / each("cpu_ns_per_fit") - 1.0).abs() < 1e-6);
        assert!(each("rows_per_s") > 0.0);
    }
    assert_eq!(document["reading"]["partitions"], 3);
    figure(&document, "/reading/us_per_row");
    for name in ["rows_per_s", "bytes_per_s", "cpu_us_per_row", "complete_us_per_row"] {
        figure(&document, &format!("/store/alone/{name}"));
    }
    assert!(document["took_s"].as_f64().unwrap() < 20.0, "{document:#}");
}

#[test]
fn the_time_of_the_whole_job_is_told_for_every_number_of_workers_that_can_be_known() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    let document = sandbox.run(&PROBE).exits(0).json();
    for pointer in ["/outlook/job_s", "/outlook/rows_per_s", "/outlook/scaling/0/rows_per_s"] {
        is_estimate(&document, pointer);
    }
    let scaling = document["outlook"]["scaling"].as_array().unwrap();
    assert!(scaling.iter().all(|line| line["basis"] != "measured"), "{scaling:?}");
    let said = sandbox.run(&["analyze", "--probe"]).exits(0);
    assert!(said.stdout.starts_with("FINDING\nThe whole job would take "), "{said}");
    said.says(&[
        "2 partitions with about",
        "computing, 1 thread",
        "writing, 1 file",
        "no gain: there are 2 partitions",
    ]);
}

#[test]
fn without_a_source_speed_is_told_and_no_time() {
    let sandbox = Sandbox::new();
    sandbox.configure(&["eurusd"], "2017-01", "2017-02");
    sandbox.run(&PROBE).exits(3).says(&["cannot open the store fx"]);
    fs::create_dir(sandbox.path("fx")).unwrap();
    let document = sandbox.run(&PROBE).exits(0).json();
    assert!(document["job"]["rows"].is_null() && document["reading"].is_null(), "{document:#}");
    assert!(document["outlook"]["job_s"].is_null(), "{document:#}");
    is_estimate(&document, "/outlook/rows_per_s");
    figure(&document, "/computing/together/rows_per_s");
    let notes = document["notes"].to_string();
    assert!(notes.contains("no partition could be read") && notes.contains("m1_eurusd"), "{notes}");
    // Not a single directory is left behind.
    assert_eq!(fs::read_dir(sandbox.path("fx")).unwrap().count(), 0);

    let all = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap().replace(r#"["eurusd"]"#, r#""all""#);
    sandbox.write("rollfit.toml", all);
    let notes = sandbox.run(&PROBE).exits(0).json()["notes"].to_string();
    assert!(notes.contains("no partitions to plan") && notes.contains("import some bars first"), "{notes}");
}

#[test]
fn a_directory_that_may_not_be_written_is_told_and_the_rest_is_measured() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let status = fs::metadata(sandbox.path("fx")).unwrap();
    let mut read_only = status.permissions();
    read_only.set_readonly(true);
    sandbox.give_away();
    fs::set_permissions(sandbox.path("fx"), read_only).unwrap();
    let document = sandbox.run_unprivileged(&PROBE).exits(0).json();
    assert!(document["store"].is_null() && document["outlook"].is_null(), "{document:#}");
    assert!(document["notes"].to_string().contains("Permission denied"), "{document:#}");
    figure(&document, "/computing/alone/rows_per_s");
    sandbox.run_unprivileged(&["analyze", "--probe"]).exits(0).says(&["the store could not be measured"]);
    fs::set_permissions(sandbox.path("fx"), status.permissions()).unwrap();
}

#[test]
fn an_interrupted_probe_leaves_nothing_behind() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let before = Tree::of(sandbox.dir());
    let running = Running::start(sandbox.command(&PROBE));
    let open_files = format!("/proc/{}/fd", running.id());
    let writes = || {
        let targets =
            fs::read_dir(&open_files).unwrap().filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        targets.into_iter().any(|target| target.to_string_lossy().contains(".measure."))
    };
    while !writes() {
        std::thread::yield_now();
    }
    signal(&running, "INT");
    let answer = running.finish();
    assert_ne!(answer.status.code(), Some(0), "{answer}");
    assert_eq!(before.differences(&Tree::of(sandbox.dir())), Vec::<String>::new());
    assert!(walk(sandbox.dir()).iter().all(|path| !path.to_string_lossy().contains(".measure.")));
}
