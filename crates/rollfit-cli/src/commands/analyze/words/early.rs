//! What can be said of a run that allows no estimate: no partition was written yet, or too few, or it was killed.
//!
//! Invariants: nothing is predicted but the range of the ETA. A number of workers is one to try, at most twice what there was.

use rollfit_analysis::{Analysis, Change, Early, MemoryShortage, NoEstimate, RunEnding, SampledActivity};
use rollfit_job::activity::Activity;

use super::cores::CoresBusy;
use super::finding::setting_words;
use super::{Fact, fact, joined};
use crate::commands::analyze::run_now::RunNow;
use crate::format::{between_times, byte_rate, bytes, count, plural, quantity, rate, time};

const WORKERS: &str = "run.workers";

/// A setting to try, and why.
pub(super) struct Attempt {
    pub(super) change: Change,
    pub(super) why: String,
}

/// How far the run has come, what its workers do and whether cores are idle.
pub(super) fn headline(early: &Early, analysis: &Analysis, now: RunNow) -> String {
    let cores = CoresBusy::new(analysis).and_then(|cores| cores.state(now));
    let parts = joined([does(early, now), cores], ", and ").map(|parts| format!(": {parts}"));
    format!("{}{}.", far(early, analysis, now), parts.unwrap_or_default())
}

fn far(early: &Early, analysis: &Analysis, now: RunNow) -> String {
    let progress = &analysis.progress;
    let (done, all) = (count(progress.done), count(progress.partitions));
    let seconds = time(early.seconds);
    match (analysis.run.state, now.is_running) {
        (_, true) => format!("{done} of {all} partitions are done after {seconds}"),
        (RunEnding::Unfinished, _) if analysis.memory_shortage.is_some() => {
            format!(
                "The run was killed after {seconds}, with memory nearly used up and {done} of {all} partitions done"
            )
        }
        (RunEnding::Unfinished, _) => {
            format!("The run was killed after {seconds}, with {done} of {all} partitions done")
        }
        _ if progress.done == 0 && progress.failed > 0 => {
            format!("Nothing was written in {seconds}, {} of {all} partitions failed", count(progress.failed))
        }
        (RunEnding::Interrupted, _) => {
            format!("The run was stopped after {seconds}, with {done} of {all} partitions done")
        }
        _ => format!("The run took {seconds}, with {done} of {all} partitions done"),
    }
}

/// `1 worker is mostly encoding`
fn does(early: &Early, now: RunNow) -> Option<String> {
    let SampledActivity { activity, .. } = early.activities.first()?;
    let verb = match (now.is_running, early.workers) {
        (true, 1) => "is",
        (true, _) => "are",
        (false, 0..=1) => "was",
        (false, _) => "were",
    };
    Some(format!("{} {verb} mostly {}", plural(early.workers.max(1), "worker"), activity.name()))
}

/// What the samples say, a line each.
pub(super) fn facts(early: &Early, analysis: &Analysis, now: RunNow) -> Vec<Fact> {
    let mut facts =
        vec![fact("workers", workers(early, analysis)), fact("progress", progress(early, analysis))];
    facts.extend(early.eta_s.as_ref().filter(|_| now.is_running).map(|left| {
        let between = between_times(left.low, left.high);
        fact("ETA", format!("{between} for what is left, by the rows so far"))
    }));
    facts.extend(analysis.memory_shortage.as_ref().map(|shortage| fact("memory", short_of_memory(shortage))));
    facts.extend(analysis.no_estimate.as_ref().map(|why| fact("estimates", no_estimate(why))));
    facts
}

/// `run.workers = 1 (rollfit.toml, line 31); there are 2 cores, memory for 70 workers, sessions for 16`
fn workers(early: &Early, analysis: &Analysis) -> String {
    let allowed = &early.allowed;
    let room = joined(
        [
            allowed.cores.map(|cores| match quantity(cores) {
                one if one == "1" => "1 core".to_owned(),
                cores => format!("{cores} cores"),
            }),
            allowed.memory.map(|workers| format!("memory for {}", plural(workers, "worker"))),
            allowed.sessions.map(|workers| format!("sessions for {}", count(workers as u64))),
        ],
        ", ",
    );
    let header = &analysis.header;
    let setting = header.settings.iter().find(|setting| setting.name == WORKERS);
    let setting = setting.map_or_else(|| early.workers_set.clone(), |set| setting_words(set, header));
    room.map_or(setting.clone(), |room| format!("{setting}; there are {room}"))
}

