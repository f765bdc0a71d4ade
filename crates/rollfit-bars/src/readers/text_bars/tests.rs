//! Blocks of any size on any number of cores give what one block gives, errors included.

use std::fmt::Write;

use super::*;
use crate::formats::{Format, RowRules};
use crate::table::column_options::OtherColumns;
use crate::time::zone::Zone;

/// What came of a file, to be compared.
fn outcome(bytes: &[u8], options: &ReadOptions, cores: usize, block_bytes: usize) -> String {
    let RowRules::Text(rules) = &options.format.rules().rows else { panic!("{} is no text", options.format) };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.csv");
    std::fs::write(&path, bytes).unwrap();
    match read_blocks(&path, options, rules, &Cores::new(cores), block_bytes) {
        Err(error) => error.to_string().replace(&path.display().to_string(), "x.csv"),
        Ok(collected) => collected.into_iter().map(shown).collect(),
    }
}

fn shown(mut collected: Collected) -> String {
    let (key, symbol, columns) = (collected.key.clone(), collected.symbol.clone(), collected.take_columns());
    let (bars, lines, report) = collected.into_parts();
    let lines: Vec<u64> = (0..bars.len()).map(|index| lines.line(index)).collect();
    format!("{key:?} {symbol:?} {report:?} {bars:?} {lines:?} {columns:?}\n")
}

fn options(format: Format, lenient: bool) -> ReadOptions {
    ReadOptions {
        lenient,
        zone: Some("America/New_York".parse::<Zone>().unwrap()),
        ..ReadOptions::new(format)
    }
}

/// A header and rows, a few of them faulty.
fn file(random: &mut fastrand::Rng, format: Format) -> Vec<u8> {
    let ends = ["\n", "\r\n", "\r"];
    let end = ends[random.usize(0..3)];
    let mut text = String::new();
    if random.bool() {
        text.push('\u{feff}');
    }
    if format == Format::Csv {
        write!(text, "time,open,high,low,close,volume,symbol{end}").unwrap();
    }
    let (faults, epochs, mut minute) = (random.u32(0..30), random.bool(), 0);
    for _ in 0..random.u32(0..200) {
        minute += random.u32(0..3);
        let fault = if random.u32(0..1_000) < faults { random.u32(0..14) } else { 99 };
        let minute = if fault == 0 { minute.saturating_sub(5) } else { minute };
        let close = if fault == 1 { "x".to_owned() } else { format!("1.{:03}", minute % 50) };
        let (hour, left) = (minute / 60 % 24, minute % 60);
        let time = match (format, epochs) {
            (Format::Csv, true) if fault == 2 => {
                format!("{}", 1_488_326_400_000_u64 + u64::from(minute) * 60_000)
            }
            (Format::Csv, true) => format!("{}", 1_488_326_400 + u64::from(minute) * 60),
            (Format::Csv, false) if fault == 2 => "2017-03-01".to_owned(),
            (Format::Csv, false) => format!("2017-03-01 {hour:02}:{left:02}"),
            _ => format!("20170301 {hour:02}{left:02}00"),
        };
        let volume = ["7", "", "8,", "007"][if fault < 14 { random.usize(0..4) } else { 0 }];
        let symbol = if fault == 3 { "GBPUSD" } else { "EURUSD" };
        let row = match format {
            Format::Csv => format!("{time},1.0,2.0,1.0,{close},{volume},{symbol}"),
            _ => format!("{time};1.0;2.0;1.0;{close};0"),
        };
        let row = match fault {
            4 => row[..random.usize(0..row.len())].to_owned(),
            5 => format!("\"{row}"),
            6 => format!("{row}{end}{row}"),
            7 => "  ".to_owned(),
            8 => "x".repeat(70_000),
            _ => row,
        };
        let end = if fault == 9 { ends[random.usize(0..3)] } else { end };
        write!(text, "{row}{end}").unwrap();
    }
    let mut bytes = text.into_bytes();
    if random.u8(0..4) == 0 {
        let at = random.usize(0..bytes.len().max(1)).min(bytes.len());
        bytes.insert(at, random.u8(..));
    }
    if random.u8(0..3) == 0 {
        bytes.truncate(random.usize(0..=bytes.len()));
    }
    bytes
}

