//! Canonical JSON, and the hashes of definitions and receipts taken over it: RFC 8785, except that integers keep all
//! their 64 bits and keys are sorted by the bytes of UTF-8. A store may keep JSON in an order of its own, as `jsonb`
//! does; the hash stays the same.
//!
//! Invariants: the hash covers the JSON as found, with fields that this version does not know.

use serde_json::Value;

/// The context of hashes of definitions. It keeps them apart from all other hashes.
const DEFINITION_CONTEXT: &str = "rollfit 2026-11-28 definition 1";
/// The context of hashes of receipts.
const RECEIPT_CONTEXT: &str = "rollfit 2026-11-28 receipt 1";

/// Returns the hash of a receipt's `definition`: 64 hexadecimal digits.
pub fn definition_hash(definition: &Value) -> String {
    hash(DEFINITION_CONTEXT, definition)
}

/// Returns the hash of a whole receipt, as the store keeps it: 64 hexadecimal digits.
pub fn receipt_hash(receipt: &Value) -> String {
    hash(RECEIPT_CONTEXT, receipt)
}

/// Returns `value` as canonical JSON.
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn hash(context: &str, value: &Value) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(canonical_json(value).as_bytes());
    hasher.finalize().to_hex().to_string()
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => write_list(text, ['[', ']'], items, write),
        Value::Object(fields) => {
            // A feature of serde_json that another crate asks for may keep fields in the order found.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| key.as_bytes());
            write_list(text, ['{', '}'], fields, |(key, value), text| {
                write_string(key, text);
                text.push(':');
                write(value, text);
            });
        }
        Value::String(string) => write_string(string, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => text.push_str(&value.to_string()),
    }
}

fn write_list<T>(
    text: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    write_item: impl Fn(T, &mut String),
) {
    text.push(open);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write_item(item, text);
    }
    text.push(close);
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for c in string.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            control if control < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => text.push(other),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    /// The vectors of docs/format.md, whose fields are in another order here, with white space between them.
    #[test]
    fn hashes_are_those_of_the_documented_vectors() {
        let definition = r#"{"version": 3, "boundary": "reset", "series": [{"name": "idx", "windows": [15],
            "metrics": ["r2"], "columns": ["r2_idx_w15"]}]}"#;
        let definition = definition_hash(&parsed(definition));
        assert_eq!(definition, "1a434510a240c2cdb70d3d3791119906ca2537ac34fe7f6eead5244e3be42249");
        let receipt = r#"{"output": "\"public\".\"reg_rate_eurusd_2017_01\"",
            "definition": "1a434510a240c2cdb70d3d3791119906ca2537ac34fe7f6eead5244e3be42249",
            "input": {"rows": 3, "lookback_rows": 0, "first_us": 1, "last_us": 3, "lost_rows": [0],
                "digest": "rows1:0000000000000000000000000000000000000000000000000000000000000000"},
            "stored": {"rows": 3, "checksum": "0000000000000000",
                "no_value": {"warmup": 3, "input": 0, "undefined": 0, "column": 0}}}"#;
        let receipt = parsed(receipt);
        assert_eq!(
            receipt_hash(&receipt),
            "9a04210c7ccd190d6e8a7e483a27450d5e72e0ee206cef46c7081ec9b2171713"
        );
        assert_ne!(receipt_hash(&receipt), definition_hash(&receipt), "the contexts are apart");
    }

    #[test]
    fn keys_are_sorted_by_their_bytes_and_integers_keep_64_bits() {
        let value = parsed(
            r#"{ "\uff5e": null, "\ud83d\ude00": true, "ab": [ ], "a": { }, "Z": -9223372036854775808,
                "z": 18446744073709551615 }"#,
        );
        let expected = "{\"Z\":-9223372036854775808,\"a\":{},\"ab\":[],\"z\":18446744073709551615,\
                        \"\u{ff5e}\":null,\"\u{1f600}\":true}";
        assert_eq!(canonical_json(&value), expected);
    }

    #[test]
    fn only_quotes_backslashes_and_control_characters_are_escaped() {
        let all: String = ('\0'..='\u{2000}').chain(['\u{2028}', '\u{feff}', '\u{10ffff}']).collect();
        let text = canonical_json(&Value::String(all.clone()));
        assert!(
            text.contains("\\u0000") && text.contains("\\u001f") && text.contains("\\b\\t\\n\\u000b\\f\\r")
        );
        assert!(text.contains("/01") && text.contains('\u{7f}') && text.contains('\u{2028}'));
        assert_eq!(parsed(&text), Value::String(all));
    }

    #[test]
    fn every_change_of_a_receipt_changes_its_hash() {
        let hashes = [
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"a":"1"}"#,
            r#"{"b":1}"#,
            r#"{"a":1,"b":null}"#,
            r#"{"a":[1]}"#,
            r#"{"a":[1,2]}"#,
            r#"{"a":[2,1]}"#,
            r#"[{"a":1}]"#,
        ]
        .map(|text| receipt_hash(&parsed(text)));
        let distinct: std::collections::BTreeSet<&String> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }
}
