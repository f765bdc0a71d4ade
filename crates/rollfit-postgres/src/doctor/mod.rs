//! What there is to know of a store before a run: [`ServerReport`], gathered by [`PostgresStore::examine`]. What stands in the
//! way of a run is a [`Problem`], each with what to do.
//!
//! Invariants: nothing is written. One question, or the few about one thing, has one read-only transaction, so that
//! none of them keeps the server from cleaning up for long.

mod connection;
mod creation;
mod report;
mod rights;
mod row_security;
mod sources;
mod table_problems;
mod targets;
mod triggers;

use rollfit_job::error_chain;
use rollfit_job::partition::Partition;
use rollfit_job::store::{Examination, Fault, Problem, StoreError};

pub(crate) use self::connection::ServerConnection;
pub(crate) use self::row_security::{RestrictedTable, RowSecurityReport};
pub(crate) use self::sources::SourceTableReport;
pub(crate) use self::targets::{Target, Targets};
use super::problem::TableProblem;
use super::{PostgresStore, SessionBudget};

/// What there is to know of a server and the tables of a job.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct ServerReport {
    /// `user@host:port/database`.
    pub(crate) place: String,
    /// The schema of the tables.
    pub(crate) schema: String,
    /// The server and the way to it.
    pub(crate) connection: ServerConnection,
    /// The most sessions that a run opens here, and why.
    pub(crate) sessions: SessionBudget,
    /// The policies that may hide rows from the role.
    pub(crate) row_security: RowSecurityReport,
    /// What was configured without effect.
    pub(crate) warnings: Vec<String>,
    /// The table of each key and series, where this store is the source.
    pub(crate) sources: Vec<SourceTableReport>,
    /// The features tables, where this store is the sink.
    pub(crate) targets: Option<Targets>,
    /// What stands in the way of a run.
    pub(crate) problems: Vec<Problem>,
    /// What is good to know, and stands in nobody's way.
    pub(crate) notes: Vec<String>,
}

/// What was found out on the way.
#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    notes: Vec<String>,
    /// What is wrong with tables of partitions; problems with the same remedy become one.
    of_tables: Vec<(Partition, TableProblem)>,
}

impl Findings {
    fn problem(&mut self, what: impl Into<String>, statements: Vec<String>) {
        self.problems.push(Problem { what: what.into(), statements });
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// What could be found out. A refusal of the server is a finding, the loss of the server is not.
    fn found_out<T>(&mut self, asked: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match asked {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.fault() == Fault::Permanent => {
                self.problems.push(Problem::new(error_chain(&error)));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl PostgresStore {
    /// Finds out whether a run could start, and what it would find. Writes nothing.
    ///
    /// # Errors
    /// When the server is lost on the way. What is wrong with the store is in the answer.
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
