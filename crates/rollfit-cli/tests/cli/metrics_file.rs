//! `run --metrics-file`: figures that Prometheus takes, and that are those of the run.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::sandbox::Sandbox;

const MONTHS: [&str; 2] = ["2017-01", "2017-02"];

/// The samples of a text in Prometheus' format by name and labels, each line checked.
#[track_caller]
pub(crate) fn samples(text: &str) -> HashMap<String, f64> {
    let (mut samples, mut family) = (HashMap::new(), None);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = Some(rest.split_once(' ').unwrap().0.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(Some(name), family.as_deref(), "HELP and TYPE come together");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            assert_eq!(Some(name), family.as_deref(), "{line}");
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.starts_with("rollfit_") && name.chars().all(is_name), "{line}");
            let doubled = samples.insert(series.to_owned(), value.parse().unwrap());
            assert!(doubled.is_none(), "{line}");
        }
    }
    samples
}

#[test]
fn the_figures_are_those_of_the_run_in_a_form_that_prometheus_takes() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    let summary = sandbox.run(&["run", "--json", "--metrics-file", "rollfit.prom"]).exits(0).json();
    let path = sandbox.path("rollfit.prom");
    let samples = samples(&fs::read_to_string(&path).unwrap());
    let figures = [
        ("rollfit_partitions", 2.0),
        ("rollfit_partitions_written_total", 2.0),
        ("rollfit_partitions_failed_total", 0.0),
        ("rollfit_written_rows_total", summary["rows"].as_f64().unwrap()),
        ("rollfit_written_bytes_total", summary["bytes"].as_f64().unwrap()),
        ("rollfit_run_running", 0.0),
        ("rollfit_run_interrupted", 0.0),
    ];
    for (name, value) in figures {
        assert_eq!(samples[name], value, "{name}");
    }
    assert!(samples["rollfit_activity_seconds_total{activity=\"computing\"}"] > 0.0);
    let documented = crate::record::documented();
    for series in samples.keys() {
        let name = series.split('{').next().unwrap();
        assert!(documented.contains(&format!("`{name}`")), "{name} is not documented");
    }
    assert!(samples.keys().any(|series| series.starts_with("rollfit_run_info{run=\"")));
    let since = samples["rollfit_run_updated_time_seconds"] - samples["rollfit_run_start_time_seconds"];
    assert!(since + 0.01 >= samples["rollfit_run_duration_seconds"], "{since}");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_ne!(mode & 0o044, 0, "the collector is another user: {mode:o}");
    let names = fs::read_dir(sandbox.dir()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with('.')));
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_done() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    for flag in ["--metrics-file", "--trace"] {
        sandbox
            .run(&["run", flag, "none/file"])
            .exits(2)
            .says(&[flag, "cannot write none/file: No such file"]);
    }
    assert!(!sandbox.path("fx/features").exists());
}
