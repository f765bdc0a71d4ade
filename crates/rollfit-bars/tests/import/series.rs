//! Several files of one key, and the series that are made of their bars.

use std::path::PathBuf;

use rollfit_bars::{BarFile, Format, merge, read_file};
use rollfit_job::import::series;

use crate::support::{options, shared};

#[test]
fn months_in_any_order_give_the_same_bits() {
    let months: Vec<_> =
        (1..=12).filter_map(|month| shared(&format!("m1/pair=eurusd/2017-{month:02}.parquet"))).collect();
    let [first, .., last] = months.as_slice() else { return };
    assert_ne!(first, last);
    let read = |paths: &[PathBuf]| -> Vec<BarFile> {
        paths.iter().map(|path| read_file(path, &options(Format::Parquet, "", "")).unwrap()).collect()
    };
    let ordered = merge(read(&months), false).unwrap();
    let mut shuffled = [months.clone(), months[3..5].to_vec()].concat();
    fastrand::Rng::with_seed(12).shuffle(&mut shuffled);
    let shuffled = merge(read(&shuffled), false).unwrap();
    assert_eq!(ordered["eurusd"].bars(), shuffled["eurusd"].bars());
    let middle = ordered["eurusd"].bars().len() / 2;
    let place = ordered["eurusd"].file_line(middle);
    let home = read_file(&place.path, &options(Format::Parquet, "", "")).unwrap();
    assert_eq!(home.bars[place.number as usize - 1], ordered["eurusd"].bars()[middle]);
}

#[test]
fn series_of_a_month_follow_their_definition() {
    let Some(path) = shared("m1/pair=usdjpy/2017-01.parquet") else { return };
    let file = read_file(&path, &options(Format::Parquet, "", "")).unwrap();
    let base = file.bars[0].close;
    let index: Vec<f64> = file.bars.iter().map(|bar| series::rate_index(bar.close, base)).collect();
    let returns = series::backward_returns(&index, series::RETURN_ROWS);
    assert_eq!((index[0], returns.len()), (100.0, index.len() - series::RETURN_ROWS));
    let t = 20_000;
    let sum = (2..=15).fold(index[t - 1] - index[t], |sum, k| sum + (index[t - k] - index[t]));
    assert_eq!(returns[t - 15].to_bits(), (sum / index[t]).to_bits());
}
