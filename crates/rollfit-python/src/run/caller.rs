//! [`PythonCaller`]: the Python code that asked for a run: its signals, its logger, and what it sees of the progress.
//!
//! Invariant: Python is called on the thread that asked, and an exception of its code stops the run and is raised after it.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rollfit_cli::{LogMessage, RunCaller, RunPicture};

/// How progress is shown.
pub(crate) enum Display {
    Silent,
    /// On the terminal, by the command itself.
    Bar,
    /// A handle of a notebook's output.
    Notebook(Py<PyAny>),
    /// Called with a dict.
    Callback(Py<PyAny>),
}

impl Display {
    /// As `progress` asks: a flag or a callable; without it, what fits the process.
    pub(crate) fn new(py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        match progress.map(|progress| (progress, progress.extract::<bool>())) {
            Some((_, Ok(false))) => Ok(Self::Silent),
            None | Some((_, Ok(true))) => Ok(Self::fitting(py)),
            Some((progress, Err(_))) if progress.is_callable() => {
                Ok(Self::Callback(progress.clone().unbind()))
            }
            Some((progress, Err(_))) => Err(PyTypeError::new_err(format!(
                "progress takes True, False or a callable that gets a dict, not {progress}"
            ))),
        }
    }

    fn fitting(py: Python<'_>) -> Self {
        if let Some(handle) = notebook_output(py) {
            return Self::Notebook(handle);
        }
        let stderr = py.import("sys").and_then(|sys| sys.getattr("stderr"));
        let is_terminal = stderr.and_then(|stderr| stderr.call_method0("isatty")?.extract::<bool>());
        if is_terminal.unwrap_or(false) { Self::Bar } else { Self::Silent }
    }

    pub(crate) fn is_bar(&self) -> bool {
        matches!(self, Self::Bar)
    }
}

/// An output of the notebook's cell that can be changed; none outside of notebooks. IPython is not imported for that.
fn notebook_output(py: Python<'_>) -> Option<Py<PyAny>> {
    let modules = py.import("sys").ok()?.getattr("modules").ok()?;
    let ipython = modules.get_item("IPython").ok()?;
    let shell = ipython.call_method0("get_ipython").ok()?;
    // That of a terminal has none.
    shell.getattr("kernel").ok()?;
    let options = PyDict::new(py);
    options.set_item("raw", true).ok()?;
    options.set_item("display_id", true).ok()?;
    let display = py.import("IPython.display").ok()?.getattr("display").ok()?;
    let handle = display.call((plain(py, "rollfit: opening the stores").ok()?,), Some(&options)).ok()?;
    Some(handle.unbind())
}

/// Text as notebooks take it.
fn plain<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyDict>> {
    let bundle = PyDict::new(py);
    bundle.set_item("text/plain", text)?;
    Ok(bundle)
}

/// The Python code that asked for a run.
pub(crate) struct PythonCaller {
    display: Display,
    logger: Option<Py<PyAny>>,
    /// The first exception, which stops the run.
    error: Option<PyErr>,
    /// How often a stop is wanted, and the job does not know yet.
    stops: u32,
}

impl PythonCaller {
    pub(crate) fn new(display: Display) -> Self {
        Self { display, logger: None, error: None, stops: 0 }
    }

    /// What Python code raised meanwhile.
    pub(crate) fn into_error(self) -> Option<PyErr> {
        self.error
    }

    fn take(&mut self, done: PyResult<()>) {
        if let Err(error) = done {
            self.stops += 1;
            self.error.get_or_insert(error);
        }
    }

    fn logger<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(logger) = &self.logger {
            return Ok(logger.bind(py).clone());
        }
        let logger = py.import("logging")?.call_method1("getLogger", ("rollfit",))?;
        self.logger = Some(logger.clone().unbind());
        Ok(logger)
    }

    fn write(&mut self, py: Python<'_>, message: &LogMessage) -> PyResult<()> {
        let level = if message.is_warning { "warning" } else { "info" };
        // Its text is no format.
        self.logger(py)?.call_method1(level, ("%s", &message.text))?;
        Ok(())
    }

    fn picture(&self, py: Python<'_>, picture: &RunPicture) -> PyResult<()> {
        match &self.display {
            Display::Silent | Display::Bar => Ok(()),
            Display::Callback(callback) => {
                let figures = py.import("json")?.call_method1("loads", (&picture.json,))?;
                callback.call1(py, (figures,)).map(drop)
            }
            Display::Notebook(handle) => {
                let raw = PyDict::new(py);
                raw.set_item("raw", true)?;
                handle.call_method(py, "update", (plain(py, &picture.line)?,), Some(&raw)).map(drop)
            }
        }
    }
}

/// Runs the handlers of signals that arrived. They belong to the main thread: in others there are none.
fn check_signals(py: Python<'_>) -> PyResult<()> {
    py.check_signals()
}

impl RunCaller for PythonCaller {
    fn wants_to_stop(&mut self) -> bool {
        // Without an interpreter there is nobody left to work for.
        match Python::try_attach(check_signals) {
            Some(checked) => self.take(checked),
            None => self.stops += 1,
        }
        let wants = self.stops > 0;
        self.stops = self.stops.saturating_sub(1);
        wants
    }

    fn log(&mut self, message: &LogMessage) {
        if let Some(written) = Python::try_attach(|py| self.write(py, message)) {
            self.take(written);
        }
    }

    fn show(&mut self, picture: &RunPicture) {
        let has_raised = self.error.is_some();
        // One that raised is not called again; the line of a notebook says to the end how far the run got.
        if has_raised && matches!(self.display, Display::Callback(_)) {
            return;
        }
        if let Some(shown) = Python::try_attach(|py| self.picture(py, picture))
            && !has_raised
        {
            self.take(shown);
        }
    }
}
