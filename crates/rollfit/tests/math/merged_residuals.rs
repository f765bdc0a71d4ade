//! Residuals that are merged run by run: as many digits as promised, and the same bits beside windows whose residuals are a
//! difference, whatever tile was fitted before.

use super::*;

/// The share of unexplained variation below which residuals are merged.
const DELICATE_SHARE: f64 = 1.0 / 512.0;
const WINDOW_ROWS: [usize; 9] = [3, 4, 5, 7, 15, 30, 45, 64, 75];

/// A walk that now and then becomes a curve, for stretches of 3 to 192 rows.
fn curves_in_a_walk(seed: u64, rows: usize) -> Vec<f64> {
    let mut rng = Rng::with_seed(seed);
    let mut values = vec![100.0];
    while values.len() < rows {
        let last = values[values.len() - 1];
        let (slope, bend) = (rng.f64() - 0.5, 0.02 * (rng.f64() - 0.5));
        let stretch = 3 << rng.usize(0..7);
        if rng.bool() {
            values.extend((1..=stretch).map(|i| last + f64::from(i) * (slope + bend * f64::from(i))));
        } else {
            values.extend((1..=stretch).map(|_| last + rng.f64() - 0.5));
        }
    }
    values.truncate(rows);
    values
}

/// Whether the residuals of each row's window are merged.
fn delicate_rows(values: &[f64], rows: usize) -> Vec<bool> {
    let fits =
        values.windows(rows).map(|window| rollfit::fit(window).expect("a window's length").expect("usable"));
    std::iter::repeat_n(false, rows - 1)
        .chain(fits.map(|fit| fit.ss_res() < DELICATE_SHARE * fit.ss_tot()))
        .collect()
}

#[test]
fn have_the_same_bits_beside_other_windows_at_every_offset() {
    let series = curves_in_a_walk(51, 2000);
    let mixed = |rows: usize| {
        let is_mixed = |eight: &[bool]| eight.iter().any(|&any| any) && !eight.iter().all(|&all| all);
        delicate_rows(&series, rows).chunks(8).filter(|eight| is_mixed(eight)).count()
    };
    assert!(WINDOW_ROWS[1..].iter().all(|&rows| mixed(rows) > 2), "both kinds are in many an eight");
    let alone = paths::alone(&series, &WINDOW_ROWS);
    for cpu in Cpu::available() {
        let mut kernel = Kernel::with_cpu(cpu, &windows(&WINDOW_ROWS));
        for first in 0..17 {
            // Tiles of 192 rows and of one, so that rows fall into every lane and block.
            for rows in [first..series.len(), first + 192..first + 384, first + 300..first + 301] {
                let tile = paths::tile(&mut kernel, &series, rows.clone(), WINDOW_ROWS.len());
                for (fits, alone) in tile.iter().zip(&alone) {
                    assert_eq!(fits[..], alone[rows.clone()], "{rows:?}, {}", cpu.name());
                }
            }
        }
    }
    let mut stream = Stream::new(&windows(&WINDOW_ROWS));
    assert_eq!(paths::streamed(&mut stream, &series, WINDOW_ROWS.len()), alone);
}

/// A line with as much noise as windows of some rows may have for their residuals to be merged, or not quite.
#[test]
fn are_chosen_alike_where_the_difference_is_just_trusted() {
    let mut rng = Rng::with_seed(55);
    for rows in [7usize, 15, 45, 64, 97] {
        let noise = (((rows * rows - 1) as f64) / 512.0).sqrt();
        let values: Vec<f64> = (0..3000).map(|i| f64::from(i) + noise * (rng.f64() - 0.5)).collect();
        let alone = paths::alone(&values, &[rows]);
        let close_shares = values.windows(rows).filter_map(|window| {
            let fit = rollfit::fit(window).expect("a window's length").expect("usable");
            let share = fit.ss_res() / fit.ss_tot() / DELICATE_SHARE;
            (0.95..1.05).contains(&share).then_some(share < 1.0)
        });
        let (below, above): (Vec<bool>, Vec<bool>) = close_shares.partition(|&is_below| is_below);
        assert!(below.len() > 10 && above.len() > 10, "{rows} rows: {} and {}", below.len(), above.len());
        for cpu in Cpu::available() {
            // Tiles so short that many have windows of one kind only.
            let cuts: Vec<usize> = (0..values.len()).step_by(5).collect();
            assert_eq!(paths::tiled(cpu, &values, &[rows], &cuts), alone, "{rows} rows, {}", cpu.name());
        }
    }
}

