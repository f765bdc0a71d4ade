//! Bad configuration: one clear message with what, where and what to do, exit code 2, and nothing written.

use crate::bars::config;
use crate::sandbox::{Answer, Sandbox};
use crate::tree::Tree;

/// Runs every verb that reads the configuration in which `from` stands as `to`; each has to refuse it alike, and to
/// leave the store untouched. Returns the answer of `run`.
#[track_caller]
fn refused(from: &str, to: &str) -> Answer {
    let text = config(&["eurusd"], "2017-01", "2017-02");
    assert_eq!(text.matches(from).count(), 1, "`{from}` is not unique");
    refused_text(&text.replace(from, to))
}

#[track_caller]
fn refused_text(text: &str) -> Answer {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01", "2017-02"]);
    sandbox.write("rollfit.toml", text);
    let before = Tree::read(&sandbox.path("fx"));
    for verb in ["plan", "verify"] {
        sandbox.run(&[verb]).exits(2);
    }
    let run = sandbox.run(&["run"]).exits(2);
    before.is_untouched(&sandbox.path("fx"));
    assert!(run.stderr.starts_with("error: ") && run.stdout.is_empty(), "{run}");
    run
}

#[test]
fn an_unknown_key_names_the_nearest() {
    refused("workers = 2", "worker = 2").says(&[
        "line 30",
        "unknown field `worker`",
        "did you mean `workers`?",
    ]);
    refused("[run]", "[runs]").says(&["did you mean `run`?"]);
    refused("table = \"bqx_{key}\"", "tabel = \"bqx_{key}\"").says(&["`tabel`", "did you mean `table`?"]);
}

#[test]
fn a_missing_key_is_named() {
    refused("url = \"parquet:fx\"", "").says(&["missing field `url`", "[store]"]);
    refused("value = \"rate_index\"", "").says(&["missing field `value`", "series.idx"]);
}

#[test]
fn a_month_without_quotes_and_one_that_is_missing_are_told_with_what_to_write() {
    refused("from = \"2017-01\"", "from = 2017-01")
        .says(&["write the month in quotes: from = \"2017-01\"", "`from = ...`"]);
    // With variables a date is a text.
    for day in ["2017-01-01", "2017-01-31T00:00:00Z"] {
        refused("from = \"2017-01\"", &format!("from = {day}"))
            .says(&["[partitions] from: ", "write it as 2017-01"]);
    }
    refused("from = \"2017-01\"", "").says(&["`from` is missing: write from = \"first\", or a month"]);
    refused("to = \"2017-02\"", "").says(&["`to` is missing: write to = \"latest\", or a month"]);
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    refused_text("this is not TOML\n").says(&["line 1"]);
    refused("w15 = 15", "w15 = fifteen").says(&["line 22", "`w15 = ...`"]);
}

