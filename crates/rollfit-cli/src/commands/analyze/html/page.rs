//! The page: what stands where.

use maud::{Markup, html};
use rollfit_analysis::{Analysis, Bottleneck, Combined, Predicted};
use rollfit_job::record::Header;

use super::chart::px;
use super::{lanes, slowest, stages, throughput, workers};
use crate::commands::analyze::facts::{self, Fact, Form};
use crate::commands::analyze::figures::share;
use crate::commands::analyze::tables::{self, Table};

pub(super) fn body(analysis: &Analysis) -> Markup {
    html! {
        header {
            p.eyebrow { "rollfit analyze" span.run { (analysis.header.run) } }
            button #scheme type="button" { "Light or dark" }
            h1 { (prose(&analysis.finding)) }
            (definitions("tiles", &facts::outcome(analysis)))
        }
        main {
            (bottlenecks(&analysis.bottlenecks, &analysis.header))
            @if let Some(combined) = &analysis.combined { (together(combined)) }
            @if let Some(predicted) = &analysis.predicted { (prediction(predicted)) }
            (over_time(analysis))
            (other_numbers(analysis))
            (rest(analysis))
        }
        footer { "Written by rollfit " (env!("CARGO_PKG_VERSION")) " from the record of a run. Times are UTC." }
    }
}

fn bottlenecks(bottlenecks: &[Bottleneck], header: &Header) -> Markup {
    html! {
        @if !bottlenecks.is_empty() {
            section {
                h2 { "What costs time" }
                @for (rank, bottleneck) in bottlenecks.iter().enumerate() { (card(rank + 1, bottleneck, header)) }
            }
        }
    }
}

fn card(rank: usize, bottleneck: &Bottleneck, header: &Header) -> Markup {
    html! {
        article.card {
            div.head {
                h3 { span.rank { (rank) } (prose(&facts::title(bottleneck))) }
                p.impact { strong { (share(bottleneck.impact)) } " of the time" }
            }
            svg.meter viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" {
                rect.all width="100" height="4" {}
                rect.part width=(px(bottleneck.impact.clamp(0.0, 1.0) * 100.0)) height="4" {}
            }
            ul { @for evidence in &bottleneck.evidence { li { (prose(evidence)) } } }
            (definitions("facts", &facts::bottleneck(bottleneck, header)))
        }
    }
}

fn together(combined: &Combined) -> Markup {
    html! {
        section.card.together {
            h2 { "All of it together" }
            p { (prose(&facts::combined(combined))) }
            ol { @for step in &combined.steps { li { (prose(step)) } } }
        }
    }
}

fn prediction(predicted: &Predicted) -> Markup {
    html! {
        section.card { h2 { "Predicted and observed" } (definitions("facts", &facts::predicted(predicted))) }
    }
}

fn over_time(analysis: &Analysis) -> Markup {
    html! {
        section {
            h2 { "Where the time went" }
            (stages::chart(analysis))
            (folded("Figures: activities", &tables::activities(&analysis.activities)))
            (lanes::chart(analysis))
            (throughput::chart(analysis))
            (folded("Figures: throughput over time", &tables::timeline(&analysis.timeline)))
            (folded("Decisions about the number of workers", &tables::decisions(&analysis.decisions)))
            (slowest::chart(analysis))
            (folded("Figures: slowest partitions", &tables::slices(&analysis.slowest)))
        }
    }
}

fn other_numbers(analysis: &Analysis) -> Markup {
    html! {
        section {
            h2 { "Other numbers of workers" }
            (workers::chart(analysis))
            @if let Some(worth) = &analysis.worth { p { (prose(&facts::worth(worth))) } }
            (table(&tables::scaling(&analysis.scaling)))
        }
    }
}

fn rest(analysis: &Analysis) -> Markup {
    let sections = [
        ("Resources", tables::resources(&analysis.resources)),
        ("Settings", tables::settings(&analysis.header)),
        ("Unavailable", tables::unavailable(&analysis.unavailable)),
    ];
    html! {
        @for (title, figures) in sections.iter().filter(|(_, table)| !table.rows.is_empty()) {
            section { h2 { (title) } (table(figures)) }
        }
        section { h2 { "The run" } (definitions("facts", &facts::run(&analysis.header))) }
    }
}

/// Text in which what stands between backticks is code.
fn prose(text: &str) -> Markup {
    html! { @for (is_code, part) in facts::parts(text) { @if is_code { code { (part) } } @else { (part) } } }
}

fn definitions(class: &str, facts: &[Fact]) -> Markup {
    html! {
        dl class=(class) {
            @for fact in facts {
                div { dt { (fact.label) } dd { @if fact.form == Form::Prose { (prose(&fact.text)) } @else { code { (fact.text) } } } }
            }
        }
    }
}

fn folded(title: &str, figures: &Table) -> Markup {
    html! { @if !figures.rows.is_empty() { details { summary { (title) } (table(figures)) } } }
}

fn table(table: &Table) -> Markup {
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
