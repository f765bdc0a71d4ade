//! rollfit for Python: the module `rollfit._rollfit`, which the package `rollfit` shows.

use pyo3::prelude::*;

/// What the package `rollfit` is made of.
#[pymodule(gil_used = false)]
mod _rollfit {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::command::run_command;

    #[pymodule_init]
    fn add_made_at_import(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

mod command;
