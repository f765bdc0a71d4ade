//! The two series derived from one-minute closes, in doubles and in one fixed order of operations.
//!
//! The order is part of the definition: a sum rearranged is another last bit in every feature downstream.

/// How many rows the backward return of an import looks back, and how many first rows of a key have none.
pub const RETURN_ROWS: usize = 15;

/// The close on a scale where `base` is 100.
#[must_use]
pub fn rate_index(close: f64, base: f64) -> f64 {
    (100.0 * close) / base
}

/// For every row but the first `rows`: the sum of the differences of the `rows` rows before to this row, nearest first,
/// relative to this row. Shorter than `rate_index` by `rows`, or empty.
#[must_use]
pub fn backward_returns(rate_index: &[f64], rows: usize) -> Vec<f64> {
    rate_index.windows(rows + 1).map(backward_return).collect()
}

/// The return of the last row of `window` over all others.
fn backward_return(window: &[f64]) -> f64 {
    let Some((now, before)) = window.split_last() else { return f64::NAN };
    let sum = before.iter().rev().fold(0.0, |sum, index| sum + (index - now));
    sum / now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_multiplies_before_it_divides() {
        assert_eq!(rate_index(1.05529, 1.05529), 100.0);
        let (close, base): (f64, f64) = (1.0552, 1.0531);
        assert_eq!(rate_index(close, base).to_bits(), (100.0 * close / base).to_bits());
    }

    #[test]
    fn returns_follow_the_definition_bit_for_bit() {
        let index: Vec<f64> = (0..40).map(|t| 100.0 + f64::from(t * t % 17) * 0.013).collect();
        let returns = backward_returns(&index, RETURN_ROWS);
        assert_eq!(returns.len(), 25);
        for (t, found) in (15..40).zip(returns) {
            let mut sum = index[t - 1] - index[t];
            for k in 2..=15 {
                sum += index[t - k] - index[t];
            }
            assert_eq!(found.to_bits(), (sum / index[t]).to_bits());
        }
    }

    #[test]
    fn short_series_have_no_returns() {
        for rows in 0..=15 {
            assert!(backward_returns(&vec![1.0; rows], 15).is_empty());
        }
        assert_eq!(backward_returns(&[1.0; 16], 15), [0.0]);
    }
}
