//! What commands print to stdout: lines for people, or one JSON document.

use std::io::{self, Write};

use rollfit_job::foreign;

use crate::args::GlobalArguments;
use crate::exit::Exit;
use crate::format::plural;
use crate::style;
use crate::table_layout::TableLayout;

/// The most entries of a list that are printed for people. `--json` has them all.
pub(crate) const ENTRIES_MAX: usize = 1000;

/// Prints how many `entries` are left out of a list, if any.
pub(crate) fn rest(entries: usize, noun: &str) -> io::Result<()> {
    rest_line(entries, noun).map_or(Ok(()), |text| line(&text))
}

/// What to print of `entries` that are left out of a list, if any.
pub(crate) fn rest_line(entries: usize, noun: &str) -> Option<String> {
    let more = entries.saturating_sub(ENTRIES_MAX);
    let text = || format!("... and {}; --json prints all", plural(more, &format!("more {noun}")));
    (more > 0).then(text)
}

/// Prints one line; line breaks before and after it stay, those within it are escaped.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let body = text.trim_start_matches('\n');
    let (before, body) = (&text[..text.len() - body.len()], body.trim_end_matches('\n'));
    let after = &text[before.len() + body.len()..];
    write(&style::line(&format!("{before}{}{after}", foreign::printable(body, usize::MAX))))
}

/// Prints lines that rollfit made itself.
pub(crate) fn lines(text: &str) -> io::Result<()> {
    write(&foreign::lines(text))
}

/// Prints text of our own for other programs, byte by byte.
pub(crate) fn raw(text: &[u8]) -> io::Result<()> {
    write_bytes(text)
}

/// Prints a JSON document, indented.
pub(crate) fn json(document: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string_pretty(document).map_err(io::Error::other)?;
    write(&foreign::json(&text))
}

/// Prints a document as JSON where that is wanted, and with `print` elsewhere.
pub(crate) fn document<D: serde::Serialize, E: From<io::Error>>(
    is_json: bool,
    document: &D,
    print: impl FnOnce(&D) -> Result<(), E>,
) -> Result<(), E> {
    if is_json { Ok(json(document)?) } else { print(document) }
}

/// Prints what a command did, as [`document`]; nothing where all went well and that is all there is to say.
pub(crate) fn result<D: serde::Serialize, E: From<io::Error>>(
    global: &GlobalArguments,
    exit: Exit,
    result: &D,
    print: impl FnOnce(&D) -> Result<(), E>,
) -> Result<(), E> {
    if is_silent(global, exit) { Ok(()) } else { document(global.json, result, print) }
}

/// Whether a command that ends like this prints nothing.
pub(crate) fn is_silent(global: &GlobalArguments, exit: Exit) -> bool {
    global.quiet && !global.json && exit == Exit::Done
}

/// Prints a JSON document on one line.
pub(crate) fn json_line(document: &impl serde::Serialize) -> io::Result<()> {
    let text = serde_json::to_string(document).map_err(io::Error::other)?;
    write(&foreign::json(&text))
}

/// A reader that closed the pipe is not an error, and does not change the exit code.
fn write(text: &str) -> io::Result<()> {
    write_bytes(format!("{text}\n").as_bytes())
}

/// As [`write`], without a line break at the end.
fn write_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("cannot write to stdout: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Prints rows under headings, columns as wide as they need to be; the last column is not padded. On a terminal that is too narrow, columns
/// continue below, and the last one, which may be a sentence, takes as many lines as it needs.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| printable_cells(row)).collect();
    let layout = TableLayout::new(headings, &rows, terminal_columns());
    let headings: Vec<String> = headings.iter().map(|heading| (*heading).to_owned()).collect();
    let mut text = Vec::with_capacity(1 + rows.len());
    for (line, row) in std::iter::once(&headings).chain(&rows).enumerate() {
        text.extend(layout.lines(row, |at, cell| match headings[at].as_str() {
            _ if line == 0 => style::heading(cell),
            "state" => style::state(cell),
            _ => cell,
        }));
    }
    // At once: a table may have a row for each of 20,000 partitions. The cells are safe to print and have no line breaks any more.
    write(&text.join("\n"))
}

/// The columns of the terminal that stdout is; none where it is none.
pub(crate) fn terminal_columns() -> Option<usize> {
    let (_, columns) = console::Term::stdout().size_checked()?;
    Some(usize::from(columns)).filter(|columns| *columns > 0)
}

/// The cells of a row, safe to print; the last may hold a message, the others names.
fn printable_cells(row: &[String]) -> Vec<String> {
    let shown = |(at, cell): (usize, &String)| {
        if at + 1 == row.len() { foreign::message(cell) } else { foreign::name(cell) }.into_owned()
    };
    row.iter().enumerate().map(shown).collect()
}
