//! HistData "Generic ASCII": `20170301 000000;1.05522;1.05529;1.05522;1.05529;0`, always six fields and no header.
//!
//! Files are called `DAT_ASCII_EURUSD_M1_201703.csv` or `HISTDATA_COM_ASCII_EURUSD_M1201703.zip`, and `DAT_MT_...` where they
//! hold what HistData exports for MetaTrader.

use super::file_name::is_symbol;
use super::first_line::begins_like;
use super::rules::{ColumnRules, FormatRules, RowRules, RowShape, TextRules};

pub(super) static RULES: FormatRules = FormatRules {
    name: "histdata",
    looks_like: |line| begins_like(line, "99999999 999999;"),
    rows: RowRules::Text(TextRules {
        delimiters: b";",
        columns: ColumnRules::Fixed(RowShape { date: None, time: 0, close: 4, fields: 6..=6 }),
        epochs: false,
        zone_in_header: false,
    }),
    zone: Some("histdata"),
    ticks: |line| {
        is_tick(line).then_some(
            "is a HistData tick file, not one-minute bars; download the M1 file of the month instead \
             (DAT_ASCII_..._M1_...)",
        )
    },
    symbol,
};

/// `20170301 000000123,1.05522,1.05529,0`, or `20170301 000000;1.05522;0` as for NinjaTrader.
fn is_tick(line: &str) -> bool {
    begins_like(line, "99999999 999999999,")
        || begins_like(line, "99999999 999999;") && line.split(';').count() == 3
}

fn symbol<'a>(words: &[&'a str]) -> Option<&'a str> {
    let symbol = match words {
        ["DAT", _, symbol, _, ..] | ["HISTDATA", "COM", _, symbol, _, ..] => symbol,
        _ => return None,
    };
    is_symbol(symbol).then_some(*symbol)
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::read;

    #[test]
    fn tick_files_are_named_as_such_in_every_format() {
        let ticks = [
            ("DAT_ASCII_EURUSD_T_201703.csv", "20170301 000000123,1.05522,1.05529,0\n"),
            ("DAT_NT_EURUSD_T_LAST_201703.csv", "20170301 000000;1.05522;0\n"),
        ];
        for (name, text) in ticks {
            for format in [Format::Histdata, Format::Csv, Format::Metatrader, Format::Dukascopy] {
                let message = read(format, name, text).unwrap_err().to_string();
                assert!(message.contains("is a HistData tick file, not one-minute bars"), "{message}");
                assert!(message.contains("M1") && !message.contains("--format"), "{message}");
            }
        }
    }

    #[test]
    fn rows_are_read_and_the_name_says_the_key() {
        let row = "20170301 000100;1.055300;1.055310;1.055300;1.055320;0\n";
        let file = read(Format::Histdata, "DAT_ASCII_EURUSD_M1_201703.csv", row).unwrap();
        let [bar] = file.bars.as_slice() else { panic!("{:?}", file.bars) };
        // 2017-03-01T05:01Z, from New York's clock.
        assert_eq!(
            (file.key.as_str(), bar.instant_us, bar.close),
            ("eurusd", 1_488_344_460_000_000, 1.05532)
        );
        let message = read(Format::Csv, "DAT_ASCII_EURUSD_M1_201703.csv", row).unwrap_err().to_string();
        assert!(message.contains("--format histdata"), "{message}");
    }
}
