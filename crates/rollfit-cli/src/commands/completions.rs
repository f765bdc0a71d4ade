//! `rollfit completions`: the completions of a shell, printed.

use clap_complete::generate;

use crate::args::CompletionsArguments;
use crate::exit::{Exit, Failure};
use crate::{command_line, output};

/// What users type, whichever package it comes from.
const NAME: &str = "rollfit";

pub(super) fn run(arguments: &CompletionsArguments) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut command_line::command(), NAME, &mut script);
    output::raw(&script)?;
    Ok(Exit::Done)
}
