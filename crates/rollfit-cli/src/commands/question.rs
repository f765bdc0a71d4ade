//! A question to the user at the terminal.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use rollfit_job::foreign;

/// Whether there is somebody to ask.
pub(super) fn can_be_asked() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks whether to go on. No answer is a no.
pub(super) fn is_agreed(question: &str) -> io::Result<bool> {
    const ANSWER_BYTES_MAX: u64 = 100;
    let question = format!("{question} [y/N] ");
    io::stderr().write_all(foreign::printable(&question, usize::MAX).as_bytes())?;
    let mut answer = String::new();
    io::stdin().lock().take(ANSWER_BYTES_MAX).read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
