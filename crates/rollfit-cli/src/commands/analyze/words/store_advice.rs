//! What the stores of a run advise about a finding. A record names the kinds of its stores; none is opened.

use rollfit_analysis::{LimitingCause, StoreRole};
use rollfit_job::record::Header;
use rollfit_job::store::Advice;

use super::applies_briefly;
use crate::stores;

/// What the store behind a cause advises, a sentence each.
pub(super) fn store_advice(cause: LimitingCause, header: &Header) -> Vec<String> {
    advice(cause, header).iter().map(sentence).collect()
}

/// The variable that tries the first advice on one run.
pub(super) fn trial_variable(cause: LimitingCause, header: &Header) -> Option<String> {
    advice(cause, header).into_iter().find_map(|advice| advice.trial)
}

fn advice(cause: LimitingCause, header: &Header) -> Vec<Advice> {
    let Some((role, bottleneck)) = cause.store_bottleneck() else { return Vec::new() };
    let kind = match role {
        StoreRole::Source => &header.source_kind,
        StoreRole::Sink => &header.sink_kind,
    };
    stores::kind_named(kind).map(|kind| kind.advice(bottleneck)).unwrap_or_default()
}

/// `Do it: `statement` (where; applies when; undo: `statement`; risk: ...)`
fn sentence(advice: &Advice) -> String {
    let statement = advice.statement.as_ref().map(|statement| format!(": `{statement}`"));
    let undo =
        if advice.roll_back.is_empty() { String::new() } else { format!("; undo: {}", advice.roll_back) };
    let risk = if advice.risk.is_empty() { String::new() } else { format!("; risk: {}", advice.risk) };
    format!(
        "{}{} ({}; applies {}{undo}{risk})",
        advice.action,
        statement.unwrap_or_default(),
        advice.place,
        applies_briefly(advice.applies)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAUSES: [LimitingCause; 13] = [
        LimitingCause::Cpu,
        LimitingCause::Memory,
        LimitingCause::Workers,
        LimitingCause::SourceRead,
        LimitingCause::StoreLatency,
        LimitingCause::StoreBandwidth,
        LimitingCause::Sessions,
        LimitingCause::Locks,
        LimitingCause::Commit,
        LimitingCause::StoreWork,
        LimitingCause::OversizedPartition,
        LimitingCause::Retries,
        LimitingCause::OwnLimit,
    ];

    fn of_kind(kind: &str) -> Header {
        Header { source_kind: kind.to_owned(), sink_kind: kind.to_owned(), ..Header::default() }
    }

    #[test]
    fn slow_commits_of_a_server_are_advised_about_with_the_statement_and_its_way_back() {
        let told = store_advice(LimitingCause::Commit, &of_kind("postgres")).join("\n");
        assert!(
            told.contains("SET synchronous_commit = off") && told.contains("RESET synchronous_commit"),
            "{told}"
        );
    }

    #[test]
    fn a_run_into_files_is_never_advised_about_a_server() {
        for cause in CAUSES {
            for told in store_advice(cause, &of_kind("parquet")) {
                let is_foreign = |word: &&str| told.to_lowercase().contains(*word);
                let words =
                    ["synchronous_commit", "server", "postgres", "pooler", "session", "role", "alter "];
                assert_eq!(words.iter().find(|word| is_foreign(word)), None, "{told}");
            }
        }
    }

    #[test]
    fn a_kind_of_store_that_is_not_known_has_no_advice() {
        assert!(CAUSES.iter().all(|cause| store_advice(*cause, &of_kind("tape")).is_empty()));
    }
}
