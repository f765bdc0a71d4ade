//! Fits that were written to columns and read back give the metrics that the kernel wrote, bit for bit.

use super::*;
use rollfit::FitColumns;

/// The six columns of a window's fits.
fn columns_of(fits: &FitColumns) -> [Vec<f64>; 6] {
    // Garbage, so that a cell that is not written shows.
    let mut columns: [Vec<f64>; 6] = std::array::from_fn(|_| vec![-7e77; fits.rows()]);
    let [a2, a1, b, ss_res, ss_tot, y_last] = &mut columns;
    fits.write(FitNumbers { a2, a1, b, ss_res, ss_tot, y_last }).expect("columns of one length");
    columns
}

fn as_fit(columns: &[Vec<f64>; 6]) -> FitNumbers<&[f64]> {
    let [a2, a1, b, ss_res, ss_tot, y_last] = columns.each_ref().map(Vec::as_slice);
    FitNumbers { a2, a1, b, ss_res, ss_tot, y_last }
}

/// Holds what is written of a kernel's fits against what is read back from columns of them.
fn hold(fits: &FitColumns) {
    let columns = columns_of(fits);
    for row in 0..fits.rows() {
        let expected = bits(fits.get(row)).unwrap_or([f64::NAN.to_bits(); 6]);
        assert_eq!(columns.each_ref().map(|column| column[row].to_bits()), expected, "row {row}");
    }
    let read = FitColumns::from_columns(&as_fit(&columns), fits.window()).expect("columns of one length");
    let to_bits =
        |columns: [Vec<f64>; 6]| columns.map(|column| column.iter().map(|number| number.to_bits()).collect());
    let [again, columns]: [[Vec<u64>; 6]; 2] = [to_bits(columns_of(&read)), to_bits(columns)];
    assert_eq!(again, columns);
    let mut cells = vec![-7e77; Metric::ALL.len() * read.rows()];
    let mut undefined = vec![0; Metric::ALL.len()];
    read.write_metrics(Metric::ALL, &mut cells, &mut undefined).expect("columns of one length");
    let written = Written::from_fits(fits);
    let cells: Vec<u64> = cells.iter().map(|cell| cell.to_bits()).collect();
    assert_eq!((cells, undefined), (written.bits(), written.undefined));
}

proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn of_any_tile_of_a_hard_series_on_every_path(
        series in hard_series(400), rows in some_windows(), ends in any::<[prop::sample::Index; 2]>(),
        bad in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..4),
    ) {
        let mut values = series.values();
        for (row, is_missing) in bad {
            let row = row.index(values.len());
            values[row] = if is_missing { f64::NAN } else { -0.0 };
        }
        let mut ends = ends.map(|end| end.index(values.len() + 1));
        ends.sort_unstable();
        for cpu in Cpu::available() {
            let mut kernel = Kernel::with_cpu(cpu, &windows(&rows));
            let tile = kernel.fit(&values, ends[0]..ends[1]).expect("rows of the series");
            prop_assert!(tile.iter().map(|fits| fits.window().rows()).eq(rows.iter().copied()));
            tile.iter().for_each(hold);
        }
    }
}

#[test]
fn of_tiles_of_every_length_with_and_without_fits() {
    let values: Vec<f64> = (0..60).map(|row| f64::from(row * row % 31) - 9.0).collect();
    let parabola: Vec<f64> = (0..60).map(|row| f64::from(row * row)).collect();
    for values in [values, parabola, vec![0.0; 60], vec![f64::NAN; 60], vec![1e100; 60], vec![5e-324; 60]] {
        for rows in 0..=25 {
            let mut kernel = Kernel::new(&windows(&[30, 3, 15]));
            let tile = kernel.fit(&values, 10..10 + rows).expect("rows of the series");
            tile.iter().for_each(hold);
        }
    }
    let none = [(); 6].map(|()| Vec::new());
    let none = FitColumns::from_columns(&as_fit(&none), window(3)).expect("columns of one length");
    assert!(none.rows() == 0 && columns_of(&none).iter().all(Vec::is_empty));
}

fn write_ss_tot(fits: &FitColumns, ss_tot: &mut [f64]) -> Result<(), KernelError> {
    let nothing = || -> &mut [f64] { &mut [] };
    fits.write(FitNumbers {
        a2: nothing(),
        a1: nothing(),
        b: nothing(),
        ss_res: nothing(),
        ss_tot,
        y_last: nothing(),
    })
}

#[test]
fn numbers_that_are_not_wanted_are_left_out_and_columns_of_other_lengths_are_refused() {
    let mut kernel = Kernel::new(&[window(3)]);
    let tile = kernel.fit(&[1.0, 2.0, 4.0, 7.0], 0..4).expect("rows of the series");
    let fits = tile.fits(0).expect("the only window");
    let columns = columns_of(fits);
    let mut only = [0.0; 4];
    write_ss_tot(fits, &mut only).expect("columns of one length");
    assert_eq!(only.map(f64::to_bits), [0, 1, 2, 3].map(|row: usize| columns[4][row].to_bits()));
    for found in [1, 3, 5] {
        let refused = write_ss_tot(fits, &mut vec![0.0; found]);
        assert_eq!(refused, Err(KernelError::OutputLength { wanted: 4, found }));
    }
    let mut shorter = columns.clone();
    shorter[5].pop();
    let refused = FitColumns::from_columns(&as_fit(&shorter), window(3)).unwrap_err();
    assert_eq!(refused, KernelError::InputLength { wanted: 4, found: 3 });
    assert!(refused.to_string().contains("4 and 3 values"), "{refused}");
    let read = FitColumns::from_columns(&as_fit(&columns), fits.window()).expect("columns of one length");
    let refused = read.write_metrics(&[Metric::B], &mut [0.0; 3], &mut [0]);
    assert_eq!(refused, Err(KernelError::OutputLength { wanted: 4, found: 3 }));
}

/// What others stored may be anything: metrics of it are what their formulas give, and nothing panics.
#[test]
fn any_numbers_are_fits_and_give_what_the_formulas_give() {
    const NUMBERS: [f64; 9] =
        [0.0, -0.0, 1.0, -1e300, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    let mut random = Rng::with_seed(5);
    for rows in (0..3000).map(|at| at % 19) {
        let mut column = |_| (0..rows).map(|_| NUMBERS[random.usize(..NUMBERS.len())]).collect();
        hold_any(&std::array::from_fn(&mut column));
    }
}

fn hold_any(columns: &[Vec<f64>; 6]) {
    let fits = FitColumns::from_columns(&as_fit(columns), window(15)).expect("columns of one length");
    let rows = fits.rows();
    let mut cells = vec![-7e77; Metric::ALL.len() * rows];
    let mut undefined = vec![0; Metric::ALL.len()];
    fits.write_metrics(Metric::ALL, &mut cells, &mut undefined).expect("columns of one length");
    let missing = cells.iter().filter(|cell| cell.is_nan()).count();
    assert_eq!(undefined.iter().sum::<u64>(), missing as u64);
    for row in 0..rows {
        let [a2, a1, b, ss_res, ss_tot, y_last] = columns.each_ref().map(|column| column[row]);
        let terms = Terms::new(&FitNumbers { a2, a1, b, ss_res, ss_tot, y_last }, &Grid::new(window(15)));
        for (at, metric) in Metric::ALL.iter().enumerate() {
            let (expected, found) = (metric.of(&terms), cells[at * rows + row]);
            let expected = if expected.is_finite() { expected } else { f64::NAN };
            assert_eq!(found.to_bits(), expected.to_bits(), "{metric} of row {row}");
        }
    }
}
