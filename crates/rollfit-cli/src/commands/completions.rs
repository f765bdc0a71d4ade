//! `rollfit completions`: the completions of a shell, printed.

use clap_complete::{Shell, generate};

use crate::args::CompletionsArguments;
use crate::exit::{Exit, Failure};
use crate::{command_line, output};

/// What users type, whichever package it comes from.
const NAME: &str = "rollfit";

pub(super) fn run(arguments: &CompletionsArguments) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(arguments.shell, &mut command_line::command(), NAME, &mut script);
    let script = String::from_utf8_lossy(&script);
    let script = if arguments.shell == Shell::Bash { for_bash(&script) } else { script.into_owned() };
    output::raw(script.as_bytes())?;
    Ok(Exit::Done)
}

/// The script for bash, which parts words at `=`, and knows nothing of lists with commas.
fn for_bash(script: &str) -> String {
    const WORD_BEFORE: &str = "    prev=\"$3\"\n";
    const PARTED: &str = r#"    local list=""
    if [[ "${prev}" == "=" ]]; then
        prev="${COMP_WORDS[COMP_CWORD-2]}"
    fi
    if [[ "${cur}" == *,* ]]; then
        list="${cur%,*},"
    fi
"#;
    let script = script.replacen(WORD_BEFORE, &format!("{WORD_BEFORE}{PARTED}"), 1);
    let words = r#"$(compgen -W "#;
    let of_list = script.replace(words, r#"$(compgen -P "${list}" -W "#);
    of_list.replace(r#"" -- "${cur}")"#, r#"" -- "${cur##*,}")"#)
}
