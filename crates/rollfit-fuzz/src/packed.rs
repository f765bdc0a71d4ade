//! Gzip and zip files to import: as they come, and packed from any text with the checksums that belong to it.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use rollfit_bars::{Format, read_file};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::Seed;
use crate::scratch::in_scratch;
use crate::text::{Choice, TABLES, check_bars, choice_byte};

const FORMATS: [Format; 3] = [Format::Histdata, Format::Metatrader, Format::Csv];

/// Packs bytes.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Packs entries, each with its checksum.
pub(crate) fn zip(entries: &[(&str, &[u8])], deflated: bool) -> Vec<u8> {
    let method = if deflated { CompressionMethod::Deflated } else { CompressionMethod::Stored };
    let options = SimpleFileOptions::default().compression_method(method);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// What is done with the bytes before they are read.
const WAYS: u8 = 6;

pub(crate) fn hold(bytes: &[u8]) {
    let [choice, way, rest @ ..] = bytes else { return };
    let packed = match way % WAYS {
        0 => rest.to_vec(),
        1 => with_checksums(rest),
        2 => [gzip(rest), gzip(rest)].concat(),
        3 => zip(&[("a.csv", rest)], false),
        // The middle becomes the name of an entry.
        4 => {
            let (name, text) = rest.split_at(rest.len().min(usize::from(way / WAYS)));
            zip(&[(&String::from_utf8_lossy(name), text)], true)
        }
        _ => [&gzip(&rest[..rest.len() / 2])[..], &rest[rest.len() / 2..]].concat(),
    };
    let options = Choice::new(*choice, &FORMATS).options();
    in_scratch(|scratch| check_bars(&read_file(&scratch.write("bars", &packed), &options)));
}

/// A zip whose local headers and directory say the checksum that its unpacked bytes have, as far as they unpack.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut archive = bytes.to_vec();
    let Some(directory) = archive.windows(4).rposition(|window| window == b"PK\x01\x02") else {
        return archive;
    };
    let number = |at: usize, length: usize| {
        let field = archive.get(at..at + length)?;
        Some(field.iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)))
    };
    let fields = || {
        let (method, packed_bytes) = (number(directory + 10, 2)?, number(directory + 20, 4)?);
        let local = number(directory + 42, 4)?;
        let start = local
            .checked_add(30 + number(local.checked_add(26)?, 2)? + number(local.checked_add(28)?, 2)?)?;
        Some((method, archive.get(start..start.checked_add(packed_bytes)?)?))
    };
    let Some((method, packed)) = fields() else { return archive };
    let mut unpacked = Vec::new();
    let mut limited = std::io::Read::take(flate2::bufread::DeflateDecoder::new(packed), 1 << 20);
    match method {
        0 => unpacked.extend_from_slice(packed),
        _ => drop(std::io::Read::read_to_end(&mut limited, &mut unpacked)),
    }
    let mut crc = flate2::Crc::new();
    crc.update(&unpacked);
    archive[directory + 16..directory + 20].copy_from_slice(&crc.sum().to_le_bytes());
    archive[directory + 24..directory + 28]
        .copy_from_slice(&u32::try_from(unpacked.len()).unwrap().to_le_bytes());
    archive
}

pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (format, name, zone, text) in TABLES.iter().filter(|(format, ..)| FORMATS.contains(format)) {
        let choice = choice_byte(*format, &FORMATS, zone);
        let text = text.as_bytes();
        let many = zip(&[("__MACOSX/._a.csv", b"x"), ("dir/a.csv", text), ("readme.txt", b"bars\n")], true);
        for (way, kind, bytes) in [
            (0, "gz", gzip(text)),
            (0, "zip", zip(&[("bars.csv", text)], true)),
            (1, "stored", zip(&[("bars.csv", text)], false)),
            (1, "many", many),
            (2, "twice", text.to_vec()),
            (3, "packed", text.to_vec()),
            (4 + 6 * 5, "named", [b"a.csv", text].concat()),
            (5, "cut", text.to_vec()),
        ] {
            seeds.push((format!("{name}_{kind}"), [&[choice, way], &bytes[..]].concat()));
        }
    }
    seeds
}
