//! [`PartitionLook`]: the answers to all that is asked about a partition, in one round trip: its tables, their place, their rows, its
//! receipt, and who refers to it.
//!
//! Invariants: an answer is used only if it is the answer to the question that has to be asked, given what the tables are now. Each
//! question is a statement of its own, so after a lock it sees what was committed before the lock was taken.

use std::collections::HashMap;

use rollfit_job::config::TIME_COLUMN;
use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::connection::pool::PooledSession;
use crate::connection::session::{Mode, RefusedStep, SqlParameter, Step};
use crate::copy::instant::ServerInstant;
use crate::features::expected::Expected;
use crate::names::{TableName, literal, quoted};
use crate::partitioning::parent::{Ancestor, above_sql};
use crate::partitioning::siblings::{LOOK_UP_ALL, Siblings, like_patterns, parameters, tables_sql};
use crate::tables::foreign_key::{ForeignKey, keys_sql};
use crate::tables::table::{LOOK_UP, Table, describe_sql, tables_from};
use crate::views::ViewQuestion;

/// The tables with these names in a schema, as an array of oids.
const NAMED: &str =
    "ARRAY(SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                           WHERE n.nspname = $1 AND c.relname = ANY($2))";

/// The columns of a [`LeafSpan`].
const SPAN_COLUMNS: usize = 3;

/// The answers of one look. Each is there if it was asked for.
#[derive(Default)]
pub(crate) struct PartitionLook {
    /// By name.
    pub(crate) tables: Option<HashMap<String, Table>>,
    /// The row of the receipt, and the query that it answers.
    receipt: Option<(String, Option<AnswerRow>)>,
    /// The tables that were asked about, and the answer to [`spans_sql`].
    leaves: Vec<TableName>,
    spans: Option<AnswerRow>,
    /// The partitioned tables above each table, nearest first, by oid.
    above: Option<HashMap<u32, Vec<Ancestor>>>,
    /// The foreign keys with an action onto any of the tables that were asked about.
    keys: Option<Vec<ForeignKey>>,
    referring: Option<ReferringRows>,
    /// The features tables of the key, for missing ones to be made like them.
    pub(crate) siblings: Option<Siblings>,
}

/// The first and the last instant of a table, and whether rows lack one.
#[derive(Clone, Copy)]
pub(crate) struct LeafSpan {
    pub(crate) first: Option<ServerInstant>,
    pub(crate) last: Option<ServerInstant>,
    pub(crate) lacks_instants: bool,
}

/// Whether rows of others refer to rows of a partition.
struct ReferringRows {
    /// The foreign keys that were asked about, of which each was readable.
    keys: Vec<ForeignKey>,
    /// The tables whose own rows do not count.
    ours: Vec<u32>,
    refers: Vec<bool>,
}

impl LeafSpan {
    /// Reads the one of the table at `at` in the answer to [`spans_sql`].
    pub(crate) fn from_row(row: &AnswerRow, at: usize) -> Result<Self, StoreError> {
        let first = at * SPAN_COLUMNS;
        Ok(Self { first: row.get(first)?, last: row.get(first + 1)?, lacks_instants: row.get(first + 2)? })
    }
}

/// Returns the query of the [`LeafSpan`] of each table, all in one row. Whether rows lack an instant is looked at only where the column
/// allows it.
pub(crate) fn spans_sql(tables: &[TableName]) -> String {
    let time = quoted(TIME_COLUMN);
    let span = |(at, table): (usize, &TableName)| {
        let (name, oid) = (table.sql(), literal(&table.sql()));
        format!(
            "(SELECT min({time}), max({time}),
                     CASE WHEN (SELECT a.attnotnull FROM pg_catalog.pg_attribute a
                                WHERE a.attrelid = {oid}::regclass AND a.attname = {}) THEN false
                          ELSE EXISTS (SELECT FROM {name} WHERE {time} IS NULL) END
              FROM {name}) leaf_{at} (first, last, lacks)",
            literal(TIME_COLUMN)
        )
    };
    let spans: Vec<String> = tables.iter().enumerate().map(span).collect();
    let columns: Vec<String> = (0..tables.len()).map(|at| format!("leaf_{at}.*")).collect();
    format!("SELECT {} FROM {}", columns.join(", "), spans.join(" CROSS JOIN "))
}

