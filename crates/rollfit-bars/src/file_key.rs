//! The key of a file: which instrument its bars belong to, when the user does not say.
//!
//! The nearest `key=`, `pair=` or `symbol=` directory of the path decides; else the file name, as the formats' vendors write
//! theirs. Anything less clear, `gbpusd.csv` among it, is an error that asks for the key. What was found is written in lower
//! case; what the user gives is taken as it is or refused. Both follow the one rule of [`check_key`].

use std::path::Path;

use rollfit_job::key::check_key;

use crate::archive::is_standard_input;
use crate::error::ImportError;
use crate::formats::{Format, PARQUET_ENDINGS, TEXT_ENDINGS};

/// The key of a file: as given, or from its directories, its name, or the name of the entry in a zip.
pub(crate) fn file_key(path: &Path, entry: Option<&str>, given: Option<&str>) -> Result<String, ImportError> {
    if let Some(key) = given {
        check_given_key(key)?;
        return Ok(key.to_owned());
    }
    if let Some((directory, key)) = from_directory(path) {
        let key = key.to_ascii_lowercase();
        check_key(&key).map_err(|why| ImportError::Key {
            origin: format!("{}: directory {directory}", path.display()),
            why: format!("{why}; give the key with --key"),
        })?;
        return Ok(key);
    }
    let found = path_name(path).and_then(from_name).or_else(|| entry.and_then(from_name));
    found.ok_or_else(|| ImportError::NoKey { path: path.to_path_buf() })
}

/// The key that a path says, by a directory or by the file's name; none where it says none.
#[must_use]
pub fn key_of_path(path: &Path) -> Option<String> {
    file_key(path, None, None).ok()
}

/// The key that the name of a file is, without its endings, in lower case.
///
/// # Errors
/// When it is no key, or the file has no name.
pub fn key_of_name(path: &Path) -> Result<String, ImportError> {
    let name = name_of_key(path).ok_or_else(|| ImportError::NoKey { path: path.to_path_buf() })?;
    let key = name.to_ascii_lowercase();
    check_key(&key).map_err(|why| ImportError::Key {
        origin: format!("{}: --key-from-name", path.display()),
        why: why.to_string(),
    })?;
    Ok(key)
}

/// The name of a file without its endings, as it is written.
pub(crate) fn name_of_key(path: &Path) -> Option<&str> {
    path_name(path).filter(|_| !is_standard_input(path)).map(stem)
}

/// Checks the key of the option.
pub(crate) fn check_given_key(key: &str) -> Result<(), ImportError> {
    check_key(key).map_err(|why| ImportError::Key { origin: "--key".to_owned(), why: why.to_string() })
}

/// The key that the directories of a path say, valid or not, as it is written there.
pub(crate) fn key_of_directory(path: &Path) -> Option<String> {
    from_directory(path).map(|(_, key)| key)
}

/// The key that the directories of a path or its name say, valid or not, as it is written there.
pub(crate) fn key_in_path(path: &Path) -> Option<String> {
    key_of_directory(path).or_else(|| path_name(path).and_then(symbol_in_name))
}

fn path_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// The name of the nearest directory that says a key, and the key as it is written there.
fn from_directory(path: &Path) -> Option<(String, String)> {
    // Standard input is in no directory.
    if is_standard_input(path) {
        return None;
    }
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    whole.parent()?.ancestors().find_map(|directory| {
        // Of a name that is not UTF-8 enough is left to be refused as a key, rather than passed over for another directory.
        let name = directory.file_name()?.to_string_lossy();
        let (label, value) = name.split_once('=')?;
        ["key", "pair", "symbol"].contains(&label).then(|| (name.to_string(), value.to_owned()))
    })
}

fn from_name(name: &str) -> Option<String> {
    Some(symbol_in_name(name)?.to_ascii_lowercase()).filter(|key| check_key(key).is_ok())
}

fn symbol_in_name(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next()?;
    let words: Vec<&str> = stem(name).split(['_', '-']).collect();
    Format::symbol(&words).map(str::to_owned)
}

