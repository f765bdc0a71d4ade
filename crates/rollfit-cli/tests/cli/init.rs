//! `rollfit init`: what it writes for a store or for bar files is planned without an error, whatever names they have, and where it can
//! tell nothing it says what it looked at.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, Float64Array, Int64Array, TimestampMicrosecondArray};
use serde_json::{Value, json};

use crate::bars::{SourceRows, bars, csv, write_parquet};
use crate::sandbox::{Answer, ROLLFIT, Sandbox};

/// A file of a table: its time, and its columns of numbers.
fn table(sandbox: &Sandbox, dir: &str, time: (&str, ArrayRef), values: &[&str]) {
    let column = |_: &&str| -> ArrayRef { Arc::new(Float64Array::from(month().values)) };
    let mut columns = vec![time];
    columns.extend(values.iter().map(|name| (*name, column(name))));
    write_parquet(&sandbox.path(dir).join("a.parquet"), columns);
}

fn month() -> SourceRows {
    SourceRows::of_month("2017-02", 300, 600)
}

fn zoned() -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(month().instants_us).with_timezone("UTC"))
}

fn naive() -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(month().instants_us))
}

/// Writes a configuration for `source`, plans it, and returns what it says: keys, and series with table and value.
#[track_caller]
fn planned(sandbox: &Sandbox, source: &[&str]) -> (Value, String) {
    let found = sandbox.run(&[&["init", "--json"], source].concat()).exits(0).json();
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
    assert!(plan["partitions"].as_array().unwrap().iter().all(|line| line["state"] == "missing"), "{plan}");
    (found, text)
}

#[test]
fn the_store_of_an_import_is_found_in_the_working_directory_and_runs() {
    let sandbox = Sandbox::new();
    sandbox.import(&["eurusd"], &["2017-01"]);
    fs::remove_dir_all(sandbox.path("bars")).unwrap();
    let wrote = sandbox.run(&["init"]).exits(0);
    assert_eq!(
        wrote.stdout,
        "wrote rollfit.toml: 2 series (idx, bqx) of 1 key (eurusd) in parquet:./fx; 1 partition, 2017-01 to 2017-01\n\
         next: rollfit plan\n"
    );
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    let settings: Vec<String> =
        text.lines().map(|line| line.split('#').next().unwrap().trim().to_owned()).collect();
    let settings = settings.iter().filter(|line| !line.is_empty()).map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        settings[..13],
        [
            "[store]",
            r#"url = "parquet:./fx""#,
            "[partitions]",
            r#"keys = "all""#,
            r#"from = "first""#,
            r#"to = "latest""#,
            "[series.idx]",
            r#"table = "m1_{key}""#,
            r#"time = "time""#,
            r#"value = "rate_index""#,
            "[series.bqx]",
            r#"table = "bqx_{key}""#,
            r#"time = "ts_utc""#,
        ]
    );
    assert!(text.lines().count() < 40 && !text.contains("features ="), "{text}");
    sandbox.run(&["plan"]).exits(0);
    sandbox.run(&["run", "--quiet"]).exits(0);
    sandbox.run(&["verify", "--quick"]).exits(0);
    sandbox.run(&["init", "fx"]).exits(2).says(&["rollfit.toml already exists"]);
    assert_eq!(fs::read_to_string(sandbox.path("rollfit.toml")).unwrap(), text);
    // Another month and key belong to it without a change.
    sandbox.import(&["eurusd", "usdjpy"], &["2017-02"]);
    assert_eq!(sandbox.run(&["plan", "--json"]).exits(0).json()["partitions"].as_array().unwrap().len(), 3);
}

#[test]
fn a_middle_month_without_rows_is_passed_over() {
    for months in [&["2017-01", "2017-03"][..], &["2017-01", "2017-06"]] {
        let sandbox = Sandbox::new();
        sandbox.import(&["eurusd"], months);
        let wrote = sandbox.run(&["init", "fx"]).exits(0);
        wrote.says(&["2 series (idx, bqx) of 1 key (eurusd)", &format!("2017-01 to {}", months[1])]);
        fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
        // One series alone.
        let one = sandbox.run(&["init", "fx", "--table", "bqx_{key}"]).exits(0);
        one.says(&["1 series"]);
        fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
        // Two that never meet.
        sandbox.import(&["eurusd"], &["2017-02"]);
        fs::remove_file(sandbox.path("fx/sources/m1_eurusd/2017-02.parquet")).unwrap();
        months.iter().for_each(|month| {
            fs::remove_file(sandbox.path(format!("fx/sources/bqx_eurusd/{month}.parquet"))).unwrap();
        });
        let others = months[1].rsplit('-').next().unwrap().parse::<usize>().unwrap() - 1;
        sandbox.run(&["init", "fx"]).exits(2).says(&[
            "no instant of eurusd 2017-",
            &format!("nor of {others} other partitions, is in every series"),
        ]);
    }
}

