//! [`Parent`]: the partitioned table that a missing features table will be attached to, and what prevents it: bounds
//! of tables above, other partitions that take rows of the month, rows of the month in a DEFAULT partition.

use std::collections::HashMap;
use std::sync::Arc;

use rollfit_job::config::{FIT_PREFIX, Layout, Series, TIME_COLUMN};
use rollfit_job::partition::Partition;
use rollfit_job::period::{Period, PeriodUnit};
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::session::{RefusedStep, Session, SqlParameter, Step};
use crate::copy::instant::TimeType;
use crate::names::{TableName, quoted};
use crate::partitioning::bound::{BY_INSTANT, Bound, BoundSpan, is_by_instant};
use crate::partitioning::partition_sql::{attach_sql, like_sql};
use crate::tables::foreign_key::{DoomedRows, ForeignKey};
use crate::tables::leaf::time_column;
use crate::tables::problem::{ProblemKind, TableProblem};
use crate::tables::table::{LOOK_UP, RelationKind, Table, describe_sql, tables_from};

/// A partitioned table, with its partitions.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) table: Table,
    /// Itself, and the tables above it.
    above: Vec<Ancestor>,
    partitions: Vec<AttachedTable>,
}

/// A partition of a table.
#[derive(Debug)]
struct AttachedTable {
    name: TableName,
    bound: Bound,
    is_readable: bool,
    /// Whether it is itself partitioned.
    is_partitioned: bool,
}

/// A partitioned table above another one.
#[derive(Debug)]
pub(crate) struct Ancestor {
    pub(crate) name: TableName,
    /// Its own partition key.
    key: String,
    /// The rows that it takes from the table above it, if that is partitioned by the instant.
    bound: Option<Bound>,
}

impl AttachedTable {
    fn from_row(row: &AnswerRow) -> Result<Self, StoreError> {
        Ok(Self {
            name: TableName::new(row.get(0)?, row.get(1)?),
            bound: Bound::parse(row.get(2)?),
            is_readable: row.get(3)?,
            is_partitioned: row.get(4)?,
        })
    }
}

impl Ancestor {
    fn from_row(row: &AnswerRow) -> Result<Self, StoreError> {
        let above: Option<&str> = row.get(3)?;
        let bound: Option<&str> = row.get(4)?;
        Ok(Self {
            name: TableName::new(row.get(0)?, row.get(1)?),
            key: row.get(2)?,
            bound: bound.filter(|_| above.is_some_and(is_by_instant)).map(Bound::parse),
        })
    }

    /// Returns the tables above each table in the answer to [`above_sql`], by oid.
    pub(crate) fn by_leaf(rows: &[AnswerRow]) -> Result<HashMap<u32, Vec<Self>>, StoreError> {
        let mut above: HashMap<u32, Vec<Self>> = HashMap::new();
        for row in rows {
            above.entry(row.get(5)?).or_default().push(Self::from_row(row)?);
        }
        Ok(above)
    }

    /// Returns whether some rows of a month do not reach it.
    pub(crate) fn lacks(&self, period: Period) -> bool {
        matches!(self.bound, Some(Bound::Span(span)) if !span.holds(&BoundSpan::from_period(period)))
    }

    /// Returns what it takes, for messages.
    pub(crate) fn takes(&self) -> String {
        match self.bound {
            Some(Bound::Span(span)) => format!("takes only rows {span}"),
            _ => "takes only rows that no other partition takes".to_owned(),
        }
    }
}

/// The tables with the names $2 in the schema $1, each with the partitioned tables above it, if it is a partition or partitioned: the columns
/// of an [`Ancestor`], and the oid of the table.
const NAMED_ANCESTORS: &str = "
    SELECT n.nspname::text, c.relname::text, pg_get_partkeydef(c.oid), pg_get_partkeydef(i.inhparent),
           pg_get_expr(c.relpartbound, c.oid), leaf.oid
    FROM pg_catalog.pg_class leaf
    JOIN pg_catalog.pg_namespace ln ON ln.oid = leaf.relnamespace
    CROSS JOIN LATERAL pg_partition_ancestors(leaf.oid) WITH ORDINALITY a(oid, at)
    JOIN pg_catalog.pg_class c ON c.oid = a.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
    WHERE ln.nspname = $1 AND leaf.relname = ANY($2)";

