//! [`Document`]: an analysis as headings, paragraphs, lists and tables; a terminal and Markdown show the same one.

use rollfit_analysis::{Analysis, JoinedRuns};

use super::joined_tables;
use super::run_now::RunNow;
use super::tables::{self, Table};
use super::words::{self, Fact};
use crate::format::percent;

/// Blocks in order.
pub(super) struct Document {
    pub(super) blocks: Vec<Block>,
}

/// A part of a document.
pub(super) enum Block {
    /// What the document says, in a sentence or two.
    Headline(String),
    /// The heading of a section.
    Heading(&'static str),
    /// Text.
    Paragraph(String),
    /// What to do one after the other.
    Steps(Vec<String>),
    /// Labels with their texts.
    Facts(Vec<Fact>),
    /// A finding: its rank, what it is, what speaks for it, what to do about it.
    Finding { rank: usize, title: String, evidence: Vec<String>, facts: Vec<Fact> },
    /// A table that is always shown.
    Rows(Table),
    /// A table that is folded where that is possible.
    Table { title: &'static str, table: Table },
}

impl Document {
    /// All that an analysis says.
    pub(super) fn new(analysis: &Analysis, now: RunNow) -> Self {
        let mut blocks =
            vec![Block::Headline(words::headline(analysis, now)), Block::Facts(words::brief(analysis, now))];
        blocks.extend(findings(analysis));
        blocks.extend(combined(analysis));
        if let Some(compared) = &analysis.estimate_vs_observed {
            blocks.push(Block::Heading("Estimated and observed"));
            blocks.push(Block::Facts(words::estimate_vs_observed(compared)));
        }
        blocks.push(Block::Heading("The run"));
        blocks.push(Block::Facts(
            words::run(&analysis.header).into_iter().chain(words::outcome(analysis, now)).collect(),
        ));
        for (title, table) in tables::all(analysis) {
            let durations = analysis.durations.as_ref().filter(|_| title == tables::SLOWEST);
            blocks.push(Block::Table { title, table });
            blocks.extend(durations.map(|told| Block::Paragraph(words::durations(told, analysis))));
            if let (tables::SCALING, Some(worth)) = (title, &analysis.worth) {
                blocks.push(Block::Paragraph(words::worth(worth)));
            }
        }
        Self { blocks }
    }

    /// All that several records say together.
    pub(super) fn joined(joined: &JoinedRuns) -> Self {
        let mut blocks = vec![
            Block::Headline(words::joined::headline(joined)),
            Block::Facts(words::joined::brief(joined)),
        ];
        let tables = joined_tables::all(joined).into_iter();
        blocks.extend(tables.map(|(title, table)| Block::Table { title, table }));
        let over_time = joined_tables::timeline_briefly(joined);
        if !over_time.rows.is_empty() {
            blocks.push(Block::Table { title: "The whole over time", table: over_time });
        }
        blocks.extend([Block::Heading("The job"), Block::Facts(words::joined::job(joined))]);
        Self { blocks }
    }
}

fn findings(analysis: &Analysis) -> Vec<Block> {
    let finding = |(at, finding)| Block::Finding {
        rank: at + 1,
        title: format!("{}: {}", words::title(finding), percent(finding.impact)),
        evidence: words::evidence(finding),
        facts: words::facts(finding, analysis),
    };
    let findings: Vec<Block> = analysis.bottlenecks.iter().enumerate().map(finding).collect();
    let heading = (!findings.is_empty()).then_some(Block::Heading("What costs time, the costliest first"));
    heading.into_iter().chain(findings).collect()
}

fn combined(analysis: &Analysis) -> Vec<Block> {
    let Some(combined) = &analysis.combined else { return Vec::new() };
    let steps = tables::steps(analysis);
    vec![
        Block::Heading("All of it together"),
        Block::Paragraph(words::combined(combined)),
        if steps.rows.is_empty() { Block::Steps(words::steps(analysis)) } else { Block::Rows(steps) },
    ]
}
