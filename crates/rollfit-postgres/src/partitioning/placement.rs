//! Checks the placement of an existing features table: its bounds are those of its month, it is a partition of the
//! configured parent, and no table inherits from it.

use rollfit_job::config::Series;
use rollfit_job::few::few_and;
use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;

use crate::PostgresStore;
use crate::connection::session::Session;
use crate::names::{TableName, quoted};
use crate::partitioning::bound::{Bound, BoundSpan, is_by_instant};
use crate::partitioning::catalog::Catalog;
use crate::partitioning::parent::{Ancestor, Parent, ancestors};
use crate::partitioning::partition_sql::attach_sql;
use crate::tables::foreign_key::{DoomedRows, ForeignKey};
use crate::tables::leaf::Leaf;
use crate::tables::problem::{ProblemKind, TableProblem};
use crate::tables::table::{Attachment, Table};

/// A features table, and the series and partition that it belongs to.
struct PlacedLeaf<'a> {
    table: &'a Table,
    leaf: &'a Leaf,
    series: &'a Series,
    partition: &'a Partition,
    /// The tables above it, nearest first; only if there is more than one.
    above: Vec<Ancestor>,
}

impl PostgresStore {
    /// Checks the placement of a features table. The tables `above` it are looked up if they are not known and matter.
    ///
    /// # Errors
    /// When its rows could be in another table, or its month does not fit its bounds.
    pub(crate) fn check_placement(
        &self,
        session: &mut Session,
        (table, leaf): (&Table, &Leaf),
        series: &Series,
        partition: &Partition,
        above: Option<Vec<Ancestor>>,
    ) -> Result<(), StoreError> {
        let nested = table.attachment.as_ref().filter(|attachment| attachment.is_nested);
        let above = match (nested, above) {
            (Some(_), Some(above)) => above,
            (Some(attachment), None) => ancestors(session, attachment.parent_oid)?,
            (None, _) => Vec::new(),
        };
        let placed = PlacedLeaf { table, leaf, series, partition, above };
        let configured = series.parent_table(partition).map(|name| self.table(&name));
        let problem = match (&table.attachment, &configured) {
            (None, Some(parent)) if table.children.is_empty() => {
                let found = self.parent(session, series, partition)?;
                Some(placed.outside(parent, found.as_deref().and_then(Option::as_ref), &self.catalog))
            }
            _ => placed.problem(configured.as_ref()),
        };
        let Some(problem) = problem else { return Ok(()) };
        let is_detached = problem.kind == ProblemKind::Bounds && !problem.statements.is_empty();
        let doomed = DoomedRows { table: &table.name, condition: "true", parameters: &[] };
        let obstacle = is_detached.then(|| ForeignKey::first_obstacle(session, table.oid, doomed));
        Err(match obstacle.transpose()?.flatten() {
            // The server does not detach a table whose rows are referenced.
            Some(obstacle) => problem.after(&obstacle),
            None => problem,
        }
        .into())
    }
}

impl PlacedLeaf<'_> {
    fn problem(&self, configured: Option<&TableName>) -> Option<TableProblem> {
        self.children().or_else(|| {
            let attachment = self.table.attachment.as_ref()?;
            self.elsewhere(attachment, configured)
                .or_else(|| self.misbounded(attachment))
                .or_else(|| self.beyond_ancestors())
        })
    }

    fn problem_of(&self, kind: ProblemKind, what: String) -> TableProblem {
        TableProblem::new(&self.table.name, kind, what)
    }

    /// Rows of inheriting tables are visible through the table, but are not its own.
    fn children(&self) -> Option<TableProblem> {
        let children = &self.table.children;
        if children.is_empty() {
            return None;
        }
        let name = &self.table.name;
        let statements =
            children.iter().map(|child| format!("ALTER TABLE {child} NO INHERIT {}", name.sql()));
        let what = format!(
            "{} inherits from it, so readers see rows that rollfit does not manage",
            few_and(children)
        );
        Some(self.problem_of(ProblemKind::Children, what).with_statements(name, statements.collect()))
    }

    /// Returns the problem that it is not a partition at all; the parent may exist or be missing.
    fn outside(&self, parent: &TableName, found: Option<&Parent>, catalog: &Catalog) -> TableProblem {
        let unfit = found.and_then(|found| found.unfit(self.series, self.partition.period, &self.table.name));
        if let Some(problem) = unfit {
            return problem;
        }
        let (name, time) = (self.table.name.sql(), quoted(rollfit_job::config::TIME_COLUMN));
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {} (LIKE {name} INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING STORAGE, \
             PRIMARY KEY ({time})) PARTITION BY RANGE ({time})",
            parent.sql()
        );
        let create = found.is_none().then(|| catalog.first_sql(parent, create));
        let statements = create.into_iter().chain([self.attach(parent)]).collect();
        let what = format!(
            "it is not a partition of {parent}, the `parent` of series `{}`; attach it, or correct `parent`",
            self.series.name
        );
        self.problem_of(ProblemKind::Placement, what).with_statements(parent, statements)
    }

    fn elsewhere(&self, attachment: &Attachment, configured: Option<&TableName>) -> Option<TableProblem> {
        let configured = configured?;
        let is_above =
            |name: &TableName| *name == attachment.parent || self.above.iter().any(|a| a.name == *name);
        if is_above(configured) {
            return None;
        }
        let what = format!(
            "it is a partition of {}, not of {configured}, the `parent` of series `{}`; correct `parent`",
            attachment.parent, self.series.name
        );
        Some(self.problem_of(ProblemKind::Placement, what).with_statements(&attachment.parent, Vec::new()))
    }

    fn misbounded(&self, attachment: &Attachment) -> Option<TableProblem> {
        let parent = &attachment.parent;
        if attachment.is_detaching {
            let finish =
                format!("ALTER TABLE {} DETACH PARTITION {} FINALIZE", parent.sql(), self.table.name.sql());
            let what = format!("a DETACH from {parent} was started and not finished");
            return Some(self.problem_of(ProblemKind::Bounds, what).with_statements(parent, vec![finish]));
        }
        // Partitioning by something other than the instant says nothing about the month.
        if !is_by_instant(&attachment.key) {
            return None;
        }
        let month = BoundSpan::from_period(self.partition.period);
        let holds = match Bound::parse(&attachment.bound) {
            Bound::Span(span) if span == month => return None,
            Bound::Span(span) => format!("takes rows {span}"),
            Bound::Default => "is the DEFAULT partition".to_owned(),
            Bound::Other => return None,
        };
        let what = format!(
            "it {holds} in {parent}, and its {unit} {} is {month}; detach it and attach it with the bounds of its {unit}",
            self.partition.period,
            unit = self.partition.period.unit().noun()
        );
        let detach = format!("ALTER TABLE {} DETACH PARTITION {}", parent.sql(), self.table.name.sql());
        let statements = vec![detach, self.attach(parent)];
        Some(self.problem_of(ProblemKind::Bounds, what).with_statements(parent, statements))
    }

    fn beyond_ancestors(&self) -> Option<TableProblem> {
        let ancestor = self.above.iter().find(|ancestor| ancestor.lacks(self.partition.period))?;
        let what = format!("{}, a table above it, {}", ancestor.name, ancestor.takes());
        Some(self.problem_of(ProblemKind::Bounds, what).with_statements(&ancestor.name, Vec::new()))
    }

    fn attach(&self, parent: &TableName) -> String {
        attach_sql(parent, &self.table.name, self.leaf.time, self.partition)
    }
}