/// `0 of 336 done, 1 in progress for 4.2 s with 12,000 of 31,000 rows handed over; 24,310 rows/s, 27.5 MB/s`
fn progress(early: &Early, analysis: &Analysis) -> String {
    let progress = &analysis.progress;
    let work = &early.in_progress;
    let rows = match work.rows_all {
        Some(all) => format!("{} of {} rows handed over", count(work.rows.min(all)), count(all)),
        None => format!("{} rows handed over", count(work.rows)),
    };
    let in_progress = (work.partitions > 0).then(|| {
        format!("{} in progress for {} with {rows}", count(work.partitions as u64), time(work.age_s))
    });
    let failed = (progress.failed > 0).then(|| format!("{} failed", count(progress.failed)));
    let done = format!("{} of {} done", count(progress.done), count(progress.partitions));
    let speed = joined(
        [early.rows_per_s.map(|rows| format!("{} rows/s", rate(rows))), early.bytes_per_s.map(byte_rate)],
        ", ",
    );
    let what = joined([Some(done), failed, in_progress], ", ");
    joined([what, speed], "; ").unwrap_or_default()
}

fn short_of_memory(shortage: &MemoryShortage) -> String {
    let of = shortage.limit_bytes.map(|limit| format!(" of {}", bytes(limit))).unwrap_or_default();
    let falling = shortage.falling_bytes_per_s;
    let falling =
        if falling >= 1e6 { format!(", {} less each second", bytes(falling as u64)) } else { String::new() };
    format!(
        "this process held {}, and {} more{of} were free at the last sample{falling}",
        bytes(shortage.own_bytes),
        bytes(shortage.free_bytes)
    )
}

/// Why nothing is estimated.
pub(super) fn no_estimate(why: &NoEstimate) -> String {
    match why {
        NoEstimate::NothingWritten => "none: no partition was written".to_owned(),
        NoEstimate::Killed => "none: the run was killed, so what it would have taken is not known".to_owned(),
        NoEstimate::FewPartitions { partitions, workers } => few_partitions(*partitions, *workers),
        NoEstimate::Short { work_s } => {
            format!("none: {} of work are too short to show what more would take", time(*work_s))
        }
    }
}

/// The mean number of workers of a run that was stopped early may round to 0, which is left out.
fn few_partitions(partitions: usize, workers: f64) -> String {
    let by = match quantity(workers).as_str() {
        "0" => String::new(),
        "1" => " by 1 worker".to_owned(),
        workers => format!(" by {workers} workers"),
    };
    let verb = if partitions == 1 { "does" } else { "do" };
    format!(
        "none: {} written{by} {verb} not show what others take; each worker has to write two",
        plural(partitions, "partition")
    )
}

/// A number of workers to try: fewer where memory ran out, more where cores are idle and there is room.
pub(super) fn attempt(early: &Early, analysis: &Analysis, now: RunNow) -> Option<Attempt> {
    let (workers, why) = match &analysis.memory_shortage {
        Some(_) if !now.is_running => (fewer(early)?, "memory was nearly used up".to_owned()),
        Some(_) => return None,
        None => more(early, analysis)?,
    };
    let change = Change::Setting {
        name: WORKERS.to_owned(),
        before: Some(early.workers_set.clone()),
        after: Some(workers.to_string()),
    };
    Some(Attempt { change, why })
}

fn fewer(early: &Early) -> Option<usize> {
    let most = early.workers.checked_sub(1).filter(|&most| most > 0)?;
    Some(early.allowed.memory.unwrap_or(most).clamp(1, most))
}

fn room_for_more(idle: &str) -> String {
    let cores = if idle == "1" { "core is" } else { "cores are" };
    format!("{idle} {cores} idle, and there is room for more workers")
}

