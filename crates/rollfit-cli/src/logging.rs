//! Messages on stderr: for people, or as JSON lines. While a progress bar is shown they are written above it.

use std::io::Write;
use std::sync::OnceLock;

use indicatif::ProgressBar;
use rollfit_job::partition::Partition;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::{GlobalArguments, LogFormat};

/// The bar on the terminal, once there is one.
static BAR: OnceLock<ProgressBar> = OnceLock::new();
static FORMAT: OnceLock<LogFormat> = OnceLock::new();
static RUN: OnceLock<String> = OnceLock::new();

/// Starts logging as asked for.
pub(crate) fn start(arguments: &GlobalArguments) {
    let level = if arguments.quiet { LevelFilter::WARN } else { LevelFilter::INFO };
    let _ = FORMAT.set(arguments.log_format);
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(AboveTheBar).with_target(false);
    match arguments.log_format {
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
        }
        LogFormat::Text => builder.with_ansi(false).without_time().with_level(false).init(),
    }
}

/// Shows messages above `bar` from now on.
pub(crate) fn write_above(bar: &ProgressBar) {
    let _ = BAR.set(bar.clone());
}

/// The name of this run in logs: when it began, and which process it is.
pub(crate) fn run_id() -> &'static str {
    RUN.get_or_init(|| {
        format!("{}-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), std::process::id())
    })
}

/// Whether messages are JSON lines.
pub(crate) fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Says what goes on. What is not about a partition has an empty one, and no attempt.
pub(crate) fn info(message: &str) {
    if is_json() {
        tracing::info!(run = run_id(), partition = "", stage = "", attempt = 0, "{message}");
    } else {
        tracing::info!("{message}");
    }
}

/// Says what the user should know, though the work goes on.
pub(crate) fn warn(message: &str) {
    if is_json() {
        tracing::warn!(run = run_id(), partition = "", stage = "", attempt = 0, "{message}");
    } else {
        tracing::warn!("warning: {message}");
    }
}

/// Says what goes on with a partition, or, where it is serious, what the user should know of it.
pub(crate) fn about(partition: &Partition, stage: &str, serious: bool, message: &str) {
    let name = partition.to_string();
    match (is_json(), serious) {
        (true, false) => tracing::info!(run = run_id(), partition = name, stage, attempt = 1, "{message}"),
        (true, true) => tracing::warn!(run = run_id(), partition = name, stage, attempt = 1, "{message}"),
        (false, false) => info(&format!("{name}: {message}")),
        (false, true) => warn(&format!("{name}: {message}")),
    }
}

/// Says what went wrong, as the last word.
pub(crate) fn error(message: &str) {
    if is_json() {
        tracing::error!(run = run_id(), partition = "", stage = "", attempt = 0, "{message}");
    } else {
        tracing::error!("error: {message}");
    }
}

#[derive(Clone, Copy)]
struct AboveTheBar;

impl<'a> MakeWriter<'a> for AboveTheBar {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for AboveTheBar {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let write = || std::io::stderr().write_all(line);
        match BAR.get() {
            Some(bar) => bar.suspend(write)?,
            None => write()?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
