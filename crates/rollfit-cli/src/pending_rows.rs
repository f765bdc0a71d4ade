//! Rows that wait for another series, as a sentence, for a run and its summary.

use std::time::Duration;

use rollfit_job::few::few_and;
use rollfit_job::month::display_instant;
use rollfit_job::pending::PendingRows;

use crate::format;

/// The age of the oldest, in data time, from which they are reported: most rows wait for seconds.
const TOLD_FROM: Duration = Duration::from_secs(60 * 60);

/// Whether they have been waiting for long.
pub(crate) fn is_worth_telling(pending: &PendingRows) -> bool {
    pending.age() >= TOLD_FROM
}

/// `17,279 rows wait for series bqx, the oldest since 2017-02-01T00:00:00Z (24.9 days)`
pub(crate) fn sentence(pending: &PendingRows) -> String {
    let (noun, oldest) = if pending.rows == 1 { ("row waits", "") } else { ("rows wait", "the oldest ") };
    format!(
        "{} {noun} for series {}, {oldest}since {} ({})",
        format::count(pending.rows),
        few_and(&pending.lacking),
        display_instant(pending.oldest_us),
        format::age(pending.age().as_secs_f64())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(rows: u64, lacking: &[&str], age_s: i64) -> PendingRows {
        let oldest_us = 1_485_907_200_000_000;
        let lacking = lacking.iter().map(|name| (*name).to_owned()).collect();
        PendingRows { rows, lacking, oldest_us, latest_us: oldest_us + age_s * 1_000_000 }
    }

    #[test]
    fn a_sentence_says_how_many_wait_for_what_and_for_how_long() {
        assert_eq!(
            sentence(&pending(17_279, &["bqx"], 2_151_360)),
            "17,279 rows wait for series bqx, the oldest since 2017-02-01T00:00:00Z (24.9 days)"
        );
        assert_eq!(
            sentence(&pending(1, &["idx", "bqx"], 3600)),
            "1 row waits for series idx and bqx, since 2017-02-01T00:00:00Z (1.0 h)"
        );
        assert!(is_worth_telling(&pending(1, &["idx"], 3600)));
        assert!(!is_worth_telling(&pending(100, &["idx"], 3599)));
    }
}
