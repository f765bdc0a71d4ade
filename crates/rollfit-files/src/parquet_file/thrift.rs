//! The structures of Thrift's compact protocol, in which footers and the headers of pages are written.
//!
//! Invariants: the work is bounded by the bytes that there are, whatever lengths they say.

/// How deep structures and lists may be in one another.
const DEPTH_MAX: usize = 16;

pub(super) const I32: u8 = 5;
pub(super) const LIST: u8 = 9;
pub(super) const STRUCT: u8 = 12;

/// The kind of the next field of a structure in Thrift's compact form, whose number follows `id`; `Some(None)` at its end.
#[inline]
pub(super) fn field(rest: &mut &[u8], id: &mut i64) -> Option<Option<u8>> {
    let byte = take_byte(rest)?;
    if byte == 0 {
        return Some(None);
    }
    let number = match byte >> 4 {
        0 => signed(rest)?,
        more => id.checked_add(i64::from(more))?,
    };
    // The Parquet reader keeps the last 16 bits of longer ones.
    *id = i16::try_from(number).ok()?.into();
    Some(Some(byte & 0x0f))
}

/// Passes over a value; none where it goes on behind these bytes, or is none.
pub(super) fn skip(rest: &mut &[u8], kind: u8) -> Option<()> {
    skip_within(rest, kind, DEPTH_MAX)
}

fn skip_within(rest: &mut &[u8], kind: u8, depth: usize) -> Option<()> {
    match kind {
        // The kind of a boolean field is its value.
        1 | 2 => {}
        3 => drop(take_byte(rest)?),
        4..=6 => drop(varint(rest)?),
        7 => drop(take(rest, 8)?),
        8 => drop(bytes(rest)?),
        9 | 10 => skip_list(rest, depth.checked_sub(1)?)?,
        STRUCT => {
            let mut id = 0;
            while let Some(kind) = field(rest, &mut id)? {
                skip_within(rest, kind, depth.checked_sub(1)?)?;
            }
        }
        _ => return None,
    }
    Some(())
}

fn skip_list(rest: &mut &[u8], depth: usize) -> Option<()> {
    let (kind, length) = list_head(rest)?;
    (0..length).try_for_each(|_| skip_within(rest, kind, depth))
}

/// The kind of the elements of a list, and how many follow.
#[inline]
pub(super) fn list_head(rest: &mut &[u8]) -> Option<(u8, u64)> {
    let head = take_byte(rest)?;
    let length = if head >> 4 == 15 { varint(rest)? } else { u64::from(head >> 4) };
    match head & 0x0f {
        // They have a byte each, which the Parquet reader does not pass over. No footer and no header of a page has such lists.
        1 | 2 if length > 0 => None,
        kind => Some((kind, length)),
    }
}

/// The bytes of a text, which follow their number.
#[inline]
pub(super) fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(rest)?).ok()?;
    take(rest, length)
}

#[inline]
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[inline]
fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (taken, after) = rest.split_first()?;
    *rest = after;
    Some(*taken)
}

/// A number of seven bits a byte, the lowest first.
#[inline]
pub(super) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let first = take_byte(rest)?;
    // Most are short.
    if first < 0x80 { Some(first.into()) } else { longer_varint(first, rest) }
}

#[cold]
fn longer_varint(first: u8, rest: &mut &[u8]) -> Option<u64> {
    let mut number = u64::from(first & 0x7f);
    for shift in (7..64).step_by(7) {
        let byte = take_byte(rest)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

pub(super) fn signed(rest: &mut &[u8]) -> Option<i64> {
    let number = varint(rest)?;
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_struct(mut bytes: &[u8]) -> bool {
        skip(&mut bytes, STRUCT).is_some()
    }

    #[test]
    fn a_list_has_the_elements_that_it_says() {
        // The field 1, a list of bytes or of texts, or of no booleans, and the end.
        for list in [&[0x19, 0x23, 1, 2, 0][..], &[0x19, 0x28, 1, b'a', 0, 0], &[0x19, 0x01, 0]] {
            assert!(has_struct(list), "{list:?}");
        }
        for list in [
            &[0x19, 0x23, 1, 0][..],
            &[0x19, 0xf3, 0xff, 0xff, 0xff, 0xff, 0x07, 1, 2, 0],
            // The reader would take the booleans for fields.
            &[0x19, 0x21, 1, 2, 0],
            &[0x19, 0xf1, 0xff, 0xff, 0xff, 0xff, 0x07, 1, 2, 0],
            &[0x19, 0x28, 9, b'a', 0, 0],
        ] {
            assert!(!has_struct(list), "{list:?}");
        }
    }

    #[test]
    fn a_number_has_ten_bytes_at_most_and_its_last_one() {
        for length in 1..=12 {
            let long = [&vec![0x80; length - 1][..], &[1, 7]].concat();
            let (mut rest, mut cut) = (&long[..], &long[..length - 1]);
            let number = (length <= 10).then(|| 1 << (7 * (length - 1)));
            assert_eq!(varint(&mut rest), number);
            assert!(number.is_none() || rest == [7]);
            assert_eq!(varint(&mut cut), None);
        }
        assert_eq!(signed(&mut &[0xff, 0xff, 0x03][..]), Some(-32768));
    }

    #[test]
    fn what_is_nested_too_deeply_is_none() {
        assert!(has_struct(&[&[0x1c; 10][..], &[0; 11]].concat()));
        assert!(!has_struct(&[&[0x1c; 100_000][..], &[0; 100_001]].concat()));
    }
}
