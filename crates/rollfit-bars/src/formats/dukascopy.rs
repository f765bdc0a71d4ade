//! Dukascopy: `Gmt time,Open,High,Low,Close,Volume`, day first, or `Etc/UTC,Open,High,Low,Close,Volume` with times in ISO 8601. The
//! header or the times state the zone, and must agree.
//!
//! Files are called `EURUSD_1_m_BID_...`, `EURUSD_Candlestick_1_M_BID_...` or `gbpusd-m1-bid-...`.

use super::file_name::before_interval;
use super::first_line::{begins_like, begins_with_word, has_columns};
use super::rules::{ColumnRules, FormatRules, RowRules, RowShape, TextRules};
use crate::table::delimiter;
use crate::time::zone::Zone;

pub(super) static RULES: FormatRules = FormatRules {
    name: "dukascopy",
    looks_like: |line| {
        begins_like(line, "99.99.9999 ")
            || begins_with_word(line, "gmt time")
            || begins_with_word(line, "local time")
            || begins_with_a_zone(line)
    },
    rows: RowRules::Text(TextRules {
        delimiters: delimiter::USUAL,
        columns: ColumnRules::Known(&SHAPES),
        epochs: false,
        zone_in_header: true,
    }),
    zone: None,
    ticks: |line| {
        has_bid_and_ask(line).then_some(
            "is a Dukascopy tick file, not one-minute bars; export candlesticks of one minute instead",
        )
    },
    symbol: before_interval,
};

/// A volume follows the prices, or nothing.
static SHAPES: [RowShape; 1] = [RowShape { date: None, time: 0, close: 4, fields: 5..=6 }];

/// `Europe/Zurich,Open,High,Low,Close,Volume`.
fn begins_with_a_zone(line: &str) -> bool {
    has_columns(line, &["open", "close"]) && Zone::from_iana(first_column(line)).is_some()
}

/// `Gmt time,Ask,Bid,AskVolume,BidVolume`, under any name of the time that this vendor uses.
fn has_bid_and_ask(line: &str) -> bool {
    let first = first_column(line).to_lowercase();
    let has_time =
        first.ends_with(" time") || first.starts_with("time (") || Zone::from_iana(&first).is_some();
    let has_prices = [["ask", "bid"], ["askprice", "bidprice"], ["ask price", "bid price"]];
    has_time && has_prices.iter().any(|names| has_columns(line, names)) && !has_columns(line, &["close"])
}

fn first_column(line: &str) -> &str {
    line.split([',', ';', '\t', '|']).next().unwrap_or(line).trim().trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::read;
    use crate::error::ImportError;

    const MINUTE_US: i64 = 60_000_000;
    /// 2026-08-03 00:00.
    const AUGUST_US: i64 = 1_785_715_200_000_000;

    /// The first instant of a file with this header and these times.
    fn first_us(zone: &str, times: &[&str]) -> Result<i64, ImportError> {
        let rows = times.iter().enumerate().map(|(row, time)| format!("{time},1.1,1.1,1.1,1.{row},7\n"));
        let text =
            format!("{zone},Open,High,Low,Close,Volume\n{}", rows.collect::<String>().replace("1.0", "1.5"));
        let file = read(Format::Dukascopy, "EURUSD_1_m_BID_2026.csv", &text)?;
        assert_eq!(file.bars.len(), times.len());
        Ok(file.bars[0].instant_us)
    }

    #[test]
    fn the_header_names_the_zone() {
        let iso = |offset: &str| [0, 1].map(|minute| format!("2026-08-03T00:0{minute}:00{offset}"));
        for (zone, offset, hours) in [
            ("Etc/UTC", "+00:00", 0),
            ("Europe/Zurich", "+02:00", 2),
            ("America/New_York", "-04:00", -4),
            ("EET", "+03:00", 3),
            ("UTC", "Z", 0),
            ("Gmt time", "+00:00", 0),
            ("Local time", "+05:30", 0),
        ] {
            let expected = AUGUST_US - if zone == "Local time" { 330 } else { hours * 60 } * MINUTE_US;
            let times = iso(offset);
            assert_eq!(first_us(zone, &[&times[0], &times[1]]).unwrap(), expected, "{zone}");
        }
        // Without offsets, the header alone says the zone.
        assert_eq!(first_us("EET", &["03.08.2026 00:00:00"]).unwrap(), AUGUST_US - 180 * MINUTE_US);
        assert_eq!(first_us("Europe/Zurich", &["2026-08-03T00:00:00"]).unwrap(), AUGUST_US - 120 * MINUTE_US);
    }

    #[test]
    fn times_that_deny_the_header_are_refused() {
        for (zone, time, says) in [
            ("Europe/Zurich", "2026-08-03T00:00:00+01:00", "Europe/Zurich is at +02:00"),
            ("Etc/UTC", "2026-08-03T00:00:00+02:00", "Etc/UTC is at +00:00"),
            ("Gmt time", "03.08.2026 00:00:00.000 GMT+0100", "UTC is at +00:00"),
        ] {
            let message = first_us(zone, &[time]).unwrap_err().to_string();
            assert!(message.contains(":2: ") && message.contains(says), "{message}");
        }
        let unknown = first_us("Mars", &["2026-08-03T00:00:00+02:00"]).unwrap_err().to_string();
        assert!(unknown.contains("no time column"), "{unknown}");
    }

    #[test]
    fn ticks_are_named_as_such() {
        let row = "01.11.2010 00:00:00.123,1.4,1.3,1,1\n";
        for header in [
            "Gmt time,Ask,Bid,AskVolume,BidVolume",
            "Etc/UTC,Ask,Bid,Ask Volume,Bid Volume",
            "Time (EET),AskPrice,BidPrice,AskVolume,BidVolume",
        ] {
            for format in [Format::Dukascopy, Format::Csv] {
                let text = format!("{header}\n{row}");
                let message = read(format, "EURUSD_Ticks.csv", &text).unwrap_err().to_string();
                assert!(message.contains("is a Dukascopy tick file, not one-minute bars"), "{message}");
            }
        }
        // Quotes of a minute are bars.
        let quotes = "ts_utc,bid,ask\n2010-11-01 00:00,1.3,1.4\n";
        assert!(read(Format::Csv, "EURUSD_M1.csv", quotes).is_ok());
    }
}
