//! Further columns of bars: what is stored stays, what is missing is filled, and what contradicts is an error or replaced.

use rollfit_job::import::{BarsOptions, Base, KeyReport, KeyUpdate, StoredBars, check_columns};
use rollfit_testkit::bars::TestBars;
use rollfit_testkit::market::MINUTE_US;

const NONE: f64 = f64::NAN;

fn options(replace: bool) -> BarsOptions {
    BarsOptions { base_from_us: None, rebase: false, replace }
}

fn stored<'a>(closes: &[f64], columns: &[(&str, &'a [f64])]) -> StoredBars<'a> {
    let mut stored = StoredBars::with_base(Some(Base { from_us: None, instant_us: 0, close: closes[0] }));
    for bar in TestBars::new(0, closes).bars {
        stored.push("store", bar).unwrap();
    }
    columns.iter().for_each(|(name, values)| stored.push_column(name, *values));
    stored
}

fn counts(update: &KeyUpdate) -> [u64; 4] {
    let KeyReport { added, unchanged, filled, replaced, .. } = update.report(0);
    [added, unchanged, filled, replaced]
}

/// The merged columns, by name.
fn columns(update: &KeyUpdate) -> Vec<(&str, &[f64])> {
    update.columns.iter().map(|column| (column.name.as_str(), column.values.as_slice())).collect()
}

#[track_caller]
fn assert_columns(update: &KeyUpdate, wanted: &[(&str, &[f64])]) {
    let bits = |columns: &[(&str, &[f64])]| {
        let value = |value: &f64| if value.is_nan() { None } else { Some(value.to_bits()) };
        let column = |(name, values): &(&str, &[f64])| {
            ((*name).to_owned(), values.iter().map(value).collect::<Vec<_>>())
        };
        columns.iter().map(column).collect::<Vec<_>>()
    };
    assert_eq!(bits(&columns(update)), bits(wanted));
}

#[test]
fn stored_and_new_columns_are_joined_by_name_and_instant() {
    // Stored: minutes 0, 1, 2; new: minutes 1, 2, 3.
    let new = TestBars::new(MINUTE_US, &[1.2, 1.3, 1.4])
        .with("volume", &[NONE, 30.0, 40.0])
        .with("high", &[1.25, 1.35, 1.45]);
    let stored = stored(&[1.1, 1.2, 1.3], &[("volume", &[10.0, 20.0, NONE]), ("bid", &[1.0, 2.0, 3.0])]);
    let update = KeyUpdate::new("k", stored, &new, &options(false)).unwrap();
    assert_columns(
        &update,
        &[
            ("bid", &[1.0, 2.0, 3.0, NONE]),
            ("high", &[NONE, 1.25, 1.35, 1.45]),
            ("volume", &[10.0, 20.0, 30.0, 40.0]),
        ],
    );
    assert_eq!(counts(&update), [1, 0, 2, 0]);
    assert_eq!(update.closes, [1.1, 1.2, 1.3, 1.4]);
}

#[test]
fn an_import_without_columns_keeps_those_that_are_stored() {
    let new = TestBars::new(0, &[1.1, 1.2, 1.3]);
    let stored = stored(&[1.1, 1.2], &[("volume", &[10.0, -0.0])]);
    let update = KeyUpdate::new("k", stored, &new, &options(true)).unwrap();
    assert_columns(&update, &[("volume", &[10.0, -0.0, NONE])]);
    assert_eq!(counts(&update), [1, 2, 0, 0]);
}

#[test]
fn another_value_is_an_error_unless_it_may_replace() {
    let new = TestBars::new(0, &[1.1, 1.2]).with("volume", &[10.0, 21.0]);
    let stored = || stored(&[1.1, 1.2], &[("volume", &[10.0, 20.0])]);
    let error = KeyUpdate::new("k", stored(), &new, &options(false)).err().unwrap().to_string();
    for part in
        ["line 2", "column `volume` of k", "1970-01-01T00:01:00Z", "21 there", "20 in the store", "--replace"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
    let update = KeyUpdate::new("k", stored(), &new, &options(true)).unwrap();
    assert_columns(&update, &[("volume", &[10.0, 21.0])]);
    assert_eq!(counts(&update), [0, 1, 0, 1]);
    // Zeros of another sign are other bits.
    let new = TestBars::new(0, &[1.1]).with("delta", &[-0.0]);
    let error = KeyUpdate::new("k", self::stored(&[1.1], &[("delta", &[0.0])]), &new, &options(false));
    assert!(error.err().unwrap().to_string().contains("-0 there and 0 in the store"));
}

#[test]
fn a_bar_with_another_close_keeps_only_what_its_file_has() {
    let stored = stored(&[1.1, 1.2], &[("bid", &[1.0, 2.0]), ("volume", &[10.0, 20.0])]);
    let new = TestBars::new(0, &[1.1, 1.25]).with("volume", &[NONE, NONE]);
    let update = KeyUpdate::new("k", stored, &new, &options(true)).unwrap();
    assert_columns(&update, &[("bid", &[1.0, NONE]), ("volume", &[10.0, NONE])]);
    assert_eq!(counts(&update), [0, 1, 0, 1]);
}

#[test]
fn a_column_needs_a_name_of_its_own() {
    let bars =
        |names: &[&str]| names.iter().fold(TestBars::new(0, &[1.1]), |bars, name| bars.with(name, &[1.0]));
    let long = "c".repeat(256);
    let refused: [&[&str]; 9] = [
        &[""],
        &["a\0b"],
        &["a\nb"],
        &["time"],
        &["close"],
        &["Close"],
        &["RATE_INDEX"],
        &["volume", "Volume"],
        &[&long],
    ];
    for names in refused {
        let error = check_columns(&bars(names)).unwrap_err().to_string();
        assert!(error.contains("cannot be imported") && error.contains("--columns"), "{error}");
    }
    check_columns(&bars(&["open", "Ask Volume", "größe", "a.b", "close.x", "closed", &long[..255]])).unwrap();
    let uneven = TestBars::new(0, &[1.1, 1.2]).with("volume", &[1.0]);
    assert!(check_columns(&uneven).unwrap_err().to_string().contains("1 values for 2 bars"));

    let update = |stored| KeyUpdate::new("k", stored, &bars(&["volume"]), &options(false));
    let error = update(stored(&[1.1], &[("Volume", &[1.0])])).err().unwrap().to_string();
    assert!(error.contains("`volume`") && error.contains("`Volume`"), "{error}");
    assert!(update(stored(&[1.1], &[("Volume", &[1.0]), ("volume", &[1.0])])).is_ok());
}
