//! [`Selection`]: which partitions of a job a command is about.
//!
//! Invariant: it only narrows a job. A partition belongs to it once, however many selectors match.

use std::collections::{HashMap, HashSet};

use crate::month::Month;
use crate::part_of_period::PartOfPeriod;
use crate::partition::Partition;
use crate::period::{Period, PeriodUnit};
use crate::selector::{Selector, SelectorError, check_order, is_within};

/// Partitions that any of several selectors match, all without any; of those the periods between a first and a last one.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    selectors: Vec<Selector>,
    /// Positions of the selectors that name one key, by that key: a list may have one for each partition.
    of_key: HashMap<String, Vec<usize>>,
    /// Positions of the others.
    of_patterns: Vec<usize>,
    from: Option<Period>,
    to: Option<Period>,
}

/// What a selection takes of some partitions.
#[derive(Debug)]
pub struct Selected<'a> {
    /// Those that are selected.
    pub partitions: Vec<Partition>,
    /// The selectors that match none of them, whatever their periods must be beside that.
    pub unmatched: Vec<&'a Selector>,
}

impl FromIterator<Selector> for Selection {
    fn from_iter<T: IntoIterator<Item = Selector>>(selectors: T) -> Self {
        let selectors: Vec<Selector> = selectors.into_iter().collect();
        let mut of_key: HashMap<String, Vec<usize>> = HashMap::new();
        let mut of_patterns = Vec::new();
        for (at, selector) in selectors.iter().enumerate() {
            match selector.key() {
                Some(key) => of_key.entry(key.to_owned()).or_default().push(at),
                None => of_patterns.push(at),
            }
        }
        Self { selectors, of_key, of_patterns, from: None, to: None }
    }
}

impl Selection {
    /// What `selectors` match, all without any, from the period `from` to the period `to`, both included.
    ///
    /// # Errors
    /// When `to` is before `from`.
    pub fn new(
        selectors: Vec<Selector>,
        from: Option<Period>,
        to: Option<Period>,
    ) -> Result<Self, SelectorError> {
        from.zip(to).map_or(Ok(()), |(first, last)| check_order(first, last))?;
        Ok(Self { from, to, ..selectors.into_iter().collect() })
    }

    /// Checks that it can be said of a job with periods of the unit `by` whether each is selected.
    ///
    /// # Errors
    /// [`SelectorError`] naming what to write.
    pub fn check_unit(&self, by: PeriodUnit) -> Result<(), SelectorError> {
        let at = |name: &str, bound: Option<Period>, checked: Result<(), PartOfPeriod>| {
            let selector = || format!("{name} {}", bound.map_or_else(String::new, |bound| bound.to_string()));
            checked.map_err(|part| SelectorError::Part { selector: selector(), part })
        };
        at("--from", self.from, self.from.map_or(Ok(()), |from| from.check_start(by)))?;
        at("--to", self.to, self.to.map_or(Ok(()), |to| to.check_end(by)))?;
        self.selectors.iter().try_for_each(|selector| selector.check_unit(by))
    }

    /// Whether it leaves out nothing.
    pub fn is_all(&self) -> bool {
        self.selectors.is_empty() && !self.is_bounded()
    }

    /// The selectors, as they were given.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// The first period and the last one, where they were given.
    pub fn bounds(&self) -> (Option<Period>, Option<Period>) {
        (self.from, self.to)
    }

    /// Whether `partition` is selected.
    pub fn matches(&self, partition: &Partition) -> bool {
        let period = partition.period;
        let mut selectors = self.selectors_of(&partition.key);
        is_within(period, self.from, self.to)
            && (self.selectors.is_empty() || selectors.any(|(_, selector)| selector.matches_period(period)))
    }

    /// Whether partitions of `key` may be selected.
    pub fn selects_key(&self, key: &str) -> bool {
        self.selectors.is_empty() || self.selectors_of(key).next().is_some()
    }

    /// Whether all partitions of `key` are selected.
    pub fn selects_whole_key(&self, key: &str) -> bool {
        let mut selectors = self.selectors_of(key);
        !self.is_bounded()
            && (self.selectors.is_empty() || selectors.any(|(_, selector)| selector.takes_all_periods()))
    }

    /// The last month of `key` that can be selected of a job with periods of the unit `by`; none where there is no last one.
    pub fn last_month(&self, key: &str, by: PeriodUnit) -> Option<Month> {
        let of_selectors: Option<Vec<Month>> =
            self.selectors_of(key).map(|(_, selector)| selector.last_month(by)).collect();
        let last = of_selectors.and_then(|months| months.into_iter().max());
        [last, self.to.map(Period::last_month)].into_iter().flatten().min()
    }

    /// The keys that it names, if it names each of its keys.
    pub(crate) fn named_keys(&self) -> Option<HashSet<&str>> {
        let is_named = !self.selectors.is_empty() && self.of_patterns.is_empty();
        is_named.then(|| self.of_key.keys().map(String::as_str).collect())
    }

