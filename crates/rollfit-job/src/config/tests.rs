//! Every way in which a configuration can be wrong has a message that says what, where and what to do; and what is
//! right is understood as written.

use super::*;
use crate::partition::Partition;

pub(super) fn parse(text: &str) -> Result<JobConfig, ConfigError> {
    JobConfig::parse(text, [])
}

/// The example with `old` replaced by `new`.
pub(super) fn changed(old: &str, new: &str) -> Result<JobConfig, ConfigError> {
    assert!(EXAMPLE.contains(old), "{old}");
    parse(&EXAMPLE.replacen(old, new, 1))
}

/// The example with these variables in the environment.
fn with(variables: &[(&str, &str)]) -> Result<JobConfig, ConfigError> {
    let variable = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    JobConfig::parse(EXAMPLE, variables.iter().map(variable))
}

#[track_caller]
pub(super) fn assert_error(result: Result<JobConfig, ConfigError>, parts: &[&str]) {
    let message = result.expect_err("a wrong configuration was taken").to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

fn columns(config: &JobConfig) -> Vec<&str> {
    config.series.iter().flat_map(|series| series.columns.iter().map(String::as_str)).collect()
}

// ------------------------------------------------------------------------------------- the reference workload

#[test]
fn the_example_is_the_reference_workload() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(config.sink.store.url, "parquet:./fx");
    assert_eq!(config.source, config.sink.store);
    assert_eq!((config.sink.name.as_deref(), config.sink.compression), (None, Compression::Lz4));
    assert_eq!(config.sink.direct_io, DirectIo::Auto);
    assert_eq!(config.keys, Keys::Listed(vec!["eurusd".to_owned(), "gbpusd".to_owned()]));
    assert_eq!((config.from, config.to), ("2017-01".parse().ok(), "2017-12".parse().ok()));
    assert_eq!((config.boundary, config.lookback_rows()), (Boundary::Reset, 0));
    assert_eq!((config.run.workers, config.run.attempts), (Workers::Auto, 10));
    let partition = Partition::new("eurusd".to_owned(), "2017-03".parse().unwrap());
    let tables: Vec<String> = config.series.iter().map(|series| series.features_table(&partition)).collect();
    assert_eq!(tables, ["reg_rate_eurusd_2017_03", "reg_bqx_eurusd_2017_03"]);
}

#[test]
fn the_reference_columns_stand_in_the_order_of_windows_and_catalogue() {
    const METRICS: [&str; 15] = [
        "a2",
        "a1",
        "b",
        "r2",
        "rmse",
        "residual_mean",
        "residual_std",
        "prediction",
        "pred_interval_lower",
        "pred_interval_upper",
        "vertex_x",
        "vertex_y",
        "curvature",
        "fit_quality",
        "extrapolation_error",
    ];
    let mut wanted = Vec::new();
    for series in ["idx", "bqx"] {
        for window in ["w15", "w30", "w45", "w60", "w75", "agg"] {
            wanted.extend(METRICS.map(|metric| format!("{metric}_{series}_{window}")));
        }
    }
    let config = parse(EXAMPLE).unwrap();
    assert_eq!(columns(&config), wanted);
    assert_eq!(
        (config.feature_count(), &wanted[..2]),
        (180, &["a2_idx_w15".to_owned(), "a1_idx_w15".to_owned()][..])
    );
}

#[test]
fn every_default_of_the_example_is_the_default_without_it() {
    let uncommented = EXAMPLE.replace("# attempts", "attempts").replace("# lock_wait_s", "lock_wait_s");
    let uncommented = uncommented.replace("# shrunk_rows", "shrunk_rows").replace("# join_loss", "join_loss");
    let uncommented = uncommented
        .replace("# compression", "compression")
        .replace("# direct_io", "direct_io")
        .replace("# numbers", "numbers");
    let uncommented = uncommented.replace("# retry_for", "retry_for").replace("# statement", "statement");
    let uncommented = uncommented.replace("# idle_timeout", "idle_timeout").replace("# order", "order");
    let minimal: String = EXAMPLE.split("\n[features]").next().unwrap().to_owned();
    let shown =
        |text: &str| format!("{:?}", JobConfig { origins: Origins::default(), ..parse(text).unwrap() });
    assert_eq!(shown(&uncommented), shown(EXAMPLE));
    assert_eq!(shown(&minimal), shown(EXAMPLE));
}

