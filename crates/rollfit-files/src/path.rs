//! Paths as users need them: [`full`], the same from every directory, and [`shell_word`], to be pasted into a command.

use std::fs;
use std::path::{Path, PathBuf};

/// A path from the root, as far as it exists without links and `..`: the same from every directory.
pub fn full(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = |above: &Path| {
        let rest = path.strip_prefix(above).ok()?;
        let above = fs::canonicalize(above).ok()?;
        Some(if rest.as_os_str().is_empty() { above } else { above.join(rest) })
    };
    path.ancestors().find_map(known).unwrap_or_else(|| path.clone())
}

/// A text as a shell reads it as one word.
pub fn shell_word(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
