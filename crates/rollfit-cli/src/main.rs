//! The command `rollfit`. Parses arguments, runs the command, prints an error with its causes once, and exits with the
//! code that says how it went (see [`exit::Exit`]).

mod args;
mod audience;
mod commands;
mod details;
mod exit;
mod exposition;
mod format;
mod join_loss;
mod live;
mod logging;
mod machine;
mod metrics_file;
mod open;
mod output;
mod paths;
mod progress;
mod record;
mod replace;
mod screen;
mod signals;
mod state_dir;
mod stores;
mod trace;
mod view;

use clap::Parser;

use crate::args::Arguments;
use crate::exit::{Exit, Failure};

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    logging::start(&arguments.global);
    logging::write_panics();
    signals::make_file_limits_errors();
    let exit = commands::run(&arguments).unwrap_or_else(|failure| report(&failure));
    exit.into()
}

/// Tells why the command failed.
fn report(failure: &Failure) -> Exit {
    logging::error(failure.lines());
    failure.exit
}
