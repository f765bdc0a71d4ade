//! [`EncodingFault`]: bytes that are no text, as readers hand it through `io::Error`.

/// Bytes that are no text.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("line {line} is not text: {why}")]
pub(crate) struct EncodingFault {
    /// The line, from 1.
    pub(crate) line: u64,
    pub(crate) why: &'static str,
}