#[test]
fn have_the_same_bits_wherever_a_tile_is_cut() {
    let series = curves_in_a_walk(52, 430);
    let alone = paths::alone(&series, &WINDOW_ROWS);
    for cpu in Cpu::available() {
        for cut in 0..=series.len() {
            let cuts = [cut / 2, cut, (cut + 9).min(series.len())];
            assert_eq!(paths::tiled(cpu, &series, &WINDOW_ROWS, &cuts), alone, "{cuts:?}, {}", cpu.name());
        }
    }
}

/// Fits the end of one series and then that of another with one kernel: both must be as if alone.
#[track_caller]
fn assert_apart(window_rows: &[usize], first: &[f64], second: &[f64], rows: std::ops::Range<usize>) {
    let alone = paths::alone(second, window_rows);
    for cpu in Cpu::available() {
        let mut kernel = Kernel::with_cpu(cpu, &windows(window_rows));
        for from in [0, 250, first.len()] {
            kernel.fit(first, from..first.len()).expect("rows of the series");
            let tile = paths::tile(&mut kernel, second, rows.clone(), window_rows.len());
            for (fits, alone) in tile.iter().zip(&alone) {
                assert_eq!(fits[..], alone[rows.clone()], "after {from}.., {}", cpu.name());
            }
        }
    }
}

#[test]
fn do_not_depend_on_the_tile_before() {
    let series = curves_in_a_walk(53, 600);
    let at = 300;
    let first = &series[..at];
    // The longest window looks back at 74 values before a tile; what is further back matters to none.
    for back in [1, 2, 73, 74, 75, 76, 299] {
        for value in [f64::NAN, 1e200, 99.0, f64::from_bits(series[at - back].to_bits() + 1)] {
            let mut second = series.clone();
            second[at - back] = value;
            assert_apart(&WINDOW_ROWS, first, &second, at..600);
            assert_apart(&WINDOW_ROWS, first, &second, at..at + 1);
            assert_apart(&WINDOW_ROWS, &second[..at], &series, at..600);
        }
    }
    // The same values, of which the second series begins later.
    for begin in [at - 1, at - 10, at - 74, at - 75, at - 200] {
        assert_apart(&WINDOW_ROWS, first, &series[begin..], at - begin..400 - begin);
    }
    assert_apart(&WINDOW_ROWS, first, &series, at..at);
    assert_apart(&WINDOW_ROWS, first, &series[at..], 0..200);
    assert_apart(&WINDOW_ROWS, first, &series, 0..600);
}

#[test]
fn are_the_same_for_a_value_of_either_zero() {
    let zeros: Vec<f64> = (0..400).map(|i| if i % 3 == 0 { -0.0 } else { 0.0 }).collect();
    let positive = vec![0.0; 400];
    assert_apart(&[3, 15, 64], &zeros[..300], &positive, 300..400);
    assert_apart(&[3, 15, 64], &positive[..300], &zeros, 300..400);
}

#[test]
fn have_the_same_bits_in_long_windows_tile_after_tile() {
    let rows = [2500, 4095, 90];
    let curve = |i: usize| (i as f64 / 2000.0).exp() + if i > 9000 { (i as f64).sin() } else { 0.0 };
    let values: Vec<f64> = (0..12_000).map(curve).collect();
    for cpu in Cpu::available() {
        let mut kernel = Kernel::with_cpu(cpu, &windows(&rows));
        for tile_rows in [kernel.tile_rows(), 777] {
            for first in (3000..12_000 - tile_rows).step_by(tile_rows) {
                let tile = paths::tile(&mut kernel, &values, first..first + tile_rows, rows.len());
                for row in [0, 1, 191, 192, tile_rows / 2, tile_rows - 1] {
                    for (fits, &rows) in tile.iter().zip(&rows) {
                        let alone = paths::alone_at(&values, first + row, rows);
                        assert_eq!(fits[row], alone, "{rows} rows at {}", first + row);
                    }
                }
            }
        }
    }
}

