//! [`ParsedReceipt`]: a receipt as a store keeps it, of this version of rollfit or of a later one.
//!
//! Invariants: the three marks of a later version are looked at before anything else, so that whatever else that version
//! changed cannot make its rows look like those of another program.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::config::Layout;
use crate::json_fault::json_fault;
use crate::period::PeriodUnit;
use crate::receipt::{DEFINITION_VERSION, Definition, Input, Receipt, Stored};

/// The latest format of receipts that this version understands. Receipts of format 1 do not name it; from 2 on they may name
/// a layout, from 3 on a period.
const FORMAT: u32 = 3;
/// The kind of input digest that receipts have from definition 3 on, see [`InputDigest`](crate::input_digest::InputDigest).
pub(crate) const ROWS_DIGEST: &str = "rows1";

/// A receipt found in a store.
#[derive(Clone, Debug, PartialEq)]
pub enum ParsedReceipt {
    /// One that this version understands.
    Known(Box<Receipt>),
    /// One that a later version wrote; what it is, and what to do.
    Newer(String),
}

/// The fields of a receipt, with its format.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    format: Option<Value>,
    output: String,
    definition: Definition,
    input: Input,
    stored: Stored,
}

impl ParsedReceipt {
    /// Parses the JSON of a receipt.
    ///
    /// # Errors
    /// Why it is no receipt, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Almost all are of this version, and a plan reads thousands: the marks have a second look where one is not.
        let fields: Result<Fields, String> = serde_json::from_str(text).map_err(unreadable);
        fields.and_then(Fields::into_receipt).or_else(|why| {
            let newer = serde_json::from_str(text).ok().and_then(|json| Self::newer(&json));
            newer.ok_or(why)
        })
    }

    /// As [`ParsedReceipt::parse`], for a store that puts a receipt together.
    ///
    /// # Errors
    /// As [`ParsedReceipt::parse`].
    pub fn from_json(json: &Value) -> Result<Self, String> {
        match Self::newer(json) {
            Some(newer) => Ok(newer),
            None => Fields::deserialize(json).map_err(unreadable)?.into_receipt(),
        }
    }

    /// Whether a later version wrote it, whatever else it holds.
    fn newer(json: &Value) -> Option<Self> {
        let version = json.get("definition").and_then(|definition| definition.get("version"));
        let digest = json.get("input").and_then(|input| input.get("digest"));
        let mark = later_mark(json.get("format"), version, digest.and_then(Value::as_str))?;
        Some(Self::Newer(format!("written by a later version of rollfit ({mark}); use that version")))
    }
}

impl Fields {
    /// The receipt, if nothing in it is beyond this version.
    fn into_receipt(self) -> Result<ParsedReceipt, String> {
        let Self { format, output, definition, input, stored } = self;
        if later_mark(format.as_ref(), Some(&definition.version.into()), Some(&input.digest)).is_some() {
            return Err("it cannot be read (it is of a later version)".to_owned());
        }
        if format.as_ref().is_some_and(|format| !(1..=FORMAT).any(|known| *format == known)) {
            return Err("it cannot be read (its format is not a number from 1 on)".to_owned());
        }
        let needed = match (definition.period, definition.layout) {
            (PeriodUnit::Month, Layout::Metrics) => 1,
            (PeriodUnit::Month, Layout::Fits) => 2,
            _ => 3,
        };
        let is_needed = (needed..=FORMAT).any(|known| format.as_ref().is_some_and(|format| *format == known));
        if needed > 1 && !is_needed || !definition.has_columns_of_layout() {
            return Err(
                "it cannot be read (its format or columns are not those of its layout or period)".to_owned()
            );
        }
        let definition = Arc::new(definition);
        Ok(ParsedReceipt::Known(Box::new(Receipt { output, definition, input, stored })))
    }
}

fn unreadable(error: serde_json::Error) -> String {
    format!("it cannot be read ({})", json_fault(&error))
}

/// What shows that a later version wrote a receipt, if it did.
fn later_mark(format: Option<&Value>, version: Option<&Value>, digest: Option<&str>) -> Option<String> {
    later_number("receipt format", format, FORMAT)
        .or_else(|| later_number("definition", version, DEFINITION_VERSION))
        .or_else(|| later_digest(digest?))
}

fn later_number(what: &str, number: Option<&Value>, known: u32) -> Option<String> {
    let number = number?;
    (number.as_f64()? > f64::from(known)).then(|| format!("{what} {number}"))
}

