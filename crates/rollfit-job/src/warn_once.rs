//! [`warn_once`]: warnings that a command comes across several times, and says once.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::lock::lock;

static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Warns, unless it did with these words before.
pub fn warn_once(warning: String) {
    let is_new = {
        let mut said = lock(&SAID);
        !said.contains(&warning) && said.insert(warning.clone())
    };
    if is_new {
        tracing::warn!("{warning}");
    }
}

/// Forgets what was said, at the start of one more job of a process.
pub fn say_warnings_again() {
    lock(&SAID).clear();
}