#[test]
fn windows_keep_the_order_they_are_written_in() {
    let config = changed("w15 = 15\nw30 = 30", "zz = 30\nw15 = 15").unwrap();
    let labels: Vec<&str> = config.series[0].windows.iter().map(|window| window.label.as_str()).collect();
    assert_eq!(labels, ["zz", "w15", "w45", "w60", "w75", "agg"]);
    assert_eq!((columns(&config)[0], columns(&config)[15]), ("a2_idx_zz", "a2_idx_w15"));
}

#[test]
fn metrics_come_in_the_order_of_the_catalogue() {
    let config =
        changed("# metrics = [\"a2\", \"a1\", \"b\"]", "metrics = [\"r2\", \"a1\", \"a2\"]").unwrap();
    assert_eq!(columns(&config)[..4], ["a2_idx_w15", "a1_idx_w15", "r2_idx_w15", "a2_idx_w30"]);
}

#[test]
fn a_series_may_have_windows_metrics_and_column_of_its_own() {
    let own = "windows = { short = 3, long = 1000 }\nmetrics = [\"prediction\", \"b\"]\ncolumn = \"{window}.{metric}\"";
    let config = changed("# windows = { w15 = 15 }", &format!("{own} #")).unwrap();
    assert_eq!(columns(&config)[..4], ["short.b", "short.prediction", "long.b", "long.prediction"]);
    assert_eq!(config.series[1].columns.len(), 90);
    let carried = changed("boundary = \"reset\"", "boundary = \"carry\"").unwrap();
    assert_eq!(carried.lookback_rows(), 89);
}

// ------------------------------------------------------------------------------------------- unknown keys

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_one() {
    for (old, new, key, nearest) in [
        ("workers  =", "worker =", "`worker`", "did you mean `workers`?"),
        ("keys =", "key =", "`key`", "did you mean `keys`?"),
        ("url =", "uri =", "`uri`", "did you mean `url`?"),
        ("\n[windows]", "\n[window]", "`window`", "did you mean `windows`?"),
        ("value = \"rate_index\"", "vaule = \"rate_index\"", "`vaule`", "did you mean `value`?"),
        ("column = \"{m", "colunm = \"{m", "`colunm`", "did you mean `column`?"),
    ] {
        let at = EXAMPLE.find(old).unwrap() + usize::from(old.starts_with('\n'));
        let line = format!("line {},", EXAMPLE[..at].matches('\n').count() + 1);
        assert_error(changed(old, new), &["unknown field", key, nearest, &line]);
    }
}

#[test]
fn a_key_like_no_other_gets_no_hint() {
    let message = changed("workers  =", "zzqq =").unwrap_err().to_string();
    assert!(message.contains("`zzqq`") && !message.contains("did you mean"), "{message}");
}

#[test]
fn an_unknown_key_has_its_line_also_when_the_environment_adds_values() {
    let text = EXAMPLE.replacen("workers  =", "worker =", 1);
    let error = JobConfig::parse(&text, [("ROLLFIT_RUN__ATTEMPTS".to_owned(), "2".to_owned())]);
    let line = text.lines().position(|line| line.starts_with("worker")).unwrap() + 1;
    assert_error(error, &["`worker`", "did you mean `workers`?", &format!("line {line},")]);
}

#[test]
fn what_is_missing_is_named() {
    assert_error(changed("url = \"parquet:./fx\"", ""), &["missing field `url`"]);
    assert_error(changed("table = \"m1_{key}\"", ""), &["missing field `table`"]);
    assert_error(parse(""), &["missing field `partitions`"]);
    let without_windows = EXAMPLE.replace("[windows]", "[series.bqx.windows]");
    assert_error(parse(&without_windows), &["series `idx` has no windows", "add a [windows] section"]);
    let without_series: String = EXAMPLE.split("\n[series.idx]").next().unwrap().to_owned();
    assert_error(parse(&format!("{without_series}\n[series]")), &["no [series.NAME] section"]);
}

