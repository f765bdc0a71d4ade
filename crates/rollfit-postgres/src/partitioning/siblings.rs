//! [`Siblings`]: the existing features tables and their parents. A missing table belongs where its siblings are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rollfit_job::config::{FIT_PREFIX, Layout, Series};
use rollfit_job::partition::Partition;
use rollfit_job::period::PeriodUnit;
use rollfit_job::store::StoreError;
use tokio_postgres::types::{ToSql, Type};

use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, SqlParameter};
use crate::copy::instant::TimeType;
use crate::names::TableName;
use crate::partitioning::bound::BoundSpan;
use crate::partitioning::catalog::FRESH_FOR;
use crate::tables::problem::{ProblemKind, TableProblem};

/// The features tables of every series.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    /// By series and key; without a key if names do not contain it.
    tables: HashMap<(usize, String), Vec<Sibling>>,
    /// The latest of each series.
    latest: HashMap<usize, Sibling>,
    names: HashSet<String>,
}

/// An existing features table.
#[derive(Clone, Debug)]
pub(crate) struct Sibling {
    pub(crate) name: String,
    pub(crate) partition: Partition,
    /// Its parent.
    pub(crate) parent: Option<TableName>,
}

impl Sibling {
    /// Returns its partition. If the name does not contain the key, it is `key`.
    pub(crate) fn partition_of(&self, key: &str) -> Partition {
        let own = &self.partition.key;
        Partition::new(if own.is_empty() { key.to_owned() } else { own.clone() }, self.partition.period)
    }
}

impl Siblings {
    /// Returns the tables of `series`, those of one key or of all.
    pub(crate) fn find(
        session: &mut Session,
        schema: &str,
        series: &[Series],
        key: Option<&str>,
    ) -> Result<Self, StoreError> {
        let patterns = like_patterns(series, key);
        let parameters = parameters(&schema, &patterns);
        let rows = session.rows(LOOK_UP_ALL, &tables_sql(patterns.len()), &parameters)?;
        Self::from_rows(&rows, series, key)
    }

    /// Returns the tables of `series` in the answer to [`tables_sql`], those of one key or of all.
    pub(crate) fn from_rows(
        rows: &[AnswerRow],
        series: &[Series],
        key: Option<&str>,
    ) -> Result<Self, StoreError> {
        let mut siblings = Self::default();
        for row in rows {
            let name: String = row.get(0)?;
            let parent = Option::zip(row.get(1)?, row.get(2)?);
            let parent = parent.map(|(schema, name)| TableName::new(schema, name));
            for (at, series) in series.iter().enumerate() {
                let partition = series.partition_named(&name, "");
                // The pattern of a key fits longer keys too.
                let is_wanted = |partition: &Partition| {
                    partition.key.is_empty() || key.is_none_or(|key| key == partition.key)
                };
                if let Some(partition) = partition.filter(is_wanted) {
                    siblings.add(at, Sibling { name: name.clone(), partition, parent: parent.clone() });
                }
            }
        }
        Ok(siblings)
    }

    fn add(&mut self, series: usize, sibling: Sibling) {
        let latest = self.latest.entry(series).or_insert_with(|| sibling.clone());
        if (latest.partition.period, &latest.name) < (sibling.partition.period, &sibling.name) {
            *latest = sibling.clone();
        }
        self.names.insert(sibling.name.clone());
        self.tables.entry((series, sibling.partition.key.clone())).or_default().push(sibling);
    }

    /// Whether a table of this name is among them.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Returns the tables of a series and a key.
    fn of_key(&self, series: usize, key: &str) -> &[Sibling] {
        let tables = self.tables.get(&(series, key.to_owned())).or(self.tables.get(&(series, String::new())));
        tables.map_or(&[], Vec::as_slice)
    }

    /// Returns the model for a new table of a series and a key: the latest of the key or, if it has none, of all.
    pub(crate) fn nearest(&self, series: usize, key: &str) -> Option<&Sibling> {
        let own = self.of_key(series, key).iter().max_by_key(|sibling| sibling.partition.period);
        own.or(self.latest.get(&series))
    }

    /// Returns the tables of a series and a key, later periods first, and after them the latest of all.
    pub(crate) fn nearest_first(&self, series: usize, key: &str) -> Vec<&Sibling> {
        let mut own: Vec<&Sibling> = self.of_key(series, key).iter().collect();
        own.sort_by_key(|sibling| std::cmp::Reverse(sibling.partition.period));
        own.extend(self.latest.get(&series));
        own
    }

    /// Returns the latest table of a series and a key that has a parent; without a table of the key, the latest of
    /// all.
    fn attached(&self, series: usize, key: &str) -> Option<(&Sibling, &TableName)> {
        let own = self.of_key(series, key);
        let sibling = match own {
            [] => self.latest.get(&series),
            own => own
                .iter()
                .filter(|sibling| sibling.parent.is_some())
                .max_by_key(|sibling| sibling.partition.period),
        };
        sibling.and_then(|sibling| Some((sibling, sibling.parent.as_ref()?)))
    }

