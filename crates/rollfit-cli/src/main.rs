//! The command `rollfit`. Parses arguments, runs the command, prints an error with its causes once, and exits with the
//! code that says how it went (see [`exit::Exit`]).

mod args;
mod commands;
mod exit;
mod logging;
mod machine;
mod open;
mod output;
mod progress;
mod signals;
#[allow(dead_code)] // Until what reads records is there.
mod state_dir;

use clap::Parser;

use crate::args::Arguments;
use crate::exit::{Exit, Failure};

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    logging::start(&arguments.global);
    let exit = commands::run(&arguments).unwrap_or_else(|failure| report(&failure));
    exit.into()
}

/// Tells why the command failed.
fn report(failure: &Failure) -> Exit {
    logging::error(&failure.to_string());
    failure.exit
}
