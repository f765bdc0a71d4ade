//! The same bits for the same window, whatever surrounds it, however it is cut, on every CPU path.

use super::*;

/// Where to cut a series, in order.
fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..12)
}

fn in_order(cuts: &[prop::sample::Index], rows: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(cases(300))]
    #[test]
    fn for_any_split_into_tiles_on_every_path(
        series in hard_series(400), rows in some_windows(), cuts in cuts(),
    ) {
        let values = series.values();
        let alone = paths::alone(&values, &rows);
        for cpu in Cpu::available() {
            let tiled = paths::tiled(cpu, &values, &rows, &in_order(&cuts, values.len()));
            prop_assert_eq!(&tiled, &alone, "{}", cpu.name());
        }
    }

    #[test]
    fn for_any_ranges_in_any_order_from_one_kernel(
        series in hard_series(400), rows in some_windows(), ends in prop::collection::vec(cuts(), 1..6),
    ) {
        let values = series.values();
        let alone = paths::alone(&values, &rows);
        for cpu in Cpu::available() {
            let mut kernel = Kernel::with_cpu(cpu, &windows(&rows));
            for ends in &ends {
                let ends = in_order(ends, values.len());
                let range = ends.first().copied().unwrap_or(0)..ends.last().copied().unwrap_or(0);
                let tile = paths::tile(&mut kernel, &values, range.clone(), rows.len());
                for (fits, alone) in tile.iter().zip(&alone) {
                    prop_assert_eq!(&fits[..], &alone[range.clone()]);
                }
            }
        }
    }

    #[test]
    fn for_values_pushed_one_by_one_and_after_reset(
        series in hard_series(400), before in hard_series(400), rows in some_windows(),
    ) {
        let values = series.values();
        let alone = paths::alone(&values, &rows);
        let mut stream = Stream::new(&windows(&rows));
        prop_assert_eq!(&paths::streamed(&mut stream, &values, rows.len()), &alone);
        paths::streamed(&mut stream, &before.values(), rows.len());
        stream.reset();
        prop_assert!(stream.fits().iter().all(Option::is_none));
        prop_assert_eq!(&paths::streamed(&mut stream, &values, rows.len()), &alone);
    }

    #[test]
    fn for_a_stream_seeded_with_history(
        series in hard_series(400), rows in some_windows(), cut in any::<prop::sample::Index>(),
    ) {
        let values = series.values();
        let cut = cut.index(values.len());
        let mut stream = Stream::seeded(&windows(&rows), &values[..cut]);
        let seeded = paths::streamed(&mut stream, &values[cut..], rows.len());
        for (fits, alone) in seeded.iter().zip(paths::alone(&values, &rows)) {
            prop_assert_eq!(&fits[..], &alone[cut..]);
        }
    }

    #[test]
    fn whatever_stands_before_the_window(
        series in hard_series(300), other in hard_series(300), rows in 3..=130usize, bad in 0..4usize,
    ) {
        let values = series.values();
        let mut before = other.values();
        if bad > 0 {
            let at = before.len() * bad / 4;
            before[at] = [f64::NAN, f64::INFINITY, 1e200][bad - 1];
        }
        let joined = [&before[..], &values[..]].concat();
        let rows_of_values = before.len()..joined.len();
        for cpu in Cpu::available() {
            let mut kernel = Kernel::with_cpu(cpu, &[window(rows)]);
            let here = paths::tile(&mut kernel, &joined, rows_of_values.clone(), 1);
            let alone = paths::alone(&values, &[rows]);
            for (row, (here, alone)) in here[0].iter().zip(&alone[0]).enumerate().skip(rows - 1) {
                prop_assert_eq!(here, alone, "row {}", row);
            }
        }
    }

    #[test]
    fn of_every_metric_for_any_split_on_every_path(
        series in hard_series(400), rows in 3..=130usize, cut in any::<prop::sample::Index>(),
    ) {
        let values = series.values();
        let cut = cut.index(values.len());
        for cpu in Cpu::available() {
            for range in [0..cut, cut..values.len()] {
                let written = Written::new(cpu, &values, rows, range.clone());
                for (at, row) in range.enumerate() {
                    let first = (row + 1).checked_sub(rows);
                    let fit = first.and_then(|first| rollfit::fit(&values[first..=row]).unwrap());
                    for ((metric, value), expected) in written.at(at).zip(paths::metrics_of(fit)) {
                        prop_assert_eq!(value.to_bits(), expected.to_bits(), "{} at {}", metric, row);
                    }
                }
            }
        }
    }
}

