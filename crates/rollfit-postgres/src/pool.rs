//! [`Pool`]: the sessions of a store, as many as the server can spare, shared by the workers.
//!
//! Invariants: never more sessions than the budget. A server that says it is full makes the budget smaller, and the
//! work goes on with the sessions there are; every half minute one more is tried.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use libpq_connect::{ConnectError, ConnectOptions};
use rollfit_job::activity::{connecting, waiting};
use rollfit_job::lock::{lock, unpoisoned};
use rollfit_job::store::{Fault, StoreError};

use crate::fault::not_connected;
use crate::session::{Session, Shared};

/// How long to keep to a budget that the server made smaller.
const SHRUNK_FOR: Duration = Duration::from_secs(30);

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
    /// What the server is believed to bear now.
    limit: usize,
    shrunk_at: Option<Instant>,
}

/// A session on loan. It goes back to the pool, or is closed where it is broken.
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
    /// A pool of one session so far; [`Pool::set_budget`] makes it more.
    pub(crate) fn new(options: ConnectOptions, reply_timeout: Duration) -> Arc<Self> {
        let sessions = Sessions { idle: Vec::new(), open: 0, budget: 1, limit: 1, shrunk_at: None };
        Arc::new(Self {
            options,
            reply_timeout,
            shared: Shared::default(),
            sessions: Mutex::new(sessions),
            freed: Condvar::new(),
        })
    }

    /// Where the sessions lead to, for people.
    pub(crate) fn describe(&self) -> String {
        self.options.to_string()
    }

    /// How often a session has waited for an answer so far.
    pub(crate) fn round_trips(&self) -> u64 {
        self.shared.round_trips()
    }

    /// What the sessions say they are.
    pub(crate) fn application_name(&self) -> &str {
        self.options.application_name()
    }

    /// Whether the way to the server begins and ends on this machine, as far as the way tells.
    pub(crate) fn leads_here(&self) -> bool {
        self.options.is_local()
    }

    /// What the user said without effect.
    pub(crate) fn warnings(&self) -> &[String] {
        self.options.warnings()
    }

    /// Lets so many sessions be open at once.
    pub(crate) fn set_budget(&self, sessions: usize) {
        let mut state = self.lock();
        state.budget = sessions.max(1);
        state.limit = state.budget;
    }

    /// A session; waits for one while all are in use.
    ///
    /// # Errors
    /// When none can be opened. The server may be back soon, so that trying again can help.
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

    /// The first session of a store. Where there is none, the store cannot be reached, unless a server is there that may
    /// have one in a moment.
    pub(crate) fn first_session(self: &Arc<Self>) -> Result<PooledSession, StoreError> {
        self.lock().open += 1;
        match self.open(&self.options) {
            Ok(session) => Ok(self.lend(session, self.reply_timeout)),
            Err(error) => {
                self.free_slot();
                let fault = if error.is_transient() { Fault::Transient } else { Fault::Unreachable };
                Err(not_connected(&error, fault))
            }
        }
    }

    /// A session for a quick question, whose answer may take `reply_timeout`. Waits no longer than `wait_max` for one that a
    /// worker gives back; none where none does.
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
            Ok(session) => Ok(Some(self.lend(session, reply_timeout))),
            Err(error) => {
                self.free_slot();
                Err(not_connected(&error, Fault::Transient))
            }
        }
    }

    fn lend(self: &Arc<Self>, mut session: Session, reply_timeout: Duration) -> PooledSession {
        session.set_reply_timeout(reply_timeout);
        PooledSession { session: Some(session), pool: Arc::clone(self) }
    }

    fn open(&self, options: &ConnectOptions) -> Result<Session, ConnectError> {
        connecting(|| Session::open(options, self.reply_timeout, self.shared.clone()))
    }

    fn take_slot(&self) -> SessionSlot {
        let mut state = self.lock();
        loop {
            if let Some(slot) = state.slot() {
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
        let freed = self.freed.wait_timeout(state, wait_max);
        state = unpoisoned(freed).0;
        state.slot()
    }

    /// Makes do with the other sessions, if there are any.
    fn shrink(&self) -> bool {
        let mut state = self.lock();
        if state.open <= 1 {
            return false;
        }
        state.open -= 1;
        if state.limit > state.open {
            state.limit = state.open;
            tracing::warn!(
                "the server accepts no more connections; continuing with {} of {}",
                state.limit,
                state.budget
            );
        }
        state.shrunk_at = Some(Instant::now());
        true
    }

    fn free_slot(&self) {
        self.lock().open -= 1;
        self.freed.notify_one();
    }

    fn give_back(&self, session: Session) {
        let mut state = self.lock();
        if session.is_usable() && state.open <= state.limit {
            state.idle.push(session);
        } else {
            state.open -= 1;
        }
        self.freed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        lock(&self.sessions)
    }
}

impl Sessions {
    /// A seat that nobody has.
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

    fn grow_again(&mut self) {
        if self.limit < self.budget && self.shrunk_at.is_some_and(|at| at.elapsed() > SHRUNK_FOR) {
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
