//! [`SessionBudget`]: how many sessions this process may open, given what the server allows, what others have, and what other runners share.
//!
//! Invariants: each runner computes its share from what the server says of all of them, so the shares of all are within the server's limits
//! without a word between them; and connections stay free through which a runner that starts gets in.

use std::collections::HashSet;

use rollfit_job::runners::RunnerName;
use rollfit_job::store::{Fault, StoreError};
use tokio_postgres::types::Type;

use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Request, Session};

/// Sessions reserved for others beyond their current ones. Runners that start get in through these, and the sessions of the others become
/// fewer once they are seen.
const HEADROOM: i64 = 2;
/// The default maximum number of sessions. It does not depend on cores: far from a server, a worker mostly waits for
/// it.
const DEFAULT_MAX: i64 = 32;

/// Whether a row `a` of `pg_stat_activity` is a session of this pool, by the server processes `$1` of its sessions. Behind a pooler these
/// are not the processes that serve it, and only the name can tell.
pub(super) const IS_OWN: &str = "
    a.application_name = current_setting('application_name')
        AND CASE WHEN pg_backend_pid() = ANY($1) THEN a.pid = ANY($1) ELSE a.usename = session_user END";

/// The limits on the number of sessions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SessionBudget {
    /// The maximum number of sessions that this process opens.
    pub sessions: usize,
    /// `max_connections` without those reserved for superusers and reserved roles.
    pub server_max: i64,
    /// Current sessions of others, other runners included.
    pub others: i64,
    /// The limit of the role minus its current sessions; none without a limit.
    pub role_left: Option<i64>,
    /// The limit of the database minus its current sessions; none without a limit.
    pub database_left: Option<i64>,
    /// The default maximum.
    pub default_max: i64,
    /// The configured maximum, if any.
    pub configured_max: Option<usize>,
    /// The other runners on the server, which share what it can spare.
    pub runners: RunnerSessions,
    /// Those of the same role.
    pub role_runners: RunnerSessions,
    /// Those in the same database.
    pub database_runners: RunnerSessions,
    /// How many of those are runners other than this process, which may have several stores.
    #[serde(skip)]
    pub(crate) other_processes: u32,
}

/// Other runners, and the sessions that they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RunnerSessions {
    /// How many there are.
    pub runners: i64,
    /// Their sessions.
    pub sessions: i64,
}

impl RunnerSessions {
    /// The share of each runner where so many sessions are left beside those of all others.
    fn share(self, left: i64) -> i64 {
        left.saturating_add(self.sessions) / self.runners.saturating_add(1)
    }

    fn add(&mut self, sessions: i64) {
        self.runners += 1;
        self.sessions += sessions;
    }

    /// Formats the share of `left`, where there is somebody to share with.
    fn format(self, left: i64, of_what: &str) -> String {
        if self.runners == 0 {
            return format!("{left} {of_what}");
        }
        let sessions = left.saturating_add(self.sessions);
        format!("{} as the share of {sessions} {of_what} for {} runners", self.share(left), self.runners + 1)
    }
}

impl SessionBudget {
    /// Formats the maximum number of sessions and how it was computed.
    pub fn arithmetic(&self) -> String {
        let wanted = match self.configured_max {
            Some(sessions) => format!("{sessions} configured"),
            None => format!("{} by default", self.default_max),
        };
        let (server_max, others) = (self.server_max, self.others - self.runners.sessions);
        let spare = format!(
            "{} ({server_max} connections - {others} others - {HEADROOM} headroom)",
            self.runners.format(self.spare(), "spare")
        );
        let role = self.role_left.map(|left| self.role_runners.format(left, "left to the role"));
        let database =
            self.database_left.map(|left| self.database_runners.format(left, "left to the database"));
        let terms: Vec<String> = [wanted, spare].into_iter().chain(role).chain(database).collect();
        format!("{}, the lowest of {}", self.sessions, terms.join(", "))
    }

    /// How many sessions can be opened now, as many as this pool has open included, without those of other runners becoming fewer.
    pub(crate) fn room(&self) -> i64 {
        let left = [Some(self.spare()), self.role_left, self.database_left];
        left.into_iter().flatten().fold(i64::MAX, i64::min)
    }

    /// Whether this process may ever have more than one session.
    pub(crate) fn may_grow(&self) -> bool {
        self.sessions > 1 || self.runners.runners > 0 && self.configured_max != Some(1)
    }

    /// What the server can spare now.
    fn spare(&self) -> i64 {
        self.server_max.saturating_sub(self.others).saturating_sub(HEADROOM)
    }

