//! What an import reads and where it goes: directories, standard input, and the store of the configuration. Nothing is left
//! out without a word, and nothing is read twice.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::bars::{bars, csv};
use crate::sandbox::{Answer, ROLLFIT, Sandbox};
use crate::tree::Tree;

const CSV: [&str; 3] = ["import", "--format", "csv"];
const KEYS: [&str; 2] = ["eurusd", "usdjpy"];
const MONTHS: [&str; 2] = ["2017-01", "2017-02"];

fn import(sandbox: &Sandbox, arguments: &[&str]) -> Answer {
    sandbox.run(&[&CSV[..], arguments].concat())
}

/// A sandbox with the files of two keys and two months under `bars`.
fn with_files() -> (Sandbox, Vec<PathBuf>) {
    let sandbox = Sandbox::new();
    let files = KEYS.iter().flat_map(|key| MONTHS.map(|month| (key, month)));
    let files = files.map(|(key, month)| sandbox.bars_file(key, month)).collect();
    (sandbox, files)
}

fn sources(sandbox: &Sandbox, store: &str) -> Tree {
    Tree::read(&sandbox.path(format!("{store}/sources")))
}

#[test]
fn without_a_store_there_is_one_error_with_both_ways_out() {
    let (sandbox, files) = with_files();
    let answer = import(&sandbox, &[files[0].to_str().unwrap()]).exits(2);
    let answer = answer
        .says(&["configuration rollfit.toml does not exist", "import needs a store: give --into STORE"]);
    assert_eq!(answer.stderr.lines().count(), 1, "{answer}");
}

#[test]
fn a_table_with_directories_of_keys_is_refused_before_anything_is_written() {
    let (sandbox, files) = with_files();
    let file = files[0].to_str().unwrap();
    sandbox.write("fx/sources/m1_all/symbol=eurusd/a.parquet", "rows of another program");
    let answer = import(&sandbox, &["--into", "parquet:fx", "--key", "all", file]).exits(1);
    answer.says(&["m1_all is a long table", "symbol=eurusd", "import with another --key than all"]);
    assert!(!sandbox.path("fx/sources/bqx_all").exists());
    import(&sandbox, &["--into", "parquet:fx", "--key", "eurusd", file]).exits(0);
}

// ------------------------------------------------------------------------------------------- directories

