//! Decodes rows of `COPY ... TO STDOUT (FORMAT binary)`: [`RowDecoder`] turns messages into fields.

use rollfit_job::store::StoreError;

use crate::copy::numeric;

/// Signature, flags, and the length of the extension, which is 0.
const HEADER_BYTES: usize = 19;

/// Decodes the messages of one COPY.
pub(crate) struct RowDecoder {
    begun: bool,
    fields: usize,
}

/// How the numbers of a column are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberFormat {
    Double,
    Single,
    Numeric,
}

impl NumberFormat {
    /// Returns the number in these bytes.
    pub(crate) fn decode(self, bytes: &[u8]) -> Result<f64, Malformed> {
        Ok(match self {
            Self::Double => f64::from_be_bytes(bytes.try_into().map_err(|_| Malformed)?),
            Self::Single => f32::from_be_bytes(bytes.try_into().map_err(|_| Malformed)?).into(),
            Self::Numeric => numeric::decode(bytes).map_err(|_| Malformed)?,
        })
    }
}

/// The error for malformed bytes, which the server never sends.
#[derive(Debug, thiserror::Error)]
#[error("the server sent a row that is truncated or not of the declared type")]
pub(crate) struct Malformed;

impl From<Malformed> for StoreError {
    fn from(malformed: Malformed) -> Self {
        Self::permanent(malformed.to_string())
    }
}

impl RowDecoder {
    /// Returns a decoder for rows with this number of fields.
    pub(crate) fn new(fields: usize) -> Self {
        Self { begun: false, fields }
    }

    /// Passes the fields of each row of a message to `take`.
    pub(crate) fn rows(
        &mut self,
        message: &[u8],
        mut take: impl FnMut(Fields<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut rest = message;
        if !self.begun {
            rest = rest.get(HEADER_BYTES..).ok_or(Malformed)?;
            self.begun = true;
        }
        while !rest.is_empty() {
            let count = i16::from_be_bytes(take_bytes(&mut rest)?);
            if count < 0 {
                return Ok(());
            }
            if usize::try_from(count) != Ok(self.fields) {
                return Err(Malformed.into());
            }
            let before = rest;
            for _ in 0..count {
                take_field(&mut rest)?;
            }
            take(Fields { rest: &before[..before.len() - rest.len()] })?;
        }
        Ok(())
    }
}

/// The fields of a row, one after the other.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Returns the next field, or NULL.
    pub(crate) fn next(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        take_field(&mut self.rest)
    }

    /// Returns the next field as an instant in the server's encoding. NULL is malformed: the query excludes it.
    pub(crate) fn next_instant(&mut self) -> Result<i64, Malformed> {
        let bytes = self.next()?.ok_or(Malformed)?;
        Ok(i64::from_be_bytes(bytes.try_into().map_err(|_| Malformed)?))
    }

    /// Returns the next field as a double, or NULL.
    pub(crate) fn next_number(&mut self, format: NumberFormat) -> Result<Option<f64>, Malformed> {
        let Some(bytes) = self.next()? else { return Ok(None) };
        format.decode(bytes).map(Some)
    }
}

fn take_field<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    let length = i32::from_be_bytes(take_bytes(rest)?);
    if length < 0 {
        return Ok(None);
    }
    let (field, after) =
        usize::try_from(length).ok().and_then(|at| rest.split_at_checked(at)).ok_or(Malformed)?;
    *rest = after;
    Ok(Some(field))
}

fn take_bytes<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (bytes, after) = rest.split_first_chunk().ok_or(Malformed)?;
    *rest = after;
    Ok(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
        let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for row in rows {
            bytes.extend(i16::try_from(row.len()).unwrap().to_be_bytes());
            for field in *row {
                bytes.extend(field.map_or(-1, |field| i32::try_from(field.len()).unwrap()).to_be_bytes());
                bytes.extend(field.unwrap_or_default());
            }
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    fn numbers(message: &[u8]) -> Result<Vec<(i64, Option<f64>)>, StoreError> {
        let mut found = Vec::new();
        RowDecoder::new(2).rows(message, |mut fields| {
            found.push((fields.next_instant()?, fields.next_number(NumberFormat::Double)?));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn rows_are_read_and_null_is_no_number() {
        let (one, two, value) = (1_i64.to_be_bytes(), 2_i64.to_be_bytes(), 0.5_f64.to_be_bytes());
        let found = numbers(&message(&[&[Some(&one), Some(&value)], &[Some(&two), None]])).unwrap();
        assert_eq!(found, [(1, Some(0.5)), (2, None)]);
    }

    #[test]
    fn what_is_cut_off_is_an_error_and_not_a_panic() {
        let value = 0.5_f64.to_be_bytes();
        let whole = message(&[&[Some(&value), Some(&value)]]);
        for length in 0..whole.len() - 2 {
            let cut = &whole[..length];
            assert!(numbers(cut).is_err() || length == HEADER_BYTES, "{length}");
        }
        assert!(numbers(&message(&[&[Some(&value)]])).is_err());
        assert!(numbers(&message(&[&[Some(&value), Some(b"abc")]])).is_err());
    }
}
