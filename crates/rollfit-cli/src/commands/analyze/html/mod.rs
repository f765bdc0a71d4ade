//! An analysis as one HTML file: finding, remedies, charts and tables, light and dark, fit to print.
//!
//! Invariants: nothing is loaded from anywhere, and a policy inside the file says so to browsers: they run the script and
//! apply the style whose digests it names, and nothing else. What a record holds is text, escaped by the templates. The file
//! stays below a megabyte, whatever the number of partitions.

mod chart;
mod host_lanes;
mod joined_page;
mod joined_throughput;
mod lanes;
mod page;
mod slowest;
mod stages;
mod throughput;
mod workers;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use rollfit_analysis::{Analysis, JoinedRuns};
use sha2::{Digest, Sha256};

use super::run_now::RunNow;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// With more partitions than this the data in the file lacks them; `--json` has all.
const LANES_EMBEDDED_MAX: usize = 500;

/// The analysis as a file.
pub(super) fn render(analysis: &Analysis, now: RunNow) -> String {
    let title = format!("rollfit: run {}", analysis.header.run);
    whole(&title, &page::body(analysis, now), &data(analysis))
}

/// Several records as a file.
pub(super) fn render_joined(joined: &JoinedRuns) -> String {
    let title = format!("rollfit: {} runners", joined.runners.len());
    whole(&title, &joined_page::body(joined), &joined_data(joined))
}

/// A page with its body and its data.
fn whole(title: &str, body: &Markup, data: &Markup) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                (data)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    markup.into_string()
}

/// What a browser may do with the file.
fn policy() -> String {
    let digest = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(SCRIPT)
    )
}

/// The analysis for programs that read the file.
fn data(analysis: &Analysis) -> Markup {
    let embedded = Analysis {
        lanes: if analysis.lanes.len() > LANES_EMBEDDED_MAX { Vec::new() } else { analysis.lanes.clone() },
        ..analysis.clone()
    };
    embedded_data(&serde_json::to_string(&embedded).unwrap_or_default())
}

/// The same of several records; lanes are in the figure.
fn joined_data(joined: &JoinedRuns) -> Markup {
    let mut embedded = joined.clone();
    embedded.runners.iter_mut().for_each(|line| line.lane = Vec::new());
    embedded_data(&serde_json::to_string(&embedded).unwrap_or_default())
}

fn embedded_data(json: &str) -> Markup {
    // In JSON `<` stands in strings alone, where it may be written so; then nothing ends the element early.
    html! { script type="application/json" id="analysis" { (PreEscaped(json.replace('<', "\\u003c"))) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::analyze::example;

    const BYTES_MAX: usize = 1_000_000;

    #[test]
    fn the_file_stays_below_a_megabyte_whatever_the_number_of_partitions() {
        for (partitions, workers) in [(10_000, 1), (10_000, 16), (10_000, 64), (500, 16)] {
            let html = render(&example::of_partitions(partitions, workers), RunNow::default());
            assert!(html.len() < BYTES_MAX, "{partitions} on {workers}: {} bytes", html.len());
        }
    }

    #[test]
    fn what_a_record_holds_is_text_in_the_page_and_in_its_data() {
        let mut analysis = example::full();
        analysis.header.host = "</script><script>alert(1)</script>".to_owned();
        analysis.lanes[0].partition.key = "\"><img src=x onerror=alert(2)>".to_owned();
        analysis.slowest[0].partition.key = "<!--<script>".to_owned();
        let html = render(&analysis, RunNow::default());
        assert_eq!(html.matches("<script").count(), 2, "the data and ours");
        assert!(!html.contains("<img") && !html.contains("<!--"));
    }

    #[test]
    fn nothing_is_loaded_from_anywhere() {
        let html = render(&example::full(), RunNow::default());
        for reference in
            [" src=", "url(", "@import", "href=\"http", "<iframe", "<object", " style=", " onclick="]
        {
            assert!(!html.contains(reference), "{reference}");
        }
        assert!(html.contains("default-src 'none'"));
    }

    #[test]
    fn an_analysis_that_tells_nothing_is_a_page_all_the_same() {
        let html = render(&example::bare(), RunNow::default());
        assert!(
            html.contains("There was nothing to write, so the record does not show what limits the run.")
        );
        assert!(html.contains("The record has no samples."));
    }
}
