//! Made up measurements, and what has to follow from them.

use super::*;
use rollfit_job::spec::{EXAMPLE, Spec};

const ROWS: f64 = 30_000.0;

/// A store of which each session takes so many rows a second, four of them so many times as many.
fn store(rows_per_s: f64, together: f64) -> StoreSpeed {
    let speed = |sessions: usize, rows_per_s: f64| WriteSpeed {
        sessions,
        rows: 100_000,
        rows_per_s,
        bytes_per_s: rows_per_s * 1000.0,
        cpu_us_per_row: 1.0,
        complete_us_per_row: 0.0,
    };
    StoreSpeed {
        alone: speed(1, rows_per_s),
        together: Some(speed(4, rows_per_s * together)),
        ..StoreSpeed::default()
    }
}

fn measured(cores: usize, store: StoreSpeed) -> Measured {
    Measured {
        machine: MachineLimits { cores: Some(cores), ..MachineLimits::default() },
        busy: MachineSample::default(),
        partitions: 336,
        rows_of_a_partition: Some(ROWS),
        computing_us_alone: 1.0,
        computing_us_together: 1.0,
        threads: cores,
        reading_cpu_us: 0.0,
        reading_wait_us: 0.0,
        store,
        store_cpu_us: 0.0,
        reads_local_server: false,
        sessions_max: None,
    }
}

fn outlook(workers: &str, measured: &Measured) -> Outlook {
    let spec = Spec::parse(EXAMPLE, [("ROLLFIT_RUN__WORKERS".to_owned(), workers.to_owned())]).unwrap();
    Outlook::of(&spec.run, measured)
}

fn assert_near(got: Estimate, wanted: f64) {
    assert!((got.expected / wanted - 1.0).abs() < 0.1, "{got:?} is not {wanted}");
    assert!(got.low <= wanted && wanted <= got.high, "{got:?} does not hold {wanted}");
}

#[test]
fn one_worker_takes_the_sum_of_what_a_row_costs() {
    // 1 us computing beside the 10 us in which the store takes a row.
    let outlook = outlook("1", &measured(8, store(100_000.0, 4.0)));
    assert_eq!(outlook.workers, 1);
    assert_near(outlook.rows_per_s, 1e6 / 11.0);
    assert_near(outlook.job_s.unwrap(), 336.0 * ROWS * 11.0 / 1e6);
}

#[test]
fn a_store_that_takes_all_it_can_from_two_sessions_is_what_limits_more() {
    let outlook = outlook("8", &measured(64, store(100_000.0, 2.0)));
    assert_near(outlook.rows_per_s, 200_000.0);
    assert_eq!(outlook.limit, "the bytes a second that the store takes");
    let limit = outlook.scaling.iter().find(|line| line.workers == 8).unwrap().limit.clone();
    assert!(limit.unwrap().starts_with("no gain: limited by the bytes a second"));
}

#[test]
fn cores_limit_where_the_store_does_not_and_its_own_processor_time_counts_where_it_is_here() {
    let far_away = measured(2, store(500_000.0, 4.0));
    assert_near(outlook("8", &far_away).rows_per_s, 2e6 / 2.0);
    // As fast, but its 1 us is spent on these two cores: four sessions share them.
    let here = Measured { store_cpu_us: 1.0, ..measured(2, store(500_000.0, 2.0)) };
    let outlook = outlook("8", &here);
    assert_near(outlook.rows_per_s, 2e6 / 3.0);
    assert_eq!(outlook.limit, "the cores");
}

#[test]
fn beyond_twice_what_was_measured_only_limits_are_told() {
    let measured = Measured { sessions_max: Some(10), ..measured(64, store(100_000.0, 4.0)) };
    let scaling = outlook("auto", &measured).scaling;
    let at = |workers: usize| scaling.iter().find(|line| line.workers == workers).unwrap();
    assert_eq!((at(8).basis, at(12).basis), (Basis::Modelled, Basis::Ceiling));
    assert_eq!((at(12).rows_per_s, at(12).job_s), (None, None));
    assert_eq!((at(8).sessions, at(8).limit.as_deref()), (Some(9), None));
    assert!(at(12).limit.as_ref().unwrap().contains("need 13, there are 10"), "{:?}", at(12).limit);
    assert!(outlook("auto", &measured).workers <= 9);
}

#[test]
fn without_rows_speed_is_told_and_no_time() {
    let unknown = Measured { rows_of_a_partition: None, partitions: 0, ..measured(8, store(100_000.0, 4.0)) };
    let outlook = outlook("1", &unknown);
    assert_near(outlook.rows_per_s, 1e6 / 11.0);
    assert_eq!(outlook.job_s, None);
    assert!(outlook.scaling.iter().all(|line| line.job_s.is_none()));
}

#[test]
fn what_was_measured_is_told_where_the_model_cannot_explain_it() {
    // Two at once are slower than one: no model of stations is.
    let mut measured = measured(64, store(100_000.0, 0.8));
    (measured.computing_us_alone, measured.computing_us_together) = (0.0, 0.0);
    assert_near(outlook("1", &measured).rows_per_s, 100_000.0);
    assert_near(outlook("4", &measured).rows_per_s, 80_000.0);
}

#[test]
fn own_limits_hold() {
    let spec = Spec::parse(EXAMPLE, [("ROLLFIT_RUN__STORE_WRITE_MB_PER_S_MAX".to_owned(), "50".to_owned())]);
    let outlook = Outlook::of(&spec.unwrap().run, &measured(8, store(100_000.0, 4.0)));
    assert_near(outlook.rows_per_s, 50_000.0);
}
