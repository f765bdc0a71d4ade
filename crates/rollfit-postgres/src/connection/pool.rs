//! [`Pool`]: the sessions of a store, limited to what the server can spare, shared by the workers.
//!
//! Invariants: never more sessions than the budget. If the server reports that it is full, the budget shrinks and
//! work continues with the open sessions. Every half minute the pool tries one more. Where the budget becomes smaller because another runner
//! came, sessions beyond it are closed once nobody uses them, never before. As long as there are others, one session is for the monitor, which
//! would else not see them go.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use libpq_connect::{ConnectError, ConnectOptions};
use rollfit_job::activity::{connecting, waiting};
use rollfit_job::lock::{lock, unpoisoned};
use rollfit_job::store::{Fault, StoreError};

use crate::connection::fault::not_connected;
use crate::connection::holders::SeenHolders;
use crate::connection::session::{Session, Shared};
use crate::connection::session_budget::SessionBudget;

/// How long a budget reduced by the server stays reduced.
const SHRUNK_FOR: Duration = Duration::from_secs(30);

/// The same where other runners have the sessions: each of them looks once a second how many runners there are.
const SHRUNK_FOR_RUNNERS: Duration = Duration::from_secs(2);

/// How long the queries with which a store is opened may take. They are short, and nobody holds anything that they need.
const OPENING_TIMEOUT: Duration = Duration::from_secs(60);

/// The sessions of a store.
pub(crate) struct Pool {
    options: ConnectOptions,
    reply_timeout: Duration,
    shared: Shared,
    sessions: Mutex<Sessions>,
    freed: Condvar,
}

struct Sessions {
    idle: Vec<Session>,
    open: usize,
    budget: usize,
    /// The number of sessions that the server is assumed to allow now.
    limit: usize,
    shrunk_at: Option<Instant>,
    /// Whether other runners share what the server can spare: it may be full until they have seen this one.
    is_shared: bool,
    /// How many wait for a session for a quick query.
    spare_wanted: usize,
}

/// A borrowed session. On drop it returns to the pool, or is closed if it is broken.
pub(crate) struct PooledSession {
    session: Option<Session>,
    pool: Arc<Pool>,
}

/// Whether a session is opened for the first time.
enum SessionSlot {
    Idle(Box<Session>),
    New,
}

impl Pool {
    /// Returns a pool with a budget of one session; [`Pool::set_budget`] raises it.
    pub(crate) fn new(options: ConnectOptions, reply_timeout: Duration) -> Arc<Self> {
        let sessions = Sessions {
            idle: Vec::new(),
            open: 0,
            budget: 1,
            limit: 1,
            shrunk_at: None,
            is_shared: false,
            spare_wanted: 0,
        };
        Arc::new_cyclic(|pool| Self {
            options,
            reply_timeout,
            shared: Shared::new(pool),
            sessions: Mutex::new(sessions),
            freed: Condvar::new(),
        })
    }

    /// Returns where the sessions connect to, for messages.
    pub(crate) fn describe(&self) -> String {
        self.options.to_string()
    }

    /// Returns who had what workers wanted.
    pub(crate) fn seen_holders(&self) -> &SeenHolders {
        self.shared.seen_holders()
    }

    /// Returns the server processes of the open sessions. One that was opened a moment ago may be missing.
    pub(crate) fn processes(&self) -> Vec<i32> {
        self.shared.processes()
    }

    /// Returns how often sessions have waited for an answer so far.
    pub(crate) fn round_trips(&self) -> u64 {
        self.shared.round_trips()
    }

    /// Returns what the last round trips were for, the latest last.
    #[cfg(feature = "failpoints")]
    pub(crate) fn last_round_trips(&self) -> Vec<String> {
        self.shared.last_round_trips()
    }

    /// Returns the `application_name` of the sessions.
    pub(crate) fn application_name(&self) -> &str {
        self.options.application_name()
    }

    /// Returns whether the connection stays on this machine, judging by the address.
    pub(crate) fn leads_here(&self) -> bool {
        self.options.is_local()
    }

