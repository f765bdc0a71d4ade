//! The instants of the row groups of a file: from the statistics of its footer where rollfit's checksums vouch for those,
//! else from the rows, which the statistics must agree with.
//!
//! Row groups are chosen by their instants: where a footer says less than the rows hold, rows would be missing in silence.

use std::sync::Arc;

use arrow_array::Array;
use arrow_schema::TimeUnit;
use parquet::file::statistics::Statistics;
use rollfit_job::lock::lock;
use rollfit_job::month::display_instant;
use rollfit_job::store::{Fault, StoreError};

use crate::fault::unreadable;
use crate::sources::group_span::GroupSpan;
use crate::sources::table_file::TableFile;
use rollfit_files::numbers::{DAY_S, instant_ticks};
use rollfit_files::parquet_file::Integrity;

/// What the footer says of the times of a row group, in the unit of the column.
struct TimeStatistics {
    first: i64,
    last: i64,
    /// Whether the times reach both bounds.
    is_exact: bool,
}

impl TimeStatistics {
    /// Whether there is a month that it lies in: no month would meet a fault from its last time back to its first.
    fn is_span(&self) -> bool {
        self.first <= self.last
    }

    fn holds(&self, first: i64, last: i64) -> bool {
        if self.is_exact {
            (self.first, self.last) == (first, last)
        } else {
            self.first <= first && last <= self.last
        }
    }
}

impl TableFile {
    /// The instants of each row group that has rows.
    pub(crate) fn find_spans(&self, time: &str) -> Result<Arc<Vec<GroupSpan>>, StoreError> {
        let known = lock(&self.contents.spans).get(time).cloned();
        if let Some(spans) = known {
            return Ok(spans);
        }
        let unit = self.time_unit(time)?;
        let groups = self.contents.metadata.metadata().num_row_groups();
        let spans: Vec<Option<GroupSpan>> =
            (0..groups).map(|group| self.group_span(group, time, unit)).collect::<Result<_, _>>()?;
        let spans = Arc::new(spans.into_iter().flatten().collect::<Vec<_>>());
        lock(&self.contents.spans).insert(time.to_owned(), spans.clone());
        Ok(spans)
    }

    fn group_span(&self, group: usize, time: &str, unit: TimeUnit) -> Result<Option<GroupSpan>, StoreError> {
        let rows = self.contents.metadata.metadata().row_group(group).num_rows();
        let rows = usize::try_from(rows).map_err(|error| unreadable(&self.path, &error))?;
        if rows == 0 {
            return Ok(None);
        }
        let claim = self.claim(group, time);
        let (first, last) = match (&claim, self.contents.integrity) {
            (Some(claim), Integrity::Verified(_)) if claim.is_span() => (claim.first, claim.last),
            (Some(claim), _) => self.checked_extremes(group, time, unit, claim)?,
            (None, _) => self.extremes(group, time)?,
        };
        Ok(Some(GroupSpan { group, rows, first_us: floor_us(first, unit), last_us: floor_us(last, unit) }))
    }

    /// The first and the last time of a row group. Where its rows cannot be read, those of the footer: the months that these
    /// are in will meet the fault, and others need not.
    fn checked_extremes(
        &self,
        group: usize,
        time: &str,
        unit: TimeUnit,
        claim: &TimeStatistics,
    ) -> Result<(i64, i64), StoreError> {
        match self.extremes(group, time) {
            Ok((first, last)) if claim.holds(first, last) => Ok((first, last)),
            Ok(found) => Err(self.false_statistics(group, time, unit, claim, found)),
            Err(error) if error.fault() == Fault::Permanent && claim.is_span() => {
                Ok((claim.first, claim.last))
            }
            Err(error) => Err(error),
        }
    }

    fn claim(&self, group: usize, time: &str) -> Option<TimeStatistics> {
        let metadata = self.contents.metadata.metadata().row_group(group);
        let column = metadata.columns().iter().find(|column| column.column_path().string() == time)?;
        let statistics = column.statistics()?;
        let is_exact = statistics.min_is_exact() && statistics.max_is_exact();
        match statistics {
            Statistics::Int64(known) => {
                Some(TimeStatistics { first: *known.min_opt()?, last: *known.max_opt()?, is_exact })
            }
            // Dates are the only times of four bytes.
            Statistics::Int32(known) => {
                let midnight = |days: &i32| i64::from(*days) * DAY_S;
                let (first, last) = (midnight(known.min_opt()?), midnight(known.max_opt()?));
                Some(TimeStatistics { first, last, is_exact })
            }
            _ => None,
        }
    }

    /// The first and the last time of a row group as its rows have them, in the unit of the column.
    fn extremes(&self, group: usize, time: &str) -> Result<(i64, i64), StoreError> {
        let (mut extremes, mut read_rows) = (None, 0);
        self.read(|| {
            self.decode(&[group], &[time], |arrays| {
                read_rows += arrays[0].len();
                let (times, _) = instant_ticks(&arrays[0])
                    .ok_or_else(|| self.not_a_timestamp(time, arrays[0].data_type()))?;
                for time in times.iter().flatten() {
                    let (first, last) = extremes.get_or_insert((time, time));
                    (*first, *last) = (time.min(*first), time.max(*last));
                }
                Ok(())
            })
        })?;
        self.check_rows(&[group], read_rows)?;
        extremes.ok_or_else(|| self.no_instant(time))
    }

    fn false_statistics(
        &self,
        group: usize,
        time: &str,
        unit: TimeUnit,
        claim: &TimeStatistics,
        (first, last): (i64, i64),
    ) -> StoreError {
        let instant = |time| display_instant(floor_us(time, unit));
        StoreError::permanent(format!(
            "{}: column `{time}`: the footer says that row group {group} has rows from {} to {}, but they are from {} \
             to {}: the file is damaged or was written incorrectly; restore it from a backup, or write it again",
            self.path.display(),
            instant(claim.first),
            instant(claim.last),
            instant(first),
            instant(last)
        ))
    }
}

fn floor_us(value: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => value.saturating_mul(1_000_000),
        TimeUnit::Millisecond => value.saturating_mul(1000),
        TimeUnit::Microsecond => value,
        TimeUnit::Nanosecond => value.div_euclid(1000),
    }
}
