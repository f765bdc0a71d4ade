//! Text files as vendors dress them: UTF-16, banners, several header lines, numbered names, ticks. Each is read, or refused with
//! advice that works when it is followed.

use rollfit_bars::{BarFile, DropCause, Format, ImportError, ReadOptions, read_file};
use tempfile::TempDir;

use crate::support::{assert_says, bars, gzip, message, options, read_text, with_columns, write, zip};
use crate::text::{MINUTE_BARS, MINUTES};

fn utf16(text: &str, little: bool) -> Vec<u8> {
    let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    text.encode_utf16().flat_map(bytes).collect()
}

fn read_bytes(bytes: &[u8], options: &ReadOptions) -> Result<BarFile, ImportError> {
    let directory = TempDir::new().unwrap();
    read_file(&write(&directory, "bars.csv", bytes), options)
}

fn skipping(lines: usize, options: ReadOptions) -> ReadOptions {
    ReadOptions { skip_lines: lines, ..options }
}

/// The options of a message that ends in advice, such as `--skip-lines 3 --close-column 2`.
fn follow(message: &str, mut options: ReadOptions) -> ReadOptions {
    let (_, advice) = message.rsplit_once("try --").unwrap_or_else(|| panic!("no advice in: {message}"));
    let words: Vec<&str> = advice.split_whitespace().collect();
    for pair in words.chunks(2) {
        let &[option, value] = pair else { panic!("{message}") };
        match option.trim_start_matches("--") {
            "skip-lines" => options.skip_lines = value.parse().unwrap(),
            "format" => options.format = value.parse().unwrap(),
            "time-column" => options.columns.time = Some(value.to_owned()),
            "date-column" => options.columns.date = Some(value.to_owned()),
            "close-column" => options.columns.close = Some(value.to_owned()),
            other => panic!("{other}: {message}"),
        }
    }
    options
}

/// The text is refused, and read once the advice is followed.
#[track_caller]
fn refused_then_read(text: &str, options: &ReadOptions, advice: &str) -> BarFile {
    let refused = message(read_bytes(text.as_bytes(), options));
    assert_says(&refused, &[advice]);
    read_bytes(text.as_bytes(), &follow(&refused, options.clone())).unwrap()
}

#[test]
fn utf16_is_read_in_every_text_format() {
    let texts = [
        (Format::Csv, "", MINUTES),
        (
            Format::Metatrader,
            "UTC",
            "2017.03.01\t00:00\t1\t1\t1\t1.5\t7\r\n2017.03.01\t00:01\t1\t1\t1\t1.6\t7\r\n",
        ),
        (
            Format::Dukascopy,
            "",
            "Etc/UTC,Open,High,Low,Close\n2017-03-01T00:00:00Z,1,1,1,1.5\n2017-03-01T00:01:00Z,1,1,1,1.6\n",
        ),
        (Format::Histdata, "UTC", "20170301 000000;1;1;1;1.5;0\n20170301 000100;1;1;1;1.6;0\n"),
    ];
    for (format, zone, text) in texts {
        for (mark, little) in [("", true), ("", false), ("\u{feff}", true), ("\u{feff}", false)] {
            let wide = utf16(&format!("{mark}{text}"), little);
            for bytes in [gzip(&wide), zip(&[("a.csv", &wide)]), wide] {
                let file = read_bytes(&bytes, &options(format, "k", zone)).unwrap();
                assert_eq!(bars(&file), MINUTE_BARS, "{format} {mark:?} {little}");
            }
        }
    }
}

