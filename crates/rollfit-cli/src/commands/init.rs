//! `rollfit init`: a commented rollfit.toml to start from.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use rollfit_job::config::EXAMPLE;

use crate::args::{ConfigArguments, GlobalArguments};
use crate::config_path::{CONFIG_NAME, ConfigPath};
use crate::exit::{Exit, Failure};
use crate::{logging, output};

#[derive(serde::Serialize)]
struct InitDocument<'a> {
    config: &'a std::path::Path,
}

pub(super) fn run(global: &GlobalArguments, arguments: &ConfigArguments) -> Result<Exit, Failure> {
    // Here, even if there is one above: that is another job's.
    let path = &arguments.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG_NAME));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(EXAMPLE.as_bytes()));
    written.map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
    if let Some(above) = ConfigPath::above_here().filter(|_| arguments.config.is_none()) {
        logging::info(&format!("commands here use it from now on, no longer {}", above.display()));
    }
    if global.json {
        output::json(&InitDocument { config: path })?;
    } else {
        output::line(&format!("wrote {}: edit it, then `rollfit plan` shows what it means", path.display()))?;
    }
    Ok(Exit::Done)
}
