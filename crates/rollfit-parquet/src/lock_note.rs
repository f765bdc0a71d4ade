//! [`LockNote`]: what the holder of a lock writes into its file, for others.
//!
//! Invariants: a note may be anybody's bytes. What is shown of it is short and printable.

use std::fs::File;
use std::io::Read;

use rollfit_job::foreign;
use rollfit_job::runners::RunnerName;

/// The most bytes that are read of a note, and written.
const BYTES_MAX: usize = 256;
/// What the notes of earlier versions begin with: `process 12 on HOST`.
const EARLIER_PREFIX: &str = "process ";
const EARLIER_HOST: &str = " on ";

/// What the holder of a lock says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockNote {
    text: String,
}

impl LockNote {
    /// The note of a runner.
    pub(crate) fn new(runner: &RunnerName) -> Self {
        Self { text: runner.within(BYTES_MAX) }
    }

    /// The note of an import by this process, which computes nothing.
    pub(crate) fn of_import() -> Self {
        Self::new(&RunnerName { definition: None, ..RunnerName::of_this_process("", None) })
    }

    /// The note in a lock's file.
    pub(crate) fn read(file: &File) -> Self {
        let mut bytes = Vec::new();
        let is_read = file.take(BYTES_MAX as u64).read_to_end(&mut bytes).is_ok();
        let text = if is_read { String::from_utf8_lossy(&bytes).into_owned() } else { String::new() };
        Self { text: foreign::printable(text.trim(), BYTES_MAX).into_owned() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The runner that wrote it, as far as it says which.
    pub(crate) fn runner(&self) -> RunnerName {
        RunnerName::parse(&self.text).or_else(|| self.earlier_runner()).unwrap_or_else(RunnerName::unknown)
    }

    fn earlier_runner(&self) -> Option<RunnerName> {
        let (pid, host) = self.text.strip_prefix(EARLIER_PREFIX)?.split_once(EARLIER_HOST)?;
        Some(RunnerName { pid: pid.parse().ok()?, host: host.to_owned(), definition: None, shard: None })
    }
}

/// For messages: `rollfit 4711@worker-3 (shard 3/8)`.
impl std::fmt::Display for LockNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shard = |runner: &RunnerName| runner.shard.map(|shard| format!(" (shard {shard})")).unwrap_or_default();
        match RunnerName::parse(&self.text) {
            Some(runner) => f.pad(&format!("rollfit {}@{}{}", runner.pid, runner.host, shard(&runner))),
            None if self.text.is_empty() => f.pad("another process"),
            None => f.pad(&self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    /// The note of a file with these bytes.
    fn note(bytes: &[u8]) -> LockNote {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        LockNote::read(&file)
    }

    #[test]
    fn a_holder_is_named_as_people_name_it() {
        for (bytes, shown, runner) in [
            ("rollfit 4711@worker-3 1a2b3c4d 3/8", "rollfit 4711@worker-3 (shard 3/8)", (4711, "worker-3")),
            ("rollfit 4711@worker-3 1a2b3c4d", "rollfit 4711@worker-3", (4711, "worker-3")),
            ("process 12 on host", "process 12 on host", (12, "host")),
            // Cut off, or nobody's note.
            ("", "another process", (0, "")),
            ("rollfit 47", "rollfit 47", (0, "")),
            ("process x on y", "process x on y", (0, "")),
            ("rollfit 4711@worker-3 1a2b3c4d 9/8", "rollfit 4711@worker-3 1a2b3c4d 9/8", (0, "")),
        ] {
            let note = note(bytes.as_bytes());
            assert_eq!(note.to_string(), shown);
            let found = note.runner();
            assert_eq!((found.pid, found.host.as_str()), runner, "{bytes}");
            assert_eq!(found.is_unknown(), runner.0 == 0);
        }
        let own = RunnerName::of_this_process("1a2b3c4d5e", Some("3/8".parse().unwrap()));
        assert_eq!(note(LockNote::new(&own).text().as_bytes()).runner(), own);
    }

    #[test]
    fn a_note_of_strange_bytes_is_short_and_printable() {
        let hostile: [&[u8]; 4] = [
            b"rollfit 1@\x1b[31mred 1a2b3c4d",
            b"\xff\xfe\x00 process",
            "process 3 on \u{202e}host".as_bytes(),
            &[b'x'; 1 << 16],
        ];
        for bytes in hostile {
            let note = note(bytes);
            let shown = [note.to_string(), note.runner().to_string()];
            for text in shown {
                assert!(text.len() <= 4 * BYTES_MAX && !text.contains(char::is_control), "{text:?}");
                assert_eq!(foreign::message(&text), text);
            }
        }
    }
}
