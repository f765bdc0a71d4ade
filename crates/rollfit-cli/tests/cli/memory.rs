//! Memory: it grows with a partition's input and one row group, not with its features, with the bars of an import, not with
//! their text, and not with what a packed file unpacks to.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use crate::bars::SourceRows;
use crate::running::Running;
use crate::sandbox::{Answer, Sandbox};

/// A row group of the features: instants and 180 doubles.
const ROW_GROUP_BYTES: u64 = 32_768 * 181 * 8;
/// An input row: the instant and two values.
const INPUT_ROW_BYTES: u64 = 3 * 8;
/// A bar of an import: the instant and the close.
const BAR_BYTES: u64 = 2 * 8;

/// The most memory in bytes that a run of one partition of so many rows holds.
fn peak_of_run(rows: usize) -> u64 {
    let sandbox = Sandbox::new();
    sandbox.drop_in("big", "2017-01.parquet", &SourceRows::of_month("2017-01", rows, 2));
    sandbox.configure(&["big"], "2017-01", "2017-01");
    let (run, seen) = watched(sandbox.command(&["run", "--json", "--log-format", "json"]));
    let run = run.exits(0).json();
    assert_eq!(run["rows"], rows);
    let told = run["peak_memory_bytes"].as_u64().unwrap();
    assert!(seen < told + (1 << 20), "the run tells of {told} bytes, the system of {seen}");
    told.max(seen)
}

/// Runs a command to its end, and the most memory in bytes that the system saw it hold.
fn watched(command: Command) -> (Answer, u64) {
    let running = Running::start(command);
    let status = format!("/proc/{}/status", running.id());
    let watched = std::thread::spawn(move || {
        let mut peak = 0;
        while let Some(bytes) = fs::read_to_string(&status).ok().as_deref().and_then(high_water_mark) {
            peak = peak.max(bytes);
            std::thread::sleep(Duration::from_millis(1));
        }
        peak
    });
    (running.finish(), watched.join().unwrap())
}

/// The most memory in bytes that an import of a zip holds whose entry has two bars and `blank_bytes` of blank lines.
fn peak_of_zip(blank_bytes: usize) -> u64 {
    let sandbox = Sandbox::new();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("bars.csv", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(b"time,close\n2017-03-01T00:00Z,1.5\n2017-03-01T00:01Z,1.6\n").unwrap();
    let line = [vec![b' '; 32_767], vec![b'\n']].concat();
    (0..blank_bytes / line.len()).for_each(|_| zip.write_all(&line).unwrap());
    sandbox.write("bars.zip", zip.finish().unwrap().into_inner());
    let arguments = ["import", "--format", "csv", "--into", "parquet:fx", "--key", "eurusd", "bars.zip"];
    let (answer, peak) = watched(sandbox.command(&arguments));
    answer.exits(0).says(&["2 bars"]);
    peak
}

#[test]
fn a_zip_is_unpacked_as_it_is_read() {
    const MANY: usize = 100_000_000;
    let [few, many] = [0, MANY].map(peak_of_zip);
    assert!(many < few + MANY as u64 / 10, "{few} bytes without the blank lines, {many} with {MANY} of them");
}

/// The peak memory in bytes of importing a text file of `bars` bars, whose rows alternate between `keys` keys.
fn peak_of_text(bars: usize, keys: usize) -> u64 {
    const START_S: usize = 1_483_228_800;
    let sandbox = Sandbox::new();
    let row = |at: usize| {
        let (key, time) = (at % keys, START_S + 60 * (at / keys));
        format!("k{key},{time},1.055220,1.055290,1.055220,1.0552{:02},0\n", 22 + at % 60)
    };
    let rows: String = (0..bars).map(row).collect();
    sandbox.write("bars.csv", format!("symbol,time,open,high,low,close,volume\n{rows}"));
    let (says_key, of_keys) =
        if keys == 1 { (["--key", "k0"], "1 key") } else { (["--key-column", "symbol"], "20 keys") };
    let arguments = ["import", "--format", "csv", "--into", "parquet:fx", "bars.csv"];
    let (answer, peak) = watched(sandbox.command(&[&arguments[..], &says_key].concat()));
    answer.exits(0).says(&[&format!("1 file of {of_keys}")]);
    peak
}

#[test]
fn an_import_holds_its_bars_and_not_their_text() {
    const FEW: usize = 1_000;
    const MANY: usize = 2_000_000;
    for keys in [1, 20] {
        let [few, many] = [FEW, MANY].map(|bars| peak_of_text(bars, keys));
        let allowed = MANY as u64 * BAR_BYTES + 100_000_000;
        println!(
            "{keys} keys: peak {few} bytes for {FEW} bars, {many} for {MANY}; grown by {} of {allowed}",
            many - few
        );
        assert!(many - few <= allowed, "{keys} keys: grown by {}, allowed {allowed}", many - few);
    }
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
