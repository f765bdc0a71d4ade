//! [`Explanation`]: one feature of one row, explained to people and programs.

use std::fmt::Write as _;

use arrow_array::RecordBatch;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rollfit_job::explanation::{Explanation as Explained, NoValueCause, StoredValue};
use rollfit_job::month::display_instant;
use rollfit_job::receipt::Receipt;

use super::batches::{inputs_schema, instants, table_of, values};
use super::instant::datetime;

/// Why a stored feature has its value, or none. Made by `Dataset.why`.
#[pyclass(frozen, module = "rollfit", name = "Explanation")]
pub(crate) struct FeatureExplanation {
    explained: Explained,
    series: String,
}

/// A receipt as a dict; None where there is none.
pub(super) fn receipt_dict<'py>(
    py: Python<'py>,
    receipt: Option<&Receipt>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(receipt) = receipt else { return Ok(None) };
    let text = serde_json::to_string(receipt).map_err(|error| PyValueError::new_err(error.to_string()))?;
    py.import("json")?.call_method1("loads", (text,)).map(Some)
}

/// A value; None for no value.
fn there(value: f64) -> Option<f64> {
    Some(value).filter(|value| !value.is_nan())
}

fn shown(value: f64) -> String {
    if value.is_nan() { "NULL".to_owned() } else { format!("{value:?}") }
}

impl FeatureExplanation {
    pub(super) fn new(explained: Explained, series: String) -> Self {
        Self { explained, series }
    }

    /// Why there is no value.
    fn reason(&self) -> Option<String> {
        let Explained { feature, instants_us, values, .. } = &self.explained;
        let window = &feature.window;
        Some(match self.explained.no_value.as_ref()? {
            NoValueCause::WarmUp { rows } => format!(
                "warm-up: window {} needs {} rows, and {rows} may be used up to this one",
                window.label,
                window.window.rows()
            ),
            NoValueCause::Input { rows } => {
                let first = rows.first().copied().unwrap_or_default();
                let what = match values.get(first) {
                    Some(value) if value.is_nan() => "no value".to_owned(),
                    Some(value) => format!("{value:e}, which is beyond 1e100 or not finite"),
                    None => String::new(),
                };
                let instant = instants_us.get(first).map(|&us| display_instant(us)).unwrap_or_default();
                let more = match rows.len() {
                    1 => String::new(),
                    several => format!(", the first of {several} such rows"),
                };
                format!("input: {} has {what} at {instant}{more}", self.series)
            }
            NoValueCause::Undefined => {
                format!("undefined: {} is not finite for this window", feature.metric.formula())
            }
            NoValueCause::Column => "column: the type of the store's column cannot hold the value".to_owned(),
        })
    }

    fn stored_text(&self) -> String {
        match self.explained.stored_value {
            StoredValue::Value(value) => shown(value),
            StoredValue::NoRow => "no such row".to_owned(),
            StoredValue::Unreadable => {
                format!("nothing of this job, since its partition is {}", self.state())
            }
        }
    }

    fn computed_text(&self) -> String {
        let bits = match self.explained.is_same_bits() {
            Some(true) if self.computed().is_none() => ", as stored",
            Some(true) => ", the same bits as stored",
            Some(false) if self.is_adopted() => ", other bits than stored: another program wrote them",
            Some(false) => ", OTHER BITS than stored",
            None => "",
        };
        match self.explained.computed {
            Some(value) => format!("{}{bits}", shown(value)),
            None => "the source has no such row".to_owned(),
        }
    }

    fn is_adopted(&self) -> bool {
        self.explained.stored.receipt.as_ref().is_some_and(|receipt| receipt.stored.adopted)
    }

    fn promise_text(&self) -> String {
        let Explained { promised, error_in_bounds, computed, .. } = &self.explained;
        match (promised, computed) {
            (Some(range), _) => {
                let (low, high) = (range.low.to_f64(), range.high.to_f64());
                let units = error_in_bounds.map(|units| format!(", error {units:.3} of the bound"));
                format!(
                    "{:?}, promised within [{low:?}, {high:?}]{}",
                    range.exact.to_f64(),
                    units.unwrap_or_default()
                )
            }
            (None, Some(value)) if value.is_nan() => "no value".to_owned(),
            (None, Some(_)) => {
                "no digits are promised: a denominator may be 0, or the window has more than 10,000 rows"
                    .to_owned()
            }
            (None, None) => "unknown".to_owned(),
        }
    }

    fn window_text(&self) -> String {
        let Explained { feature, instants_us, .. } = &self.explained;
        let span = match (instants_us.first(), instants_us.last()) {
            (Some(&first), Some(&last)) => {
                format!(
                    ", {} rows of {} from {} to {}",
                    instants_us.len(),
                    self.series,
                    display_instant(first),
                    display_instant(last)
                )
            }
            _ => String::new(),
        };
        format!("{} = {}{span}", feature.window.label, feature.window.window.rows())
    }

    fn receipt_text(&self) -> Option<String> {
        let receipt = self.explained.stored.receipt.as_ref()?;
        let (input, stored) = (&receipt.input, &receipt.stored);
        let adopted = if stored.adopted { ", adopted" } else { "" };
        Some(format!(
            "definition {}, {} rows written, {} rows before them used, digest {}, checksum {}{adopted}",
            receipt.definition.version, stored.rows, input.lookback_rows, input.digest, stored.checksum
        ))
    }

