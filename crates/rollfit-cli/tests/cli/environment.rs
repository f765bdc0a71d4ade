//! The environment: every configuration key can be set by it, and little else of it is needed.

use std::process::Command;

use crate::bars::config;
use crate::features::Columns;
use crate::sandbox::{Answer, Sandbox, become_unprivileged};

/// Every key of the configuration as a variable with a value, and the words of `plan` or `run` that show its effect.
/// `refused` values show it by the message that names the value, and so the place where it arrived.
const KEYS: [(&str, &str, &str); 57] = [
    ("STORE__URL", "parquet:elsewhere", "cannot open the store elsewhere"),
    ("STORE__NAME", "../up", "[store] name: `../up` is not a name"),
    ("STORE__COMPRESSION", "gzip", "[store] compression = \"gzip\""),
    ("STORE__DIRECT_IO", "on", "[store] direct_io = \"on\""),
    ("STORE__SCHEMA", "public", "schema"),
    ("STORE__PASSWORD_COMMAND", "print-token", "password_command"),
    ("STORE__ROW_SECURITY", "on", "[store] row_security = \"on\""),
    ("STORE__SERVER_CORES", "0", "[store] server_cores = 0"),
    ("STORE__SERVER_METRICS_COMMAND", "print-metrics", "server_metrics_command"),
    ("STORE__NUMBERS", "money", "[store] numbers = \"money\""),
    ("STORE__LAYOUT", "columns", "[store] layout = \"columns\""),
    ("STORE__VIEWS_SCHEMA", "next", "[store] views_schema = \"next\""),
    ("PARTITIONS__KEYS", "[\"usdjpy\"]", "usdjpy 2017-01"),
    ("PARTITIONS__KEYS", "all", "eurusd 2017-01"),
    ("PARTITIONS__FROM", "2016-12", "eurusd 2016-12"),
    ("PARTITIONS__TO", "2017-03", ".. 2017-03"),
    ("SERIES__IDX__TABLE", "bars_{key}", "fx/sources/bars_eurusd"),
    ("SERIES__IDX__TIME", "stamp", "column `stamp` does not exist"),
    ("SERIES__IDX__VALUE", "open", "column `open` does not exist"),
    ("SERIES__IDX__DERIVE", "rate", "[series.idx] derive = \"rate\""),
    ("SERIES__IDX__BASE", "1.05", "[series.idx] base = 1.05"),
    ("SERIES__IDX__FEATURES", "f_{nokey}", "[series.idx] features"),
    ("SERIES__IDX__PARENT", "{nokey}", "[series.idx] parent"),
    ("SERIES__IDX__COLUMN", "{nothing}", "[series.idx] column"),
    ("SERIES__IDX__METRICS", "[\"nothing\"]", "series `idx`: unknown metric `nothing`"),
    ("SERIES__IDX__WINDOWS__W2", "2", "[series.idx.windows] w2 = 2"),
    ("SERIES__BQX__TABLE", "returns_{key}", "fx/sources/returns_eurusd"),
    ("SERIES__BQX__VALUE", "w30", "column `w30` does not exist"),
    ("WINDOWS__W15", "2", "[windows] w15 = 2"),
    ("WINDOWS__NEW", "1", "[windows] new = 1"),
    ("FEATURES__COLUMN", "{nothing}", "{nothing}"),
    ("FEATURES__METRICS", "[\"nothing\"]", "unknown metric `nothing`"),
    ("RUN__WORKERS", "none", "[run] workers: `none`"),
    ("RUN__BOUNDARY", "keep", "[run] boundary = \"keep\""),
    ("RUN__ATTEMPTS", "0", "[run] attempts = 0"),
    ("RUN__RETRY_FOR_S", "-1", "[run] retry_for_s = -1"),
    ("RUN__STATEMENT_TIMEOUT_S", "0", "[run] statement_timeout_s = 0"),
    ("RUN__IDLE_TIMEOUT_S", "0.5", "[run] idle_timeout_s = 0.5"),
    ("RUN__STORE_SESSIONS_MAX", "0", "[run] store_sessions_max = 0"),
    ("RUN__STORE_WRITE_MB_PER_S_MAX", "0", "[run] store_write_mb_per_s_max = 0"),
    ("RUN__CPU_MAX", "-1", "[run] cpu_max = -1"),
    ("RUN__ORDER", "size", "[run] order = \"size\""),
    ("RUN__LOCK_WAIT_S", "-2.5", "[run] lock_wait_s = -2.5"),
    ("RUN__SHRUNK_ROWS_MIN", "2", "[run] shrunk_rows_min = 2"),
    ("RUN__JOIN_LOSS_MAX", "-1", "[run] join_loss_max = -1"),
    ("RUN__REQUIRE_ROWS", "maybe", "expected a boolean"),
    ("RUN__PAIR_WAIT_S", "-2", "[run] pair_wait_s = -2"),
    ("RUN__SETTLE_S", "-3", "[run] settle_s = -3"),
    ("FEATURES__INCLUDE", "[\"x.close\"]", "[features] include: \"x.close\""),
    ("PARTITIONS__BY", "week", "[partitions] by = \"week\""),
    ("RUN__RECHECK_EVERY_S", "0", "[run] recheck_every_s = 0"),
    ("CHECK__MAX_LAG_S", "0", "[check] max_lag_s = 0"),
    ("CHECK__CLOSED", "Fri - Sun", "[check] closed: `Fri - Sun` is not understood"),
    ("CHECK__TIMEZONE", "at noon", "[check] timezone = \"at noon\""),
    ("CHECK__NO_VALUE_RISE_MAX", "2", "[check] no_value_rise_max = 2"),
    ("CHECK__NO_VALUE_MONTHS", "0", "[check] no_value_months = 0"),
    ("CHECK__SOURCE_ROWS_MIN", "-1", "[check] source_rows_min = -1"),
];