#[test]
fn several_keys_are_all_keys_and_a_configuration_elsewhere_finds_its_store() {
    let sandbox = Sandbox::new();
    sandbox.import(&["eurusd", "usdjpy"], &["2017-01", "2017-02"]);
    fs::create_dir(sandbox.path("conf")).unwrap();
    let found = sandbox.run(&["init", "parquet:fx", "--json", "--config", "conf/a.toml"]).exits(0).json();
    assert_eq!((&found["keys"], &found["series"]), (&json!(["eurusd", "usdjpy"]), &json!(["idx", "bqx"])));
    assert_eq!((&found["config"], &found["notes"]), (&json!("conf/a.toml"), &json!([])));
    assert_eq!(found["next"], json!(["rollfit plan --config conf/a.toml"]));
    let plan = sandbox.run(&["plan", "--json", "--config", "conf/a.toml"]).exits(0).json();
    assert_eq!(plan["partitions"].as_array().unwrap().len(), 4);
}

#[test]
fn it_prints_instead_of_writing_where_asked_to() {
    let sandbox = Sandbox::new();
    sandbox.import(&["eurusd"], &["2017-01"]);
    for arguments in [&["init", "fx", "--stdout"][..], &["init", "fx", "--config", "-"]] {
        let printed = sandbox.run(arguments).exits(0);
        assert!(!sandbox.path("rollfit.toml").exists() && !sandbox.path("-").exists());
        sandbox.write("printed.toml", &printed.stdout);
        sandbox.run(&["plan", "--config", "printed.toml"]).exits(0);
    }
    let template = sandbox.run(&["init", "--template", "--stdout"]).exits(0).stdout;
    assert!(template.contains("# join_loss_max") && template.contains("# password_command"), "{template}");
}

#[test]
fn tables_of_ones_own_give_their_series_whatever_they_are_called() {
    let keys = |names: &[&str]| json!(names);
    let sandbox = Sandbox::new();
    table(&sandbox, "a/sources/prices_AAPL", ("ts", zoned()), &["price"]);
    table(&sandbox, "a/sources/prices_MSFT", ("ts", zoned()), &["price"]);
    table(&sandbox, "a/sources/notes", ("when", zoned()), &["x"]);
    let (found, text) = planned(&sandbox, &["a"]);
    assert_eq!((&found["keys"], &found["series"]), (&keys(&["AAPL", "MSFT"]), &keys(&["price"])));
    assert!(text.contains(r#"table = "prices_{key}""#) && text.contains(r#"keys = "all""#), "{text}");
    assert!(found["notes"][0].as_str().unwrap().contains("left out 1 table: notes"), "{found}");
    fs::remove_file(sandbox.path("rollfit.toml")).unwrap();

    // Two series in one table, without a time zone.
    table(&sandbox, "b/sources/EURUSD", ("Date Time", naive()), &["bid", "ask"]);
    let (found, text) = planned(&sandbox, &["parquet:b"]);
    assert_eq!((&found["keys"], &found["series"]), (&keys(&["EURUSD"]), &keys(&["bid", "ask"])));
    assert!(text.contains("has no time zone: taken as UTC"), "{text}");
    assert!(found["notes"][0].as_str().unwrap().contains("taken as UTC"), "{found}");
    sandbox.run(&["run", "--quiet"]).exits(0);
    fs::remove_file(sandbox.path("rollfit.toml")).unwrap();

    // Names that no pattern was made for.
    let name = "c/sources/a \"b\" 'c' # [d] \u{202e}é";
    table(&sandbox, name, ("t'\"\\ \n\u{7f}", zoned()), &["v = \"1\" # x", "\u{1b}[2J"]);
    let (found, _) = planned(&sandbox, &["c"]);
    assert_eq!(found["series"].as_array().unwrap().len(), 2, "{found}");
    let printed = sandbox.run(&["init", "c", "--stdout"]).exits(0);
    assert!(!printed.stdout.contains(['\u{1b}', '\u{202e}', '\u{7f}']) && !printed.stderr.contains('\u{1b}'));
    sandbox.run(&["run", "--quiet"]).exits(0);
}

#[test]
fn tables_that_do_not_belong_together_are_named_and_one_can_be_chosen() {
    let sandbox = Sandbox::new();
    table(&sandbox, "a/sources/rates", ("ts", zoned()), &["rate"]);
    table(&sandbox, "a/sources/volumes", ("when", zoned()), &["volume"]);
    let refused = sandbox.run(&["init", "a"]).exits(2);
    refused.says(&["do not belong together: rates (has ts, rate), volumes (has when, volume)", "--table"]);
    sandbox
        .run(&["init", "a", "--table", "rate"])
        .exits(2)
        .says(&["--table rate: the store has no such table"]);
    let (found, _) = planned(&sandbox, &["a", "--table", "rates"]);
    assert_eq!(found["series"], json!(["rate"]));
    fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
    // Not asked about that store, it writes the template and says why.
    sandbox.run(&["init"]).exits(0).says(&["do not belong together", "wrote rollfit.toml: edit it"]);
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    assert!(
        text.starts_with("# `rollfit init` found no series") && text.contains("rates (has ts, rate)"),
        "{text}"
    );
}

#[test]
fn times_that_are_no_timestamps_and_rows_that_repeat_are_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    table(&sandbox, "a/sources/x", ("ts", Arc::new(Int64Array::from(month().instants_us))), &["v"]);
    sandbox.run(&["init", "a"]).exits(2).says(&["x (its column ts is Int64, not a timestamp)"]);
    table(&sandbox, "b/sources/x", ("date", Arc::new(Date32Array::from(vec![17_000; 300]))), &["v"]);
    sandbox.run(&["init", "b"]).exits(2).says(&["2016-07-18", "occurs twice"]);
    let start = month().instants_us[0];
    let repeated: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![start; 300]));
    table(&sandbox, "c/sources/x", ("ts", repeated), &["v"]);
    sandbox.run(&["init", "c"]).exits(2).says(&["2017-02-01", "occurs twice"]);
    sandbox.write("d/sources/x/a.parquet", "PAR1 no");
    sandbox.run(&["init", "d"]).exits(2).says(&["no table can be read as a series: x (", "a.parquet"]);
    assert!(!sandbox.path("rollfit.toml").exists());
}