    /// Computes it from the answer to [`budget_request`].
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn from_rows(rows: &[AnswerRow], configured: Option<usize>) -> Result<Self, StoreError> {
        let row =
            rows.first().ok_or_else(|| StoreError::new(Fault::Transient, "the server did not answer"))?;
        let mut budget = Self {
            sessions: 1,
            server_max: row.get(0)?,
            others: row.get(1)?,
            role_left: row.get(2)?,
            database_left: row.get(3)?,
            default_max: DEFAULT_MAX,
            configured_max: configured,
            runners: RunnerSessions::default(),
            role_runners: RunnerSessions::default(),
            database_runners: RunnerSessions::default(),
            other_processes: 0,
        };
        budget.count_runners(rows)?;
        let wanted = configured.map_or(DEFAULT_MAX, |sessions| i64::try_from(sessions).unwrap_or(i64::MAX));
        let shares = [
            Some(budget.runners.share(budget.spare())),
            budget.role_left.map(|left| budget.role_runners.share(left)),
            budget.database_left.map(|left| budget.database_runners.share(left)),
        ];
        let sessions = shares.into_iter().flatten().fold(wanted, i64::min).max(1);
        budget.sessions = usize::try_from(sessions).unwrap_or(1);
        Ok(budget)
    }

    /// Counts the other runners: a row for each name, address, role and database.
    fn count_runners(&mut self, rows: &[AnswerRow]) -> Result<(), StoreError> {
        let mut processes = HashSet::new();
        for row in rows {
            let name: Option<&str> = row.get(4)?;
            // The only row has no runner where there is none.
            let Some(name) = name.filter(|name| RunnerName::parse(name).is_some()) else { continue };
            let sessions = row.get(9)?;
            self.runners.add(sessions);
            if row.get(6)? {
                self.role_runners.add(sessions);
            }
            if row.get(7)? {
                self.database_runners.add(sessions);
            }
            let address: Option<&str> = row.get(5)?;
            if !row.get::<_, bool>(8)? {
                processes.insert((name, address));
            }
        }
        self.other_processes = u32::try_from(processes.len()).unwrap_or(u32::MAX);
        Ok(())
    }
}

/// Returns the query of the limits, of the sessions of others and, in a row each, of the runners among these: name, address, whether their
/// role and database are this session's, whether they have the name and address of this process, their sessions. `processes` are the server
/// processes of this pool; without any, all sessions but this one are those of others. The kind of another role's session may be hidden. It
/// then counts as a client if it has a database.
pub(crate) fn budget_request(processes: &Vec<i32>) -> Request<'_> {
    let sql = format!(
        "WITH other AS MATERIALIZED (
             SELECT a.*, coalesce(a.backend_type, 'client backend') = 'client backend'
                        AND a.datid IS NOT NULL AND a.usesysid IS NOT NULL AS is_client
             FROM pg_catalog.pg_stat_activity a
             WHERE a.pid <> pg_backend_pid() AND NOT (cardinality($1) > 0 AND coalesce({IS_OWN}, false))),
         role AS (SELECT oid, nullif(rolconnlimit, -1)::bigint AS most FROM pg_catalog.pg_roles WHERE rolname = session_user),
         base AS (SELECT oid, nullif(datconnlimit, -1)::bigint AS most FROM pg_catalog.pg_database WHERE datname = current_database())
         SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
                    - coalesce(current_setting('reserved_connections', true), '0')::bigint,
                (SELECT count(*) FROM other WHERE is_client),
                (SELECT most FROM role) - (SELECT count(*) FROM other WHERE usesysid = (SELECT oid FROM role)),
                (SELECT most FROM base) - (SELECT count(*) FROM other WHERE datid = (SELECT oid FROM base) AND is_client),
                runner.*
         FROM (SELECT) one LEFT JOIN (
             SELECT application_name, host(client_addr), usesysid IS NOT DISTINCT FROM (SELECT oid FROM role),
                    datid IS NOT DISTINCT FROM (SELECT oid FROM base),
                    application_name = current_setting('application_name')
                        AND client_addr IS NOT DISTINCT FROM inet_client_addr(), count(*)
             FROM other WHERE is_client AND application_name LIKE 'rollfit %' GROUP BY 1, 2, 3, 4, 5) runner ON true"
    );
    Request::query("query the server's connection limits", sql, vec![(processes, Type::INT4_ARRAY)])
}

/// Returns how many sessions this process may have: never more than `configured`, at least one.
///
/// # Errors
/// When the query fails.
pub(crate) fn session_budget(
    session: &mut Session,
    configured: Option<usize>,
) -> Result<SessionBudget, StoreError> {
    let rows = session.at_once(vec![budget_request(&Vec::new())]).rows()?;
    SessionBudget::from_rows(&rows, configured)
}
