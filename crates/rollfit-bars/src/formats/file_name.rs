//! Symbols in file names, as several vendors write them.

/// Whether a word can be a symbol.
pub(super) fn is_symbol(word: &str) -> bool {
    word.len() >= 5
        && word.bytes().all(|b| b.is_ascii_alphanumeric())
        && word.bytes().any(|b| b.is_ascii_alphabetic())
}

/// Returns the symbol before the first interval, as first or second word: `EURUSD_1_m_BID`, `EURUSD_M1`,
/// `kraken_BTCUSDC_1m`.
pub(super) fn before_interval<'a>(words: &[&'a str]) -> Option<&'a str> {
    let at = (1..words.len().min(3)).find(|at| starts_with_interval(&words[*at..]))?;
    let symbol = words[at - 1];
    let quoted = words[at..].iter().any(|word| ["bid", "ask"].contains(&word.to_ascii_lowercase().as_str()));
    // A word in small letters may be any word, unless the file says that it holds quotes.
    let written = quoted || !symbol.bytes().any(|byte| byte.is_ascii_lowercase());
    (is_symbol(symbol) && written).then_some(symbol)
}

fn starts_with_interval(words: &[&str]) -> bool {
    match words {
        ["Candlestick", ..] => true,
        [count, unit, ..] if is_count(count) && ["s", "m", "h", "d", "M"].contains(unit) => true,
        [word, ..] => is_interval(word),
        [] => false,
    }
}

/// `M1` and `H4`, or `1m`, `5min` and `1h`.
fn is_interval(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let named_first = lower.strip_prefix(['s', 'm', 'h', 'd']).is_some_and(is_count);
    let digits = lower.trim_start_matches(|c: char| c.is_ascii_digit());
    let named_last = digits.len() < lower.len() && ["s", "m", "min", "h", "d"].contains(&digits);
    named_first || named_last
}

fn is_count(word: &str) -> bool {
    (1..=4).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit())
}
