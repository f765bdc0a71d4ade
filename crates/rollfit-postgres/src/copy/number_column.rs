//! [`NumberColumn`]: what a feature column can hold, and how it rounds a double.
//!
//! Invariants: the written bytes and the expected value come from the same rounding, which is the server's.

use rollfit_job::config::NumberType;
use tokio_postgres::types::Type;

use crate::copy::decode::NumberFormat;
use crate::copy::numeric::Decimal;

/// The type of a feature column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberColumn {
    /// `DOUBLE PRECISION`: the same bits.
    Double,
    /// `REAL`: the nearest of half the digits.
    Single,
    /// `NUMERIC`: the shortest decimal that reads back as the same double.
    Decimal,
    /// `NUMERIC(precision, scale)`: that decimal, rounded.
    Rounded {
        /// The most digits.
        precision: u16,
        /// The digits after the point; negative for zeros before it.
        scale: i16,
    },
}

impl NumberColumn {
    /// Returns what a column of a type can hold, if it can hold features.
    pub(crate) fn from_oid(oid: u32, modifier: i32) -> Option<Self> {
        match Type::from_oid(oid)? {
            Type::FLOAT8 => Some(Self::Double),
            Type::FLOAT4 => Some(Self::Single),
            Type::NUMERIC if modifier < 0 => Some(Self::Decimal),
            Type::NUMERIC => Some(Self::rounded(modifier)),
            _ => None,
        }
    }

    /// Unpacks a type modifier as the server packs it: 16 bits of precision, 11 of signed scale, and 4 added.
    fn rounded(modifier: i32) -> Self {
        let packed = modifier - 4;
        let precision = u16::try_from((packed >> 16) & 0xffff).unwrap_or(u16::MAX);
        let scale = ((packed & 0x7ff) ^ 1024) - 1024;
        Self::Rounded { precision, scale: i16::try_from(scale).unwrap_or(0) }
    }

    /// The type in SQL.
    pub(crate) fn sql(self) -> String {
        match self {
            Self::Double => "double precision".to_owned(),
            Self::Single => "real".to_owned(),
            Self::Decimal => "numeric".to_owned(),
            Self::Rounded { precision, scale } => format!("numeric({precision},{scale})"),
        }
    }

    /// Returns the type of a value.
    pub(crate) fn scalar(self) -> Type {
        match self {
            Self::Double => Type::FLOAT8,
            Self::Single => Type::FLOAT4,
            Self::Decimal | Self::Rounded { .. } => Type::NUMERIC,
        }
    }

    /// Returns whether the column holds decimals.
    pub(crate) fn is_numeric(self) -> bool {
        matches!(self, Self::Decimal | Self::Rounded { .. })
    }

    /// Returns how the server encodes the numbers of the column.
    pub(crate) fn format(self) -> NumberFormat {
        match self {
            Self::Double => NumberFormat::Double,
            Self::Single => NumberFormat::Single,
            Self::Decimal | Self::Rounded { .. } => NumberFormat::Numeric,
        }
    }

    /// Returns the approximate bytes that COPY sends for a number, including its length: four digits take two bytes,
    /// and most doubles have 17.
    pub(crate) fn field_bytes(self) -> u64 {
        const DIGITS: u64 = 17;
        let decimal = |digits: u64| 12 + 2 * digits.clamp(1, DIGITS).div_ceil(4);
        match self {
            Self::Double => 12,
            Self::Single => 8,
            Self::Decimal => decimal(DIGITS),
            Self::Rounded { precision, .. } => decimal(u64::from(precision)),
        }
    }

    /// Returns the fewest bytes of a number in a stored row.
    pub(crate) fn stored_bytes_min(self) -> u64 {
        match self {
            Self::Double => 8,
            Self::Single => 4,
            // Zero.
            Self::Decimal | Self::Rounded { .. } => 3,
        }
    }

    /// Returns the value that the column stores for a value; NaN if it cannot hold it.
    pub(crate) fn round(self, value: f64) -> f64 {
        match self {
            Self::Double | Self::Decimal => value,
            Self::Single => single(value).map_or(f64::NAN, f64::from),
            Self::Rounded { precision, scale } if value.is_finite() => {
                Decimal::from_f64(value).rounded(precision, scale).map_or(f64::NAN, Decimal::to_f64)
            }
            Self::Rounded { .. } => f64::NAN,
        }
    }