/// Digests have named their kind from definition 3 on.
fn later_digest(digest: &str) -> Option<String> {
    const SHOWN_CHARS_MAX: usize = 20;
    let (kind, _) = digest.split_once(':').filter(|(kind, _)| *kind != ROWS_DIGEST)?;
    let is_shown = kind.len() <= SHOWN_CHARS_MAX && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    Some(if is_shown { format!("input digest {kind}") } else { "another kind of input digest".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIPT: &str = r#"{"output":"key=eurusd/month=2017-01",
        "definition":{"version":2,"boundary":"reset","series":[]},
        "input":{"rows":1,"lookback_rows":0,"first_us":1,"last_us":1,"digest":"00","lost_rows":[]},
        "stored":{"rows":1,"checksum":"00","no_value":{"warmup":0,"input":0,"undefined":0,"column":0}}}"#;

    /// The receipt after a change, parsed in both ways.
    fn parsed(change: impl FnOnce(&mut Value)) -> Result<ParsedReceipt, String> {
        let mut json: Value = serde_json::from_str(RECEIPT).unwrap();
        change(&mut json);
        let parsed = ParsedReceipt::parse(&json.to_string());
        assert_eq!(ParsedReceipt::from_json(&json).is_ok(), parsed.is_ok());
        if parsed.is_ok() {
            assert_eq!(ParsedReceipt::from_json(&json), parsed);
        }
        parsed
    }

    fn is_newer(mark: &str, change: impl FnOnce(&mut Value)) {
        let message = format!("written by a later version of rollfit ({mark}); use that version");
        assert_eq!(parsed(change), Ok(ParsedReceipt::Newer(message)));
    }

    #[test]
    fn a_receipt_is_read_whatever_else_it_has() {
        let known = |change: fn(&mut Value)| matches!(parsed(change), Ok(ParsedReceipt::Known(_)));
        assert!(known(|_| ()));
        assert!(known(|receipt| receipt["format"] = 1.into()));
        assert!(known(|receipt| receipt["format"] = Value::Null));
        assert!(known(|receipt| receipt["definition"]["version"] = DEFINITION_VERSION.into()));
        assert!(known(|receipt| receipt["input"]["digest"] = "rows1:00".into()));
        assert!(known(|receipt| receipt["stored"]["unknown"] = "types".into()));
        let of_years = |receipt: &mut Value, format: u32| {
            receipt["definition"]["period"] = "year".into();
            receipt["format"] = format.into();
        };
        assert!(parsed(|receipt| of_years(receipt, 3)).is_ok());
        assert!(
            parsed(|receipt| of_years(receipt, 2)).is_err(),
            "earlier programs would take it for a month's"
        );
    }

    #[test]
    fn each_mark_of_a_later_version_comes_before_everything_else() {
        let later = DEFINITION_VERSION + 1;
        is_newer("receipt format 4", |receipt| receipt["format"] = 4.into());
        is_newer(&format!("definition {later}"), |receipt| receipt["definition"]["version"] = later.into());
        is_newer("input digest rows2", |receipt| receipt["input"]["digest"] = "rows2:00".into());
        is_newer("receipt format 5", |receipt| {
            *receipt = serde_json::json!({ "format": 5, "definition": "a hash", "input": [] });
        });
        is_newer(&format!("definition {later}"), |receipt| {
            receipt["definition"] = serde_json::json!({ "version": later });
            receipt["stored"] = Value::Null;
            receipt["output"] = 7.into();
        });
        is_newer("definition 18446744073709551615", |receipt| {
            receipt["definition"]["version"] = u64::MAX.into();
        });
        is_newer("another kind of input digest", |receipt| {
            receipt["input"]["digest"] = "\u{1b}[2J\u{202e}:00".into();
        });
        is_newer("another kind of input digest", |receipt| {
            receipt["input"]["digest"] = format!("{}:", "x".repeat(100_000)).into();
        });
    }

    #[test]
    fn what_is_no_receipt_is_not_of_a_later_version_either() {
        let changes: [fn(&mut Value); 10] = [
            |receipt| receipt["format"] = 0.into(),
            |receipt| receipt["format"] = "2".into(),
            |receipt| receipt["format"] = (-2).into(),
            |receipt| receipt["definition"]["version"] = "4".into(),
            |receipt| receipt["definition"]["version"] = (-4).into(),
            |receipt| receipt["definition"] = "a hash".into(),
            |receipt| receipt["input"]["digest"] = 4.into(),
            |receipt| receipt["stored"] = Value::Null,
            |receipt| *receipt = Value::Array(vec![4.into()]),
            |receipt| *receipt = 4.into(),
        ];
        for change in changes {
            assert!(parsed(change).unwrap_err().starts_with("it cannot be read ("));
        }
        assert!(ParsedReceipt::parse("{\"format\":2").is_err(), "it is cut off");
        // Of two fields of one name nobody knows which counts.
        assert!(
            ParsedReceipt::parse(&RECEIPT.replacen('{', r#"{"output":"key=eurusd/month=2017-01","#, 1))
                .is_err()
        );
    }
}
