//! [`RunnerName`]: what a runner is called where others see it: the name of its sessions, the note in its locks.

use super::Shard;
use crate::canonical_json::definition_hash;
use crate::config::JobConfig;
use crate::receipt::Definition;

/// A runner, as it names itself: `rollfit PID@HOST DEFINITION I/N`, the last only where it has a share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunnerName {
    /// Its process, on its host or in its container.
    pub pid: u32,
    /// The name of its host, which may be cut.
    pub host: String,
    /// The beginning of the hash of what it computes; none where it does not say.
    pub definition: Option<String>,
    /// Its share of the job; none where it has all of it.
    pub shard: Option<Shard>,
}

/// What the name begins with.
const PREFIX: &str = "rollfit ";
/// What the name of a process that only reads begins with. It is no runner's.
const READER_PREFIX: &str = "rollfit reader ";

impl RunnerName {
    /// The characters of a definition's hash that a name has.
    pub const DEFINITION_CHARS: usize = 8;

    /// This process, which computes what has this hash, in hexadecimal digits.
    pub fn of_this_process(definition_hash: &str, shard: Option<Shard>) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().replace(char::is_whitespace, "_");
        Self {
            pid: std::process::id(),
            host,
            definition: Some(definition_hash.chars().take(Self::DEFINITION_CHARS).collect()),
            shard,
        }
    }

    /// This process at work on a job, with the job's definition and share.
    pub fn of_job(config: &JobConfig) -> Self {
        let definition = serde_json::to_value(Definition::from_config(config)).unwrap_or_default();
        Self::of_this_process(&definition_hash(&definition), config.run.shard)
    }

    /// A runner that does not say who it is. No process has the number 0.
    pub fn unknown() -> Self {
        Self { pid: 0, host: String::new(), definition: None, shard: None }
    }

    /// Whether it does not say who it is, see [`RunnerName::unknown`].
    pub fn is_unknown(&self) -> bool {
        self.pid == 0
    }

    /// The name in at most so many bytes: the host is cut where it must be, to its first label before its end.
    pub fn within(&self, bytes_max: usize) -> String {
        let whole = self.to_string();
        if whole.len() <= bytes_max {
            return whole;
        }
        let short = Self { host: self.host.split('.').next().unwrap_or_default().to_owned(), ..self.clone() };
        let excess = short.to_string().len().saturating_sub(bytes_max);
        let kept = short.host.len().saturating_sub(excess);
        let host = short.host[..short.host.floor_char_boundary(kept)].to_owned();
        let mut name = Self { host, ..short }.to_string();
        name.truncate(name.floor_char_boundary(bytes_max));
        name
    }

    /// What the process is called where it only reads, in at most so many bytes: `rollfit reader PID@HOST`.
    pub fn reader_within(&self, bytes_max: usize) -> String {
        let reader = Self { definition: None, shard: None, ..self.clone() };
        let name = reader.within((bytes_max + PREFIX.len()).saturating_sub(READER_PREFIX.len()));
        name.replacen(PREFIX, READER_PREFIX, 1)
    }

    /// The runner of this name; none where it is no runner's.
    pub fn parse(name: &str) -> Option<Self> {
        let mut words = name.strip_prefix(PREFIX)?.split(' ');
        let (pid, host) = words.next()?.split_once('@')?;
        let (mut definition, mut shard) = (None, None);
        for word in words {
            match word.parse() {
                Ok(found) => shard = Some(found),
                Err(_) if definition.is_none() && is_hash(word) => definition = Some(word.to_owned()),
                Err(_) => return None,
            }
        }
        Some(Self { pid: pid.parse().ok()?, host: host.to_owned(), definition, shard })
    }
}

fn is_hash(word: &str) -> bool {
    word.len() == RunnerName::DEFINITION_CHARS && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl std::fmt::Display for RunnerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pid, host, definition, shard } = self;
        let definition = definition.as_ref().map(|definition| format!(" {definition}")).unwrap_or_default();
        let shard = shard.map(|shard| format!(" {shard}")).unwrap_or_default();
        f.pad(&format!("{PREFIX}{pid}@{host}{definition}{shard}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(host: &str, definition: Option<&str>, shard: Option<&str>) -> RunnerName {
        RunnerName {
            pid: 4711,
            host: host.to_owned(),
            definition: definition.map(str::to_owned),
            shard: shard.map(|shard| shard.parse().unwrap()),
        }
    }

    #[test]
    fn a_runner_is_known_by_its_name() {
        for (runner, name) in [
            (runner("worker-3", Some("1a2b3c4d"), Some("3/8")), "rollfit 4711@worker-3 1a2b3c4d 3/8"),
            (runner("worker-3", Some("1a2b3c4d"), None), "rollfit 4711@worker-3 1a2b3c4d"),
            // As earlier versions name themselves.
            (runner("a.b", None, None), "rollfit 4711@a.b"),
        ] {
            assert_eq!(runner.to_string(), name);
            assert_eq!(RunnerName::parse(name), Some(runner));
        }
        for name in ["", "psql", "rollfit", "rollfit x@y", "rollfit 1", "rollfit 1@y something else"] {
            assert_eq!(RunnerName::parse(name), None, "{name}");
        }
        let this = RunnerName::of_this_process("1a2b3c4d5e6f", None);
        assert_eq!((this.pid, this.definition.as_deref()), (std::process::id(), Some("1a2b3c4d")));
        assert_eq!(RunnerName::parse(&this.to_string()), Some(this));
    }

    #[test]
    fn of_a_long_name_the_host_is_cut() {
        let long = runner("ip-10-0-123-45.eu-central-1.compute.internal", Some("1a2b3c4d"), Some("10/64"));
        assert_eq!(long.within(63), "rollfit 4711@ip-10-0-123-45 1a2b3c4d 10/64");
        let longer = runner(&"é".repeat(60), Some("1a2b3c4d"), Some("10/64"));
        let name = longer.within(63);
        assert!(name.len() <= 63 && name.ends_with(" 1a2b3c4d 10/64"), "{name}");
        assert_eq!(RunnerName::parse(&name).unwrap().shard, longer.shard);
    }

    #[test]
    fn a_reader_is_no_runner() {
        let name = runner("worker-3", Some("1a2b3c4d"), Some("3/8")).reader_within(63);
        assert_eq!(name, "rollfit reader 4711@worker-3");
        assert_eq!(RunnerName::parse(&name), None);
        assert!(runner(&"x".repeat(80), None, None).reader_within(63).len() <= 63);
    }
}
