//! [`RowRefusal`]: why a row is rejected, by itself or because of the rest of the file.

use crate::error::{DropCause, FileLine, ImportError, RowFault};
use crate::formats::Format;

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

impl RowRefusal {
    /// What lenient reading counts the row under; none where the row makes every row uncertain, such as a missing zone,
    /// and stops lenient reading too.
    pub(crate) fn drop_cause(&self) -> Option<DropCause> {
        match self {
            Self::Row(fault) if !fault.spoils_the_file() => Some(fault.cause()),
            _ => None,
        }
    }

    /// Whether the row may be read in another way once it is known which rows come before it: those of its key, or all keys.
    pub(crate) fn depends_on_earlier_rows(&self) -> bool {
        matches!(self, Self::Instrument(_) | Self::Row(RowFault::DateAlone | RowFault::HalfKey))
    }

    /// The error of a row. `hint` is the format that the file looks like instead.
    pub(crate) fn into_error(self, place: FileLine, shown: String, hint: Option<Format>) -> ImportError {
        match self {
            Self::Row(fault) => {
                ImportError::Row { place, fault, shown, hint: hint.map(Format::name), advice: None }
            }
            Self::NoZone => ImportError::NoZone { place, shown },
            Self::ZoneContradiction { zone, stated } => {
                ImportError::ZoneContradiction { place, zone, stated, shown }
            }
            Self::HeaderContradiction { zone, expected, found } => {
                ImportError::HeaderContradiction { place, zone, expected, found, shown }
            }
            Self::Instrument(other) => {
                let OtherInstrument { column, value, earlier_number, earlier_value } = *other;
                let earlier = Box::new(FileLine { number: earlier_number, ..place.clone() });
                let earlier_value = earlier_value.into_boxed_str();
                ImportError::Instruments { place, column, value, earlier, earlier_value }
            }
        }
    }
}
