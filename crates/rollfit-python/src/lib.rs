//! rollfit for Python: the module `rollfit._rollfit`, which the package `rollfit` shows.

use pyo3::prelude::*;

/// What the package `rollfit` is made of.
#[pymodule(gil_used = false)]
mod _rollfit {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::accuracy::{bounds, fit};
    #[pymodule_export]
    use crate::analysis::{Analysis, analyze};
    #[pymodule_export]
    use crate::column::Column;
    #[pymodule_export]
    use crate::command::run_command;
    #[pymodule_export]
    use crate::dataset::{Dataset, FeatureExplanation, FeatureScan, LiveStream, open};
    #[pymodule_export]
    use crate::polars_plugin::_polars_kwargs;
    #[pymodule_export]
    use crate::rolling::rolling;
    #[pymodule_export]
    use crate::run::{PartitionProblem, RunReport, run};
    #[pymodule_export]
    use crate::stream::Stream;
    #[pymodule_export]
    use crate::table::Table;
    #[pymodule_export]
    use crate::task::{JobPartition, PartitionResult, close, partitions, run_partition, summarize};

    #[pymodule_init]
    fn add_made_at_import(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::error::add_to(module)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("METRICS", crate::accuracy::metrics(module.py())?)
    }
}

mod accuracy;
mod analysis;
mod block;
mod buffer;
mod column;
mod command;
mod compute;
mod dataset;
mod error;
mod input;
mod interruptible;
mod nearest_names;
mod polars_plugin;
mod rolling;
mod run;
mod spec;
mod stream;
mod table;
mod task;
