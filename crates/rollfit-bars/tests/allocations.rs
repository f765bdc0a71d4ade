//! Who allocates while text is read: every block of a file, and no row. A program of its own, because the allocator that counts serves
//! all of it. It counts the thread of the test, which reads the first block of a file whatever other cores do.

use allocation_counter::measure;
use rollfit_bars::{Format, OtherColumns, ReadOptions, read_files};

/// Rows of several blocks.
const ROWS: usize = 40_000;
/// More than a file and its blocks need. The first block alone has thousands of rows.
const ALLOCATIONS_MAX: u64 = 1_000;

/// A file with a row for each minute of March 2017, made of its day, hour and minute.
fn text(header: &str, row: impl Fn(usize, usize, usize) -> String) -> String {
    let rows: String = (0..ROWS).map(|at| row(1 + at / 1440, at / 60 % 24, at % 60)).collect();
    format!("{header}{rows}")
}

/// How often reading a file allocates whose every row is a bar.
fn allocations(text: &str, options: &ReadOptions) -> u64 {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = [directory.path().join("bars.csv")];
    std::fs::write(&paths[0], text).expect("a file");
    let mut bars = 0_usize;
    let allocated = measure(|| {
        let files = read_files(&paths, options, |_| {}).expect("bars");
        bars = files.iter().map(|file| file.bars.len()).sum::<usize>();
    });
    assert_eq!(bars, ROWS, "{options:?}");
    allocated.count_total
}

#[test]
fn what_is_allocated_is_counted() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![1.0; 10]))).count_total, 1);
}

#[test]
fn reading_text_allocates_nothing_a_row() {
    let of_format = |format| ReadOptions {
        key: Some("k".to_owned()),
        zone: Some("UTC".parse().expect("a zone")),
        ..ReadOptions::new(format)
    };
    let histdata =
        text("", |day, hour, minute| format!("201703{day:02} {hour:02}{minute:02}00;1.1;1.2;1.1;1.15;0\n"));
    let metatrader =
        text("", |day, hour, minute| format!("2017.03.{day:02},{hour:02}:{minute:02},1.1,1.2,1.1,1.15,7\n"));
    let csv = text("symbol,time,open,high,low,close,volume\n", |day, hour, minute| {
        format!("A,2017-03-{day:02} {hour:02}:{minute:02},1.1,1.2,1.1,1.15,7\n")
    });
    let of_two_keys = text("symbol,time,close\n", |day, hour, minute| {
        format!("{},2017-03-{day:02} {hour:02}:{minute:02},1.15\n", ["A", "B"][minute % 2])
    });
    let mut all_columns = of_format(Format::Csv);
    all_columns.columns.others = OtherColumns::All;
    let by_key = ReadOptions { key: None, key_column: Some("symbol".to_owned()), ..of_format(Format::Csv) };
    for (name, text, options) in [
        ("histdata", &histdata, of_format(Format::Histdata)),
        ("metatrader", &metatrader, of_format(Format::Metatrader)),
        ("csv", &csv, of_format(Format::Csv)),
        ("csv, lenient", &csv, ReadOptions { lenient: true, ..of_format(Format::Csv) }),
        ("csv, all columns", &csv, all_columns),
        ("csv, two keys", &of_two_keys, by_key),
    ] {
        let count = allocations(text, &options);
        assert!((1..ALLOCATIONS_MAX).contains(&count), "{name}: {count} allocations");
    }
}
