//! Memory: it grows with a partition's input and one row group, not with its features.

use std::fs;
use std::time::Duration;

use crate::bars::SourceRows;
use crate::running::Running;
use crate::sandbox::Sandbox;

/// A row group of the features: instants and 180 doubles.
const ROW_GROUP_BYTES: u64 = 65_536 * 181 * 8;
/// An input row: the instant and two values.
const INPUT_ROW_BYTES: u64 = 3 * 8;

/// The most memory in bytes that a run of one partition of so many rows holds.
fn peak_of_run(rows: usize) -> u64 {
    let sandbox = Sandbox::new();
    sandbox.drop_in("big", "2017-01.parquet", &SourceRows::of_month("2017-01", rows, 2));
    sandbox.configure(&["big"], "2017-01", "2017-01");
    let running = Running::start(sandbox.command(&["run", "--json", "--log-format", "json"]));
    let status = format!("/proc/{}/status", running.id());
    let watched = std::thread::spawn(move || {
        let mut peak = 0;
        while let Some(bytes) = fs::read_to_string(&status).ok().as_deref().and_then(high_water_mark) {
            peak = peak.max(bytes);
            std::thread::sleep(Duration::from_millis(1));
        }
        peak
    });
    let run = running.finish().exits(0).json();
    assert_eq!(run["rows"], rows);
    let seen = watched.join().unwrap();
    let told = run["peak_memory_bytes"].as_u64().unwrap();
    assert!(seen < told + (1 << 20), "the run tells of {told} bytes, the system of {seen}");
    told.max(seen)
}

/// None for a process that has ended.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().unwrap() * 1024)
}

#[test]
fn memory_grows_by_the_input_and_one_row_group() {
    const FEW: usize = 30_000;
    const MANY: usize = 1_000_000;
    let [few, many] = [FEW, MANY].map(peak_of_run);
    let input = (MANY - FEW) as u64 * INPUT_ROW_BYTES;
    let allowed = input + ROW_GROUP_BYTES;
    println!("peak {few} bytes for {FEW} rows, {many} for {MANY}; grown by {} of {allowed}", many - few);
    assert!(many - few <= allowed, "grown by {}, allowed {allowed}", many - few);
}
