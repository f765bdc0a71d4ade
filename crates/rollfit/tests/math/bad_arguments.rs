//! Bad arguments are typed errors; empty ones are fine.

use super::*;

#[test]
fn windows_have_three_rows_or_more_and_an_end() {
    for rows in [0, 1, 2, Window::MAX_ROWS + 1, usize::MAX] {
        let error = Window::new(rows).unwrap_err().to_string();
        assert!(error.contains(&format!("{rows} rows")) && error.contains("3 to 1048576"), "{error}");
        assert!(rows > 2 || rollfit::fit(&vec![1.0; rows]).is_err());
    }
    assert_eq!(Window::new(3).unwrap().rows(), 3);
    assert_eq!(Window::new(Window::MAX_ROWS).unwrap().rows(), 1 << 20);
}

#[test]
fn the_longest_window_is_fitted() {
    let values: Vec<f64> = (0..Window::MAX_ROWS).map(|i| (i % 7) as f64).collect();
    let fit = rollfit::fit(&values).unwrap();
    assert!((fit.b - 3.0).abs() < 1e-4 && fit.a2.abs() < 1e-4 && fit.ss_res > 0.0);
}

#[test]
#[allow(clippy::reversed_empty_ranges)]
fn rows_outside_the_series_are_refused() {
    let mut kernel = Kernel::new(&[window(3)]);
    for rows in [0..5, 4..5, 5..5, 3..2, 0..usize::MAX] {
        let refused = kernel.fit(&[1.0; 4], rows.clone());
        assert_eq!(refused, Err(KernelError::RowsOutside { rows, values: 4 }));
    }
    assert!(kernel.fit(&[1.0; 4], 0..5).unwrap_err().to_string().contains("0..5"));
}

#[test]
fn output_of_the_wrong_length_is_refused() {
    let mut kernel = Kernel::new(&[window(3)]);
    kernel.fit(&[1.0; 4], 0..4).unwrap();
    let metrics = &Metric::ALL[..2];
    for (cells, counters, wanted, found) in
        [(7, 2, 8, 7), (9, 2, 8, 9), (0, 2, 8, 0), (8, 1, 2, 1), (8, 3, 2, 3)]
    {
        let refused = kernel.write_metrics(0, metrics, &mut vec![0.0; cells], &mut vec![0; counters]);
        assert_eq!(refused, Err(KernelError::OutputLength { wanted, found }));
    }
    kernel.write_metrics(0, metrics, &mut [0.0; 8], &mut [0; 2]).unwrap();
}

#[test]
fn windows_that_were_not_given_have_no_fits_and_are_refused() {
    let mut kernel = Kernel::new(&[window(3)]);
    kernel.fit(&[1.0; 4], 0..4).unwrap();
    for window in [1, usize::MAX] {
        let refused = kernel.write_metrics(window, &[Metric::B], &mut [0.0; 4], &mut [0]);
        assert_eq!(refused, Err(KernelError::WindowOutside { window, windows: 1 }));
        assert!(kernel.fits(window).rows() == 0 && kernel.fits(window).get(3).is_none());
        assert!(kernel.grid(window).is_none());
    }
}

#[test]
fn values_that_are_all_missing_have_no_fit() {
    let values = [f64::NAN; 40];
    assert!(rollfit::fit(&values).unwrap().a2.is_nan());
    assert_eq!(Metric::B.value(&rollfit::fit(&values).unwrap(), window(40)), None);
    assert!(Stream::seeded(&windows(&[3, 15]), &values).fits().iter().all(Option::is_none));
    for cpu in Cpu::available() {
        let fits = paths::tiled(cpu, &values, &[3, 15], &[]);
        assert!(fits.into_iter().flatten().all(|fit| fit.is_none()), "{}", cpu.name());
    }
}

#[test]
fn nothing_to_fit_is_fine() {
    for cpu in Cpu::available() {
        let mut kernel = Kernel::on(cpu, &windows(&[3, 15]));
        for (values, rows) in [(&[][..], 0..0), (&[1.0, 2.0, 3.0][..], 0..0), (&[1.0, 2.0, 3.0], 3..3)] {
            kernel.fit(values, rows).unwrap();
            assert_eq!(kernel.fits(1).rows(), 0);
            assert!(kernel.fits(0).get(0).is_none());
            kernel.write_metrics(0, Metric::ALL, &mut [], &mut vec![0; Metric::ALL.len()]).unwrap();
            kernel.write_metrics(0, &[], &mut [], &mut []).unwrap();
        }
        kernel.fit(&[1.0, 2.0], 0..2).unwrap();
        assert!(kernel.fits(0).get(1).is_none(), "the window is not full");
    }
}

#[test]
fn no_windows_are_fine() {
    let mut kernel = Kernel::new(&[]);
    kernel.fit(&[1.0, 2.0, 3.0], 0..3).unwrap();
    assert!(kernel.tile_rows() > 0);
    let mut stream = Stream::seeded(&[], &[1.0, f64::NAN]);
    assert!(stream.push(1.0).is_empty());
    stream.reset();
    assert!(stream.push(2.0).is_empty() && stream.fits().is_empty());
}

#[test]
fn windows_given_twice_are_fitted_twice() {
    let values = HardSeries { seed: 51, rows: 100 }.values();
    let fits = paths::tiled(Cpu::detect(), &values, &[15, 7, 15], &[]);
    assert_eq!(fits[0], fits[2]);
    assert_eq!(fits, paths::alone(&values, &[15, 7, 15]));
}
