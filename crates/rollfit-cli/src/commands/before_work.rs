//! [`tell_before_work`]: what a run should know of other runners and of its store before it writes, in words.

use std::time::Duration;

use rollfit_job::Job;
use rollfit_job::canonical_json::definition_hash;
use rollfit_job::config::JobConfig;
use rollfit_job::few::few_and;
use rollfit_job::partition::Partition;
use rollfit_job::patience::patiently;
use rollfit_job::receipt::Definition;
use rollfit_job::run::OtherConfiguration;
use rollfit_job::runners::{BeforeWork, RunnerName, StoreRunner, StoredOtherwise, check_before_work};
use rollfit_job::state::State;
use rollfit_job::{error_chain, foreign};

use crate::exit::Failure;
use crate::{format, logging};

/// More than a clock is off that is set over the network.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(30);

/// Looks at who is at work on the store and what is in it, and warns of what a run of `partitions` would come across. `replace` are the
/// states that it was told to replace.
///
/// # Errors
/// Where another runner computes something else for these partitions, and where the store cannot be reached.
pub(crate) fn tell_before_work(
    job: &Job<'_>,
    partitions: &[Partition],
    replace: &[State],
) -> Result<(), Failure> {
    let found = match patiently(|| check_before_work(job, partitions)) {
        Ok(found) => found,
        Err(error) if error.is_unconnected() => return Err(error.into()),
        Err(error) => {
            logging::warn(&format!("cannot look for other runners on this store: {}", error_chain(&error)));
            return Ok(());
        }
    };
    refuse_other_definition(job.config, &found)?;
    warn_of_other_definitions(job.config, &found);
    if !found.others.is_empty() {
        logging::info(&at_work(&found.others));
    }
    let is_shared = job.config.run.shard.is_some() || !found.others.is_empty();
    // One runner alone says it of each partition.
    let is_told = is_shared && !replace.contains(&State::DefinitionChanged);
    if let Some(stored) = found.stored_otherwise.filter(|_| is_told) {
        logging::warn(&stored_sentence(&stored));
    }
    if let Some(sentence) = found.clock_ahead_us.and_then(clock_sentence) {
        logging::warn(&sentence);
    }
    Ok(())
}

/// Two definitions would take turns at the same partitions.
fn refuse_other_definition(config: &JobConfig, found: &BeforeWork) -> Result<(), Failure> {
    let held = |runner: &'_ &StoreRunner| !runner.held.is_empty();
    let mut others = found.other_definitions.iter().filter(held);
    let Some(other) = others.next() else { return Ok(()) };
    let partition = other.held.first().map(|held| held.partition.to_string()).unwrap_or_default();
    let more = match others.count() {
        0 => String::new(),
        more => format!(" (and {} others)", format::plural(more, "more runner")),
    };
    Err(Failure::usage(format!(
        "{} is writing {partition}{more} with other settings ({}; yours: {}). Use its configuration, wait until it ends, or {NAMES_OF_ITS_OWN}",
        runner(other),
        other.name.definition.as_deref().unwrap_or("unknown"),
        own_definition(config)
    )))
}

/// Warns of runners with other settings that have nothing at the moment: whether they are at work on this job's partitions is not known.
fn warn_of_other_definitions(config: &JobConfig, found: &BeforeWork) {
    let own = own_definition(config);
    for other in &found.other_definitions {
        logging::warn(&other_settings(other, &own));
    }
}

fn other_settings(other: &StoreRunner, own: &str) -> String {
    format!(
        "{} works in this database with other settings ({}; yours: {own}); if that is for the tables of this job, stop one of the two",
        runner(other),
        other.name.definition.as_deref().unwrap_or("unknown"),
    )
}

/// How to keep two configurations from the same partitions, without their runners.
const NAMES_OF_ITS_OWN: &str =
    "give this job names of its own ([store] name, or features in each [series.NAME])";

/// The error of a run that came across another configuration at work.
pub(super) fn other_configuration(other: &OtherConfiguration) -> Failure {
    let OtherConfiguration { partition, difference } = other;
    Failure::usage(format!(
        "another runner has written {partition} with other settings since this run began ({}); this run has stopped. Use the same \
         configuration for both, run one after the other, or {NAMES_OF_ITS_OWN}",
        stored_difference(difference)
    ))
}

