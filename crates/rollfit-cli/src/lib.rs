//! The command `rollfit`, as a library so that other front ends can run it: [`run`] parses arguments, runs the command, prints an
//! error with its causes once, and returns the exit code that says how it went. [`EmbeddedRun`], [`PartitionTask`] and [`RunAnalysis`] are for
//! programs that do something else too: they set nothing for the process, print nothing, and return what happened.

mod allow_skipped;
mod args;
mod command_line;
mod commands;
mod config_path;
mod details;
mod embedded_run;
mod environment;
mod examples;
mod exit;
mod exposition;
mod follow;
mod format;
mod given_shard;
mod interrupt_echo;
mod job_arguments;
mod join_loss;
mod live;
mod logging;
mod machine;
mod max_lag;
mod metrics_file;
mod named_values;
mod open;
mod open_stores;
mod output;
mod partition_task;
mod paths;
mod pending_rows;
mod poll_interval;
mod progress;
mod record;
mod replace;
mod run_reporters;
mod screen;
mod selection_arguments;
mod share;
mod signals;
mod state_dir;
mod stores;
mod style;
mod table_layout;
mod task_result;
mod trace;
mod typed_time;
mod version;
mod view;

use std::ffi::OsString;

use clap::error::ErrorKind;

pub use crate::commands::analyze::RunAnalysis;
pub use crate::embedded_run::{EmbeddedRun, FinishedRun, RunCaller, RunPicture};
pub use crate::exit::{Exit, Failure};
pub use crate::logging::{LogMessage, keep_messages, take_messages};
pub use crate::machine::host_name;
pub use crate::open_stores::OpenStores;
pub use crate::partition_task::{PartitionTask, TaskPartition};
pub use crate::task_result::{TaskEnd, TaskOutcome, TaskResult, summarize};

/// Runs the command that `arguments` asks for, the name of the program first, and returns its exit code. Sets the process's
/// logging, signal handlers, panic hook and limits: a process calls it once, and does nothing else.
pub fn run<T>(arguments: impl IntoIterator<Item = T>) -> u8
where
    T: Into<OsString> + Clone,
{
    let typed: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    style::choose(&typed);
    let arguments = match command_line::parse(&typed) {
        Ok(arguments) => arguments,
        Err(refused_or_help) => return print_clap(&refused_or_help, &typed),
    };
    logging::start(&arguments.global);
    logging::write_panics();
    signals::make_file_limits_errors();
    commands::run(&arguments).unwrap_or_else(|failure| report(&failure)).into()
}

/// Prints an error of the command line, or the help that was asked for.
fn print_clap(refused_or_help: &clap::Error, typed: &[OsString]) -> u8 {
    let is_json = typed.iter().any(|argument| argument == "--json");
    if is_json && refused_or_help.kind() == ErrorKind::DisplayVersion {
        let printed = output::json(&version::VersionDocument::new());
        return printed.map_or_else(|error| report(&error.into()), |()| Exit::Done).into();
    }
    style::choose_for_help(refused_or_help.use_stderr());
    // Nothing can be printed if the reader is gone.
    let _ = refused_or_help.print();
    if refused_or_help.use_stderr() && is_check(typed) {
        let text = refused_or_help.to_string();
        let first = text.lines().next().unwrap_or_default();
        return commands::check::refused(is_json, first.trim_start_matches("error: ")).into();
    }
    u8::try_from(refused_or_help.exit_code()).unwrap_or(Exit::Failed as u8)
}

/// Whether a command line that is refused is one of `check`, whose exit codes are those of monitoring plugins.
fn is_check(typed: &[OsString]) -> bool {
    let mut arguments = typed.iter().skip(1);
    while let Some(argument) = arguments.next() {
        if command_line::GLOBAL_WITH_VALUE.iter().any(|option| argument == option) {
            arguments.next();
        } else if !argument.as_encoded_bytes().starts_with(b"-") {
            return argument == "check";
        }
    }
    false
}

/// Prints why the command failed.
fn report(failure: &Failure) -> Exit {
    logging::error(failure.lines());
    failure.exit
}
