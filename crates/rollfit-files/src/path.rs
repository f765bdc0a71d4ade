//! Paths as users need them: [`full`], the same from every directory; [`without_shell`], as they write them where no shell reads them; and
//! [`shell_word`], to be pasted into a command.

use std::fs;
use std::path::{Path, PathBuf};

/// A path from the root, as far as it exists without links and `..`: the same from every directory.
pub fn full(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = |above: &Path| {
        let rest = path.strip_prefix(above).ok()?;
        let above = fs::canonicalize(above).ok()?;
        Some(if rest.as_os_str().is_empty() { above } else { above.join(rest) })
    };
    path.ancestors().find_map(known).unwrap_or_else(|| path.clone())
}

/// The path that a user means who has written `text` where no shell reads it: `~` and `~/x` are in the home directory.
///
/// # Errors
/// What to write instead, where it names another user's home or a variable, which would become a directory called `$HOME`.
pub fn without_shell(text: &str) -> Result<PathBuf, String> {
    if let Some(variable) = text.split('/').find(|name| names_variable(name)) {
        return Err(format!(
            "`{variable}` is not replaced here: write the path out, or ~/ for your home directory"
        ));
    }
    let Some(rest) = text.strip_prefix('~') else { return Ok(PathBuf::from(text)) };
    if !(rest.is_empty() || rest.starts_with('/')) {
        let user = text.split('/').next().unwrap_or_default();
        return Err(format!(
            "`{user}` is not replaced here, only ~/ is, your own home directory: write the path out, or ./{user} for a directory that is \
             called so"
        ));
    }
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    let home = home.ok_or("`~` is not known: HOME is not set; write the path out")?;
    // Joined, a path from the root would replace the home.
    Ok(home.join(rest.trim_start_matches('/')))
}

/// Whether a name begins as a shell's variable does: `$HOME`, `${HOME}`.
fn names_variable(name: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '{';
    name.strip_prefix('$').is_some_and(|rest| rest.starts_with(begins))
}

/// A text as a shell reads it as one word.
pub fn shell_word(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_directory_is_found_and_what_only_a_shell_knows_is_refused() {
        let home = std::env::home_dir().unwrap();
        for (text, path) in [
            ("~", home.clone()),
            ("~/", home.join("")),
            ("~/fx", home.join("fx")),
            ("~//fx", home.join("fx")),
            ("./~fx", PathBuf::from("./~fx")),
            ("a/~/b", PathBuf::from("a/~/b")),
            ("$", PathBuf::from("$")),
            ("us$/5$", PathBuf::from("us$/5$")),
            ("", PathBuf::new()),
        ] {
            assert_eq!(without_shell(text).as_ref(), Ok(&path), "{text}");
        }
        for (text, part) in [("~joe/fx", "./~joe"), ("$HOME/fx", "`$HOME`"), ("/data/${USER}", "`${USER}`")] {
            assert!(without_shell(text).unwrap_err().contains(part), "{text}");
        }
    }
}
