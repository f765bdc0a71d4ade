//! [`ErrorKind`]: the exceptions of rollfit, by what a caller can do about them, with the exit codes of the command.
//!
//! Wrong arguments of functions that work on columns are plain `ValueError` and `TypeError`.

use pyo3::exceptions::{PyException, PyUserWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCFunction, PyDict, PyTuple, PyType};
use rollfit_cli::{Exit, Failure};

/// The module that users find the exceptions in.
const MODULE: &str = "rollfit";

/// An exception of rollfit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// `RollfitError`: what every other one is, and what is none of them.
    Other,
    /// `ConfigError`: the configuration or an option is wrong.
    Config,
    /// `StoreError`: a store could not do what it was asked for.
    Store,
    /// `StoreUnreachableError`: there is no connection to a store.
    Unreachable,
    /// `PartitionError`: partitions failed, or are not there as they are needed.
    Partition,
    /// `RollfitWarning`: not an error; what the command says as a warning, where a caller of a function has to know.
    Warning,
}

/// The attribute of an exception that says something else about trying again than its class.
const RETRY: &str = "_retry";

static CLASSES: PyOnceLock<Vec<Py<PyType>>> = PyOnceLock::new();

impl ErrorKind {
    /// In the order of the variants.
    const ALL: [Self; 6] =
        [Self::Other, Self::Config, Self::Store, Self::Unreachable, Self::Partition, Self::Warning];

    /// Its name, its exit code, and its docstring.
    fn description(self) -> (&'static str, Option<Exit>, &'static str) {
        match self {
            Self::Other => (
                "RollfitError",
                Some(Exit::Failed),
                "What rollfit could not do. The message is the command's: what happened, where, what to do.\n\n\
                 `exit_code` is what the command would have ended with. `retry` says whether trying again can help: a store is away or busy, or \
                 another runner is at work.",
            ),
            Self::Config => (
                "ConfigError",
                Some(Exit::Usage),
                "The configuration or an option is wrong; also a ValueError. Correct it: trying again does not help.",
            ),
            Self::Store => (
                "StoreError",
                Some(Exit::Failed),
                "A store could not do what it was asked for: something in it is damaged, missing, full or not permitted.",
            ),
            Self::Unreachable => (
                "StoreUnreachableError",
                Some(Exit::Unreachable),
                "There is no connection to a store. Trying again later may help, and `retry` is True.",
            ),
            Self::Partition => (
                "PartitionError",
                Some(Exit::Failed),
                "Some partitions failed, or are not there as they are needed; all others are.\n\n\
                 `report` is the RunReport if `rollfit.run` raised this, and None otherwise.",
            ),
            Self::Warning => (
                "RollfitWarning",
                None,
                "Nothing failed, but something was not done as expected: partitions were skipped.",
            ),
        }
    }

    /// What it is a kind of.
    fn bases<'py>(self, py: Python<'py>, made: &[Py<PyType>]) -> PyResult<Bound<'py, PyTuple>> {
        let of = |kind: Self| made[kind as usize].bind(py).clone();
        match self {
            Self::Other => PyTuple::new(py, [py.get_type::<PyException>()]),
            Self::Config => PyTuple::new(py, [of(Self::Other), py.get_type::<PyValueError>()]),
            Self::Unreachable => PyTuple::new(py, [of(Self::Store)]),
            Self::Store | Self::Partition => PyTuple::new(py, [of(Self::Other)]),
            Self::Warning => PyTuple::new(py, [py.get_type::<PyUserWarning>()]),
        }
    }

    fn make(self, py: Python<'_>, made: &[Py<PyType>]) -> PyResult<Py<PyType>> {
        let (name, exit, doc) = self.description();
        let names = PyDict::new(py);
        names.set_item("__module__", MODULE)?;
        names.set_item("__doc__", doc)?;
        if let Some(exit) = exit {
            names.set_item("exit_code", u8::from(exit))?;
        }
        if matches!(self, Self::Other | Self::Unreachable) {
            names.set_item("retry", retry_property(py, self == Self::Unreachable)?)?;
        }
        if self == Self::Partition {
            names.set_item("report", py.None())?;
        }
        let class = py.get_type::<PyType>().call1((name, self.bases(py, made)?, names))?;
        Ok(class.cast_into::<PyType>()?.unbind())
    }

    fn classes(py: Python<'_>) -> PyResult<&Vec<Py<PyType>>> {
        CLASSES.get_or_try_init(py, || {
            Self::ALL.iter().try_fold(Vec::new(), |mut made, kind| {
                made.push(kind.make(py, &made)?);
                Ok(made)
            })
        })
    }

    /// The class.
    pub(crate) fn class(self, py: Python<'_>) -> PyResult<Bound<'_, PyType>> {
        Ok(Self::classes(py)?[self as usize].bind(py).clone())
    }

    /// An exception with this message.
    pub(crate) fn error(self, message: impl Into<String>) -> PyErr {
        let message = message.into();
        Python::attach(|py| match self.class(py) {
            Ok(class) => PyErr::from_type(class, (message,)),
            Err(error) => error,
        })
    }
}

/// The property `retry`, which is `usually` this. No attribute of the class, since Ray raises an instance of a class of its own, made of this one
/// and one whose instances look up in the exception what neither class has.
fn retry_property(py: Python<'_>, usually: bool) -> PyResult<Bound<'_, PyAny>> {
    let get = move |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| -> PyResult<bool> {
        arguments.get_item(0)?.getattr(RETRY).map_or(Ok(usually), |retry| retry.extract())
    };
    let get = PyCFunction::new_closure(py, Some(c"retry"), Some(c"Whether trying again can help."), get)?;
    py.import("builtins")?.getattr("property")?.call1((get,))
}

/// The kind of exception for what a command failed with: that of its cause.
pub(crate) fn kind_of(failure: &Failure) -> ErrorKind {
    match failure.exit() {
        Exit::Usage => ErrorKind::Config,
        Exit::Unreachable => ErrorKind::Unreachable,
        _ if failure.is_of_store() => ErrorKind::Store,
        _ => ErrorKind::Other,
    }
}

/// The exception for what a command failed with: its lines, with the class of its cause.
pub(crate) fn from_failure(failure: &Failure) -> PyErr {
    error_of_kind(kind_of(failure), failure)
}

/// An exception of this kind for what a command failed with. What the class says of `retry` holds unless this failure is another case.
pub(crate) fn error_of_kind(kind: ErrorKind, failure: &Failure) -> PyErr {
    let error = kind.error(failure.lines().join("\n"));
    if failure.may_pass() && kind != ErrorKind::Unreachable {
        // An exception takes any attribute, and is pickled with it.
        let _ = Python::attach(|py| error.value(py).setattr(RETRY, true));
    }
    error
}

/// Adds the exceptions to the module.
pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    ErrorKind::ALL.iter().try_for_each(|kind| module.add(kind.description().0, kind.class(module.py())?))
}
