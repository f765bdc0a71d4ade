//! [`Lines`]: which line each bar came from, kept as runs of consecutive lines.
//!
//! A clean file of any length is one run, so that ten million bars can name their lines for a few bytes.

use std::ops::Range;

/// Line numbers of a list of bars, in the order of the bars.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    runs: Vec<Run>,
    len: usize,
    reversed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first_index: usize,
    first_line: u64,
}

impl Lines {
    /// Appends the line of the next bar.
    pub(crate) fn push(&mut self, line: u64) {
        self.push_run(line, 1);
    }

    /// Appends consecutive lines of the next bars.
    fn push_run(&mut self, first_line: u64, bars: usize) {
        let follows = self.runs.last().is_some_and(|run| run.line(self.len) == first_line);
        if !follows {
            self.runs.push(Run { first_index: self.len, first_line });
        }
        self.len += bars;
    }

    /// Appends the lines of the bars of `from` in this range.
    pub(crate) fn extend(&mut self, from: &Self, bars: Range<usize>) {
        let first_run = from.runs.partition_point(|run| run.first_index <= bars.start).saturating_sub(1);
        let mut at = bars.start;
        for (index, run) in from.runs.iter().enumerate().skip(first_run) {
            if at >= bars.end {
                break;
            }
            let run_end = from.runs.get(index + 1).map_or(from.len, |next| next.first_index).min(bars.end);
            self.push_run(run.line(at), run_end - at);
            at = run_end;
        }
    }

    /// Keeps the first lines only.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.runs.retain(|run| run.first_index < len);
        self.len = self.len.min(len);
    }

    /// Turns the order of the bars round, once all are there.
    pub(crate) fn reverse(&mut self) {
        self.reversed = !self.reversed;
    }

    /// The line of the bar at `index`; 0 for an index out of range.
    #[must_use]
    pub fn line(&self, index: usize) -> u64 {
        let index = if self.reversed && index < self.len { self.len - 1 - index } else { index };
        let after = self.runs.partition_point(|run| run.first_index <= index);
        let run = after.checked_sub(1).and_then(|at| self.runs.get(at));
        run.filter(|_| index < self.len).map_or(0, |run| run.line(index))
    }

    /// How many bars have a line.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Run {
    fn line(self, index: usize) -> u64 {
        self.first_line + (index - self.first_index) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_comes_back() {
        let lines = [2, 3, 4, 9, 10, 5, 6, 6, 7];
        let mut kept = Lines::default();
        lines.iter().for_each(|line| kept.push(*line));
        assert_eq!((0..lines.len()).map(|index| kept.line(index)).collect::<Vec<_>>(), lines);
        assert_eq!((kept.line(9), kept.len(), kept.runs.len()), (0, 9, 4));
    }

    #[test]
    fn lines_are_cut_and_turned_round() {
        let mut kept = Lines::default();
        [5, 6, 9, 12].iter().for_each(|line| kept.push(*line));
        kept.truncate(3);
        kept.reverse();
        assert_eq!((0..4).map(|index| kept.line(index)).collect::<Vec<_>>(), [9, 6, 5, 0]);
        assert_eq!((kept.len(), kept.runs.len()), (3, 2));
    }

    #[test]
    fn any_part_of_a_list_is_appended() {
        let lines = [2, 3, 4, 9, 10, 5, 6, 6, 7];
        let mut from = Lines::default();
        lines.iter().for_each(|line| from.push(*line));
        for (start, end) in (0..=9).flat_map(|start| (start..=9).map(move |end| (start, end))) {
            let (mut to, mut expected) = (Lines::default(), Lines::default());
            to.push(1);
            to.extend(&from, start..end);
            [1].iter().chain(&lines[start..end]).for_each(|line| expected.push(*line));
            assert_eq!(to, expected, "{start}..{end}");
        }
    }

    #[test]
    fn a_clean_file_is_one_run() {
        let mut kept = Lines::default();
        (2..10_000).for_each(|line| kept.push(line));
        assert_eq!((kept.runs.len(), kept.line(9_000)), (1, 9_002));
    }
}