#[test]
fn broken_utf16_is_an_error_with_its_line_also_leniently() {
    let broken = |lenient: bool, units: &[u16], cut: usize| {
        let mut bytes = utf16(MINUTES, true);
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.truncate(bytes.len() - cut);
        let options = ReadOptions { lenient, ..options(Format::Csv, "k", "") };
        message(read_bytes(&bytes, &options))
    };
    for lenient in [false, true] {
        assert_says(&broken(lenient, &[0xd800, 0x41], 0), &["bars.csv: line 4 is not text", "surrogate"]);
        assert_says(&broken(lenient, &[0x41, 0, 0x41], 0), &["bars.csv: line 4 is not text", "NUL"]);
        assert_says(&broken(lenient, &[0x41], 1), &["bars.csv: line 4 is not text", "cut off"]);
        assert_says(&broken(lenient, &[0x41, 0xd800], 0), &["bars.csv: line 4 is not text", "cut off"]);
    }
    // A row that breaks off is one in any encoding, and can be looked at.
    let cut = utf16(&MINUTES[..MINUTES.len() - 5], true);
    let cut = message(read_bytes(&cut, &options(Format::Csv, "k", "")));
    assert_says(&cut, &["bars.csv:3:", "has 1 field", "iconv -f UTF-16LE -t UTF-8 FILE | sed -n 3p"]);
    let wider: Vec<u8> = "\u{feff}time".chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    assert_says(&message(read_bytes(&wider, &options(Format::Csv, "k", ""))), &["UTF-32", "iconv"]);
    let workbook = zip(&[("[Content_Types].xml", b"<xml/>"), ("xl/workbook.xml", b"<xml/>")]);
    assert_says(
        &message(read_bytes(&workbook, &options(Format::Csv, "k", ""))),
        &["Excel", "save it as CSV"],
    );
}

#[test]
fn metatrader_with_semicolons() {
    let rows = "2017.03.01;00:00;1;1;1;1.5;7\n2017.03.01;00:01;1;1;1;1.6;7\n";
    let header = "<DATE>;<TIME>;<OPEN>;<HIGH>;<LOW>;<CLOSE>;<TICKVOL>\n";
    for text in [rows.to_owned(), format!("{header}{rows}")] {
        assert_eq!(bars(&read_text(&text, Format::Metatrader, "UTC").unwrap()), MINUTE_BARS);
    }
    // A decimal comma stays an error.
    let comma = rows.replace("1.5", "1,5").replace("1.6", "1,6");
    assert_says(&message(read_text(&comma, Format::Metatrader, "UTC")), &[":1:", "not a number"]);
}

#[test]
fn forex_tester_files_are_csv() {
    let header = "<TICKER>,<DTYYYYMMDD>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\n";
    for (first, second) in [("000000", "000100"), ("0000", "0001"), ("00:00", "00:01")] {
        let row = |time: &str, close: &str| format!("EURUSD,20170301,{time},1,1,1,{close},4\n");
        let text = format!("{header}{}{}", row(first, "1.5"), row(second, "1.6"));
        let read = |zone| read_bytes(text.as_bytes(), &options(Format::Csv, "eurusd", zone));
        let file = read("UTC").unwrap();
        assert_eq!((bars(&file), file.report.warnings.len()), (MINUTE_BARS.to_vec(), 0));
        assert_says(&message(read("")), &[":2:", "--timezone UTC"]);
    }
    let short = format!("{header}EURUSD,20170301,0,1,1,1,1.5,4\n");
    assert_says(
        &message(read_bytes(short.as_bytes(), &options(Format::Csv, "eurusd", "UTC"))),
        &[":2:", "HH:MM"],
    );
}

