//! [`json_fault`]: what is wrong with JSON that no user has written, nor sees.

/// What is wrong, as a clause. Its line and column are of a text that is put together, or within a file of a store.
pub fn json_fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_left_out() {
        let fault = |text: &str| json_fault(&serde_json::from_str::<Vec<u8>>(text).unwrap_err());
        assert_eq!(fault("[1,"), "EOF while parsing a value");
        assert_eq!(fault("{}"), "invalid type: map, expected a sequence");
    }
}
