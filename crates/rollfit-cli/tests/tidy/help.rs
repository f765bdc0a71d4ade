//! The help of the command and of each of its subcommands, as users see it on a terminal of 100 columns.

use std::process::Command;

use crate::snapshots::Snapshots;

const COLUMNS: &str = "100";

/// What `--help` prints for the command or a subcommand.
pub(crate) fn help(subcommand: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollfit"));
    // Variables of ours would show as values of options.
    command.env_clear().env("COLUMNS", COLUMNS).args(subcommand).arg("--help");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{subcommand:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands that the help lists.
pub(crate) fn subcommands() -> Vec<String> {
    let help = help(None);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn the_help_changes_only_on_purpose() {
    let mut snapshots = Snapshots::open("help");
    snapshots.check("rollfit", &help(None));
    let subcommands = subcommands();
    assert!(subcommands.iter().any(|name| name == "run"), "{subcommands:?}");
    subcommands.iter().for_each(|name| snapshots.check(name, &help(Some(name))));
    snapshots.finish();
}

#[test]
fn no_line_of_the_help_is_wider_than_the_terminal() {
    let width: usize = COLUMNS.parse().unwrap();
    for name in std::iter::once(None).chain(subcommands().iter().map(|name| Some(name.as_str()))) {
        let help = help(name);
        let wide = help.lines().find(|line| line.chars().count() > width);
        assert_eq!(wide, None, "{name:?}");
    }
}
