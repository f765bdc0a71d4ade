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
    let fit = rollfit::fit(&values).unwrap().expect("usable values");
    assert!((fit.b() - 3.0).abs() < 1e-4 && fit.a2().abs() < 1e-4 && fit.ss_res() > 0.0);
}

#[test]
#[allow(clippy::reversed_empty_ranges)]
fn rows_outside_the_series_are_refused() {
    let mut kernel = Kernel::new(&[window(3)]);
    for rows in [0..5, 4..5, 5..5, 3..2, 0..usize::MAX] {
        let refused = kernel.fit(&[1.0; 4], rows.clone());
        assert_eq!(refused.unwrap_err(), KernelError::RowsOutside { rows, values: 4 });
    }
    assert!(kernel.fit(&[1.0; 4], 0..5).unwrap_err().to_string().contains("0..5"));
}

#[test]
fn output_of_the_wrong_length_is_refused() {
    let mut kernel = Kernel::new(&[window(3)]);
    let tile = kernel.fit(&[1.0; 4], 0..4).unwrap();
    let fits = tile.fits(0).unwrap();
    let metrics = &Metric::ALL[..2];
    for (cells, counters, wanted, found) in
        [(7, 2, 8, 7), (9, 2, 8, 9), (0, 2, 8, 0), (8, 1, 2, 1), (8, 3, 2, 3)]
    {
        let refused = fits.write_metrics(metrics, &mut vec![0.0; cells], &mut vec![0; counters]);
        assert_eq!(refused, Err(KernelError::OutputLength { wanted, found }));
    }
    fits.write_metrics(metrics, &mut [0.0; 8], &mut [0; 2]).unwrap();
}

#[test]
fn metrics_without_room_are_refused_and_nothing_is_written() {
    let (mut kernel, mut missing) = (Kernel::new(&windows(&[3, 4])), MissingValues::default());
    let mut write = |cells: &mut [f64], stride| {
        let columns = MetricColumns::new(cells, stride);
        kernel.metrics_into(&[1.0; 8], 1..6, &[Metric::B, Metric::A2], columns, &mut missing)
    };
    let mut cells = [-7e77; 40];
    for stride in [0, 1, 4] {
        assert_eq!(write(&mut cells, stride), Err(KernelError::ColumnsOverlap { stride, rows: 5 }));
    }
    for (stride, wanted) in [(5, 20), (6, 23), (8, 29), (usize::MAX, usize::MAX)] {
        let found = (wanted - 1).min(cells.len());
        let refused = write(&mut cells[..found], stride);
        assert_eq!(refused, Err(KernelError::OutputLength { wanted, found }), "{stride}");
    }
    assert_eq!(cells, [-7e77; 40]);
    for (stride, wanted) in [(5, 20), (6, 23), (8, 29)] {
        cells.fill(-7e77);
        write(&mut cells[..wanted], stride).unwrap();
        let is_kept = |at: usize| at >= wanted || at % stride >= 5;
        assert!((0..40).all(|at| (cells[at] == -7e77) == is_kept(at)), "stride {stride}: {cells:?}");
    }
    assert!(KernelError::ColumnsOverlap { stride: 4, rows: 5 }.to_string().contains("stride of 5 or more"));
}

#[test]
fn metrics_given_twice_are_written_twice() {
    let values = HardSeries { seed: 52, rows: 60 }.values();
    let metrics = [Metric::R2, Metric::B, Metric::R2, Metric::VertexY, Metric::B];
    for cpu in Cpu::available() {
        let mut missing = MissingValues::default();
        let mut cells = vec![-7e77; metrics.len() * 60];
        let columns = MetricColumns::new(&mut cells, 60);
        Kernel::with_cpu(cpu, &[window(7)])
            .metrics_into(&values, 0..60, &metrics, columns, &mut missing)
            .unwrap();
        let written = Written::new(cpu, &values, 7, 0..60);
        for (column, metric) in cells.chunks(60).zip(metrics) {
            assert_eq!(
                column.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
                written.bits_of(metric),
                "{metric}"
            );
        }
        let undefined = missing.undefined(0).unwrap();
        assert_eq!((undefined.len(), undefined[0]), (5, undefined[2]));
    }
}