    /// Returns whether it does so through a Unix socket.
    pub(crate) fn is_socket(&self) -> bool {
        self.options.is_socket()
    }

    /// Returns warnings about settings without effect.
    pub(crate) fn warnings(&self) -> &[String] {
        self.options.warnings()
    }

    /// Sets how many sessions may be open at once: the share of this process and, until others have made room, what is free. Sessions beyond
    /// that are closed when nobody uses them.
    pub(crate) fn set_budget(&self, budget: &SessionBudget) {
        let mut state = self.lock();
        let surplus = state.follow(budget);
        drop(state);
        self.freed.notify_all();
        drop(surplus);
    }

    /// Returns a session. Waits while all are in use.
    ///
    /// # Errors
    /// When none can be opened. If the server may be back soon, the error is transient.
    pub(crate) fn session(self: &Arc<Self>) -> Result<PooledSession, StoreError> {
        loop {
            let slot = self.take_slot();
            let opened = match slot {
                SessionSlot::Idle(session) => Ok(*session),
                SessionSlot::New => self.open(&self.options),
            };
            match opened {
                Ok(session) => return Ok(self.lend(session, self.reply_timeout)),
                Err(error) if error.is_server_full() && self.shrink() => {}
                Err(error) => {
                    self.free_slot();
                    return Err(not_connected(&error, Fault::Transient));
                }
            }
        }
    }

    /// Returns the first session of a store, and what the queries of `look` show. They have less time than later ones. If no
    /// session can be opened, the store is unreachable, unless the server may have room in a moment.
    pub(crate) fn first_session<T>(
        self: &Arc<Self>,
        look: impl FnOnce(&mut Session) -> Result<T, StoreError>,
    ) -> Result<(PooledSession, T), StoreError> {
        self.lock().open += 1;
        let opened = self.open(&self.options).map_err(|error| {
            self.free_slot();
            let fault = if error.is_transient() { Fault::Transient } else { Fault::Unreachable };
            not_connected(&error, fault)
        });
        let mut session = self.lend(opened?, self.reply_timeout.min(OPENING_TIMEOUT));
        let seen = look(&mut session)?;
        session.set_reply_timeout(self.reply_timeout);
        Ok((session, seen))
    }

    /// Returns a session for a quick query whose answer may take `reply_timeout`. Waits at most `wait_max` for a
    /// worker to return one; none if no worker does.
    pub(crate) fn spare_session(
        self: &Arc<Self>,
        wait_max: Duration,
        reply_timeout: Duration,
    ) -> Result<Option<PooledSession>, StoreError> {
        let opened = match self.take_slot_within(wait_max) {
            Some(SessionSlot::Idle(session)) => Ok(*session),
            Some(SessionSlot::New) => self.open(&self.options.with_timeout_max(reply_timeout)),
            None => return Ok(None),
        };
        match opened {
            Ok(session) => {
                let mut session = self.lend(session, reply_timeout);
                session.ask_for_holders(false);
                Ok(Some(session))
            }
            Err(error) => {
                self.free_slot();
                Err(not_connected(&error, Fault::Transient))
            }
        }
    }

    fn lend(self: &Arc<Self>, mut session: Session, reply_timeout: Duration) -> PooledSession {
        session.set_reply_timeout(reply_timeout);
        session.ask_for_holders(true);
        PooledSession { session: Some(session), pool: Arc::clone(self) }
    }

    fn open(&self, options: &ConnectOptions) -> Result<Session, ConnectError> {
        let session = connecting(|| Session::open(options, self.reply_timeout, self.shared.clone()))?;
        session.note_process();
        Ok(session)
    }

    fn take_slot(&self) -> SessionSlot {
        let mut state = self.lock();
        loop {
            if let Some(slot) = state.slot_of_worker() {
                return slot;
            }
            state = waiting(|| unpoisoned(self.freed.wait(state)));
        }
    }

