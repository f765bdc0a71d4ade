//! [`Proposal`]: the series that the tables of a store suggest, or why they suggest none.
//!
//! Tables with the same columns are a group, one series or several for as many keys as the group has tables. Groups whose names hold
//! the same keys are joined to one job. A table with a column of keys is a job of its own: see [`LongJob`].

use std::collections::{BTreeMap, BTreeSet};

use rollfit_job::few::few;
use rollfit_job::store::SurveyedTable;

use super::key_pattern::KeyPattern;
use super::long_job::LongJob;
use super::usable_table::{UsableTable, is_price};

/// Groups beyond the largest ones aren't looked at: a schema may have a thousand tables of as many kinds.
const GROUPS_MAX: usize = 50;

/// What a job could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    /// The keys, sorted.
    pub(super) keys: Vec<String>,
    /// Whether `keys = "all"` means these keys and no others.
    pub(super) is_all: bool,
    /// The series, in the order of their features.
    pub(super) series: Vec<ProposedSeries>,
    /// How many tables they are read from.
    pub(super) tables: usize,
    /// The tables that are left out, each with the reason.
    pub(super) left_out: Vec<(String, String)>,
}

/// A series of a [`Proposal`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProposedSeries {
    pub(super) name: String,
    /// The pattern of the source tables.
    pub(super) table: String,
    /// The column that tells the keys of the table apart; none where its name does.
    pub(super) key_column: Option<String>,
    pub(super) time: String,
    /// Whether the time column says that it is UTC.
    pub(super) is_utc: bool,
    pub(super) value: String,
    /// Further columns of numbers that the tables have.
    pub(super) others: Vec<String>,
}

/// Why a table with a column of keys is no part of a job of tables of one key each.
const IS_LONG: &str = "a column of it says whose row it is; --table proposes it alone";

/// Why no job is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoProposal {
    /// The reason, as a sentence without its end.
    pub(super) why: String,
    /// The tables that were looked at, each with what it has or lacks.
    pub(super) tables: Vec<(String, String)>,
}

/// Tables with the same columns.
pub(super) struct TableGroup {
    pub(super) first: UsableTable,
    is_utc: bool,
    pub(super) names: Vec<String>,
    patterns: Vec<KeyPattern>,
}

/// Groups that share keys, each with the pattern in which it does.
struct SharedKeys<'g> {
    groups: Vec<(&'g TableGroup, &'g KeyPattern)>,
    keys: BTreeSet<&'g String>,
}

impl Proposal {
    /// What `tables` suggest, of a store with tables of the names `all`; whether they are the ones that the user `named`.
    ///
    /// # Errors
    /// When no table can be read, or several could be but don't belong together.
    pub(super) fn new(tables: &[SurveyedTable], all: &[String], named: bool) -> Result<Self, NoProposal> {
        let (mut usable, mut left_out) = (Vec::new(), Vec::new());
        for table in tables {
            match UsableTable::new(table) {
                Ok(table) => usable.push(table),
                Err(why) => left_out.push((table.name.clone(), why)),
            }
        }
        if usable.is_empty() {
            let why =
                if tables.is_empty() { "there are no tables" } else { "no table can be read as a series" };
            return Err(NoProposal { why: why.to_owned(), tables: left_out });
        }
        let (long, groups): (Vec<TableGroup>, Vec<TableGroup>) =
            groups_of(&usable).into_iter().partition(|group| group.first.key_column.is_some());
        let job = best_job(&groups);
        // Several tables of one pattern are more than a table that happens to have a column of keys.
        if !long.is_empty() && job.as_ref().is_none_or(|job| job.tables() < 2) {
            return LongJob { tables: &long, others: &groups, named }.proposal(left_out);
        }
        left_out.extend(long.iter().flat_map(|group| group.described(IS_LONG)));
        let Some(job) = job else { return single_table(&groups, left_out) };
        if let Some(why) = job.doubt().filter(|_| !named) {
            return Err(NoProposal { why, tables: left_out });
        }
        let rivals =
            groups.iter().filter(|group| !job.groups.iter().any(|(of_job, _)| std::ptr::eq(*of_job, *group)));
        let (rivals, lesser): (Vec<&TableGroup>, Vec<&TableGroup>) =
            rivals.partition(|group| group.names.len() >= job.tables());
        if !rivals.is_empty() {
            return Err(ambiguous(&groups, left_out));
        }
        left_out.extend(lesser.iter().flat_map(|group| job.lesser(group)));
        left_out.extend(job.left_out());
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        Ok(job.proposal(&all, left_out))
    }
}

