//! The key of a file: which instrument its bars belong to, when the user does not say.
//!
//! The nearest `key=`, `pair=` or `symbol=` directory of the path decides; else the file name, as the formats' vendors write
//! theirs. Anything less clear, `gbpusd.csv` among it, is an error that asks for the key. What was found is written in lower
//! case; what the user gives is taken as it is or refused.

use std::path::Path;

use crate::error::ImportError;
use crate::formats::Format;

/// Whether table names can be made from `key`.
fn is_valid(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// The key of a file: as given, or from its directories, its name, or the name of the entry in a zip.
pub(crate) fn file_key(path: &Path, entry: Option<&str>, given: Option<&str>) -> Result<String, ImportError> {
    if let Some(key) = given {
        return checked(key.to_owned(), "--key");
    }
    if let Some((directory, key)) = from_directory(path) {
        return checked(key, &format!("directory {directory}"));
    }
    let name = path.file_name().and_then(|name| name.to_str());
    let found = name.and_then(from_name).or_else(|| entry.and_then(from_name));
    found.ok_or_else(|| ImportError::NoKey { path: path.to_path_buf() })
}

fn checked(key: String, origin: &str) -> Result<String, ImportError> {
    if is_valid(&key) {
        return Ok(key);
    }
    let lower = key.to_lowercase();
    let advice = if is_valid(&lower) { format!("use {lower}") } else { "give another with --key".to_owned() };
    Err(ImportError::Key { key, origin: origin.to_owned(), advice })
}

fn from_directory(path: &Path) -> Option<(String, String)> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    whole.parent()?.ancestors().find_map(|directory| {
        let name = directory.file_name()?.to_str()?;
        let (label, value) = name.split_once('=')?;
        ["key", "pair", "symbol"].contains(&label).then(|| (name.to_owned(), value.to_lowercase()))
    })
}

fn from_name(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next()?;
    let words: Vec<&str> = stem(name).split(['_', '-']).collect();
    Some(Format::symbol(&words)?.to_ascii_lowercase()).filter(|key| is_valid(key))
}

/// The name without the endings that say how it is packed.
fn stem(name: &str) -> &str {
    let endings = [".gz", ".zip", ".csv", ".tsv", ".txt", ".parquet"];
    let shorter = name
        .rsplit_once('.')
        .filter(|(_, end)| endings.iter().any(|ending| ending[1..].eq_ignore_ascii_case(end)));
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
        assert!(matches!(
            file_key(Path::new("pair=eur-usd/x.csv"), None, None),
            Err(ImportError::Key { .. })
        ));
    }

    #[test]
    fn the_entry_of_a_zip_serves_when_the_zip_is_renamed() {
        let found = file_key(Path::new("download.zip"), Some("sub/DAT_MT_EURUSD_M1_2017.csv"), None).unwrap();
        assert_eq!(found, "eurusd");
    }

    #[test]
    fn a_given_key_is_taken_or_refused() {
        assert_eq!(file_key(Path::new("pair=a/x.csv"), None, Some("btc_usd2")).unwrap(), "btc_usd2");
        for bad in ["", "EURUSD", "eur usd", "eur/usd", "é"] {
            assert!(
                matches!(file_key(Path::new("x.csv"), None, Some(bad)), Err(ImportError::Key { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_key_in_capitals_gets_its_lower_case_as_advice() {
        let message = |key| file_key(Path::new("x.csv"), None, Some(key)).unwrap_err().to_string();
        assert!(message("EURUSD").ends_with("and _; use eurusd"));
        assert!(message("eur/usd").ends_with("--key"));
    }
}