    fn take_slot_within(&self, wait_max: Duration) -> Option<SessionSlot> {
        let mut state = self.lock();
        if let Some(slot) = state.slot() {
            return Some(slot);
        }
        // Those who would take what is returned wait on the same signal, so each return is looked at.
        state.spare_wanted += 1;
        let until = Instant::now() + wait_max;
        let slot = loop {
            let left = until.saturating_duration_since(Instant::now());
            state = unpoisoned(self.freed.wait_timeout(state, left)).0;
            let slot = state.slot();
            if slot.is_some() || Instant::now() >= until {
                break slot;
            }
        };
        state.spare_wanted -= 1;
        drop(state);
        self.freed.notify_all();
        slot
    }

    /// Continues with the other sessions, if there are any.
    fn shrink(&self) -> bool {
        let mut state = self.lock();
        if state.open <= 1 {
            return false;
        }
        state.open -= 1;
        if state.limit > state.open {
            state.limit = state.open;
            // Whoever shares the server with other runners has what it may have a moment later.
            if !state.is_shared {
                tracing::warn!(
                    "the server accepts no more connections; continuing with {} of {}",
                    state.limit,
                    state.budget
                );
            }
        }
        state.shrunk_at = Some(Instant::now());
        true
    }

    fn free_slot(&self) {
        self.lock().open -= 1;
        self.freed.notify_all();
    }

    fn give_back(&self, mut session: Session) {
        session.forget_begin();
        let mut state = self.lock();
        if session.is_usable() && state.open <= state.limit {
            state.idle.push(session);
        } else {
            state.open -= 1;
        }
        self.freed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        lock(&self.sessions)
    }
}

impl Sessions {
    /// Returns a free seat for a worker. Beside other runners the last one is left to the monitor or, where there is no other, to it first.
    fn slot_of_worker(&mut self) -> Option<SessionSlot> {
        let in_use = self.open - self.idle.len();
        let is_left_out = match self.limit {
            1 => self.spare_wanted > 0,
            limit => in_use + 1 >= limit,
        };
        if self.is_shared && is_left_out { None } else { self.slot() }
    }

    /// Returns a free seat.
    fn slot(&mut self) -> Option<SessionSlot> {
        while let Some(session) = self.idle.pop() {
            if session.is_usable() {
                return Some(SessionSlot::Idle(Box::new(session)));
            }
            self.open -= 1;
        }
        self.grow_again();
        if self.open >= self.limit {
            return None;
        }
        self.open += 1;
        Some(SessionSlot::New)
    }

    /// Follows what the server says. Returns the idle sessions that are too many.
    fn follow(&mut self, budget: &SessionBudget) -> Vec<Session> {
        self.budget = budget.sessions.max(1);
        self.is_shared = budget.runners.runners > 0;
        let room = usize::try_from(budget.room()).unwrap_or(0).max(self.open).max(1);
        let is_shrunk = self.shrunk_at.is_some_and(|at| at.elapsed() <= self.shrunk_for());
        // What the server has refused a moment ago it is not asked for.
        let most = if is_shrunk { self.limit } else { self.limit.max(room) };
        self.limit = most.min(self.budget);
        let excess = self.open.saturating_sub(self.limit).min(self.idle.len());
        self.open -= excess;
        self.idle.split_off(self.idle.len() - excess)
    }

    fn shrunk_for(&self) -> Duration {
        if self.is_shared { SHRUNK_FOR_RUNNERS } else { SHRUNK_FOR }
    }

    fn grow_again(&mut self) {
        if self.limit < self.budget && self.shrunk_at.is_some_and(|at| at.elapsed() > self.shrunk_for()) {
            self.limit += 1;
            self.shrunk_at = Some(Instant::now());
        }
    }
}

impl Deref for PooledSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        match &self.session {
            Some(session) => session,
            None => unreachable!("the session is taken when this is dropped, and not before"),
        }
    }
}

impl DerefMut for PooledSession {
    fn deref_mut(&mut self) -> &mut Session {
        match &mut self.session {
            Some(session) => session,
            None => unreachable!("the session is taken when this is dropped, and not before"),
        }
    }
}

impl Drop for PooledSession {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.give_back(session);
        }
    }
}
