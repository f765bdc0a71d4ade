//! [`Analysis`]: `rollfit.analyze`, what limited a run, or several together, and what each fix would gain, as Python and notebooks show it.

use std::path::PathBuf;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use rollfit_cli::RunAnalysis;

use crate::error::{ErrorKind, from_failure};
use crate::run::RunReport;

/// Explains what limited a run and estimates what each fix would gain, as `rollfit analyze` does.
///
/// Parameters
/// ----------
/// run : RunReport, str or path, or a list of them, optional
///     A report of `rollfit.run`, a run's name or the beginning of one, the file of a record, or a configuration (a path that ends with
///     `.toml`). Without it the newest run. A list of several runners of one job, on one machine or several: they are analyzed together.
/// config : str or path, optional
///     The newest run of this configuration.
///
/// Returns
/// -------
/// Analysis
///     Shows itself in a notebook; `str()` is the text of the command, `to_dict()` its `--json`.
#[pyfunction]
#[pyo3(signature = (run=None, *, config=None))]
pub(crate) fn analyze(
    py: Python<'_>,
    run: Option<Bound<'_, PyAny>>,
    config: Option<PathBuf>,
) -> PyResult<Analysis> {
    let (run, config) = match (run, config) {
        (None, config) => (None, config),
        (Some(_), Some(_)) => {
            return Err(PyTypeError::new_err("analyze takes a run or a configuration, not both"));
        }
        (Some(run), None) if run.is_instance_of::<PyList>() || run.is_instance_of::<PyTuple>() => {
            return several(py, &run);
        }
        (Some(run), None) => meant(&run)?,
    };
    let opened = py.detach(|| RunAnalysis::open(run.as_deref(), config.as_deref()));
    Ok(Analysis(opened.map_err(|failure| from_failure(&failure))?))
}

/// Several runners of one job, together.
fn several(py: Python<'_>, runs: &Bound<'_, PyAny>) -> PyResult<Analysis> {
    let record = |run: PyResult<Bound<'_, PyAny>>| match meant(&run?)? {
        (Some(record), _) => Ok(record),
        _ => Err(PyTypeError::new_err("a list of runs has no configuration in it")),
    };
    let runs: Vec<PathBuf> = runs.try_iter()?.map(record).collect::<PyResult<_>>()?;
    let joined = py.detach(|| RunAnalysis::join(&runs));
    Ok(Analysis(joined.map_err(|failure| from_failure(&failure))?))
}

/// The run or the configuration that is meant.
fn meant(run: &Bound<'_, PyAny>) -> PyResult<(Option<PathBuf>, Option<PathBuf>)> {
    if let Ok(report) = run.cast::<RunReport>() {
        let record = report.get().record.clone().ok_or_else(|| {
            ErrorKind::Config.error(
                "this run left no record: all was done already, or the record could not be written; analyze(config=...) takes the \
                 newest run that has one",
            )
        })?;
        return Ok((Some(record), None));
    }
    let path: PathBuf = run.extract().map_err(|_| {
        PyTypeError::new_err(format!("analyze takes a RunReport, a text or a path, not {run}"))
    })?;
    let is_config = path.extension().is_some_and(|ending| ending == "toml");
    Ok(if is_config { (None, Some(path)) } else { (Some(path), None) })
}

/// What limited a run and what each fix would gain. `str(analysis)` is the text of `rollfit analyze`.
#[pyclass(frozen, module = "rollfit")]
pub(crate) struct Analysis(RunAnalysis);

#[pymethods]
impl Analysis {
    /// The run's name; of several the one that began first.
    #[getter]
    fn run(&self) -> &str {
        self.0.run()
    }

    /// The names of all runs, in order of their beginning.
    #[getter]
    fn runs(&self) -> Vec<&str> {
        self.0.runs()
    }

    /// All figures, as `rollfit analyze --json` prints them.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("json")?.call_method1("loads", (self.0.json(),))
    }

    /// Markdown, to paste into an issue.
    fn to_markdown(&self) -> String {
        self.0.markdown()
    }

    /// The page that `rollfit analyze --html` writes: whole, with charts, and loads nothing from anywhere.
    fn to_html(&self) -> String {
        self.0.html()
    }

    fn __str__(&self) -> String {
        self.0.text()
    }

    fn __repr__(&self) -> String {
        self.0.text()
    }

    /// The page in a frame of its own, so that its style stays there.
    fn _repr_html_(&self) -> String {
        let page = self.0.html().replace('&', "&amp;").replace('"', "&quot;");
        format!(
            "<iframe title=\"rollfit analyze\" sandbox=\"allow-scripts\" style=\"width:100%;height:640px;border:0;resize:vertical\" \
             srcdoc=\"{page}\"></iframe>"
        )
    }
}
