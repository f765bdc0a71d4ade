//! What users of the library expect of its types: names and numbers read and written, errors with sources, types that threads can
//! share.

use std::error::Error;

use super::*;
use rollfit::agreement::{Judgement, MetricRange, Ranges};
use rollfit::bounds::{ErrorInBounds, ErrorRange};
use rollfit::sql::{Dialect, SqlFunction};
use rollfit::{FitColumns, ParseMetricError, Unit, WindowError};

#[test]
fn metrics_are_read_by_their_names_and_nothing_else() {
    for &metric in Metric::ALL {
        assert_eq!(metric.to_string().parse(), Ok(metric));
    }
    for (name, nearest) in [
        ("rsme", Some(Metric::Rmse)),
        ("R2", Some(Metric::R2)),
        ("predicton", Some(Metric::Prediction)),
        ("Curvature", Some(Metric::Curvature)),
        ("residual_st", Some(Metric::ResidualStd)),
        ("a", Some(Metric::A2)),
        ("", None),
        ("sharpe", None),
        ("größe", None),
    ] {
        let error: ParseMetricError = name.parse::<Metric>().unwrap_err();
        assert_eq!((error.name(), error.nearest()), (name, nearest));
        let text = error.to_string();
        match nearest {
            Some(metric) => assert!(text.ends_with(&format!("did you mean \"{metric}\"?")), "{text}"),
            None => assert!(text.contains("known are a2, a1, b"), "{text}"),
        }
    }
    let long = "rmse".repeat(1 << 20);
    assert_eq!(long.parse::<Metric>().unwrap_err().nearest(), None);
}

#[test]
fn metrics_are_ordered_as_the_catalogue_is() {
    assert!(Metric::ALL.is_sorted());
}

#[test]
fn windows_are_read_written_and_converted() {
    for rows in [3, 15, Window::MAX_ROWS] {
        let window = window(rows);
        assert_eq!((Window::try_from(rows), usize::from(window)), (Ok(window), rows));
        assert_eq!(window.to_string().parse(), Ok(window));
    }
    assert_eq!(format!("{:>4}", window(15)), "  15");
    for (text, has_source) in
        [("2", false), ("1048577", false), ("", true), ("w15", true), ("-3", true), ("15.0", true)]
    {
        let error = text.parse::<Window>().unwrap_err();
        assert_eq!(error.source().is_some(), has_source, "{text}");
        assert!(error.to_string().contains("3 to 1048576"), "{error}");
    }
}

#[test]
fn the_fit_of_another_window_is_refused() {
    let values = [1.0, 3.0, 2.0, 5.0];
    let fit = rollfit::fit(&values).unwrap();
    let numbers = fit.map(|fit| fit.numbers()).unwrap();
    for rows in [3, 5, 1000] {
        let other = Fit::from_numbers(numbers, window(rows));
        let error = bounds::check(&values, other.as_ref()).err().unwrap().to_string();
        assert_eq!(error, format!("the fit is of a window of {rows} rows, and there are 4 values"));
    }
    assert!(bounds::check(&values, fit.as_ref()).unwrap().all(|(_, error)| error.passes()));
    assert!(!bounds::check(&values, None).unwrap().all(|(_, error)| error.passes()), "there is a fit");
}

proptest! {
    #![proptest_config(cases(1000))]
    #[test]
    fn numbers_and_window_of_a_fit_give_its_metrics_again(hard in hard_window(3, 300)) {
        let (_, values) = hard.window();
        let fit = rollfit::fit(&values).expect("a window's length").expect("usable values");
        let again = Fit::from_numbers(fit.numbers(), fit.window()).expect("a fit");
        let numbers = FitNumbers {
            a2: fit.a2(),
            a1: fit.a1(),
            b: fit.b(),
            ss_res: fit.ss_res(),
            ss_tot: fit.ss_tot(),
            y_last: fit.y_last(),
        };
        prop_assert_eq!(numbers, fit.numbers());
        prop_assert_eq!((again, again.window().rows()), (fit, values.len()));
        for metric in Metric::ALL {
            let bits = |fit: &Fit| metric.value(fit).map(f64::to_bits);
            prop_assert_eq!(bits(&again), bits(&fit), "{}", metric);
        }
        let none = FitNumbers { a2: f64::NAN, ..fit.numbers() };
        prop_assert_eq!(Fit::from_numbers(none, fit.window()), None);
    }
}

#[test]
fn types_can_be_sent_shared_and_shown() {
    fn is_common<T: Send + Sync + Unpin + std::fmt::Debug + 'static>() {}
    fn is_error<T: Error + Send + Sync + 'static>() {}
    fn is_key<T: Copy + Eq + std::hash::Hash>() {}
    is_common::<(Kernel, Stream, Tile, FitColumns, Fit, FitNumbers, MissingValues)>();
    is_common::<(MetricColumns<'static>, Bounds, Ranges, Judgement, MetricRange, ErrorInBounds, ErrorRange)>(
    );
    is_common::<(Terms, Grid, DoubleDouble, SqlFunction)>();
    is_error::<WindowError>();
    is_error::<KernelError>();
    is_error::<ParseMetricError>();
    is_key::<(Metric, Unit, Part)>();
    is_key::<(Window, Cpu, Dialect)>();
}
