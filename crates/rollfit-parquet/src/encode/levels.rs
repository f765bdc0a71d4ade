//! Definition levels: which rows of a column have a value, in Parquet's hybrid of runs and packed bits.

/// Appends the levels of `runs`, rows with a value and without one by turns, with their length before them.
///
/// They are written as runs where these take fewer bytes, else as one bit a row.
pub(super) fn push_levels(runs: &[u32], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([0; 4]);
    let rows: u64 = runs.iter().map(|&run| u64::from(run)).sum();
    let groups = rows.div_ceil(8);
    let packed_bytes = varint_bytes(groups << 1 | 1) as u64 + groups;
    let filled = || runs.iter().enumerate().filter(|(_, run)| **run > 0);
    let run_bytes: u64 = filled().map(|(_, &run)| varint_bytes(u64::from(run) << 1) as u64 + 1).sum();
    if run_bytes <= packed_bytes {
        for (at, &run) in filled() {
            push_varint(u64::from(run) << 1, out);
            out.push(u8::from(at % 2 == 0));
        }
    } else {
        push_varint(groups << 1 | 1, out);
        push_bits(runs, groups as usize, out);
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// A bit a row, set where it has a value.
fn push_bits(runs: &[u32], bytes: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes, 0);
    let mut row = 0;
    for (at, &run) in runs.iter().enumerate() {
        let end = row + run as usize;
        if at % 2 == 0 {
            (row..end).for_each(|row| out[start + row / 8] |= 1 << (row % 8));
        }
        row = end;
    }
}

/// Appends a number in groups of seven bits, the lowest first.
pub(super) fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn varint_bytes(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}
