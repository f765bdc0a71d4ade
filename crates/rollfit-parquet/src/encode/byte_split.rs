//! Parquet's BYTE_STREAM_SPLIT of doubles: bytes of the same significance one after the other.

use crate::encode::column::VALUE_BYTES;

/// Values that are split at once: in the nearest cache, all the way.
const BLOCK_VALUES: usize = 256;

/// What is looked at of the values: so many pieces of so many values.
const SAMPLES: usize = 16;
const SAMPLE_VALUES: usize = 256;
/// Bytes of a sample that are compared at once: those of eight values.
const LANES: usize = 8 * VALUE_BYTES;

/// Writes the first bytes of all values, then the second ones, and so on, to `low` and then to `high`, which have a whole number of
/// such streams each, and as many bytes as the values.
pub(super) fn split_bytes(values: &[u8], low: &mut [u8], high: &mut [u8]) {
    let count = values.len() / VALUE_BYTES;
    if count == 0 {
        return;
    }
    let mut streams = low.chunks_exact_mut(count).chain(high.chunks_exact_mut(count));
    let mut streams: [&mut [u8]; VALUE_BYTES] = std::array::from_fn(|_| streams.next().unwrap_or_default());
    let (blocks, rest) = values.as_chunks::<{ BLOCK_VALUES * VALUE_BYTES }>();
    let mut places = streams.each_mut().map(|stream| stream.as_chunks_mut::<BLOCK_VALUES>().0.iter_mut());
    let mut halves = Halves::default();
    for block in blocks {
        if let [Some(a), Some(b), Some(c), Some(d), Some(e), Some(f), Some(g), Some(h)] =
            places.each_mut().map(Iterator::next)
        {
            halves.split_block(block, [a, b, c, d, e, f, g, h]);
        }
    }
    let first = blocks.len() * BLOCK_VALUES;
    for (at, value) in rest.chunks_exact(VALUE_BYTES).enumerate() {
        for (stream, byte) in streams.iter_mut().zip(value) {
            stream[first + at] = *byte;
        }
    }
}

/// Values cut into halves, and one of these again; kept from block to block, because to clear them takes as long as to fill them.
struct Halves {
    words: [[u32; BLOCK_VALUES]; 2],
    short: [[u16; BLOCK_VALUES]; 2],
}

impl Default for Halves {
    fn default() -> Self {
        Self { words: [[0; BLOCK_VALUES]; 2], short: [[0; BLOCK_VALUES]; 2] }
    }
}

impl Halves {
    /// Splits values into halves three times, each of them a loop that the compiler makes vectors of on any processor.
    fn split_block(
        &mut self,
        block: &[u8; BLOCK_VALUES * VALUE_BYTES],
        [a, b, c, d, e, f, g, h]: [&mut [u8; BLOCK_VALUES]; VALUE_BYTES],
    ) {
        let ([low, high], [short_low, short_high]) = (&mut self.words, &mut self.short);
        for ((value, low), high) in block.as_chunks::<VALUE_BYTES>().0.iter().zip(&mut *low).zip(&mut *high) {
            let value = u64::from_le_bytes(*value);
            (*low, *high) = (value as u32, (value >> 32) as u32);
        }
        for (words, [a, b, c, d]) in [(low, [a, b, c, d]), (high, [e, f, g, h])] {
            for ((word, low), high) in words.iter().zip(&mut *short_low).zip(&mut *short_high) {
                (*low, *high) = (*word as u16, (*word >> 16) as u16);
            }
            for (words, low, high) in [(&*short_low, a, b), (&*short_high, c, d)] {
                for ((word, low), high) in words.iter().zip(low).zip(high) {
                    (*low, *high) = (*word as u8, (*word >> 8) as u8);
                }
            }
        }
    }
}

/// How many streams, the lowest bytes first, are not worth packing: few of their bytes are like the one before.
///
/// Of many values a sample is looked at, the same one for the same values. The highest byte, with the sign and the magnitude, is
/// always worth it. On features of real prices this saves half of LZ4's time and packs better than LZ4 over all bytes, which steps
/// over the beginning of what can be packed.
pub(super) fn random_streams(values: &[u8]) -> usize {
    let (mut same, mut seen) = ([0; VALUE_BYTES], 0);
    let step = (values.len() / VALUE_BYTES / SAMPLES).max(SAMPLE_VALUES);
    for sample in values.chunks(VALUE_BYTES * step) {
        let sample = &sample[..sample.len().min(VALUE_BYTES * SAMPLE_VALUES)];
        // Counted in bytes, many values at once.
        let mut counts = [0_u8; LANES];
        let (ones, (nexts, last)) =
            (sample.as_chunks::<LANES>().0, sample[VALUE_BYTES..].as_chunks::<LANES>());
        ones.iter().zip(nexts).for_each(|(ones, nexts)| count_same(&mut counts, ones, nexts));
        count_same(&mut counts, &sample[LANES * nexts.len()..], last);
        for (at, count) in counts.iter().enumerate() {
            same[at % VALUE_BYTES] += usize::from(*count);
        }
        seen += sample.len() / VALUE_BYTES;
    }
    let is_worth_packing = |same: &usize| 4 * same >= seen;
    same.iter().position(is_worth_packing).unwrap_or(VALUE_BYTES - 1).min(VALUE_BYTES - 1)
}

/// Adds 1 where the bytes are the same; two arrays are compared at once.
#[inline(always)]
fn count_same(counts: &mut [u8; LANES], ones: &[u8], nexts: &[u8]) {
    for ((count, one), next) in counts.iter_mut().zip(ones).zip(nexts) {
        *count += u8::from(one == next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values whose bytes of each significance these are.
    fn values(stream: impl FnMut(usize) -> Vec<u8>) -> Vec<u8> {
        let streams: Vec<Vec<u8>> = (0..VALUE_BYTES).map(stream).collect();
        (0..streams[0].len()).flat_map(|at| streams.iter().map(move |stream| stream[at])).collect()
    }

    #[test]
    fn streams_that_repeat_are_packed_and_so_is_all_behind_them() {
        let mut random = fastrand::Rng::with_seed(11);
        for count in [300, 30_000] {
            let mut stream = |repeats: bool| -> Vec<u8> {
                let mut bytes = vec![7; count];
                bytes.iter_mut().filter(|_| !repeats).for_each(|byte| *byte = random.u8(..));
                bytes
            };
            for first in 0..VALUE_BYTES {
                assert_eq!(random_streams(&values(|at| stream(at == first))), first);
            }
            assert_eq!(random_streams(&values(|_| stream(false))), VALUE_BYTES - 1);
        }
        assert!(random_streams(&[]) < VALUE_BYTES && random_streams(&[0; VALUE_BYTES]) < VALUE_BYTES);
    }

    #[test]
    fn every_byte_goes_to_the_stream_of_its_significance() {
        for count in [0, 1, 7, 255, 256, 257, 511, 512, 1000] {
            let values: Vec<u8> = (0..count * VALUE_BYTES).map(|at| ((at * 7919) >> 3) as u8).collect();
            for streams in 0..=VALUE_BYTES {
                let mut split = vec![0; values.len()];
                let (low, high) = split.split_at_mut(streams * count);
                split_bytes(&values, low, high);
                for (at, byte) in values.iter().enumerate() {
                    assert_eq!(split[at % VALUE_BYTES * count + at / VALUE_BYTES], *byte, "{at} of {count}");
                }
            }
        }
    }
}