/// The partitions of the tables with the names $2 in the schema $1.
const PARTITIONS: &str = "
    SELECT n.nspname::text, c.relname::text, pg_get_expr(c.relpartbound, c.oid),
           has_table_privilege(c.oid, 'SELECT'), c.relkind = 'p'
    FROM pg_catalog.pg_class parent
    JOIN pg_catalog.pg_namespace pn ON pn.oid = parent.relnamespace
    JOIN pg_catalog.pg_inherits i ON i.inhparent = parent.oid
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE pn.nspname = $1 AND parent.relname = ANY($2) ORDER BY 1, 2";

/// Returns the query of the partitioned tables above the tables with the names $2 in the schema $1.
pub(crate) fn above_sql() -> String {
    format!("{NAMED_ANCESTORS} AND c.oid <> leaf.oid ORDER BY leaf.oid, a.at")
}

/// Returns a partitioned table and those above it, the topmost last.
pub(crate) fn ancestors(session: &mut Session, oid: u32) -> Result<Vec<Ancestor>, StoreError> {
    const ANCESTORS: &str = "
        SELECT n.nspname::text, c.relname::text, pg_get_partkeydef(c.oid), pg_get_partkeydef(i.inhparent),
               pg_get_expr(c.relpartbound, c.oid)
        FROM pg_partition_ancestors($1::oid::regclass) WITH ORDINALITY a(oid, at)
        JOIN pg_catalog.pg_class c ON c.oid = a.oid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
        ORDER BY a.at";
    let rows = session.rows("look up the tables above a partition", ANCESTORS, &[(&oid, Type::OID)])?;
    rows.iter().map(Ancestor::from_row).collect()
}

impl Parent {
    /// Returns a partitioned table by its name; none if it does not exist.
    ///
    /// # Errors
    /// When it is a table of another kind.
    pub(crate) fn find(
        session: &mut Session,
        name: &TableName,
        series: &Series,
    ) -> Result<Option<Self>, StoreError> {
        const ABOVE: &str = "look up the tables above a partition";
        let names = std::slice::from_ref(&name.name).to_vec();
        let named =
            || -> Vec<SqlParameter<'_>> { vec![(&name.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)] };
        let steps = [
            Step::query(LOOK_UP, describe_sql(), named()),
            Step::query(ABOVE, format!("{NAMED_ANCESTORS} ORDER BY a.at"), named()),
            Step::query(format!("look up the partitions of {name}"), PARTITIONS, named()),
        ];
        let answers =
            session.try_batch(&format!("look at {name}"), &steps)?.map_err(RefusedStep::into_error)?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let found = tables_from(&name.schema, next())?.remove(&name.name);
        let Some(table) = found else { return Ok(None) };
        check_parent(&table, series)?;
        let above = next().iter().map(Ancestor::from_row).collect::<Result<_, _>>()?;
        let partitions = next().iter().map(AttachedTable::from_row).collect::<Result<_, _>>()?;
        Ok(Some(Self { table, above, partitions }))
    }

    /// Returns what prevents the missing table of a partition from being attached to this one.
    ///
    /// # Errors
    /// When the query fails.
    pub(crate) fn obstacle(
        &self,
        session: &mut Session,
        series: &Series,
        partition: &Partition,
        leaf: &TableName,
    ) -> Result<Option<TableProblem>, StoreError> {
        let time = time_column(&self.table, TIME_COLUMN)?;
        if let Some(problem) = self.unfit(series, partition.period, leaf) {
            return Ok(Some(problem));
        }
        let missing = MissingLeaf { parent: &self.table, leaf, time, partition };
        let month = BoundSpan::from_period(partition.period);
        for part in &self.partitions {
            let problem = match part.bound {
                Bound::Span(span) if span.overlaps(&month) => Some(missing.behind(session, part, span)?),
                Bound::Default => missing.behind_default(session, part)?,
                Bound::Span(_) | Bound::Other => None,
            };
            if problem.is_some() {
                return Ok(problem);
            }
        }
        Ok(None)
    }

