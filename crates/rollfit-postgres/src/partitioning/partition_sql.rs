//! SQL for a partition of a table: the columns that it copies from another table, and its attachment to its parent.

use rollfit_job::partition::Partition;

use crate::copy::instant::TimeType;
use crate::names::TableName;
use crate::partitioning::bound::BoundSpan;
use crate::tables::table::{RelationKind, Table};

/// Returns the column definitions of a table like another one.
pub(crate) fn like_sql(like: &Table) -> String {
    const INCLUDED: &str = "INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY INCLUDING STORAGE";
    // CHECKs of a parent apply to all its partitions; those of a sibling may be specific to its month.
    let checks = if like.kind == RelationKind::Partitioned { " INCLUDING CONSTRAINTS" } else { "" };
    format!("LIKE {} {INCLUDED}{checks}", like.name.sql())
}

/// Returns the statement that attaches a table as the partition of its month.
pub(crate) fn attach_sql(
    parent: &TableName,
    leaf: &TableName,
    time: TimeType,
    partition: &Partition,
) -> String {
    let bounds = BoundSpan::from_period(partition.period).sql(time);
    format!("ALTER TABLE {} ATTACH PARTITION {} {bounds}", parent.sql(), leaf.sql())
}
