//! Examines a store before a run: [`PostgresStore::examine`] returns a [`ServerReport`]. Whatever would prevent a run
//! is a [`Problem`] with a remedy.
//!
//! Invariants: nothing is written. Each query, or small group of queries, has its own read-only transaction, so that
//! none delays the server's cleanup for long.

mod connection;
mod creation;
mod receipts;
mod report;
mod rights;
mod row_security;
mod sources;
mod table_problems;
mod targets;
mod triggers;
mod views;

use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::store::{Examination, Fault, Problem, StoreError};

pub(crate) use self::connection::ServerConnection;
pub(crate) use self::row_security::{RestrictedTable, RowSecurityReport};
pub(crate) use self::sources::SourceTableReport;
pub(crate) use self::targets::{Target, Targets};
use crate::tables::problem::TableProblem;
use crate::{PostgresStore, SessionBudget};

/// The state of a server and the tables of a job.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct ServerReport {
    /// `user@host:port/database`.
    pub(crate) place: String,
    /// The schema of the tables.
    pub(crate) schema: String,
    /// The server and the connection to it.
    pub(crate) connection: ServerConnection,
    /// The maximum number of sessions that a run opens here, and why.
    pub(crate) sessions: SessionBudget,
    /// The policies that may hide rows from the role.
    pub(crate) row_security: RowSecurityReport,
    /// Settings without effect.
    pub(crate) warnings: Vec<String>,
    /// The table of each key and series, if this store is the source.
    pub(crate) sources: Vec<SourceTableReport>,
    /// The features tables, if this store is the sink.
    pub(crate) targets: Option<Targets>,
    /// The problems that prevent a run.
    pub(crate) problems: Vec<Problem>,
    /// Notes that prevent nothing.
    pub(crate) notes: Vec<String>,
}

/// Findings so far.
#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    notes: Vec<String>,
    /// Problems with the tables of partitions. Problems with the same remedy are merged.
    of_tables: Vec<(Partition, TableProblem)>,
}

impl Findings {
    fn problem(&mut self, what: impl Into<String>, statements: Vec<String>) {
        self.problems.push(Problem { what: what.into(), statements });
    }

    /// Adds a problem, once where several series have it: they may share a table.
    fn problem_once(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Returns a result, or notes the server's refusal as a finding. A lost connection stays an error.
    fn found_out<T>(&mut self, asked: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match asked {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.fault() == Fault::Permanent => {
                self.problem_once(Problem::new(error_chain(&error)));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl PostgresStore {
    /// Checks whether a run could start and what it would find. Writes nothing.
    ///
    /// # Errors
    /// When the connection is lost. Problems of the store are in the report.
    pub(crate) fn examine(&self, examination: &Examination<'_>) -> Result<ServerReport, StoreError> {
        let mut findings = Findings::default();
        let connection = self.examine_connection()?;
        if connection.is_standby && examination.is_sink {
            findings.problem(
                "the server is a standby and accepts no writes; use the primary's address",
                Vec::new(),
            );
        }
        let rights = self.rights(examination)?;
        rights.check_schema(&mut findings);
        let row_security = self.examine_row_security(examination, &rights, &mut findings);
        let sources = match examination.is_source {
            true => self.examine_sources(examination, &rights, &mut findings)?,
            false => Vec::new(),
        };
        let targets = match examination.is_sink {
            true => Some(self.examine_targets(examination, &rights, &mut findings)?),
            false => None,
        };
        Ok(ServerReport {
            place: self.pool.describe(),
            schema: self.schema.clone(),
            connection,
            sessions: self.budget.clone(),
            row_security,
            warnings: self.pool.warnings().to_vec(),
            sources,
            targets,
            problems: findings.problems,
            notes: findings.notes,
        })
    }
}
