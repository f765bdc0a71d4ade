//! Files and keys that a job does not read are named, once: no result is made of less than the user put there without a
//! word.

use std::fs;
use std::os::unix::fs::symlink;

use crate::bars::SourceRows;
use crate::planted::fifo;
use crate::sandbox::{Answer, Sandbox};

const TABLE: &str = "fx/sources/m1_eurusd";

/// How often a message is said.
fn count(answer: &Answer, words: &str) -> usize {
    answer.stderr.matches(words).count()
}

#[test]
fn source_files_that_are_passed_over_are_named_once() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    let rows = SourceRows::of_month("2017-03", 50, 60);
    let write = |name: &str| rows.write(&sandbox.path(TABLE).join(name), "time", "rate_index");
    let names = [
        "year=2017/part-0.parquet",
        "a/b/c/deep.parquet",
        "part-1.PARQUET",
        "part-2.pq",
        "_part-3.parquet",
        ".part-4.parquet",
        "part-5",
        "2017-01.parquet.bak",
    ];
    for name in names {
        write(name);
        let answer =
            sandbox.run(&["run", "--force"]).exits(0).says(&[name, TABLE, "1 of its files are not read"]);
        assert_eq!(count(&answer, "of its files are not read"), 1, "{answer}");
        let path = sandbox.path(TABLE).join(name);
        fs::remove_file(path).unwrap();
    }
    for name in ["2017-03.csv", "2017-03.parquet.gz", "2017-03.CSV.zip", "O'Brien ü.csv"] {
        let path = sandbox.write(format!("{TABLE}/{name}"), "time,close\n");
        for command in ["plan", "verify"].map(|name| [name]) {
            let answer = sandbox.run(&command).exits(0).says(&[name]);
            assert_eq!(count(&answer, "of its files are not read"), 1, "{answer}");
        }
        fs::remove_file(path).unwrap();
    }
    names.iter().for_each(|name| write(name));
    sandbox
        .run(&["plan", "--quiet"])
        .exits(0)
        .says(&["warning: fx/sources/m1_eurusd: 8 of its files are not read", "and 3 more"]);
    let more = sandbox.bars_file("eurusd", "2017-03").display().to_string();
    sandbox
        .run(&["import", "--format", "csv", "--into", "parquet:fx", &more])
        .exits(0)
        .says(&["8 of its files are not read"]);
    let elsewhere = sandbox.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, sandbox.path("fx/sources/bqx_eurusd/linked")).unwrap();
    sandbox.run(&["plan"]).exits(0).says(&[
        "fx/sources/bqx_eurusd: 1 of its files are not read: linked (a link)",
        "only the directory of a table itself",
    ]);
}

#[test]
fn what_is_no_data_is_not_worth_a_word() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let rows = SourceRows::of_month("2017-03", 50, 60);
    for name in
        ["_metadata", "_common_metadata", "_temporary/0/part-0.parquet", "_delta_log/1.checkpoint.parquet"]
    {
        rows.write(&sandbox.path(TABLE).join(name), "time", "rate_index");
    }
    rows.write(&sandbox.path(TABLE).join(".2017-01.parquet.tmp"), "time", "rate_index");
    for name in [
        "_SUCCESS",
        "_committed_1",
        "_started_1",
        "README.md",
        ".2017-01.parquet.crc",
        "notes/about.txt",
        ".DS_Store",
    ] {
        sandbox.write(format!("{TABLE}/{name}"), "words");
    }
    fifo(&sandbox.path(TABLE).join("pipe"));
    let answer = sandbox.run(&["plan"]).exits(0);
    assert_eq!(answer.stderr, "", "{answer}");
}

#[test]
fn keys_that_all_passes_over_are_named_once_and_listed_keys_are_not_lectured() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    for table in ["m1_gbpusd", "bqx_usdjpy", "m1_.hidden", "notes"] {
        fs::create_dir(sandbox.path("fx/sources").join(table)).unwrap();
    }
    let listed = sandbox.run(&["doctor"]).exits(0);
    assert_eq!(count(&listed, "keys = \"all\" skips"), 0, "{listed}");
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    sandbox.write("rollfit.toml", text.replace(r#"["eurusd"]"#, r#""all""#));
    for command in [&["plan"][..], &["run"], &["doctor"], &["verify", "--quick"]] {
        let answer = sandbox.run(command).exits(0).says(&[
            "3 tables of the source",
            "m1_gbpusd (table bqx_gbpusd does not exist)",
            "bqx_usdjpy (table m1_usdjpy does not exist)",
            "m1_.hidden (`.hidden` is not a key",
        ]);
        assert_eq!(count(&answer, "keys = \"all\" skips"), 1, "{answer}");
    }
    fs::create_dir(sandbox.path("fx/sources/bqx_gbpusd")).unwrap();
    sandbox.run(&["plan"]).exits(0).says(&["2 tables", "fx/sources/m1_gbpusd has no rows"]);
}