#[test]
fn of_long_windows_wherever_they_end() {
    let values = HardSeries { seed: 41, rows: 30_000 }.values();
    let rows = [10_000, 4095, 4096, 4097, 8191, 630, 15];
    for cpu in Cpu::available() {
        let mut kernel = Kernel::with_cpu(cpu, &windows(&rows));
        for tile in [9_990..10_050, 17_001..17_002, 29_937..30_000] {
            let fits = paths::tile(&mut kernel, &values, tile.clone(), rows.len());
            for (row, at) in tile.enumerate().step_by(7) {
                for (fits, &rows) in fits.iter().zip(&rows) {
                    assert_eq!(fits[row], paths::alone_at(&values, at, rows), "{rows} rows at {at}");
                }
            }
        }
    }
}

#[test]
fn after_a_million_rows() {
    const ROWS: usize = 1_000_000;
    let rows = [15, 90, 1000];
    let mut rng = Rng::with_seed(42);
    let mut price = 1.0;
    let values: Vec<f64> = std::iter::repeat_with(|| {
        price += 1e-5 * f64::from(rng.i32(-12..=12));
        if rng.u32(0..50_000) == 0 { 1e15 } else { price }
    })
    .take(ROWS)
    .collect();
    let mut stream = Stream::new(&windows(&rows));
    for &value in &values {
        stream.push(value);
    }
    let mut kernel = Kernel::new(&windows(&rows));
    let mut tile = Tile::default();
    for first in (0..ROWS).step_by(kernel.tile_rows()) {
        kernel.fit_into(&values, first..(first + kernel.tile_rows()).min(ROWS), &mut tile).unwrap();
    }
    for (at, &rows) in rows.iter().enumerate() {
        let alone = paths::alone_at(&values, ROWS - 1, rows);
        assert!(alone.is_some());
        assert_eq!(bits(tile.fits(at).unwrap().get(tile.rows() - 1)), alone);
        assert_eq!(bits(stream.fits()[at]), alone);
    }
}

/// Adds the bits of a row's fits, each window's with a factor of its own; where there is no fit, nothing.
fn add_to_checksums(checksums: &mut [u64; 6], row: usize, fits: impl IntoIterator<Item = paths::FitBits>) {
    for (checksum, fit) in checksums.iter_mut().zip(fits) {
        for bits in fit.into_iter().flatten() {
            *checksum = checksum.rotate_left(1).wrapping_add(bits ^ row as u64);
        }
    }
}

#[test]
fn for_a_year_of_rows_that_are_added_one_by_one() {
    /// The minutes in which a pair is quoted.
    const ROWS: usize = 372_000;
    let rows = [15, 30, 45, 60, 75, 90];
    let mut random = Rng::with_seed(43);
    let mut price = 1.0;
    let next = || {
        price += 1e-5 * f64::from(random.i32(-12..=12));
        if random.u32(0..20_000) == 0 { f64::NAN } else { price }
    };
    let values: Vec<f64> = std::iter::repeat_with(next).take(ROWS).collect();
    let (mut at_once, mut streamed, mut added) = ([0; 6], [0; 6], [0; 6]);

    let mut kernel = Kernel::new(&windows(&rows));
    for first in (0..ROWS).step_by(kernel.tile_rows()) {
        let tile = first..(first + kernel.tile_rows()).min(ROWS);
        let fits = kernel.fit(&values, tile.clone()).unwrap();
        for (row, at) in tile.enumerate() {
            add_to_checksums(&mut at_once, at, fits.iter().map(|fits| bits(fits.get(row))));
        }
    }
    let mut stream = Stream::new(&windows(&rows));
    // A follower holds what the longest window needs of the rows before, and nothing else.
    let (mut follower, mut newest) = (Kernel::new(&windows(&rows)), Tile::default());
    for (at, &value) in values.iter().enumerate() {
        add_to_checksums(&mut streamed, at, stream.push(value).iter().map(|fit| bits(*fit)));
        let tail = &values[at.saturating_sub(89)..=at];
        follower.fit_into(tail, tail.len() - 1..tail.len(), &mut newest).unwrap();
        add_to_checksums(&mut added, at, newest.iter().map(|fits| bits(fits.get(0))));
    }
    assert_eq!(streamed, at_once);
    assert_eq!(added, at_once);
    assert!(at_once.iter().all(|checksum| *checksum != 0));
}
