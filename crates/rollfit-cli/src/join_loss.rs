//! What the join of a partition loses, as a sentence, for plans and for warnings of a run.

use rollfit_job::few::few_and;
use rollfit_job::join_loss::JoinLoss;

use crate::format::count;

/// `the join loses 720 of 1,488 rows (48.4 %) of series idx, which series bqx lacks`
pub(crate) fn sentence(loss: &JoinLoss) -> String {
    let verb = if loss.lacking.len() == 1 { "lacks" } else { "lack" };
    format!(
        "the join loses {} of {} rows ({:.1} %) of series {}, which series {} {verb}",
        count(loss.lost_rows),
        count(loss.rows),
        100.0 * loss.share(),
        loss.series,
        few_and(&loss.lacking)
    )
}
