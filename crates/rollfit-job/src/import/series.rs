//! The two series derived from one-minute closes, in doubles and in one fixed order of operations.
//!
//! The order is part of the definition: a sum rearranged is another last bit in every feature downstream.

/// How many rows a backward return looks back, and how many first rows of a key have none.
pub const RETURN_ROWS: usize = 15;

/// The close on a scale where `base` is 100.
#[must_use]
pub fn rate_index(close: f64, base: f64) -> f64 {
    (100.0 * close) / base
}

/// For every row but the first [`RETURN_ROWS`]: the sum of the differences of the rows before to this row,
/// nearest first, relative to this row. Shorter than `rate_index` by [`RETURN_ROWS`], or empty.
#[must_use]
pub fn backward_returns(rate_index: &[f64]) -> Vec<f64> {
    rate_index.windows(RETURN_ROWS + 1).map(backward_return).collect()
}

fn backward_return(window: &[f64]) -> f64 {
    let now = window[RETURN_ROWS];
    let mut sum = 0.0;
    for back in 1..=RETURN_ROWS {
        sum += window[RETURN_ROWS - back] - now;
    }
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
        let returns = backward_returns(&index);
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
            assert!(backward_returns(&vec![1.0; rows]).is_empty());
        }
        assert_eq!(backward_returns(&[1.0; 16]), [0.0]);
    }
}
