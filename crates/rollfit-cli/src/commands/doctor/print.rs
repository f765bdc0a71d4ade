//! A doctor's [`Report`] for people.

use std::io;

use rollfit_job::store::{Finding, Quantity, Words};

use super::{Report, StoreReport, Work};
use crate::commands::checks::empty_words;
use crate::format::{bytes, count, plural, time};
use crate::output::{self, ENTRIES_MAX, line, lines};

impl Report {
    pub(super) fn print(&self) -> io::Result<()> {
        for store in &self.stores {
            store.print()?;
        }
        self.work.print()?;
        for note in self.notes.iter().take(ENTRIES_MAX) {
            line(&format!("note: {note}"))?;
        }
        output::rest(self.notes.len(), "note")?;
        if self.problems.is_empty() {
            return line("\nA run can start.");
        }
        line(&format!("\n{}:", plural(self.problems.len(), "problem")))?;
        for problem in self.problems.iter().take(ENTRIES_MAX) {
            line(&format!("- {}", problem.what))?;
            problem.statements.iter().try_for_each(|statement| lines(&format!("    {statement};")))?;
        }
        output::rest(self.problems.len(), "problem")
    }
}

impl StoreReport {
    fn print(&self) -> io::Result<()> {
        let part = match (self.is_source, self.is_sink) {
            (true, true) => "source and sink",
            (true, false) => "source",
            _ => "sink",
        };
        line(&format!("{part}: {}", self.diagnosis.place))?;
        let mut is_after_facts = false;
        for finding in &self.diagnosis.findings {
            match finding {
                Finding::Fact(name, words) => line(&format!("  {name:<11} {}", shown(words)))?,
                Finding::Table { headings, rows, remark } => {
                    if is_after_facts {
                        line("")?;
                    }
                    let cells = |row: &Vec<Words>| row.iter().map(shown).collect();
                    let shown = rows.iter().take(ENTRIES_MAX).map(cells).collect::<Vec<_>>();
                    output::table(headings, &shown)?;
                    output::rest(rows.len(), "row")?;
                    if !remark.is_empty() {
                        line(remark)?;
                    }
                    line("")?;
                }
            }
            is_after_facts = matches!(finding, Finding::Fact(..));
        }
        if is_after_facts { line("") } else { Ok(()) }
    }
}

fn shown(words: &Words) -> String {
    let shown = |quantity: &Quantity| match quantity {
        Quantity::Text(text) => text.clone(),
        Quantity::Count(number) => count(*number),
        Quantity::Counted(number, noun) => plural(*number as usize, noun),
        Quantity::Bytes(number) => bytes(*number),
        Quantity::BytesPerS(rate) => format!("{}/s", bytes(*rate as u64)),
        Quantity::Seconds(seconds) => time(*seconds),
    };
    words.iter().map(shown).collect()
}

impl Work {
    fn print(&self) -> io::Result<()> {
        let uncounted = match self.uncounted {
            0 => String::new(),
            some => format!(", not counting the rows of {}", plural(some, "partition")),
        };
        line(&format!(
            "{}, {} without features{}: about {} rows, {} to write with {}{uncounted}",
            plural(self.partitions, "partition"),
            self.missing,
            empty_words(self.empty),
            count(self.rows),
            bytes(self.write_bytes),
            plural(self.workers, "worker")
        ))?;
        if let Some(seconds) = self.seconds_min {
            line(&format!("at least {} to send to the server; storing takes longer", time(seconds)))?;
        }
        if let Some(seconds) = self.seconds_as_last_run {
            line(&format!("about {} at the speed of the last run here", time(seconds)))?;
        }
        Ok(())
    }
}
