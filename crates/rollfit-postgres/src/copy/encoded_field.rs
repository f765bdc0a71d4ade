//! [`EncodedField`]: one number in the bytes of a binary COPY, before it has a place in a row.
//!
//! A field is its length in 4 bytes followed by its bytes, big-endian; a length of -1 is NULL. The bytes are held in integers
//! of fixed widths, and more of them are written than the field has: the next field is written over the rest. That is
//! faster than copying as many bytes as there are.

/// The most bytes that are written for a field.
pub(crate) const FIELD_BYTES_MAX: usize = HEADER_BYTES + 2 * GROUPS_MAX;

/// The length of a field and the header of a NUMERIC, or a whole double.
const HEADER_BYTES: usize = 12;
/// Digits in base 10,000 of the longest NUMERIC.
const GROUPS_MAX: usize = 5;

/// An encoded number or NULL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EncodedField {
    /// The first 8 bytes: the length, and 4 more.
    head: u64,
    /// The next 4.
    tail: u32,
    /// The first of [`GROUPS_MAX`] groups, counted from the last.
    first_group: u16,
    /// The other four.
    groups: u64,
    /// How many of the groups, the last ones, belong to the field.
    group_count: u8,
    /// Its bytes, including the length.
    bytes: u8,
}

impl EncodedField {
    /// No value.
    pub(crate) const NULL: Self =
        Self { head: (u32::MAX as u64) << 32, tail: 0, first_group: 0, groups: 0, group_count: 0, bytes: 4 };

    /// A `DOUBLE PRECISION`.
    #[inline]
    pub(crate) fn from_double(value: f64) -> Self {
        let bits = value.to_bits();
        Self { head: 8 << 32 | bits >> 32, tail: bits as u32, bytes: 12, ..Self::default() }
    }

    /// A `REAL`.
    pub(crate) fn from_single(value: f32) -> Self {
        Self { head: 4 << 32 | u64::from(value.to_bits()), bytes: 8, ..Self::default() }
    }

    /// A `NUMERIC`: its weight, sign and decimals, and its groups, of which the first may be zero and the other four are 16 bits each;
    /// the last `group_count` of the five belong to it.
    #[inline]
    pub(crate) fn from_groups(
        (weight, sign, decimals): (i32, u16, u16),
        (first_group, groups): (u16, u64),
        group_count: u32,
    ) -> Self {
        // In the head are the length, the count and the weight: the first two grow with the groups.
        let count = u64::from(group_count);
        let head = (8 << 32) + count * ((2 << 32) + (1 << 16)) + u64::from(weight as u16);
        let tail = u32::from(sign) << 16 | u32::from(decimals);
        let bytes = (HEADER_BYTES as u32 + 2 * group_count) as u8;
        Self { head, tail, first_group, groups, group_count: group_count as u8, bytes }
    }

    /// The same NUMERIC with another sign; zero and NULL have none.
    #[inline]
    pub(crate) fn with_sign(self, sign: u16) -> Self {
        let sign = if self.group_count > 0 { sign } else { 0 };
        Self { tail: self.tail & 0xffff | u32::from(sign) << 16, ..self }
    }

    /// Writes the field at a place in a row, and returns where it ends. Up to [`FIELD_BYTES_MAX`] bytes from there on are
    /// overwritten.
    #[inline]
    pub(crate) fn put(&self, row: &mut [u8], at: usize) -> usize {
        let place = &mut row[at..at + FIELD_BYTES_MAX];
        // All five groups, so that the last one ends where the field does; the header then covers those that are not its own.
        let groups = &mut place[2 * usize::from(self.group_count)..][2..HEADER_BYTES];
        groups[..2].copy_from_slice(&self.first_group.to_be_bytes());
        groups[2..].copy_from_slice(&self.groups.to_be_bytes());
        place[..8].copy_from_slice(&self.head.to_be_bytes());
        place[8..HEADER_BYTES].copy_from_slice(&self.tail.to_be_bytes());
        at + usize::from(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(fields: &[EncodedField]) -> Vec<u8> {
        let mut row = vec![0xaa; fields.len() * FIELD_BYTES_MAX];
        let end = fields.iter().fold(0, |at, field| field.put(&mut row, at));
        row[..end].to_vec()
    }

    #[test]
    fn fields_follow_each_other_without_a_trace_of_those_before() {
        let full = EncodedField::from_groups((0, 0x4000, 16), (1, 0x0002_0003_0004_0005), 5);
        let short = EncodedField::from_groups((0, 0, 0), (0, 7), 1);
        let zero = EncodedField::from_groups((0, 0, 0), (0, 0), 0);
        let fields = [
            full,
            short,
            EncodedField::NULL,
            zero,
            EncodedField::from_double(1.5),
            EncodedField::from_single(0.25),
        ];
        let wanted: [&[u8]; 6] = [
            &[0, 0, 0, 18, 0, 5, 0, 0, 0x40, 0, 0, 16, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5],
            &[0, 0, 0, 10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7],
            &[0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 8, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
            &[0, 0, 0, 4, 0x3e, 0x80, 0, 0],
        ];
        assert_eq!(bytes(&fields), wanted.concat());
        assert_eq!(bytes(&[full, full]), [wanted[0], wanted[0]].concat());
    }

    #[test]
    fn zero_and_null_get_no_sign() {
        let number = EncodedField::from_groups((0, 0, 0), (0, 7), 1);
        assert_eq!(number.with_sign(0x4000), EncodedField::from_groups((0, 0x4000, 0), (0, 7), 1));
        assert_eq!(number.with_sign(0x4000).with_sign(0), number);
        let zero = EncodedField::from_groups((0, 0, 2), (0, 0), 0);
        assert_eq!(
            (zero.with_sign(0x4000), EncodedField::NULL.with_sign(0x4000)),
            (zero, EncodedField::NULL)
        );
    }
}
