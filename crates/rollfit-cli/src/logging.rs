//! Messages on stderr: for people, or as JSON lines. While a progress bar is shown they are written above it.
//!
//! Invariants: a message takes one line, and nothing in it acts on a terminal. If a log cannot be written, its
//! message is lost and the work continues. In a process that is not the command nothing is written: messages are kept until the
//! program asks for them.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use indicatif::ProgressBar;
use rollfit_job::foreign;
use rollfit_job::lock::lock;
use rollfit_job::partition::Partition;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Full};
use tracing_subscriber::fmt::{MakeWriter, SubscriberBuilder};

use crate::args::{GlobalArguments, LogFormat};
use crate::screen::Screen;
use crate::style;

/// The bar on the terminal, once there is one.
static BAR: OnceLock<ProgressBar> = OnceLock::new();
static FORMAT: OnceLock<LogFormat> = OnceLock::new();
/// A message with its causes.
const LINE_CHARS_MAX: usize = 4 * foreign::MESSAGE_CHARS_MAX;
static RUN: OnceLock<String> = OnceLock::new();
/// Whether partitions with nothing to do are told.
static IS_VERBOSE: AtomicBool = AtomicBool::new(false);
/// Whether what went well is left out.
static IS_QUIET: AtomicBool = AtomicBool::new(false);
/// Whether lines of text begin with time and level: whoever reads them later did not see them come.
static IS_STAMPED: AtomicBool = AtomicBool::new(false);
/// The target of the lines of an error after its first.
const NOTE: &str = concat!(env!("CARGO_CRATE_NAME"), "::note");

/// Whether messages are kept for the program around this library.
static IS_KEEPING: AtomicBool = AtomicBool::new(false);
static KEPT: Mutex<VecDeque<LogMessage>> = Mutex::new(VecDeque::new());
/// The most messages that are kept, the latest ones.
const KEPT_MAX: usize = 10_000;

/// A message for the program that runs a job in its own process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogMessage {
    /// Whether it is a warning, and not just progress.
    pub is_warning: bool,
    /// What it says; safe to print.
    pub text: String,
}

/// Keeps messages from now on. Nothing of this is seen outside of this library.
pub fn keep_messages() {
    if !IS_KEEPING.swap(true, Ordering::Relaxed) {
        // Fails where it was done before.
        let _ = text_subscriber(LevelFilter::INFO).try_init();
    }
}

/// The messages kept since the last call, in order.
pub fn take_messages() -> VecDeque<LogMessage> {
    std::mem::take(&mut *lock(&KEPT))
}

fn keep(is_warning: bool, text: &str) {
    let text = foreign::printable(text, LINE_CHARS_MAX).into_owned();
    let mut kept = lock(&KEPT);
    kept.push_back(LogMessage { is_warning, text });
    if kept.len() > KEPT_MAX {
        kept.pop_front();
    }
}

/// Starts logging as asked for.
pub(crate) fn start(arguments: &GlobalArguments) {
    let level = if arguments.quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    let _ = FORMAT.set(arguments.log_format);
    IS_KEEPING.store(false, Ordering::Relaxed);
    IS_QUIET.store(arguments.quiet, Ordering::Relaxed);
    IS_VERBOSE.store(arguments.verbose, Ordering::Relaxed);
    IS_STAMPED.store(!std::io::stderr().is_terminal(), Ordering::Relaxed);
    // Fails only in a process that did something else before.
    let _ = match arguments.log_format {
        LogFormat::Json => {
            let json = subscriber(level).json();
            json.flatten_event(true).with_current_span(false).with_span_list(false).try_init()
        }
        LogFormat::Text => text_subscriber(level).try_init(),
    };
}

fn subscriber(level: LevelFilter) -> SubscriberBuilder<DefaultFields, Format, LevelFilter, AboveTheBar> {
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(AboveTheBar::NONE);
    builder.with_target(false).log_internal_errors(false)
}

fn text_subscriber(
    level: LevelFilter,
) -> SubscriberBuilder<DefaultFields, Format<Full, ()>, LevelFilter, AboveTheBar> {
    subscriber(level).with_ansi(false).without_time().with_level(false)
}

/// Shows messages above `bar` from now on.
pub(crate) fn write_above(bar: &ProgressBar) {
    let _ = BAR.set(bar.clone());
}

/// Takes the bar away for good: the process is about to end.
pub(crate) fn end_bar() {
    Screen::end_all();
    if let Some(bar) = BAR.get() {
        bar.finish_and_clear();
    }
}

/// The name of this run in logs: its start time and its process id.
pub(crate) fn run_id() -> &'static str {
    RUN.get_or_init(|| {
        format!("{}-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), std::process::id())
    })
}

/// A name for one more run of this process, none of which has been given before.
pub(crate) fn new_run_id() -> String {
    static RUNS: AtomicU32 = AtomicU32::new(1);
    let second = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    // A process that was forked continues to count, and has a number of its own.
    match (std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed)) {
        (process, 1) => format!("{second}-{process}"),
        (process, run) => format!("{second}-{process}-{run}"),
    }
}

/// Whether messages are JSON lines.
pub(crate) fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Logs progress that is not about a partition.
pub(crate) fn info(message: &str) {
    if is_json() {
        tracing::info!(run = run_id(), partition = "", stage = "", attempt = 0, "{message}");
    } else {
        tracing::info!("{message}");
    }
}

