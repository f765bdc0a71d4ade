//! The page and the order of its sections.

use maud::{Markup, html};
use rollfit_analysis::{Analysis, CombinedGain, EstimateVsObserved, RankedCause};

use super::chart::px;
use super::{lanes, slowest, stages, throughput, workers};
use crate::commands::analyze::run_now::RunNow;
use crate::commands::analyze::tables::{self, Table};
use crate::commands::analyze::words::{self, Fact, Form};
use crate::format::percent;

pub(super) fn body(analysis: &Analysis, now: RunNow) -> Markup {
    html! {
        header {
            p.eyebrow { "rollfit analyze" span.run { (analysis.header.run) } }
            button #scheme type="button" { "Light or dark" }
            h1 { (prose(&words::headline(analysis, now))) }
            (definitions("tiles", &words::outcome(analysis, now)))
        }
        main {
            section.card { (definitions("facts", &words::brief(analysis, now))) }
            (bottlenecks(analysis))
            @if let Some(combined) = &analysis.combined { (together(combined, analysis)) }
            @if let Some(compared) = &analysis.estimate_vs_observed { (estimate(compared)) }
            (over_time(analysis))
            (other_numbers(analysis))
            (rest(analysis))
        }
        footer { "Written by rollfit " (env!("CARGO_PKG_VERSION")) " from the record of a run. Times are UTC." }
    }
}

fn bottlenecks(analysis: &Analysis) -> Markup {
    let bottlenecks = &analysis.bottlenecks;
    html! {
        @if !bottlenecks.is_empty() {
            section {
                h2 { "What costs time" }
                @for (rank, finding) in bottlenecks.iter().enumerate() { (card(rank + 1, finding, analysis)) }
            }
        }
    }
}

fn card(rank: usize, finding: &RankedCause, analysis: &Analysis) -> Markup {
    html! {
        article.card {
            div.head {
                h3 { span.rank { (rank) } (prose(&words::title(finding))) }
                p.impact { strong { (percent(finding.impact)) } " of the time" }
            }
            svg.meter viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
                rect.all width="100" height="4" {}
                rect.part width=(px(finding.impact.clamp(0.0, 1.0) * 100.0)) height="4" {}
            }
            ul { @for evidence in words::evidence(finding) { li { (prose(&evidence)) } } }
            (definitions("facts", &words::facts(finding, analysis)))
        }
    }
}

fn together(combined: &CombinedGain, analysis: &Analysis) -> Markup {
    let steps = tables::steps(analysis);
    html! {
        section.card.together {
            h2 { "All of it together" }
            p { (prose(&words::combined(combined))) }
            @if steps.rows.is_empty() { ol { @for step in words::steps(analysis) { li { (prose(&step)) } } } } @else { (table(&steps)) }
        }
    }
}

fn estimate(compared: &EstimateVsObserved) -> Markup {
    html! {
        section.card { h2 { "Estimated and observed" } (definitions("facts", &words::estimate_vs_observed(compared))) }
    }
}

fn over_time(analysis: &Analysis) -> Markup {
    html! {
        section {
            h2 { "Where the time went" }
            @if !is_short(analysis) { (stages::chart(analysis)) }
            (folded("Figures: activities", &tables::activities(analysis)))
            (lanes::chart(analysis))
            (folded("Figures: workers", &tables::workers(&analysis.worker_lines)))
            @if !is_short(analysis) { (throughput::chart(analysis)) }
            (folded("Figures: throughput over time", &tables::timeline(&analysis.timeline)))
            (folded("Decisions about the number of workers", &tables::decisions(&analysis.decisions)))
            (slowest::chart(analysis))
            @if let Some(durations) = &analysis.durations { p { (prose(&words::durations(durations, analysis))) "." } }
            (folded("Figures: slowest partitions", &tables::slices(&analysis.slowest)))
        }
    }
}

/// Whether the lanes of the workers show all there is: partitions and samples that can be counted on two hands.
fn is_short(analysis: &Analysis) -> bool {
    const POINTS: usize = 5;
    const PARTITIONS: usize = 10;
    let lanes = analysis.lanes.len();
    lanes > 0 && lanes <= PARTITIONS && analysis.timeline.len() <= POINTS
}

fn other_numbers(analysis: &Analysis) -> Markup {
    html! {
        section {
            h2 { "Other numbers of workers" }
            (workers::chart(analysis))
            @if let Some(worth) = &analysis.worth { p { (prose(&words::worth(worth))) } }
            (table(&tables::scaling(&analysis.scaling)))
        }
    }
}

fn rest(analysis: &Analysis) -> Markup {
    let sections = [
        ("Resources", tables::resources(analysis)),
        ("Settings", tables::settings(&analysis.header)),
        ("Unavailable", tables::unavailable(&analysis.unavailable)),
    ];
    html! {
        @for (title, figures) in sections.iter().filter(|(_, table)| !table.rows.is_empty()) {
            section { h2 { (title) } (table(figures)) }
        }
        section { h2 { "The run" } (definitions("facts", &words::run(&analysis.header))) }
    }
}

/// Text in which what is between backticks is code.
pub(super) fn prose(text: &str) -> Markup {
    html! { @for (is_code, part) in words::parts(text) { @if is_code { code { (part) } } @else { (part) } } }
}

pub(super) fn definitions(class: &str, facts: &[Fact]) -> Markup {
    html! {
        dl class=(class) {
            @for fact in facts {
                div { dt { (fact.label) } dd { @if fact.form == Form::Prose { (prose(&fact.text)) } @else { code { (fact.text) } } } }
            }
        }
    }
}

pub(super) fn folded(title: &str, figures: &Table) -> Markup {
    html! { @if !figures.rows.is_empty() { details { summary { (title) } (table(figures)) } } }
}

pub(super) fn table(table: &Table) -> Markup {
    let class = |at: usize| table.columns.get(at).filter(|column| column.is_number).map(|_| "number");
    html! {
        @if !table.rows.is_empty() {
            div.wide { table {
                thead { tr { @for (at, column) in table.columns.iter().enumerate() { th class=[class(at)] scope="col" { (column.heading) } } } }
                tbody { @for row in &table.rows { tr { @for (at, cell) in row.iter().enumerate() { td class=[class(at)] { (prose(cell)) } } } } }
            } }
        }
    }
}
