//! [`Screen`]: lines on a terminal that are drawn again in the same place.

use std::sync::atomic::{AtomicBool, Ordering};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rollfit_job::foreign;

use crate::interrupt_echo::{self, RedrawnStream};
use crate::view::ScreenSize;

/// Whether the process is about to end, so that nothing is drawn any more.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Lines that stay at the end of what a terminal shows.
pub(crate) struct Screen {
    bar: ProgressBar,
    terminal: Term,
    /// The terminal that writes no `^C` meanwhile; none where it is left as it is.
    silent: Option<RedrawnStream>,
}

impl Screen {
    /// On stderr; none if it is not a terminal that can redraw lines.
    pub(crate) fn on_stderr() -> Option<Self> {
        Self::on(Term::stderr(), ProgressDrawTarget::stderr(), Some(RedrawnStream::stderr()))
    }

    /// The same for a process that is not ours, whose terminal is left as it is.
    pub(crate) fn of_another_program() -> Option<Self> {
        Self::on(Term::stderr(), ProgressDrawTarget::stderr(), None)
    }

    /// On stdout, see [`Screen::on_stderr`].
    pub(crate) fn on_stdout() -> Option<Self> {
        Self::on(Term::stdout(), ProgressDrawTarget::stdout(), Some(RedrawnStream::stdout()))
    }

    fn on(terminal: Term, target: ProgressDrawTarget, silent: Option<RedrawnStream>) -> Option<Self> {
        let style = ProgressStyle::with_template("{msg}").ok();
        let style = style.filter(|_| !target.is_hidden() && !console::is_dumb())?;
        Some(Self { bar: ProgressBar::with_draw_target(None, target).with_style(style), terminal, silent })
    }

    /// Where messages are to be written above the lines.
    pub(crate) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// How much room there is now: one row is left for the cursor.
    pub(crate) fn size(&self) -> ScreenSize {
        let (rows, columns) = self.terminal.size();
        ScreenSize { columns: usize::from(columns.max(1)), rows: usize::from(rows.saturating_sub(1).max(1)) }
    }

    /// Shows these lines in place of those before; again, if they were taken away.
    pub(crate) fn show(&self, lines: &[String]) {
        if IS_ENDING.load(Ordering::Relaxed) {
            return;
        }
        self.silent.iter().for_each(interrupt_echo::silence);
        let lines: Vec<_> = lines.iter().map(|line| foreign::message(line)).collect();
        let was_cleared = self.bar.is_finished();
        self.bar.set_message(lines.join("\n"));
        if was_cleared {
            self.bar.reset();
            self.bar.tick();
        }
    }

    /// Has nothing drawn any more, by whatever screen: the process is about to end, and its bar is taken away.
    pub(crate) fn end_all() {
        IS_ENDING.store(true, Ordering::Relaxed);
        interrupt_echo::restore();
    }

    /// Takes the lines away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
        interrupt_echo::restore();
    }
}

impl Drop for Screen {
    /// Whatever ended the work: also an error or a panic.
    fn drop(&mut self) {
        interrupt_echo::restore();
    }
}