    /// What it takes of `partitions`, in their order; those of a key are beside each other.
    pub fn select(&self, partitions: &[Partition]) -> Selected<'_> {
        let mut is_matched = vec![false; self.selectors.len()];
        let mut selected = Vec::new();
        for of_key in partitions.chunk_by(|a, b| a.key == b.key) {
            let selectors: Vec<(usize, &Selector)> = self.selectors_of(&of_key[0].key).collect();
            for partition in of_key {
                let period = partition.period;
                let mut is_selected = self.selectors.is_empty();
                for (at, _) in selectors.iter().filter(|(_, selector)| selector.matches_period(period)) {
                    is_matched[*at] = true;
                    is_selected = true;
                }
                if is_selected && is_within(period, self.from, self.to) {
                    selected.push(partition.clone());
                }
            }
        }
        let unmatched = self.selectors.iter().zip(is_matched).filter(|(_, is_matched)| !is_matched);
        let unmatched = unmatched.map(|(selector, _)| selector).collect();
        Selected { partitions: selected, unmatched }
    }

    /// The selectors that match a key, with their positions.
    fn selectors_of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = (usize, &'a Selector)> {
        let named = self.of_key.get(key).into_iter().flatten();
        let all = named.chain(&self.of_patterns).map(|&at| (at, &self.selectors[at]));
        all.filter(move |(_, selector)| selector.matches_key(key))
    }

    fn is_bounded(&self) -> bool {
        self.from.is_some() || self.to.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(selectors: &[&str], from: Option<&str>, to: Option<&str>) -> Selection {
        let month = |text: &str| text.parse().unwrap();
        let selectors = selectors.iter().map(|text| text.parse().unwrap()).collect();
        Selection::new(selectors, from.map(month), to.map(month)).unwrap()
    }

    /// Three months of three keys.
    fn partitions() -> Vec<Partition> {
        let months = |key: &'static str| {
            ["2017-01", "2017-02", "2017-03"].map(move |month| Partition::new(key, month.parse().unwrap()))
        };
        ["eurusd", "gbpusd", "usdjpy"].into_iter().flat_map(months).collect()
    }

    fn selected(selection: &Selection) -> Vec<String> {
        let of_all = selection.select(&partitions()).partitions;
        let one_by_one: Vec<Partition> =
            partitions().into_iter().filter(|partition| selection.matches(partition)).collect();
        assert_eq!(of_all, one_by_one);
        of_all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn any_selector_and_both_bounds_decide() {
        assert_eq!(selected(&selection(&[], None, None)).len(), 9);
        assert_eq!(
            selected(&selection(&["gbp*:2017-02..", "eurusd:2017-01"], None, None)),
            ["eurusd 2017-01", "gbpusd 2017-02", "gbpusd 2017-03"]
        );
        assert_eq!(
            selected(&selection(&["*usd"], Some("2017-02"), Some("2017-02"))),
            ["eurusd 2017-02", "gbpusd 2017-02"]
        );
        assert_eq!(selected(&selection(&[], Some("2017-03"), None)).len(), 3);
        assert_eq!(
            selected(&selection(&["eurusd", "eur*", "eurusd:2017-01", "eurusd"], None, None)).len(),
            3
        );
        assert!(Selection::new(Vec::new(), "2017-02".parse().ok(), "2017-01".parse().ok()).is_err());
    }

    #[test]
    fn selectors_without_a_match_are_told_and_bounds_are_not_their_fault() {
        let selection =
            selection(&["eurusd:2031-01", "eurusd", "x*", "nzdusd", "gbpusd"], None, Some("2016-01"));
        let Selected { partitions, unmatched } = selection.select(&partitions());
        assert_eq!(partitions, []);
        assert_eq!(
            unmatched.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["eurusd:2031-01", "x*", "nzdusd"]
        );
    }

    #[test]
    fn what_is_selected_of_a_key_is_known_without_its_partitions() {
        let last = |selection: &Selection, key| {
            selection.last_month(key, PeriodUnit::Month).map(|month| month.to_string())
        };
        let some = selection(&["eurusd:2017-01", "eur*:..2017-03", "gbpusd"], None, None);
        assert_eq!(last(&some, "eurusd").as_deref(), Some("2017-03"));
        assert_eq!((last(&some, "gbpusd"), last(&some, "usdjpy")), (None, None));
        assert!(some.selects_key("eurusd") && !some.selects_key("usdjpy"));
        assert!(some.selects_whole_key("gbpusd") && !some.selects_whole_key("eurusd"));
        assert_eq!(some.named_keys(), None, "a glob names none");

        let bounded = selection(&["gbpusd"], None, Some("2017-02"));
        assert_eq!(last(&bounded, "gbpusd").as_deref(), Some("2017-02"));
        assert!(!bounded.selects_whole_key("gbpusd") && !bounded.is_all());
        assert_eq!(bounded.named_keys(), Some(HashSet::from(["gbpusd"])));

        let all = Selection::default();
        assert!(all.is_all() && all.selects_whole_key("x") && all.named_keys().is_none());
    }

    #[test]
    fn bounds_within_a_period_of_the_job_are_refused() {
        let check = |selectors: &[&str], from, to, by| selection(selectors, from, to).check_unit(by);
        assert_eq!(check(&["a:2017"], Some("2016"), Some("2017-12"), PeriodUnit::Year), Ok(()));
        let error = check(&["a"], Some("2017-02"), None, PeriodUnit::Year).unwrap_err().to_string();
        assert!(error.contains("`--from 2017-02`: 2017-02 is only a part of 2017"), "{error}");
        let error = check(&["a"], None, Some("2017-02"), PeriodUnit::Quarter).unwrap_err().to_string();
        assert!(error.contains("`--to 2017-02`") && error.contains("write 2017-Q1"), "{error}");
    }

    #[test]
    fn a_hundred_thousand_selectors_are_looked_up_and_not_searched() {
        let months = || {
            let (first, last): (Month, Month) = ("2010-01".parse().unwrap(), "2018-04".parse().unwrap());
            first.through(last)
        };
        let all: Vec<Partition> = (0..1000)
            .flat_map(|key| months().map(move |month| Partition::new(format!("k{key:04}"), month.into())))
            .collect();
        assert_eq!(all.len(), 100_000);
        let list = |partition: &Partition| format!("{}:{}", partition.key, partition.period).parse().unwrap();
        let selection: Selection = all.iter().map(list).collect();
        let selected = selection.select(&all);
        assert_eq!((selected.partitions, selected.unmatched.len()), (all, 0));
    }
}
