//! [`GroupSpan`]: the rows of a row group and their first and last instant.

/// The instants of one row group.
#[derive(Clone, Copy)]
pub(crate) struct GroupSpan {
    pub(crate) group: usize,
    pub(crate) rows: usize,
    pub(crate) first_us: i64,
    pub(crate) last_us: i64,
}
