//! Instants as Python writes them: texts, `datetime`, `date`, pandas' and numpy's; all become microseconds since 1970, UTC.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rollfit_job::month::Month;

const FORMS: &str = "write a month \"2017-01\", a date \"2017-01-31\", or an instant \"2017-01-31T10:31Z\", or pass a datetime";

/// The instant that `value` means: its first microsecond where it is a month or a date. Without a zone it is UTC.
///
/// # Errors
/// `ValueError` or `TypeError` where it means none, or one between two microseconds.
pub(super) fn instant_us(value: &Bound<'_, PyAny>) -> PyResult<i64> {
    if let Ok(text) = value.cast::<PyString>() {
        return text_us(text.to_str()?);
    }
    let py = value.py();
    if value.hasattr(intern!(py, "dtype"))? && value.hasattr(intern!(py, "item"))? {
        return numpy_us(value);
    }
    let module = py.import(intern!(py, "datetime"))?;
    if value.is_instance(&module.getattr(intern!(py, "datetime"))?)? {
        return datetime_us(value);
    }
    if value.is_instance(&module.getattr(intern!(py, "date"))?)? {
        return text_us(&value.call_method0(intern!(py, "isoformat"))?.extract::<String>()?);
    }
    Err(PyTypeError::new_err(format!("{} is not an instant: {FORMS}", value.get_type().name()?)))
}

/// The `datetime` of an instant, in UTC.
pub(super) fn datetime(py: Python<'_>, instant_us: i64) -> PyResult<Bound<'_, PyAny>> {
    let module = py.import(intern!(py, "datetime"))?;
    let delta = module.getattr(intern!(py, "timedelta"))?.call1((0, 0, instant_us))?;
    epoch(py)?.add(delta)
}

fn epoch(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let module = py.import(intern!(py, "datetime"))?;
    let utc = module.getattr(intern!(py, "timezone"))?.getattr(intern!(py, "utc"))?;
    module.getattr(intern!(py, "datetime"))?.call1((1970, 1, 1, 0, 0, 0, 0, utc))
}

fn datetime_us(value: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = value.py();
    // pandas: NaT is a datetime, and a Timestamp has nanoseconds.
    if value.ne(value)? {
        return Err(PyValueError::new_err(format!("{value} is not an instant: {FORMS}")));
    }
    let nanoseconds = value.getattr(intern!(py, "nanosecond")).and_then(|ns| ns.extract::<i64>());
    if nanoseconds.is_ok_and(|ns| ns != 0) {
        return Err(too_fine(&value.str()?.to_string()));
    }
    let epoch = epoch(py)?;
    let aware = if value.getattr(intern!(py, "tzinfo"))?.is_none() {
        let arguments = pyo3::types::PyDict::new(py);
        arguments.set_item(intern!(py, "tzinfo"), epoch.getattr(intern!(py, "tzinfo"))?)?;
        value.call_method(intern!(py, "replace"), (), Some(&arguments))?
    } else {
        value.clone()
    };
    let since = aware.sub(epoch)?;
    let part = |name: &str| since.getattr(name)?.extract::<i64>();
    Ok((part("days")? * 86_400 + part("seconds")?) * 1_000_000 + part("microseconds")?)
}

/// A `datetime64`, whose unit may be finer.
fn numpy_us(value: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = value.py();
    let name = value.getattr(intern!(py, "dtype"))?.str()?.to_string();
    if !name.starts_with("datetime64") {
        return Err(PyTypeError::new_err(format!("{name} is not an instant: {FORMS}")));
    }
    if value.getattr(intern!(py, "ndim"))?.extract::<usize>()? > 0 {
        return Err(PyTypeError::new_err(format!("an array of {name} is not an instant: {FORMS}")));
    }
    let text = value.str()?.to_string();
    if text == "NaT" {
        return Err(PyValueError::new_err(format!("NaT is not an instant: {FORMS}")));
    }
    let astype = intern!(py, "astype");
    let micros = value.call_method1(astype, ("datetime64[us]",))?;
    // There and back: numpy takes the lowest bits of a year that is too large.
    let is_coarser = micros.call_method1(astype, (&name,))?.eq(value)?;
    if !is_coarser && micros.lt(value)? {
        return Err(too_fine(&text));
    }
    if !is_coarser {
        return Err(PyValueError::new_err(format!("{text} is not an instant: {FORMS}")));
    }
    micros.call_method1(intern!(py, "astype"), ("int64",))?.extract()
}

fn too_fine(text: &str) -> PyErr {
    PyValueError::new_err(format!("{text} lies between two microseconds; instants are microseconds"))
}

fn text_us(text: &str) -> PyResult<i64> {
    let error = || PyValueError::new_err(format!("\"{text}\" is not an instant: {FORMS}"));
    let text = text.trim();
    if let Ok(month) = text.parse::<Month>() {
        return Ok(month.span_us().start);
    }
    let instant = if is_date(text) {
        let date: Date = text.parse().map_err(|_| error())?;
        TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| error())?
    } else {
        match text.parse::<jiff::Timestamp>() {
            Ok(instant) => instant,
            // A text with a zone that is not one must not pass for one without.
            Err(_) if text.contains('[') => return Err(error()),
            Err(_) => {
                let naive: DateTime = text.parse().map_err(|_| error())?;
                TimeZone::UTC.to_timestamp(naive).map_err(|_| error())?
            }
        }
    };
    if instant.subsec_nanosecond() % 1000 != 0 {
        return Err(too_fine(text));
    }
    Ok(instant.as_microsecond())
}

fn is_date(text: &str) -> bool {
    text.len() == "2017-01-31".len() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}
