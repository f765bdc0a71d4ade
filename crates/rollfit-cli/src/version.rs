//! What `--version` says: the version, what it was built of, and how it computes here.

use std::sync::LazyLock;

use rollfit::Cpu;
use rollfit_job::receipt::DEFINITION_VERSION;

/// The version and all that tells one build from another.
#[derive(Debug, serde::Serialize)]
pub(crate) struct VersionDocument {
    version: &'static str,
    /// The commit that it was built of; none in a package that was made of no checkout.
    commit: Option<&'static str>,
    /// The day it was built, UTC.
    pub(crate) built: &'static str,
    target: &'static str,
    /// Which instructions this machine computes with.
    cpu_path: &'static str,
    /// Features of another version of the definition are other features.
    definition: u32,
}

impl VersionDocument {
    pub(crate) fn new() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: Some(env!("ROLLFIT_BUILT_COMMIT")).filter(|commit| !commit.is_empty()),
            built: env!("ROLLFIT_BUILT_DAY"),
            target: env!("ROLLFIT_BUILT_TARGET"),
            cpu_path: Cpu::detect().name(),
            definition: DEFINITION_VERSION,
        }
    }
}

/// The version on the first line and the rest below it.
pub(crate) fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        let VersionDocument { version, commit, built, target, cpu_path, definition } = VersionDocument::new();
        let commit = commit.unwrap_or("unknown");
        format!(
            "{version}\ncommit:     {commit}\nbuilt:      {built}\ntarget:     {target}\nCPU path:   {cpu_path}\ndefinition: {definition}"
        )
    });
    &LONG
}
