//! What makes the close of a row certain although the row has not the fields of a row.
//!
//! A comma inside a number and a number that is missing both move the numbers behind them. Neither did where open, high,
//! low and close are side by side and agree: the low is the lowest, and the high the highest.

use crate::rows::price::price;

/// The names of four columns that check one another.
const PRICE_NAMES: [&str; 4] = ["open", "high", "low", "close"];

/// The index of the open in a header where open, high, low and close are side by side.
pub(crate) fn open_column(names: &[String], close: usize) -> Option<usize> {
    let open = close.checked_sub(PRICE_NAMES.len() - 1)?;
    names[open..=close].iter().eq(PRICE_NAMES.iter()).then_some(open)
}

/// Whether these are the open, high, low and close of one bar.
pub(crate) fn prices_agree(prices: &[&str]) -> bool {
    let &[open, high, low, close] = prices else { return false };
    match (price(open), price(high), price(low), price(close)) {
        (Ok(open), Ok(high), Ok(low), Ok(close)) => low <= open.min(close) && open.max(close) <= high,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_columns_side_by_side_check_one_another() {
        let names = |header: &str| header.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(open_column(&names("time,open,high,low,close,volume"), 4), Some(1));
        assert_eq!(open_column(&names("time,low,high,open,close,volume"), 4), None);
        assert_eq!(open_column(&names("time,low,close"), 2), None);
    }

    #[test]
    fn prices_that_a_comma_moved_do_not_agree() {
        assert!(prices_agree(&["1.2", "1.3", "1.1", "1.15"]) && prices_agree(&["1", "1", "1", "1"]));
        for moved in [
            ["1.2", "1.1", "1.15", "7"],
            ["1", "000.5", "999.9", "998.5"],
            ["1.2", "1.3", "1.15", "1.12"],
            ["1.2", "1.3", "1.1", ""],
        ] {
            assert!(!prices_agree(&moved), "{moved:?}");
        }
    }
}