#[test]
fn a_text_that_is_not_toml_has_its_line() {
    assert_error(changed("\n[run]", "\n[run"), &["TOML parse error", "line "]);
    assert_error(changed("\nw15 = 15", "\nw15 = 15\nw15 = 16"), &["duplicate key", "w15"]);
}

// ------------------------------------------------------------------------------------- windows and metrics

#[test]
fn a_window_outside_its_range_is_refused() {
    for rows in ["2", "1", "0", "-5", "1048577", "9223372036854775807"] {
        assert_error(
            changed("\nw15 = 15", &format!("\nw15 = {rows}")),
            &["[windows] w15", rows, "a window has 3 to"],
        );
    }
    assert_error(changed("\nw15 = 15", "\nw15 = \"15\""), &["invalid type", "line "]);
    assert_error(changed("\nw15 = 15", "\nw15 = 15.5"), &["invalid type", "line "]);
    assert!(changed("\nw15 = 15", "\nw15 = 3").is_ok() && changed("\nw15 = 15", "\nw15 = 1048576").is_ok());
}

#[test]
fn two_windows_of_one_length_are_refused() {
    assert_error(
        changed("w30 = 30", "w30 = 15"),
        &["[windows] w30 = 15", "`w15` has 15 rows too", "remove one"],
    );
    let own = changed("# windows = { w15 = 15 }", "windows = { a = 9, b = 9 } #");
    assert_error(own, &["[series.idx.windows] b = 9", "`a` has 9 rows too"]);
}

#[test]
fn no_windows_and_no_metrics_are_refused() {
    assert_error(
        changed("# windows = { w15 = 15 }", "windows = {} #"),
        &["[series.idx.windows] is empty", "w15 = 15"],
    );
    assert_error(
        changed("# metrics = [\"a2\", \"r2\"]", "metrics = [] #"),
        &["series `idx`", "metrics is empty"],
    );
}

#[test]
fn an_unknown_metric_is_named_with_the_nearest_and_all_there_are() {
    let error = changed("# metrics = [\"a2\", \"r2\"]", "metrics = [\"a2\", \"rsme\"] #");
    assert_error(
        error,
        &["series `idx`", "unknown metric `rsme`", "did you mean `rmse`?", "known are a2, a1, b"],
    );
    let global = changed("# metrics = [\"a2\", \"a1\", \"b\"]", "metrics = [\"predicton\"]");
    assert_error(global, &["unknown metric `predicton`", "did you mean `prediction`?", "quadratic_term"]);
}

#[test]
fn a_metric_named_twice_is_refused() {
    let error = changed("# metrics = [\"a2\", \"r2\"]", "metrics = [\"a2\", \"a2\"] #");
    assert_error(error, &["series `idx`", "named twice"]);
}

// --------------------------------------------------------------------------------------------- patterns

#[test]
fn a_pattern_with_an_unknown_placeholder_is_refused() {
    assert_error(
        changed("table = \"m1_{key}\"", "table = \"m1_{pair}\""),
        &["[series.idx] table", "`m1_{pair}`", "unknown placeholder {pair}", "{key}"],
    );
    assert_error(
        changed("reg_rate_{key}_{yyyy}_{mm}", "reg_{key}_{year}_{mm}"),
        &["[series.idx] features", "{year}", "{key}, {yyyy}, {mm}"],
    );
    assert_error(
        changed("[features]\ncolumn = \"{metric}_{series}_{window}\"", "[features]\ncolumn = \"{metrics}\""),
        &["[series.idx] column", "{metrics}", "{metric}, {series}, {window}"],
    );
}

#[test]
fn a_pattern_with_a_lonely_brace_or_none_at_all_is_refused() {
    assert_error(changed("m1_{key}", "m1_{key"), &["[series.idx] table", "a brace without its partner"]);
    assert_error(changed("m1_{key}", "m1_key}"), &["[series.idx] table", "a brace without its partner"]);
    assert_error(changed("m1_{key}", ""), &["[series.idx] table", "the pattern is empty"]);
}

