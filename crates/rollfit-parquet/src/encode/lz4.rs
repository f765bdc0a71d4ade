//! [`Lz4Block`]: a block of LZ4 whose beginning is kept as it is and whose rest is packed.
//!
//! The low bytes of doubles look random, and searching them for repetitions costs time and saves nothing. A block begins with bytes
//! that are copied, any number of them, so they are put there.

use std::io;

use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

/// The most that half of a sequence's first byte says; more follows in further bytes.
const SHORT_MAX: usize = 15;

/// The block packed last.
pub(super) struct Lz4Block {
    /// Always the large one: a table that grew would make the bytes depend on what was packed before.
    table: CompressTable,
    /// The first sequence's lengths, with the kept bytes added.
    start: Vec<u8>,
    /// The packed rest, from where its own first lengths end.
    packed: Vec<u8>,
    rest: std::ops::Range<usize>,
}

impl Default for Lz4Block {
    fn default() -> Self {
        Self { table: CompressTable::large(), start: Vec::new(), packed: Vec::new(), rest: 0..0 }
    }
}

impl Lz4Block {
    /// Packs `tail` behind `kept_bytes` bytes that are kept. The block is then `start`, those bytes and `rest`.
    pub(super) fn pack(&mut self, kept_bytes: usize, tail: &[u8]) -> io::Result<()> {
        let most = get_maximum_output_size(tail.len());
        if self.packed.len() < most {
            self.packed.resize(most, 0);
        }
        let end = compress_into_with_table(tail, &mut self.packed, &mut self.table);
        let end = end.map_err(io::Error::other)?;
        let short = usize::from(self.packed[0] >> 4);
        let (mut literals, mut at) = (short, 1);
        while literals >= SHORT_MAX {
            let more = self.packed[at];
            literals += usize::from(more);
            at += 1;
            if more < u8::MAX {
                break;
            }
        }
        self.rest = at..end;
        self.start.clear();
        push_lengths(kept_bytes + literals, self.packed[0] & 0x0f, &mut self.start);
        Ok(())
    }

    /// The bytes before so many kept ones, where hardly any bytes of the rest are copied before the first that are packed.
    pub(super) fn usual_start_bytes(kept_bytes: usize) -> usize {
        1 + kept_bytes.checked_sub(SHORT_MAX).map_or(0, |more| more / usize::from(u8::MAX) + 1)
    }

    /// What comes before the kept bytes.
    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    /// What comes after the kept bytes.
    pub(super) fn rest(&self) -> &[u8] {
        &self.packed[self.rest.clone()]
    }

    /// The bytes of memory that it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        self.start.capacity() + self.packed.capacity()
    }
}

/// The first byte of a sequence with `literals` bytes that are copied, and the rest of that length.
fn push_lengths(literals: usize, match_length: u8, out: &mut Vec<u8>) {
    out.push((literals.min(SHORT_MAX) as u8) << 4 | match_length);
    let Some(mut more) = literals.checked_sub(SHORT_MAX) else { return };
    while more >= usize::from(u8::MAX) {
        out.push(u8::MAX);
        more -= usize::from(u8::MAX);
    }
    out.push(more as u8);
}

#[cfg(test)]
mod tests {
    use lz4_flex::block::decompress;

    use super::*;

    #[test]
    fn kept_bytes_of_any_length_come_before_what_was_packed() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut block = Lz4Block::default();
        for kept_bytes in [0, 1, 14, 15, 16, 254, 255, 269, 270, 271, 525, 526, 70_000] {
            for tail_bytes in [0, 1, 4, 12, 13, 15, 16, 300, 5000, 70_000] {
                for (width, first_bytes) in [(256, 0), (1, 0), (1, 20), (3, 300)] {
                    let kept: Vec<u8> = (0..kept_bytes).map(|_| random.u8(..)).collect();
                    let byte = |at| if at < first_bytes { random.u8(..) } else { random.u16(..width) as u8 };
                    let tail: Vec<u8> = (0..tail_bytes).map(byte).collect();
                    block.pack(kept.len(), &tail).unwrap();
                    let packed = [block.start(), &kept, block.rest()].concat();
                    let whole = [&kept[..], &tail].concat();
                    let more_bytes = block.start().len() - Lz4Block::usual_start_bytes(kept_bytes);
                    assert!(more_bytes <= tail.len().div_ceil(255));
                    assert!(decompress(&packed, whole.len()).unwrap() == whole, "{kept_bytes} {tail_bytes}");
                }
            }
        }
    }
}
