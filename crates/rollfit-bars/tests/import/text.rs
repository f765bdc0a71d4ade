//! Text as users have it, packed or not: what is read of it, and every kind of bad file.

use std::path::Path;

use rollfit_bars::{DropCause, Format, ImportError, ReadOptions, RowFault, read_file};
use tempfile::TempDir;

use crate::support::{assert_says, bars, gzip, message, options, read_text, with_columns, write, zip};

/// 2017-03-01 00:00.
pub(crate) const MARCH_S: i64 = 1_488_326_400;

pub(crate) const MINUTES: &str = "time,close\n2017-03-01T00:00Z,1.5\n2017-03-01T00:01Z,1.6\n";

/// The bars of `MINUTES`.
pub(crate) const MINUTE_BARS: [(i64, f64); 2] = [(1_488_326_400_000_000, 1.5), (1_488_326_460_000_000, 1.6)];

#[test]
fn marks_line_endings_and_blank_lines_mean_nothing() {
    let dressed = [
        MINUTES.to_owned(),
        format!("\u{feff}{MINUTES}"),
        MINUTES.replace('\n', "\r\n"),
        MINUTES.trim_end().to_owned(),
        format!("\n{MINUTES}\n\r\n  \n"),
        MINUTES.replace(',', ";"),
        MINUTES.replace('\n', "\r"),
        MINUTES.replacen('\n', "\r", 1),
        MINUTES.replacen('\n', "\r\n", 2),
        format!("\r\r{}", MINUTES.replace('\n', "\r")),
    ];
    for text in dressed {
        let file = read_text(&text, Format::Csv, "").unwrap();
        assert_eq!((bars(&file), file.report.rows_read), (MINUTE_BARS.to_vec(), 2), "{text:?}");
    }
}

#[test]
fn an_empty_last_column_is_a_column() {
    let text = "Time\tOpen\tHigh\tLow\tClose\tVolume\n2017-03-01 00:00\t1\t1\t1\t1.5\t\n";
    assert_eq!(bars(&read_text(text, Format::Metatrader, "UTC").unwrap()), MINUTE_BARS[..1]);
}

#[test]
fn lines_are_numbered_as_editors_number_them() {
    let text = "time,close\n\n2017-03-01T00:00Z,1.5\n\n2017-03-01T00:01Z,x\n";
    assert_says(
        &message(read_text(text, Format::Csv, "")),
        &["bars.csv:5:", "not a number", "`2017-03-01T00:01Z,x`"],
    );
    let text = "time,close\n\n2017-03-01T00:00Z,1.5\n2017-03-01T00:00Z,1.5\n2017-03-01T00:01Z,1\n";
    let file = read_text(text, Format::Csv, "").unwrap();
    assert_eq!((file.file_line(0).number, file.file_line(1).number), (3, 5));
}

#[test]
fn packed_files_are_unpacked_whatever_their_name() {
    let directory = TempDir::new().unwrap();
    let inner = MINUTES.as_bytes();
    let packed = [
        gzip(inner),
        [gzip(&inner[..20]), gzip(&inner[20..])].concat(),
        zip(&[("a.csv", inner), ("a.txt", b"x")]),
    ];
    for bytes in packed {
        let path = write(&directory, "bars.csv", &bytes);
        assert_eq!(bars(&read_file(&path, &options(Format::Csv, "k", "")).unwrap()), MINUTE_BARS);
    }
}

#[test]
fn damaged_archives_are_errors() {
    let directory = TempDir::new().unwrap();
    let noise: String = (0..5_000)
        .map(|n| format!("{},{}\n", MARCH_S + n * 60, fastrand::Rng::with_seed(n.unsigned_abs()).f64() + 1.0))
        .collect();
    let whole = [gzip(noise.as_bytes()), zip(&[("a.csv", noise.as_bytes())])];
    for bytes in whole {
        let path = write(&directory, "cut", &bytes[..bytes.len() / 2]);
        let refused = read_file(&path, &with_columns(options(Format::Csv, "k", ""), "1", "2")).unwrap_err();
        assert!(matches!(refused, ImportError::Read { .. } | ImportError::Archive { .. }), "{refused}");
    }
    let mut flipped = zip(&[("a.csv", noise.as_bytes())]);
    flipped[14] ^= 1; // the checksum beside the data; the directory's counts
    let directory_crc = flipped.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap() + 16;
    flipped[directory_crc] ^= 1;
    let path = write(&directory, "flipped.zip", &flipped);
    let refused = read_file(&path, &with_columns(options(Format::Csv, "k", ""), "1", "2")).unwrap_err();
    assert!(matches!(refused, ImportError::Read { .. }), "{refused}");
    let path = write(&directory, "two.zip", &zip(&[("a.csv", b"x"), ("b.csv", b"y")]));
    assert_says(
        &message(read_file(&path, &options(Format::Csv, "k", ""))),
        &["two.zip", "\"a.csv\", \"b.csv\""],
    );
}

