//! An analysis for a terminal: the finding first, then what to do, then the tables.
//!
//! Holds true: no line is wider than [`WIDTH`], except for a word that is, and nothing but text reaches the terminal,
//! whatever a record holds.

use rollfit_analysis::{Analysis, Bottleneck, Combined, Worth};
use rollfit_job::record::Header;
use textwrap::{Options, wrap};

use super::facts::{self, Fact, Form};
use super::figures::share;
use super::tables::{self, Column, Table};

/// Columns of the terminal that are used.
const WIDTH: usize = 100;

/// What stands between two columns of a table.
const GAP: &str = "  ";

/// A last column narrower than this is put on lines of its own.
const LAST_COLUMN_MIN: usize = 28;

/// The analysis as lines of text.
pub(super) fn render(analysis: &Analysis) -> String {
    let mut page = Page::default();
    page.finding(&analysis.finding);
    page.bottlenecks(&analysis.bottlenecks, &analysis.header);
    page.combined(analysis.combined.as_ref());
    if let Some(predicted) = &analysis.predicted {
        page.heading("Predicted and observed");
        page.facts("", &facts::predicted(predicted));
    }
    page.heading("The run");
    page.facts("", &facts::run(&analysis.header));
    page.facts("", &facts::outcome(analysis));
    for (title, table) in tables::all(analysis) {
        page.heading(title);
        page.table(&table);
        if title == tables::SCALING {
            page.worth(analysis.worth.as_ref());
        }
    }
    page.end()
}

/// Lines of text, as they are added.
#[derive(Default)]
pub(super) struct Page {
    text: String,
}

impl Page {
    /// All lines.
    pub(super) fn end(self) -> String {
        self.text.trim_end().to_owned()
    }

    fn line(&mut self, line: &str) {
        let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        self.text.extend(line.trim_end().chars().map(shown));
        self.text.push('\n');
    }

    pub(super) fn finding(&mut self, finding: &str) {
        self.line("FINDING");
        self.paragraph("", finding);
    }

    pub(super) fn heading(&mut self, title: &str) {
        self.line("");
        self.line(&title.to_uppercase());
    }

    pub(super) fn paragraph(&mut self, indent: &str, text: &str) {
        self.hanging(indent, indent, text);
    }

    /// Wraps `text` behind `first`, its further lines behind `next`.
    fn hanging(&mut self, first: &str, next: &str, text: &str) {
        self.wrapped(first, next, text, "");
    }

    /// As [`Page::hanging`], with `going_on` at the end of each line but the last.
    fn wrapped(&mut self, first: &str, next: &str, text: &str, going_on: &str) {
        if text.is_empty() {
            return self.line(first);
        }
        let options = Options::new(WIDTH - going_on.len()).initial_indent(first).subsequent_indent(next);
        let lines = wrap(text, options.break_words(false));
        for (at, line) in lines.iter().enumerate() {
            let is_last = at + 1 == lines.len();
            self.line(&format!("{line}{}", if is_last { "" } else { going_on }));
        }
    }

    pub(super) fn facts(&mut self, indent: &str, facts: &[Fact]) {
        let width = facts.iter().map(|fact| fact.label.len()).max().unwrap_or(0).max(10);
        let next = format!("{indent}{:width$}{GAP}", "");
        for fact in facts {
            // A shell takes a command of several lines where each but the last ends so.
            let going_on = if fact.form == Form::Command { " \\" } else { "" };
            self.wrapped(&format!("{indent}{:<width$}{GAP}", fact.label), &next, &fact.text, going_on);
        }
    }

    fn bottlenecks(&mut self, bottlenecks: &[Bottleneck], header: &Header) {
        if bottlenecks.is_empty() {
            return;
        }
        self.heading("What costs time, the costliest first");
        for (rank, bottleneck) in bottlenecks.iter().enumerate() {
            if rank > 0 {
                self.line("");
            }
            let first = format!("{}. ", rank + 1);
            self.hanging(
                &first,
                "   ",
                &format!("{}: {}", facts::title(bottleneck), share(bottleneck.impact)),
            );
            for evidence in &bottleneck.evidence {
                self.hanging("   - ", "     ", evidence);
            }
            self.facts("   ", &facts::bottleneck(bottleneck, header));
        }
    }

