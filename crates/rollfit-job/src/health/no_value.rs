//! Features without a value: the newest period of a key against the median of those before. Warm-up isn't counted, it depends on
//! nothing but the windows.

use super::{Aspect, Examining, HealthFact, KeyHoldings, Verdict};
use crate::receipt::{NoValue, Receipt};

/// A cause, and how many features a receipt counts for it.
type Cause = (&'static str, fn(&NoValue) -> u64);

const CAUSES: [Cause; 4] = [
    ("input", |no_value| no_value.input),
    ("undefined", |no_value| no_value.undefined),
    ("column", |no_value| no_value.column),
    ("included", |no_value| no_value.included),
];

impl Examining<'_> {
    /// Returns whether there is something to compare.
    pub(super) fn no_value(&mut self, key: &KeyHoldings<'_>) -> bool {
        let check = &self.job.config.check;
        let mut receipts = key.receipts();
        let Some((period, newest)) = receipts.next() else { return false };
        let periods = check.no_value_months.div_ceil(period.unit().months());
        let before: Vec<&Receipt> = receipts.take(periods).map(|(_, receipt)| receipt).collect();
        let Some(usual_features) = median(before.iter().map(|receipt| features(receipt)).collect()) else {
            return false;
        };
        // Of a period that has just begun a few features are a large share: they count as if it were as long as others.
        let newest_features = features(newest).max(usual_features);
        for (cause, count) in CAUSES {
            let counted = |receipt: &Receipt| count(&receipt.stored.no_value) as f64;
            let usual = before.iter().map(|receipt| counted(receipt) / features(receipt)).collect();
            let (share, usual_share) = (counted(newest) / newest_features, median(usual).unwrap_or(0.0));
            if share - usual_share > check.no_value_rise_max {
                let fact = HealthFact::MoreWithoutValue { cause, share, usual_share };
                self.add(Aspect::NoValue, Verdict::Warning, (key.name(), Some(period)), fact);
            }
        }
        true
    }
}

/// The features of a receipt after the warm-up, at least 1.
fn features(receipt: &Receipt) -> f64 {
    let columns: usize = receipt.definition.series.iter().map(|series| series.columns.len()).sum();
    (receipt.stored.rows as f64 * columns as f64 - receipt.stored.no_value.warmup as f64).max(1.0)
}

fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let upper = *numbers.get(numbers.len() / 2)?;
    let lower = numbers[(numbers.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![4.0]), Some(4.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }
}
