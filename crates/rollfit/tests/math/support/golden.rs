//! The golden file: windows with every metric to 25 digits, from a program that shares nothing with rollfit.

use std::path::PathBuf;

use num_rational::BigRational;
use rollfit::Metric;

use super::exact;

/// One window of the golden file.
#[derive(Clone, Debug)]
pub(crate) struct Golden {
    /// What sort of window it is, such as `spike`.
    pub(crate) kind: String,
    /// Oldest first.
    pub(crate) values: Vec<f64>,
    /// Those that the file has, in the order of the catalogue.
    pub(crate) metrics: Vec<(Metric, BigRational)>,
}

/// All golden windows; `None`, with a printed line, if the file is missing.
#[allow(clippy::print_stdout)] // a skipped test must say so
pub(crate) fn windows() -> Option<Vec<Golden>> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let shared = std::env::var_os("ROLLFIT_SHARED").map_or_else(beside, PathBuf::from);
    let path = shared.join("golden/fits.jsonl");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text.lines().map(golden).collect()),
        Err(error) => {
            println!("skipped: no golden file at {}: {error}", path.display());
            None
        }
    }
}

fn golden(line: &str) -> Golden {
    let json: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
    let metric = |&metric: &Metric| {
        let digits = json["metrics"].get(metric.name())?;
        Some((metric, exact::of_decimal(digits.as_str().expect("every metric is a string of digits"))))
    };
    Golden {
        kind: json["kind"].as_str().expect("a kind").to_owned(),
        values: values(line),
        metrics: Metric::ALL.iter().filter_map(metric).collect(),
    }
}

/// The numbers of `y`, read by the standard library: serde_json's default reader may be off by an ulp.
fn values(line: &str) -> Vec<f64> {
    let (_, rest) = line.split_once("\"y\": [").expect("an array y");
    let (numbers, _) = rest.split_once(']').expect("the end of y");
    numbers.split(',').map(|number| number.trim().parse().expect("a number")).collect()
}