    fn combined(&mut self, combined: Option<&Combined>) {
        let Some(combined) = combined else { return };
        self.heading("All of it together");
        self.paragraph("", &facts::combined(combined));
        for (at, step) in combined.steps.iter().enumerate() {
            self.hanging(&format!("{}. ", at + 1), "   ", step);
        }
    }

    pub(super) fn worth(&mut self, worth: Option<&Worth>) {
        if let Some(worth) = worth {
            self.paragraph("", &facts::worth(worth));
        }
    }

    /// A table whose last column takes what width is left, or lines of its own where that is too little.
    pub(super) fn table(&mut self, table: &Table) {
        let widths = widths(table);
        let Some((last, others)) = widths.split_last() else { return };
        let before: usize = others.iter().map(|width| width + GAP.len()).sum();
        let is_apart = before + last > WIDTH && before + LAST_COLUMN_MIN > WIDTH;
        let headings: Vec<String> = table.columns.iter().map(|column| column.heading.to_owned()).collect();
        for (at, row) in std::iter::once(&headings).chain(&table.rows).enumerate() {
            let cells = row.iter().zip(others).zip(&table.columns);
            let line: String =
                cells.map(|((cell, &width), column)| padded(cell, width, column) + GAP).collect();
            let last = row.last().map_or("", String::as_str);
            if !is_apart {
                self.hanging(&line, &" ".repeat(before), last);
                continue;
            }
            self.hanging("", "    ", line.trim_end());
            if at > 0 && !last.is_empty() {
                self.paragraph("    ", last);
            }
        }
    }
}

fn widths(table: &Table) -> Vec<usize> {
    let width = |at: usize| {
        let cells = table.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([table.columns[at].heading.len()]).max().unwrap_or(0)
    };
    (0..table.columns.len()).map(width).collect()
}

fn padded(cell: &str, width: usize, column: &Column) -> String {
    if column.is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::analyze::example;

    #[test]
    fn lines_are_at_most_a_hundred_columns_wide() {
        for analysis in [example::full(), example::bare()] {
            let text = render(&analysis);
            let wide = text.lines().find(|line| line.chars().count() > WIDTH);
            assert_eq!(wide, None);
        }
    }

    #[test]
    fn the_finding_and_every_remedy_are_told_with_their_figures() {
        let analysis = example::full();
        let text = render(&analysis);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for bottleneck in &analysis.bottlenecks {
            assert!(words.contains(&bottleneck.title), "{text}");
            assert!(bottleneck.evidence.iter().all(|evidence| words.contains(evidence)), "{text}");
        }
        for told in [
            analysis.finding.as_str(),
            "run.workers = 1 (rollfit.toml, line 31)",
            "change workers = 1 -> workers = 4",
            "gain 2.90 times as fast (2.60–3.10)",
            "whole job 3.9 h (3.6–4.3 h)",
            "3.10 times as fast (2.70–3.40): the whole job in 3.6 h (3.3–4.1 h) instead of 11.2 h",
            "4.0% less than predicted",
        ] {
            assert!(words.contains(told), "{told} is not in {text}");
        }
    }

    #[test]
    fn a_command_of_several_lines_can_be_typed_as_it_is() {
        let mut analysis = example::full();
        let command =
            "rollfit run --config /a/long/path/of/a/configuration/rollfit.toml --only eurusd:2017-01 --force";
        analysis.bottlenecks[0].remedy.as_mut().unwrap().try_on_one = command.to_owned();
        let text = render(&analysis);
        let told = text.split_once("try on one").unwrap().1.split_once("\n\n").unwrap().0;
        assert!(told.contains(" \\\n"), "{told}");
        let typed = told.replace("\\\n", " ");
        assert_eq!(typed.split_whitespace().collect::<Vec<_>>().join(" "), command);
    }

    #[test]
    fn what_a_record_holds_cannot_steer_the_terminal() {
        let mut analysis = example::full();
        analysis.header.host = "evil\u{1b}[2J\u{7}".to_owned();
        assert!(render(&analysis).chars().all(|c| c == '\n' || !c.is_control()));
    }
}
