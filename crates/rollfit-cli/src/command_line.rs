//! The whole command line: the arguments of [`Arguments`], with what every command has alike: `--config` and `--color` before or after it,
//! examples, the long form of the version.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{
    EnumValueParser, PathBufValueParser, Resettable, StyledStr, TypedValueParser, ValueParser,
};
use clap::{Arg, Command, CommandFactory, FromArgMatches, ValueEnum, ValueHint};

use rollfit_files::path::without_shell;

use crate::args::Arguments;
use crate::{examples, style, version};

/// When there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ColorWhen {
    /// On terminals, as NO_COLOR and CLICOLOR_FORCE allow
    Auto,
    /// Also in files and pipes
    Always,
    /// Never
    Never,
}

/// The commands that read no configuration. They take `--config` too, which scripts may pass to all alike.
const WITHOUT_CONFIG: [&str; 4] = ["demo", "metrics", "completions", "man"];

/// What the options of every command are listed under.
pub(crate) const GLOBAL_HEADING: &str = "Global options";

/// The options with a value that may stand before the command.
pub(crate) const GLOBAL_WITH_VALUE: [&str; 4] = ["--color", "--config", "--log-format", "-c"];

/// The command line that is understood.
pub(crate) fn command() -> Command {
    // What a command has an argument of its own for gets no other from here, but the value that was typed before it.
    let command = Arguments::command()
        .styles(style::of_help())
        .long_version(version::long())
        .arg(config())
        .arg(color())
        .mut_args(|argument| argument.help_heading(GLOBAL_HEADING));
    let command = without_empty_config(command);
    let command = with_suited_values(command);
    command.mut_subcommands(|command| {
        with_examples(with_suited_values(without_empty_config(with_hidden_config(command))))
    })
}

/// The command without the variable of `--config` where that is empty: as good as not set, in files of variables.
fn without_empty_config(command: Command) -> Command {
    let is_empty = std::env::var_os("ROLLFIT_CONFIG").is_some_and(|named| named.is_empty());
    if is_empty && command.get_arguments().any(|argument| argument.get_id() == "config") {
        command.mut_arg("config", |argument| argument.env(Resettable::Reset))
    } else {
        command
    }
}

/// The command with a `--config` that its help does not list, where it reads none.
fn with_hidden_config(command: Command) -> Command {
    if WITHOUT_CONFIG.contains(&command.get_name()) {
        command.arg(config().global(false).hide(true))
    } else {
        command
    }
}

/// The command with values as shells treat them: only those that are paths are completed with names of files, and `--option=~/x`, which a
/// shell leaves as it is, is in the home directory.
fn with_suited_values(command: Command) -> Command {
    let path = ValueParser::path_buf().type_id();
    command.mut_args(|argument| {
        let is_path = argument.get_value_parser().type_id() == path;
        let takes_value = argument.get_action().takes_values();
        let has_names = argument.get_value_parser().possible_values().is_some();
        let names_run =
            argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "RUN"));
        if takes_value && is_path && !argument.is_positional() {
            let hint = argument.get_value_hint();
            argument.value_parser(PathBufValueParser::new().map(in_home)).value_hint(hint)
        } else if takes_value && !is_path && !has_names && argument.get_value_hint() == ValueHint::Unknown {
            // A record may be named by its file.
            argument.value_hint(if names_run { ValueHint::FilePath } else { ValueHint::Other })
        } else {
            argument
        }
    })
}

/// The path that is meant by one as it was typed.
fn in_home(path: PathBuf) -> PathBuf {
    let is_in_home = |text: &&str| *text == "~" || text.starts_with("~/");
    let typed = path.to_str().filter(is_in_home);
    typed.and_then(|text| without_shell(text).ok()).unwrap_or(path)
}

fn config() -> Arg {
    Arg::new("config")
        .long("config")
        .short('c')
        .env("ROLLFIT_CONFIG")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .value_hint(ValueHint::FilePath)
        .global(true)
        .help("Configuration file [default: the nearest rollfit.toml, in the working directory or above it]")
}

fn color() -> Arg {
    Arg::new("color")
        .long("color")
        .value_name("WHEN")
        .value_parser(EnumValueParser::<ColorWhen>::new())
        .default_value("auto")
        .global(true)
        .help("When to use colours")
}

/// The command with its examples below its help.
fn with_examples(command: Command) -> Command {
    let examples = examples::of(command.get_name());
    if examples.is_empty() {
        return command;
    }
    let heading = command.get_styles().get_header();
    let lines: String = examples.iter().map(|line| format!("\n  {line}")).collect();
    let mut text = format!("{heading}Examples:{heading:#}{lines}");
    // The help has one text below it.
    if let Some(after) = command.get_after_help() {
        text = format!("{text}\n\n{after}");
    }
    command.after_long_help(StyledStr::from(text))
}

/// Makes sense of what was typed, the name of the program first.
///
/// # Errors
/// When it is not understood, or help or the version is asked for.
pub(crate) fn parse(
    typed: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Arguments, clap::Error> {
    let mut command = command();
    let mut matches = command.try_get_matches_from_mut(typed)?;
    Arguments::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_is_understood() {
        for name in
            command().get_subcommands().map(|command| command.get_name().to_owned()).collect::<Vec<_>>()
        {
            let examples = examples::of(&name);
            assert!((2..=4).contains(&examples.len()), "{name} has {} examples", examples.len());
            for example in examples {
                let commands: Vec<Vec<String>> = examples::commands(example);
                assert!(
                    commands.iter().any(|words| words.contains(&name)),
                    "`{example}` is not about {name}"
                );
                for words in commands {
                    parse(&words).unwrap_or_else(|error| panic!("`{example}`: {error}"));
                }
                assert!(example.len() <= 78, "`{example}` is too long for a terminal of 80 columns");
            }
        }
    }

    #[test]
    fn a_configuration_may_be_named_before_or_after_every_command() {
        for command in command().get_subcommands() {
            let name = command.get_name();
            let needed: &[&str] = match name {
                "import" => &["--format", "csv", "a.csv"],
                "drop" => &["eurusd:2017-01"],
                "switch" => &["next"],
                "completions" => &["bash"],
                _ => &[],
            };
            for typed in [
                [&["rollfit", "--config", "x.toml", name][..], needed].concat(),
                [&["rollfit", "-c", "x.toml", name][..], needed].concat(),
                [&["rollfit", name][..], needed, &["-c", "x.toml"]].concat(),
                [&["rollfit", name, "--config=x.toml"][..], needed].concat(),
            ] {
                let arguments = parse(&typed).unwrap_or_else(|error| panic!("{typed:?}: {error}"));
                let shown = format!("{:?}", arguments.command);
                assert!(
                    WITHOUT_CONFIG.contains(&name) || shown.contains("config: Some(\"x.toml\")"),
                    "{typed:?}: {shown}"
                );
            }
        }
    }
}
