//! rollfit for Python: the module `rollfit._rollfit`, which the package `rollfit` shows.

use pyo3::prelude::*;

/// What the package `rollfit` is made of.
#[pymodule(gil_used = false)]
mod _rollfit {
    #[pymodule_export]
    use crate::command::run_command;
    #[pymodule_export]
    use crate::polars_plugin::_polars_kwargs;
}

mod command;
mod polars_plugin;
mod spec;