#[test]
fn lines_above_the_table_are_skipped_as_advised() {
    let csv = options(Format::Csv, "k", "");
    let banners = [
        "EURUSD one-minute bars\n",
        "Symbol,EURUSD\nExported,2017-04-01\n\n",
        "# a\n#,b,c\n# d;e\n",
        "a,b,c,d\n",
        "sep=,\n",
    ];
    for banner in banners {
        let file = refused_then_read(&format!("{banner}{MINUTES}"), &csv, "the table seems to begin at line");
        assert_eq!(bars(&file), MINUTE_BARS, "{banner}");
        let (number, above) = (file.file_line(0).number, banner.lines().count() as u64);
        assert_eq!(number, above + 2, "lines keep the numbers that the file has: {banner}");
    }
    let rows = "2017.03.01,00:00,1,1,1,1.5,7\n2017.03.01,00:01,1,1,1,1.6,7\n";
    let metatrader = options(Format::Metatrader, "k", "UTC");
    assert_eq!(
        bars(&refused_then_read(&format!("EURUSD\nM1\n{rows}"), &metatrader, "--skip-lines 2")),
        MINUTE_BARS
    );
    let histdata = options(Format::Histdata, "k", "UTC");
    let rows = "20170301 000000;1;1;1;1.5;0\n20170301 000100;1;1;1;1.6;0\n";
    assert_eq!(
        bars(&refused_then_read(&format!("HistData\n{rows}"), &histdata, "--skip-lines 1")),
        MINUTE_BARS
    );
    assert_eq!(
        bars(&refused_then_read(
            &format!("HistData\n{rows}"),
            &options(Format::Csv, "k", "UTC"),
            "--format histdata"
        )),
        MINUTE_BARS
    );
    let numbered = with_columns(csv, "1", "2");
    assert_eq!(
        bars(&refused_then_read("EURUSD\n1488326400,1.5\n1488326460,1.6\n", &numbered, "--skip-lines 1")),
        MINUTE_BARS
    );
}

#[test]
fn a_banner_in_another_encoding_is_skipped_and_binary_files_are_told() {
    let csv = || options(Format::Csv, "k", "");
    let latin = [b"B\xf6rse\n".as_slice(), MINUTES.as_bytes()].concat();
    let refused = message(read_bytes(&latin, &csv()));
    assert_says(&refused, &["neither UTF-8 nor UTF-16", "try --skip-lines 1"]);
    assert_eq!(bars(&read_bytes(&latin, &follow(&refused, csv())).unwrap()), MINUTE_BARS);
    let mut random = fastrand::Rng::with_seed(3);
    let noise: Vec<u8> = (0..4096).map(|_| random.u8(128..)).collect();
    let counted: Vec<u8> = (0..=255).cycle().take(4096).collect();
    for bytes in [noise, counted, b"\x89PNG\r\n\x1a\n\0\0".to_vec()] {
        for format in [Format::Csv, Format::Metatrader, Format::Dukascopy] {
            let refused = message(read_bytes(&bytes, &options(format, "k", "UTC")));
            assert_says(&refused, &["neither UTF-8 nor UTF-16"]);
            assert!(!refused.contains("--skip-lines"), "{refused}");
        }
    }
}

#[test]
fn skipped_lines_are_only_those_asked_for() {
    let csv = || options(Format::Csv, "k", "");
    let banner = format!("\u{e9}\n\n{MINUTES}2017-03-01T00:02Z,x\n");
    assert_says(
        &message(read_bytes(banner.as_bytes(), &skipping(2, csv()))),
        &["bars.csv:6:", "not a number"],
    );
    assert_eq!(
        bars(&read_bytes(format!("\n\n{MINUTES}").as_bytes(), &skipping(1, csv())).unwrap()),
        MINUTE_BARS
    );
    // One line too many takes the header, and no row is read as one.
    let beyond = message(read_bytes(MINUTES.as_bytes(), &skipping(1, csv())));
    assert_says(&beyond, &["first line is not a header"]);
    assert_says(
        &message(read_bytes(MINUTES.as_bytes(), &skipping(9, csv()))),
        &["no lines after", "--skip-lines 9"],
    );
    assert_says(
        &message(read_bytes(b"PAR1", &skipping(1, options(Format::Parquet, "k", "")))),
        &["omit --skip-lines"],
    );
    // A row that was read is not above the table, nor is a bad row that has its time where the others have it.
    let rows: Vec<String> = (0..9).map(|n| format!("2017-03-01T00:0{n}Z,1.{n}1\n")).collect();
    for bad in 1..3 {
        let mut rows = rows.clone();
        rows[bad] = "soon,1.5\n".to_owned();
        let refused = message(read_bytes(rows.concat().as_bytes(), &with_columns(csv(), "1", "2")));
        assert!(
            refused.contains(&format!(":{}:", bad + 1)) && !refused.contains("--skip-lines"),
            "{refused}"
        );
    }
    let first = format!("2017-03-01T00:00Z,x\n{}", rows[1..].concat());
    let refused = message(read_bytes(first.as_bytes(), &with_columns(csv(), "1", "2")));
    assert!(refused.contains(":1:") && !refused.contains("--skip-lines"), "{refused}");
    // Rows that are bad themselves get no such advice.
    let bad = message(read_text("time,close\nsoon,1.5\n2017-03-01T00:01Z,1.6\n", Format::Csv, ""));
    assert!(bad.contains(":2:"), "{bad}");
    let late = message(read_text(&MINUTES.replace("1.6", "x"), Format::Csv, ""));
    assert!(!late.contains("--skip-lines"), "{late}");
}