#[test]
fn a_line_that_cannot_be_read_is_not_shown_for_it_may_hold_a_secret() {
    let open = refused("url = \"parquet:fx\"", "url = \"postgres://user:secret@host");
    assert!(open.stderr.contains("line 2") && !open.stderr.contains("secret"), "{open}");
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_line() {
    refused("w15 = 15", "w15 = \"15\"").says(&["line 22", "`w15 = ...`", "expected a whole number"]);
    refused("workers = 2", "workers = 2.5").says(&["expected \"auto\", a number of workers, or a range"]);
}

#[test]
fn a_window_under_three_rows_is_refused() {
    refused("w15 = 15", "w15 = 2").says(&["[windows] w15 = 2", "a window has 3 to"]);
    refused("w15 = 15", "w15 = -15").says(&["[windows] w15 = -15"]);
}

#[test]
fn a_window_twice_is_refused() {
    refused("w30 = 30", "w30 = 15").says(&["[windows] w30 = 15: `w15` has 15 rows too", "remove one"]);
    refused("w30 = 30", "w15 = 30").says(&["duplicate key"]);
}

#[test]
fn patterns_that_give_two_outputs_one_name_are_refused() {
    let same_months = refused("reg_rate_{key}_{yyyy}_{mm}", "reg_rate_{key}_{yyyy}");
    same_months.says(&["reg_rate_eurusd_2017", "eurusd 2017-01", "eurusd 2017-02", "{mm}"]);
    let same_series = refused("reg_rate_{key}_{yyyy}_{mm}", "reg_bqx_{key}_{yyyy}_{mm}");
    same_series.says(&["reg_bqx_eurusd_2017_01", "series `idx`", "series `bqx`"]);
    refused("[run]", "[features]\ncolumn = \"{metric}_{window}\"\n[run]").says(&["`a2_w15`", "{series}"]);
}

#[test]
fn an_unknown_placeholder_is_refused() {
    let unknown = refused("table = \"m1_{key}\"", "table = \"m1_{pair}\"");
    unknown.says(&["[series.idx] table", "unknown placeholder {pair}", "{key}"]);
    refused("table = \"m1_{key}\"", "table = \"m1_{key\"")
        .says(&["[series.idx] table", "brace without its partner"]);
}

#[test]
fn an_unknown_metric_names_the_nearest() {
    let unknown = refused("[run]", "[features]\nmetrics = [\"r2\", \"rsme\"]\n[run]");
    unknown.says(&["unknown metric `rsme`", "did you mean `rmse`?"]);
}

#[test]
fn months_and_keys_that_make_no_sense_are_refused() {
    refused("from = \"2017-01\"", "from = \"2017-1\"")
        .says(&["[partitions] from", "`2017-1` is not a month"]);
    refused("from = \"2017-01\"", "from = \"2018-01\"")
        .says(&["from = \"2018-01\" is after to = \"2017-02\""]);
    refused("keys = [\"eurusd\"]", "keys = []").says(&["[partitions] keys is empty"]);
    refused("keys = [\"eurusd\"]", "keys = [\"../etc\"]").says(&["`../etc` is not a key"]);
    refused("keys = [\"eurusd\"]", "keys = [\"eurusd\", \"eurusd\"]").says(&["`eurusd` is listed twice"]);
}

#[test]
fn settings_out_of_range_are_refused() {
    refused("workers = 2", "workers = 0").says(&["[run] workers", "`0` is not a number of workers"]);
    refused("workers = 2", "attempts = 0").says(&["[run] attempts = 0"]);
    refused("workers = 2", "lock_wait_s = -1").says(&["[run] lock_wait_s = -1"]);
    refused("workers = 2", "join_loss_max = 1.5").says(&["[run] join_loss_max = 1.5"]);
    refused("boundary = \"reset\"", "boundary = \"keep\"")
        .says(&["boundary = \"keep\"", "\"reset\" or \"carry\""]);
    let compression = refused("url = \"parquet:fx\"", "url = \"parquet:fx\"\ncompression = \"gzip\"");
    compression.says(&["[store] compression = \"gzip\"", "\"zstd\""]);
    let direct = refused("url = \"parquet:fx\"", "url = \"parquet:fx\"\ndirect_io = \"always\"");
    direct.says(&["[store] direct_io = \"always\"", "write \"auto\" or \"off\""]);
    // Of a source nothing is written.
    let source = "url = \"parquet:fx\"\n[source]\nurl = \"parquet:fx\"\ndirect_io = \"off\"";
    refused("url = \"parquet:fx\"", source).says(&["unknown field `direct_io`"]);
}

#[test]
fn a_store_that_does_not_exist_as_a_kind_is_refused() {
    let sandbox = Sandbox::new();
    let directory = "parquet:DIR";
    for (url, form) in [
        ("mysql://user:secret@host/db", directory),
        ("fx", directory),
        ("parquet:", directory),
        ("postgres:secret", "postgres://user@host/db"),
    ] {
        sandbox.write("rollfit.toml", config(&["eurusd"], "2017-01", "2017-01").replace("parquet:fx", url));
        let answer = sandbox.run(&["run"]).exits(2).says(&[form]);
        assert!(!answer.stderr.contains("secret"), "{answer}");
    }
}

#[test]
fn a_missing_or_unreadable_configuration_is_named() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let missing = sandbox.run(&["run", "--config", "other.toml"]).exits(2);
    missing.says(&["configuration other.toml does not exist", "`rollfit init` writes one"]);
    sandbox.run(&["run", "--config", "fx"]).exits(2).says(&["cannot read the configuration fx"]);
    sandbox.write("latin.toml", b"# caf\xe9\n");
    sandbox.run(&["run", "--config", "latin.toml"]).exits(2).says(&["latin.toml", "UTF-8"]);
}

