//! [`Session::answer`]: waits for one answer, as the activity that it belongs to, and finds out who holds a lock that keeps it away.
//!
//! Invariants: only another session that nobody uses is asked, and nobody waits for one. What could not be found out changes nothing.

use std::future::Future;
use std::time::{Duration, Instant};

use rollfit_job::activity::{Activity, during, note_holder, round_trip};

use super::pipeline::{Asked, Refusable};
use super::{Session, Wait, wait};
use crate::connection::holders::Holder;
use crate::connection::monitor::monitoring;

/// How much longer than any answer a lock takes before somebody is asked who has it, and any other statement, which may just be slow.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(750);

/// How long an answer about locks may take, on the server and here. A session that does not answer in time is closed, so that a server far away
/// has time enough.
const HOLDER_TIMEOUT: Duration = Duration::from_millis(500);
const HOLDER_REPLY_TIMEOUT: Duration = Duration::from_secs(3);

impl Session {
    /// Waits for an answer. The first one of a round trip counts the trip. Returns who held a lock that was waited for, if that was found out.
    pub(super) fn answer<T>(
        &self,
        asked: &Asked,
        is_first: bool,
        mut answer: impl Future<Output = Refusable<T>> + Unpin,
    ) -> (Wait<T>, Option<String>) {
        let started = Instant::now();
        let left = || self.reply_timeout.saturating_sub(started.elapsed());
        let is_lock = asked.activity == Some(Activity::Waiting);
        let prompt = self.shared.shortest_reply().min(self.reply_timeout);
        let mut is_trip = is_first;
        let mut wait_for = |limit: Duration| match std::mem::take(&mut is_trip) {
            true => self.counted(limit, &mut answer),
            false => self.runtime.block_on(wait(limit, &mut answer)),
        };
        // A lock that is had at once was not waited for: as long as any answer takes is querying, as is the trip.
        if is_first && is_lock {
            let first = during(Activity::Querying, || wait_for(prompt));
            if let Wait::Answered(_) = first {
                return (first, None);
            }
        }
        let patience = if is_lock { LOCK_PATIENCE } else { PATIENCE };
        let asks = self.asks_for_holders && patience < self.lock_timeout;
        let Some(begin) = asked.begin.as_deref().filter(|_| asks) else {
            return (during_any(asked.activity, || wait_for(left())), None);
        };
        let prompt = if is_first && !is_lock { prompt } else { Duration::ZERO };
        match during_any(asked.activity, || wait_for((prompt + patience).min(left()))) {
            Wait::Silent => {}
            answered => return (answered, None),
        }
        let holder = during_any(asked.activity, || self.holder(begin));
        let activity = if holder.is_some() { Some(Activity::Waiting) } else { asked.activity };
        // Nobody read the socket meanwhile: what has arrived is read before the session is given up.
        (during_any(activity, || wait_for(left().max(LOCK_PATIENCE))), holder)
    }

    /// Waits for the first answer of a round trip, and counts the trip. Only an answer that is no error shows how long a trip takes: the
    /// server may have sent the error before it was asked.
    pub(super) fn counted<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Wait<T> {
        let started = Instant::now();
        let waited = self.runtime.block_on(wait(limit, answer));
        let reply = matches!(&waited, Wait::Answered(Ok(_))).then(|| started.elapsed());
        reply.into_iter().for_each(|reply| self.shared.note_reply(reply));
        round_trip(reply);
        waited
    }

    /// Returns who holds a lock that a statement waits for which begins so.
    fn holder(&self, begin: &str) -> Option<String> {
        let pool = self.shared.pool.upgrade()?;
        let mut session = pool.spare_session(Duration::ZERO, HOLDER_REPLY_TIMEOUT).ok().flatten()?;
        let processes = self.shared.processes();
        let found = monitoring(&mut session, HOLDER_TIMEOUT, |session| {
            Holder::blocking_statement(session, &processes, begin)
        });
        let holder = found.ok().flatten()?.to_string();
        self.shared.seen_holders().record_holder(&holder);
        note_holder(&holder);
        Some(holder)
    }
}

/// Waits as this activity; none is what the worker does anyway.
fn during_any<T>(activity: Option<Activity>, wait: impl FnOnce() -> T) -> T {
    match activity {
        Some(activity) => during(activity, wait),
        None => wait(),
    }
}