#[test]
fn daily_rows_get_windows_that_reach_across_months() {
    let sandbox = Sandbox::new();
    let days: Vec<i64> = (0..300).map(|day| 1_483_228_800_000_000 + day * 86_400_000_000).collect();
    table(&sandbox, "a/sources/AAPL", ("ts", Arc::new(TimestampMicrosecondArray::from(days))), &["close"]);
    let (_, text) = planned(&sandbox, &["a"]);
    assert!(text.contains(r#"boundary = "carry""#) && text.contains("about 30 rows"), "{text}");
    assert!(text.contains(r#"by = "year""#), "{text}");
    sandbox.run(&["run", "--quiet"]).exits(0);
}

#[test]
fn dates_are_times_where_a_table_has_no_others() {
    let sandbox = Sandbox::new();
    let dates: ArrayRef = Arc::new(Date32Array::from_iter_values(17_000..17_300));
    table(&sandbox, "a/sources/AAPL", ("date", dates), &["close"]);
    let (_, text) = planned(&sandbox, &["a"]);
    assert!(text.contains(r#"time = "date""#), "{text}");
    sandbox.run(&["run", "--quiet"]).exits(0);
}

#[test]
fn bar_files_get_the_command_that_imports_them_and_a_configuration_for_what_it_makes() {
    let sandbox = Sandbox::new();
    sandbox.bars_file("eurusd", "2017-01");
    sandbox.bars_file("usdjpy", "2017-01");
    let wrote = sandbox.run(&["init", "bars"]).exits(0);
    let command = "rollfit import --format csv --into parquet:./store bars";
    let said = format!("bars in the format csv, still to be imported\nnext: {command}\nthen: rollfit plan\n");
    assert!(wrote.stdout.ends_with(&said), "{wrote}");
    assert!(!sandbox.path("store").exists());
    sandbox.run(&command.split(' ').skip(1).collect::<Vec<_>>()).exits(0);
    assert_eq!(sandbox.run(&["plan", "--json"]).exits(0).json()["partitions"].as_array().unwrap().len(), 2);
    sandbox.run(&["run", "--quiet"]).exits(0);
}

#[test]
fn bar_files_in_the_working_directory_are_found_and_what_they_do_not_say_is_asked_for() {
    let sandbox = Sandbox::new();
    let local = csv(&bars("gbpusd", "2017-01")).replace('Z', "");
    sandbox.write("gbpusd.csv", local);
    sandbox.write("readme.txt", "hello\n");
    let command =
        "rollfit import --format csv --into parquet:./store --key gbpusd --timezone ZONE gbpusd.csv";
    let wrote = sandbox.run(&["init"]).exits(0).says(&["don't say their time zone"]);
    assert!(
        wrote.stdout.contains(&format!("next (with the time zone in the place of ZONE): {command}\n")),
        "{wrote}"
    );
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    assert!(text.contains(command), "{text}");
    sandbox.run(&command.replace("ZONE", "UTC").split(' ').skip(1).collect::<Vec<_>>()).exits(0);
    sandbox.run(&["plan"]).exits(0);
}

/// Types a command that was printed, in a shell.
#[track_caller]
fn types(sandbox: &Sandbox, command: &str) -> Answer {
    let mut shell = sandbox.in_clean_environment("sh");
    shell.args(["-c", &format!("set -e; rollfit() {{ '{ROLLFIT}' \"$@\"; }}; {command}")]);
    Answer::from_command(shell)
}

/// The commands that `init` prints for `arguments`, each typed as it is: with `UTC` for the zone that only the user knows.
#[track_caller]
fn each_command_works(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let found = sandbox.run(&[&["init", "--json"], arguments].concat()).exits(0).json();
    for command in found["next"].as_array().unwrap() {
        let command = command.as_str().unwrap();
        assert!(command.len() < 160, "{command}");
        types(sandbox, &command.replace("ZONE", "UTC")).exits(0);
    }
    types(sandbox, "rollfit run --quiet").exits(0);
    found
}

#[test]
fn files_that_are_called_like_their_keys_are_one_command_however_many_there_are() {
    let keys = ["AUDUSD", "eurusd", "gbpusd", "nzdusd", "usdjpy"];
    let import = |found: &Value| found["next"][0].as_str().unwrap().to_owned();
    let sandbox = Sandbox::new();
    for key in keys {
        sandbox.write(format!("bars of mine/{key}.csv"), csv(&bars(key, "2017-01")));
        sandbox.write(format!("here/{key}.csv"), csv(&bars(key, "2017-01")));
    }
    let found = each_command_works(&sandbox, &["bars of mine"]);
    let command = "rollfit import --format csv --into parquet:./store --key-from-name 'bars of mine'";
    assert_eq!(import(&found), command);
    assert!(found["notes"][0].as_str().unwrap().contains("is its name: audusd, eurusd"), "{found}");
    let plan = sandbox.run(&["plan", "--json"]).exits(0).json();
    assert_eq!(plan["partitions"].as_array().unwrap().len(), keys.len());

    fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
    fs::remove_dir_all(sandbox.path("store")).unwrap();
    let files: Vec<String> = keys.iter().map(|key| format!("here/{key}.csv")).collect();
    let found = each_command_works(&sandbox, &files.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(import(&found).ends_with("--key-from-name here/*.csv"), "{found}");
    fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
    fs::remove_dir_all(sandbox.path("store")).unwrap();
    let found = each_command_works(&sandbox, &["here/eurusd.csv", "here/gbpusd.csv"]);
    assert!(import(&found).ends_with("--key-from-name here/eurusd.csv here/gbpusd.csv"), "{found}");

    // Months of one key are no keys.
    let sandbox = Sandbox::new();
    sandbox.write("bars/2017-01.csv", csv(&bars("x", "2017-01")));
    sandbox.write("bars/2017-02.csv", csv(&bars("x", "2017-02")));
    let wrote = sandbox.run(&["init", "bars"]).exits(0);
    assert!(wrote.stdout.contains("next (with the key in the place of <KEY>): rollfit import"), "{wrote}");
    let command = "rollfit import --format csv --into parquet:./store --key '<KEY>' bars";
    assert!(wrote.stdout.contains(command), "{wrote}");
    types(&sandbox, &command.replace("'<KEY>'", "eurusd")).exits(0);
    sandbox.run(&["run", "--quiet"]).exits(0);
}

#[test]
fn files_say_what_their_rows_are_like_and_an_import_that_would_stop_is_not_proposed() {
    // Daily bars, without a zone, of keys that a column tells.
    let sandbox = Sandbox::new();
    let day =
        |day: usize| jiff::civil::date(2017, 1, 2).checked_add(jiff::Span::new().days(day as i64)).unwrap();
    let rows =
        (0..250).flat_map(|at| ["AAPL", "MSFT"].map(|key| format!("{},{key},{}\n", day(at), 100 + at % 7)));
    sandbox.write("all.csv", "date,symbol,close\n".to_owned() + &rows.collect::<String>());
    let found = each_command_works(&sandbox, &["all.csv"]);
    let command = found["next"][0].as_str().unwrap();
    assert!(command.contains("--key-column symbol --timezone ZONE all.csv"), "{command}");
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    assert!(text.contains(r#"boundary = "carry""#) && text.contains("about 31 rows"), "{text}");
    assert!(text.contains(r#"by = "year""#), "{text}");

    let sandbox = Sandbox::new();
    sandbox.write("eurusd.csv", "time,close\n2017-01-03T00:00Z,1.5\n2017-01-03T00:01Z,x\n");
    sandbox.run(&["init", "eurusd.csv"]).exits(2).says(&["the import would stop: eurusd.csv:3: "]);
    sandbox.write("eurusd.csv", csv(&bars("eurusd", "2017-01")));
    for option in [["--table", "x"], ["--schema", "x"], ["--password-command", "x"]] {
        let refused = sandbox.run(&["init", "eurusd.csv", option[0], option[1]]).exits(2);
        refused.says(&[&format!("{}: bar files have no", option[0])]);
        sandbox.run(&["init", option[0], option[1]]).exits(2).says(&[option[0]]);
    }
    let there = sandbox.run(&["init", "eurusd.csv", "--config", "jobs/fx.toml"]).exits(2);
    there.says(&["create the directory first: mkdir -p jobs"]);
    types(&sandbox, "mkdir -p jobs; rollfit init eurusd.csv --config jobs/fx.toml").exits(0);
    assert!(!sandbox.path("rollfit.toml").exists());
}

#[test]
fn a_store_without_schemas_says_so_and_prices_of_two_names_are_not_taken_for_one_key() {
    let sandbox = Sandbox::new();
    table(&sandbox, "a/sources/bars_aapl", ("ts", zoned()), &["close"]);
    table(&sandbox, "a/sources/bars_msft", ("ts", zoned()), &["price"]);
    sandbox.run(&["init", "a", "--schema", "x"]).exits(2).says(&["--schema: parquet stores have no schemas"]);
    let refused = sandbox.run(&["init", "a"]).exits(2);
    refused.says(&["bars_aapl (close) and bars_msft (price) may be keys whose columns have different names"]);
    let (found, _) = planned(&sandbox, &["a", "--table", "bars_aapl"]);
    assert_eq!((&found["keys"], &found["series"]), (&json!(["bars_aapl"]), &json!(["close"])));
    fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
    let (found, _) = planned(&sandbox, &["a", "--table", "bars_aapl", "--table", "bars_msft"]);
    assert_eq!(found["series"], json!(["close", "price"]));
}

#[test]
fn where_nothing_is_the_template_is_written_and_what_was_named_has_to_be_there() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init"]).exits(0).says(&["no store", "wrote rollfit.toml: edit it"]);
    fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
    fs::create_dir_all(sandbox.path("empty/sources")).unwrap();
    sandbox.run(&["init", "empty"]).exits(2).says(&["parquet:./empty: there are no tables"]);
    fs::create_dir(sandbox.path("none")).unwrap();
    sandbox.run(&["init", "none"]).exits(2).says(&["no bars are recognized in none", "sources/TABLE/"]);
    sandbox.run(&["init", "missing"]).exits(2).says(&["cannot read missing"]);
    sandbox.run(&["init", "parquet:./missing"]).exits(2).says(&["cannot open the store ./missing"]);
    sandbox.run(&["init", "mysql://h/d"]).exits(2).says(&["unknown kind of store `mysql:`"]);
    sandbox.run(&["init", "parquet:./empty", "empty"]).exits(2).says(&["is looked at alone"]);
    assert!(!sandbox.path("rollfit.toml").exists());
}

#[test]
fn a_directory_that_cannot_be_read_is_named() {
    let sandbox = Sandbox::new();
    let closed = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(sandbox.path("closed")).unwrap();
    fs::create_dir_all(sandbox.path("store/sources")).unwrap();
    closed(&sandbox.path("closed"));
    closed(&sandbox.path("store/sources"));
    sandbox.run_unprivileged(&["init", "closed"]).exits(2).says(&["cannot read closed", "ermission denied"]);
    sandbox.run_unprivileged(&["init", "store"]).says(&["store/sources", "ermission denied"]);
    assert!(!sandbox.path("rollfit.toml").exists());
    for path in ["closed", "store/sources"] {
        fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
}
