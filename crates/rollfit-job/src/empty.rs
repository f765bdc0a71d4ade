//! Empty partitions: no series has a row of them, and there are no features. A run notes them and has nothing to do, unless the
//! configuration requires rows.
//!
//! Invariant: a partition with a row in any series is none of them, whether or not that row is joined.

use std::collections::HashSet;

use crate::absence::Absence;
use crate::config::{Derivation, JobConfig, Series};
use crate::few::few_and;
use crate::panel::Panel;
use crate::partition::Partition;
use crate::period::Period;
use crate::period_gaps::period_gaps;
use crate::store::{Source, StoreError};
use crate::workers::for_each;

/// Those of `partitions` that are empty if they have no features; sorted by key and period as they are. None of a key whose source cannot be
/// asked.
pub fn empty_partitions(
    source: &dyn Source,
    config: &JobConfig,
    partitions: &[Partition],
    workers: usize,
) -> HashSet<Partition> {
    if config.run.require_rows {
        return HashSet::new();
    }
    let absence = Absence::new(config.run.retry_for);
    let keys: Vec<&[Partition]> = partitions.chunk_by(|a, b| a.key == b.key).collect();
    let of_key = |of_key: &&[Partition]| absence.look(|| partitions_without_rows(source, config, of_key));
    let empty = for_each(&keys, workers, of_key);
    empty.into_iter().flat_map(Result::unwrap_or_default).collect()
}

/// Those of some partitions of one key, sorted by period, of which no series has a row. The rows are counted of those only that seem to
/// have none.
///
/// # Errors
/// Those of the source.
pub(crate) fn partitions_without_rows(
    source: &dyn Source,
    config: &JobConfig,
    partitions: &[Partition],
) -> Result<Vec<Partition>, StoreError> {
    let Some(Partition { key, .. }) = partitions.first() else { return Ok(Vec::new()) };
    let periods: Vec<Period> = partitions.iter().map(|partition| partition.period).collect();
    let mut left: Vec<&Partition> = partitions.iter().collect();
    for series in config.series_of_key(key) {
        let gaps = period_gaps(source, &series, &periods)?;
        left.retain(|partition| gaps.contains(&partition.period));
    }
    let mut found = Vec::new();
    for partition in left {
        if has_no_row(source, config, partition)? {
            found.push(partition.clone());
        }
    }
    Ok(found)
}

/// Whether a partition without features is empty, by the source's counts of rows.
///
/// # Errors
/// Those of the source.
pub fn is_empty(source: &dyn Source, config: &JobConfig, partition: &Partition) -> Result<bool, StoreError> {
    Ok(!config.run.require_rows && has_no_row(source, config, partition)?)
}

/// Whether no series has a row in a partition: the rows are counted.
///
/// # Errors
/// Those of the source.
pub(crate) fn has_no_row(
    source: &dyn Source,
    config: &JobConfig,
    partition: &Partition,
) -> Result<bool, StoreError> {
    let mut snapshot = source.snapshot(&config.series_of_key(&partition.key), partition.period, 0)?;
    for at in 0..config.series.len() {
        if snapshot.count(at, partition.period.span_us())? > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// As [`is_empty`], where the rows of the partition are read.
pub(crate) fn is_empty_panel(config: &JobConfig, panel: &Panel) -> bool {
    !config.run.require_rows && has_no_rows(panel)
}

fn has_no_rows(panel: &Panel) -> bool {
    panel.rows() == 0 && panel.unjoined_rows().iter().all(|&rows| rows == 0)
}

/// Why a partition is empty.
pub(crate) fn empty_cause(config: &JobConfig, partition: &Partition) -> String {
    format!("no rows in {}", tables(config, partition))
}

/// What to say of a period without joined rows that is not to be empty.
pub(crate) fn no_rows(config: &JobConfig, partition: &Partition, panel: &Panel) -> String {
    let unit = partition.period.unit().noun();
    if has_no_rows(panel) {
        return format!(
            "the {unit} has no rows in {}, and require_rows = true: import it, or leave it out of [partitions]",
            tables(config, partition)
        );
    }
    let side = |(series, rows): (&Series, u64)| match series.derivation {
        Some(Derivation { formula, .. }) => {
            format!("{rows} rows of {formula} from {}", table(series, partition))
        }
        None => format!("{rows} rows in {}", table(series, partition)),
    };
    let sides = config.series.iter().zip(panel.unjoined_rows()).map(side);
    format!(
        "no instant of the {unit} is in every series: it has {}; import what is missing, or leave the {unit} out of [partitions]",
        few_and(&sides.collect::<Vec<_>>())
    )
}

fn table(series: &Series, partition: &Partition) -> String {
    let table = series.table.for_key(&partition.key);
    match &series.key_column {
        Some(column) => format!("`{table}` with {column} = {}", partition.key),
        None => format!("`{table}`"),
    }
}

/// The source tables of a partition.
fn tables(config: &JobConfig, partition: &Partition) -> String {
    let mut tables: Vec<String> = config.series.iter().map(|series| table(series, partition)).collect();
    // Series may be derived from one table.
    tables.dedup();
    few_and(&tables)
}