    /// Returns the pattern that gives every table of a series its parent, if one does.
    fn parent_pattern(&self, at: usize, key: &str, sibling: &Sibling, parent: &str) -> Option<String> {
        let known: Vec<(Partition, &str)> = self
            .tables
            .iter()
            .filter(|((series, _), _)| *series == at)
            .flat_map(|(_, siblings)| siblings)
            .filter_map(|sibling| Some((sibling.partition_of(key), sibling.parent.as_ref()?.name.as_str())))
            .collect();
        let gives =
            |pattern: &String| known.iter().all(|(partition, parent)| expand(pattern, partition) == *parent);
        candidates(parent, &sibling.partition_of(key)).into_iter().find(gives)
    }
}

/// What the query of [`tables_sql`] does, for messages.
pub(crate) const LOOK_UP_ALL: &str = "look up the features tables";

/// Returns the query of the tables of the schema $1 whose names match one of so many patterns, from $2 on, and of their parents. Not LIKE
/// ANY: the server would look at every table for each key.
pub(crate) fn tables_sql(patterns: usize) -> String {
    const TABLES: &str = "
        SELECT c.relname::text, pn.nspname::text, p.relname::text
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
        LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
        LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
        WHERE n.nspname = $1 AND c.relkind = 'r'";
    let conditions: Vec<String> = (0..patterns).map(|at| format!("c.relname LIKE ${}", at + 2)).collect();
    format!("{TABLES} AND ({})", conditions.join(" OR "))
}

/// Returns the parameters of [`tables_sql`].
pub(crate) fn parameters<'a>(
    schema: &'a (dyn ToSql + Sync),
    patterns: &'a [String],
) -> Vec<SqlParameter<'a>> {
    let patterns = patterns.iter().map(|pattern| -> SqlParameter<'a> { (pattern, Type::TEXT) });
    std::iter::once((schema, Type::TEXT)).chain(patterns).collect()
}

/// Returns LIKE patterns that match all names of the tables of `series`, those of one key or of all. Other names may match too.
pub(crate) fn like_patterns(series: &[Series], key: Option<&str>) -> Vec<String> {
    series.iter().map(|series| like_pattern(series, key)).collect()
}

/// Returns a LIKE pattern that matches all names of a series' tables, those of one key or of all. Other names may match
/// too.
fn like_pattern(series: &Series, key: Option<&str>) -> String {
    // Placeholders have none of the characters that are escaped.
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%");
    let key = key.map_or("%".to_owned(), escaped);
    let pattern = escaped(&series.features.as_ref().map(ToString::to_string).unwrap_or_default());
    pattern.replace("{yyyy}", "____").replace("{mm}", "__").replace("{q}", "_").replace("{key}", &key)
}

fn expand(pattern: &str, partition: &Partition) -> String {
    pattern.replace("{key}", &partition.key).replace("{yyyy}", &partition.period.first_month().yyyy())
}

/// Returns the patterns that give `parent` for a partition, those with more placeholders first.
fn candidates(parent: &str, partition: &Partition) -> Vec<String> {
    if parent.contains(['{', '}']) {
        return Vec::new();
    }
    let with = |texts: &[String], value: &str, placeholder: &str| -> Vec<String> {
        let replaced = |text: &String| {
            let places: Vec<usize> = text.rmatch_indices(value).map(|(at, _)| at).collect();
            let text = text.clone();
            places
                .into_iter()
                .map(move |at| format!("{}{placeholder}{}", &text[..at], &text[at + value.len()..]))
        };
        texts.iter().flat_map(replaced).collect()
    };
    let plain = vec![parent.to_owned()];
    let with_key = with(&plain, &partition.key, "{key}");
    let year = partition.period.first_month().yyyy();
    let of_year = |texts: &[String]| match partition.period.unit() {
        PeriodUnit::All => Vec::new(),
        PeriodUnit::Month | PeriodUnit::Quarter | PeriodUnit::Year => with(texts, &year, "{yyyy}"),
    };
    let (with_both, with_year) = (of_year(&with_key), of_year(&plain));
    let by_placeholders = [with_both, with_key, with_year, plain];
    let all = by_placeholders.into_iter().flatten();
    all.filter(|pattern| expand(pattern, partition) == parent).collect()
}

impl PostgresStore {
    pub(crate) fn siblings(&self, session: &mut Session) -> Result<Arc<Siblings>, StoreError> {
        self.siblings_within(session, FRESH_FOR)
    }

    /// Returns the tables as they were at most `age_max` ago.
    pub(crate) fn siblings_within(
        &self,
        session: &mut Session,
        age_max: Duration,
    ) -> Result<Arc<Siblings>, StoreError> {
        self.catalog.siblings.get_within(&(), age_max, || self.current_siblings(session))
    }

