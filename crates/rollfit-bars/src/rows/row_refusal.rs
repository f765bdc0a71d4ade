//! [`RowRefusal`]: why a row is rejected, by itself or because of the rest of the file.

use crate::error::RowFault;

/// Why a row is rejected.
#[derive(Debug, PartialEq)]
pub(crate) enum RowRefusal {
    /// The row is bad.
    Row(RowFault),
    /// Nobody says the zone.
    NoZone,
    /// The user's zone is not the one in the bytes.
    ZoneContradiction { zone: String, stated: String },
    /// The zone of the header is not the one in the bytes of the row.
    HeaderContradiction { zone: Box<str>, expected: Box<str>, found: Box<str> },
    /// The row belongs to another instrument than the first.
    Instrument(Box<OtherInstrument>),
}

/// A row that belongs to another instrument than the first.
#[derive(Debug, PartialEq)]
pub(crate) struct OtherInstrument {
    pub(crate) column: String,
    pub(crate) value: String,
    pub(crate) earlier_number: u64,
    pub(crate) earlier_value: String,
}
