//! The page of several records that are joined.

use maud::{Markup, html};
use rollfit_analysis::JoinedRuns;

use super::page::{definitions, folded, prose, table};
use super::{host_lanes, joined_throughput};
use crate::commands::analyze::joined_tables;
use crate::commands::analyze::words::joined as words;

pub(super) fn body(joined: &JoinedRuns) -> Markup {
    html! {
        header {
            p.eyebrow { "rollfit analyze" span.run { (joined.runners.len()) " runners" } }
            button #scheme type="button" { "Light or dark" }
            h1 { (prose(&words::headline(joined))) }
        }
        main {
            section.card { (definitions("facts", &words::brief(joined))) }
            section {
                h2 { "Where the time went" }
                (host_lanes::chart(joined))
                (joined_throughput::chart(joined))
                (folded("Figures: throughput over time", &joined_tables::timeline(&joined.timeline)))
            }
            @for (title, figures) in joined_tables::all(joined) { section { h2 { (title) } (table(&figures)) } }
            section { h2 { "The job" } (definitions("facts", &words::job(joined))) }
        }
        footer { "Written by rollfit " (env!("CARGO_PKG_VERSION")) " from the records of several runs. Times are those of each host's clock." }
    }
}
