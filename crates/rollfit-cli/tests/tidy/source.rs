//! [`SourceFile`]: a Rust file of the workspace, read and parsed; a file of the Python package; a document.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A Rust file, one of the Python package, or a document.
pub(crate) struct SourceFile {
    /// The path from the root of the workspace.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// Reads every Rust file of the workspace, in the order of their paths.
    pub(crate) fn read_all() -> Vec<Self> {
        Self::read_in(&["crates", "fuzz"], &["rs"])
    }

    /// Reads every Python file and stub of the Python package and its tests, in the order of their paths.
    pub(crate) fn read_python() -> Vec<Self> {
        Self::read_in(&["crates/rollfit-python"], &["py", "pyi"])
    }

    /// Reads every document: those at the root of the workspace, in docs and of the crates, in the order of their paths.
    pub(crate) fn read_documents() -> Vec<Self> {
        let mut documents = Self::read_in(&["crates", "docs"], &["md"]);
        let at_root = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
        let at_root = at_root.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
        documents.extend(at_root.map(|path| Self {
            path: path.file_name().unwrap().display().to_string(),
            text: fs::read_to_string(&path).unwrap(),
        }));
        documents.sort_by(|one, other| one.path.cmp(&other.path));
        documents
    }

    fn read_in(dirs: &[&str], extensions: &[&str]) -> Vec<Self> {
        let root = root();
        let mut paths = Vec::new();
        dirs.iter().for_each(|dir| add_files(&root.join(dir), extensions, &mut paths));
        paths.sort();
        let read = |path: PathBuf| Self {
            path: path.strip_prefix(&root).unwrap().display().to_string(),
            text: fs::read_to_string(&path).unwrap(),
        };
        paths.into_iter().map(read).collect()
    }

    /// Whether it belongs to a crate's source and not to its tests, benches or examples.
    pub(crate) fn is_source(&self) -> bool {
        self.path.starts_with("crates/") && matches!(self.path.split('/').nth(2), Some("src" | "python"))
    }

    /// The crate that it belongs to; `fuzz` is one too.
    pub(crate) fn crate_name(&self) -> &str {
        let mut parts = self.path.split('/');
        match parts.next() {
            Some("crates") => parts.next().unwrap(),
            first => first.unwrap(),
        }
    }

    pub(crate) fn parse(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }
}

fn add_files(dir: &Path, extensions: &[&str], paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                add_files(&path, extensions, paths);
            }
        } else if path.extension().is_some_and(|found| extensions.iter().any(|&extension| found == extension))
        {
            paths.push(path);
        }
    }
}

/// Whether an item is compiled for tests alone.
pub(crate) fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        syn::Meta::NameValue(_) => false,
    })
}

/// Fails with a line for each violation of `rule`.
#[track_caller]
pub(crate) fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}; {} exceptions:\n  {}", violations.len(), violations.join("\n  "));
}
