//! How features tables are partitions of other tables: bounds, parents, and where a table of a month belongs.

pub(crate) mod bound;
pub(crate) mod catalog;
pub(crate) mod parent;
pub(crate) mod partition_sql;
pub(crate) mod placement;
pub(crate) mod siblings;
