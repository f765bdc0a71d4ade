//! A [`Document`] as Markdown, fit to paste into an issue: what to do is visible, long tables are folded.
//!
//! Invariants: what a record holds is text. It opens no tag, ends no cell and mentions nobody.

use super::document::{Block, Document};
use super::tables::Table;
use super::words::{self, Fact, Form};

/// A folded table has at most this many rows, so that an issue takes the text.
const ROWS_MAX: usize = 60;

/// A document as Markdown.
pub(super) fn render(document: &Document) -> String {
    let mut page = Page::default();
    document.blocks.iter().for_each(|block| page.add(block));
    page.text.trim_end().to_owned()
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// Something with an empty line after it.
    fn block(&mut self, markdown: &str) {
        self.text.push_str(markdown);
        self.text.push_str("\n\n");
    }

    fn add(&mut self, block: &Block) {
        match block {
            Block::Headline(text) => self.block(&format!("## {}", prose(text))),
            Block::Heading(title) => self.block(&format!("### {}", escaped(title))),
            Block::Paragraph(text) => self.block(&prose(text)),
            Block::Steps(steps) => {
                let steps = steps.iter().enumerate().map(|(at, step)| format!("{}. {}", at + 1, prose(step)));
                self.block(&steps.collect::<Vec<_>>().join("\n"));
            }
            Block::Facts(facts) => self.facts(facts),
            Block::Finding { rank, title, evidence, facts } => {
                self.block(&format!("#### {rank}. {}", prose(title)));
                let evidence: Vec<String> =
                    evidence.iter().map(|line| format!("- {}", prose(line))).collect();
                self.block(&evidence.join("\n"));
                self.facts(facts);
            }
            Block::Rows(table) => self.table(table),
            Block::Table { title, table } => self.folded(title, table),
        }
    }

    fn facts(&mut self, facts: &[Fact]) {
        if facts.is_empty() {
            return;
        }
        let text = |fact: &Fact| if fact.form == Form::Prose { prose(&fact.text) } else { code(&fact.text) };
        let rows = facts.iter().map(|fact| vec![fact.label.to_owned(), text(fact)]);
        self.rows(&["", ""], &[false, false], rows);
    }

    fn folded(&mut self, title: &str, table: &Table) {
        self.block(&format!("<details><summary>{}</summary>", escaped(title)));
        self.table(table);
        self.block("</details>");
    }

    fn table(&mut self, table: &Table) {
        let headings: Vec<&str> = table.columns.iter().map(|column| column.heading).collect();
        let are_numbers: Vec<bool> = table.columns.iter().map(|column| column.is_number).collect();
        let rows = table.rows.iter().take(ROWS_MAX);
        self.rows(&headings, &are_numbers, rows.map(|row| row.iter().map(|cell| prose(cell)).collect()));
        if table.rows.len() > ROWS_MAX {
            self.block(&format!("The first {ROWS_MAX} of {}.", table.rows.len()));
        }
    }

    /// A table of cells that are Markdown already.
    fn rows(&mut self, headings: &[&str], are_numbers: &[bool], rows: impl Iterator<Item = Vec<String>>) {
        let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
        let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
        let rule = |&is_number: &bool| if is_number { "---:" } else { "---" }.to_owned();
        let rules: Vec<String> = are_numbers.iter().map(rule).collect();
        let lines: Vec<String> =
            [headings, rules].into_iter().chain(rows).map(|cells| line(&cells)).collect();
        self.block(&lines.join("\n"));
    }
}

/// Text that means only itself, on one line.
fn escaped(text: &str) -> String {
    let mut markdown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => markdown.push_str("&amp;"),
            '<' => markdown.push_str("&lt;"),
            '>' => markdown.push_str("&gt;"),
            // An entity, because the user with the name after a plain one is notified, and a number is linked.
            '@' => markdown.push_str("&#64;"),
            '#' => markdown.push_str("&#35;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '!' => markdown.extend(['\\', c]),
            c if c.is_control() => markdown.push(' '),
            c => markdown.push(c),
        }
    }
    markdown
}

/// Text in which what is between backticks is code.
fn prose(text: &str) -> String {
    words::parts(text).map(|(is_code, part)| if is_code { code(part) } else { escaped(part) }).collect()
}

/// Text to be read letter by letter, in a cell. A tag, because in a cell a span of code may hold no bar.
fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::analyze::example;
    use crate::commands::analyze::run_now::RunNow;

    /// What an issue takes.
    const CHARACTERS_MAX: usize = 65_536;

    /// The cells of a table's line. A bar behind a backslash belongs to a cell.
    fn cells(line: &str) -> usize {
        line.replace("\\\\", "").replace("\\|", "").matches('|').count() - 1
    }

    #[test]
    fn every_line_of_a_table_has_as_many_cells_as_its_heading() {
        let mut analysis = example::full();
        analysis.header.host = "a|b\\|c".to_owned();
        analysis.header.sink = "one\ntwo".to_owned();
        let markdown = render(&Document::new(&analysis, RunNow::default()));
        let lines: Vec<&str> = markdown.lines().collect();
        let mut tables = 0;
        for block in lines.split(|line| line.is_empty()).filter(|block| block[0].starts_with('|')) {
            tables += 1;
            assert!(block[1].chars().all(|c| "|-: ".contains(c)), "{block:?}");
            assert!(block.iter().all(|line| cells(line) == cells(block[0])), "{block:?}");
        }
        assert_eq!(tables, 13);
    }

    #[test]
    fn what_a_record_holds_opens_no_tag_and_mentions_nobody() {
        let mut analysis = example::full();
        analysis.header.host = "<script>alert(1)</script>@octocat #1".to_owned();
        let markdown = render(&Document::new(&analysis, RunNow::default()));
        assert!(!markdown.contains("<script") && !markdown.contains("@octocat") && !markdown.contains("#1"));
        assert!(markdown.contains("&lt;script&gt;alert(1)&lt;/script&gt;&#64;octocat &#35;1"));
    }

    #[test]
    fn an_issue_takes_it_whatever_the_number_of_partitions() {
        let mut analysis = example::of_partitions(10_000, 16);
        let decision = analysis.decisions[2].clone();
        analysis.decisions.extend(std::iter::repeat_n(decision, 500));
        let markdown = render(&Document::new(&analysis, RunNow::default()));
        assert!(markdown.len() < CHARACTERS_MAX, "{}", markdown.len());
        assert!(markdown.contains("The first 60 of 503."));
    }
}
