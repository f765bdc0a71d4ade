//! [`FeatureScan`]: features of many partitions, read one partition at a time as they are consumed.

use std::sync::{Arc, Mutex};

use arrow_array::{ArrayRef, RecordBatch, StructArray};
use arrow_schema::{ArrowError, DataType, Field};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::ffi::{ArrayIterator, to_stream_pycapsule};
use rollfit_cli::OpenStores;
use rollfit_job::lock::lock;
use rollfit_job::stored_features::StoredState;

use super::batches::{features_schema, table_of};
use super::failure::ReadFailure;
use super::partitions::read;
use super::request::ReadRequest;

/// Features that are read as they are consumed, one partition at a time.
///
/// Polars, pyarrow, DuckDB and everything else that takes an Arrow stream consume it, as often as they like:
/// `pl.from_arrow(scan)`, `duckdb.sql("from scan")`. In a loop it gives a Table for each partition.
/// Memory holds one partition. Damage that is found on the way is an error of the consumer.
#[pyclass(frozen, module = "rollfit")]
pub(crate) struct FeatureScan {
    stores: Arc<OpenStores>,
    request: Arc<ReadRequest>,
    readable: Arc<Vec<StoredState>>,
}

/// The tables of a scan.
#[pyclass(frozen, module = "rollfit")]
pub(crate) struct FeatureScanIterator(Mutex<PartitionBatches>);

/// The rows of one partition after the other.
struct PartitionBatches {
    stores: Arc<OpenStores>,
    request: Arc<ReadRequest>,
    readable: Arc<Vec<StoredState>>,
    next: usize,
}

impl Iterator for PartitionBatches {
    type Item = Result<RecordBatch, ReadFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let stored = self.readable.get(self.next)?;
            self.next += 1;
            match read(&self.stores, &self.request, stored) {
                Ok(Some(batch)) if batch.num_rows() > 0 => return Some(Ok(batch)),
                Ok(_) => {}
                Err(failure) => {
                    // What comes after it would be rows with a hole before them.
                    self.next = usize::MAX;
                    return Some(Err(failure));
                }
            }
        }
    }
}

impl FeatureScan {
    pub(super) fn new(
        stores: Arc<OpenStores>,
        request: Arc<ReadRequest>,
        readable: Vec<StoredState>,
    ) -> Self {
        Self { stores, request, readable: Arc::new(readable) }
    }

    fn batches(&self) -> PartitionBatches {
        PartitionBatches {
            stores: self.stores.clone(),
            request: self.request.clone(),
            readable: self.readable.clone(),
            next: 0,
        }
    }
}

#[pymethods]
impl FeatureScan {
    /// The scan as an Arrow C stream, from the first partition on.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = features_schema(&self.request.names);
        let field = Arc::new(Field::new("", DataType::Struct(schema.fields().clone()), false));
        let arrays = self.batches().map(|batch| match batch {
            Ok(batch) => Ok(Arc::new(StructArray::from(batch)) as ArrayRef),
            Err(failure) => Err(ArrowError::ExternalError(failure.message().into())),
        });
        Ok(to_stream_pycapsule(py, Box::new(ArrayIterator::new(arrays, field)), requested_schema)?)
    }

    fn __iter__(&self) -> FeatureScanIterator {
        FeatureScanIterator(Mutex::new(self.batches()))
    }

    fn __repr__(&self) -> String {
        let columns = self.request.names.len();
        format!("<rollfit.FeatureScan: {} partitions, {columns} features>", self.readable.len())
    }
}

#[pymethods]
impl FeatureScanIterator {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        py.check_signals()?;
        let next = py.detach(|| lock(&self.0).next());
        next.map(|batch| {
            batch.map_err(PyErr::from).and_then(|batch| table_of(py, batch.schema(), vec![batch]))
        })
        .transpose()
    }
}