fn groups_of(usable: &[UsableTable]) -> Vec<TableGroup> {
    let mut by_columns: BTreeMap<_, Vec<&UsableTable>> = BTreeMap::new();
    for table in usable {
        by_columns.entry((&table.time, &table.key_column, &table.values)).or_default().push(table);
    }
    let mut groups: Vec<TableGroup> =
        by_columns.into_values().map(|tables| TableGroup::new(&tables)).collect();
    groups.sort_by(|a, b| b.names.len().cmp(&a.names.len()).then_with(|| a.names.cmp(&b.names)));
    groups
}

impl TableGroup {
    fn new(tables: &[&UsableTable]) -> Self {
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        Self {
            first: tables[0].clone(),
            // An import writes UTC, whatever the type of the column is.
            is_utc: tables.iter().all(|table| table.is_utc || imported_prefix(table).is_some()),
            patterns: KeyPattern::all_of(&names),
            names: names.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Its tables, each with what `why` says.
    pub(super) fn described(&self, why: &str) -> Vec<(String, String)> {
        self.names.iter().map(|name| (name.clone(), why.to_owned())).collect()
    }

    /// Its columns, for people.
    fn columns(&self) -> String {
        let values = self.first.values.iter().chain(&self.first.others);
        few(std::iter::once(&self.first.time).chain(values))
    }
}

/// The job that reads most tables; none where no name has a key.
fn best_job(groups: &[TableGroup]) -> Option<SharedKeys<'_>> {
    let groups = &groups[..groups.len().min(GROUPS_MAX)];
    let all = groups.iter().flat_map(|group| &group.patterns);
    all.map(|pattern| SharedKeys::around(pattern, groups)).max_by_key(SharedKeys::rank)
}

impl<'g> SharedKeys<'g> {
    /// The groups that have at least half of the keys of `pattern`.
    fn around(pattern: &'g KeyPattern, groups: &'g [TableGroup]) -> Self {
        let shared = |other: &KeyPattern| {
            let keys = other.names.keys().filter(|key| pattern.names.contains_key(*key)).count();
            (2 * keys >= other.names.len().max(pattern.names.len())).then_some(keys)
        };
        let best = |group: &'g TableGroup| {
            let known = group.patterns.iter().filter_map(|other| Some((shared(other)?, other)));
            known.max_by_key(|(keys, other)| (*keys, other.fixed_len())).map(|(_, other)| (group, other))
        };
        let mut groups: Vec<(&TableGroup, &KeyPattern)> = groups.iter().filter_map(best).collect();
        groups.sort_by_key(|&(group, _)| series_rank(group));
        let is_shared = |key: &&String| groups.iter().all(|(_, other)| other.names.contains_key(*key));
        Self { keys: pattern.names.keys().filter(is_shared).collect(), groups }
    }

    fn tables(&self) -> usize {
        self.groups.len() * self.keys.len()
    }

    /// More is better: tables first, then series. Of several keys the part that differs is the key; the only key is as long as it can be, but that the
    /// first word of a name that an import gives is none of it.
    fn rank(&self) -> (usize, usize, bool, isize, std::cmp::Reverse<String>) {
        let fixed: usize = self.groups.iter().map(|(_, pattern)| pattern.fixed_len()).sum();
        let fixed = isize::try_from(fixed).unwrap_or(isize::MAX);
        let of_import = |(group, pattern): &(&TableGroup, &KeyPattern)| {
            let prefix = imported_prefix(&group.first);
            prefix.is_some_and(|prefix| pattern.prefix == prefix && pattern.suffix.is_empty())
        };
        let length = if self.keys.len() > 1 { fixed } else { -fixed };
        let texts = self.groups.iter().map(|(_, pattern)| pattern.text()).collect();
        (
            self.tables(),
            self.groups.len(),
            self.groups.iter().all(of_import),
            length,
            std::cmp::Reverse(texts),
        )
    }

