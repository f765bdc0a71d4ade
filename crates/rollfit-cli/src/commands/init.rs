//! `rollfit init`: a commented rollfit.toml to start from.

use std::fs::OpenOptions;
use std::io::Write;

use rollfit_job::spec::EXAMPLE;

use crate::args::ConfigArguments;
use crate::exit::{Exit, Failure};
use crate::output;

pub(super) fn run(arguments: &ConfigArguments) -> Result<Exit, Failure> {
    let path = &arguments.config;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(EXAMPLE.as_bytes()));
    written.map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
    output::line(&format!("wrote {}: edit it, then `rollfit plan` shows what it means", path.display()))?;
    Ok(Exit::Done)
}