/// The name without the endings that say how it is packed.
fn stem(name: &str) -> &str {
    let is_packing =
        |end: &str| TEXT_ENDINGS.iter().chain(&PARQUET_ENDINGS).any(|known| known.eq_ignore_ascii_case(end));
    let shorter = name.rsplit_once('.').filter(|(_, end)| is_packing(end));
    shorter.map_or(name, |(rest, _)| stem(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> Option<String> {
        file_key(Path::new(path), None, None).ok()
    }

    #[test]
    fn vendors_file_names() {
        let cases = [
            ("DAT_ASCII_EURUSD_M1_201703.csv", "eurusd"),
            ("DAT_MT_GBPUSD_M1_202601.csv", "gbpusd"),
            ("DAT_ASCII_EURUSD_M1_202210.zip", "eurusd"),
            ("HISTDATA_COM_ASCII_EURUSD_M1201703.zip", "eurusd"),
            ("EURUSD_1_m_BID_November_2010.csv", "eurusd"),
            ("EURUSD_Candlestick_1_M_BID_01.01.2017-31.12.2017.csv", "eurusd"),
            ("gbpusd-m1-bid-2012.csv", "gbpusd"),
            ("EURUSD_M1.csv.gz", "eurusd"),
            ("EURUSD_M1_0-10k.csv", "eurusd"),
            ("EURUSD_M1_201701020000_202012312359.csv", "eurusd"),
            ("CADJPY1.csv", "cadjpy"),
            ("EURUSDM1.CSV", "eurusd"),
            ("BTCUSDT-1m-2023-01.zip", "btcusdt"),
            ("kraken_BTCUSDC_1m_20230301_20230321.csv.gz", "btcusdc"),
        ];
        for (path, expected) in cases {
            assert_eq!(key(path).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn unclear_file_names_are_no_key() {
        for path in [
            "gbpusd.csv",
            "live_data.csv",
            "prices_1m.csv",
            "data1.csv",
            "2017-03.parquet",
            "M1.csv",
            ".csv",
            "",
        ] {
            assert!(
                matches!(file_key(Path::new(path), None, None), Err(ImportError::NoKey { .. })),
                "{path}"
            );
        }
    }

    #[test]
    fn directories_come_first_and_the_nearest_wins() {
        assert_eq!(key("m1/pair=eurusd/2017-03.parquet").as_deref(), Some("eurusd"));
        assert_eq!(key("symbol=GBPUSD/DAT_ASCII_EURUSD_M1_201703.csv").as_deref(), Some("gbpusd"));
        assert_eq!(key("key=a/pair=b/x.csv").as_deref(), Some("b"));
        assert_eq!(key("pair=EUR-USD/x.csv").as_deref(), Some("eur-usd"));
        assert_eq!(key("symbol=600519.SH/x.csv").as_deref(), Some("600519.sh"));
    }

    #[test]
    fn a_directory_that_names_no_key_is_refused_and_not_passed_over() {
        use std::os::unix::ffi::OsStrExt;
        let hostile = std::ffi::OsStr::from_bytes(b"key=a/pair=\xff/x.csv");
        for path in [hostile, "key=a/pair=eur%2Fusd/x.csv".as_ref(), "key=a/pair=/x.csv".as_ref()] {
            let error = file_key(Path::new(path), None, None).unwrap_err();
            assert!(matches!(error, ImportError::Key { .. }), "{path:?}: {error}");
            assert!(error.to_string().contains("directory pair="), "{error}");
        }
    }

    #[test]
    fn the_name_of_a_file_is_a_key_where_the_user_says_so() {
        let key = |path: &str| key_of_name(Path::new(path)).ok();
        for (path, expected) in [
            ("bars/gbpusd.csv", "gbpusd"),
            ("BRK.B.csv.gz", "brk.b"),
            ("pair=x/EURUSD_M1.parquet", "eurusd_m1"),
            ("btc-usd", "btc-usd"),
        ] {
            assert_eq!(key(path).as_deref(), Some(expected), "{path}");
        }
        for path in ["eur usd.csv", ".csv", "", crate::archive::STANDARD_INPUT] {
            assert_eq!(key(path), None, "{path}");
        }
    }

    #[test]
    fn standard_input_has_no_key_of_its_own() {
        let path = Path::new(crate::archive::STANDARD_INPUT);
        assert!(matches!(file_key(path, None, None), Err(ImportError::NoKey { .. })));
        assert_eq!(file_key(path, None, Some("BTC-USD")).unwrap(), "BTC-USD");
    }

    #[test]
    fn the_entry_of_a_zip_serves_when_the_zip_is_renamed() {
        let found = file_key(Path::new("download.zip"), Some("sub/DAT_MT_EURUSD_M1_2017.csv"), None).unwrap();
        assert_eq!(found, "eurusd");
    }

    #[test]
    fn a_given_key_is_taken_or_refused() {
        for good in ["btc_usd2", "EURUSD", "BTC-USD", "ES.c.0", "600519.SH"] {
            assert_eq!(file_key(Path::new("pair=a/x.csv"), None, Some(good)).unwrap(), good);
        }
        for bad in ["", "eur usd", "eur/usd", "é", "..", ".x", "-x"] {
            let error = file_key(Path::new("x.csv"), None, Some(bad)).unwrap_err();
            assert!(error.to_string().starts_with("--key: `"), "{error}");
        }
    }
}