    /// Why it may be another job than it looks like: tables of one word in common and with prices each are as well two keys as two series.
    fn doubt(&self) -> Option<String> {
        let is_one_table = |(group, _): &(&TableGroup, &KeyPattern)| group.names.len() == 1;
        let is_import = |(group, _): &(&TableGroup, &KeyPattern)| imported_prefix(&group.first).is_some();
        let has_price =
            |(group, _): &(&TableGroup, &KeyPattern)| group.first.values.iter().any(|name| is_price(name));
        let is_doubtful = self.groups.len() > 1
            && self.groups.iter().all(is_one_table)
            && self.groups.iter().all(has_price)
            && !self.groups.iter().any(is_import);
        let tables = self
            .groups
            .iter()
            .map(|(group, _)| format!("{} ({})", group.names[0], group.first.values.join(", ")));
        is_doubtful.then(|| {
            format!(
                "{} may be keys whose columns have different names, or series of one key; name one table with --table, or each of \
                 them if they are series; keys need the same columns, which a view can give them",
                tables.collect::<Vec<_>>().join(" and ")
            )
        })
    }

    /// The tables of a group that is no part of the job, each with the reason.
    fn lesser(&self, group: &TableGroup) -> Vec<(String, String)> {
        let why = |name: &String| {
            let alike = self
                .groups
                .iter()
                .find(|(_, pattern)| pattern.fixed_len() > 0 && pattern.key_of(name).is_some());
            alike.map_or("it belongs to no key of the others".to_owned(), |(other, _)| {
                format!("it has {} where the others have {}", group.columns(), other.columns())
            })
        };
        group.names.iter().map(|name| (name.clone(), why(name))).collect()
    }

    /// The tables of keys that another group of the job lacks.
    fn left_out(&self) -> Vec<(String, String)> {
        let of_other_keys = |(_, pattern): &(&'g TableGroup, &'g KeyPattern)| {
            pattern
                .names
                .iter()
                .filter(|(key, _)| !self.keys.contains(key))
                .map(|(_, name)| name.clone())
                .collect()
        };
        let names = self.groups.iter().flat_map::<Vec<String>, _>(of_other_keys);
        names.map(|name| (name, "its key lacks a table of another series".to_owned())).collect()
    }

    fn proposal(&self, all: &[&str], left_out: Vec<(String, String)>) -> Proposal {
        let mut series: Vec<ProposedSeries> = Vec::new();
        for (group, pattern) in &self.groups {
            for value in &group.first.values {
                let name = series_name(value, &pattern.fixed_words(), &series);
                series.push(ProposedSeries::new(name, pattern.text(), group, value));
            }
        }
        // As the planner finds them among all tables.
        let is_whole = |key: &&str| {
            self.groups.iter().all(|(_, pattern)| {
                all.contains(&format!("{}{key}{}", pattern.prefix, pattern.suffix).as_str())
            })
        };
        let (_, first) = &self.groups[0];
        let found = all.iter().filter_map(|name| first.key_of(name)).filter(is_whole).count();
        Proposal {
            is_all: found == self.keys.len(),
            keys: self.keys.iter().map(|key| (*key).clone()).collect(),
            tables: self.tables(),
            series,
            left_out,
        }
    }
}

/// The prefix that an import gives tables with such columns.
fn imported_prefix(table: &UsableTable) -> Option<&'static str> {
    match (table.time.as_str(), table.values.as_slice()) {
        ("time", [value]) if value == "rate_index" => Some("m1_"),
        ("ts_utc", [value]) if value == "w15_bqx_return" => Some("bqx_"),
        _ => None,
    }
}

