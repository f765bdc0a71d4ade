//! [`RunAnalysis`]: an analysis for the program around this library, in each of its forms.

use std::path::{Path, PathBuf};

use rollfit_analysis::{Analysis, JoinedRuns};
use rollfit_job::foreign;

use super::document::Document;
use super::run_now::RunNow;
use super::{html, joined, load, markdown, terminal};
use crate::exit::Failure;

/// What limited a run, or several runners of one job, and what each fix would gain.
#[derive(Debug)]
pub struct RunAnalysis(Analyzed);

#[derive(Debug)]
enum Analyzed {
    One(Box<Analysis>, RunNow),
    Several(Box<JoinedRuns>),
}

impl RunAnalysis {
    /// Analyzes a run: its name, the beginning of one, or the file of its record; without it the newest run of `config`, or of any.
    ///
    /// # Errors
    /// When there is no such run, and when its record cannot be read.
    pub fn open(run: Option<&Path>, config: Option<&Path>) -> Result<Self, Failure> {
        let (_, analysis, now) = load(run, config)?;
        Ok(Self(Analyzed::One(Box::new(analysis), now)))
    }

    /// Analyzes several runners of one job together, each by its run's name or the file of its record. One run, also where it is given
    /// several times, is analyzed as by [`RunAnalysis::open`].
    ///
    /// # Errors
    /// As [`RunAnalysis::open`], when there is none, and when they are not of one job.
    pub fn join(runs: &[PathBuf]) -> Result<Self, Failure> {
        match &joined::files(runs)?[..] {
            [] => Err(Failure::usage("no run is given to analyze")),
            [run] => Self::open(Some(run), None),
            files => Ok(Self(Analyzed::Several(Box::new(joined::join(files)?)))),
        }
    }

    /// The run's name; of several the one that began first.
    pub fn run(&self) -> &str {
        self.runs().first().copied().unwrap_or_default()
    }

    /// The names of all runs, in order of their beginning.
    pub fn runs(&self) -> Vec<&str> {
        match &self.0 {
            Analyzed::One(analysis, _) => vec![analysis.header.run.as_str()],
            Analyzed::Several(joined) => joined.runners.iter().map(|line| line.run.as_str()).collect(),
        }
    }

    /// As on a terminal.
    pub fn text(&self) -> String {
        foreign::lines(&terminal::render(&self.document(), terminal::WIDTH_MAX)).into()
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        foreign::lines(&markdown::render(&self.document())).into()
    }

    /// As a whole HTML page with charts, which loads nothing from anywhere.
    pub fn html(&self) -> String {
        match &self.0 {
            Analyzed::One(analysis, now) => html::render(analysis, *now),
            Analyzed::Several(joined) => html::render_joined(joined),
        }
    }

    /// As JSON.
    pub fn json(&self) -> String {
        let json = match &self.0 {
            Analyzed::One(analysis, _) => serde_json::to_string(analysis),
            Analyzed::Several(joined) => serde_json::to_string(joined),
        };
        foreign::json(&json.unwrap_or_default()).into()
    }

    fn document(&self) -> Document {
        match &self.0 {
            Analyzed::One(analysis, now) => Document::new(analysis, *now),
            Analyzed::Several(joined) => Document::joined(joined),
        }
    }
}
