//! [`RunAnalysis`]: an analysis for the program around this library, in each of its forms.

use std::path::Path;

use rollfit_analysis::Analysis;
use rollfit_job::foreign;

use super::document::Document;
use super::run_now::RunNow;
use super::{html, load, markdown, terminal};
use crate::exit::Failure;

/// What limited a run, and what each fix would gain.
#[derive(Debug)]
pub struct RunAnalysis {
    analysis: Analysis,
    now: RunNow,
}

impl RunAnalysis {
    /// Analyzes a run: its name, the beginning of one, or the file of its record; without it the newest run of `config`, or of any.
    ///
    /// # Errors
    /// When there is no such run, and when its record cannot be read.
    pub fn open(run: Option<&Path>, config: Option<&Path>) -> Result<Self, Failure> {
        let (_, analysis, now) = load(run, config)?;
        Ok(Self { analysis, now })
    }

    /// The run's name.
    pub fn run(&self) -> &str {
        &self.analysis.header.run
    }

    /// As on a terminal.
    pub fn text(&self) -> String {
        foreign::lines(&terminal::render(&Document::new(&self.analysis, self.now))).into()
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        foreign::lines(&markdown::render(&Document::new(&self.analysis, self.now))).into()
    }

    /// As a whole HTML page with charts, which loads nothing from anywhere.
    pub fn html(&self) -> String {
        html::render(&self.analysis, self.now)
    }

    /// As JSON.
    pub fn json(&self) -> String {
        foreign::json(&serde_json::to_string(&self.analysis).unwrap_or_default()).into()
    }
}