#[test]
fn a_directory_is_its_files_and_what_is_not_read_is_named() {
    let (sandbox, files) = with_files();
    let listed: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
    import(&sandbox, &[&["--into", "parquet:listed"], &listed[..]].concat()).exits(0);

    sandbox.write("bars/notes.md", "no bars");
    sandbox.write("bars/.csv", "no bars");
    sandbox.write("bars/key=eurusd/2017-01.txt", "a report");
    symlink(sandbox.path("bars"), sandbox.path("bars/again")).unwrap();
    let found = import(&sandbox, &["--into", "parquet:found", "--json", "bars"]).exits(0);
    let names = [
        "passed over in directories: bars/.csv (hidden)",
        "bars/notes.md (another ending)",
        "(hidden)",
        "(a link)",
    ];
    let document = found.says(&names).json();
    let names = |array: &Value| -> Vec<String> {
        let lines = array.as_array().unwrap();
        lines.iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect()
    };
    let wanted = KEYS
        .iter()
        .flat_map(|key| MONTHS.map(|month| format!("bars/key={key}/{month}.csv")))
        .collect::<Vec<_>>();
    assert_eq!(names(&document["files"]), wanted);
    assert_eq!(
        names(&document["passed_over"]),
        ["bars/.csv", "bars/again", "bars/key=eurusd/2017-01.txt", "bars/notes.md"]
    );
    assert_eq!(document["passed_over"][2]["reason"], "report");
    let differences = sources(&sandbox, "listed").differences(&sources(&sandbox, "found"));
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn a_file_that_is_reached_again_is_read_once_and_the_same_bars_elsewhere_are_repeats() {
    let (sandbox, _) = with_files();
    let january = "bars/key=eurusd/2017-01.csv";
    let again = ["--into", "parquet:fx", "--json", "bars", january, "./bars/../bars/key=eurusd"];
    let document = import(&sandbox, &again).exits(0).says(&["named more than once, read once"]).json();
    assert_eq!(document["files"].as_array().unwrap().len(), 4);
    assert_eq!(document["keys"][0]["between_files"]["repeats_dropped"], 0);
    sandbox.write("copies/key=eurusd/copy.csv", csv(&bars("eurusd", "2017-01")));
    let document = import(&sandbox, &["--into", "parquet:fx", "--json", "bars", "copies"]).exits(0).json();
    assert_eq!(document["keys"][0]["between_files"]["repeats_dropped"], bars("eurusd", "2017-01").len());
}

#[test]
fn a_directory_without_data_or_with_a_bad_file_imports_nothing() {
    let (sandbox, _) = with_files();
    fs::create_dir(sandbox.path("empty")).unwrap();
    import(&sandbox, &["--into", "parquet:fx", "bars", "empty"])
        .exits(1)
        .says(&["empty: the directory has no file"]);
    import(&sandbox, &["--into", "parquet:fx", "none"]).exits(1).says(&["none: cannot be opened"]);
    sandbox.write("bars/key=gbpusd/bad.csv", "time,close\n2017-01-02T00:00:00Z,oops\n");
    import(&sandbox, &["--into", "parquet:fx", "bars"]).exits(1).says(&["key=gbpusd/bad.csv:2"]);
    sandbox.write("bars/key=gbpusd/bad.csv", "time,close\n2017-01-02T00:00:00Z,1.2\n");
    sandbox.write("bars/unknown.csv", "time,close\n2017-01-02T00:00:00Z,1.2\n");
    import(&sandbox, &["--into", "parquet:fx", "bars"]).exits(2).says(&["bars/unknown.csv", "use --key"]);
    assert!(!sandbox.path("fx").exists());
    fs::remove_file(sandbox.path("bars/unknown.csv")).unwrap();
    import(&sandbox, &["--into", "parquet:fx", "bars"]).exits(0).says(&["5 files of 3 keys"]);
}

// ---------------------------------------------------------------------------------------- standard input

#[test]
fn standard_input_gives_the_bytes_that_the_file_gives_packed_or_not() {
    let (sandbox, files) = with_files();
    let file = files[0].display().to_string();
    import(&sandbox, &["--into", "parquet:file", "--key", "EURUSD", &file]).exits(0);
    for (store, filter) in [("plain", "cat"), ("packed", "gzip -c")] {
        let mut piped = sandbox.in_clean_environment("sh");
        let script =
            format!(r#"{filter} "$1" | "$0" import --format csv --into parquet:{store} --key EURUSD -"#);
        piped.args(["-c", &script, ROLLFIT, &file]);
        Answer::from_command(piped).exits(0).says(&["read <stdin>: "]);
        let differences = sources(&sandbox, "file").differences(&sources(&sandbox, store));
        assert!(differences.is_empty(), "{store}: {differences:?}");
    }
}

#[test]
fn standard_input_that_cannot_be_read_says_what_to_do() {
    let sandbox = Sandbox::new();
    let refused = |arguments: &[&str], input: &[u8]| {
        let path = sandbox.write("input", input);
        let mut command = sandbox.command(&[&["import", "--into", "parquet:fx"], arguments].concat());
        command.stdin(fs::File::open(path).unwrap());
        Answer::from_command(command)
    };
    let bad = b"time,close\n2017-01-02T00:00:00Z,1.2\n2017-01-02T00:01:00Z,oops\n";
    let csv = ["--format", "csv", "--key", "eurusd", "-"];
    refused(&csv, bad).exits(1).says(&["<stdin>:3: the close is not a number"]);
    refused(&csv, b"").exits(1).says(&["<stdin>: the file is empty"]);
    refused(&csv, b"PK\x03\x04...").exits(1).says(&["a zip cannot be read from standard input"]);
    refused(&["--format", "csv", "-"], bad).exits(2).says(&["use --key"]);
    refused(&[&csv[..], &["-"]].concat(), bad).exits(2).says(&["only once"]);
    refused(&["--format", "parquet", "--key", "eurusd", "-"], bad).exits(2).says(&["name the file"]);
    assert!(!sandbox.path("fx").exists());
    let good = b"time,close\n2017-01-02T00:00:00Z,1.2\n";
    refused(&csv, good).exits(0).says(&["1 file of 1 key, 1 bars"]);
    // The directory in which a command runs says nothing of standard input.
    fs::create_dir(sandbox.path("key=usdjpy")).unwrap();
    let mut inside = sandbox.command(&["import", "--into", "parquet:fx", "--format", "csv", "-"]);
    inside.current_dir(sandbox.path("key=usdjpy"));
    Answer::from_command(inside).exits(2).says(&["use --key"]);
}

#[test]
fn a_file_called_like_standard_input_is_a_file() {
    let sandbox = Sandbox::new();
    for (name, argument) in [("-", "./-"), ("<stdin>", "<stdin>")] {
        sandbox.write(name, "time,close\n2017-01-02T00:00:00Z,1.2\n");
        import(&sandbox, &["--into", "parquet:fx", "--key", "eurusd", argument]).exits(0);
    }
}

// ---------------------------------------------------------------------------- the store of a configuration

#[test]
fn an_import_goes_where_the_configuration_reads_series() {
    let (sandbox, _) = with_files();
    sandbox.configure(&KEYS, MONTHS[0], MONTHS[1]);
    import(&sandbox, &["bars"]).exits(0).says(&["the parquet store of rollfit.toml", "4 files of 2 keys"]);
    sandbox.run(&["run", "--quiet"]).exits(0);

    // Only [store] or [source] is read, and paths start from the configuration.
    let part =
        "[source]\nurl = \"parquet:raw\"\n[store]\nurl = \"parquet:other\"\n[run]\nworkers = \"none\"\n";
    sandbox.write("conf/part.toml", part);
    import(&sandbox, &["--config", "conf/part.toml", "bars"]).exits(0);
    assert!(sandbox.path("conf/raw/sources/m1_eurusd").exists());
    assert!(!sandbox.path("conf/other").exists());

    // Variables replace it, and need no file; their paths start from the working directory.
    let variables = [("ROLLFIT_SOURCE__URL", "parquet:by_variable"), ("ROLLFIT_CONFIG", "none.toml")];
    sandbox.run_with(&variables, &[&CSV[..], &["bars"]].concat()).exits(0);
    assert!(sandbox.path("by_variable/sources/m1_eurusd").exists());

    // --into wins, whatever the configuration says.
    sandbox.write("broken.toml", "[store");
    let variables = [("ROLLFIT_CONFIG", "broken.toml")];
    sandbox.run_with(&variables, &[&CSV[..], &["--into", "parquet:given", "bars"]].concat()).exits(0);
    assert!(sandbox.path("given/sources/m1_eurusd").exists());
}

#[test]
fn without_a_store_both_ways_to_name_one_are_said() {
    let (sandbox, _) = with_files();
    let both = ["give --into STORE", "[source] or [store]"];
    import(&sandbox, &["bars"]).exits(2).says(&["rollfit.toml does not exist"]).says(&both);
    for text in
        ["[sink]\nurl = \"parquet:fx\"\n", "", "[store\n", "[store]\nurl = \"parquet:fx\"\nkind = 1\n"]
    {
        sandbox.write("rollfit.toml", text);
        import(&sandbox, &["bars"]).exits(2).says(&["rollfit.toml: "]).says(&both);
    }
    assert!(!sandbox.path("fx").exists());
}

#[test]
fn options_of_a_store_go_with_into_only_and_with_a_database_only() {
    let (sandbox, _) = with_files();
    sandbox.configure(&KEYS, MONTHS[0], MONTHS[1]);
    for (option, setting) in [("--schema", "schema"), ("--password-command", "password_command")] {
        let set = format!("set {setting} in its [source] or [store]");
        import(&sandbox, &[option, "x", "bars"]).exits(2).says(&[option, "belongs to --into", &set]);
        let into = ["--into", "parquet:fx", option, "x", "bars"];
        import(&sandbox, &into).exits(2).says(&[option, "leave it out"]);
    }
    assert!(!sandbox.path("fx").exists());
    assert_eq!(import(&sandbox, &["--json", "bars"]).exits(0).json()["passed_over"], json!([]));
}
