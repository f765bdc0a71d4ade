//! [`KeptStores`]: the stores of jobs, open from one task of a process to the next.
//!
//! Invariants: what is open belongs to one process. One that was forked finds nothing open and never touches what its parent has: not the
//! sockets, which both share, and not the locks, which a thread that the fork left behind may hold. Stores are those of the configuration and
//! the environment as they are at each task, and are closed when no task has used them for a minute.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rollfit_cli::{Failure, OpenStores};
use rollfit_job::lock::lock;

/// How long stores stay open that no task uses.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The process in which rollfit was used first, and those forked from it.
static FIRST: OnceLock<Box<KeptStores>> = OnceLock::new();

/// The stores that a process keeps open.
pub(super) struct KeptStores {
    pid: u32,
    kept: Mutex<Kept>,
    /// Those of a process that was forked from this one, or from one of its kin.
    forked: OnceLock<Box<KeptStores>>,
}

#[derive(Default)]
struct Kept {
    entries: Vec<Entry>,
    was_used: bool,
    is_watched: bool,
}

/// A configuration whose stores are open.
struct Entry {
    config: PathBuf,
    settings: Settings,
    stores: Arc<OpenStores>,
    used: Instant,
}

/// What stores are opened by.
#[derive(PartialEq, Eq)]
struct Settings {
    /// The bytes of the configuration; none where there is no such file.
    text: Option<Vec<u8>>,
    environment: Vec<(OsString, OsString)>,
}

impl Settings {
    /// Those of this moment; none where the configuration is no file that can be read twice.
    fn now(config: &Path) -> Option<Self> {
        let is_other = std::fs::metadata(config).is_ok_and(|found| !found.is_file());
        if is_other {
            return None;
        }
        let is_used = |name: &OsString| {
            let name = name.as_encoded_bytes();
            name.starts_with(b"ROLLFIT_") || name.starts_with(b"PG")
        };
        let mut environment: Vec<_> = std::env::vars_os().filter(|(name, _)| is_used(name)).collect();
        environment.sort();
        Some(Self { text: std::fs::read(config).ok(), environment })
    }
}

impl KeptStores {
    /// Those of this process.
    pub(super) fn of_process() -> &'static Self {
        let pid = std::process::id();
        let new = || Box::new(Self { pid, kept: Mutex::default(), forked: OnceLock::new() });
        let mut found = FIRST.get_or_init(new);
        while found.pid != pid {
            found = found.forked.get_or_init(new);
        }
        found
    }

    /// Whether nobody has asked this before.
    pub(super) fn is_first_use(&self) -> bool {
        !std::mem::replace(&mut lock(&self.kept).was_used, true)
    }

    /// The stores of a configuration: those that are open, or else they are opened.
    ///
    /// # Errors
    /// Where they cannot be opened.
    pub(super) fn open(&'static self, config: &Path) -> Result<Arc<OpenStores>, Failure> {
        let Some(settings) = Settings::now(config) else {
            return OpenStores::open_to_write(config).map(Arc::new);
        };
        if let Some(stores) = self.kept(config, &settings) {
            return Ok(stores);
        }
        let stores = Arc::new(OpenStores::open_to_write(config)?);
        // What was read in between may be something else.
        if Settings::now(config).as_ref() == Some(&settings) {
            self.keep(config, settings, &stores);
        }
        Ok(stores)
    }

    fn kept(&self, config: &Path, settings: &Settings) -> Option<Arc<OpenStores>> {
        let mut kept = lock(&self.kept);
        let entry =
            kept.entries.iter_mut().find(|entry| entry.config == config && entry.settings == *settings)?;
        entry.used = Instant::now();
        Some(entry.stores.clone())
    }

    fn keep(&'static self, config: &Path, settings: Settings, stores: &Arc<OpenStores>) {
        let entry =
            Entry { config: config.to_owned(), settings, stores: stores.clone(), used: Instant::now() };
        let (_earlier, is_watched) = {
            let mut kept = lock(&self.kept);
            let earlier = take(&mut kept.entries, |entry| entry.config == config);
            kept.entries.push(entry);
            (earlier, std::mem::replace(&mut kept.is_watched, true))
        };
        if !is_watched {
            let watch = move || self.close_idle();
            if std::thread::Builder::new().name("rollfit idle".to_owned()).spawn(watch).is_err() {
                // They stay open until the next ones are opened, or the process ends.
                lock(&self.kept).is_watched = false;
            }
        }
    }

    /// Closes stores as they become idle, until none is left.
    fn close_idle(&self) {
        loop {
            let (_idle, next) = {
                let mut kept = lock(&self.kept);
                let is_idle =
                    |entry: &Entry| Arc::strong_count(&entry.stores) == 1 && entry.used.elapsed() >= IDLE_MAX;
                let idle = take(&mut kept.entries, is_idle);
                let next =
                    kept.entries.iter().map(|entry| IDLE_MAX.saturating_sub(entry.used.elapsed())).min();
                kept.is_watched = next.is_some();
                (idle, next)
            };
            let Some(next) = next else { return };
            std::thread::sleep(next.max(Duration::from_secs(1)));
        }
    }

    /// Closes the stores of a configuration once no task uses them.
    pub(super) fn forget(&self, config: &Path) {
        let _closed = take(&mut lock(&self.kept).entries, |entry| entry.config == config);
    }

    /// Closes all, once no task uses them.
    pub(super) fn close(&self) {
        let _closed = std::mem::take(&mut lock(&self.kept).entries);
    }
}

/// Takes those out that are meant; they are closed by whoever drops them, without a lock.
fn take(entries: &mut Vec<Entry>, is_meant: impl Fn(&Entry) -> bool) -> Vec<Entry> {
    entries.extract_if(.., |entry| is_meant(entry)).collect()
}