/// `stored with windows [15], configured [16] of series idx`; `configured metrics of series idx: without r2`
fn stored_difference(difference: &str) -> String {
    if difference.contains(" became ") {
        format!("stored with {}", difference.replace(" became ", ", configured "))
    } else if difference.contains(": with") {
        format!("configured {difference}")
    } else {
        difference.to_owned()
    }
}

/// The beginning of the hash of what this job computes, as in the names of runners.
fn own_definition(config: &JobConfig) -> String {
    // What is made of strings and numbers can be written.
    let definition = serde_json::to_value(Definition::from_config(config)).unwrap_or_default();
    RunnerName::of_this_process(&definition_hash(&definition), None).definition.unwrap_or_default()
}

/// `rollfit 4711@worker-3 (shard 3/8)`
fn runner(runner: &StoreRunner) -> String {
    if runner.name.is_unknown() {
        return "another process".to_owned();
    }
    let RunnerName { pid, host, shard, .. } = &runner.name;
    let shard = shard.map(|shard| format!(" (shard {shard})")).unwrap_or_default();
    format!("rollfit {pid}@{}{shard}", foreign::name(host))
}

fn at_work(others: &[StoreRunner]) -> String {
    let names: Vec<String> = others.iter().map(runner).collect();
    let are = if others.len() == 1 { "is" } else { "are" };
    format!(
        "{} {are} at work on this store: {}",
        format::plural(others.len(), "other runner"),
        few_and(&names)
    )
}

fn stored_sentence(stored: &StoredOtherwise) -> String {
    let StoredOtherwise { partition, difference, checked, differ } = stored;
    format!(
        "{differ} of the {checked} stored partitions looked at are of another definition ({partition}: {}); this run skips such \
         partitions, --replace definition-changed rewrites them",
        stored_difference(difference)
    )
}

fn clock_sentence(ahead_us: i64) -> Option<String> {
    let difference = Duration::from_micros(ahead_us.unsigned_abs());
    let direction = if ahead_us > 0 { "ahead of" } else { "behind" };
    (difference > CLOCK_DIFFERENCE_MAX).then(|| {
        format!(
            "the clock of the store is {} {direction} this machine's; set both by NTP: times that `rollfit status --store` shows are off by \
             as much",
            format::time(difference.as_secs_f64())
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_told_where_it_is_off_by_more_than_half_a_minute() {
        assert_eq!(clock_sentence(30_000_000), None);
        assert_eq!(clock_sentence(-30_000_000), None);
        let ahead = clock_sentence(47_000_000).unwrap();
        assert!(
            ahead.starts_with("the clock of the store is 47.0 s ahead of this machine's; set"),
            "{ahead}"
        );
        let behind = clock_sentence(-7_200_000_000).unwrap();
        assert!(behind.contains("2.0 h behind this machine's"), "{behind}");
        assert!(clock_sentence(i64::MIN).is_some());
    }

    #[test]
    fn what_is_stored_and_what_is_configured_are_told_apart() {
        assert_eq!(
            stored_difference("windows [15] became [16] of series idx"),
            "stored with windows [15], configured [16] of series idx"
        );
        assert_eq!(
            stored_difference("metrics of series idx: without r2"),
            "configured metrics of series idx: without r2"
        );
        assert_eq!(
            stored_difference("column names changed of series idx"),
            "column names changed of series idx"
        );
    }

    #[test]
    fn other_runners_are_named_by_process_host_and_shard() {
        let other = |pid, shard: Option<&str>| StoreRunner {
            name: RunnerName {
                pid,
                host: "worker-3".to_owned(),
                definition: None,
                shard: shard.map(|shard| shard.parse().unwrap()),
            },
            address: None,
            sessions: None,
            since_us: None,
            held: Vec::new(),
        };
        assert_eq!(at_work(&[other(7, None)]), "1 other runner is at work on this store: rollfit 7@worker-3");
        assert_eq!(
            at_work(&[other(7, Some("0/4")), other(8, Some("1/4"))]),
            "2 other runners are at work on this store: rollfit 7@worker-3 (shard 0/4) and rollfit 8@worker-3 (shard 1/4)"
        );
        assert_eq!(
            other_settings(&other(7, Some("1/2")), "5e6f7a8b"),
            "rollfit 7@worker-3 (shard 1/2) works in this database with other settings (unknown; yours: 5e6f7a8b); if that is for the tables \
             of this job, stop one of the two"
        );
    }
}
