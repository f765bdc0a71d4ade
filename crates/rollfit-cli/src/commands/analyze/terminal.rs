//! A [`Document`] for a terminal.
//!
//! Invariants: no line is wider than the terminal or than [`WIDTH_MAX`], except for a word that is, and nothing but text reaches the terminal,
//! whatever a record holds.

use textwrap::{Options, WordSeparator, WordSplitter, wrap};

use super::document::{Block, Document};
use super::tables::{Column, Table};
use super::words::{Fact, Form};
use crate::output;

/// The most columns of a terminal that are used.
pub(super) const WIDTH_MAX: usize = 100;
/// The fewest: with less, sentences are wrapped by the terminal.
const WIDTH_MIN: usize = 40;

/// The gap between two columns of a table.
const GAP: &str = "  ";

/// A last column narrower than this is put on lines of its own.
const LAST_COLUMN_MIN: usize = 28;

/// In place of a space that stays where it is. No text that is shown has it.
const SHIELDED: char = '\u{1f}';

/// A document as lines of text, for stdout.
pub(super) fn render_to_fit(document: &Document) -> String {
    render(document, output::terminal_columns().unwrap_or(WIDTH_MAX).clamp(WIDTH_MIN, WIDTH_MAX))
}

/// A document as lines of text of at most `width` columns.
pub(super) fn render(document: &Document, width: usize) -> String {
    let mut page = Page { text: String::new(), width };
    document.blocks.iter().for_each(|block| page.block(block));
    page.text.trim_end().to_owned()
}

/// Lines of text, as they are added.
struct Page {
    text: String,
    /// The most columns of a line.
    width: usize,
}

impl Page {
    fn block(&mut self, block: &Block) {
        match block {
            Block::Headline(text) => {
                self.line("FINDING");
                self.paragraph("", text);
            }
            Block::Heading(title) => self.heading(title),
            Block::Paragraph(text) => self.paragraph("", text),
            Block::Steps(steps) => {
                for (at, step) in steps.iter().enumerate() {
                    self.hanging(&format!("{}. ", at + 1), "   ", step);
                }
            }
            Block::Facts(facts) => self.facts("", facts),
            Block::Finding { rank, title, evidence, facts } => {
                if *rank > 1 {
                    self.line("");
                }
                self.hanging(&format!("{rank}. "), "   ", title);
                evidence.iter().for_each(|line| self.hanging("   - ", "     ", line));
                self.facts("   ", facts);
            }
            Block::Rows(table) => self.table(table),
            Block::Table { title, table } => {
                self.heading(title);
                self.table(table);
            }
        }
    }

    fn line(&mut self, line: &str) {
        let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        self.text.extend(line.trim_end().chars().map(shown));
        self.text.push('\n');
    }

    fn heading(&mut self, title: &str) {
        self.line("");
        self.line(&title.to_uppercase());
    }

    fn paragraph(&mut self, indent: &str, text: &str) {
        self.hanging(indent, indent, text);
    }

    /// Wraps `text` behind `first`, its further lines behind `next`.
    fn hanging(&mut self, first: &str, next: &str, text: &str) {
        if text.is_empty() {
            return self.line(first);
        }
        wrap(text, options(self.width, first, next)).iter().for_each(|line| self.line(line));
    }

    /// A command as a shell takes it from several lines: each but the last ends with a backslash, and no word is broken.
    fn command(&mut self, first: &str, next: &str, command: &str) {
        const CONTINUED: &str = " \\";
        let shielded = shielded(command);
        let lines = wrap(&shielded, options(self.width - CONTINUED.len(), first, next));
        for (at, line) in lines.iter().enumerate() {
            let ending = if at + 1 == lines.len() { "" } else { CONTINUED };
            self.line(&format!("{}{ending}", line.replace(SHIELDED, " ")));
        }
    }

    fn facts(&mut self, indent: &str, facts: &[Fact]) {
        let width = facts.iter().map(|fact| fact.label.len()).max().unwrap_or(0).max(10);
        let next = format!("{indent}{:width$}{GAP}", "");
        for fact in facts {
            let first = format!("{indent}{:<width$}{GAP}", fact.label);
            match fact.form {
                Form::Command => self.command(&first, &next, &fact.text),
                Form::Prose | Form::Code => self.hanging(&first, &next, &fact.text),
            }
        }
    }

