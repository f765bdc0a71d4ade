//! Parquet files to import.

use rollfit_bars::{Format, ReadOptions, read_file};

use crate::Seed;
use crate::parquet_file::{assembled, kinds, taken_apart};
use crate::scratch::in_scratch;
use crate::text::{Choice, bits, check_bars, choice_byte};

const FORMATS: [Format; 1] = [Format::Parquet];
/// Beyond the bits that [`Choice`] reads of its byte.
const NAMED: u8 = 0x80;

pub(crate) fn hold(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let mut options = Choice::new(choice & !NAMED, &FORMATS).options();
    options.columns.time = (choice & NAMED != 0).then(|| "time".to_owned());
    options.columns.close = (choice & NAMED != 0).then(|| "close".to_owned());
    in_scratch(|scratch| {
        let path = scratch.write("bars.parquet", &assembled(rest, false));
        let read = read_file(&path, &options);
        check_bars(&read);
        let Ok(file) = read.as_ref().map(bits) else { return };
        let lenient = read_file(&path, &ReadOptions { lenient: true, ..options }).unwrap();
        assert_eq!(bits(&lenient), file, "what is read strictly is read leniently");
    });
}

pub(crate) fn seeds() -> Vec<Seed> {
    let seed =
        |(name, file): (String, Vec<u8>), choice: u8| (name, [&[choice], &taken_apart(&file)[..]].concat());
    let utc = choice_byte(Format::Parquet, &FORMATS, "UTC");
    kinds()
        .into_iter()
        .enumerate()
        .map(|(at, file)| seed(file, utc | if at % 2 == 0 { NAMED } else { 0 }))
        .collect()
}
