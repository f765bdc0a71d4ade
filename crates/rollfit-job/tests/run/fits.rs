//! The layout of fits: what is stored are the numbers of fits, and everything that is read, counted, verified and compared are the
//! features that follow from them, the same bits as in the layout of metrics.

use std::sync::Arc;

use rollfit_job::adopt::{Adoption, adopt};
use rollfit_job::check::CheckOutcome;
use rollfit_job::compare::{Compared, compare};
use rollfit_job::config::{JobConfig, Layout};
use rollfit_job::features::FeatureEngine;
use rollfit_job::features_of_fits::as_features;
use rollfit_job::panel::Panel;
use rollfit_job::parsed_receipt::ParsedReceipt;
use rollfit_job::plan::assess;
use rollfit_job::receipt::{Receipt, Stored};
use rollfit_job::run::RunOptions;
use rollfit_job::state::State;
use rollfit_job::store::{FeatureReader, FeatureTile, Grouping, Rounding, StoreError};
use rollfit_job::verify::{Depth, Verified, verify};
use rollfit_testkit::market::{config, partition};
use rollfit_testkit::memory::StoredPartition;

use crate::bench::{Bench, MONTHS, Record, outcomes};

const FITS: (&str, &str) = ("STORE__LAYOUT", "fits");
/// Windows in another order than that of their lengths, and other ones for a series.
const WINDOWS: [(&str, &str); 3] = [
    ("WINDOWS", "{ w15 = 15, w3 = 3, w90 = 90, w5 = 5 }"),
    ("SERIES__BQX__WINDOWS", "{ w17 = 17, w4 = 4 }"),
    (
        "FEATURES__METRICS",
        "[\"a2\", \"a1\", \"r2\", \"rmse\", \"prediction\", \"vertex_x\", \"vertex_y\", \"residual\"]",
    ),
];
const EVERY_FEATURE: usize = (4 + 2) * 8;

/// Tiles in memory, read back as they were written.
struct Tiles {
    tiles: Vec<(Vec<i64>, usize, Vec<f64>)>,
    next: usize,
}

impl FeatureReader for Tiles {
    fn receipt(&self) -> Option<&Receipt> {
        None
    }

    fn rounding(&self) -> Option<Arc<dyn Rounding>> {
        Some(Arc::new(ToTens))
    }

    fn next_tile(&mut self) -> Result<Option<FeatureTile<'_>>, StoreError> {
        self.next += 1;
        Ok(self.tiles.get(self.next - 1).map(|(instants_us, first_column, values)| FeatureTile {
            instants_us,
            first_column: *first_column,
            values,
        }))
    }
}

/// What no column of fits does.
struct ToTens;

impl Rounding for ToTens {
    fn round(&self, _: usize, values: &mut [f64]) {
        values.iter_mut().for_each(|value| *value = (*value / 10.0).round() * 10.0);
    }

    fn uncertainty(&self, _: usize, _: f64) -> f64 {
        5.0
    }
}

/// What an engine stores of a panel, and what a receipt says of it.
fn computed(config: &JobConfig, panel: &Panel, grouping: Grouping) -> (Tiles, Stored) {
    let mut tiles = Vec::new();
    let rounding: Option<&dyn Rounding> = (config.sink.layout == Layout::Fits).then_some(&ToTens);
    let stored = FeatureEngine::new(config).compute(panel, grouping, rounding, |tile| {
        tiles.push((tile.instants_us.to_vec(), tile.first_column, tile.values.to_vec()));
        Ok::<(), ()>(())
    });
    (Tiles { tiles, next: 0 }, stored.unwrap())
}

/// The bits of every tile.
fn bits(reader: &mut dyn FeatureReader) -> Vec<(Vec<i64>, usize, Vec<u64>)> {
    let mut all = Vec::new();
    while let Some(tile) = reader.next_tile().unwrap() {
        let values = tile.values.iter().map(|value| value.to_bits()).collect();
        all.push((tile.instants_us.to_vec(), tile.first_column, values));
    }
    all
}

