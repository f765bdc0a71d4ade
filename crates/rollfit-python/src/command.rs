//! The command `rollfit`, run in a Python process of its own.

use pyo3::prelude::*;

/// Runs the command with these arguments, the program's name first; returns its exit code.
///
/// It takes the process over: handlers of signals, limits and output are those of the command from then on.
#[pyfunction]
#[pyo3(name = "_run_command")]
pub(crate) fn run_command(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
    py.detach(|| rollfit_cli::run(arguments))
}
