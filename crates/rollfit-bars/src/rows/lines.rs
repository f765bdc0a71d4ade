//! [`Lines`]: which line each bar came from, kept as runs of consecutive lines.
//!
//! A clean file of any length is one run, so that ten million bars can name their lines for a few bytes.

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
        let follows = self.runs.last().is_some_and(|run| run.line(self.len) == line);
        if !follows {
            self.runs.push(Run { first_index: self.len, first_line: line });
        }
        self.len += 1;
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
    fn a_clean_file_is_one_run() {
        let mut kept = Lines::default();
        (2..10_000).for_each(|line| kept.push(line));
        assert_eq!((kept.runs.len(), kept.line(9_000)), (1, 9_002));
    }
}