#[test]
fn every_key_of_the_configuration_can_be_set_by_the_environment() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    for (key, value, effect) in KEYS {
        let name = format!("ROLLFIT_{key}");
        let plan = sandbox.run_with(&[(&name, value)], &["plan"]);
        let found = plan.stdout.contains(effect) || plan.stderr.contains(effect);
        assert!(found, "{name}={value} does not lead to `{effect}`\n{plan}");
    }
}

#[test]
fn every_key_of_the_example_is_among_those_tested() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init"]).exits(0);
    let text = std::fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    let mut section = String::new();
    let mut seen = 0;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            section = name.replace('.', "__");
        }
        let assignment = line.trim_start_matches("# ").split_once('=');
        let Some(key) = assignment.map(|(key, _)| key.trim()).filter(|key| is_name(key)) else { continue };
        let variable = format!("{section}__{key}").to_uppercase();
        let nested = format!("{variable}__");
        let is_tested = |known: &str| known == variable || known.starts_with(&nested);
        let other_label = variable.starts_with("WINDOWS__") || variable.starts_with("SERIES__BQX");
        assert!(other_label || KEYS.iter().any(|(known, ..)| is_tested(known)), "{variable} is not tested");
        seen += 1;
    }
    assert!(seen > 25, "{seen}");
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[test]
fn a_configuration_can_stand_in_the_environment_alone() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let wanted = Sandbox::done(&["eurusd"], &["2017-01"]);
    std::fs::remove_file(sandbox.path("rollfit.toml")).unwrap();
    let variables = [
        ("ROLLFIT_STORE__URL", "parquet:fx"),
        ("ROLLFIT_PARTITIONS__KEYS", "eurusd"),
        ("ROLLFIT_PARTITIONS__FROM", "2017-01"),
        ("ROLLFIT_PARTITIONS__TO", "2017-01"),
        ("ROLLFIT_SERIES", "ignored: no key is named"),
        ("ROLLFIT_SERIES__IDX__TABLE", "m1_{key}"),
        ("ROLLFIT_SERIES__IDX__TIME", "time"),
        ("ROLLFIT_SERIES__IDX__VALUE", "rate_index"),
        ("ROLLFIT_SERIES__IDX__FEATURES", "reg_rate_{key}_{yyyy}_{mm}"),
        ("ROLLFIT_WINDOWS__W15", "15"),
    ];
    sandbox.run_with(&variables, &["run"]).exits(0);
    let alone = Columns::read(&sandbox.part("eurusd", "2017-01"));
    let beside = Columns::read(&wanted.part("eurusd", "2017-01"));
    assert_eq!(alone.names, beside.names[..15]);
    sandbox.run_with(&variables, &["verify"]).exits(0);
}