/// Five values that have no vertex: 2 * a2 + 1e-10 is 0 to the last bit.
fn without_vertex() -> [f64; 5] {
    let mut random = fastrand::Rng::with_seed(7);
    let mut candidate = || {
        let x = |row: usize| (row as f64 - 2.0) / (2f64.sqrt() + 1e-10);
        let noise = [1.0, -4.0, 6.0, -4.0, 1.0].map(|noise| noise * 1e-11);
        std::array::from_fn(|row| -5e-11 * x(row) * x(row) + noise[row] + 1e-25 * random.f64())
    };
    let has_none = |values: &[f64; 5]| 2.0 * rollfit::fit(values).unwrap().unwrap().a2() + 1e-10 == 0.0;
    std::iter::repeat_with(&mut candidate).take(100_000).find(has_none).unwrap()
}

/// A series of smooth, noisy, constant and impossible stretches.
fn series(rows: usize, seed: u64) -> Vec<f64> {
    const ODD: [f64; 8] = [f64::NAN, f64::INFINITY, 1e101, -0.0, 1e100, 0.0, 5e-324, -1e100];
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut values, mut level): (Vec<f64>, f64) = (Vec::new(), 100.0);
    while values.len() < rows {
        match random.u8(..6) {
            0 => values.extend(without_vertex()),
            1 => values.push(ODD[random.usize(..ODD.len())]),
            2 => values.extend([level; 20]),
            3 => values.extend((0..30).map(|row| level + f64::from(row * row) * 1e-4)),
            _ => values.extend((0..40).map(|_| level + random.f64())),
        }
        level += random.f64() - 0.5;
    }
    values.truncate(rows);
    values
}

#[test]
fn features_computed_from_stored_fits_have_the_bits_and_the_receipt_of_the_layout_of_metrics() {
    let [metrics, fits] = [config(&WINDOWS), config(&[&WINDOWS[..], &[FITS]].concat())];
    assert_eq!(fits.stored_column_count(), 4 * 5 + 1 + 2 * 5 + 1);
    let mut random = fastrand::Rng::with_seed(11);
    let mut undefined = 0;
    for (rows, lookback) in [(0, 0), (0, 3), (1, 0), (7, 89), (519, 1), (520, 0), (521, 200), (1300, 89)] {
        let seed = random.u64(..);
        let panel = Panel {
            instants_us: (0..(lookback + rows) as i64).map(|row| row * 60_000_000).collect(),
            columns: vec![series(lookback + rows, seed), series(lookback + rows, seed ^ 1)],
            lookback_rows: lookback,
            lost_rows: vec![0, 0],
            ..Panel::default()
        };
        for grouping in [Grouping::Together, Grouping::Apart] {
            let (mut wanted, of_metrics) = computed(&metrics, &panel, grouping);
            let (stored, of_fits) = computed(&fits, &panel, grouping);
            assert_eq!(of_metrics, of_fits, "{rows} rows");
            let mut read = as_features(&fits.series, Box::new(stored));
            assert!(read.rounding().is_none());
            assert!(bits(&mut wanted) == bits(read.as_mut()), "{rows} rows");
            undefined += of_fits.no_value.undefined;
        }
    }
    assert!(undefined > 0, "no window was without a vertex");
}

/// A month of 200 rows that is done, with NaN in the source; the numbers of `rows` stored are in columns: five for each window of a
/// series, w5 and w3, then the newest value.
struct Done {
    bench: Bench,
}

impl Done {
    fn new(values: &[(&str, &str)]) -> Self {
        let mut bench = Bench::new(&[&[FITS], values].concat(), &["a"], &MONTHS[..1], 200);
        bench.source.table("m1_a").values[50] = f64::NAN;
        bench.sink.grouping = Some(Grouping::Apart);
        assert_eq!(outcomes(&bench.run()), ["written"]);
        Self { bench }
    }

    fn stored(&self) -> StoredPartition {
        self.bench.sink.stored(&partition("a", MONTHS[0]))
    }

    fn change(&self, change: impl FnOnce(&mut StoredPartition)) {
        change(self.bench.sink.stored.lock().unwrap().get_mut("a/2017-01").unwrap());
    }

    fn set(&self, row: usize, column: usize, value: f64) {
        self.change(|stored| stored.rows[row][column] = value.to_bits());
    }

