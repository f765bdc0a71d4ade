//! [`EmbeddedRun`]: `rollfit run` for a program that does something else too.
//!
//! Invariants: nothing is set for the process, no handler, limit or hook, and nothing is printed but a bar where one is wanted. The job
//! works on threads of its own, and everything the caller is told or asked comes on the caller's thread. A caller that wants to leave
//! is let go before the run has begun, and later when what is in progress is finished or rolled back, or does not answer.

use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rollfit_job::foreign;
use rollfit_job::record::Header;
use rollfit_job::stop_signal::StopSignal;
use rollfit_job::warn_once::say_warnings_again;

use crate::args::{Command, GlobalArguments, LogFormat, RunArguments};
use crate::command_line;
use crate::commands::run::{given_shard, run_embedded};
use crate::exit::{Exit, Failure};
use crate::live::Live;
use crate::logging::{self, LogMessage};
use crate::open::OpenJob;
use crate::record::header::header;
use crate::run_reporters::RunReporters;
use crate::screen::Screen;
use crate::signals::ROLLBACK_MAX;
use crate::view;

/// How often the caller is asked whether it wants to stop.
const PERIOD: Duration = Duration::from_millis(50);

/// Who asked for a run. All is called on the thread that asked.
pub trait RunCaller {
    /// Whether it wants to stop, asked 20 times a second. The first time partitions in progress are finished, the second time
    /// they are rolled back.
    fn wants_to_stop(&mut self) -> bool;
    /// The command would write this to its log.
    fn log(&mut self, message: &LogMessage);
    /// The run as it is, once a second and at its end.
    fn show(&mut self, picture: &RunPicture);
}

/// A run as it is at a moment.
#[derive(Clone, Debug)]
pub struct RunPicture {
    /// For people, on one line.
    pub line: String,
    /// For programs, as JSON.
    pub json: String,
}

#[derive(serde::Serialize)]
struct PictureDocument<'a> {
    partitions: u64,
    ended: u64,
    written: u64,
    failed: u64,
    retries: u64,
    rows: u64,
    bytes: u64,
    rows_per_second: f64,
    bytes_per_second: f64,
    workers: usize,
    seconds: f64,
    remaining_seconds: Option<f64>,
    line: &'a str,
}

impl RunPicture {
    fn new(header: &Header, live: &Live) -> Self {
        let line = foreign::message(&view::line(header, live)).into_owned();
        let totals = live.moment.totals;
        let document = PictureDocument {
            partitions: totals.partitions,
            ended: totals.ended,
            written: totals.written,
            failed: totals.failed,
            retries: totals.retries,
            rows: totals.rows,
            bytes: totals.bytes,
            rows_per_second: live.rows_per_s,
            bytes_per_second: live.bytes_per_s,
            workers: live.moment.lanes.len(),
            seconds: live.moment.at.as_secs_f64(),
            remaining_seconds: live.remaining_s.map(|eta| eta.expected),
            line: &line,
        };
        let json = serde_json::to_string(&document).unwrap_or_default();
        Self { json, line }
    }
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct FinishedRun {
    /// The run's name, by which it is analyzed.
    pub run: String,
    /// What the command would have ended with.
    pub exit: Exit,
    /// What `rollfit run --json` prints.
    pub json: String,
    /// What `rollfit run` prints.
    pub text: String,
    /// Its record; none where all was done already, or none could be written.
    pub record: Option<PathBuf>,
}

/// A run that a program asks for.
#[derive(Debug)]
pub struct EmbeddedRun {
    arguments: RunArguments,
}

impl EmbeddedRun {
    /// Takes the options of `rollfit run`, each in one piece: `--only=eurusd`, `--force`.
    ///
    /// # Errors
    /// When there is no such option, or it has no such value.
    pub fn parse(options: &[OsString]) -> Result<Self, Failure> {
        let typed =
            ["rollfit", "run"].into_iter().map(OsStr::new).chain(options.iter().map(OsString::as_os_str));
        let parsed = command_line::parse(typed).map_err(|refused| refusal(&refused))?;
        match parsed.command {
            Command::Run(arguments) if !arguments.follow => Ok(Self { arguments }),
            _ => Err(Failure::usage(
                "following a source takes a process of its own; use `rollfit run --follow`",
            )),
        }
    }

