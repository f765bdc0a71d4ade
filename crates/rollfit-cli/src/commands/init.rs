//! `rollfit init`: a commented rollfit.toml to start from.

use std::fs::OpenOptions;
use std::io::Write;

use rollfit_job::config::EXAMPLE;

use crate::args::{ConfigArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(serde::Serialize)]
struct InitDocument<'a> {
    config: &'a std::path::Path,
}

pub(super) fn run(global: &GlobalArguments, arguments: &ConfigArguments) -> Result<Exit, Failure> {
    let path = &arguments.config;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(EXAMPLE.as_bytes()));
    written.map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
    if global.json {
        output::json(&InitDocument { config: path })?;
    } else {
        output::line(&format!("wrote {}: edit it, then `rollfit plan` shows what it means", path.display()))?;
    }
    Ok(Exit::Done)
}