#[test]
fn two_entries_of_one_name_are_an_error() {
    let directory = TempDir::new().unwrap();
    let later = MINUTES.replace("1.6", "1.7");
    let mut bytes = zip(&[("a.csv", MINUTES.as_bytes()), ("b.csv", later.as_bytes())]);
    while let Some(at) = bytes.windows(5).position(|name| name == b"b.csv") {
        bytes[at] = b'a';
    }
    let path = write(&directory, "twice.zip", &bytes);
    assert_says(
        &message(read_file(&path, &options(Format::Csv, "k", ""))),
        &["twice.zip", "two entries with the same name"],
    );
    let path = write(&directory, "once.zip", &zip(&[("a.csv", MINUTES.as_bytes())]));
    assert_eq!(bars(&read_file(&path, &options(Format::Csv, "k", "")).unwrap()), MINUTE_BARS);
}

#[test]
fn bytes_after_the_last_gzip_member_are_a_warning_and_zeros_are_padding() {
    let directory = TempDir::new().unwrap();
    let member = gzip(MINUTES.as_bytes());
    for (more, warnings) in
        [(&b""[..], 0), (&[0; 1000], 0), (b"x", 1), (b"not gzip at all", 1), (b"\0\0x", 1)]
    {
        let path = write(&directory, "bars.gz", &[member.as_slice(), more].concat());
        let file = read_file(&path, &options(Format::Csv, "k", "")).unwrap();
        assert_eq!((bars(&file), file.report.warnings.len()), (MINUTE_BARS.to_vec(), warnings), "{more:?}");
        if warnings == 1 {
            assert_says(&file.report.warnings[0], &[&more.len().to_string(), "gzip"]);
        }
    }
    // A member that breaks off is none that may be passed over.
    let second = gzip(b"2017-03-01T00:02Z,1.7\n");
    let read = |bytes: &[u8]| {
        let path = write(&directory, "bars.gz", &[&member, bytes].concat());
        read_file(&path, &options(Format::Csv, "k", ""))
    };
    assert_eq!(read(&second).unwrap().bars.len(), 3);
    for cut in [2, 12, second.len() - 1] {
        assert!(matches!(read(&second[..cut]), Err(ImportError::Read { .. })), "{cut}");
    }
}

#[test]
fn files_that_are_no_bars_at_all() {
    let directory = TempDir::new().unwrap();
    let read = |path: &Path, format| read_file(path, &options(format, "k", "UTC")).unwrap_err();
    let text = [Format::Histdata, Format::Metatrader, Format::Dukascopy, Format::Csv];
    for format in Format::ALL {
        assert!(matches!(read(Path::new("/nowhere/x.csv"), format), ImportError::Open { .. }));
        assert!(matches!(read(directory.path(), format), ImportError::Directory { .. }));
        assert!(matches!(read(&write(&directory, "empty", b""), format), ImportError::Empty { .. }));
    }
    for format in text {
        assert!(matches!(read(&write(&directory, "blank", b"\r\n \n"), format), ImportError::Empty { .. }));
        assert!(matches!(
            read(&write(&directory, "empty.gz", &gzip(b"")), format),
            ImportError::Empty { .. }
        ));
        let wide = read(&write(&directory, "wide", &b"x,".repeat(100_000)), format);
        assert_says(&wide.to_string(), &["line 1", "65536"]);
    }
    let header = write(&directory, "header", b"time,close\n");
    assert!(matches!(read(&header, Format::Csv), ImportError::NoRows { .. }));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = write(&directory, "garbage.csv", b"\x89PNG\r\n\x1a\n\0\0");
    assert_says(
        &message(read_file(&path, &options(Format::Csv, "k", ""))),
        &["garbage.csv", "neither UTF-8 nor UTF-16"],
    );
    let path = write(
        &directory,
        "latin.csv",
        b"time,close,note\n2017-03-01T00:00Z,1.5,ok\n2017-03-02T00:00Z,1.5,caf\xe9\n",
    );
    assert_says(&message(read_file(&path, &options(Format::Csv, "k", ""))), &["latin.csv:3:", "not UTF-8"]);
    let lenient = ReadOptions { lenient: true, ..options(Format::Csv, "k", "") };
    assert_eq!(read_file(&path, &lenient).unwrap().report.dropped[&DropCause::Unparsable], 1);
}

