//! [`LiveTail`]: the joined rows that the windows of a source's next row reach.

use crate::config::{Boundary, JobConfig};
use crate::month::Month;
use crate::panel::read_lookback;
use crate::period::PeriodUnit;
use crate::store::{Source, StoreError};

/// The last joined rows of a key, as many as its longest window has; with [`Boundary::Reset`] those of the last row's period alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LiveTail {
    /// Microseconds since 1970, UTC, rising.
    pub instants_us: Vec<i64>,
    /// The values of each series, as long as `instants_us`; NaN where there is none.
    pub columns: Vec<Vec<f64>>,
}

impl LiveTail {
    /// Reads the last rows before an instant, or all there are.
    ///
    /// # Errors
    /// Those of the source.
    pub fn read(
        source: &dyn Source,
        config: &JobConfig,
        key: &str,
        before_us: Option<i64>,
    ) -> Result<Self, StoreError> {
        let none = Self { instants_us: Vec::new(), columns: vec![Vec::new(); config.series.len()] };
        let series = config.series_of_key(key);
        let Some(last) = last_month(source, config, key)? else { return Ok(none) };
        let end_us = before_us.map_or(last.span_us().end, |us| us.min(last.span_us().end));
        let Ok(month) = Month::of_instant_us(end_us - 1) else { return Ok(none) };
        let wanted_rows = config.longest_window_rows().max(1);
        let mut snapshot = source.snapshot(&series, month.into(), wanted_rows)?;
        let (_, joined) = read_lookback(snapshot.as_mut(), &config.series, end_us, wanted_rows)?;
        let tail = Self { instants_us: joined.instants_us, columns: joined.columns };
        Ok(match config.boundary {
            Boundary::Carry => tail,
            Boundary::Reset => tail.of_last_period(config.by),
        })
    }

    /// The rows in the period of the last one.
    fn of_last_period(mut self, by: PeriodUnit) -> Self {
        let period = self.instants_us.last().and_then(|&us| by.period_at_us(us).ok());
        let start_us = period.map_or(i64::MIN, |period| period.span_us().start);
        let first = self.instants_us.partition_point(|&us| us < start_us);
        self.instants_us.drain(..first);
        self.columns.iter_mut().for_each(|column| drop(column.drain(..first)));
        self
    }
}

/// The last month in which some series of a key has rows; none where one has none at all, since then nothing is joined.
fn last_month(source: &dyn Source, config: &JobConfig, key: &str) -> Result<Option<Month>, StoreError> {
    let mut last = None;
    for series in config.series_of_key(key) {
        let Some((_, of_series)) = source.months(&series)? else { return Ok(None) };
        last = last.max(Some(of_series));
    }
    Ok(last)
}
