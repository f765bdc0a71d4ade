//! `rollfit man`: the manual pages, made of the help.

use std::fs;
use std::io::Write;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use rollfit_files::regular_file;

use crate::args::ManArguments;
use crate::exit::{Exit, Failure};
use crate::format::plural;
use crate::version::VersionDocument;
use crate::{command_line, examples, output};

pub(super) fn run(arguments: &ManArguments) -> Result<Exit, Failure> {
    let command = command();
    let Some(dir) = &arguments.dir else {
        output::raw(&page(&command, None)?)?;
        return Ok(Exit::Done);
    };
    let failed = |path: &Path, error| Failure::failed(format!("cannot write {}: {error}", path.display()));
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    let pages =
        std::iter::once((&command, None)).chain(command.get_subcommands().map(|sub| (sub, Some(&command))));
    let mut written = 0;
    for (of, above) in pages {
        let (path, text) = (dir.join(format!("{}.1", display_name(of))), page(of, above)?);
        let result = regular_file::create(&path).and_then(|mut file| file.write_all(&text));
        result.map_err(|error| failed(&path, error))?;
        written += 1;
    }
    output::line(&format!("wrote {} into {}", plural(written, "page"), dir.display()))?;
    Ok(Exit::Done)
}

/// The command line, which says the same on every machine.
fn command() -> Command {
    let mut command = command_line::command().long_version(None).disable_help_subcommand(true);
    command.build();
    command
}

fn display_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// A page, with examples as they are typed.
fn page(command: &Command, above: Option<&Command>) -> Result<Vec<u8>, Failure> {
    let version = above.unwrap_or(command).get_version().unwrap_or_default();
    let shown = examples::of(command.get_name());
    let plain = command.clone().after_long_help(None).after_help(None);
    let mut text = Vec::new();
    let man = Man::new(plain).title(display_name(command)).source(format!("rollfit {version}"));
    // None of them may be empty: the others would take its place.
    man.date(VersionDocument::new().built).manual("User Commands").render(&mut text)?;
    let mut roff = Roff::new();
    if !shown.is_empty() {
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for example in shown {
            roff.text([roman(*example)]);
        }
        roff.control("fi", []);
    }
    if let Some(codes) = command.get_after_help() {
        // Lines of a table stay as they are; a sentence is filled as it is.
        let codes = codes.to_string();
        let is_table = codes.contains('\n');
        roff.control("SH", ["EXIT STATUS"]).control(if is_table { "nf" } else { "PP" }, []);
        for line in codes.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []);
    }
    roff.to_writer(&mut text)?;
    Ok(text)
}
