//! [`HeldRows`]: what a follower remembers of a partition's source: its last rows, and how many there are before them.
//!
//! Invariants: all of it is of one look at the source. Where a later look shows the same last rows and the same counts, no row has
//! come or gone before the last ones, and no value of the last ones has changed.

use std::ops::Range;

use crate::store::SeriesRows;

/// How many of the last rows of each series are read again at each look.
pub(super) const REREAD_ROWS: usize = 120;

/// The last rows of each series of a partition that has features.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeldRows {
    /// The partition, and the rows before it that its windows reach.
    span_us: Range<i64>,
    /// Rows from here on are held.
    from_us: i64,
    /// Of each series how many rows there are in the span before.
    before: Vec<u64>,
    /// The held rows of each series.
    rows: Vec<SeriesRows>,
    /// The last instant that every series has. Rows after it may still be joined, and are all held.
    joined_last_us: i64,
}

impl HeldRows {
    /// Remembers `rows`, which are all that each series has within `span_us`.
    pub(super) fn new(span_us: Range<i64>, rows: Vec<SeriesRows>, joined_last_us: i64) -> Self {
        let before = vec![0; rows.len()];
        let mut held = Self { from_us: span_us.start, span_us, before, rows, joined_last_us };
        held.trim();
        held
    }

    /// The first instant of the rows that are held.
    pub(super) fn start_us(&self) -> i64 {
        self.from_us
    }

    /// The partition, and the rows before it that its windows reach.
    pub(super) fn span_us(&self) -> Range<i64> {
        self.span_us.clone()
    }

    /// Whether each series has so many rows that none before the span has to be read again.
    pub(super) fn is_long(&self) -> bool {
        self.rows.iter().all(|rows| rows.instants_us.len() >= REREAD_ROWS)
    }

    /// The most rows that are held of a series.
    pub(super) fn len(&self) -> usize {
        self.rows.iter().map(|rows| rows.instants_us.len()).max().unwrap_or(0)
    }

    /// How many rows each series has in the span once those of `latest` are held too.
    pub(super) fn counts_with(&self, latest: &[SeriesRows]) -> Vec<u64> {
        let series = self.counts(self.span_us.end).into_iter().zip(&self.rows).zip(latest);
        series.map(|((count, held), latest)| count + self.later(held, latest).len() as u64).collect()
    }

    /// The rows of `latest` in the span that come after those held of the series.
    fn later<'a>(&self, held: &SeriesRows, latest: &'a SeriesRows) -> Rows<'a> {
        let latest = Rows::from_series(latest).within(&self.span_us);
        held.instants_us.last().map_or(latest, |&last_us| latest.after(last_us))
    }

    /// How many rows each series has in the span before `until_us`, which isn't before the held rows.
    pub(super) fn counts(&self, until_us: i64) -> Vec<u64> {
        let held = |rows: &SeriesRows| Rows::from_series(rows).before(until_us).len() as u64;
        self.before.iter().zip(&self.rows).map(|(before, rows)| before + held(rows)).collect()
    }

    /// The first instant at which `latest`, all rows of each series from `latest_from_us` on, are others than those held, with
    /// more after the last of each series; none where they aren't.
    pub(super) fn difference_us(&self, latest: &[SeriesRows], latest_from_us: i64) -> Option<i64> {
        let from_us = self.from_us.max(latest_from_us);
        let series = self.rows.iter().zip(latest);
        let differences = series.map(|(held, latest)| {
            let latest = Rows::from_series(latest).within(&(from_us..self.span_us.end));
            Rows::from_series(held).within(&(from_us..self.span_us.end)).difference_us(latest)
        });
        differences.flatten().min()
    }

    /// The rows of `latest` in the span that come after the last joined one.
    pub(super) fn unjoined(&self, latest: &[SeriesRows]) -> Vec<SeriesRows> {
        let later =
            |rows| Rows::from_series(rows).before(self.span_us.end).after(self.joined_last_us).to_series();
        latest.iter().map(later).collect()
    }

    /// The instants of each series after the last joined one.
    pub(super) fn unjoined_us(&self) -> Vec<Vec<i64>> {
        let later = |rows| Rows::from_series(rows).after(self.joined_last_us).instants_us.to_vec();
        self.rows.iter().map(later).collect()
    }

    /// Remembers `latest`, which begins no later than the held rows and differs from them by nothing but later rows.
    pub(super) fn take(&mut self, latest: &[SeriesRows], joined_last_us: i64) {
        let later: Vec<Rows<'_>> =
            self.rows.iter().zip(latest).map(|(held, latest)| self.later(held, latest)).collect();
        for (held, later) in self.rows.iter_mut().zip(later) {
            held.instants_us.extend_from_slice(later.instants_us);
            held.values.extend_from_slice(later.values);
        }
        self.joined_last_us = joined_last_us;
        self.trim();
    }

    /// Keeps the last rows of each series, and all from the last joined one on.
    fn trim(&mut self) {
        let first_us = |rows: &SeriesRows| match rows.instants_us.len().checked_sub(REREAD_ROWS) {
            Some(first) => rows.instants_us.get(first).copied().unwrap_or(i64::MAX),
            None => self.from_us,
        };
        let firsts_us = self.rows.iter().map(first_us);
        let from_us = firsts_us.chain([self.joined_last_us]).min().unwrap_or(self.from_us).max(self.from_us);
        for (rows, before) in self.rows.iter_mut().zip(&mut self.before) {
            let gone = Rows::from_series(rows).before(from_us).len();
            *before += gone as u64;
            rows.instants_us.drain(..gone);
            rows.values.drain(..gone);
        }
        self.from_us = from_us;
    }
}

