//! Text files to import, of every vendor, whole and packed.

use std::path::Path;

use rollfit_bars::{BarFile, Format, ImportError, ReadOptions, merge, read_file};

use crate::Seed;
use crate::packed::{gzip, zip};
use crate::scratch::in_scratch;

const ZONES: [&str; 5] = ["", "UTC", "histdata", "America/New_York+07:00", "-03:30"];

/// The first byte says how the others are read.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    format: Format,
    zone: usize,
    lenient: bool,
    numbered: bool,
}

impl Choice {
    pub(crate) fn new(byte: u8, formats: &[Format]) -> Self {
        let (format, rest) = (usize::from(byte) % formats.len(), usize::from(byte) / formats.len());
        let (zone, rest) = (rest % ZONES.len(), rest / ZONES.len());
        Self { format: formats[format], zone, lenient: rest % 2 == 1, numbered: rest / 2 % 2 == 1 }
    }

    pub(crate) fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::new(self.format);
        options.key = Some("k".to_owned());
        options.lenient = self.lenient;
        options.zone =
            Some(ZONES[self.zone]).filter(|zone| !zone.is_empty()).map(|zone| zone.parse().unwrap());
        if self.numbered {
            options.columns.time = Some("1".to_owned());
            options.columns.close = Some("5".to_owned());
        }
        options
    }
}

/// The byte with which `format` is read in a zone.
pub(crate) fn choice_byte(format: Format, formats: &[Format], zone: &str) -> u8 {
    let find = |byte: &u8| {
        let choice = Choice::new(*byte, formats);
        choice.format == format && ZONES[choice.zone] == zone && !choice.lenient && !choice.numbered
    };
    (0..=u8::MAX).find(find).unwrap()
}

/// Checks what every file of bars promises.
pub(crate) fn check_bars(read: &Result<BarFile, ImportError>) {
    match read {
        Err(error) => assert!(!rollfit_job::error_chain(error).is_empty()),
        Ok(file) => {
            assert!(!file.bars.is_empty() && file.lines.len() == file.bars.len());
            assert!(file.bars.iter().all(|bar| bar.close.is_finite() && bar.close > 0.0));
            assert!(file.bars.windows(2).all(|pair| pair[0].instant_us < pair[1].instant_us));
            assert!((0..file.bars.len()).all(|at| file.lines.line(at) > 0));
            let merged = merge(vec![file.clone()], false).unwrap();
            assert_eq!(merged[&file.key].bars().len(), file.bars.len());
        }
    }
}

/// Bars as bits.
pub(crate) fn bits(file: &BarFile) -> Vec<(i64, u64)> {
    file.bars.iter().map(|bar| (bar.instant_us, bar.close.to_bits())).collect()
}

const FORMATS: [Format; 4] = [Format::Histdata, Format::Metatrader, Format::Dukascopy, Format::Csv];

pub(crate) fn hold(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    let options = Choice::new(*choice, &FORMATS).options();
    in_scratch(|scratch| {
        let path = scratch.write("bars.csv", text);
        let read = read_file(&path, &options);
        check_bars(&read);
        let Ok(file) = read else { return };
        check_closes(&file, text);
        if !options.lenient {
            let lenient = read_file(&path, &ReadOptions { lenient: true, ..options.clone() }).unwrap();
            assert_eq!(bits(&lenient), bits(&file), "what is read strictly is read leniently");
        }
        check_packed(&file, &options, scratch.path(), text);
        check_blocks(&file, &options, &path, text);
    });
}

/// Blank lines in front mean nothing, even where they move the end of a block into the text.
fn check_blocks(file: &BarFile, options: &ReadOptions, path: &Path, text: &[u8]) {
    const BLOCK_BYTES: usize = 256 * 1024;
    let is_utf8 = std::str::from_utf8(text).is_ok_and(|text| !text.contains(['\0', '\u{feff}']));
    if !is_utf8 || !text.len().is_multiple_of(8) {
        return;
    }
    let in_front =
        BLOCK_BYTES - text.len().min(BLOCK_BYTES) * usize::from(text[0] ^ text[text.len() / 2]) / 256;
    std::fs::write(path, [&b"\n".repeat(in_front)[..], text].concat()).unwrap();
    let moved = read_file(path, options).unwrap_or_else(|error| panic!("{in_front} blank lines: {error}"));
    assert_eq!(bits(&moved), bits(file), "{in_front} blank lines");
    let line = |file: &BarFile, at: usize| file.lines.line(at);
    assert!((0..file.bars.len()).all(|at| line(&moved, at) == line(file, at) + in_front as u64));
}

