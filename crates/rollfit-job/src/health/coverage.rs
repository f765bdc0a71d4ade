//! Coverage: periods without features between the first and the last one of a key, and newest periods whose source has gained rows since
//! they were computed. Rows after the last instant with features are a matter of freshness: a period that grows is none of coverage.

use std::collections::HashSet;

use super::{Aspect, Examining, HealthFact, KeyHoldings, NEWEST, Verdict};
use crate::config::JobConfig;
use crate::month::Month;
use crate::partition::Partition;
use crate::period::Period;
use crate::receipt::Receipt;
use crate::store::{Found, Holding, Source, StoreError};

impl Examining<'_> {
    pub(super) fn coverage(&mut self, key: &KeyHoldings<'_>) -> Result<(), StoreError> {
        self.missing_periods(key)?;
        let newest: Vec<(Period, &Receipt)> = key.receipts().take(NEWEST).collect();
        for (period, receipt) in newest {
            let subject = (key.name(), Some(period));
            let short = short_series(self.job.source, self.job.config, subject.0, period, receipt);
            if let Some(Some(fact)) = self.answer(Aspect::Coverage, subject, short)? {
                self.add(Aspect::Coverage, Verdict::Warning, subject, fact);
            }
        }
        Ok(())
    }

    fn missing_periods(&mut self, key: &KeyHoldings<'_>) -> Result<(), StoreError> {
        let is_missing = |(period, held): (Period, _)| {
            matches!(held, &Ok(Holding { found: Found::Nothing, .. })).then_some(period)
        };
        let missing: Vec<Period> = key.iter().filter_map(is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let joined = joined_periods(self.job.source, self.job.config, key.name());
        let joined = self.answer(Aspect::Coverage, (key.name(), None), joined)?.flatten();
        let Some((first, last)) = joined else { return Ok(()) };
        // Where freshness is checked, that says how late the features of a period are that may just have begun.
        let is_late = |period: Period| period == last && self.options.max_lag.is_some();
        let within = |period: &Period| (first..=last).contains(period) && !is_late(*period);
        let missing: Vec<Period> = missing.into_iter().filter(within).collect();
        let gaps = source_gaps(self.job.source, self.job.config, key.name(), &missing);
        let Some(gaps) = self.answer(Aspect::Coverage, (key.name(), None), gaps)? else { return Ok(()) };
        for period in missing.into_iter().rev() {
            let (status, fact) = match (gaps.contains(&period), period == last) {
                (true, true) => continue,
                (true, false) => (Verdict::Warning, HealthFact::SourceGap),
                (false, true) => (Verdict::Warning, HealthFact::Missing),
                (false, false) => (Verdict::Problem, HealthFact::Missing),
            };
            self.add(Aspect::Coverage, status, (key.name(), Some(period)), fact);
        }
        Ok(())
    }
}

/// The first and the last period that every series may have.
fn joined_periods(
    source: &dyn Source,
    config: &JobConfig,
    key: &str,
) -> Result<Option<(Period, Period)>, StoreError> {
    let mut joined: Option<(Month, Month)> = None;
    for series in config.series_of_key(key) {
        let Some((first, last)) = source.months(&series)? else { return Ok(None) };
        joined = Some(joined.map_or((first, last), |(f, l)| (f.max(first), l.min(last))));
    }
    Ok(joined.map(|(first, last)| (config.by.period_of(first), config.by.period_of(last))))
}

/// Those of the periods that a series lacks. Periods with features are not asked about.
fn source_gaps(
    source: &dyn Source,
    config: &JobConfig,
    key: &str,
    missing: &[Period],
) -> Result<HashSet<Period>, StoreError> {
    let mut gaps = HashSet::new();
    for series in config.series_of_key(key) {
        let Some((oldest, newest)) = source.months(&series)? else { continue };
        for run in missing.chunk_by(|a, b| a.next() == Some(*b)) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            // Months before the first one and after the last one have no rows.
            let months = first.first_month().max(oldest)..=last.last_month().min(newest);
            let without_rows = source.gaps(&series, *months.start(), *months.end())?;
            let without_rows: HashSet<Month> = without_rows.into_iter().collect();
            let has_rows = |period: &Period| {
                let (first, last) = (period.first_month().max(oldest), period.last_month().min(newest));
                first.through(last).any(|month| !without_rows.contains(&month))
            };
            gaps.extend(run.iter().filter(|period| !has_rows(period)));
        }
    }
    Ok(gaps)
}

/// The first series that has many more rows, up to the last instant with features, than the receipt knows.
fn short_series(
    source: &dyn Source,
    config: &JobConfig,
    key: &str,
    period: Period,
    receipt: &Receipt,
) -> Result<Option<HealthFact>, StoreError> {
    // Receipts of other series say nothing of these.
    let Some(last_us) =
        receipt.input.last_us.filter(|_| receipt.input.lost_rows.len() == config.series.len())
    else {
        return Ok(None);
    };
    let partition = Partition::new(key, period);
    let mut snapshot = source.snapshot(&config.series_of_key(key), partition.period, 0)?;
    let span_us = period.span_us().start..last_us.saturating_add(1);
    for (at, (series, lost_rows)) in config.series.iter().zip(&receipt.input.lost_rows).enumerate() {
        let source_rows = snapshot.count(at, span_us.clone())?;
        let receipt_rows = receipt.input.rows.saturating_add(*lost_rows);
        if (receipt_rows as f64) < config.check.source_rows_min * source_rows as f64 {
            let series = series.name.clone();
            return Ok(Some(HealthFact::FewRows { series, receipt_rows, source_rows }));
        }
    }
    Ok(None)
}