/// Some rows of a series.
#[derive(Clone, Copy)]
struct Rows<'a> {
    instants_us: &'a [i64],
    values: &'a [f64],
}

impl<'a> Rows<'a> {
    fn from_series(rows: &'a SeriesRows) -> Self {
        Self { instants_us: &rows.instants_us, values: &rows.values }
    }

    fn len(&self) -> usize {
        self.instants_us.len()
    }

    fn cut(self, range: Range<usize>) -> Self {
        Self { instants_us: &self.instants_us[range.clone()], values: &self.values[range] }
    }

    fn before(self, until_us: i64) -> Self {
        self.cut(0..self.instants_us.partition_point(|&us| us < until_us))
    }

    fn after(self, last_us: i64) -> Self {
        self.cut(self.instants_us.partition_point(|&us| us <= last_us)..self.len())
    }

    fn within(self, span_us: &Range<i64>) -> Self {
        let first = self.instants_us.partition_point(|&us| us < span_us.start);
        self.cut(first..self.len()).before(span_us.end)
    }

    /// The first instant at which `later` isn't this with more rows after it.
    fn difference_us(self, later: Self) -> Option<i64> {
        let is_same = |at: usize| {
            later.instants_us.get(at) == Some(&self.instants_us[at])
                && is_same_value(later.values[at], self.values[at])
        };
        let at = (0..self.len()).find(|&at| !is_same(at))?;
        later.instants_us.get(at).copied().min(Some(self.instants_us[at])).or(Some(self.instants_us[at]))
    }

    fn to_series(self) -> SeriesRows {
        SeriesRows { instants_us: self.instants_us.to_vec(), values: self.values.to_vec() }
    }
}

