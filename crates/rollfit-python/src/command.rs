//! The command `rollfit`, run in a Python process.

use pyo3::prelude::*;

/// Runs the command with these arguments, the program's name first; returns its exit code.
#[pyfunction]
#[pyo3(name = "_run_command")]
pub(crate) fn run_command(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
    let _ = (py, arguments);
    0
}
