//! [`PassFile`], usually `~/.pgpass`: lines of `host:port:database:user:password`, where `*` matches anything and `\` escapes the
//! next character. A file that others can read is not used.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Permissions of the group and others.
const OTHERS: u32 = 0o077;

/// The contents of a password file. Not printable.
pub(crate) struct PassFile {
    text: Vec<u8>,
    warning: Option<String>,
}

/// What to look a password up by.
#[derive(Clone, Copy)]
pub(crate) struct PassFileKey<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
}

impl PassFile {
    /// Reads a file. One that does not exist or cannot be read counts as empty.
    pub(crate) fn read(path: &Path) -> Self {
        match fs::metadata(path).ok().and_then(|metadata| refusal(path, &metadata)) {
            Some(warning) => Self { text: Vec::new(), warning: Some(warning) },
            None => Self { text: fs::read(path).unwrap_or_default(), warning: None },
        }
    }

    /// Returns why the file is not used, if it is not.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Returns the password of the first line that matches.
    pub(crate) fn password(&self, key: PassFileKey<'_>) -> Option<Vec<u8>> {
        let lines =
            self.text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.filter(|line| !line.starts_with(b"#")).find_map(|line| password_in(line, key))
    }
}

fn refusal(path: &Path, metadata: &fs::Metadata) -> Option<String> {
    let path = path.display();
    if !metadata.is_file() {
        return Some(format!("the password file {path} is not used: it is not a regular file"));
    }
    (metadata.permissions().mode() & OTHERS != 0).then(|| {
        format!("the password file {path} is not used: others can read or change it; give it the mode 0600")
    })
}

fn password_in(line: &[u8], key: PassFileKey<'_>) -> Option<Vec<u8>> {
    let port = key.port.to_string();
    let fields = [key.host, &port, key.database, key.user];
    let rest = fields.iter().try_fold(line, |line, field| after_match(line, field.as_bytes()))?;
    Some(unescape(rest))
}

/// Returns what follows the first field of `line` if that field matches.
fn after_match<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = line.strip_prefix(b"*:") {
        return Some(rest);
    }
    let mut line = line;
    for byte in key {
        line = line.strip_prefix(b"\\").unwrap_or(line).strip_prefix(std::slice::from_ref(byte))?;
    }
    line.strip_prefix(b":")
}

fn unescape(escaped: &[u8]) -> Vec<u8> {
    let mut password = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => password.push(*bytes.next().unwrap_or(byte)),
            _ => password.push(*byte),
        }
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: PassFileKey<'_> =
        PassFileKey { host: "db.example", port: 5432, database: "fx", user: "me" };

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PassFile) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pgpass");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let read = PassFile::read(&path);
        (dir, read)
    }

    fn assert_password(text: &str, key: PassFileKey<'_>, password: Option<&str>) {
        let found = file(text, 0o600).1.password(key).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(found.as_deref(), password, "{text}");
    }

    #[test]
    fn the_first_line_that_matches_decides() {
        let text = "# db.example:5432:fx:me:no\n\nother:5432:fx:me:no\ndb.example:5433:fx:me:no\n\
                    db.example:5432:fx:me:yes\n*:*:*:*:late\n";
        assert_password(text, WANTED, Some("yes"));
        assert_password(text, PassFileKey { user: "you", ..WANTED }, Some("late"));
        assert_password("", WANTED, None);
        assert_password(
            "db.example:5432:fx:m:no\ndb.example:5432:fx:mee:no\ndb.example:5432:fx:me",
            WANTED,
            None,
        );
    }

    #[test]
    fn stars_match_whole_fields_only() {
        assert_password("*:*:*:me:yes", WANTED, Some("yes"));
        assert_password("*.example:*:*:me:no", WANTED, None);
        assert_password("db*:*:*:me:no", WANTED, None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let key = PassFileKey { host: "::1", user: r"a\b", ..WANTED };
        assert_password(r"\:\:1:5432:fx:a\\b:p\:a\\s:s", key, Some(r"p:a\s:s"));
        assert_password(r"::1:5432:fx:a\\b:as in libpq", key, Some("as in libpq"));
        assert_password("db.example:5432:fx:me:trailing\\\r\n", WANTED, Some("trailing\\"));
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used_and_says_so() {
        for mode in [0o640, 0o604, 0o620] {
            let (_dir, read) = file("*:*:*:*:hunter2\n", mode);
            assert_eq!(read.password(WANTED), None);
            let warning = read.warning().unwrap();
            assert!(warning.contains("pgpass") && warning.contains("0600"), "{warning}");
            assert!(!warning.contains("hunter2"), "{warning}");
        }
        let (_dir, read) = file("*:*:*:*:hunter2\n", 0o400);
        assert_eq!(read.password(WANTED).as_deref(), Some(b"hunter2".as_slice()));
        assert_eq!(read.warning(), None);
    }

    #[test]
    fn an_absent_file_is_empty_and_a_directory_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let absent = PassFile::read(&dir.path().join("none"));
        assert!(absent.password(WANTED).is_none() && absent.warning().is_none());
        assert!(PassFile::read(dir.path()).warning().unwrap().contains("not a regular file"));
    }
}