/// As digests have it: what is no number is the same whatever its bits.
fn is_same_value(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(instants_us: impl IntoIterator<Item = i64>) -> SeriesRows {
        let instants_us: Vec<i64> = instants_us.into_iter().collect();
        SeriesRows { values: instants_us.iter().map(|&us| us as f64).collect(), instants_us }
    }

    fn held(first: std::ops::Range<i64>, second: std::ops::Range<i64>) -> HeldRows {
        let joined_last_us = first.end.min(second.end) - 1;
        HeldRows::new(0..10_000, vec![rows(first), rows(second)], joined_last_us)
    }

    #[test]
    fn the_last_rows_are_held_and_the_others_counted() {
        let long = held(0..500, 0..500);
        assert_eq!((long.start_us(), long.len(), long.is_long()), (380, 120, true));
        assert_eq!(long.counts(380), [380, 380]);
        assert_eq!(long.counts(10_000), [500, 500]);
        let short = held(10..20, 0..20);
        assert_eq!((short.start_us(), short.len(), short.is_long()), (0, 20, false));
        assert_eq!(short.counts(0), [0, 0]);
    }

    #[test]
    fn what_one_series_is_ahead_of_another_is_held_however_much_it_is() {
        let apart = held(0..2000, 0..500);
        assert_eq!((apart.start_us(), apart.len()), (380, 1620));
        let never = HeldRows::new(0..10_000, vec![rows(0..500), rows(0..10)], 9);
        assert_eq!((never.start_us(), never.len()), (0, 500));
        let unjoined = HeldRows::new(0..10_000, vec![rows(0..500), rows(0..500)], 20);
        assert_eq!(unjoined.start_us(), 20);
    }

    #[test]
    fn later_rows_are_no_difference_and_everything_else_is() {
        let held = held(0..500, 0..495);
        let latest = || vec![rows(300..510), rows(300..505)];
        assert_eq!(held.difference_us(&latest(), 300), None);
        assert_eq!(held.difference_us(&[rows(300..500), rows(300..495)], 300), None, "no news");
        let changed = |change: fn(&mut Vec<SeriesRows>)| {
            let mut latest = latest();
            change(&mut latest);
            held.difference_us(&latest, 300)
        };
        assert_eq!(changed(|latest| latest[1].values[150] = 7.0), Some(450));
        assert_eq!(changed(|latest| latest[1].values[150] = f64::NAN), Some(450));
        assert_eq!(changed(|latest| latest[0].instants_us[150] = 451), Some(450));
        assert_eq!(changed(|latest| latest[0] = rows((300..510).filter(|us| *us != 450))), Some(450));
        assert_eq!(changed(|latest| latest[0] = rows((300..310).chain(375..499))), Some(499));
        assert_eq!(changed(|latest| latest[0] = rows([])), Some(375));
        assert_eq!(changed(|latest| latest[0].values[5] = 7.0), None, "a row before those held");
        let sparse = HeldRows::new(0..10_000, vec![rows((0..1000).step_by(2)); 2], 998);
        let more = |instants_us: Vec<i64>| {
            sparse.difference_us(&[rows(instants_us), rows((700..1000).step_by(2))], 700)
        };
        assert_eq!(more((700..1000).step_by(2).chain([1001]).collect()), None);
        let late = |us: i64| (700..us).step_by(2).chain([us]).chain((us + 1..1000).step_by(2)).collect();
        assert_eq!((more(late(901)), more(late(997))), (Some(901), Some(997)));
    }

    #[test]
    fn what_has_no_number_is_the_same_whatever_its_bits() {
        let mut nan = rows(0..10);
        nan.values[3] = f64::NAN;
        let held = HeldRows::new(0..100, vec![nan.clone()], 9);
        nan.values[3] = f64::from_bits(0xfff8_0000_0000_0001);
        assert_eq!(held.difference_us(&[nan.clone()], 0), None);
        nan.values[0] = -0.0;
        assert_eq!(held.difference_us(&[nan], 0), Some(0));
    }

    #[test]
    fn rows_taken_piece_by_piece_are_held_as_if_read_at_once() {
        let mut random = fastrand::Rng::with_seed(14);
        for _ in 0..200 {
            let start = random.i64(0..30);
            let gaps = random.i64(2..9);
            let all = [rows((start..600).filter(|us| us % gaps > 0)), rows((0..600).filter(|us| us % 7 > 0))];
            let upto = |end: i64| {
                all.each_ref().map(|rows| Rows::from_series(rows).before(end).to_series()).to_vec()
            };
            let joined_last = |rows: &[SeriesRows]| {
                let second = &rows[1].instants_us;
                rows[0].instants_us.iter().copied().filter(|us| second.contains(us)).max()
            };
            let mut next = 40;
            let mut held = HeldRows::new(0..1000, upto(next), joined_last(&upto(next)).unwrap());
            while next < 600 {
                next += random.i64(1..100);
                let latest = upto(next);
                assert_eq!(held.difference_us(&latest, 0), None);
                held.take(&latest, joined_last(&latest).unwrap());
            }
            let once = HeldRows::new(0..1000, all.to_vec(), joined_last(&all).unwrap());
            assert_eq!(held, once);
        }
    }

    #[test]
    fn rows_after_the_span_are_others() {
        let mut held = HeldRows::new(0..100, vec![rows(0..90); 2], 89);
        let latest = vec![rows(0..150), rows(0..99)];
        assert_eq!(held.difference_us(&latest, 0), None);
        assert_eq!(held.unjoined(&latest), [rows(90..100), rows(90..99)]);
        held.take(&latest, 98);
        assert_eq!(held.counts(100), [100, 99]);
    }
}
