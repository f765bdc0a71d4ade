//! What a job cannot have: names that are taken or too long, and too many of anything. Of many entries the wrong one is
//! named, and no other.

use super::tests::{assert_error, changed, parse};
use super::*;
use crate::partition::Partition;

#[test]
fn outputs_are_no_source_tables_and_no_parents() {
    let refused = |old: &str, new: &str, keys: [&str; 2], parts: &[&str]| {
        let config = changed(old, new).unwrap();
        let partition = |key: &&str| Partition::new((*key).to_owned(), "2017-01".parse().unwrap());
        let partitions: Vec<Partition> = keys.iter().map(partition).collect();
        let checked = config.check_outputs(partitions.iter());
        let Err(error) = checked else { return assert!(parts.is_empty(), "{new} passes") };
        let error = error.to_string();
        assert!(!parts.is_empty(), "{error}");
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }
    };
    let (rate, keys) = ("reg_rate_{key}_{yyyy}_{mm}", ["a", "b"]);
    refused(
        rate,
        "m1_{key}",
        keys,
        &["a 2017-01 of series `idx`", "`m1_a`", "a source table of series `idx`"],
    );
    refused(rate, "bqx_{key}", keys, &["[series.idx] features", "`bqx_a`", "a source table of series `bqx`"]);
    // The features of one key have the name of another key's bars.
    let crossed = ["a", "a_2017_01"];
    refused(
        rate,
        "m1_{key}_{yyyy}_{mm}",
        crossed,
        &["a 2017-01", "`m1_a_2017_01`", "choose another pattern"],
    );
    refused(rate, "m1_{key}_{yyyy}_{mm}", keys, &[]);
    let parent = "# parent = \"reg_rate_{key}\"";
    refused(
        parent,
        "parent = \"reg_bqx_{key}_{yyyy}_01\"",
        keys,
        &["`reg_bqx_a_2017_01`", "the `parent` of"],
    );
    refused(
        parent,
        "parent = \"bqx_{key}\"",
        keys,
        &["[series.idx] parent: `bqx_", "source table of series `bqx`"],
    );
    refused(parent, "parent = \"reg_bqx_{key}\"", keys, &[]);
}

#[test]
fn a_name_that_no_store_can_have_is_refused() {
    assert_error(changed("\"m1_{key}\"", "\"m1_\\u0000{key}\""), &["[series.idx] table", "zero byte"]);
    let long = format!("table = \"{}\"", "x".repeat(1001));
    assert_error(changed("table = \"m1_{key}\"", &long), &["[series.idx] table", "at most 1000"]);
    let label = |label: &str| changed("\nw15 = 15", &format!("\n\"{label}\" = 15"));
    assert_error(label(&"w".repeat(249)), &["[series.idx] column", "256 bytes", "at most 255"]);
    assert!(label(&"w".repeat(200)).is_ok() && label("a b\\n").is_ok());
    assert_error(label("\\u0000"), &["[series.idx] column", "zero byte"]);
    let text = EXAMPLE.replace("\nw15 = 15", "\n\"\" = 15").replace("{metric}_{series}_{window}", "{window}");
    assert_error(parse(&text), &["[series.idx] column", "no name", "give the window a label"]);
}

// ---------------------------------------------------------------------------------------------- how many

fn windows(count: usize) -> String {
    (0..count).map(|at| format!("w{at} = {}\n", at + 3)).collect()
}

/// The example with `count` windows of other lengths.
fn with_windows(count: usize) -> String {
    let (before, after) = EXAMPLE.split_once("\n[windows]\n").unwrap();
    let after = &after[after.find("[features]").unwrap()..];
    format!("{before}\n[windows]\n{}{after}", windows(count))
}

#[test]
fn of_ten_thousand_windows_and_a_hundred_thousand_keys_the_wrong_one_is_named() {
    let short = |result: Result<JobConfig, ConfigError>, parts: &[&str]| {
        let error = result.unwrap_err().to_string();
        assert!(error.len() < 300, "{error}");
        parts.iter().for_each(|part| assert!(error.contains(part), "{part}: {error}"));
    };
    let text = with_windows(10_000);
    assert_eq!(parse(&text).unwrap().feature_count(), 300_000);
    short(parse(&text.replace("w7000 = 7003", "w7000 = 2")), &["[windows] w7000 = 2"]);
    short(parse(&text.replace("w7000 = 7003", "w7000 = 7002")), &["w7000 = 7002", "`w6999`"]);
    let keys = |wrong: &str| {
        let mut keys: Vec<String> = (0..100_000).map(|at| format!("\"k{at}\"")).collect();
        keys[77_777] = format!("\"{wrong}\"");
        changed("\"eurusd\", \"gbpusd\"", &keys.join(", "))
    };
    assert!(keys("k77777").is_ok());
    short(keys("../x"), &["`../x` is not a key"]);
    short(keys("k5"), &["`k5` is listed twice"]);
}

#[test]
fn more_features_than_a_job_can_have_are_refused_before_they_are_named() {
    let text = with_windows(70_000);
    assert_error(
        parse(&text),
        &["[series.idx]: 70000 windows", "x 15 metrics", "at most 1000000", "metrics"],
    );
    let few = text.replace("# metrics = [\"a2\", \"a1\", \"b\"]", "metrics = [\"r2\"]");
    assert!(parse(&few).is_ok());
}

#[test]
fn a_configuration_longer_than_any_is_refused() {
    let comment = format!("# {}\n", "x".repeat(CONFIG_BYTES_MAX - EXAMPLE.len() - 3));
    assert!(parse(&format!("{comment}{EXAMPLE}")).is_ok());
    assert_error(parse(&format!("{comment}{EXAMPLE}\n")), &["more than 16 MB"]);
}
