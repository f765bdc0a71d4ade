//! Names of paths that are the same from every directory.

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
