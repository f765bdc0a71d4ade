//! Keys and columns as users name them: one name, several, or patterns with `*` and `?`.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::nearest_names::suggestion;

/// The names that `wanted` is: one text, or several.
///
/// # Errors
/// `TypeError` where it is something else.
pub(super) fn names(what: &str, wanted: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if let Ok(name) = wanted.cast::<PyString>() {
        return Ok(vec![name.to_str()?.to_owned()]);
    }
    let wrong = |_| PyTypeError::new_err(format!("{what}: pass a name or a list of names"));
    wanted.try_iter().map_err(wrong)?.map(|name| name?.extract::<String>().map_err(wrong)).collect()
}

/// The places in `known` of the names and patterns in `wanted`, each once, in the order of `wanted`.
///
/// # Errors
/// `ValueError` where one means nothing, with the names that are nearest to it, or where nothing is wanted.
pub(super) fn select(what: &str, wanted: &[String], known: &[String]) -> PyResult<Vec<usize>> {
    let mut selected = Vec::new();
    for name in wanted {
        let pattern: Vec<char> = name.chars().collect();
        let is_pattern = name.contains(['*', '?']) && !known.contains(name);
        let fits = |known: &String| if is_pattern { matches(&pattern, known) } else { known == name };
        let before = selected.len();
        let mut is_there = false;
        for (at, _) in known.iter().enumerate().filter(|(_, known)| fits(known)) {
            is_there = true;
            if !selected[..before].contains(&at) {
                selected.push(at);
            }
        }
        if !is_there {
            return Err(unknown(what, name, known));
        }
    }
    if selected.is_empty() {
        return Err(PyValueError::new_err(format!(
            "no {what} is asked for; leave the argument out to get all"
        )));
    }
    Ok(selected)
}

/// `ValueError` for a name that is not known.
pub(super) fn unknown(what: &str, name: &str, known: &[String]) -> PyErr {
    const ALL_SHOWN_MAX: usize = 12;
    let names = || match known {
        [] => "there is none".to_owned(),
        [first, .., last] if known.len() > ALL_SHOWN_MAX => {
            format!("there are {}, from \"{first}\" to \"{last}\"", known.len())
        }
        known => format!("known: {}", known.join(", ")),
    };
    let hint = suggestion(name, known.iter().map(String::as_str)).unwrap_or_else(names);
    PyValueError::new_err(format!("unknown {what} \"{name}\"; {hint}"))
}

/// Whether a pattern fits a name: `*` is any text, `?` one character.
fn matches(pattern: &[char], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut star) = (0, None);
    let mut of_name = 0;
    while of_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, of_name));
                at += 1;
            }
            Some(&c) if c == '?' || c == name[of_name] => {
                at += 1;
                of_name += 1;
            }
            _ => {
                let Some((star_at, from)) = star else { return false };
                star = Some((star_at, from + 1));
                (at, of_name) = (star_at + 1, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|&c| c == '*')
}