/// Twice the workers where their number is fixed and nothing is known to be in the way.
fn more(early: &Early, analysis: &Analysis) -> Option<(usize, String)> {
    const IDLE_LEAST: f64 = 0.25;
    let workers: usize = early.workers_set.parse().ok()?;
    let cores = CoresBusy::new(analysis)?;
    let idle =
        cores.idle().filter(|&idle| idle >= IDLE_LEAST * early.allowed.cores.unwrap_or(f64::INFINITY))?;
    let is_held_back = early.activities.first().is_none_or(|sampled| {
        matches!(
            sampled.activity,
            Activity::Throttled | Activity::Waiting | Activity::Pausing | Activity::Idle
        )
    });
    let allowed = &early.allowed;
    let room = [allowed.memory, allowed.sessions, Some(allowed.partitions as usize)].into_iter().flatten();
    let most = room.fold(2 * workers, usize::min);
    (!is_held_back && most > workers).then(|| (most, room_for_more(&quantity(idle))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::analyze::example;
    use crate::commands::analyze::words::brief;

    const HERE: RunNow = RunNow { is_running: true, pid: Some(4711) };
    const GONE: RunNow = RunNow { is_running: false, pid: None };

    fn told(analysis: &Analysis, now: RunNow) -> String {
        let lines = brief(analysis, now).into_iter().map(|fact| format!("{}: {}\n", fact.label, fact.text));
        headline(analysis.early.as_ref().unwrap(), analysis, now) + "\n" + &lines.collect::<String>()
    }

    #[test]
    fn before_the_first_partition_the_samples_say_what_is_idle_and_what_to_try() {
        let told = told(&example::early(), HERE);
        for line in [
            "0 of 336 partitions are done after 42.0 s: 1 worker is mostly sending, and 1.5 of 2 cores are idle.",
            "cores: 1.5 of 2 idle: this process 0.4, other processes 0.1",
            "workers: run.workers = 1 (rollfit.toml, line 31); there are 2 cores, memory for 70 workers, sessions for 16",
            "progress: 0 of 336 done, 1 in progress for 41.5 s with 12,000 of 31,000 rows handed over; 286 rows/s, 411.4 kB/s",
            "ETA: 10.0–25.0 h for what is left, by the rows so far",
            "estimates: none: no partition was written",
            "try: run.workers = 2: 1.5 cores are idle, and there is room for more workers",
            "now: kill -INT 4711; ROLLFIT_RUN__WORKERS=2 rollfit run --config /srv/fx/rollfit.toml",
            "continues at partition 2 of 336",
        ] {
            assert!(told.contains(line), "{line} is not in {told}");
        }
    }

    #[test]
    fn nothing_is_to_be_tried_where_cores_are_full_or_workers_hold_back_or_find_their_number() {
        assert!(room_for_more("1").starts_with("1 core is idle"));
        let tried = |change: fn(&mut Early)| {
            let mut analysis = example::early();
            change(analysis.early.as_mut().unwrap());
            told(&analysis, HERE).contains("\ntry: ")
        };
        assert!(tried(|_| {}));
        assert!(!tried(|early| early.own_cores = Some(1.8)));
        assert!(!tried(|early| early.own_cores = None));
        assert!(!tried(|early| early.activities[0].activity = Activity::Throttled));
        assert!(!tried(|early| early.workers_set = "auto".to_owned()));
        assert!(!tried(|early| early.allowed.memory = Some(1)));
    }

    #[test]
    fn a_run_that_was_killed_without_memory_is_to_be_tried_with_fewer_workers_and_has_no_eta() {
        let mut analysis = example::early();
        let early = analysis.early.as_mut().unwrap();
        (early.workers, early.allowed.memory, early.workers_set) = (4, Some(3), "4".to_owned());
        analysis.no_estimate = Some(NoEstimate::Killed);
        analysis.memory_shortage = Some(MemoryShortage {
            own_bytes: 1_900_000_000,
            free_bytes: 40_000_000,
            limit_bytes: Some(2_000_000_000),
            falling_bytes_per_s: 9e7,
        });
        let killed = told(&analysis, GONE);
        for line in [
            "The run was killed after 42.0 s, with memory nearly used up and 0 of 336 partitions done",
            "memory: this process held 1.9 GB, and 40.0 MB more of 2.0 GB were free at the last sample, 90.0 MB less each second",
            "try: run.workers = 3: memory was nearly used up",
            "continue: ROLLFIT_RUN__WORKERS=3 rollfit run",
        ] {
            assert!(killed.contains(line), "{line} is not in {killed}");
        }
        assert!(!killed.contains("ETA"), "{killed}");
        analysis.early.as_mut().unwrap().workers = 1;
        assert!(!told(&analysis, GONE).contains("\ntry: "), "one worker cannot be fewer");
    }
}
