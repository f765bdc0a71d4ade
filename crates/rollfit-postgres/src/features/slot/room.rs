//! [`Room`]: missing tables are there and others are empty, so that rows can be written: one round trip.

use rollfit_job::activity::Activity;
use rollfit_job::store::{Found, StoreError};
use tokio_postgres::types::Type;

use super::PostgresSlot;
use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::pool::PooledSession;
use crate::connection::session::{Answers, PreparedCopy, Request, SqlParameter};
use crate::ddl::creation::Creation;
use crate::failpoint;
use crate::features::references::References;
use crate::names::quoted;
use crate::tables::leaf::Leaf;
use crate::tables::rights::{LOOK_UP_RIGHTS, TEMPORARY, check_temporary, may_maintain_sql};
use crate::tables::staging;
use crate::tables::table::Column;

/// The tables of a partition, ready for rows.
pub(super) struct Room {
    /// The COPY into each table until it starts; none where no rows come.
    pub(super) copies: Vec<Option<PreparedCopy>>,
    /// Whether the role may VACUUM and ANALYZE each table.
    pub(super) may_maintain: Vec<bool>,
}

/// What becomes of a partition whose rows are removed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    RowsCome,
    ItStaysEmpty,
}

impl PostgresSlot<'_> {
    /// Creates missing tables and deletes existing rows, once. From here on the transaction sees only the new rows.
    pub(super) fn make_room(&mut self, then: Then) -> Result<(), StoreError> {
        if self.room.is_some() {
            return Ok(());
        }
        self.check_obstacle()?;
        self.check_others()?;
        let mut requests = self.room_statements();
        let statements = requests.len();
        let is_emptied = self.targets.iter().any(|target| target.has_rows);
        let changed = self.references.changed_query();
        let referring = changed.iter().flat_map(|(_, oids)| oids).map(|oids| (oids as _, Type::OID_ARRAY));
        let referring: Vec<SqlParameter<'_>> = referring.collect();
        if is_emptied {
            requests.push(self.emptiness_request());
            let query = changed.as_ref().map(|(query, _)| *query);
            requests.extend(
                query.map(|query| Request::query("check for changed rows in other tables", query, referring)),
            );
        }
        let names: Vec<String> = self.targets.iter().map(|target| target.leaf.name.sql()).collect();
        requests.push(Request::query("look up rights", may_maintain_sql(), vec![(&names, Type::TEXT_ARRAY)]));
        let staging = self.staging_requests(then);
        let staged = staging.len();
        requests.extend(staging);
        let copies: Vec<Option<Request<'_>>> =
            (0..self.targets.len()).map(|series| self.copy_request(series, then)).collect();
        let is_copied: Vec<bool> = copies.iter().map(Option::is_some).collect();
        requests.extend(copies.into_iter().flatten());
        let mut answers = self.session.at_once(requests);
        (0..statements).try_for_each(|_| answers.done())?;
        if is_emptied {
            self.check_empty(&answers.rows()?)?;
            changed.as_ref().map_or(Ok(()), |_| References::check_unchanged(&answers.rows()?))?;
        }
        let may_maintain = answers.rows()?.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
        if staged > 0 {
            check_temporary(&answers.rows()?)?;
            (1..staged).try_for_each(|_| answers.done())?;
        }
        let copy = |is_copied: bool, answers: &mut Answers| is_copied.then(|| answers.prepared()).transpose();
        let copies =
            is_copied.into_iter().map(|is_copied| copy(is_copied, &mut answers)).collect::<Result<_, _>>()?;
        self.room = Some(Room { copies, may_maintain });
        failpoint::reach("deleted");
        Ok(())
    }

    /// Returns the statements that create missing tables and empty the others.
    fn room_statements(&self) -> Vec<Request<'static>> {
        let mut statements = Vec::new();
        for target in &self.targets {
            let name = &target.leaf.name;
            let doing = format!("create {name}, which `rollfit schema` prints");
            let created = target.creation.iter().flat_map(Creation::before);
            statements.extend(created.map(|statement| Request::execute(&doing, statement)));
            if target.has_rows {
                let sql = format!("DELETE FROM ONLY {}", name.sql());
                let empty = Request::execute(format!("empty {name}"), sql);
                statements.push(empty.counted_as(Activity::Deleting));
            }
        }
        statements
    }

    /// Returns the requests that create temporary tables for the rows that COPY cannot write, after the query whether the role may do
    /// that; nothing where all can be copied.
    fn staging_requests(&self, then: Then) -> Vec<Request<'static>> {
        let staged = self.targets.iter().enumerate().filter(|(_, target)| target.is_staged);
        let created = staged.filter(|_| then == Then::RowsCome).map(|(series, target)| {
            let (name, columns) = (&target.leaf.name, self.store.columns_of(series));
            let sql = staging::create_sql(&staging::staged(series), name, &columns);
            Request::execute(staging::creating(name), sql)
        });
        let created: Vec<Request<'_>> = created.collect();
        let asked = (!created.is_empty()).then(|| Request::query(LOOK_UP_RIGHTS, TEMPORARY, Vec::new()));
        asked.into_iter().chain(created).collect()
    }

    /// Checks that no values in columns of other programs would be lost with their rows. Columns of an earlier
    /// definition belong to rollfit.
    fn check_others(&mut self) -> Result<(), StoreError> {
        for (at, target) in self.targets.iter().enumerate().filter(|(_, target)| target.has_rows) {
            let is_ours = |column: &Column| match &self.found {
                Found::Ours(receipt) => receipt.definition.series[at].stored_columns().contains(&column.name),
                Found::Nothing | Found::Foreign(_) | Found::Newer(_) | Found::Blocked(_) => false,
            };
            for other in target.leaf.others.iter().filter(|other| !is_ours(other)) {
                check_other(&mut self.session, &target.leaf, other)?;
            }
        }
        Ok(())
    }
}

fn check_other(session: &mut PooledSession, leaf: &Leaf, other: &Column) -> Result<(), StoreError> {
    let Some(usual) = other.usual_value() else { return Ok(()) };
    let name = &leaf.name;
    let column = quoted(&other.name);
    let sql =
        format!("SELECT EXISTS (SELECT FROM ONLY {} WHERE {column} IS DISTINCT FROM {usual})", name.sql());
    let rows: Vec<AnswerRow> = session.rows(&format!("read {name}"), &sql, &[])?;
    if !first_value(&rows)?.unwrap_or(false) {
        return Ok(());
    }
    Err(StoreError::permanent(format!(
        "{name} is skipped: its column {} is not rollfit's and holds values that replacing the rows would lose; move them \
         to a table of their own",
        other.name
    )))
}