#[test]
fn bad_rows_name_file_and_line_and_lenient_counts_them() {
    let cases = [
        ("1488326520,0", "not a price", DropCause::Price),
        ("1488326520,-1.5", "not a price", DropCause::Price),
        ("1488326520,nan", "not a price", DropCause::Price),
        ("1488326520,", "not a number", DropCause::Unparsable),
        ("1488326520", "has 1 field, but a row has 2", DropCause::Unparsable),
        ("1488326520,1,5", "has 3 fields, but a row has 2", DropCause::Unparsable),
        ("1488326520,0952", "extra zero", DropCause::Unparsable),
        ("1488326520,\"1.5", "quotes", DropCause::Unparsable),
        ("soon,1.5", "not readable", DropCause::Unparsable),
        ("1488326520.0000001,1.5", "finer than a microsecond", DropCause::TooFine),
        ("1488326460,1.7", "1.7", DropCause::Contradiction),
        ("1488326459,1.5", "jumps back", DropCause::JumpBack),
    ];
    let directory = TempDir::new().unwrap();
    for (row, part, cause) in cases {
        let path = write(
            &directory,
            "bad.csv",
            format!("time,close\n1488326460,1.5\n{row}\n1488326580,1.5\n").as_bytes(),
        );
        let strict = options(Format::Csv, "k", "");
        assert_says(&message(read_file(&path, &strict)), &["bad.csv:3:", part]);
        let report = read_file(&path, &ReadOptions { lenient: true, ..strict }).unwrap().report;
        assert_eq!((report.rows_read, report.rows_kept, report.dropped[&cause]), (3, 2, 1), "{row}");
    }
}

#[test]
fn a_file_that_breaks_off_inside_its_last_close_is_refused() {
    let text =
        "20170301 000000;1.055220;1.055290;1.055210;1.055290;0\n20170301 000100;1.0553;1.0553;1.0553;1.05";
    let refused = read_text(text, Format::Histdata, "").unwrap_err();
    assert!(matches!(refused, ImportError::Row { fault: RowFault::Cut { column: 5 }, .. }), "{refused}");
}

#[test]
fn lenient_reading_that_keeps_nothing_is_an_error() {
    let directory = TempDir::new().unwrap();
    let path = write(&directory, "mt.csv", b"2026.01.01,17:00,1,1,1,1,0\n2026.01.01,17:01,1,1,1,1,0\n");
    let lenient = ReadOptions { lenient: true, ..options(Format::Histdata, "k", "") };
    assert_says(
        &message(read_file(&path, &lenient)),
        &["none of the 2 rows", "mt.csv:1:", "--format metatrader"],
    );
}

#[test]
fn local_times_that_are_no_instant_name_their_line() {
    let row = |local: &str| format!("time,close\n{local},1.5\n");
    for (local, part) in [("2017-11-05 01:30", "exists twice"), ("2017-03-12 02:30", "does not exist")] {
        let refused = message(read_text(&row(local), Format::Csv, "America/New_York"));
        assert_says(&refused, &["bars.csv:2:", part, local]);
    }
    let refused = message(read_text("20221029 203000;1;1;1;1;0\n", Format::Histdata, ""));
    assert_says(&refused, &["bars.csv:1:", "exists twice"]);
}

#[test]
fn a_zone_may_not_contradict_the_bytes() {
    assert!(read_text(MINUTES, Format::Csv, "UTC").is_ok());
    assert_says(
        &message(read_text(MINUTES, Format::Csv, "+02:00")),
        &["bars.csv:2:", "contradicts --timezone +02:00"],
    );
    assert_says(
        &message(read_text("time,close\n1488326460,1\n", Format::Csv, "America/New_York")),
        &["+00:00"],
    );
    assert!(read_text("ts_utc,close\n2017-03-01 00:00,1\n", Format::Csv, "").is_ok());
}

#[test]
fn column_options_serve_the_formats_that_have_free_columns() {
    let directory = TempDir::new().unwrap();
    let path = write(&directory, "x.csv", b"a|b\n1488326460|1.5\n");
    let mut csv = with_columns(options(Format::Csv, "k", ""), "A", "2");
    csv.columns.delimiter = Some('|');
    assert_eq!(bars(&read_file(&path, &csv).unwrap()), [(1_488_326_460_000_000, 1.5)]);
    csv.columns.delimiter = Some('é');
    assert_says(&message(read_file(&path, &csv)), &["delimiter"]);
    let histdata = with_columns(options(Format::Histdata, "k", ""), "1", "2");
    assert_says(&message(read_file(&path, &histdata)), &["histdata has fixed columns"]);
}
