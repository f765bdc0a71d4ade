//! Coverage: periods without features between the first and the last one of a key, or of the job where `require_rows` is set; periods
//! whose source has lost or gained rows since they were computed. Rows after the last instant with features are a matter of freshness: a
//! period that grows is none of coverage.

use std::collections::HashSet;
use std::ops::Range;

use super::{Aspect, Examining, HealthFact, KeyHoldings, NEWEST, Verdict};
use crate::config::JobConfig;
use crate::empty::{has_no_row, partitions_without_rows};
use crate::month::Month;
use crate::partition::Partition;
use crate::period::Period;
use crate::period_gaps::period_gaps;
use crate::receipt::Receipt;
use crate::store::{Found, Holding, Source, StoreError};

/// The most missing periods of a key, of which some have features, whose rows are counted.
const COUNTED_MAX: usize = 24;

impl Examining<'_> {
    pub(super) fn coverage(&mut self, key: &KeyHoldings<'_>) -> Result<(), StoreError> {
        self.missing_periods(key)?;
        for (period, receipt) in self.periods_to_count(key)? {
            let subject = (key.name(), Some(period));
            let change = source_change(self.job.source, self.job.config, subject.0, period, receipt);
            if let Some(Some(fact)) = self.answer(Aspect::Coverage, subject, change)? {
                self.add(Aspect::Coverage, Verdict::Warning, subject, fact);
            }
        }
        Ok(())
    }

    /// The periods with features whose source is counted: the newest, those of which a series seems to have no row any more, or all.
    fn periods_to_count<'k>(
        &mut self,
        key: &KeyHoldings<'k>,
    ) -> Result<Vec<(Period, &'k Receipt)>, StoreError> {
        let mut periods: Vec<(Period, &Receipt)> = key.receipts().collect();
        if self.options.counts_all || periods.len() <= NEWEST {
            return Ok(periods);
        }
        let mut older: Vec<Period> = periods[NEWEST..].iter().map(|(period, _)| *period).collect();
        older.reverse();
        let gaps = source_gaps(self.job.source, self.job.config, key.name(), &older);
        let gaps = self.answer(Aspect::Coverage, (key.name(), None), gaps)?.unwrap_or_default();
        let newest = periods[..NEWEST].last().map(|(period, _)| *period);
        periods.retain(|(period, _)| Some(*period) >= newest || gaps.contains(period));
        Ok(periods)
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
        let Some(joined) = self.answer(Aspect::Coverage, (key.name(), None), joined)? else { return Ok(()) };
        self.required_periods(key, &missing, joined)?;
        let Some((first, last)) = joined else { return Ok(()) };
        // Where freshness is checked, that says how late the features of a period are that may just have begun.
        let is_late = |period: Period| period == last && self.options.max_lag.is_some();
        let within = |period: &Period| (first..=last).contains(period) && !is_late(*period);
        let missing: Vec<Period> = missing.into_iter().filter(within).collect();
        let gaps = source_gaps(self.job.source, self.job.config, key.name(), &missing);
        let Some(mut gaps) = self.answer(Aspect::Coverage, (key.name(), None), gaps)? else { return Ok(()) };
        if key.receipts().next().is_some() {
            let counted = counted_gaps(self.job.source, self.job.config, key.name(), &missing, &gaps);
            gaps.extend(self.answer(Aspect::Coverage, (key.name(), None), counted)?.unwrap_or_default());
        }
        for period in missing.into_iter().rev() {
            let (status, fact) = match (gaps.contains(&period), period == last) {
                (true, _) if self.job.config.run.require_rows => (Verdict::Problem, HealthFact::SourceGap),
                (true, true) => continue,
                (true, false) => (Verdict::Warning, HealthFact::SourceGap),
                (false, true) => (Verdict::Warning, HealthFact::Missing),
                (false, false) => (Verdict::Problem, HealthFact::Missing),
            };
            self.add(Aspect::Coverage, status, (key.name(), Some(period)), fact);
        }
        Ok(())
    }

    /// Those of the missing periods that are outside those of the source, and without a row: runs fail there where rows are required.
    fn required_periods(
        &mut self,
        key: &KeyHoldings<'_>,
        missing: &[Period],
        joined: Option<(Period, Period)>,
    ) -> Result<(), StoreError> {
        if !self.job.config.run.require_rows {
            return Ok(());
        }
        let is_outside =
            |period: &&Period| joined.is_none_or(|(first, last)| !(first..=last).contains(*period));
        let outside: Vec<Partition> =
            missing.iter().filter(is_outside).map(|period| Partition::new(key.name(), *period)).collect();
        let without_rows = partitions_without_rows(self.job.source, self.job.config, &outside);
        let without_rows = self.answer(Aspect::Coverage, (key.name(), None), without_rows)?;
        for partition in without_rows.into_iter().flatten().rev() {
            let subject = (key.name(), Some(partition.period));
            self.add(Aspect::Coverage, Verdict::Problem, subject, HealthFact::SourceGap);
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

/// Those of the periods that a series lacks, by what the store knows without reading rows.
fn source_gaps(
    source: &dyn Source,
    config: &JobConfig,
    key: &str,
    missing: &[Period],
) -> Result<HashSet<Period>, StoreError> {
    let mut gaps = HashSet::new();
    for series in config.series_of_key(key) {
        gaps.extend(period_gaps(source, &series, missing)?);
    }
    Ok(gaps)
}

/// Those of the first missing periods without a row in any series that the store takes for periods with some: one file may span them.
fn counted_gaps(
    source: &dyn Source,
    config: &JobConfig,
    key: &str,
    missing: &[Period],
    gaps: &HashSet<Period>,
) -> Result<Vec<Period>, StoreError> {
    let doubtful = missing.iter().filter(|period| !gaps.contains(period)).take(COUNTED_MAX);
    let mut found = Vec::new();
    for &period in doubtful {
        if has_no_row(source, config, &Partition::new(key, period))? {
            found.push(period);
        }
    }
    Ok(found)
}

/// What has become of the source of a month since its features were computed: it has lost more rows than a run accepts, or one of its
/// series has many more, up to the last instant with features, than the receipt knows.
fn source_change(
    source: &dyn Source,
    config: &JobConfig,
    key: &str,
    period: Period,
    receipt: &Receipt,
) -> Result<Option<HealthFact>, StoreError> {
    let Some(last_us) = receipt.input.last_us else { return Ok(None) };
    let mut snapshot = source.snapshot(&config.series_of_key(key), period, 0)?;
    let mut count = |span_us: Range<i64>| -> Result<Vec<u64>, StoreError> {
        (0..config.series.len()).map(|at| snapshot.count(at, span_us.clone())).collect()
    };
    let counts = count(period.span_us().start..last_us.saturating_add(1))?;
    // The join has at most as many rows as the shortest series.
    let is_short = |counts: &[u64]| {
        let rows = counts.iter().copied().min().unwrap_or(0);
        ((rows as f64) < config.run.shrunk_rows_min * receipt.input.rows as f64).then_some(rows)
    };
    if is_short(&counts).is_some()
        && let Some(source_rows) = is_short(&count(period.span_us())?)
    {
        return Ok(Some(HealthFact::SourceShrunk { receipt_rows: receipt.input.rows, source_rows }));
    }
    Ok(few_rows(config, receipt, &counts))
}

/// The first series that has many more rows, up to the last instant with features, than the receipt knows.
fn few_rows(config: &JobConfig, receipt: &Receipt, source_rows: &[u64]) -> Option<HealthFact> {
    // Receipts of other series say nothing of these.
    let lost_rows =
        Some(&receipt.input.lost_rows).filter(|lost_rows| lost_rows.len() == config.series.len())?;
    let mut each = config.series.iter().zip(lost_rows).zip(source_rows);
    each.find_map(|((series, lost_rows), &source_rows)| {
        let receipt_rows = receipt.input.rows.saturating_add(*lost_rows);
        let is_few = (receipt_rows as f64) < config.check.source_rows_min * source_rows as f64;
        is_few.then(|| HealthFact::FewRows { series: series.name.clone(), receipt_rows, source_rows })
    })
}