    /// Returns the tables as they were at some time. Asks outside of a transaction, if at all.
    pub(crate) fn siblings_ever(&self, session: &mut Session) -> Result<Arc<Siblings>, StoreError> {
        let find = || {
            let patterns = like_patterns(&self.series, None);
            let (sql, parameters) = (tables_sql(patterns.len()), parameters(&self.schema, &patterns));
            let rows = session.rows_at_once(&self.settings, LOOK_UP_ALL, &sql, &parameters)?;
            Siblings::from_rows(&rows, &self.series, None)
        };
        self.catalog.siblings.get_within(&(), Duration::MAX, find)
    }

    /// Returns the tables as they are now.
    fn current_siblings(&self, session: &mut Session) -> Result<Siblings, StoreError> {
        Siblings::find(session, &self.schema, &self.series, None)
    }

    /// Returns the tables of a key as they are now.
    pub(crate) fn siblings_of_key(&self, session: &mut Session, key: &str) -> Result<Siblings, StoreError> {
        Siblings::find(session, &self.schema, &self.series, Some(key))
    }

    /// Checks against the current tables that a missing table of a series would be placed like its siblings.
    pub(crate) fn check_siblings(
        &self,
        session: &mut Session,
        series: &Series,
        partition: &Partition,
    ) -> Result<(), StoreError> {
        let siblings = self.current_siblings(session)?;
        let at = self.series.iter().position(|known| known.name == series.name);
        let problem = at.and_then(|at| self.apart_from_siblings(&siblings, at, partition));
        problem.map_or(Ok(()), |problem| Err(problem.into()))
    }

    /// Returns why a missing table of the series at `at` would not be placed like its siblings.
    pub(crate) fn apart_from_siblings(
        &self,
        siblings: &Siblings,
        at: usize,
        partition: &Partition,
    ) -> Option<TableProblem> {
        let series = &self.series[at];
        let (sibling, parent) = siblings.attached(at, &partition.key)?;
        let configured = series.parent_table(&sibling.partition_of(&partition.key));
        if configured.is_some_and(|name| self.table(&name) == *parent) {
            return None;
        }
        // The configured parent of a key without tables outweighs the tables of other keys.
        let is_own = sibling.partition.key.is_empty() || sibling.partition.key == partition.key;
        if series.parent.is_some() && !is_own {
            return None;
        }
        let leaf = self.table(&series.features_table(partition));
        let what = format!("it is missing, and tables like {} are partitions of {parent}", sibling.name);
        let problem = |what| TableProblem::new(&leaf, ProblemKind::Siblings, what);
        if parent.schema != self.schema {
            let bounds =
                BoundSpan::from_period(partition.period).sql(TimeType::Zoned).replace("timestamptz ", "");
            let create = format!("CREATE TABLE {} PARTITION OF {} {bounds}", leaf.sql(), parent.sql());
            return Some(
                problem(format!("{what}, in another schema; create it there"))
                    .with_statements(parent, vec![create]),
            );
        }
        let pattern = siblings.parent_pattern(at, &partition.key, sibling, &parent.name);
        let line = match (series.layout(), pattern.as_deref()) {
            (Layout::Metrics, Some(pattern)) => format!("the line `parent = {pattern:?}`"),
            (Layout::Metrics, None) => "a `parent` that names it".to_owned(),
            // The configured name is that of the view.
            (Layout::Fits, pattern) => match pattern.and_then(|pattern| pattern.strip_prefix(FIT_PREFIX)) {
                Some(pattern) => format!("the line `parent = {pattern:?}`"),
                None => format!(
                    "a `parent` that names it without `{FIT_PREFIX}`, which its name must begin with,"
                ),
            },
        };
        let verb = if series.parent.is_some() { "correct `parent` with" } else { "add" };
        Some(
            problem(format!("{what}; {verb} {line} under [series.{}]", series.name))
                .with_statements(parent, Vec::new()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(key: &str, month: &str) -> Partition {
        Partition::new(key.to_owned(), month.parse().unwrap())
    }

    #[test]
    fn patterns_of_parents_are_found_from_their_names() {
        let first =
            |parent: &str, key: &str| candidates(parent, &partition(key, "2017-01")).into_iter().next();
        assert_eq!(first("reg_rate_eurusd", "eurusd").as_deref(), Some("reg_rate_{key}"));
        assert_eq!(first("reg_eurusd_2017", "eurusd").as_deref(), Some("reg_{key}_{yyyy}"));
        assert_eq!(first("all_rates", "eurusd").as_deref(), Some("all_rates"));
        assert_eq!(first("rates_a", "a").as_deref(), Some("rates_{key}"));
        assert_eq!(first("odd{name", "eurusd"), None);
    }
}
