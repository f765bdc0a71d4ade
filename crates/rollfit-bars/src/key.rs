//! Which key the bars of a file belong to, when the user does not say.
//!
//! The nearest `key=`, `pair=` or `symbol=` directory of the path decides; else the vendor's file name does:
//!
//! | vendor | file name |
//! |---|---|
//! | HistData | `DAT_ASCII_EURUSD_M1_201703.csv`, `DAT_MT_...`, `HISTDATA_COM_ASCII_EURUSD_M1201703.zip` |
//! | Dukascopy | `EURUSD_1_m_BID_...`, `EURUSD_Candlestick_1_M_BID_...`, `gbpusd-m1-bid-...` |
//! | MetaTrader | `EURUSD_M1.csv`, `EURUSD_M1_...`, `CADJPY1.csv`, `EURUSDM1.csv` |
//! | exchanges | `BTCUSDT-1m-2023-01.zip`, `kraken_BTCUSDC_1m_...` |
//!
//! Anything less clear, `gbpusd.csv` among it, is an error that asks for the key. What was found is written
//! in lower case; what the user gives is taken as it is or refused.

use std::path::Path;

use crate::error::ImportError;

/// Whether table names can be made from `key`.
pub(crate) fn is_valid(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// The key of a file: as given, or from its directories, its name, or the name of the entry in a zip.
pub(crate) fn of(path: &Path, entry: Option<&str>, given: Option<&str>) -> Result<String, ImportError> {
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
    if is_valid(&key) { Ok(key) } else { Err(ImportError::Key { key, origin: origin.to_owned() }) }
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
    let tokens: Vec<&str> = stem(name).split(['_', '-']).collect();
    let symbol =
        from_histdata(&tokens).or_else(|| before_interval(&tokens)).or_else(|| from_metatrader(&tokens))?;
    Some(symbol.to_ascii_lowercase()).filter(|key| is_valid(key))
}

/// The name without the endings that say how it is packed.
fn stem(name: &str) -> &str {
    let endings = [".gz", ".zip", ".csv", ".tsv", ".txt", ".parquet"];
    let shorter = name
        .rsplit_once('.')
        .filter(|(_, end)| endings.iter().any(|ending| ending[1..].eq_ignore_ascii_case(end)));
    shorter.map_or(name, |(rest, _)| stem(rest))
}

fn from_histdata<'a>(tokens: &[&'a str]) -> Option<&'a str> {
    let symbol = match tokens {
        ["DAT", _, symbol, _, ..] | ["HISTDATA", "COM", _, symbol, _, ..] => symbol,
        _ => return None,
    };
    is_symbol(symbol).then_some(*symbol)
}

/// The symbol that stands before the first interval, as first or second word.
fn before_interval<'a>(tokens: &[&'a str]) -> Option<&'a str> {
    let at = (1..tokens.len().min(3)).find(|at| starts_with_interval(&tokens[*at..]))?;
    let symbol = tokens[at - 1];
    let quoted =
        tokens[at..].iter().any(|token| ["bid", "ask"].contains(&token.to_ascii_lowercase().as_str()));
    // A word in small letters may be any word, unless the file says that it holds quotes.
    let written = quoted || !symbol.bytes().any(|byte| byte.is_ascii_lowercase());
    (is_symbol(symbol) && written).then_some(symbol)
}

fn starts_with_interval(tokens: &[&str]) -> bool {
    match tokens {
        ["Candlestick", ..] => true,
        [count, unit, ..] if is_count(count) && ["s", "m", "h", "d", "M"].contains(unit) => true,
        [token, ..] => is_interval(token),
        [] => false,
    }
}

/// `M1` and `H4`, or `1m`, `5min` and `1h`.
fn is_interval(token: &str) -> bool {
    let lower = token.to_ascii_lowercase();
    let named_first = lower.strip_prefix(['s', 'm', 'h', 'd']).is_some_and(is_count);
    let digits = lower.trim_start_matches(|c: char| c.is_ascii_digit());
    let named_last = digits.len() < lower.len() && ["s", "m", "min", "h", "d"].contains(&digits);
    named_first || named_last
}

fn is_count(token: &str) -> bool {
    (1..=4).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_digit())
}

/// `CADJPY1` or `EURUSDM1`: six letters and the minutes of a bar.
fn from_metatrader<'a>(tokens: &[&'a str]) -> Option<&'a str> {
    let [token] = tokens else { return None };
    let (symbol, rest) = token.split_at_checked(6)?;
    let minutes = rest.strip_prefix('M').unwrap_or(rest);
    let periods = ["1", "5", "15", "30", "60", "240", "1440"];
    let is_pair = symbol.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_pair && periods.contains(&minutes)).then_some(symbol)
}

fn is_symbol(token: &str) -> bool {
    token.len() >= 5
        && token.bytes().all(|b| b.is_ascii_alphanumeric())
        && token.bytes().any(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> Option<String> {
        of(Path::new(path), None, None).ok()
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
            assert!(matches!(of(Path::new(path), None, None), Err(ImportError::NoKey { .. })), "{path}");
        }
    }

    #[test]
    fn directories_come_first_and_the_nearest_wins() {
        assert_eq!(key("m1/pair=eurusd/2017-03.parquet").as_deref(), Some("eurusd"));
        assert_eq!(key("symbol=GBPUSD/DAT_ASCII_EURUSD_M1_201703.csv").as_deref(), Some("gbpusd"));
        assert_eq!(key("key=a/pair=b/x.csv").as_deref(), Some("b"));
        assert!(matches!(of(Path::new("pair=eur-usd/x.csv"), None, None), Err(ImportError::Key { .. })));
    }

    #[test]
    fn the_entry_of_a_zip_serves_when_the_zip_is_renamed() {
        let found = of(Path::new("download.zip"), Some("sub/DAT_MT_EURUSD_M1_2017.csv"), None).unwrap();
        assert_eq!(found, "eurusd");
    }

    #[test]
    fn a_given_key_is_taken_or_refused() {
        assert_eq!(of(Path::new("pair=a/x.csv"), None, Some("btc_usd2")).unwrap(), "btc_usd2");
        for bad in ["", "EURUSD", "eur usd", "eur/usd", "é"] {
            assert!(matches!(of(Path::new("x.csv"), None, Some(bad)), Err(ImportError::Key { .. })), "{bad}");
        }
    }
}