#[test]
fn several_header_lines_are_refused_with_the_columns_by_number() {
    let text = "Price,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\nDatetime,,,,,\n\
                2017-03-01 00:00:00+00:00,1.5,9.1,9.2,9.3,7\n2017-03-01 00:01:00+00:00,1.6,9.1,9.2,9.3,7\n";
    let advice = "--skip-lines 3 --time-column 1 --close-column 2";
    for given in
        [options(Format::Csv, "aapl", ""), with_columns(options(Format::Csv, "aapl", ""), "Price", "Close")]
    {
        assert_eq!(bars(&refused_then_read(text, &given, advice)), MINUTE_BARS);
    }
    // Open would pass for the close where a vendor's rows have it: no such advice.
    for format in [Format::Dukascopy, Format::Metatrader] {
        let refused = message(read_bytes(text.as_bytes(), &options(format, "aapl", "")));
        let file = read_bytes(text.as_bytes(), &follow(&refused, options(format, "aapl", ""))).unwrap();
        assert_eq!(bars(&file), MINUTE_BARS, "{refused}");
    }
    // Of two closes none is the close: their numbers are asked for.
    let two =
        text.replace("Price,Close,High", "Price,Close,Close").replace("Ticker,AAPL,AAPL", "Ticker,AAPL,MSFT");
    let refused = message(read_bytes(two.as_bytes(), &options(Format::Csv, "aapl", "")));
    assert_says(&refused, &["try --skip-lines 3 --time-column 1 --close-column N", "2 is `1.5`, 3 is `9.1`"]);
    let followed = skipping(3, with_columns(options(Format::Csv, "aapl", ""), "1", "2"));
    assert_eq!(bars(&read_bytes(two.as_bytes(), &followed).unwrap()), MINUTE_BARS);
    let apart = "Date;Time;Last\n(day);(UTC);(USD)\n2017-03-01;00:00;1.5\n2017-03-01;00:01;1.6\n";
    let file = refused_then_read(
        apart,
        &options(Format::Csv, "k", "UTC"),
        "--date-column 1 --time-column 2 --close-column 3",
    );
    assert_eq!(bars(&file), MINUTE_BARS);
}

#[test]
fn names_that_begin_with_digits_are_names() {
    let header = "timestamp,1. open,2. high,3. low,4. close,5. volume,24h change\n";
    let rows = "2017-03-01T00:00Z,1,2,1,1.5,7,0\n2017-03-01T00:01Z,1,2,1,1.6,7,0\n";
    assert_eq!(bars(&read_text(&format!("{header}{rows}"), Format::Csv, "").unwrap()), MINUTE_BARS);
    let named = with_columns(options(Format::Csv, "k", ""), "timestamp", "4. close");
    assert_eq!(bars(&read_bytes(format!("{header}{rows}").as_bytes(), &named).unwrap()), MINUTE_BARS);
    let twice = header.replace("2. high", "2. close");
    assert_says(&message(read_text(&format!("{twice}{rows}"), Format::Csv, "")), &["both called `close`"]);
    // A file without a header is still seen as such, and its first row is a row.
    assert_says(&message(read_text(rows, Format::Csv, "")), &["first line is not a header"]);
    let numbered = with_columns(options(Format::Csv, "k", ""), "1", "5");
    assert_eq!(bars(&read_bytes(rows.as_bytes(), &numbered).unwrap()), MINUTE_BARS);
}

