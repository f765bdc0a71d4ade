//! [`typed`]: one line of a record, or a live file, as what it says. Both are input: others may have written them.
//!
//! Invariants: behind this point every text is printable, and every number lies within what a run can reach, so that no sum
//! over a record overflows and no list made by a number of it takes all memory.

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use crate::foreign;
use crate::json_fault::json_fault;

/// The most bytes of a line.
pub(super) const LINE_BYTES_MAX: u64 = 1 << 20;
/// The most bytes of a record.
pub(super) const RECORD_BYTES_MAX: u64 = 1 << 29;
/// The most events of a record, and partitions of a run.
pub(super) const EVENTS_MAX: usize = 1_000_000;
/// The most workers of a run.
pub const WORKERS_MAX: usize = 4096;

const PARTITIONS_MAX: f64 = EVENTS_MAX as f64;
/// Of one partition: a million of them have a sum.
const ROWS_MAX: f64 = 1e12;
const BYTES_MAX: f64 = 1e13;
/// Three years; in microseconds, a third of one.
const TIME_MS_MAX: f64 = 1e11;
const TIME_US_MAX: f64 = 1e13;
/// Cores, sessions, load.
const MACHINE_MAX: f64 = 1e6;
/// The whole numbers that every reader of JSON can distinguish.
const NUMBER_MAX: f64 = (1_u64 << 53) as f64;

/// Text that is not what a record says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypedError {
    /// It is not JSON, or not of this kind.
    #[error("{0}")]
    Json(String),
    /// A number that no run reaches.
    #[error("`{field}` is {number}, and a run has 0 to {most}")]
    Number {
        /// The name of the number.
        field: String,
        /// Its value.
        number: Number,
        /// The greatest that is taken.
        most: f64,
    },
}

/// Reads `text`.
///
/// # Errors
/// [`TypedError`] when it is not a `T`, or a number of it is out of bounds.
pub fn typed<T: DeserializeOwned>(text: &[u8]) -> Result<T, TypedError> {
    let fault = |error| TypedError::Json(json_fault(&error));
    let mut value: Value = serde_json::from_slice(text).map_err(fault)?;
    bound(&mut value, "", NUMBER_MAX)?;
    serde_json::from_value(value).map_err(fault)
}

/// Checks the numbers, which are at most `most`, and makes the texts printable of the value called `name`.
fn bound(value: &mut Value, name: &str, most: f64) -> Result<(), TypedError> {
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::String(text) => {
            *text = foreign::message(text).into_owned();
            Ok(())
        }
        Value::Number(number) => check(number, name, most),
        Value::Array(items) => items.iter_mut().try_for_each(|item| bound(item, name, most)),
        Value::Object(fields) => {
            fields.iter_mut().try_for_each(|(field, value)| bound(value, field, most_of(name, field)))?;
            *fields = std::mem::take(fields).into_iter().map(printable_name).collect::<Map<_, _>>();
            Ok(())
        }
    }
}

fn printable_name((name, value): (String, Value)) -> (String, Value) {
    (foreign::name(&name).into_owned(), value)
}

fn check(number: &Number, name: &str, most: f64) -> Result<(), TypedError> {
    if number.as_f64().is_some_and(|value| (0.0..=most).contains(&value)) {
        return Ok(());
    }
    Err(TypedError::Number { field: foreign::name(name).into_owned(), number: number.clone(), most })
}

/// The greatest that a number of the object called `parent` may be. Rates and what later versions add have no name here.
fn most_of(parent: &str, name: &str) -> f64 {
    match (parent, name) {
        ("wall_us" | "cpu_us" | "trips" | "count", _) => TIME_US_MAX,
        ("activities", _) | (_, "known_in_hand" | "worker" | "workers" | "was" | "workers_wanted") => {
            WORKERS_MAX as f64
        }
        (_, "partitions" | "ended" | "written" | "failed") => PARTITIONS_MAX,
        ("totals", _) => NUMBER_MAX,
        (_, "rows" | "rows_in_hand" | "largest_in_hand_rows") => ROWS_MAX,
        (_, "bytes") => BYTES_MAX,
        (_, "at_ms" | "begun_ms" | "pause_ms" | "since_ms" | "in_hand_ms" | "largest_in_hand_ms") => {
            TIME_MS_MAX
        }
        (_, "secs") => TIME_MS_MAX / 1e3,
        (
            _,
            "cores" | "cores_allowed" | "own_cores" | "others_cores" | "server_cores" | "stolen_cores"
            | "waiting_threads",
        ) => MACHINE_MAX,
        (_, "load" | "sessions_max" | "features" | "fits" | "attempt" | "line" | "source_reads") => {
            MACHINE_MAX
        }
        _ => NUMBER_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Event;

    fn error(text: &str) -> String {
        typed::<Event>(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn numbers_that_no_run_reaches_are_named() {
        let decision = |workers: &str| {
            format!(r#"{{"event":"decision","at_ms":0,"was":0,"workers":{workers},"reason":"r"}}"#)
        };
        assert!(typed::<Event>(decision("4096").as_bytes()).is_ok());
        for number in ["4097", "4294967295", "18446744073709551615", "-1", "1e308"] {
            assert!(error(&decision(number)).starts_with("`workers` is "), "{number}");
        }
        assert!(error(&decision("1e999")).contains("out of range"));
        assert!(error(r#"{"event":"run","machine":{"cores_allowed":1e300}}"#).starts_with("`cores_allowed`"));
        assert!(error(r#"{"event":"sample","activities":{"sending":4294967295}}"#).starts_with("`sending`"));
    }

    #[test]
    fn texts_and_names_are_printable() {
        let text =
            r#"{"event":"sample","activities":{"a\u001b\n":1},"store":{"lock_holders":["\u009b\u202e"]}}"#;
        let Event::Sample(sample) = typed(text.as_bytes()).unwrap() else { panic!() };
        assert_eq!(sample.activities.keys().next().unwrap(), "a\\u{1b}\\n");
        assert_eq!(sample.store.unwrap().lock_holders, ["\\u{9b}\\u{202e}"]);
    }

    #[test]
    fn what_is_nested_too_deeply_is_an_error() {
        assert!(error(&"[".repeat(100_000)).contains("recursion"));
    }
}
