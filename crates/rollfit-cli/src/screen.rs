//! [`Screen`]: lines on a terminal that are drawn again in the same place.

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rollfit_job::foreign;

use crate::view::ScreenSize;

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
        let style = ProgressStyle::with_template("{msg}").ok().filter(|_| !target.is_hidden())?;
        Some(Self { bar: ProgressBar::with_draw_target(None, target).with_style(style), terminal })
    }

    /// Where messages are to be written above the lines.
    pub(crate) fn bar(&self) -> &ProgressBar {
        &self.bar
    }

    /// How much room there is now: one row is left for the cursor.
    pub(crate) fn size(&self) -> ScreenSize {
        let (rows, columns) = self.terminal.size();
        ScreenSize { columns: usize::from(columns), rows: usize::from(rows).saturating_sub(1) }
    }

    /// Shows these lines in place of those before; again, if they were taken away.
    pub(crate) fn show(&self, lines: &[String]) {
        let lines: Vec<_> = lines.iter().map(|line| foreign::message(line)).collect();
        let was_cleared = self.bar.is_finished();
        self.bar.set_message(lines.join("\n"));
        if was_cleared {
            self.bar.reset();
            self.bar.tick();
        }
    }

    /// Takes the lines away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
