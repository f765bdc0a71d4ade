//! Instants as Parquet's DELTA_BINARY_PACKED: steps that are the same take no bits.

use crate::encode::compact::push_zigzag;
use crate::encode::levels::push_varint;

/// Steps of a block, and of the parts of it that have a width each.
const BLOCK: usize = 128;
const PART: usize = 32;

/// Appends the encoded instants.
pub(super) fn push_deltas(instants_us: &[i64], out: &mut Vec<u8>) {
    push_varint(BLOCK as u64, out);
    push_varint((BLOCK / PART) as u64, out);
    push_varint(instants_us.len() as u64, out);
    push_zigzag(instants_us.first().copied().unwrap_or_default(), out);
    let mut steps = instants_us.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    loop {
        let block: Vec<i64> = steps.by_ref().take(BLOCK).collect();
        let Some(&least) = block.iter().min() else { return };
        push_block(&block, least, out);
    }
}

fn push_block(steps: &[i64], least: i64, out: &mut Vec<u8>) {
    push_zigzag(least, out);
    let widths = out.len();
    out.extend([0; BLOCK / PART]);
    for (at, part) in steps.chunks(PART).enumerate() {
        let above = |step: &i64| step.wrapping_sub(least).cast_unsigned();
        let width = 64 - part.iter().map(above).fold(0, |bits, step| bits | step).leading_zeros();
        out[widths + at] = width as u8;
        push_packed(part.iter().map(above), width, out);
    }
}

/// Appends numbers of `width` bits each, as many as a part has: missing ones are 0.
fn push_packed(numbers: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let end = out.len() + PART * width as usize / 8;
    let (mut bits, mut held) = (0_u128, 0);
    for number in numbers {
        bits |= u128::from(number) << held;
        held += width;
        while held >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(bits as u8);
    }
    out.resize(end, 0);
}
