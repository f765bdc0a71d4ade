//! The arguments of the expression that are no columns: Python's, carried by Polars as one text in a pickled dict, and read
//! back when the expression is planned and computed, perhaps in another process.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rollfit::{Metric, Window};
use serde::{Deserialize, Serialize};

use crate::spec::FeatureSpec;

/// The key of the text in the dict.
const KEY: &str = "rolling";

/// The form of the text.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RollingText {
    windows: Vec<(String, usize)>,
    metrics: Vec<String>,
    name: Option<String>,
}

/// The text for the arguments of `rolling`, once they are found to be right.
#[pyfunction]
#[pyo3(signature = (windows, metrics=None, name=None))]
pub(crate) fn _polars_kwargs(
    windows: &Bound<'_, PyAny>,
    metrics: Option<&Bound<'_, PyAny>>,
    name: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let spec = FeatureSpec::from_python(windows, metrics, name)?;
    let text = RollingText {
        windows: spec.windows.into_iter().map(|(label, window)| (label, window.rows())).collect(),
        metrics: spec.metrics.iter().map(ToString::to_string).collect(),
        name: spec.name,
    };
    serde_json::to_string(&text).map_err(|error| PyValueError::new_err(error.to_string()))
}

/// What `kwargs`, as Polars hands them over, ask for.
pub(super) fn parse(kwargs: &[u8]) -> Result<FeatureSpec, String> {
    let text = text_of_pickle(kwargs).and_then(|text| serde_json::from_str(text).ok());
    text.and_then(spec_from).ok_or_else(|| {
        "the arguments of this expression are not those of this version of rollfit; make the expression again with it"
            .to_owned()
    })
}

fn spec_from(text: RollingText) -> Option<FeatureSpec> {
    if text.windows.is_empty() || text.metrics.is_empty() {
        return None;
    }
    let window = |(label, rows)| Some((label, Window::new(rows).ok()?));
    Some(FeatureSpec {
        windows: text.windows.into_iter().map(window).collect::<Option<_>>()?,
        metrics: text.metrics.iter().map(|name| name.parse::<Metric>().ok()).collect::<Option<_>>()?,
        name: text.name,
    })
}

/// The one text of a pickled dict that holds nothing else, in any protocol from 4 on.
fn text_of_pickle(mut pickle: &[u8]) -> Option<&str> {
    let mut texts = Vec::new();
    loop {
        let (&code, rest) = pickle.split_first()?;
        let (len, is_text, rest) = match code {
            // The end.
            b'.' => break,
            // An empty dict, a note of what was made last, an item set.
            b'}' | 0x94 | b's' => (0, false, rest),
            // The protocol, and the length of what follows.
            0x80 => (1, false, rest),
            0x95 => (8, false, rest),
            // A text, and a long one.
            0x8c => (usize::from(*rest.first()?), true, &rest[1..]),
            b'X' => (u32::from_le_bytes(*rest.first_chunk()?) as usize, true, &rest[4..]),
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        if is_text {
            texts.push(std::str::from_utf8(content).ok()?);
        }
        pickle = rest;
    }
    match texts[..] {
        [KEY, text] => Some(text),
        _ => None,
    }
}