/// Where the series of a group come among those of others: an import's in their usual order, then by name.
fn series_rank(group: &TableGroup) -> (usize, &String) {
    let at = ["m1_", "bqx_"].iter().position(|prefix| imported_prefix(&group.first) == Some(*prefix));
    (at.unwrap_or(usize::MAX), &group.names[0])
}

impl ProposedSeries {
    pub(super) fn new(name: String, table: String, group: &TableGroup, value: &str) -> Self {
        let UsableTable { time, key_column, others, .. } = &group.first;
        Self {
            name,
            table,
            key_column: key_column.clone(),
            time: time.clone(),
            is_utc: group.is_utc,
            value: value.to_owned(),
            others: others.clone(),
        }
    }
}

/// A name for the series of a column, unlike those of `taken`.
pub(super) fn series_name(value: &str, fixed_words: &str, taken: &[ProposedSeries]) -> String {
    const CHARS_MAX: usize = 20;
    let plain = |text: &str| -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let text: String = text.chars().map(word).take(CHARS_MAX).collect();
        text.trim_matches('_').to_owned()
    };
    let known = match value {
        "rate_index" => "idx".to_owned(),
        "w15_bqx_return" => "bqx".to_owned(),
        other => plain(other),
    };
    let known = if known.is_empty() { "value".to_owned() } else { known };
    let joined = plain(&format!("{fixed_words}_{known}"));
    let numbered = (2..).map(|number| format!("{known}{number}"));
    let is_free = |name: &String| !taken.iter().any(|series| series.name == *name);
    let mut names = [known.clone(), joined].into_iter().chain(numbered);
    names.find(is_free).unwrap_or_default()
}

/// The proposal of the only usable table, whose name has no key.
fn single_table(groups: &[TableGroup], left_out: Vec<(String, String)>) -> Result<Proposal, NoProposal> {
    let [group] = groups else { return Err(ambiguous(groups, left_out)) };
    let [table] = group.names.as_slice() else { return Err(ambiguous(groups, left_out)) };
    let mut series: Vec<ProposedSeries> = Vec::new();
    for value in &group.first.values {
        series.push(ProposedSeries::new(series_name(value, "", &series), table.clone(), group, value));
    }
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let key: String = table.chars().map(word).take(40).collect();
    Ok(Proposal { keys: vec![key], is_all: false, series, tables: 1, left_out })
}

pub(super) fn ambiguous(groups: &[TableGroup], mut left_out: Vec<(String, String)>) -> NoProposal {
    let found = groups.iter().flat_map(|group| group.described(&format!("has {}", group.columns())));
    let mut tables: Vec<(String, String)> = found.collect();
    tables.append(&mut left_out);
    NoProposal { why: "several tables could be series and do not belong together".to_owned(), tables }
}

#[cfg(test)]
mod tests {
    use super::super::usable_table::tests::table;
    use super::*;

    const M1: [&str; 3] = ["t time", "n close", "n rate_index"];
    const BQX: [&str; 2] = ["z ts_utc", "n w15_bqx_return"];

    fn propose(tables: &[(&str, &[&str])]) -> Result<Proposal, NoProposal> {
        let names: Vec<String> = tables.iter().map(|(name, _)| (*name).to_owned()).collect();
        let tables: Vec<SurveyedTable> = tables.iter().map(|(name, columns)| table(name, columns)).collect();
        Proposal::new(&tables, &names, false)
    }

