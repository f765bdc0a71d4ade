//! Statements about a partition of a table: the columns that it takes from another table, and its place in its parent.

use rollfit_job::partition::Partition;

use crate::copy::instant::TimeType;
use crate::names::TableName;
use crate::partitioning::bound::BoundSpan;
use crate::tables::table::{RelationKind, Table};

/// The columns of a table that is like another one.
pub(crate) fn like_sql(like: &Table) -> String {
    const INCLUDED: &str = "INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY INCLUDING STORAGE";
    // Checks of a parent hold for all its parts; those of a sibling may be about its month.
    let checks = if like.kind == RelationKind::Partitioned { " INCLUDING CONSTRAINTS" } else { "" };
    format!("LIKE {} {INCLUDED}{checks}", like.name.sql())
}

/// The statement that makes a table the partition of its month.
pub(crate) fn attach_sql(
    parent: &TableName,
    leaf: &TableName,
    time: TimeType,
    partition: &Partition,
) -> String {
    let bounds = BoundSpan::from_period(partition.period).sql(time);
    format!("ALTER TABLE {} ATTACH PARTITION {} {bounds}", parent.sql(), leaf.sql())
}
