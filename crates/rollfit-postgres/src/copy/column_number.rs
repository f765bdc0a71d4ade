//! [`ColumnNumber`]: a value of a source column in the answer to a query.

use std::error::Error;

use tokio_postgres::types::{FromSql, Type};

use crate::copy::decode::NumberFormat;

/// A number of any type that a source column may have, as the double that COPY gives for it.
pub(crate) struct ColumnNumber(pub(crate) f64);

impl NumberFormat {
    /// Returns how numbers of a type are encoded; none if they are no numbers that are read as they are.
    pub(crate) fn from_type(kind: &Type) -> Option<Self> {
        match *kind {
            Type::FLOAT8 => Some(Self::Double),
            Type::FLOAT4 => Some(Self::Single),
            Type::NUMERIC => Some(Self::Numeric),
            _ => None,
        }
    }
}

impl<'a> FromSql<'a> for ColumnNumber {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let format = NumberFormat::from_type(kind).ok_or("not a number")?;
        Ok(Self(format.decode(raw)?))
    }

    fn accepts(kind: &Type) -> bool {
        NumberFormat::from_type(kind).is_some()
    }
}