#[test]
fn a_bad_value_in_the_environment_names_its_variable() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let before = Tree::read(&sandbox.path("fx"));
    let run = |name, value| sandbox.run_with(&[(name, value)], &["run"]).exits(2);
    run("ROLLFIT_RUN__ATTEMPTS", "many").says(&["many", "ROLLFIT_RUN__ATTEMPTS", "from the environment"]);
    run("ROLLFIT_RUN__WORKER", "2").says(&[
        "did you mean `workers`?",
        "ROLLFIT_RUN__WORKER",
        "from the environment",
    ]);
    let one =
        run("ROLLFIT_RUN__WORKRS", "2").says(&["unknown field `workrs`; did you mean `workers`? Expected: "]);
    assert_eq!(one.stderr.lines().count(), 1, "{one}");
    run("ROLLFIT_STORE__URL__X", "2").says(&["ROLLFIT_STORE__URL__X", "`url` is a value"]);
    run("ROLLFIT_RUN__BOUNDARY", "keep").says(&["boundary = \"keep\"", "ROLLFIT_RUN__BOUNDARY"]);
    run("ROLLFIT_WINDOWS__W15", "2").says(&["w15 = 2", "ROLLFIT_WINDOWS__W15"]);
    before.is_untouched(&sandbox.path("fx"));
}

#[test]
fn init_never_overwrites_a_configuration() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init"]).exits(0).says(&["wrote rollfit.toml"]);
    let text = std::fs::read(sandbox.path("rollfit.toml")).unwrap();
    sandbox.run(&["init"]).exits(2).says(&["rollfit.toml", "exists"]);
    assert_eq!(std::fs::read(sandbox.path("rollfit.toml")).unwrap(), text);
    // What it writes is a configuration: only the store is missing.
    sandbox.run(&["plan"]).exits(2).says(&["cannot open the store"]);
}

#[test]
fn row_security_is_for_databases_and_has_two_values() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let accepting = [("ROLLFIT_STORE__ROW_SECURITY", "apply")];
    sandbox.run_with(&accepting, &["plan"]).exits(2).says(&["row_security", "databases"]);
    let unknown = [("ROLLFIT_STORE__ROW_SECURITY", "on")];
    sandbox.run_with(&unknown, &["plan"]).exits(2).says(&["[store] row_security = \"on\"", "\"apply\""]);
    sandbox.run(&["plan"]).exits(0);
}

#[test]
fn a_directory_keeps_metrics_and_says_so() {
    let url = "url = \"parquet:fx\"";
    refused(url, &format!("{url}\nlayout = \"fits\"")).says(&[
        "layout = \"fits\"",
        "keeps metrics",
        "a database",
    ]);
    let apart = |sink: &str| format!("{url}\n[sink]\nurl = \"{sink}\"\nlayout = \"fits\"");
    refused(url, &apart("parquet:elsewhere")).says(&["layout = \"fits\""]);
    // Where only the series are read from a directory, its features may be fits.
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let text = config(&["eurusd"], "2017-01", "2017-01");
    sandbox.write("rollfit.toml", text.replace(url, &apart("postgres://localhost:1/none?connect_timeout=2")));
    sandbox.run(&["plan"]).exits(3);
}