#[test]
fn a_column_pattern_that_gives_two_features_one_name_is_refused() {
    let columns = |pattern: &str| {
        changed(
            "[features]\ncolumn = \"{metric}_{series}_{window}\"",
            &format!("[features]\ncolumn = \"{pattern}\""),
        )
    };
    assert_error(
        columns("{metric}_{window}"),
        &["[series.bqx] column", "`a2_w15`", "{metric}, {series} and {window}"],
    );
    assert_error(columns("{metric}_{series}"), &["[series.idx] column", "`a2_idx`"]);
    assert_error(columns("ts_utc"), &["[series.idx] column", "`ts_utc`", "the time column"]);
}

#[test]
fn outputs_of_two_partitions_with_one_name_are_refused() {
    let config = changed("reg_rate_{key}_{yyyy}_{mm}", "reg_rate_{key}_{yyyy}").unwrap();
    let partition = |month: &str| Partition::new("eurusd".to_owned(), month.parse().unwrap());
    let error =
        config.check_outputs([partition("2017-01"), partition("2017-02")].iter()).unwrap_err().to_string();
    for part in ["eurusd 2017-01", "eurusd 2017-02", "`reg_rate_eurusd_2017`", "use {key}, {yyyy} and {mm}"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

// ------------------------------------------------------------------------------------------- partitions

#[test]
fn keys_are_all_or_one_or_a_list() {
    let keys = |text: &str| changed("[\"eurusd\", \"gbpusd\"]", text).map(|config| config.keys);
    assert_eq!(keys("\"all\"").unwrap(), Keys::All);
    assert_eq!(keys("\"usdjpy\"").unwrap(), Keys::Listed(vec!["usdjpy".to_owned()]));
    assert_eq!(keys("[\"b\", \"a\"]").unwrap(), Keys::Listed(vec!["b".to_owned(), "a".to_owned()]));
}

#[test]
fn keys_that_are_none_are_refused() {
    let keys = |text: &str| changed("[\"eurusd\", \"gbpusd\"]", text);
    assert_error(keys("[]"), &["[partitions] keys is empty", "\"all\""]);
    assert_error(keys("[\"a\", \"b\", \"a\"]"), &["[partitions] keys", "`a` is listed twice"]);
    assert_error(keys("7"), &["expected \"all\" or a list of keys", "line "]);
    for hostile in ["../x", "..", ".x", "-x", "a/b", "a b", "", "a\\\\b", "é", "a:b", "a\\u0000"] {
        assert_error(
            keys(&format!("[\"{hostile}\"]")),
            &["[partitions] keys", "is not a key", "use letters, digits"],
        );
    }
}

#[test]
fn months_are_checked_for_form_and_order() {
    assert_error(
        changed("from = \"2017-01\"", "from = \"2018-01\""),
        &["[partitions] from = \"2018-01\" is after to = \"2017-12\""],
    );
    assert_error(
        changed("\"2017-01\"", "\"2017-13\""),
        &["[partitions] from", "`2017-13` is not a month", "or \"first\""],
    );
    assert_error(
        changed("\"2017-12\"", "\"last\""),
        &["[partitions] to", "`last` is not a month", "or \"latest\""],
    );
    let open = changed("\"2017-12\"", "\"latest\"").unwrap();
    assert_eq!((open.from.is_some(), open.to), (true, None));
    assert_eq!(changed("\"2017-01\"", "\"first\"").unwrap().from, None);
}

#[test]
fn the_name_of_a_job_cannot_leave_its_directory() {
    for name in ["../x", "a/b", "", "."] {
        let error = changed("# name = \"ticks\"", &format!("name = \"{name}\""));
        assert_error(error, &["[store] name", "is not a name"]);
    }
    assert_eq!(
        changed("# name = \"ticks\"", "name = \"ticks\"").unwrap().sink.name.as_deref(),
        Some("ticks")
    );
}

// ------------------------------------------------------------------------------------------------- run

#[test]
fn workers_are_auto_or_a_sensible_number() {
    let workers = |text: &str| changed("workers  = \"auto\"", &format!("workers = {text}"));
    assert_eq!(workers("1").unwrap().run.workers, Workers::Fixed(1));
    assert_eq!(workers("\"8\"").unwrap().run.workers, Workers::Fixed(8));
    assert_eq!(workers("1024").unwrap().run.workers, Workers::Fixed(1024));
    for wrong in ["0", "-1", "\"many\"", "1025", "9000000000000000000", "\"\"", "\"-1\""] {
        assert_error(
            workers(wrong),
            &["[run] workers", wrong.trim_matches('"'), "write \"auto\", 1 to 1024, or a range"],
        );
    }
    assert_eq!(workers("\"2..16\"").unwrap().run.workers, Workers::Between(2, 16));
    assert_error(workers("\"16..2\""), &["[run] workers", "16 is more than 2", "\"2..16\""]);
    for wrong in ["\"0..4\"", "\"1..\"", "\"..4\"", "\"1..2000\""] {
        assert_error(workers(wrong), &["[run] workers", "or a range such as"]);
    }
    for wrong in ["1.5", "true", "[1]"] {
        assert_error(workers(wrong), &["expected \"auto\", a number of workers, or a range", "line "]);
    }
}

#[test]
fn a_boundary_is_reset_or_carry() {
    let error = changed("boundary = \"reset\"", "boundary = \"wrap\"");
    assert_error(error, &["[run] boundary = \"wrap\"", "write \"reset\" or \"carry\""]);
}

#[test]
fn numbers_of_a_run_are_checked() {
    assert_error(changed("# attempts = 10", "attempts = 0"), &["[run] attempts = 0", "at least one attempt"]);
    assert_error(changed("# attempts = 10", "attempts = -1"), &["line "]);
    for wrong in ["-1", "nan", "inf", "1e300"] {
        let error = changed("# lock_wait_s = 60", &format!("lock_wait_s = {wrong}"));
        assert_error(error, &["[run] lock_wait_s", "give seconds, 0 or more"]);
    }
    for wrong in ["-0.1", "1.1", "nan"] {
        let error = changed("# shrunk_rows_min = 0.99", &format!("shrunk_rows_min = {wrong}"));
        assert_error(error, &["[run] shrunk_rows_min", "between 0 and 1"]);
        let error = changed("# join_loss_max = 0.01", &format!("join_loss_max = {wrong}"));
        assert_error(error, &["[run] join_loss_max", "between 0 and 1"]);
    }
}

// ------------------------------------------------------------------------------------------ environment

#[test]
fn the_environment_replaces_and_adds_values_of_every_type() {
    let config = with(&[
        ("ROLLFIT_STORE__URL", "parquet:/data/a = b"),
        ("ROLLFIT_STORE__NAME", "\"2024\""),
        ("ROLLFIT_PARTITIONS__KEYS", "[\"usdjpy\"]"),
        ("ROLLFIT_PARTITIONS__FROM", "2017-02"),
        ("ROLLFIT_RUN__WORKERS", "2"),
        ("ROLLFIT_RUN__LOCK_WAIT_S", "1.5"),
        ("ROLLFIT_RUN__BOUNDARY", "carry"),
        ("ROLLFIT_SERIES__IDX__TABLE", "bars_{key}"),
        ("ROLLFIT_WINDOWS__AGG", "100"),
        ("ROLLFIT_WINDOWS__W200", "200"),
        ("ROLLFIT_FEATURES__METRICS", "[\"r2\"]"),
    ])
    .unwrap();
    assert_eq!(
        (config.source.url.as_str(), config.sink.name.as_deref()),
        ("parquet:/data/a = b", Some("2024"))
    );
    assert_eq!(config.keys, Keys::Listed(vec!["usdjpy".to_owned()]));
    assert_eq!((config.from, config.run.workers), ("2017-02".parse().ok(), Workers::Fixed(2)));
    assert_eq!((config.run.lock_wait.as_millis(), config.boundary), (1500, Boundary::Carry));
    assert_eq!(config.series[0].table.for_key("x"), "bars_x");
    assert_eq!(config.lookback_rows(), 199);
    assert_eq!(columns(&config)[5..8], ["r2_idx_agg", "r2_idx_w200", "r2_bqx_w15"], "the order is kept");
}

#[test]
fn the_environment_may_say_everything() {
    let variables = [
        ("STORE__URL", "parquet:x"),
        ("PARTITIONS__KEYS", "all"),
        ("PARTITIONS__FROM", "first"),
        ("PARTITIONS__TO", "latest"),
        ("SERIES__Y__TABLE", "t_{key}"),
        ("SERIES__Y__TIME", "t"),
        ("SERIES__Y__VALUE", "v"),
        ("SERIES__Y__FEATURES", "f_{key}_{yyyy}_{mm}"),
        ("WINDOWS__W3", "3"),
    ];
    let config =
        JobConfig::parse("", variables.map(|(name, value)| (format!("ROLLFIT_{name}"), value.to_owned())))
            .unwrap();
    assert_eq!((config.keys, config.series[0].columns[0].as_str()), (Keys::All, "a2_y_w3"));
}

#[test]
fn a_wrong_variable_is_named() {
    assert_error(
        with(&[("ROLLFIT_RUN__WORKER", "2")]),
        &["`worker`", "did you mean `workers`?", "with ROLLFIT_RUN__WORKER"],
    );
    assert_error(
        with(&[("ROLLFIT_RUN__ATTEMPTS", "often")]),
        &["invalid type", "with ROLLFIT_RUN__ATTEMPTS"],
    );
    assert_error(
        with(&[("ROLLFIT_RUN__WORKERS__MOST", "2")]),
        &["ROLLFIT_RUN__WORKERS__MOST", "`workers` is a value"],
    );
    assert_error(with(&[("ROLLFIT_WINDOWS__W15", "2")]), &["[windows] w15 = 2"]);
}

#[test]
fn other_variables_are_none_of_ours() {
    let found =
        with(&[("ROLLFIT_CONFIG", "x"), ("ROLLFIT", "y"), ("PATH", "z"), ("OTHER_RUN__WORKERS", "0")]);
    assert_eq!(format!("{:?}", found.unwrap()), format!("{:?}", parse(EXAMPLE).unwrap()));
}

#[test]
fn a_variable_cannot_smuggle_a_second_key_in() {
    let config = with(&[("ROLLFIT_STORE__URL", "\"parquet:a\"\nname = \"b\"")]).unwrap();
    assert_eq!((config.source.url.as_str(), config.sink.name), ("\"parquet:a\"\nname = \"b\"", None));
}

#[test]
fn limits_for_good_neighbours_are_more_than_nothing() {
    for key in ["store_write_mb_per_s_max", "cpu_max"] {
        let limit =
            |value: &str| changed("boundary = \"reset\"", &format!("boundary = \"reset\"\n{key} = {value}"));
        assert!(limit("0.5").is_ok());
        for wrong in ["0", "-1", "nan", "inf"] {
            assert_error(limit(wrong), &[&format!("[run] {key}"), "more than 0"]);
        }
    }
    assert_error(changed("# order = \"spread\"", "order = \"size\""), &["[run] order", "largest-first"]);
}

#[test]
fn a_setting_knows_whether_a_variable_a_line_or_nobody_set_it() {
    let variables = [("ROLLFIT_RUN__CPU_MAX".to_owned(), "1.5".to_owned())];
    let config = JobConfig::parse(EXAMPLE, variables).unwrap();
    let line = EXAMPLE.lines().position(|line| line.starts_with("workers")).unwrap() + 1;
    let origin = |name: &str| {
        let settings = config.run.settings(&config.origins);
        settings
            .into_iter()
            .find(|setting| setting.name == name)
            .map(|setting| (setting.value, setting.origin))
    };
    assert_eq!(origin("run.workers"), Some((Some("auto".to_owned()), Origin::Line(line))));
    let variable = Origin::Variable("ROLLFIT_RUN__CPU_MAX".to_owned());
    assert_eq!(origin("run.cpu_max"), Some((Some("1.5".to_owned()), variable)));
    assert_eq!(origin("run.store_sessions_max"), Some((None, Origin::Default)));
}
