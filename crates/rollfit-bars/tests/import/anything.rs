//! Files of any bytes: an error perhaps, a panic never.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, TimestampSecondArray};
use rollfit_bars::{Format, ReadOptions, read_file};
use tempfile::TempDir;

use crate::parquet::closes;
use crate::support::{gzip, options, with_columns, write, write_parquet, zip};
use crate::text::MARCH_S;

const SEEDS: [&str; 10] = [
    "20170301 000000;1.055220;1.055290;1.055210;1.055290;0\n20170301 000100;1.1;1.1;1.1;1.1;0\n",
    "2026.01.01,17:00,1.346430,1.346480,1.346430,1.346480,0\n2026.01.01,17:04,1,1,1,1,0\n",
    "Timestamp\tOpen\tHigh\tLow\tClose\tVolume\n2024-11-14 14:01:00\t1.05302\t1.05355\t1.05299\t1.05341\t1026\n",
    "Gmt time,Open,High,Low,Close,Volume\r\n01.11.2010 00:00:00.000,1.39724,1.39730,1.39709,1.39730,44799999.2371\r\n",
    "Local time,Open,High,Low,Close,Volume\n01.11.2010 00:00:00.000 GMT+0100,1,1,1,1,1\n",
    "timestamp,open,high,low,close\n2012-02-01 00:00:00+00:00,1.57597,1.57606,1.57576,1.57576\n",
    "\u{feff}date,price\n2018-06-01 00:00,1.326255\n\"2018-06-01 00:01\",\"1.3\"\n",
    "1672531200,16535.97,16535.97,16522.66,16522.66,0.01429883,2\n1672531740,1,1,1,1,0,1\n",
    "Europe/Zurich,Open,High,Low,Close\n2026-08-03T00:00:00+02:00,1,1,1,1\n2026-08-03T00:01:00+02:00,1,1,1,1\n",
    "Price,Close\nTicker,AAPL\nDate,\n2024-01-02,1.5\n2024-01-03,4. close\n",
];

/// Changes a few bytes: noise, repetition, loss.
fn mutate(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..6) {
        let at = random.usize(0..bytes.len().max(1)).min(bytes.len());
        match random.u8(0..5) {
            0 => bytes.insert(at, random.u8(..)),
            1 => bytes.insert(at, b"0123456789,;\t.:-+ \"\n\rZTe"[random.usize(0..24)]),
            2 => bytes.truncate(at.max(1)),
            3 if at < bytes.len() => drop(bytes.remove(at)),
            _ if at < bytes.len() => bytes[at] = random.u8(..),
            _ => (),
        }
    }
}

fn read_every_way(path: &Path, random: &mut fastrand::Rng) {
    let zones = ["", "UTC", "histdata", "America/New_York+07:00"];
    for format in Format::ALL {
        let zone = zones[random.usize(0..zones.len())];
        let skip_lines = if format == Format::Parquet { 0 } else { random.usize(0..3) };
        let lenient = ReadOptions { lenient: random.bool(), skip_lines, ..options(format, "k", zone) };
        let numbered = with_columns(lenient.clone(), "1", "5");
        for options in [lenient, numbered] {
            match read_file(path, &options) {
                Ok(file) => assert!(file.bars.iter().all(|bar| bar.close > 0.0) && !file.bars.is_empty()),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

#[test]
fn no_text_makes_it_panic() {
    let directory = TempDir::new().unwrap();
    let mut random = fastrand::Rng::with_seed(20_170_301);
    for round in 0..4_000 {
        let mut bytes = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
        if round % 4 == 3 {
            bytes = SEEDS[round % SEEDS.len()].encode_utf16().flat_map(u16::to_le_bytes).collect();
        }
        mutate(&mut bytes, &mut random);
        read_every_way(&write(&directory, "any", &bytes), &mut random);
    }
}

#[test]
fn no_packed_or_binary_file_makes_it_panic() {
    let directory = TempDir::new().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let time: ArrayRef = Arc::new(TimestampSecondArray::from(vec![MARCH_S, MARCH_S + 60]));
    let parquet = fs::read(write_parquet(&directory, "x", vec![("ts", time), ("close", closes())])).unwrap();
    let seeds = [gzip(SEEDS[0].as_bytes()), zip(&[("a.csv", SEEDS[1].as_bytes()), ("a.txt", b"x")]), parquet];
    for round in 0..3_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        mutate(&mut bytes, &mut random);
        read_every_way(&write(&directory, "any", &bytes), &mut random);
    }
}
