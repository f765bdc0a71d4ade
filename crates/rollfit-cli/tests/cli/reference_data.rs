//! The reference workload, a part of it: real market data imports, runs and verifies with the rows it is known to have.

use std::path::{Path, PathBuf};

use crate::sandbox::Sandbox;

/// Bars of two pairs in two months, counted apart from this project.
const BARS: [(&str, &str, u64); 4] = [
    ("eurusd", "2017-01", 31_202),
    ("eurusd", "2017-02", 28_779),
    ("usdjpy", "2017-01", 31_202),
    ("usdjpy", "2017-02", 28_775),
];

/// The files of the shared data, or none, said aloud, where it is absent.
fn files() -> Option<Vec<PathBuf>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("ROLLFIT_SHARED").map_or_else(beside, PathBuf::from);
    let path =
        |(pair, month, _): (&str, &str, u64)| shared.join(format!("data/m1/pair={pair}/{month}.parquet"));
    let files = BARS.map(path).to_vec();
    if let Some(absent) = files.iter().find(|file| !file.exists()) {
        println!("skipped: shared data {} is absent", absent.display());
        return None;
    }
    Some(files)
}

#[test]
fn real_market_data_imports_runs_and_verifies() {
    let Some(files) = files() else { return };
    let sandbox = Sandbox::new();
    let mut import =
        ["import", "--json", "--format", "parquet", "--into", "parquet:fx"].map(PathBuf::from).to_vec();
    import.extend(files);
    let imported = sandbox.run(&import).exits(0).json();
    for (file, (pair, _, bars)) in imported["files"].as_array().unwrap().iter().zip(BARS) {
        assert_eq!((&file["key"], &file["rows_kept"]), (&pair.into(), &bars.into()));
    }
    assert_eq!(imported["keys"][0]["base"]["close"], 1.0519);
    assert_eq!(imported["keys"][1]["base"]["close"], 116.87);

    sandbox.configure(&["eurusd", "usdjpy"], "2017-01", "2017-02");
    let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
    for (line, (_, month, bars)) in plan["partitions"].as_array().unwrap().iter().zip(BARS) {
        // A key's first 15 bars have no backward return, and so no row in the join.
        let rows = bars - if month == "2017-01" { 15 } else { 0 };
        assert_eq!((&line["partition"]["month"], &line["rows"]), (&month.into(), &rows.into()));
    }
    let bars: u64 = BARS.iter().map(|(_, _, bars)| bars).sum();
    let run = sandbox.run(&["run", "--json"]).exits(0).json();
    assert_eq!((&run["written"], &run["rows"]), (&4.into(), &(bars - 30).into()));
    let warmup = 4 * (14 + 29 + 44 + 59 + 74 + 89) * 15 * 2;
    assert_eq!((&run["no_value"]["warmup"], &run["no_value"]["input"]), (&warmup.into(), &0.into()));

    let verified = sandbox.run(&["verify", "--sample", "50", "--json"]).exits(0).json();
    assert_eq!((&verified["equal"], &verified["different"]), (&4.into(), &0.into()));
    assert_eq!(verified["cells"], (bars - 30) * 180);
    assert_eq!(verified["reference_cells"], 4 * 50 * 180);
    sandbox.run(&["run"]).exits(0).says(&["0 written, 4 already done"]);
}