/// Rows of several keys, by key or by time, with times of day or without, a few of them faulty.
fn file_of_keys(random: &mut fastrand::Rng) -> Vec<u8> {
    const KEYS: [&str; 4] = ["K", "K1", "K12", "A"];
    let (is_behind, is_by_key, is_daily) = (random.bool(), random.bool(), random.bool());
    let (keys, times) = (random.usize(1..5), random.usize(0..28));
    let mut rows: Vec<(usize, usize)> =
        (1..=times).flat_map(|time| (0..keys).map(move |key| (key, time))).collect();
    if is_by_key {
        rows.sort_unstable();
    }
    let mut text = if is_behind { "time,name,close,symbol\n" } else { "symbol,time,name,close\n" }.to_owned();
    let faults = random.u32(0..60);
    for (key, time) in rows {
        let fault = if random.u32(0..1_000) < faults { random.u32(0..10) } else { 99 };
        let day = if fault == 0 { time.max(2) - 1 } else { time };
        let mut time = format!("2017-03-{day:02}{}", if is_daily { "" } else { " 09:30" });
        let mut symbol = KEYS[key].to_owned();
        let mut name = if key == 1 { "Euro" } else { "Dollar" };
        let mut close = format!("1.{day}{key}");
        match fault {
            1 => symbol = KEYS[random.usize(0..4)].to_owned(),
            2 => symbol.make_ascii_lowercase(),
            3 => symbol = "EUR/USD".to_owned(),
            4 => name = "Yen",
            5 => close = "x".to_owned(),
            6 => time = format!("{}", 1_488_326_400 + 86_400 * day),
            _ => {}
        }
        let row = if is_behind {
            format!("{time},{name},{close},{symbol}\n")
        } else {
            format!("{symbol},{time},{name},{close}\n")
        };
        match fault {
            7 => writeln!(text, "{}", &row[..random.usize(0..row.len())]).unwrap(),
            8 => text.push_str(&row.repeat(2)),
            9 if random.u8(0..4) == 0 => text.push_str(&"x".repeat(70_000)),
            _ => text.push_str(&row),
        }
    }
    if random.bool() {
        text.truncate(random.usize(text.len() / 2..=text.len()));
    }
    text.into_bytes()
}

/// Reads a file in blocks of several sizes on several cores. Returns whether it is read.
fn is_read_alike(random: &mut fastrand::Rng, bytes: &[u8], options: &ReadOptions) -> bool {
    let expected = outcome(bytes, options, 1, 1 << 24);
    for _ in 0..3 {
        let block_bytes = [1, 2, 3, random.usize(1..200), random.usize(1..5_000)][random.usize(0..5)];
        let cores = random.usize(1..4);
        let found = outcome(bytes, options, cores, block_bytes);
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(found, expected, "{block_bytes} bytes, {cores} cores, {options:?}: {text}");
    }
    expected.contains("rows_kept")
}

#[test]
fn blocks_of_any_size_on_any_number_of_cores_give_the_same() {
    let mut random = fastrand::Rng::with_seed(20_170_301);
    let mut read = 0;
    for _ in 0..150 {
        let format = [Format::Csv, Format::Histdata][random.usize(0..2)];
        let (bytes, mut options) = (file(&mut random, format), options(format, random.bool()));
        if random.bool() {
            options.columns.others = OtherColumns::All;
        }
        if format == Format::Csv && random.u8(0..3) == 0 {
            options.key_column = Some("symbol".to_owned());
        }
        read += u32::from(is_read_alike(&mut random, &bytes, &options));
    }
    assert!((31..120).contains(&read), "{read} read");
}

#[test]
fn blocks_of_many_keys_give_the_same() {
    let mut random = fastrand::Rng::with_seed(20_180_301);
    let mut read = 0;
    for _ in 0..400 {
        let (bytes, mut options) = (file_of_keys(&mut random), options(Format::Csv, random.bool()));
        options.key_column = Some("symbol".to_owned());
        read += u32::from(is_read_alike(&mut random, &bytes, &options));
    }
    assert!((100..300).contains(&read), "{read} read");
}

