//! The catalogue of metrics as Python sees it, and the version.

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use rollfit::Metric;

/// Adds `METRICS`, the names of all metrics in the order of the catalogue, and `__version__`.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let names = PyTuple::new(module.py(), Metric::ALL.iter().map(|metric| metric.name()))?;
    module.add("METRICS", names)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
