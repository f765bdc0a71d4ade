//! The layout of fits in a configuration: what it needs, which names its tables, columns and views have, and what it cannot have.

use super::tests::{assert_error, changed, parse};
use super::*;
use crate::partition::Partition;

#[test]
fn a_layout_is_one_of_two_and_only_that_of_fits_has_views() {
    let stored = |lines: &str| changed("# layout =", &format!("{lines}\n# layout ="));
    assert_eq!(parse(EXAMPLE).unwrap().sink.layout, Layout::Metrics);
    assert_eq!(stored("layout = \"metrics\"").unwrap().sink.layout, Layout::Metrics);
    let fits =
        stored("layout = \"fits\"\nschema = \"fx\"\nviews_schema = \"fx\"\nnumbers = \"numeric\"").unwrap();
    assert_eq!((fits.sink.layout, fits.sink.views_schema.as_deref()), (Layout::Fits, Some("fx")));
    let names = (fits.series[0].as_stored(), fits.series[0].clone());
    assert_eq!((names.0.columns.len(), names.1.columns.len()), (31, 90));
    assert_eq!(names.0.features.as_ref().unwrap().to_string(), "fit_reg_rate_{key}_{yyyy}_{mm}");
    for (lines, parts) in [
        ("layout = \"fit\"", &["[store] layout = \"fit\"", "write \"metrics\" or \"fits\""][..]),
        ("layout = \"Fits\"", &["[store] layout = \"Fits\""]),
        ("views_schema = \"next\"", &["[store] views_schema = \"next\"", "layout = \"fits\""]),
        ("layout = \"fits\"\nviews_schema = \"\"", &["[store] views_schema is empty"]),
        ("layout = \"fits\"\nnumbers = \"real\"", &["[store] numbers = \"real\"", "\"numeric\""]),
    ] {
        assert_error(stored(lines), parts);
    }
    let sink = "[sink]\nurl = \"postgres://h/d\"\nlayout = \"fits\"\n[partitions]";
    assert_eq!(changed("[partitions]", sink).unwrap().sink.layout, Layout::Fits);
    assert_error(changed("[partitions]", &sink.replace("[sink]", "[source]")), &["unknown field `layout`"]);
}

/// The example in the layout of fits, with `old` replaced by `new`.
fn fits(old: &str, new: &str) -> Result<JobConfig, ConfigError> {
    assert!(EXAMPLE.contains(old), "{old}");
    parse(&EXAMPLE.replacen(old, new, 1).replace("# layout =", "layout ="))
}

#[test]
fn in_the_layout_of_fits_tables_and_views_have_names_of_their_own() {
    let checked = |old: &str, new: &str| {
        let config = fits(old, new).unwrap();
        let partitions = ["a", "fit_a"].map(|key| Partition::new(key.to_owned(), "2017-01".parse().unwrap()));
        config.check_outputs(partitions.iter()).map_err(|error| error.to_string())
    };
    let (rate, parent) = ("reg_rate_{key}_{yyyy}_{mm}", "# parent = \"reg_rate_{key}\"");
    assert_eq!(checked("[run]", "[run]"), Ok(()));
    for (old, new, part) in [
        // The view of one series is the table of another, of one key or of another one.
        (
            rate,
            "fit_reg_bqx_{key}_{yyyy}_{mm}",
            "would both be written to `fit_reg_bqx_a_2017_01` (layout = \"fits\" has a view of",
        ),
        (
            rate,
            "{key}_{yyyy}_{mm}",
            "and fit_a 2017-01 of series `idx` would both be written to `fit_a_2017_01`",
        ),
        (
            "\"bqx_{key}\"",
            "\"fit_reg_rate_{key}_2017_01\"",
            "`fit_reg_rate_a_2017_01`, which is a source table of series `bqx`",
        ),
        (rate, "m1_{key}", "`m1_a`, which is a source table of series `idx`"),
        (parent, "parent = \"fit_reg_bqx_{key}_{yyyy}_01\"", "the `parent` of series `idx`"),
    ] {
        let error = checked(old, new).unwrap_err();
        assert!(error.contains(part), "{new}: {error}");
    }
    assert_eq!(checked(parent, "parent = \"reg_rate_{key}\""), Ok(()));
    let shared = EXAMPLE
        .replace(
            "features = \"reg_rate_{key}_{yyyy}_{mm}\"",
            "features = \"reg_rate_{key}_{yyyy}_{mm}\"\nparent = \"reg_{key}\"",
        )
        .replace(
            "features = \"reg_bqx_{key}_{yyyy}_{mm}\"",
            "features = \"reg_bqx_{key}_{yyyy}_{mm}\"\nparent = \"reg_{key}\"",
        );
    let partition = [Partition::new("a".to_owned(), "2017-01".parse().unwrap())];
    parse(&shared).unwrap().check_outputs(partition.iter()).unwrap();
    let shared = parse(&shared.replace("# layout =", "layout =")).unwrap();
    let error = shared.check_outputs(partition.iter()).unwrap_err().to_string();
    assert!(error.contains("[series.bqx] parent: `fit_reg_a` is the parent of series `idx` too"), "{error}");
}

#[test]
fn columns_of_fits_have_names_of_their_own() {
    let columns = |pattern: &str, metrics: [&str; 2]| {
        let [idx, bqx] = metrics.map(|metric| format!("metrics = [\"{metric}\"]"));
        let text = EXAMPLE
            .replace(
                "column = \"{metric}_{series}_{window}\"\n# metrics",
                &format!("column = \"{pattern}\"\n# metrics"),
            )
            .replace("\n[series.idx]\n", &format!("\n[series.idx]\n{idx}\n"))
            .replace("\n[series.bqx]\n", &format!("\n[series.bqx]\n{bqx}\n"));
        (parse(&text), parse(&text.replace("# layout =", "layout =")))
    };
    // What tells the features of one metric apart need not do so for six numbers.
    let (metrics, fits) = columns("{series}_{window}", ["r2", "r2"]);
    assert_eq!(metrics.unwrap().feature_count(), 12);
    assert_error(
        fits,
        &[
            "[series.idx] column: layout = \"fits\" would call two columns of its tables `idx_w15`",
            "{metric}",
        ],
    );
    let (metrics, fits) = columns("{metric}_{window}", ["r2", "rmse"]);
    assert_eq!(metrics.unwrap().feature_count(), 12);
    assert_error(fits, &["[series.bqx] column", "`a2_w15` (the other belongs to idx)"]);
    // Features have a table of their own, in another job, and may be called like numbers of fits.
    let (_, fits) = columns("{metric}_{series}_{window}", ["a2", "b"]);
    let fits = fits.unwrap();
    assert_eq!((fits.feature_count(), fits.stored_column_count()), (12, 62));
}