/// A block says of each key what only the rows before it refuse.
#[test]
fn a_key_goes_on_where_the_block_before_left_it() {
    let options = ReadOptions { key_column: Some("symbol".to_owned()), ..options(Format::Csv, false) };
    let header = "symbol,date,name,close\n";
    let day = |key: &str, day: u32, name: &str| format!("{key},2017-03-{day:02},{name},1.5\n");
    let rows: String = (1..=20).map(|at| day("A", at, "Euro") + &day("B", at, "Yen")).collect();
    let file = |more: &[String]| format!("{header}{rows}{}", more.concat());
    // The first row of a block, of which only those before say that it repeats the last day too often, or has another name.
    let repeats =
        file(&[day("A", 20, "Euro"), day("B", 20, "Yen"), day("A", 20, "Euro"), day("A", 20, "Euro")]);
    let other_name = file(&[day("A", 21, "Euro"), day("B", 21, "Euro")]);
    let case = file(&["b,2017-03-21,Yen,1.5\n".to_owned(), day("A", 19, "Euro")]);
    let back = file(&[day("B", 2, "Yen").replace("1.5", "1.7"), "C/D,2017-03-21,Yen,x\n".to_owned()]);
    for (text, words) in [
        (&repeats, ["x.csv:45", "times of day"]),
        (&other_name, ["x.csv:43", "x.csv:3"]),
        (&case, ["x.csv:42", "case"]),
        (&back, ["x.csv:42", "1.7 here"]),
    ] {
        for (cores, block_bytes) in [(1, 1 << 24), (1, 20), (2, 20), (3, 100), (3, 500)] {
            let message = outcome(text.as_bytes(), &options, cores, block_bytes);
            assert!(words.iter().all(|word| message.contains(word)), "{block_bytes}: {message}");
        }
    }
    let good = outcome(file(&[day("A", 20, "Euro")]).as_bytes(), &options, 3, 20);
    assert!(good.contains("Some(\"A\")") && good.contains("repeats_dropped: 1"), "{good}");
}

#[test]
fn the_first_error_of_the_file_is_told_whichever_block_is_read_first() {
    let good = |minute: u32| format!("20170301 {:02}{:02}00;1;1;1;1.5;0\n", minute / 60, minute % 60);
    let mut rows: Vec<String> = (0..600).map(good).collect();
    rows[300] = "20170301 000000;1;1;1;1.7;0\n".to_owned();
    rows[301] = "20170301 050100;1;1;1;x;0\n".to_owned();
    rows[599] = "y".repeat(70_000);
    for cores in 1..4 {
        let message = outcome(rows.concat().as_bytes(), &options(Format::Histdata, false), cores, 100);
        assert!(message.contains("x.csv:301") && message.contains("1.7"), "{message}");
        let lenient = outcome(rows.concat().as_bytes(), &options(Format::Histdata, true), cores, 100);
        assert!(lenient.contains("line 600 does not end"), "{lenient}");
        let whole = outcome(rows[..599].concat().as_bytes(), &options(Format::Histdata, true), cores, 100);
        assert!(whole.contains("rows_read: 599") && whole.contains("Unparsable: 1"), "{whole}");
    }
}

#[test]
fn lines_are_those_that_an_editor_counts() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..3_000 {
        let bytes: Vec<u8> =
            (0..random.usize(0..40)).map(|_| b"ab \n\r\n\r\xc3"[random.usize(0..8)]).collect();
        let (mut expected, mut number, mut at) = (Vec::new(), 0, 0);
        while at < bytes.len() {
            let len = bytes[at..].iter().take_while(|byte| !b"\r\n".contains(byte)).count();
            number += 1;
            if !bytes[at..at + len].trim_ascii().is_empty() {
                expected.push((number, bytes[at..at + len].to_vec(), at + len < bytes.len()));
            }
            at += len + if bytes[at + len..].starts_with(b"\r\n") { 2 } else { 1 };
        }
        let path = Path::new("x");
        let reader = Box::new(std::io::Cursor::new(bytes.clone()));
        let mut blocks = TextBlocks::new(path, reader, random.usize(1..12));
        let mut found = Vec::new();
        while let Some(block) = blocks.next().unwrap() {
            found.extend(block.lines().map(|line| (line.number, line.bytes.to_vec(), line.has_end)));
        }
        assert_eq!(found, expected, "{bytes:?}");
    }
}
