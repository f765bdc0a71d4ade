//! The warnings of `plan` and `run` about windows that never fill.

use rollfit_job::config::{Boundary, JobConfig};
use rollfit_job::few::{SHOWN_MAX, few_and};
use rollfit_job::period::PeriodUnit;
use rollfit_job::unfilled::UnfilledWindow;

use crate::format::{count, plural};
use crate::logging;

/// Warns once per window, and of many windows at once.
pub(super) fn warn(windows: &[UnfilledWindow], config: &JobConfig) {
    let (shown, others) = windows.split_at(windows.len().min(SHOWN_MAX));
    shown.iter().for_each(|window| logging::warn(&sentence(window, config)));
    if let (Some(first), Some(last)) = (others.first(), others.last()) {
        logging::warn(&format!(
            "{}, {} to {}, never fill either; --json lists them",
            plural(others.len(), "more window"),
            first.window,
            last.window
        ));
    }
}

fn sentence(window: &UnfilledWindow, config: &JobConfig) -> String {
    let remedy = match (config.boundary, config.by) {
        (Boundary::Reset, by @ (PeriodUnit::Month | PeriodUnit::Quarter | PeriodUnit::Year)) => format!(
            "boundary = \"carry\" in [run] lets it reach into earlier {}s, at most {} rows of a key in all",
            by.noun(),
            count(window.key_rows_max)
        ),
        // Nothing is before all of time.
        (Boundary::Carry, _) | (_, PeriodUnit::All) => "use a shorter window, or import more rows".to_owned(),
    };
    format!(
        "window {} ({} rows) of series {} never fills in {} of {}, which have at most {} rows: its features have no value; {remedy}",
        window.window,
        count(window.window_rows),
        few_and(&window.series),
        plural(window.partitions, "partition"),
        some(&window.keys, window.key_count),
        count(window.usable_rows_max)
    )
}

/// The first names of a list, and how many more there are.
fn some(names: &[String], count: usize) -> String {
    const SHOWN: usize = 3;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = count.saturating_sub(SHOWN);
    if more > 0 { format!("{shown} and {}", plural(more, "more key")) } else { shown }
}
