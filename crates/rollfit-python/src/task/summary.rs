//! `rollfit.summarize`: the report of a job that an engine has done.

use pyo3::exceptions::{PyBaseException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rollfit_cli::TaskEnd;
use rollfit_job::partition::Partition;

use super::{JobPartition, PartitionResult};
use crate::error::{ErrorKind, from_failure};
use crate::run::RunReport;

/// The report of partitions that were done one by one, in the words of `rollfit run`.
///
/// Parameters
/// ----------
/// ends : dict of Partition to PartitionResult, exception or None
///     What came of each partition: what `run_partition` returned or raised, or None if it was not started.
///
/// Returns
/// -------
/// RunReport
///     As that of `rollfit.run`, with the same `exit_code`: 0 done, 1 some failed, 4 some were skipped, 130 some were not started. Its `seconds`
///     are those from the first beginning to the last end, by the clocks of the machines; there is no record.
#[pyfunction]
pub(crate) fn summarize(ends: &Bound<'_, PyDict>) -> PyResult<RunReport> {
    let ends = ends.iter().map(|(partition, end)| end_of(&partition, &end)).collect::<PyResult<Vec<_>>>()?;
    let finished = rollfit_cli::summarize(ends).map_err(|failure| from_failure(&failure))?;
    RunReport::new(finished)
}

fn end_of(partition: &Bound<'_, PyAny>, end: &Bound<'_, PyAny>) -> PyResult<(Partition, TaskEnd)> {
    let Ok(known) = partition.cast::<JobPartition>() else {
        return Err(PyTypeError::new_err(format!(
            "summarize takes a dict whose keys are Partitions, not {partition}"
        )));
    };
    let partition = known.get().partition().clone();
    if end.is_none() {
        return Ok((partition, TaskEnd::NotStarted));
    }
    if let Ok(result) = end.cast::<PartitionResult>() {
        let result = result.get().result();
        if result.partition != partition {
            let (found, wanted) = (&result.partition, &partition);
            return Err(ErrorKind::Other.error(format!("the result of {found} is given as that of {wanted}")));
        }
        return Ok((partition, TaskEnd::Ended(Box::new(result.clone()))));
    }
    if !end.is_instance_of::<PyBaseException>() {
        return Err(PyTypeError::new_err(format!(
            "summarize takes a PartitionResult, an exception or None for each partition, not {end}"
        )));
    }
    let cause = cause_of(&partition, end)?;
    Ok((partition, TaskEnd::Failed(cause)))
}

/// What an exception says, without the name of the partition, which the report has. Engines wrap exceptions, with their traceback as the message.
fn cause_of(partition: &Partition, error: &Bound<'_, PyAny>) -> PyResult<String> {
    let own = ErrorKind::Other.class(error.py())?;
    let wrapped = error.getattr("cause").ok().filter(|cause| cause.is_instance(&own).unwrap_or(false));
    let error = wrapped.as_ref().unwrap_or(error);
    let text = error.str()?.to_string();
    if !error.is_instance(&own)? {
        return Ok(format!("{}: {text}", error.get_type().name()?));
    }
    Ok(text.strip_prefix(&format!("{partition}: ")).unwrap_or(&text).to_owned())
}
