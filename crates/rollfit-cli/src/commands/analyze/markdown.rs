//! An analysis as Markdown, fit to paste into an issue: what to do stands open, long tables are folded.
//!
//! Holds true: what a record holds is text. It opens no tag, ends no cell and mentions nobody.

use rollfit_analysis::{Analysis, Bottleneck};
use rollfit_job::record::Header;

use super::facts::{self, Fact, Form};
use super::figures::share;
use super::tables::{self, Table};

/// A folded table has at most so many rows, lest an issue refuses the text.
const ROWS_MAX: usize = 60;

/// The analysis as Markdown.
pub(super) fn render(analysis: &Analysis) -> String {
    let mut page = Page::default();
    page.block(&format!("## {}", prose(&analysis.finding)));
    page.bottlenecks(&analysis.bottlenecks, &analysis.header);
    if let Some(combined) = &analysis.combined {
        page.block("### All of it together");
        page.block(&prose(&facts::combined(combined)));
        page.numbered(&combined.steps);
    }
    if let Some(predicted) = &analysis.predicted {
        page.block("### Predicted and observed");
        page.facts(&facts::predicted(predicted));
    }
    page.block("### The run");
    page.facts(&facts::run(&analysis.header).into_iter().chain(facts::outcome(analysis)).collect::<Vec<_>>());
    for (title, table) in tables::all(analysis) {
        page.folded(title, &table);
        if let (tables::SCALING, Some(worth)) = (title, &analysis.worth) {
            page.block(&prose(&facts::worth(worth)));
        }
    }
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

    fn bottlenecks(&mut self, bottlenecks: &[Bottleneck], header: &Header) {
        for (rank, bottleneck) in bottlenecks.iter().enumerate() {
            let title = prose(&facts::title(bottleneck));
            self.block(&format!("### {}. {title}: {}", rank + 1, share(bottleneck.impact)));
            let evidence: Vec<String> =
                bottleneck.evidence.iter().map(|line| format!("- {}", prose(line))).collect();
            self.block(&evidence.join("\n"));
            self.facts(&facts::bottleneck(bottleneck, header));
        }
    }

    fn numbered(&mut self, steps: &[String]) {
        let steps: Vec<String> =
            steps.iter().enumerate().map(|(at, step)| format!("{}. {}", at + 1, prose(step))).collect();
        self.block(&steps.join("\n"));
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
        let headings: Vec<&str> = table.columns.iter().map(|column| column.heading).collect();
        let are_numbers: Vec<bool> = table.columns.iter().map(|column| column.is_number).collect();
        let rows = table.rows.iter().take(ROWS_MAX);
        self.rows(&headings, &are_numbers, rows.map(|row| row.iter().map(|cell| prose(cell)).collect()));
        if table.rows.len() > ROWS_MAX {
            self.block(&format!("The first {ROWS_MAX} of {}.", table.rows.len()));
        }
        self.block("</details>");
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
            // An entity, because a name after a plain one is told that it was mentioned, and a number is linked.
            '@' => markdown.push_str("&#64;"),
            '#' => markdown.push_str("&#35;"),
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '!' => markdown.extend(['\\', c]),
            c if c.is_control() => markdown.push(' '),
            c => markdown.push(c),
        }
    }
    markdown
}

/// Text in which what stands between backticks is code.
fn prose(text: &str) -> String {
    facts::parts(text).map(|(is_code, part)| if is_code { code(part) } else { escaped(part) }).collect()
}

/// Text to be read letter by letter, in a cell. A tag, because in a cell a span of code may hold no bar.
fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::analyze::example;

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
        analysis.bottlenecks[0].title = "one\ntwo".to_owned();
        let markdown = render(&analysis);
        let lines: Vec<&str> = markdown.lines().collect();
        let mut tables = 0;
        for block in lines.split(|line| line.is_empty()).filter(|block| block[0].starts_with('|')) {
            tables += 1;
            assert!(block[1].chars().all(|c| "|-: ".contains(c)), "{block:?}");
            assert!(block.iter().all(|line| cells(line) == cells(block[0])), "{block:?}");
        }
        assert_eq!(tables, 10);
    }

    #[test]
    fn what_a_record_holds_opens_no_tag_and_mentions_nobody() {
        let mut analysis = example::full();
        analysis.header.host = "<script>alert(1)</script>@octocat #1".to_owned();
        let markdown = render(&analysis);
        assert!(!markdown.contains("<script") && !markdown.contains("@octocat") && !markdown.contains("#1"));
        assert!(markdown.contains("&lt;script&gt;alert(1)&lt;/script&gt;&#64;octocat &#35;1"));
    }

    #[test]
    fn an_issue_takes_it_whatever_the_number_of_partitions() {
        let mut analysis = example::of_partitions(10_000, 16);
        let decision = analysis.decisions[2].clone();
        analysis.decisions.extend(std::iter::repeat_n(decision, 500));
        let markdown = render(&analysis);
        assert!(markdown.len() < CHARACTERS_MAX, "{}", markdown.len());
        assert!(markdown.contains("The first 60 of 503."));
    }
}