/// The questions of a look, with what they are about.
pub(crate) struct LookQuestions<'a> {
    store: &'a PostgresStore,
    /// The names of the tables to describe.
    described: Vec<String>,
    /// The tables that are expected to be there.
    leaves: Vec<TableName>,
    leaf_names: Vec<String>,
    output: String,
    /// The definitions that need not be sent.
    known: Vec<String>,
    receipt_query: Option<String>,
    views: Option<ViewQuestion<'a>>,
    keys: Vec<ForeignKey>,
    oids: Vec<u32>,
    key: String,
    /// For the names of the key's features tables, if these matter.
    siblings: Option<Vec<String>>,
}

impl PostgresStore {
    /// Returns the questions about a partition that is expected to be like this.
    pub(crate) fn look_questions(&self, partition: &Partition, expected: &Expected) -> LookQuestions<'_> {
        let mut described = self.leaf_names(partition);
        described.extend([self.receipts.name.clone(), self.definitions.name.clone()]);
        let leaves = self.expected_leaves(partition, expected);
        LookQuestions {
            store: self,
            described,
            leaf_names: leaves.iter().map(|leaf| leaf.name.clone()).collect(),
            leaves,
            output: self.output_of(partition),
            known: self.known_definitions.hashes(),
            receipt_query: self.expectations.receipt_query(),
            views: self.view_question(partition),
            keys: expected.keys.clone(),
            oids: expected.oids.clone(),
            key: partition.key.clone(),
            siblings: None,
        }
    }
}

impl PostgresStore {
    /// Returns a session in a read-only transaction with one snapshot of the store, and what it shows of a partition: one round trip.
    /// Where things are other than expected, nothing has been asked yet.
    pub(crate) fn look_at(
        &self,
        partition: &Partition,
    ) -> Result<(PooledSession, PartitionLook), StoreError> {
        let mut session = self.pool.session()?;
        let (_, looked) = self.look_after(&mut session, partition, None)?;
        match looked {
            Ok(look) => Ok((session, look)),
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// Asks one thing and then, in a read-only transaction with one snapshot of the store that is taken after that, all of a partition: one
    /// round trip. Returns the answer to the first, and the rest, or what the server refused; then the transaction has ended.
    pub(crate) fn look_after(
        &self,
        session: &mut PooledSession,
        partition: &Partition,
        first: Option<Step<'_>>,
    ) -> Result<(Vec<AnswerRow>, Result<PartitionLook, RefusedStep>), StoreError> {
        let expected = self.expected(session, partition)?;
        let questions = self.look_questions(partition, &expected);
        let has_first = first.is_some();
        let mut steps: Vec<Step<'_>> = first.into_iter().collect();
        steps.push(session.begin_step(Mode::Snapshot, &self.settings));
        steps.extend(questions.steps());
        let (mut answers, refused) = match session.try_batch(&format!("look at {partition}"), &steps)? {
            Ok(answers) => (answers, None),
            Err(mut refused) => (refused.take_answers(), Some(refused)),
        };
        let has_answer = has_first && !answers.is_empty();
        let answer = if has_answer { answers.remove(0) } else { Vec::new() };
        if let Some(refused) = refused {
            session.roll_back();
            if !has_answer && has_first || !refused.is_wrong_statement() {
                return Ok((answer, Err(refused)));
            }
            session.begin(Mode::Snapshot, &self.settings);
            return Ok((answer, Ok(PartitionLook::default())));
        }
        match questions.look(answers.into_iter().skip(1)) {
            Ok(look) => Ok((answer, Ok(look))),
            Err(error) => {
                session.roll_back();
                Err(error)
            }
        }
    }
}

impl LookQuestions<'_> {
    /// The same and, if tables are expected to be missing, what they are to be made like.
    pub(crate) fn with_siblings(self) -> Self {
        if self.leaves.len() == self.store.series.len() {
            return self;
        }
        Self { siblings: Some(like_patterns(&self.store.series, Some(&self.key))), ..self }
    }

    /// The query of the receipt, if it is asked.
    pub(crate) fn receipt_query(&self) -> Option<&str> {
        self.receipt_query.as_deref()
    }

    /// Returns the questions, to be asked after one another.
    pub(crate) fn steps(&self) -> Vec<Step<'_>> {
        let schema = &self.store.schema;
        let of_schema =
            |names| -> Vec<SqlParameter<'_>> { vec![(schema, Type::TEXT), (names, Type::TEXT_ARRAY)] };
        let mut steps = vec![Step::query(LOOK_UP, describe_sql(), of_schema(&self.described))];
        if let Some(sql) = &self.receipt_query {
            let parameters: Vec<SqlParameter<'_>> =
                vec![(&self.output, Type::TEXT), (&self.known, Type::TEXT_ARRAY)];
            steps.push(Step::query("read the receipt", sql, parameters));
        }
        steps.extend(self.views.as_ref().map(ViewQuestion::step));
        if let Some(patterns) = &self.siblings {
            steps.push(Step::query(LOOK_UP_ALL, tables_sql(patterns.len()), parameters(schema, patterns)));
        }
        if self.leaves.is_empty() {
            return steps;
        }
        let named = || of_schema(&self.leaf_names);
        let names: Vec<String> = self.leaves.iter().map(ToString::to_string).collect();
        steps.push(Step::query(format!("read {}", names.join(" and ")), spans_sql(&self.leaves), Vec::new()));
        steps.push(Step::query("look up the tables above a partition", above_sql(), named()));
        steps.push(Step::query("look up foreign keys", keys_sql(NAMED), named()));
        for (key, sql) in self.referring_queries() {
            let parameters: Vec<SqlParameter<'_>> = vec![(&self.oids, Type::OID_ARRAY)];
            steps.push(Step::query(key, sql, parameters));
        }
        steps
    }