    /// The keys, whether they are all, and each series with its table and value.
    fn told(tables: &[(&str, &[&str])]) -> (Vec<String>, bool, Vec<String>) {
        let found = propose(tables).unwrap();
        let series = found.series.iter().map(|s| format!("{}: {} {}", s.name, s.table, s.value)).collect();
        (found.keys, found.is_all, series)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    #[test]
    fn the_tables_of_an_import_are_its_two_series_however_many_keys_there_are() {
        let series = texts(&["idx: m1_{key} rate_index", "bqx: bqx_{key} w15_bqx_return"]);
        assert_eq!(told(&[("bqx_a_b", &BQX), ("m1_a_b", &M1)]), (texts(&["a_b"]), true, series.clone()));
        let two: [(&str, &[&str]); 4] =
            [("bqx_eurusd", &BQX), ("bqx_x", &BQX), ("m1_eurusd", &M1), ("m1_x", &M1)];
        assert_eq!(told(&two), (texts(&["eurusd", "x"]), true, series));
        assert_eq!(
            told(&[("m1_eurusd", &M1)]),
            (texts(&["eurusd"]), true, texts(&["idx: m1_{key} rate_index"]))
        );
        // A key that has one of the two is left out.
        let found = propose(&[two[0], two[2], ("m1_y", &M1)]).unwrap();
        assert_eq!((found.keys, found.is_all, found.left_out.len()), (texts(&["eurusd"]), true, 1));
    }

    #[test]
    fn tables_of_ones_own_are_keys_or_series_by_their_columns() {
        let price: &[&str] = &["z ts", "n price"];
        assert_eq!(
            told(&[("AAPL", price), ("MSFT", price)]),
            (texts(&["AAPL", "MSFT"]), true, texts(&["price: {key} price"]))
        );
        assert_eq!(told(&[("AAPL", price)]), (texts(&["AAPL"]), true, texts(&["price: {key} price"])));
        let spread: &[&str] = &["z ts", "n spread"];
        assert_eq!(
            told(&[("p_aapl", price), ("p_msft", price), ("s_aapl", spread), ("s_msft", spread)]),
            (texts(&["aapl", "msft"]), true, texts(&["price: p_{key} price", "spread: s_{key} spread"]))
        );
        // One table of two series, and a second that is no key of the first.
        let both: &[&str] = &["z ts", "n a", "n b"];
        assert_eq!(
            told(&[("x_1", both), ("x_2", both), ("other", price)]),
            (texts(&["1", "2"]), true, texts(&["a: x_{key} a", "b: x_{key} b"]))
        );
        // A table that fits the pattern and has other columns would be a key.
        assert!(!told(&[("AAPL", price), ("MSFT", price), ("notes", &["o a"])]).1);
    }

    #[test]
    fn a_name_that_is_no_key_is_one_table_with_a_key_of_its_own() {
        assert_eq!(
            told(&[("цена \"x\"", &["z ts", "n Цена"])]),
            (texts(&["______x_"]), false, texts(&["value: цена \"x\" Цена"]))
        );
    }

    #[test]
    fn what_does_not_belong_together_is_left_to_the_user() {
        let error =
            propose(&[("orders", &["z at", "n amount"]), ("visits", &["z at", "n seconds"])]).unwrap_err();
        assert!(error.why.contains("do not belong together"), "{}", error.why);
        assert_eq!(error.tables[0], ("orders".to_owned(), "has at, amount".to_owned()));
        assert_eq!(propose(&[]).unwrap_err().why, "there are no tables");
        let none = propose(&[("users", &["o name"])]).unwrap_err();
        assert_eq!(none.tables, [("users".to_owned(), "it has no timestamp".to_owned())]);
    }

    #[test]
    fn tables_of_prices_that_share_a_word_are_not_taken_for_series_of_one_key() {
        let close: &[&str] = &["z ts", "n close"];
        let price: &[&str] = &["z ts", "n price"];
        let why = propose(&[("bars_aapl", close), ("bars_msft", price)]).unwrap_err().why;
        assert!(why.starts_with("bars_aapl (close) and bars_msft (price) may be keys"), "{why}");
        let found = propose(&[("bars_aapl", close), ("bars_goog", close), ("bars_msft", price)]).unwrap();
        assert_eq!((found.keys, found.is_all), (texts(&["aapl", "goog"]), false));
        assert_eq!(found.left_out[0].1, "it has ts, price where the others have ts, close");
    }

    #[test]
    fn names_of_series_differ_and_are_short() {
        let same: &[&str] = &["z ts", "n X", "n x"];
        assert_eq!(told(&[("a", same)]).2.len(), 2);
        let found = propose(&[("a", &["z ts", "n a b", "n a-b", "n a.b"])]).unwrap();
        let names: BTreeSet<&String> = found.series.iter().map(|series| &series.name).collect();
        assert_eq!(names.len(), 3);
    }
}