/// Logs a warning that is not about a partition.
pub(crate) fn warn(message: &str) {
    if is_json() {
        tracing::warn!(run = run_id(), partition = "", stage = "", attempt = 0, "{message}");
    } else {
        tracing::warn!("{message}");
    }
}

/// Whether partitions with nothing to do are told: where the user wants it, and to programs, which count on every one.
pub(crate) fn tells_nothing_to_do() -> bool {
    is_json() || IS_VERBOSE.load(Ordering::Relaxed)
}

/// Whether what was not done is left to what a command prints at its end, which has one line for all of one cause. Programs get each.
pub(crate) fn leaves_ends_to_summary() -> bool {
    IS_QUIET.load(Ordering::Relaxed) && !is_json()
}

/// Logs that there is nothing to do about a partition, where that is told.
pub(crate) fn nothing_to_do(partition: &Partition, stage: &str, message: &str) {
    if tells_nothing_to_do() {
        about(partition, stage, false, message);
    }
}

/// Logs progress of a partition, or a warning about it if it is serious.
pub(crate) fn about(partition: &Partition, stage: &str, serious: bool, message: &str) {
    let name = partition.to_string();
    match (is_json(), serious) {
        (true, false) => tracing::info!(run = run_id(), partition = name, stage, attempt = 1, "{message}"),
        (true, true) => tracing::warn!(run = run_id(), partition = name, stage, attempt = 1, "{message}"),
        (false, false) => info(&format!("{name}: {message}")),
        (false, true) => warn(&format!("{name}: {message}")),
    }
}

/// Logs progress that belongs to a stage and is about no partition or several, or a warning about it if it is serious.
pub(crate) fn at_stage(stage: &str, serious: bool, message: &str) {
    match (is_json(), serious) {
        (true, false) => tracing::info!(run = run_id(), partition = "", stage, attempt = 1, "{message}"),
        (true, true) => tracing::warn!(run = run_id(), partition = "", stage, attempt = 1, "{message}"),
        (false, false) => info(message),
        (false, true) => warn(message),
    }
}

/// Logs that rows were added, to a partition or to several.
pub(crate) fn appended(partition: Option<&Partition>, rows: u64, message: &str) {
    let name = partition.map(Partition::to_string);
    match name {
        name if is_json() => {
            let (partition, stage) = (name.unwrap_or_default(), "appended");
            tracing::info!(run = run_id(), partition, stage, attempt = 1, rows, "{message}");
        }
        Some(name) => info(&format!("{name}: {message}")),
        None => info(message),
    }
}

/// Logs the error that ends the command.
pub(crate) fn error(lines: &[String]) {
    if is_json() {
        let message = lines.join("\n");
        tracing::error!(run = run_id(), partition = "", stage = "", attempt = 0, "{message}");
        return;
    }
    for (at, line) in lines.iter().enumerate() {
        if at == 0 {
            tracing::error!("{line}");
        } else {
            tracing::error!(target: NOTE, "{line}");
        }
    }
}

/// Writes what panics say as messages like all others.
pub(crate) fn write_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
        let cause = panic.payload_as_str().unwrap_or("no message");
        let backtrace = Backtrace::capture();
        warn(&format!("panicked{place}: {cause}"));
        if backtrace.status() == BacktraceStatus::Captured {
            backtrace.to_string().lines().for_each(warn);
        }
    }));
}

/// Writes messages; those of stores don't say of which run.
#[derive(Clone, Copy)]
struct AboveTheBar {
    level: Level,
    is_note: bool,
    is_without_run: bool,
}

impl AboveTheBar {
    /// Of no message yet.
    const NONE: Self = Self { level: Level::INFO, is_note: false, is_without_run: false };

    /// A message as a line: of a JSON line all fields are there; text begins with what it is.
    fn mark(self, text: &str) -> String {
        match text.strip_suffix('}').filter(|_| self.is_without_run) {
            Some(fields) if is_json() => {
                let run = run_id();
                format!(r#"{fields},"run":"{run}","partition":"","stage":"","attempt":0}}"#)
            }
            _ if is_json() => text.to_owned(),
            _ if IS_STAMPED.load(Ordering::Relaxed) => {
                let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
                // A note belongs to the error above it, and is none of its own.
                if self.is_note {
                    format!("{time}   {text}")
                } else {
                    format!("{time} {}: {text}", self.word())
                }
            }
            _ if self.level > Level::WARN || self.is_note => text.to_owned(),
            _ => format!("{}: {text}", self.word()),
        }
    }

    fn word(self) -> &'static str {
        match self.level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            _ => "info",
        }
    }
}

impl<'a> MakeWriter<'a> for AboveTheBar {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }

    fn make_writer_for(&'a self, message: &Metadata<'_>) -> Self {
        Self {
            level: *message.level(),
            is_note: message.target() == NOTE,
            is_without_run: message.fields().field("run").is_none(),
        }
    }
}

impl Write for AboveTheBar {
    /// Takes one message, with the line break at its end.
    fn write(&mut self, message: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(message);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        if IS_KEEPING.load(Ordering::Relaxed) {
            keep(self.level <= Level::WARN, text);
            return Ok(message.len());
        }
        let text = self.mark(text);
        let printable = foreign::printable(&text, LINE_CHARS_MAX);
        let line = if is_json() { foreign::json(&text) } else { style::message(&printable) };
        let write = || {
            let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
        };
        match BAR.get() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
