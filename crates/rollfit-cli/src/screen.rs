//! [`Screen`]: lines on a terminal that are drawn again in the same place.

use std::sync::atomic::{AtomicBool, Ordering};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rollfit_job::foreign;

use crate::view::ScreenSize;

/// The columns that an interrupt leaves its `^C` in: at the end of a full line it would begin a line that nobody takes away.
const INTERRUPT_COLUMNS: u16 = 2;

/// Whether the process is about to end, so that nothing is drawn any more.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Lines that stay at the end of what a terminal shows.
pub(crate) struct Screen {
    bar: ProgressBar,
    terminal: Term,
}

impl Screen {
    /// On stderr; none if it is not a terminal that can redraw lines.
    pub(crate) fn on_stderr() -> Option<Self> {
        Self::on(Term::stderr(), ProgressDrawTarget::stderr())
    }

    /// On stdout, see [`Screen::on_stderr`].
    pub(crate) fn on_stdout() -> Option<Self> {
        Self::on(Term::stdout(), ProgressDrawTarget::stdout())
    }

    fn on(terminal: Term, target: ProgressDrawTarget) -> Option<Self> {
        let style = ProgressStyle::with_template("{msg}").ok();
        let style = style.filter(|_| !target.is_hidden() && !console::is_dumb())?;
        Some(Self { bar: ProgressBar::with_draw_target(None, target).with_style(style), terminal })
    }

    /// Where messages are to be written above the lines.
    pub(crate) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// How much room there is now: one row is left for the cursor, and some columns for an interrupt.
    pub(crate) fn size(&self) -> ScreenSize {
        let (rows, columns) = self.terminal.size();
        ScreenSize {
            columns: usize::from(columns.saturating_sub(INTERRUPT_COLUMNS).max(1)),
            rows: usize::from(rows.saturating_sub(1).max(1)),
        }
    }

    /// Shows these lines in place of those before; again, if they were taken away.
    pub(crate) fn show(&self, lines: &[String]) {
        if IS_ENDING.load(Ordering::Relaxed) {
            return;
        }
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
    }

    /// Takes the lines away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