    /// Returns whether the column stores a value so that the same bits come back. NaN is stored as NULL.
    pub(crate) fn holds(self, value: f64) -> bool {
        let is_kept = |stored: f64| stored.to_bits() == value.to_bits();
        match self {
            Self::Double => true,
            // NUMERIC has no negative zero.
            Self::Decimal => value.is_nan() || value.is_finite() && is_kept(value + 0.0),
            Self::Single | Self::Rounded { .. } => value.is_nan() || is_kept(self.round(value)),
        }
    }

    /// Returns how much a returned value may differ from the stored one.
    pub(crate) fn uncertainty(self, value: f64) -> f64 {
        match self {
            Self::Double | Self::Decimal => 0.0,
            Self::Single => value.abs() * f64::from(f32::EPSILON) / 2.0 + f64::from(f32::from_bits(1)) / 2.0,
            Self::Rounded { scale, .. } => 0.5 * 10f64.powi(-i32::from(scale)),
        }
    }
}

/// Returns the nearest single; none if the server would refuse the value because of overflow or underflow.
pub(crate) fn single(value: f64) -> Option<f32> {
    let nearest = value as f32;
    let vanished = nearest == 0.0 && value != 0.0;
    (nearest.is_finite() && !vanished).then_some(nearest)
}

impl From<NumberType> for NumberColumn {
    fn from(number: NumberType) -> Self {
        match number {
            NumberType::Double => Self::Double,
            NumberType::Single => Self::Single,
            NumberType::Decimal => Self::Decimal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_are_unpacked_as_the_server_packs_them() {
        let packed = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;
        for (precision, scale) in [(12, 6), (1000, 1000), (3, -2), (2, 5), (1000, -1000)] {
            let unpacked = NumberColumn::rounded(packed(precision, scale));
            assert_eq!(unpacked.sql(), format!("numeric({precision},{scale})"));
        }
    }

    #[test]
    fn a_number_is_sent_in_the_bytes_of_its_type() {
        let rounded = |precision| NumberColumn::Rounded { precision, scale: 6 };
        let columns =
            [NumberColumn::Double, NumberColumn::Single, NumberColumn::Decimal, rounded(12), rounded(40)];
        assert_eq!(columns.map(NumberColumn::field_bytes), [12, 8, 22, 18, 22]);
    }

    #[test]
    fn a_column_holds_what_fits() {
        let column = NumberColumn::Rounded { precision: 5, scale: 2 };
        assert_eq!([1.005, -2.675, 999.994].map(|value| column.round(value)), [1.01, -2.68, 999.99]);
        assert!(column.round(999.995).is_nan());
        assert_eq!(NumberColumn::Single.round(0.1), f64::from(0.1_f32));
        assert!(NumberColumn::Single.round(1e300).is_nan());
        assert!(NumberColumn::Single.round(1e-300).is_nan());
        assert_eq!(NumberColumn::Decimal.round(1e-300), 1e-300);
    }

    #[test]
    fn a_column_holds_a_value_if_the_same_bits_come_back() {
        let rounded = NumberColumn::Rounded { precision: 5, scale: 2 };
        let held = |column: NumberColumn, values: &[f64]| values.iter().all(|value| column.holds(*value));
        assert!(held(NumberColumn::Double, &[0.1, -0.0, f64::INFINITY, f64::NAN]));
        assert!(held(NumberColumn::Single, &[0.5, -0.0, 1e30_f32.into(), f64::NAN]));
        assert!(held(NumberColumn::Decimal, &[0.1, 0.0, -1e300, f64::NAN]));
        assert!(held(rounded, &[1.25, 0.0, -999.99, f64::NAN]));
        let lost = |column: NumberColumn, values: &[f64]| !values.iter().any(|value| column.holds(*value));
        assert!(lost(NumberColumn::Single, &[0.1, 1e300, f64::INFINITY]));
        assert!(lost(NumberColumn::Decimal, &[-0.0, f64::INFINITY]));
        assert!(lost(rounded, &[1.255, 1000.0, -0.0, f64::NEG_INFINITY]));
    }
}