    /// What is told, a label and a text each.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let Explained { feature, stored, .. } = &self.explained;
        let state =
            format!("{}, {} ({})", stored.partition, stored.assessment.state, stored.assessment.cause);
        let mut lines = vec![
            ("stored", self.stored_text()),
            ("computed now", self.computed_text()),
            ("formula", feature.metric.formula().to_owned()),
            ("window", self.window_text()),
            ("exact", self.promise_text()),
            ("partition", state),
        ];
        if let Some(reason) = self.reason() {
            lines.insert(2, ("why NULL", reason));
        }
        lines.extend(self.receipt_text().map(|receipt| ("receipt", receipt)));
        lines
    }

    fn title(&self) -> String {
        let Explained { feature, stored, instant_us, .. } = &self.explained;
        format!("{} of {} at {}", feature.column, stored.partition.key, display_instant(*instant_us))
    }
}

#[pymethods]
impl FeatureExplanation {
    /// The key.
    #[getter]
    fn key(&self) -> &str {
        &self.explained.stored.partition.key
    }

    /// The row's instant, a datetime in UTC.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        datetime(py, self.explained.instant_us)
    }

    /// The feature's column.
    #[getter]
    fn column(&self) -> &str {
        &self.explained.feature.column
    }

    /// The stored value; None for NULL, and where `is_stored` is False.
    #[getter]
    fn stored(&self) -> Option<f64> {
        if let StoredValue::Value(value) = self.explained.stored_value { there(value) } else { None }
    }

    /// Whether the store has the row as a feature of this job.
    #[getter]
    fn is_stored(&self) -> bool {
        matches!(self.explained.stored_value, StoredValue::Value(_))
    }

    /// The value that the source gives now; None for NULL, and where the source has no such row.
    #[getter]
    fn computed(&self) -> Option<f64> {
        self.explained.computed.and_then(there)
    }

    /// Whether stored and computed value have the same bits; None if one of them is not there.
    #[getter]
    fn same_bits(&self) -> Option<bool> {
        self.explained.is_same_bits()
    }

    /// Why the computed value is NULL: "warm-up: ...", "input: ...", "undefined: ..." or "column: ..."; None if it has a value.
    #[getter]
    fn null_cause(&self) -> Option<String> {
        self.reason()
    }

    /// The exact value, computed slowly in twice the digits; None if there is none or no digits are promised.
    #[getter]
    fn exact(&self) -> Option<f64> {
        self.explained.promised.as_ref().map(|range| range.exact.to_f64())
    }

    /// The promised accuracy: the least and the largest value within the bound; None if no digits are promised.
    #[getter]
    fn bound(&self) -> Option<(f64, f64)> {
        self.explained.promised.as_ref().map(|range| (range.low.to_f64(), range.high.to_f64()))
    }

    /// The error of the computed value in units of its bound, at most 1; None if there is no bound.
    #[getter]
    fn error_in_bounds(&self) -> Option<f64> {
        self.explained.error_in_bounds
    }

    /// The window's rows as a Table with `ts_utc` and `value`, oldest first; those that there are while the window is not full.
    #[getter]
    fn inputs(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Explained { instants_us, values: of_series, .. } = &self.explained;
        let columns = vec![instants(instants_us.clone()), values(of_series.clone())];
        let batch = RecordBatch::try_new(inputs_schema(), columns)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        table_of(py, inputs_schema(), vec![batch])
    }

    /// The partition, `eurusd 2017-01`.
    #[getter]
    fn partition(&self) -> String {
        self.explained.stored.partition.to_string()
    }

    /// The partition's state, as in `rollfit plan`: "done", "grown", "missing", ...
    #[getter]
    fn state(&self) -> &'static str {
        self.explained.stored.assessment.state.name()
    }

    /// The receipt as a dict: definition, input (rows, digest), what was stored (rows, checksum); None if rollfit wrote nothing.
    #[getter]
    fn receipt<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        receipt_dict(py, self.explained.stored.receipt.as_deref())
    }

    /// Everything as a dict of plain values; the window's inputs are two lists.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Explained { feature, instants_us, values, stored, .. } = &self.explained;
        let dict = PyDict::new(py);
        dict.set_item("key", self.key())?;
        dict.set_item("time", self.time(py)?)?;
        dict.set_item("column", self.column())?;
        dict.set_item("series", &self.series)?;
        dict.set_item("metric", feature.metric.name())?;
        dict.set_item("window", &feature.window.label)?;
        dict.set_item("window_rows", feature.window.window.rows())?;
        dict.set_item("is_stored", self.is_stored())?;
        dict.set_item("stored", self.stored())?;
        dict.set_item("computed", self.computed())?;
        dict.set_item("same_bits", self.same_bits())?;
        dict.set_item("null_cause", self.reason())?;
        dict.set_item("exact", self.exact())?;
        dict.set_item("bound", self.bound())?;
        dict.set_item("error_in_bounds", self.error_in_bounds())?;
        let times: PyResult<Vec<_>> = instants_us.iter().map(|&us| datetime(py, us)).collect();
        dict.set_item("input_times", times?)?;
        dict.set_item("input_values", values.iter().map(|&value| there(value)).collect::<Vec<_>>())?;
        dict.set_item("partition", self.partition())?;
        dict.set_item("state", self.state())?;
        dict.set_item("cause", &stored.assessment.cause)?;
        dict.set_item("receipt", self.receipt(py)?)?;
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        let mut text = self.title();
        for (label, line) in self.lines() {
            let _ = write!(text, "\n  {label:<12}  {line}");
        }
        text
    }

    fn _repr_html_(&self) -> String {
        let mut html = format!("<table><caption>{}</caption>", escaped(&self.title()));
        for (label, line) in self.lines() {
            let _ = write!(html, "<tr><th>{label}</th><td>{}</td></tr>", escaped(&line));
        }
        html + "</table>"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