#[test]
fn files_that_are_no_tables_are_named_as_what_they_are() {
    let cases = [
        ("<!DOCTYPE html>\n<html><body>429, too many requests</body></html>\n", "web page"),
        ("{\"Meta Data\": {\"1. Information\": \"Daily\"}}\n", "JSON"),
        (
            "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\n2017.03.01\t00:00:00.123\t1.5\t1.6\t\t\t6\n",
            "MetaTrader tick file",
        ),
        ("20170301 000000123,1.05522,1.05529,0\n", "HistData tick file, not one-minute bars"),
    ];
    for (text, kind) in cases {
        for format in [Format::Csv, Format::Metatrader, Format::Dukascopy, Format::Histdata] {
            for lenient in [false, true] {
                let options = ReadOptions { lenient, ..options(format, "k", "UTC") };
                let refused = message(read_bytes(text.as_bytes(), &options));
                assert_says(&refused, &["bars.csv", kind]);
                assert!(!refused.contains("--format"), "{format}: {refused}");
            }
        }
    }
    // Named columns do not make bars of ticks; quotes of a minute are bars where the close is named.
    let named = with_columns(options(Format::Csv, "k", "UTC"), "1", "2");
    assert_says(&message(read_bytes(cases[3].0.as_bytes(), &named)), &["HistData tick file"]);
    let quotes = "Gmt time,Ask,Bid,AskVolume,BidVolume\n01.03.2017 00:00:00.000,9,1.5,1,1\n01.03.2017 00:01:00.000,9,1.6,1,1\n";
    assert_says(&message(read_text(quotes, Format::Csv, "")), &["Dukascopy tick file"]);
    let named = with_columns(options(Format::Csv, "k", ""), "gmt time", "bid");
    assert_eq!(bars(&read_bytes(quotes.as_bytes(), &named).unwrap()), MINUTE_BARS);
}

#[test]
fn newest_first_is_turned_round_in_every_format() {
    let texts = [
        (Format::Csv, "time,close\n2017-03-01 00:01,1.6\n2017-03-01 00:00,1.5\n"),
        (Format::Metatrader, "2017.03.01;00:01;1;1;1;1.6;7\n2017.03.01;00:00;1;1;1;1.5;7\n"),
        (
            Format::Dukascopy,
            "Etc/UTC,Open,High,Low,Close\n2017-03-01T00:01:00Z,1,1,1,1.6\n2017-03-01T00:00:00Z,1,1,1,1.5\n",
        ),
        (Format::Histdata, "20170301 000100;1;1;1;1.6;0\n20170301 000000;1;1;1;1.5;0\n"),
    ];
    for (format, text) in texts {
        let file = read_text(text, format, "UTC").unwrap();
        assert!(file.report.newest_first, "{format}");
        assert_eq!(bars(&file), MINUTE_BARS, "{format}");
    }
}

#[test]
fn a_nul_in_the_middle_of_utf8_is_a_bad_row() {
    let text = format!("{MINUTES}2017-03-01T00:02Z,1.\07\n");
    assert_says(&message(read_text(&text, Format::Csv, "")), &["bars.csv:4:", "not a number"]);
    let padded = format!("{MINUTES}{}", "\0".repeat(512));
    assert_says(&message(read_text(&padded, Format::Csv, "")), &["bars.csv:4:"]);
    let lenient = ReadOptions { lenient: true, ..options(Format::Csv, "k", "") };
    let report = read_bytes(padded.as_bytes(), &lenient).unwrap().report;
    assert_eq!((report.rows_kept, report.dropped[&DropCause::Unparsable]), (2, 1));
}