    /// Returns why no month, or not this one, can be attached to the table.
    pub(crate) fn unfit(&self, series: &Series, period: Period, leaf: &TableName) -> Option<TableProblem> {
        let name = &self.table.name;
        let problem =
            |what| TableProblem::new(leaf, ProblemKind::Placement, what).with_statements(name, Vec::new());
        let key = self.above.first().map_or("", |itself| itself.key.as_str());
        if key != BY_INSTANT {
            return Some(problem(format!(
                "{name} is PARTITION BY {key}; `parent` of series `{}` must name a table PARTITION BY {BY_INSTANT}",
                series.name
            )));
        }
        let ancestor = self.above.iter().find(|ancestor| ancestor.lacks(period))?;
        Some(problem(format!(
            "it cannot become a partition of {name}, the `parent` of series `{}`: {} {}; {{yyyy}} in `parent` gives each \
             year its own",
            series.name,
            ancestor.name,
            ancestor.takes()
        )))
    }
}

/// Checks that a table can have partitions.
pub(crate) fn check_parent(table: &Table, series: &Series) -> Result<(), StoreError> {
    if table.kind == RelationKind::Partitioned {
        return Ok(());
    }
    let (name, parent) = (&series.name, "PARTITION BY RANGE");
    let rule = match series.layout() {
        Layout::Metrics => format!("`parent` of series `{name}` must name one {parent} ({TIME_COLUMN})"),
        Layout::Fits => format!(
            "layout = \"fits\" puts `{FIT_PREFIX}` before the `parent` of series `{name}`, and one {parent} ({TIME_COLUMN}) \
             belongs there; rename it or drop it"
        ),
    };
    Err(StoreError::permanent(format!("{} is not a partitioned table; {rule}", table.name)))
}

/// A features table that is missing.
struct MissingLeaf<'a> {
    parent: &'a Table,
    leaf: &'a TableName,
    time: TimeType,
    partition: &'a Partition,
}

