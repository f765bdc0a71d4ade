//! The variables `ROLLFIT_*` of the environment: those that have a meaning, and what is said of others.

use std::sync::Once;

use rollfit_job::config::{nearest_variable, sets_key};
use rollfit_job::few::few_and;

use crate::exit::Failure;
use crate::logging;

const PREFIX: &str = "ROLLFIT_";

/// What users may set besides keys of the configuration.
const FOR_USERS: [&str; 3] = ["ROLLFIT_CONFIG", "ROLLFIT_SHARD", "ROLLFIT_STATE_DIR"];

/// How the names begin that the build, tests and benchmarks of rollfit know.
const FOR_DEVELOPERS: [&str; 15] = [
    "BENCH_",
    "BUILD_",
    "CASES",
    "CHAOS_",
    "CHROMIUM",
    "COMMAND",
    "FAILPOINT",
    "FUZZ_",
    "NUMPY_",
    "PYTHON",
    "SDIST",
    "SHARED",
    "TEST_",
    "UPDATE_",
    "WHEEL",
];

/// Looks for variables that have no meaning: a slip of one that has is refused, for the job would not be the one that is wanted; of
/// others the user is warned, once a process.
pub(crate) fn check() -> Result<(), Failure> {
    static WARNED: Once = Once::new();
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut unknown: Vec<String> = names.filter(|name| is_unknown(name)).collect();
    unknown.sort();
    for name in &unknown {
        if let Some(near) = nearest_variable(name, &FOR_USERS) {
            return Err(Failure::usage(format!(
                "the environment has {name}, which means nothing to rollfit: did you mean {near}?"
            )));
        }
    }
    if !unknown.is_empty() {
        let text =
            format!("ignored from the environment: {}, which rollfit does not know", few_and(&unknown));
        WARNED.call_once(|| logging::warn(&text));
    }
    Ok(())
}

fn is_unknown(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let is_for_developers = FOR_DEVELOPERS.iter().any(|start| rest.starts_with(start));
    !(sets_key(name) || FOR_USERS.contains(&name) || is_for_developers || is_of_kubernetes(rest))
}

/// Whether Kubernetes sets such a variable in every pod beside a service called `rollfit` or `rollfit-...`.
fn is_of_kubernetes(rest: &str) -> bool {
    let parts: Vec<&str> = rest.split('_').collect();
    let is_service = parts.windows(2).any(|pair| pair[0] == "SERVICE" && matches!(pair[1], "HOST" | "PORT"));
    let is_port = parts.last() == Some(&"PORT")
        || parts.windows(2).any(|pair| pair[0] == "PORT" && pair[1].bytes().all(|b| b.is_ascii_digit()));
    is_service || is_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_meaning_is_known() {
        for known in [
            "ROLLFIT_CONFIG",
            "ROLLFIT_SHARD",
            "ROLLFIT_RUN__WORKER",
            "ROLLFIT_WINDOWS",
            "ROLLFIT_TEST_CUT_S",
            "ROLLFIT_SHARED",
            "ROLLFIT_SERVICE_HOST",
            "ROLLFIT_SERVICE_PORT_HTTP",
            "ROLLFIT_WEB_PORT",
            "ROLLFIT_PORT_80_TCP_ADDR",
            "PATH",
        ] {
            assert!(!is_unknown(known), "{known}");
        }
        for unknown in
            ["ROLLFIT_CONFG", "ROLLFIT_RUN_WORKERS", "ROLLFIT_SERIES", "ROLLFIT_IMPORT_", "ROLLFIT_"]
        {
            assert!(is_unknown(unknown), "{unknown}");
        }
    }
}
