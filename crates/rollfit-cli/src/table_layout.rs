//! [`TableLayout`]: where the cells of a table stand: side by side, and on a terminal that is too narrow for that on several lines.

/// The spaces between two columns, and before what continues a line.
const GAP: usize = 2;
/// The fewest columns in which a sentence can be read.
const SENTENCE_MIN: usize = 24;

/// Where the cells of each row stand. All rows have the same breaks, so that a column is found by its heading.
pub(crate) struct TableLayout {
    /// Of each column, its width.
    widths: Vec<usize>,
    /// The columns of each line: the first, and the one after the last.
    lines: Vec<(usize, usize)>,
    /// The width that the last column has to itself; none where it takes what it needs.
    last_width: Option<usize>,
}

impl TableLayout {
    /// The layout of a table on a terminal of `columns`, or on one that is wide enough.
    pub(crate) fn new(headings: &[&str], rows: &[Vec<String>], columns: Option<usize>) -> Self {
        let length = |text: &str| text.chars().count();
        let width = |at: usize| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| length(cell));
            cells.chain([length(headings[at])]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let Some(columns) = columns else {
            return Self { lines: vec![(0, widths.len())], widths, last_width: None };
        };
        let (mut lines, mut first, mut used) = (Vec::new(), 0, 0);
        for (at, &width) in widths.iter().enumerate() {
            let is_last = at + 1 == widths.len();
            let needed = if is_last { width.min(SENTENCE_MIN) } else { width };
            if at > first && used + needed > columns {
                lines.push((first, at));
                (first, used) = (at, GAP);
            }
            used += width + GAP;
        }
        lines.push((first, widths.len()));
        let indent = if lines.len() > 1 { GAP } else { 0 };
        let before: usize = widths[first..].iter().rev().skip(1).map(|width| width + GAP).sum();
        let last_width = columns.saturating_sub(indent + before).max(SENTENCE_MIN.min(columns));
        Self { widths, lines, last_width: Some(last_width) }
    }

    /// The lines of a row; `paint` gives a cell, padded already, its colour.
    pub(crate) fn lines(&self, row: &[String], paint: impl Fn(usize, String) -> String) -> Vec<String> {
        let mut text = Vec::with_capacity(self.lines.len());
        for &(first, end) in &self.lines {
            let indent = if first > 0 { GAP } else { 0 };
            let (mut line, mut used) = (" ".repeat(indent), indent);
            for (at, cell) in row.iter().enumerate().take(end).skip(first) {
                if at > first {
                    line.push_str(&" ".repeat(GAP));
                    used += GAP;
                }
                if at + 1 < self.widths.len() {
                    let width = self.widths[at];
                    line.push_str(&paint(at, format!("{cell:<width$}")));
                    used += width;
                    continue;
                }
                let mut parts = wrapped(cell, self.last_width.unwrap_or(usize::MAX)).into_iter();
                line.push_str(&paint(at, parts.next().unwrap_or_default()));
                for part in parts {
                    text.push(
                        std::mem::replace(&mut line, " ".repeat(used) + &paint(at, part))
                            .trim_end()
                            .to_owned(),
                    );
                }
            }
            text.push(line.trim_end().to_owned());
        }
        text
    }
}

/// A text in lines of at most `width` characters, parted between words; a longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        let last = lines.last_mut();
        match last.filter(|line| line.is_empty() || used + 1 + length <= width) {
            Some(line) => {
                if !line.is_empty() {
                    line.push(' ');
                    used += 1;
                }
                line.push_str(word);
                used += length;
            }
            None => {
                lines.push(word.to_owned());
                used = length;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: [&str; 4] = ["partition", "state", "rows", "cause"];

    fn shown(columns: Option<usize>) -> Vec<String> {
        let row = [
            "eurusd 2017-01",
            "definition-changed",
            "31,623",
            "boundary reset became carry, and the source has changed",
        ];
        let rows = vec![row.map(str::to_owned).to_vec()];
        let layout = TableLayout::new(&HEADINGS, &rows, columns);
        let headings: Vec<String> = HEADINGS.map(str::to_owned).to_vec();
        let lines = layout.lines(&headings, |_, cell| cell).into_iter();
        lines.chain(layout.lines(&rows[0], |_, cell| cell)).collect()
    }

    #[test]
    fn a_sentence_takes_the_lines_that_it_needs_beside_the_other_columns() {
        let wide = [
            "partition       state               rows    cause",
            "eurusd 2017-01  definition-changed  31,623  boundary reset became carry, and the source has changed",
        ];
        assert_eq!(shown(None), wide);
        assert_eq!(shown(Some(200)), wide);
        assert_eq!(
            shown(Some(80)),
            [
                wide[0],
                "eurusd 2017-01  definition-changed  31,623  boundary reset became carry, and the",
                "                                            source has changed",
            ]
        );
    }

    #[test]
    fn columns_continue_below_where_they_do_not_fit_and_no_word_is_lost() {
        assert_eq!(
            shown(Some(40)),
            [
                "partition       state",
                "  rows    cause",
                "eurusd 2017-01  definition-changed",
                "  31,623  boundary reset became carry,",
                "          and the source has changed",
            ]
        );
        for columns in 1..100 {
            let words: Vec<String> = shown(None).join(" ").split_whitespace().map(str::to_owned).collect();
            let narrow = shown(Some(columns)).join(" ");
            assert!(words.iter().all(|word| narrow.contains(word.as_str())), "{columns}: {narrow}");
        }
    }
}