#[test]
fn the_environment_reaches_names_in_capital_letters() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let text = config(&["eurusd"], "2017-01", "2017-01");
    sandbox
        .write("rollfit.toml", text.replace("[series.idx]", "[series.IDX]").replace("w15 = 15", "W15 = 15"));
    let variables = [("ROLLFIT_SERIES__IDX__METRICS", "[\"r2\"]"), ("ROLLFIT_WINDOWS__W15", "16")];
    sandbox.run_with(&variables, &["run"]).exits(0);
    let names = Columns::read(&sandbox.part("eurusd", "2017-01")).names;
    assert_eq!(names[..2], ["r2_IDX_W15", "r2_IDX_w30"]);
    assert_eq!(names.len(), 6 + 90);
}

#[test]
fn windows_from_the_environment_have_one_order() {
    let names = [["N20", "N10"], ["N10", "N20"]].map(|order| {
        let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
        let names = order.map(|label| format!("ROLLFIT_WINDOWS__{label}"));
        sandbox.run_with(&[(&names[0], &order[0][1..]), (&names[1], &order[1][1..])], &["run"]).exits(0);
        Columns::read(&sandbox.part("eurusd", "2017-01")).names
    });
    assert_eq!(names[0], names[1]);
}

#[test]
fn the_configuration_can_be_named_by_the_environment() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    std::fs::rename(sandbox.path("rollfit.toml"), sandbox.path("mine.toml")).unwrap();
    sandbox.run_with(&[("ROLLFIT_CONFIG", "mine.toml")], &["run"]).exits(0);
}

/// Runs the whole job by a command that is changed first; all paths are absolute.
#[track_caller]
fn whole_job(sandbox: &Sandbox, change: impl Fn(&mut Command)) {
    let path = |relative: &str| sandbox.path(relative).display().to_string();
    let store = format!("parquet:{}", path("fx"));
    sandbox.write("rollfit.toml", config(&["eurusd"], "2017-01", "2017-01").replace("parquet:fx", &store));
    let file = sandbox.bars_file("eurusd", "2017-01").display().to_string();
    let config = path("rollfit.toml");
    let import = ["import", "--format", "csv", "--into", &store, &file];
    let verbs = [&import[..], &["plan", "--config", &config], &["run", "--config", &config]];
    for arguments in verbs.into_iter().chain([&["verify", "--config", &config][..]]) {
        let mut command = Command::new(sandbox.executable_in_here());
        command.args(arguments).current_dir(sandbox.dir());
        change(&mut command);
        Answer::from_command(command).exits(0);
    }
}

#[test]
fn the_job_needs_nothing_of_the_environment_but_a_place_for_records() {
    let sandbox = Sandbox::new();
    whole_job(&sandbox, |command| {
        command.env_clear().env("ROLLFIT_STATE_DIR", sandbox.path("state"));
    });
}

#[test]
fn the_job_runs_under_a_user_nobody_knows_in_a_directory_it_cannot_write() {
    let sandbox = Sandbox::new();
    whole_job(&sandbox, |command| {
        sandbox.give_away();
        command.env_clear().env("ROLLFIT_STATE_DIR", sandbox.path("state")).current_dir("/");
        become_unprivileged(command);
    });
}

#[test]
fn a_closed_stdout_is_no_failure_worth_a_message() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "\"$0\" metrics | true", crate::sandbox::ROLLFIT]).current_dir(sandbox.dir());
    let answer = Answer::from_command(shell).exits(0);
    assert!(answer.stderr.is_empty(), "{answer}");
}
