//! [`Absence`]: for how long a store has not been reached, so that a command that looks at many partitions does not wait for it once a
//! partition. A run has its own rule, because it tries again.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock::lock;
use crate::store::{Fault, StoreError};

/// What the looks at a store share.
pub struct Absence {
    limit: Duration,
    /// When the first of the latest failures began, and what it was. `None` after a success.
    first_failure: Mutex<Option<(Instant, String)>>,
}

impl Absence {
    /// Returns the rule that a store which was not reached for `limit` is not looked at again.
    pub fn new(limit: Duration) -> Self {
        Self { limit, first_failure: Mutex::default() }
    }

    /// Looks at the store, unless it has been away for too long.
    ///
    /// # Errors
    /// Those of `look`; that the store is away.
    pub fn look<T>(&self, look: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some((since, cause)) = lock(&self.first_failure).as_ref()
            && since.elapsed() > self.limit
        {
            let message = format!("not tried, because the store has not been reached since: {cause}");
            return Err(StoreError::unconnected(Fault::Transient, message));
        }
        let started = Instant::now();
        let seen = look();
        let mut first_failure = lock(&self.first_failure);
        match &seen {
            Err(error) if error.is_unconnected() => {
                first_failure.get_or_insert_with(|| (started, error.to_string()));
            }
            _ => *first_failure = None,
        }
        seen
    }
}
