//! Numbers that are prices.

use crate::error::RowFault;

/// A close that is a price.
pub(crate) fn price(text: &str) -> Result<f64, RowFault> {
    let text = text.trim_ascii();
    if has_leading_zero(text) {
        return Err(RowFault::LeadingZero);
    }
    checked_price(text.parse().map_err(|_| RowFault::Close)?)
}

/// Whether a number begins with a zero that another digit follows.
pub(crate) fn has_leading_zero(number: &str) -> bool {
    matches!(number.trim_ascii().as_bytes(), [b'0', b'0'..=b'9', ..])
}

/// A number that is a price.
pub(crate) fn checked_price(close: f64) -> Result<f64, RowFault> {
    if close.is_finite() && close > 0.0 { Ok(close) } else { Err(RowFault::Price { close }) }
}
