//! Freshness: how long joined rows have been without features, told apart from a source that gets no new rows.
//!
//! The source is asked about keys whose last instant with features is too old, and about no other.

use super::{Aspect, Examining, HealthFact, KeyHoldings, Verdict};
use crate::config::JobConfig;
use crate::month::Month;
use crate::store::{Found, Holding, SeriesOfKey, Source, StoreError};

/// A clock may be wrong by less; bars are labelled by their ends, and days by their dates.
const FUTURE_US: i64 = 86_400 * 1_000_000;

/// Where the features of a key end.
enum FeaturesEnd {
    /// There are none.
    None,
    /// After this instant.
    After(i64),
    /// What there is of the newest month isn't vouched for.
    Unknown,
}

impl Examining<'_> {
    pub(super) fn freshness(&mut self, key: &KeyHoldings<'_>) -> Result<(), StoreError> {
        let Some(max_lag) = self.options.max_lag else { return Ok(()) };
        let (subject, max_lag_s) = ((key.name(), None), max_lag.as_secs_f64());
        let end_us = match features_end(key) {
            FeaturesEnd::None => {
                self.add(Aspect::Freshness, Verdict::Problem, subject, HealthFact::NoFeatures);
                return Ok(());
            }
            FeaturesEnd::Unknown => {
                self.add(Aspect::Freshness, Verdict::Unknown, subject, HealthFact::EndUnknown);
                return Ok(());
            }
            FeaturesEnd::After(end_us) => end_us,
        };
        if end_us > self.options.now_us.saturating_add(FUTURE_US) {
            let fact = HealthFact::InFuture { last_us: end_us };
            self.add(Aspect::Freshness, Verdict::Warning, subject, fact);
        } else if self.lag_s(end_us) > max_lag_s {
            self.late(key, end_us, max_lag_s)?;
        }
        Ok(())
    }

    /// Finds out why the features of a key are late.
    fn late(&mut self, key: &KeyHoldings<'_>, end_us: i64, max_lag_s: f64) -> Result<(), StoreError> {
        let (subject, job) = ((key.name(), None), self.job);
        let until_us = self.job_end_us(key);
        let lasts_us = job
            .config
            .series_of_key(key.name())
            .iter()
            .map(|series| last_us(job.source, series))
            .collect::<Result<Vec<_>, _>>();
        let Some(lasts_us) = self.answer(Aspect::Freshness, subject, lasts_us)? else { return Ok(()) };
        let first = first_joined(job.source, job.config, key.name(), end_us, &lasts_us, until_us);
        let Some(first_us) = self.answer(Aspect::Freshness, subject, first)? else { return Ok(()) };
        if let Some(first_us) = first_us {
            let lag_s = self.lag_s(first_us);
            if lag_s > max_lag_s {
                let fact = HealthFact::Behind { first_us, lag_s };
                self.add(Aspect::Freshness, Verdict::Problem, subject, fact);
            }
        } else if until_us <= self.options.now_us {
            self.add(Aspect::Source, Verdict::Problem, subject, HealthFact::JobOver);
        } else {
            self.stale(key.name(), end_us, &lasts_us, max_lag_s);
        }
        Ok(())
    }

    /// Names the series that get no new rows.
    fn stale(&mut self, key: &str, end_us: i64, lasts_us: &[Option<i64>], max_lag_s: f64) {
        let mut is_any_stale = false;
        for (series, &last_us) in self.job.config.series.iter().zip(lasts_us) {
            let lag_s = last_us.map(|last_us| self.lag_s(last_us));
            if lag_s.is_none_or(|lag_s| lag_s > max_lag_s) {
                is_any_stale = true;
                let fact = HealthFact::SourceStale { series: series.name.clone(), last_us, lag_s };
                self.add(Aspect::Source, Verdict::Problem, (key, None), fact);
            }
        }
        if !is_any_stale {
            let fact = HealthFact::NothingJoined { since_us: end_us };
            self.add(Aspect::Source, Verdict::Problem, (key, None), fact);
        }
    }

    /// The first instant after the last month that the key is to have.
    fn job_end_us(&self, key: &KeyHoldings<'_>) -> i64 {
        let selected =
            self.options.only.last_month(key.name(), self.job.config.by).map(|month| month.span_us().end);
        let configured = self.job.config.to.map(|month| month.span_us().end);
        selected.into_iter().chain(configured).min().unwrap_or(i64::MAX)
    }
}

fn features_end(key: &KeyHoldings<'_>) -> FeaturesEnd {
    for (_, held) in key.iter().rev() {
        match held {
            Ok(Holding { found: Found::Nothing, .. }) => {}
            Ok(Holding { found: Found::Ours(receipt), .. }) => match receipt.input.last_us {
                Some(last_us) if receipt.stored.rows > 0 => return FeaturesEnd::After(last_us),
                _ => {}
            },
            _ => return FeaturesEnd::Unknown,
        }
    }
    FeaturesEnd::None
}

/// The last instant of a series; none where it has no rows.
fn last_us(source: &dyn Source, series: &SeriesOfKey<'_>) -> Result<Option<i64>, StoreError> {
    if let Some(Ok(head)) = source.heads(std::slice::from_ref(series))?.into_iter().next()
        && head.last_us.is_some()
    {
        return Ok(head.last_us);
    }
    let Some((_, last)) = source.months(series)? else { return Ok(None) };
    let mut snapshot = source.snapshot(std::slice::from_ref(series), last.into(), 0)?;
    Ok(snapshot.rows(0, last.span_us())?.instants_us.last().copied())
}

/// The first instant after `end_us` that every series has, before `until_us`.
fn first_joined(
    source: &dyn Source,
    config: &JobConfig,
    key: &str,
    end_us: i64,
    lasts_us: &[Option<i64>],
    until_us: i64,
) -> Result<Option<i64>, StoreError> {
    let Some(common_us) = lasts_us.iter().copied().min().flatten() else { return Ok(None) };
    let (start_us, stop_us) = (end_us.saturating_add(1), common_us.saturating_add(1).min(until_us));
    let month = |instant_us| {
        Month::of_instant_us(instant_us).map_err(|error| StoreError::permanent(error.to_string()))
    };
    if start_us >= stop_us {
        return Ok(None);
    }
    for month in month(start_us)?.through(month(stop_us - 1)?) {
        let span_us = month.span_us();
        let span_us = span_us.start.max(start_us)..span_us.end.min(stop_us);
        let mut snapshot = source.snapshot(&config.series_of_key(key), month.into(), 0)?;
        let mut joined = snapshot.rows(0, span_us.clone())?.instants_us;
        for at in 1..config.series.len() {
            let other = snapshot.rows(at, span_us.clone())?.instants_us;
            joined.retain(|instant_us| other.binary_search(instant_us).is_ok());
        }
        if let Some(&first_us) = joined.first() {
            return Ok(Some(first_us));
        }
    }
    Ok(None)
}
