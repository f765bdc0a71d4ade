//! `rollfit status --store`: a job as its store shows it, whoever works on it and wherever.

use std::time::{Duration, Instant};

use rollfit_job::absence::Absence;
use rollfit_job::receipt::Definition;
use rollfit_job::runners::RunnerName;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::store_progress::{StoreProgress, StoreWatcher};

use super::job;
use super::receipts::open;
use super::store_document::StoreDocument;
use super::store_words;
use crate::args::{GlobalArguments, StatusArguments};
use crate::exit::{Exit, Failure};
use crate::open::OpenJob;
use crate::screen::Screen;
use crate::view::ScreenSize;
use crate::{output, signals};

/// For how long a look reads receipts: a large store is shown before all of them are read.
const READING: Duration = Duration::from_secs(3);
/// The time between two looks, and how many times as long as a look it is at least.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_TIMES: u32 = 4;
/// For how long `--watch` waits for the first runner: one that has just started reads its first source and has no partition yet.
const FIRST_RUNNER: Duration = Duration::from_secs(60);

/// Shows the job; with `--watch` again and again until nobody works on it any more.
pub(super) fn run(global: &GlobalArguments, arguments: &StatusArguments) -> Result<Exit, Failure> {
    let open = open(job(arguments))?;
    let mut watcher = watcher(&open);
    let own = RunnerName::of_job(&open.config);
    let sink = open.sink.place();
    let screen = if arguments.watch && !global.json { Screen::on_stdout() } else { None };
    let stop = StopSignal::default();
    if arguments.watch {
        signals::stop_showing_at_signal(&stop)?;
    }
    let (begun, mut was_at_work) = (Instant::now(), false);
    loop {
        let started = Instant::now();
        let progress = watcher.look(Some(READING))?;
        was_at_work |= progress.is_at_work();
        let is_awaited = !was_at_work && progress.has_missing() && begun.elapsed() < FIRST_RUNNER;
        let is_last = !arguments.watch || !progress.is_at_work() && !is_awaited;
        if let (Some(screen), true) = (&screen, is_last) {
            screen.clear();
        }
        let shown = Shown { progress: &progress, own: &own, sink: &sink };
        show(global, arguments, screen.as_ref().filter(|_| !is_last), &shown)?;
        if is_last {
            return Ok(Exit::Done);
        }
        stop.sleep(PAUSE.max(PAUSE_TIMES * started.elapsed()));
        if stop.requested() {
            if let Some(screen) = &screen {
                screen.clear();
                show(global, arguments, None, &shown)?;
            }
            return Ok(Exit::Interrupted);
        }
    }
}

/// What looks at the store of a job.
pub(super) fn watcher(open: &OpenJob) -> StoreWatcher<'_> {
    let absence = Absence::new(open.config.run.retry_for);
    let threads = open.job().workers.count(open.partitions.len());
    let definition = Definition::from_config(&open.config);
    StoreWatcher::new(open.sink.as_ref(), &open.partitions, definition, absence, threads)
        .with_source(open.source.as_ref(), &open.config)
}

/// What is shown of a job.
pub(super) struct Shown<'a> {
    pub(super) progress: &'a StoreProgress,
    /// A runner of this configuration.
    pub(super) own: &'a RunnerName,
    pub(super) sink: &'a str,
}

impl Shown<'_> {
    /// The definition that a runner computes, if it is another than this configuration's; none where it does not say.
    pub(super) fn other_definition<'r>(&self, runner: &'r RunnerName) -> Option<&'r str> {
        runner.definition.as_deref().filter(|definition| Some(*definition) != self.own.definition.as_deref())
    }
}

fn show(
    global: &GlobalArguments,
    arguments: &StatusArguments,
    screen: Option<&Screen>,
    shown: &Shown<'_>,
) -> Result<(), Failure> {
    match screen {
        Some(screen) => screen.show(&store_words::lines(shown, screen.size())),
        None if global.json && arguments.watch => output::json_line(&StoreDocument::new(shown))?,
        None if global.json => output::json(&StoreDocument::new(shown))?,
        None => {
            store_words::lines(shown, ScreenSize::ENOUGH).iter().try_for_each(|line| output::line(line))?;
            if arguments.watch {
                output::line("")?;
            }
        }
    }
    Ok(())
}