    /// The queries for rows that refer to the partition: what each does, and its SQL.
    fn referring_queries(&self) -> Vec<(String, String)> {
        let queries = self.keys.iter().map(|key| key.referring_query(&self.oids, &self.leaves));
        queries.collect::<Option<_>>().unwrap_or_default()
    }

    /// Returns the look that the answers to [`Self::steps`] make.
    pub(crate) fn look(
        &self,
        mut answers: impl Iterator<Item = Vec<AnswerRow>>,
    ) -> Result<PartitionLook, StoreError> {
        let mut next = || answers.next().unwrap_or_default();
        let mut look =
            PartitionLook { tables: Some(tables_from(&self.store.schema, next())?), ..Default::default() };
        if let Some(sql) = &self.receipt_query {
            look.receipt = Some((sql.clone(), next().into_iter().next()));
        }
        if let Some(views) = &self.views {
            views.note(&next())?;
        }
        if self.siblings.is_some() {
            look.siblings = Some(Siblings::from_rows(&next(), &self.store.series, Some(&self.key))?);
        }
        if self.leaves.is_empty() {
            return Ok(look);
        }
        look.leaves = self.leaves.clone();
        look.spans = next().into_iter().next();
        look.above = Some(Ancestor::by_leaf(&next())?);
        look.keys = Some(ForeignKey::from_rows(&next())?);
        let count = self.referring_queries().len();
        if count == self.keys.len() {
            let refers = (0..count).map(|_| ForeignKey::refers_from(&next())).collect::<Result<_, _>>()?;
            look.referring = Some(ReferringRows { keys: self.keys.clone(), ours: self.oids.clone(), refers });
        }
        Ok(look)
    }
}

impl PartitionLook {
    /// Takes the row of the receipt, if that was asked for with this query.
    pub(crate) fn take_receipt(&mut self, sql: &str) -> Option<Option<AnswerRow>> {
        self.receipt.take().filter(|(asked, _)| asked == sql).map(|(_, row)| row)
    }

    /// The rows of a table, if they were asked for. Its time column is one.
    pub(crate) fn span(&self, table: &TableName) -> Result<Option<LeafSpan>, StoreError> {
        let at = self.leaves.iter().position(|asked| asked == table);
        Option::zip(self.spans.as_ref(), at).map(|(row, at)| LeafSpan::from_row(row, at)).transpose()
    }

    /// Takes the tables above a table, if they were asked for.
    pub(crate) fn take_above(&mut self, table: &Table) -> Option<Vec<Ancestor>> {
        let above = self.above.as_mut().filter(|_| self.leaves.contains(&table.name));
        above.map(|above| above.remove(&table.oid).unwrap_or_default())
    }

    /// Takes the foreign keys with an action onto `tables`, if all of these were asked about.
    pub(crate) fn take_keys<'a>(
        &mut self,
        mut tables: impl Iterator<Item = &'a TableName>,
    ) -> Option<Vec<ForeignKey>> {
        let keys = self.keys.take()?;
        tables.all(|table| self.leaves.contains(table)).then_some(keys)
    }

    /// Whether rows refer by each of these keys to tables with these oids, if exactly that was asked.
    pub(crate) fn take_referring(&mut self, keys: &[ForeignKey], ours: &[u32]) -> Option<Vec<bool>> {
        let asked = self.referring.take().filter(|asked| asked.keys == keys && asked.ours == ours);
        asked.map(|asked| asked.refers)
    }
}