    /// A table whose last column takes what width is left, or lines of its own where that is too little.
    fn table(&mut self, table: &Table) {
        let widths = widths(table);
        let Some((last, others)) = widths.split_last() else { return };
        let before: usize = others.iter().map(|width| width + GAP.len()).sum();
        let is_apart = before + last > self.width && before + LAST_COLUMN_MIN > self.width;
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

/// How lines are broken: between words, and not within one that has hyphens, such as a partition or a path.
fn options<'a>(width: usize, first: &'a str, next: &'a str) -> Options<'a> {
    let options = Options::new(width).initial_indent(first).subsequent_indent(next).break_words(false);
    options.word_separator(WordSeparator::AsciiSpace).word_splitter(WordSplitter::NoHyphenation)
}

/// A command whose spaces between single quotes are no places to wrap: a shell keeps what is between quotes as it is.
fn shielded(command: &str) -> String {
    let mut is_quoted = false;
    let shielded = command.chars().map(|c| {
        is_quoted ^= c == '\'';
        if is_quoted && c == ' ' { SHIELDED } else { c }
    });
    shielded.collect()
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
    use rollfit_analysis::Analysis;

    use super::*;
    use crate::commands::analyze::run_now::RunNow;
    use crate::commands::analyze::{example, words};

    fn text(analysis: &Analysis) -> String {
        render(&Document::new(analysis, RunNow::default()), WIDTH_MAX)
    }

    #[test]
    fn lines_are_as_wide_as_the_terminal_at_most() {
        for (analysis, width) in [example::full(), example::early(), example::bare()]
            .iter()
            .flat_map(|analysis| [40, 80, WIDTH_MAX].map(|width| (analysis, width)))
        {
            let text = render(&Document::new(analysis, RunNow::default()), width);
            let is_wide = |line: &&str| line.chars().count() > width && line.split_whitespace().count() > 2;
            assert_eq!(text.lines().find(is_wide), None);
        }
    }

    #[test]
    fn the_headline_and_every_remedy_are_there_with_their_figures() {
        let analysis = example::full();
        let text = text(&analysis);
        let in_one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for finding in &analysis.bottlenecks {
            assert!(in_one_line.contains(&words::title(finding)), "{text}");
            assert!(words::evidence(finding).iter().all(|evidence| in_one_line.contains(evidence)), "{text}");
        }
        for told in [
            "FINDING Fewer workers than would pay: 1 worker at once, about 4 would pay. Fixing this would make the job 2.9x",
            "run.workers = 1 (rollfit.toml, line 31)",
            "change run.workers = 1 -> run.workers = \"auto\"; the limit is then the cores",
            "gain 2.9x (2.6x–3.1x) faster",
            "whole job 3.9 h (3.6–4.3 h)",
            "3.1x (2.7x–3.4x) faster: the whole job in 3.6 h (3.3–4.1 h) instead of 11.2 h",
            "4.0 % less than estimated",
            "after 2.0 min: 6.0 min (5.5–6.7 min); actual: 5.9 min",
        ] {
            assert!(in_one_line.contains(told), "{told} is not in {text}");
        }
    }

    #[test]
    fn a_command_of_several_lines_can_be_typed_as_it_is() {
        let mut analysis = example::full();
        let long = "long-path/of/a/configuration".repeat(4);
        analysis.header.config = format!("/a/{long}/with a space/and-a-hyphen/rollfit.toml");
        let text = text(&analysis);
        let told = text.split_once("next run").unwrap().1.split_once("\n\n").unwrap().0;
        assert!(told.contains(" \\\n"), "{told}");
        let typed = told.replace("\\\n", " ");
        let command = format!("ROLLFIT_RUN__WORKERS=auto rollfit run --config '{}'", analysis.header.config);
        assert_eq!(typed.split_whitespace().collect::<Vec<_>>().join(" "), command);
    }

    #[test]
    fn what_a_record_holds_cannot_steer_the_terminal() {
        let mut analysis = example::full();
        analysis.header.host = "evil\u{1b}[2J\u{7}".to_owned();
        assert!(text(&analysis).chars().all(|c| c == '\n' || !c.is_control()));
    }
}