    fn verified(&self, depth: Depth) -> Verified {
        let bench = &self.bench;
        match verify(&bench.job(), &bench.partitions(), depth, &bench.stop, &|_, _| ()).remove(0) {
            CheckOutcome::Checked(verified) => verified,
            other => panic!("{other:?}"),
        }
    }

    fn differences(&self) -> [Option<String>; 3] {
        [Depth::Quick, Depth::Sampled(3), Depth::Full].map(|depth| self.verified(depth).difference)
    }

    fn compared(&self) -> Compared {
        let bench = &self.bench;
        match compare(&bench.job(), &bench.partitions(), None, &bench.stop, &|_, _| ()).remove(0) {
            CheckOutcome::Checked(compared) => compared,
            other => panic!("{other:?}"),
        }
    }

    /// Adopts the rows as those of another program.
    fn adopted(&self) -> Adoption {
        let bench = &self.bench;
        bench.sink.foreign.lock().unwrap().push("a/2017-01".to_owned());
        match adopt(&bench.job(), &bench.partitions(), &bench.stop, &|_, _| ()).remove(0) {
            CheckOutcome::Checked(adoption) => adoption,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_receipt_names_layout_and_columns_and_is_else_that_of_the_layout_of_metrics() {
    let done = Done::new(&[]);
    let mut metrics = Bench::new(&[], &["a"], &MONTHS[..1], 200);
    metrics.source.table("m1_a").values[50] = f64::NAN;
    metrics.run();
    let (wanted, stored) = (metrics.sink.stored(&partition("a", MONTHS[0])), done.stored());
    assert_eq!(
        (&wanted.receipt.input, &wanted.receipt.stored),
        (&stored.receipt.input, &stored.receipt.stored)
    );
    assert_eq!((wanted.rows[0].len(), stored.rows[0].len()), (12, 22));
    let (before, after) = (&wanted.receipt.definition, &stored.receipt.definition);
    assert_eq!(before.difference(after).as_deref(), Some("layout metrics became fits"));
    assert_eq!(before.series[0].columns, after.series[0].columns);
    assert_eq!(
        after.series[1].fit_columns,
        ["a2_bqx_w5", "a1_bqx_w5", "b_bqx_w5", "ss_res_bqx_w5", "ss_tot_bqx_w5", "a2_bqx_w3", "a1_bqx_w3"]
            .into_iter()
            .chain(["b_bqx_w3", "ss_res_bqx_w3", "ss_tot_bqx_w3", "y_last_bqx"])
            .collect::<Vec<_>>()
    );
    let json = serde_json::to_value(&stored.receipt).unwrap();
    assert_eq!((&json["format"], &json["definition"]["layout"]), (&2.into(), &"fits".into()));
    assert_eq!(ParsedReceipt::from_json(&json), Ok(ParsedReceipt::Known(Box::new(stored.receipt))));
    let json = serde_json::to_value(&wanted.receipt).unwrap();
    let series = &json["definition"]["series"][0];
    assert!(json.get("format").or(json["definition"].get("layout")).or(series.get("fit_columns")).is_none());
}

#[test]
fn a_receipt_whose_columns_are_not_those_of_its_layout_is_none() {
    let receipt = serde_json::to_value(Done::new(&[]).stored().receipt).unwrap();
    let changes: [fn(&mut serde_json::Value); 7] = [
        |json| json["format"] = 1.into(),
        |json| drop(json.as_object_mut().unwrap().remove("format")),
        |json| drop(json["definition"].as_object_mut().unwrap().remove("layout")),
        |json| json["definition"]["layout"] = "digests".into(),
        |json| drop(json["definition"]["series"][1].as_object_mut().unwrap().remove("fit_columns")),
        |json| drop(json["definition"]["series"][1]["fit_columns"].as_array_mut().unwrap().pop()),
        |json| json["definition"]["series"][0]["windows"] = serde_json::json!([]),
    ];
    for change in changes {
        let mut json = receipt.clone();
        change(&mut json);
        let refused = ParsedReceipt::from_json(&json).unwrap_err();
        assert!(refused.starts_with("it cannot be read ("), "{refused}");
        assert!(ParsedReceipt::parse(&json.to_string()).is_err());
    }
}

#[test]
fn what_was_written_is_done_verified_and_compares_equal() {
    let done = Done::new(&[]);
    assert_eq!(outcomes(&done.bench.run()), ["already done"]);
    let full = done.verified(Depth::Full);
    assert_eq!((full.rows, full.cells, full.difference), (200, 200 * 12, None));
    assert!(full.reference_cells > 0 && full.worst_error <= 1.0);
    assert_eq!(done.differences(), [const { None }; 3]);
    let compared = done.compared();
    assert!(compared.is_clean());
    assert_eq!(compared.total().bit_equal, 200 * 12);
}

#[test]
fn another_layout_or_other_columns_of_fits_are_another_definition() {
    let mut done = Done::new(&[]);
    let before = done.stored();
    // The same features by two ways, so that the columns of fits alone have other names.
    for (values, cause) in [
        (&[][..], "layout fits became metrics"),
        (&[FITS, ("WINDOWS", "{ w5 = 5, w3 = 4 }")], "windows [5, 3] became [5, 4] of series idx"),
        (&[FITS, ("FEATURES__COLUMN", "{series}_{metric}_{window}")], "column names changed of series idx"),
    ] {
        done.bench.config = config(values);
        let planned = assess(&done.bench.job(), &done.bench.partitions()).remove(0);
        assert_eq!((planned.state, planned.cause.as_str()), (Some(State::DefinitionChanged), cause));
        assert_eq!(outcomes(&done.bench.run()), ["left alone: definition-changed"]);
        let different = Some(format!("stored by another definition: {cause}"));
        assert_eq!(done.differences(), std::array::from_fn(|_| different.clone()));
        assert!(done.stored() == before);
    }
    done.bench.config = config(&[]);
    let replace = RunOptions { replace: vec![State::DefinitionChanged], ..RunOptions::default() };
    assert_eq!(outcomes(&done.bench.run_with(&replace, &Record::default())), ["written"]);
    assert_eq!(done.stored().rows[0].len(), 12);
    assert_eq!(done.differences(), [const { None }; 3]);
}

#[test]
fn rows_that_are_added_leave_the_receipt_of_one_run() {
    for boundary in ["reset", "carry"] {
        let values = [FITS, ("RUN__BOUNDARY", boundary), WINDOWS[0], WINDOWS[1], WINDOWS[2]];
        let mut bench = Bench::new(&values, &["a"], &MONTHS[..2], 150);
        bench.sink.can_append = true;
        bench.sink.grouping = Some(Grouping::Apart);
        bench.source.table("m1_a").values[170] = f64::NAN;
        let whole = bench.source.tables.clone();
        bench.run();
        let wanted = bench.sink.all();
        assert!(wanted["a/2017-02"].receipt.stored.no_value.input > 0);
        bench.sink.stored.lock().unwrap().clear();
        for rows in [2, 3, 40, 41, 150] {
            bench.source.tables = whole.clone();
            for table in bench.source.tables.values_mut() {
                table.instants_us.truncate(150 + rows);
                table.values.truncate(150 + rows);
            }
            assert_eq!(outcomes(&bench.run()).last().unwrap(), "written", "{rows} rows");
        }
        assert!(bench.sink.all() == wanted, "{boundary}");
        assert_eq!(bench.sink.appends.lock().unwrap().len(), 4);
    }
}

#[test]
fn a_number_that_is_not_the_kernels_is_found_and_named() {
    const SS_TOT: usize = 4;
    const Y_LAST: usize = 10;
    let cases = [
        (120, SS_TOT, 1.0, "ss_tot_idx_w5 at 2017-01-01T02:00:00Z is 1e0, the kernel gives"),
        // No feature of this job follows from it.
        (120, Y_LAST, 1.0, "y_last_idx at 2017-01-01T02:00:00Z is 1e0"),
        (120, Y_LAST, f64::NAN, "y_last_idx at 2017-01-01T02:00:00Z is NaN"),
        (120, 0, f64::NAN, "a2_idx_w5 at 2017-01-01T02:00:00Z is NaN"),
        // Where there is no fit.
        (0, SS_TOT, 1.0, "ss_tot_idx_w5 at 2017-01-01T00:00:00Z is 1e0, the kernel gives NaN"),
        (0, Y_LAST, 1.0, "y_last_idx at 2017-01-01T00:00:00Z is 1e0, the kernel gives NaN"),
        // A NaN that is stored comes as an infinity.
        (0, 0, f64::INFINITY, "a2_idx_w5 at 2017-01-01T00:00:00Z is inf, the kernel gives NaN"),
        (51, 3, f64::INFINITY, "ss_res_idx_w5 at 2017-01-01T00:51:00Z is inf, the kernel gives NaN"),
    ];
    for (row, column, value, difference) in cases {
        let done = Done::new(&[]);
        done.set(row, column, value);
        let [quick, sampled, full] = done.differences();
        for found in [sampled.unwrap(), full.unwrap()] {
            assert!(found.starts_with(difference), "{found}");
        }
        let is_of_no_feature = column == Y_LAST && value == 1.0 && row > 0;
        assert_eq!(quick.is_none(), is_of_no_feature, "{difference}");
        assert_eq!(done.compared().is_clean(), is_of_no_feature, "{difference}");
        assert_eq!(
            matches!(done.adopted(), Adoption::Adopted { rows: 200 }),
            is_of_no_feature,
            "{difference}"
        );
    }
}

/// Whatever metric is stored: half a fit is none.
#[test]
fn half_a_fit_passes_for_no_value_of_any_metric() {
    for metric in ["[\"rmse\"]", "[\"vertex_x\"]", "[\"residual_mean\"]", "[\"residual\"]"] {
        for (row, value) in [(1, 1.0), (1, f64::INFINITY), (120, f64::NAN), (120, f64::INFINITY)] {
            for column in 5..11 {
                let done = Done::new(&[("FEATURES__METRICS", metric)]);
                done.set(row, column, value);
                assert!(!done.compared().is_clean(), "{metric} {row} {column} {value}");
                assert!(done.differences().iter().all(Option::is_some), "{metric} {row} {column} {value}");
            }
        }
    }
}

#[test]
fn fits_of_another_program_are_judged_by_their_features() {
    let done = Done::new(&[]);
    let before = done.stored();
    // The next double, and one where no feature shows it.
    done.change(|stored| stored.rows[123][1] += 1);
    let compared = done.compared();
    assert!(compared.is_clean() && compared.total().within > 0 && compared.total().bit_equal < 200 * 12);
    assert!(matches!(done.adopted(), Adoption::Adopted { rows: 200 }));
    let receipt = done.stored().receipt;
    assert!(receipt.stored.adopted && receipt.stored.checksum != before.receipt.stored.checksum);
    assert_eq!(receipt.definition, before.receipt.definition);
    assert_eq!(done.differences(), [const { None }; 3]);
    assert_eq!(done.verified(Depth::Full).adopted_cells, 200 * 12);
    done.set(123, 3, 0.5);
    assert!(done.differences().iter().all(Option::is_some));
    // What differs are features, by their names.
    let Adoption::Differs(differences) = done.adopted() else { panic!("adopted") };
    assert!(differences.iter().any(|difference| difference.contains("r2_idx_w5")), "{differences:?}");
    assert!(differences.iter().all(|difference| !difference.contains("ss_res")), "{differences:?}");
}

#[test]
fn every_feature_of_two_layouts_of_one_source_has_the_same_bits() {
    let bench = |values: &[(&str, &str)]| {
        let bench = Bench::new(&[&WINDOWS[..], values].concat(), &["a", "b"], &MONTHS, 300);
        assert_eq!(outcomes(&bench.run()), ["written"; 6]);
        bench
    };
    let [metrics, fits] = [bench(&[]), bench(&[FITS, ("RUN__ORDER", "largest-first")])];
    for partition in metrics.partitions() {
        let read = |bench: &Bench| bits(as_features(&bench.config.series, read(bench, &partition)).as_mut());
        let [wanted, found] = [read(&metrics), read(&fits)];
        assert_eq!(wanted[0].2.len(), 300 * EVERY_FEATURE);
        assert!(wanted == found, "{partition}");
    }
}

fn read<'a>(bench: &'a Bench, partition: &rollfit_job::partition::Partition) -> Box<dyn FeatureReader + 'a> {
    rollfit_job::store::Sink::read(&bench.sink, partition).unwrap()
}