impl MissingLeaf<'_> {
    /// Returns the problem that a partition takes rows of the month.
    fn behind(
        &self,
        session: &mut Session,
        part: &AttachedTable,
        span: BoundSpan,
    ) -> Result<TableProblem, StoreError> {
        let (parent, month) = (&self.parent.name, BoundSpan::from_period(self.partition.period));
        let what = format!(
            "it is missing, and {}, a partition of {parent} that takes rows {span}, is in the way of {}",
            part.name, self.partition.period
        );
        let Some(rest) = span.without(&month).filter(|_| !part.is_partitioned) else {
            let remedy = match (part.is_partitioned, self.partition.period.unit()) {
                (true, _) => "make `parent` name it".to_owned(),
                (false, PeriodUnit::All) => "use another `parent`".to_owned(),
                (false, unit) => format!("split it into a table for each {}", unit.noun()),
            };
            let what = format!("{what}; {remedy}");
            return Ok(
                TableProblem::new(self.leaf, ProblemKind::InTheWay, what).with_statements(parent, Vec::new())
            );
        };
        let has_rows = self.has_rows(session, part)?;
        if let Some(obstacle) = self.obstacle(session, &part.name, "true")? {
            return Ok(self.kept(&what, &obstacle));
        }
        let mut statements = if has_rows { self.create_and_move() } else { Vec::new() };
        statements.push(format!("ALTER TABLE {} DETACH PARTITION {}", parent.sql(), part.name.sql()));
        statements.push(format!(
            "ALTER TABLE {} ATTACH PARTITION {} {}",
            parent.sql(),
            part.name.sql(),
            rest.sql(self.time)
        ));
        statements.extend(has_rows.then(|| self.attach()));
        let what = format!("{what}; reduce it to the other {}s", self.partition.period.unit().noun());
        Ok(TableProblem::new(self.leaf, ProblemKind::InTheWay, what).with_statements(parent, statements))
    }

    /// Returns the problem that a DEFAULT partition holds rows of the month.
    fn behind_default(
        &self,
        session: &mut Session,
        part: &AttachedTable,
    ) -> Result<Option<TableProblem>, StoreError> {
        // If it is not readable, only the server knows, and refuses to attach the table.
        if !part.is_readable || !self.has_rows(session, part)? {
            return Ok(None);
        }
        let parent = &self.parent.name;
        let what = format!(
            "it is missing, and {}, the DEFAULT partition of {parent}, holds rows of {}; move them to a table of their own",
            part.name, self.partition.period
        );
        if let Some(obstacle) = self.obstacle(session, parent, &self.condition("referenced."))? {
            return Ok(Some(self.kept(&what, &obstacle)));
        }
        let statements = self.create_and_move().into_iter().chain([self.attach()]).collect();
        Ok(Some(
            TableProblem::new(self.leaf, ProblemKind::InTheWay, what).with_statements(parent, statements),
        ))
    }

    fn has_rows(&self, session: &mut Session, part: &AttachedTable) -> Result<bool, StoreError> {
        if !part.is_readable {
            return Ok(false);
        }
        let sql = format!("SELECT EXISTS (SELECT FROM {} WHERE {})", part.name.sql(), self.condition(""));
        let rows = session.rows(&format!("read {}", part.name), &sql, &[])?;
        Ok(first_value(&rows)?.unwrap_or(false))
    }

    /// Returns which rows of other tables would be lost if rows of a table were moved, which deletes them first, or
    /// would prevent a DETACH.
    fn obstacle(
        &self,
        session: &mut Session,
        table: &TableName,
        condition: &str,
    ) -> Result<Option<String>, StoreError> {
        ForeignKey::first_obstacle(session, self.parent.oid, DoomedRows { table, condition, parameters: &[] })
    }

    /// Returns the problem while an obstacle prevents moving its rows.
    fn kept(&self, what: &str, obstacle: &str) -> TableProblem {
        TableProblem::new(self.leaf, ProblemKind::InTheWay, what)
            .with_statements(&self.parent.name, Vec::new())
            .after(obstacle)
    }

    /// Returns the condition for rows of the month of a table named `of` in the statement.
    fn condition(&self, of: &str) -> String {
        let (time, span_us) = (format!("{of}{}", quoted(TIME_COLUMN)), self.partition.period.span_us());
        let (start, end) = (self.time.literal(span_us.start), self.time.literal(span_us.end));
        format!("{time} >= {start} AND {time} < {end}")
    }

    /// Rows are moved through the parent, in its column order, which the new table shares.
    fn create_and_move(&self) -> Vec<String> {
        let (leaf, parent) = (self.leaf.sql(), self.parent.name.sql());
        vec![
            format!("CREATE TABLE {leaf} ({})", like_sql(self.parent)),
            format!(
                "WITH moved AS (DELETE FROM {parent} WHERE {} RETURNING *) INSERT INTO {leaf} SELECT * FROM moved",
                self.condition("")
            ),
        ]
    }

    fn attach(&self) -> String {
        attach_sql(&self.parent.name, self.leaf, self.time, self.partition)
    }
}

impl PostgresStore {
    /// Returns the configured parent of a partition's table of a series, if any.
    pub(crate) fn parent(
        &self,
        session: &mut Session,
        series: &Series,
        partition: &Partition,
    ) -> Result<Option<Arc<Option<Parent>>>, StoreError> {
        let Some(name) = series.parent_table(partition) else { return Ok(None) };
        let name = self.table(&name);
        let found = self.catalog.parents.get(&name, || Parent::find(session, &name, series))?;
        Ok(Some(found))
    }
}
