//! No value where there is none, and nowhere else: missing, infinite and huge inputs.

use super::*;

const BAD: [f64; 6] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.000_000_000_000_001e100, -1e101, f64::MAX];

fn written(cpu: Cpu, values: &[f64], rows: usize) -> Written {
    Written::new(cpu, values, rows, 0..values.len())
}

/// Values that cannot be used, at some rows.
fn spoilt(values: &[f64], at: &[(prop::sample::Index, usize)]) -> Vec<f64> {
    let mut spoilt = values.to_vec();
    for (row, bad) in at {
        spoilt[row.index(values.len())] = BAD[bad % BAD.len()];
    }
    spoilt
}

fn bad_rows() -> impl Strategy<Value = Vec<(prop::sample::Index, usize)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..BAD.len()), 1..8)
}

fn is_full_of_usable(values: &[f64], row: usize, rows: usize) -> bool {
    row + 1 >= rows && values[row + 1 - rows..=row].iter().all(|&value| rollfit::is_usable(value))
}

proptest! {
    #![proptest_config(cases(300))]
    #[test]
    fn exactly_the_windows_that_hold_a_bad_value_have_none(
        series in hard_series(600), rows in 3..=100usize, bad in bad_rows(),
    ) {
        let values = series.values();
        let spoilt = spoilt(&values, &bad);
        let mut stream = Stream::new(&[window(rows)]);
        let streamed = paths::streamed(&mut stream, &spoilt, 1);
        let undisturbed = paths::streamed(&mut Stream::new(&[window(rows)]), &values, 1);
        for cpu in Cpu::available() {
            let mut kernel = Kernel::with_cpu(cpu, &[window(rows)]);
            let fits = paths::tile(&mut kernel, &spoilt, 0..spoilt.len(), 1);
            prop_assert_eq!(&fits, &streamed);
            for (row, fit) in fits[0].iter().enumerate() {
                let expected = is_full_of_usable(&spoilt, row, rows).then_some(undisturbed[0][row]).flatten();
                prop_assert_eq!(*fit, expected, "row {}", row);
            }
        }
    }

    #[test]
    fn every_cell_is_a_finite_number_or_counted(
        series in hard_series(600), rows in 3..=100usize, bad in bad_rows(),
    ) {
        let values = spoilt(&series.values(), &bad);
        for cpu in Cpu::available() {
            let written = written(cpu, &values, rows);
            for (&metric, &undefined) in Metric::ALL.iter().zip(&written.undefined) {
                let column = written.column(metric);
                let missing = column.iter().filter(|value| value.is_nan()).count();
                prop_assert_eq!(missing as u64, undefined);
                prop_assert!(column.iter().all(|value| !value.is_infinite()));
                prop_assert!(column.iter().all(|value| value.to_bits() != (-0.0f64).to_bits()));
            }
        }
    }
}

#[test]
fn the_largest_usable_value_is_used() {
    assert!(
        rollfit::is_usable(1e100) && rollfit::is_usable(-1e100) && !rollfit::is_usable(1e100f64.next_up())
    );
    let fit = rollfit::fit(&[1e100, -1e100, 1e100, -1e100]).unwrap().expect("usable values");
    assert!(fit.a2().is_finite() && fit.ss_res().is_finite() && fit.ss_tot().is_finite());
}

#[test]
fn zeros_of_either_sign_give_the_same_bits_and_never_a_negative_zero() {
    for values in [[-0.0; 40], [0.0; 40], std::array::from_fn(|i| if i % 3 == 0 { -0.0 } else { 0.0 })] {
        let written = paths::written_alone(&values);
        let positive = paths::written_alone(&[0.0; 40]);
        assert_eq!(written.bits(), positive.bits());
        assert!(written.cells.iter().all(|cell| cell.is_sign_positive()));
    }
    let mut falling: Vec<f64> = (0..40).map(|i| f64::from(-i)).collect();
    falling.extend([-0.0; 40]);
    for cpu in Cpu::available() {
        let written = written(cpu, &falling, 15);
        assert!(written.cells.iter().all(|cell| cell.to_bits() != (-0.0f64).to_bits()));
    }
}

#[test]
fn values_whose_squares_underflow_keep_everything_but_digits() {
    let mut rng = Rng::with_seed(31);
    for _ in 0..3000 {
        // Where squares fade, and where the values themselves do.
        let unit =
            if rng.bool() { 2f64.powi(rng.i32(-560..-500)) } else { f64::from_bits(1 << rng.u32(0..45)) };
        let rows = rng.usize(3..40);
        let bend = if rng.bool() { 0.0 } else { rng.f64() - 0.5 };
        let mut value = |i: usize| unit * (bend * (i * i) as f64 + rng.f64() * 2.0).round();
        let values: Vec<f64> = (0..rows).map(&mut value).collect();
        let written = paths::written_alone(&values);
        assert!(written.cells.iter().all(|cell| cell.is_finite()), "{values:?}");
        let fit = rollfit::fit(&values).unwrap().expect("usable values");
        assert!(0.0 <= fit.ss_res() && fit.ss_res() <= fit.ss_tot(), "{fit:?}");
        let minus_zero = (-0.0f64).to_bits();
        for cpu in Cpu::available() {
            let mut kernel = Kernel::with_cpu(cpu, &[window(rows)]);
            let here = paths::tile(&mut kernel, &values, rows - 1..rows, 1)[0][0];
            assert_eq!(here, bits(Some(fit)));
            assert!(here.is_some_and(|numbers| !numbers.contains(&minus_zero)), "{fit:?}");
        }
    }
}

/// Five values whose fitted `2*a2 + 1e-10` is 0 to the last bit: a parabola with noise, tried until it happens.
fn without_vertex() -> [f64; 5] {
    let grid: Grid = Grid::new(window(5));
    let mut rng = Rng::with_seed(32);
    let candidate = || {
        std::array::from_fn(|i| {
            let x = (i as f64 - grid.u_last) / grid.scale;
            let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            // The noise is orthogonal to the parabola but for the rounding of it.
            let noise = sign * [1.0, 4.0, 6.0, 4.0, 1.0][i] * 1e-11;
            -5e-11 * x * x + noise + 1e-25 * rng.f64()
        })
    };
    let has_none = |values: &[f64; 5]| {
        2.0 * rollfit::fit(values).expect("five rows").expect("usable").a2() + 1e-10 == 0.0
    };
    std::iter::repeat_with(candidate).take(100_000).find(has_none).expect("one in some hundred has none")
}

#[test]
fn a_formula_without_a_value_is_counted_and_leaves_the_others() {
    let values = without_vertex();
    for cpu in Cpu::available() {
        let written = written(cpu, &values, 5);
        for (&metric, &undefined) in Metric::ALL.iter().zip(&written.undefined) {
            let open = metric == Metric::VertexX || metric.made_of().contains(&Part::VertexX);
            // The four rows before the window is full have no value either.
            assert_eq!(undefined, if open { 5 } else { 4 }, "{metric}");
            assert_eq!(written.column(metric)[4].is_nan(), open, "{metric}");
        }
    }
}

#[test]
fn undefined_counts_add_up_over_tiles() {
    let mut kernel = Kernel::new(&[window(3)]);
    let mut undefined = [10];
    for first in 0..4 {
        let tile = kernel.fit(&[1.0, 2.0, f64::NAN, 4.0], first..first + 1).unwrap();
        tile.fits(0).unwrap().write_metrics(&[Metric::B], &mut [0.0], &mut undefined).unwrap();
    }
    assert_eq!(undefined, [14]);
}