/// Every close is the double of some number in the text, which may have zeros between its bytes. Text of other encodings
/// is left out.
fn check_closes(file: &BarFile, text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let text = text.replace('\0', "");
    let numbers = text.split(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
    let mut known: Vec<u64> =
        numbers.filter_map(|number| number.parse::<f64>().ok()).map(f64::to_bits).collect();
    known.sort_unstable();
    for bar in &file.bars {
        assert!(known.binary_search(&bar.close.to_bits()).is_ok(), "{} is nowhere in the text", bar.close);
    }
}

/// A packed file is read as it is unpacked.
fn check_packed(file: &BarFile, options: &ReadOptions, dir: &Path, text: &[u8]) {
    for (name, packed) in [("bars.csv.gz", gzip(text)), ("bars.zip", zip(&[("bars.csv", text)], true))] {
        let path = dir.join(name);
        std::fs::write(&path, packed).unwrap();
        let packed = read_file(&path, options).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((bits(&packed), packed.report.clone()), (bits(file), file.report.clone()), "{name}");
    }
}

/// Tables as vendors write them, made for the purpose: format, name, zone, text.
pub(crate) const TABLES: [(Format, &str, &str, &str); 29] = [
    (
        Format::Histdata,
        "histdata",
        "",
        "20180604 170000;1.16720;1.16730;1.16710;1.16725;0\n20180604 170100;1.16725;1.16740;1.16720;1.16733;0\n",
    ),
    (Format::Histdata, "histdata_cr", "", "20180604 170000;1;2;1;1.5;0\r20180604 170100;1;2;1;1.6;0\r"),
    (Format::Histdata, "histdata_cat", "", "20180604 170000;1;1;1;1;020180604 170100;1;1;1;1.2;0\n"),
    (Format::Histdata, "histdata_ticks", "", "20180604 170000123,1.16720,1.16730,0\n"),
    (
        Format::Metatrader,
        "metatrader",
        "UTC",
        "2019.03.11,09:30,1.1,1.3,1.0,1.2,44\r\n2019.03.11,09:31,1.2,1.3,1.1,1.3,9\r\n",
    ),
    (
        Format::Metatrader,
        "metatrader_header",
        "UTC",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n2019.03.11\t09:30:00\t1\t2\t1\t1.5\t3\t0\t1\n",
    ),
    (
        Format::Metatrader,
        "metatrader_semicolon",
        "UTC",
        "2019.03.11;09:30;1.1;1.3;1.0;1.2;44\n2019.03.11;09:31;1;1;1;1;9\n",
    ),
    (Format::Metatrader, "metatrader_split", "UTC", "2019.03.11,09:30,1,1311,1,1314,1,1309,1,1312,44\n"),
    (
        Format::Dukascopy,
        "dukascopy",
        "",
        "Gmt time,Open,High,Low,Close,Volume\r\n05.06.2015 07:00:00.000,1.12,1.13,1.11,1.125,8.5\r\n",
    ),
    (
        Format::Dukascopy,
        "dukascopy_local",
        "",
        "Local time,Open,High,Low,Close,Volume\n05.06.2015 07:00:00.000 GMT+0200,1,1,1,1,1\n",
    ),
    (
        Format::Dukascopy,
        "dukascopy_utc",
        "",
        "Etc/UTC,Open,High,Low,Close,Volume\n2025-02-03T04:05:00+00:00,1,2,1,1.5,7\n",
    ),
    (
        Format::Dukascopy,
        "dukascopy_zurich",
        "",
        "Europe/Zurich,Open,High,Low,Close,Volume\n2025-07-03T04:05:00+02:00,1,2,1,1.5,7\n",
    ),
    (
        Format::Dukascopy,
        "dukascopy_eet",
        "",
        "EET,Open,High,Low,Close,Volume\n05.06.2015 07:00:00,1.12,1.13,1.11,1.125,8\n",
    ),
    (
        Format::Csv,
        "csv",
        "UTC",
        "timestamp,open,high,low,close\n2014-08-09 10:11:00,1,2,1,1.5\n2014-08-09 10:12:00,1,2,1,1.25\n",
    ),
    (
        Format::Csv,
        "csv_quoted",
        "",
        "\u{feff}date,price\n\"2014-08-09T10:11:00Z\",\"1.5\"\n2014-08-09T10:12:00-05:00,2e-1\n",
    ),
    (Format::Csv, "csv_epoch", "", "unix,close,Volume USD\n1407579060,589.1,12\n1407579120,589.4,0\n"),
    (
        Format::Csv,
        "csv_newest_first",
        "",
        "https://data.example.org\nunix,date,symbol,open,high,low,close\n1407579120,2014-08-09 10:12:00,A/B,3,3,3,3\n1407579060,2014-08-09 10:11:00,A/B,2,2,2,2\n",
    ),
    (Format::Csv, "csv_thousands", "UTC", "time,close\n2014-08-09 10:11,1,589.5\n2014-08-09 10:12,1,590.5\n"),
    (Format::Csv, "csv_surplus", "UTC", "time,close,volume\n2014-08-09 10:11:00,1.5,3,4,5\n"),
    (
        Format::Csv,
        "csv_ticker",
        "UTC",
        "<TICKER>,<DTYYYYMMDD>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\nAB,20140809,101100,1,1,1,1,4\n",
    ),
    (Format::Csv, "csv_excel", "UTC", "time,close\n41860.42431,1.5\n41860.42500,1.6\n"),
    (
        Format::Csv,
        "csv_clock_digits",
        "UTC",
        "Day,Time,Open,High,Low,Close\n20140809,1011,1,2,1,1.5\n20140809,1012,1,2,1,1.25\n",
    ),
    (Format::Csv, "csv_minute_of_day", "", "t,c\n611,1.5\n612,1.25\n"),
    (Format::Csv, "csv_second_of_day", "UTC", "day;time;close\n20140809;36660;1.5\n20140809;36720;1.25\n"),
    (Format::Csv, "csv_decimal_comma", "UTC", "time,close\n2014-08-09 10:11,1,5\n2014-08-09 10:12,1,6\n"),
    (
        Format::Csv,
        "csv_decimal_commas",
        "UTC",
        "time,open,high,low,close,volume\n2014-08-09 10:11:00,1,15,1,16,1,14,1,15,8\n",
    ),
    (
        Format::Dukascopy,
        "dukascopy_split",
        "",
        "Gmt time,Open,High,Low,Close,Volume\n05.06.2015 07:00:00.000,1,12,1,13,1,11,1,125,8\n",
    ),
    (
        Format::Metatrader,
        "metatrader_cat",
        "UTC",
        "2019.03.11,09:30,1,1,1,1.2,02019.03.11,09:31,1,1,1,1.3,0\n",
    ),
    (
        Format::Metatrader,
        "metatrader_cr",
        "UTC",
        "2019.03.11,09:30,1,1,1,1.2,0\r2019.03.11,09:31,1,1,1,1.3,0\r",
    ),
];

pub(crate) fn seeds() -> Vec<Seed> {
    let tagged = |format, zone, text: &[u8]| [&[choice_byte(format, &FORMATS, zone)], text].concat();
    let mut seeds: Vec<(&str, Vec<u8>)> =
        TABLES.map(|(format, name, zone, text)| (name, tagged(format, zone, text.as_bytes()))).to_vec();
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let metatrader = TABLES[4].3;
    let utf16 = |text: &str| tagged(Format::Metatrader, "UTC", &wide(text));
    seeds.push(("utf16", utf16(&format!("\u{feff}{metatrader}"))));
    seeds.push(("utf16_bare", utf16(metatrader)));
    seeds.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}