/// Series that a parabola explains almost completely, or whose level is large beside what happens.
fn hard_cases(rows: usize) -> [(&'static str, Vec<f64>); 6] {
    let mut rng = Rng::with_seed(3);
    let (mut ticks, mut level) = (100_000.0, 1e6);
    let mut gauss = move || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
    let mut series = |mut value: Box<dyn FnMut(f64, f64) -> f64>| {
        (0..rows).map(|i| value(i as f64, gauss())).collect::<Vec<f64>>()
    };
    [
        (
            "walk",
            series(Box::new(move |_, step| {
                ticks += (7.0 * step).round();
                100.0 * (ticks / 1e5)
            })),
        ),
        (
            "walk at 1e6",
            series(Box::new(move |_, step| {
                level += 1e-3 * step;
                level
            })),
        ),
        ("exp i/20000", series(Box::new(|i, _| (i / 20_000.0).exp()))),
        ("exp i/2000", series(Box::new(|i, _| (i / 2000.0).exp()))),
        ("sine and noise", series(Box::new(|i, noise| 100.0 + (i / 3000.0).sin() + 1e-6 * noise))),
        ("parabola and noise", series(Box::new(|i, noise| 1e-6 * (i - 5000.0).powi(2) + 1e-9 * noise))),
    ]
}

#[test]
fn of_the_hardest_series_are_far_within_the_promise() {
    const ROWS: usize = 10_050;
    let mut worst = 0.0f64;
    for (name, values) in hard_cases(ROWS) {
        for (rows, backs) in [
            (90, &[0, 333, 2001, 5000, 5053][..]),
            (1000, &[0, 333, 2001, 5000, 5053]),
            (10_000, &[0, 7, 49]),
        ] {
            let mut kernel = Kernel::new(&[window(rows)]);
            let tile = kernel.fit(&values, 0..ROWS).expect("rows of the series");
            let fits = tile.fits(0).expect("the only window");
            for back in backs {
                let last = ROWS - 1 - back;
                let bounds = Bounds::from_values(&values[last + 1 - rows..=last]).expect("a window's length");
                let rmse = Metric::Rmse.value(&fits.get(last).expect("a full window"));
                let error = bounds.error(Metric::Rmse, rmse.expect("an rmse"));
                assert!(error.passes(), "{name}, {rows} rows: {error:?}");
                worst = worst.max(error.units().unwrap_or(0.0));
            }
        }
    }
    println!("hard cases within {worst:.3} of the promise");
    assert!(worst < 0.2, "{worst}");
}

/// Every length, because each has contrasts of its own.
#[test]
fn of_every_length_are_far_within_the_promise() {
    let mut rng = Rng::with_seed(54);
    let mut worst = 0.0f64;
    for rows in (4..=400).chain([1023, 1024, 1025, 1035, 4095]) {
        let (bend, noise) = (4.0 * rng.f64() - 2.0, 10f64.powf(-3.0 - 11.0 * rng.f64()));
        let level = if rng.bool() { 0.0 } else { 10f64.powi(rng.i32(0..6)) };
        let curve = |i: usize| {
            let x = 2.0 * i as f64 / (rows - 1) as f64 - 1.0;
            level + bend * x * x + x + noise * (x * 3.0).sin() + noise * (rng.f64() - 0.5)
        };
        let values: Vec<f64> = (0..rows).map(curve).collect();
        let bounds = Bounds::from_values(&values).expect("a window's length");
        let fit = rollfit::fit(&values).expect("a window's length").expect("usable");
        let error = bounds.error(Metric::Rmse, Metric::Rmse.value(&fit).expect("an rmse"));
        assert!(error.passes(), "{rows} rows: {error:?}");
        worst = worst.max(error.units().unwrap_or(0.0));
    }
    println!("every length within {worst:.3} of the promise");
    assert!(worst < 0.5, "{worst}");
}
