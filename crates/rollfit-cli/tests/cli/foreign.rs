//! Text of strangers in what is printed: nothing in it acts on a terminal, starts a line of its own or fills the screen.

use std::fs::{self, File};
use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, TimestampMicrosecondArray};
use rollfit_job::record::PartitionOutcome;
use rollfit_job::store::{StoreSample, StoreWait, WaitKind};
use rollfit_testkit::record::{lines, made};

use crate::bars::{config, write_parquet};
use crate::sandbox::{Answer, Sandbox};

/// Colours, a title, a cleared screen, a reversed line, a line of its own; within what a file name may hold.
const EVIL: &str =
    "\u{1b}[31m\u{1b}]0;title\u{7}\u{9b}2J\u{202e}\u{2066}\u{200f}\u{feff}\u{e0041}\r\nFAKE\u{2028}";

impl Answer {
    /// Checks that what was printed is what it seems.
    #[track_caller]
    fn reads_plainly(self) -> Self {
        for text in [&self.stdout, &self.stderr] {
            let is_invisible = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0041}');
            let deceives = |c: char| c != '\n' && c.is_control() || is_invisible(c);
            assert_eq!(text.chars().find(|c| deceives(*c)), None, "{text:?}");
            assert!(!text.contains("\nFAKE"), "{text:?}");
            let longest = text.lines().map(str::len).max();
            assert!(longest < Some(10_000), "{longest:?}");
        }
        self
    }
}

/// A record in which strangers wrote every text.
fn evil_record(sandbox: &Sandbox) -> String {
    let mut record = made(12, 2);
    let long = format!("{EVIL}{}", "x".repeat(100_000));
    let header = &mut record.header;
    for text in [
        &mut header.run,
        &mut header.started,
        &mut header.host,
        &mut header.config,
        &mut header.source,
        &mut header.sink,
        &mut header.sink_kind,
        &mut header.kernel,
    ] {
        text.push_str(EVIL);
    }
    header.machine.unavailable.push(long.clone());
    header.settings[0].name.push_str(EVIL);
    record.partitions.iter_mut().for_each(|end| end.partition.key.push_str(EVIL));
    record.partitions[3].outcome = PartitionOutcome::Failed;
    record.partitions[3].cause = Some(long.clone());
    record.retries[0].cause.push_str(EVIL);
    record.decisions[0].reason.push_str(EVIL);
    record.unavailable[0].what.push_str(EVIL);
    record.unavailable[0].cause = long;
    for sample in &mut record.samples {
        sample.activities.insert(EVIL.to_owned(), 1);
        sample.store = Some(StoreSample {
            waits: vec![StoreWait { kind: WaitKind::Other, event: EVIL.to_owned(), sessions: 1 }],
            lock_holders: vec![EVIL.to_owned()],
            ..Default::default()
        });
    }
    sandbox.write("evil.jsonl", lines(record)).display().to_string()
}

#[test]
fn records_of_strangers_do_nothing_to_a_terminal() {
    let sandbox = Sandbox::new();
    let record = evil_record(&sandbox);
    for arguments in [
        &["status"][..],
        &["status", "--json"],
        &["analyze"],
        &["analyze", "--json"],
        &["analyze", "--markdown"],
    ] {
        sandbox.run(&[arguments, &[&record]].concat()).exits(0).reads_plainly();
    }
    sandbox
        .run(&["analyze", &record, "--html", "page.html", "--trace", "trace.json"])
        .exits(0)
        .reads_plainly();
    for file in ["page.html", "trace.json"] {
        let text = fs::read_to_string(sandbox.path(file)).unwrap();
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{2028}']), "{file}");
    }
    sandbox.write("bad.jsonl", format!("{{\"event\":\"{}\"}}\n", EVIL.escape_default()));
    sandbox.run(&["analyze", "./bad.jsonl"]).exits(1).reads_plainly();
}

#[test]
fn names_of_files_and_columns_do_nothing_to_a_terminal() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    let evil_file = sandbox.write(format!("fx/sources/m1_eurusd/2017-02{EVIL}.parquet"), "broken");
    for format in ["text", "json"] {
        for verb in ["plan", "run"] {
            sandbox.run(&[verb, "--log-format", format]).exits(1).reads_plainly().says(&["2017-02"]);
        }
    }
    sandbox.run(&["plan", "--json"]).exits(1).reads_plainly();
    fs::remove_file(evil_file).unwrap();

    let name = format!("{EVIL}{}", "wide".repeat(50_000));
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![1_486_000_800_000_000]));
    let value: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    let table = sandbox.path("fx/sources/m1_eurusd/2017-02.parquet");
    write_parquet(&table, vec![("time", time), (&name, value)]);
    sandbox
        .run(&["run"])
        .exits(1)
        .reads_plainly()
        .says(&["column `rate_index` does not exist", "\\u{1b}[31m"]);

    let stranger = sandbox.part("eurusd", "2017-01").with_file_name(format!("more{EVIL}"));
    fs::write(stranger, "").unwrap();
    sandbox.run(&["plan"]).exits(1).reads_plainly().says(&["was not written by rollfit"]);
    let bars = sandbox.write(format!("bars/{EVIL}.csv"), "time,close\n2017-01-02T00:00:00Z,1,5\n");
    let import = ["import", "--format", "csv", "--into", "parquet:new", "--key", "eurusd"].map(Into::into);
    sandbox.run(&[&import[..], &[bars]].concat()).reads_plainly();
}

#[test]
fn the_note_in_a_lock_does_nothing_to_a_terminal() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let path = sandbox.part("eurusd", "2017-01").with_file_name(".lock");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut lock = File::create(path).unwrap();
    lock.lock().unwrap();
    lock.write_all(format!("{EVIL}{}", "x".repeat(1_000_000)).as_bytes()).unwrap();
    let no_wait = [("ROLLFIT_RUN__LOCK_WAIT_S", "0")];
    sandbox.run_with(&no_wait, &["run"]).exits(1).reads_plainly().says(&["in use by"]);
    sandbox.run_with(&no_wait, &["run", "--json"]).exits(1).reads_plainly();
    sandbox.run(&["status"]).exits(0).reads_plainly();
}

#[test]
fn names_in_a_configuration_do_nothing_to_a_terminal() {
    let sandbox = Sandbox::new();
    let text = config(&["eurusd"], "2017-01", "2017-01");
    let evil = "\"\\u001B[31m\\u009B\\u202E\\nFAKE\"";
    for wrong in [format!("{text}{evil} = 1\n"), text.replace("w15 = 15", &format!("{evil} = 1"))] {
        sandbox.write("rollfit.toml", wrong);
        sandbox.run(&["plan"]).exits(2).reads_plainly();
    }
    sandbox.write("rollfit.toml", text.replace("[run]", "[run]\nworkerz = 2"));
    let hint = sandbox.run(&["plan"]).exits(2).reads_plainly();
    assert!(hint.stderr.contains("; did you mean `workers`?") && hint.stderr.lines().count() == 1, "{hint}");
}