    /// Runs it, with a bar on the terminal where that is wanted and there is one.
    ///
    /// # Errors
    /// Where the command would end before it has run, with its exit code.
    pub fn run(self, with_bar: bool, caller: &mut dyn RunCaller) -> Result<FinishedRun, Failure> {
        logging::keep_messages();
        say_warnings_again();
        let (told, heard) = mpsc::channel();
        let stop = StopSignal::default();
        let phase = Arc::new(Phase::default());
        let grace = self.arguments.stop_within.map(Duration::from_secs);
        let job =
            JobThread { arguments: self.arguments, stop: stop.clone(), phase: Arc::clone(&phase), told };
        let thread = std::thread::Builder::new().name("rollfit run".to_owned()).spawn(move || job.work())?;
        let screen = with_bar.then(Screen::of_another_program).flatten();
        let mut watch =
            Watch { caller, stop, phase, grace, screen, header: None, stopped: None, abandoned: None };
        watch.until_over(&heard, thread)
    }
}

/// What is wrong with an option, without the advice for a command line.
fn refusal(refused: &clap::Error) -> Failure {
    let text = refused.to_string();
    let first: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    Failure::usage(first.join(" ").trim_start_matches("error: "))
}

const OPENING: u8 = 0;
const RUNNING: u8 = 1;
const LEFT: u8 = 2;

/// Whether a run has begun, or its caller has left before.
#[derive(Debug, Default)]
pub(crate) struct Phase(AtomicU8);

impl Phase {
    fn move_on(&self, to: u8) -> bool {
        self.0.compare_exchange(OPENING, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The run begins; whether its caller is still there.
    pub(crate) fn begin(&self) -> bool {
        self.move_on(RUNNING)
    }

    /// The caller leaves, unless the run has begun; whether it has left.
    pub(crate) fn leave(&self) -> bool {
        self.move_on(LEFT)
    }
}

/// What the job says to the caller's thread.
enum Told {
    Begun(Box<Header>),
    Now(Box<Live>),
}

/// The job's side, on a thread of its own.
struct JobThread {
    arguments: RunArguments,
    stop: StopSignal,
    phase: Arc<Phase>,
    told: Sender<Told>,
}

impl JobThread {
    fn work(&self) -> Result<FinishedRun, Failure> {
        let given = given_shard(&self.arguments)?;
        let open = OpenJob::new(&self.arguments.select, given.as_ref())?;
        let run = logging::new_run_id();
        let start = || {
            if !self.phase.begin() {
                return Err(Failure::stopped());
            }
            self.start_reporters(header(&open, &self.arguments, &run))
        };
        let (summary, record) = run_embedded(&self.arguments, &open, &self.stop, start)?;
        let json = serde_json::to_string(&summary).map_err(std::io::Error::other)?;
        let json = foreign::json(&json).into_owned();
        Ok(FinishedRun { exit: summary.exit(), text: summary.text(), json, record, run })
    }

    fn start_reporters(&self, header: Header) -> Result<RunReporters, Failure> {
        let global =
            GlobalArguments { json: false, quiet: true, verbose: false, log_format: LogFormat::Text };
        let reporters = RunReporters::start(&global, &self.arguments, header.clone())?;
        // Nobody hears it where the caller has left.
        let _ = self.told.send(Told::Begun(Box::new(header)));
        let told = self.told.clone();
        Ok(reporters.with_listener(Box::new(move |live| {
            let _ = told.send(Told::Now(Box::new(live)));
        })))
    }
}

/// The caller's side.
struct Watch<'a> {
    caller: &'a mut dyn RunCaller,
    stop: StopSignal,
    phase: Arc<Phase>,
    /// How long partitions may take to finish after a stop.
    grace: Option<Duration>,
    screen: Option<Screen>,
    header: Option<Header>,
    stopped: Option<Instant>,
    abandoned: Option<Instant>,
}

impl Watch<'_> {
    fn until_over(
        &mut self,
        heard: &Receiver<Told>,
        job: JoinHandle<Result<FinishedRun, Failure>>,
    ) -> Result<FinishedRun, Failure> {
        while !job.is_finished() {
            self.hear(heard);
            self.pass_on_messages();
            if self.caller.wants_to_stop() {
                self.stop_further();
            }
            if self.has_left() {
                self.end();
                return Err(Failure::stopped());
            }
        }
        let result = job.join().unwrap_or_else(|panic| Err(bug(panic.as_ref())));
        heard.try_iter().for_each(|told| self.take(told));
        self.end();
        result
    }

    /// Waits for a word of the job, but not for long.
    fn hear(&mut self, heard: &Receiver<Told>) {
        match heard.recv_timeout(PERIOD) {
            Ok(told) => self.take(told),
            Err(RecvTimeoutError::Timeout) => {}
            // The job is about to end.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(1)),
        }
    }

    fn take(&mut self, told: Told) {
        match (told, &self.header) {
            (Told::Begun(header), _) => self.header = Some(*header),
            (Told::Now(live), Some(header)) => {
                if let Some(screen) = &self.screen {
                    screen.show(&view::lines(header, &live, screen.size()));
                }
                self.caller.show(&RunPicture::new(header, &live));
            }
            (Told::Now(_), None) => {}
        }
    }

    fn pass_on_messages(&mut self) {
        for message in logging::take_messages() {
            match &self.screen {
                Some(screen) => screen.bar().clone().suspend(|| self.caller.log(&message)),
                None => self.caller.log(&message),
            }
        }
    }

    /// As the first or the second signal of the command.
    fn stop_further(&mut self) {
        if self.stop.requested() {
            self.abandon();
        } else {
            self.stop.finish();
            self.stopped = Some(Instant::now());
            logging::warn("finishing the partitions in progress; a second Ctrl-C rolls them back");
        }
    }

    fn abandon(&mut self) {
        if !self.stop.abandon_requested() {
            self.stop.abandon();
            self.abandoned = Some(Instant::now());
            logging::warn("rolling back uncommitted work");
        }
    }

    /// Whether the job is no longer waited for: it has not begun, or does not answer.
    fn has_left(&mut self) -> bool {
        if self.stopped.is_some_and(|at| self.grace.is_some_and(|grace| at.elapsed() >= grace)) {
            self.abandon();
        }
        if self.stopped.is_some() && self.phase.leave() {
            return true;
        }
        let is_overdue = self.abandoned.is_some_and(|at| at.elapsed() >= ROLLBACK_MAX);
        if is_overdue {
            logging::warn("something does not answer; its uncommitted work is rolled back once it does");
        }
        is_overdue
    }

    fn end(&mut self) {
        if let Some(screen) = &self.screen {
            screen.clear();
        }
        self.pass_on_messages();
    }
}

/// A panic of the job, which is a bug.
pub(crate) fn bug(panic: &(dyn Any + Send)) -> Failure {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    Failure::failed(format!("a bug in rollfit ended the run: {text}; please report it"))
}