#[test]
fn windows_that_were_not_given_have_no_fits_and_are_refused() {
    let mut kernel = Kernel::new(&[window(3)]);
    let tile = kernel.fit(&[1.0; 4], 0..4).unwrap();
    let mut missing = MissingValues::default();
    let columns = &mut [0.0; 4];
    kernel.metrics_into(&[1.0; 4], 0..4, &[Metric::B], MetricColumns::new(columns, 4), &mut missing).unwrap();
    assert_eq!((missing.rows_without_fit(0), missing.undefined(0)), (Ok(2), Ok(&[0][..])));
    for window in [1, usize::MAX] {
        let refused = KernelError::WindowOutside { window, windows: 1 };
        assert_eq!(tile.fits(window).unwrap_err(), refused);
        assert_eq!(missing.rows_without_fit(window), Err(refused.clone()));
        assert_eq!(missing.undefined(window), Err(refused.clone()));
        assert_eq!(missing.has_fit_bits(window), Err(refused));
    }
}

#[test]
fn values_that_are_all_missing_have_no_fit() {
    let values = [f64::NAN; 40];
    assert_eq!(rollfit::fit(&values).unwrap(), None);
    assert!(Stream::seeded(&windows(&[3, 15]), &values).fits().iter().all(Option::is_none));
    for cpu in Cpu::available() {
        let fits = paths::tiled(cpu, &values, &[3, 15], &[]);
        assert!(fits.into_iter().flatten().all(|fit| fit.is_none()), "{}", cpu.name());
    }
}

#[test]
fn nothing_to_fit_is_fine() {
    for cpu in Cpu::available() {
        let mut kernel = Kernel::with_cpu(cpu, &windows(&[3, 15]));
        for (values, rows) in [(&[][..], 0..0), (&[1.0, 2.0, 3.0][..], 0..0), (&[1.0, 2.0, 3.0], 3..3)] {
            let tile = kernel.fit(values, rows.clone()).unwrap();
            let [first, second] = [0, 1].map(|window| tile.fits(window).unwrap());
            assert_eq!((tile.rows(), second.rows()), (0, 0));
            assert!(first.get(0).is_none());
            first.write_metrics(Metric::ALL, &mut [], &mut vec![0; Metric::ALL.len()]).unwrap();
            first.write_metrics(&[], &mut [], &mut []).unwrap();
            let mut missing = MissingValues::default();
            for metrics in [Metric::ALL, &[]] {
                let columns = MetricColumns::new(&mut [], 0);
                kernel.metrics_into(values, rows.clone(), metrics, columns, &mut missing).unwrap();
                assert_eq!(
                    (missing.rows_without_fit(1), missing.undefined(1)),
                    (Ok(0), Ok(&vec![0; metrics.len()][..]))
                );
            }
        }
        let tile = kernel.fit(&[1.0, 2.0], 0..2).unwrap();
        assert!(tile.fits(0).unwrap().get(1).is_none(), "the window is not full");
        let mut missing = MissingValues::default();
        kernel.metrics_into(&[1.0, 2.0], 0..2, &[], MetricColumns::new(&mut [], 0), &mut missing).unwrap();
        assert_eq!((missing.rows_without_fit(0), missing.undefined(0)), (Ok(2), Ok(&[][..])));
    }
}

#[test]
fn no_windows_are_fine() {
    let mut kernel = Kernel::new(&[]);
    let tile = kernel.fit(&[1.0, 2.0, 3.0], 0..3).unwrap();
    assert_eq!((tile.rows(), tile.iter().len()), (3, 0));
    let mut missing = MissingValues::default();
    let columns = MetricColumns::new(&mut [], 3);
    kernel.metrics_into(&[1.0, 2.0, 3.0], 0..3, Metric::ALL, columns, &mut missing).unwrap();
    assert_eq!(missing, MissingValues::default());
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
