//! [`InputDigest`]: the digest of all joined rows that features were computed from, row by row and chained block by block.
//!
//! Invariants: the digest depends on the rows alone, not on how they were pushed. So a program can check the first rows of
//! a source against a receipt, and go on from there; a new row costs hashing one open block.

use crate::parsed_receipt::ROWS_DIGEST;

/// The context of these hashes. It keeps them apart from all other hashes.
const CONTEXT: &str = "rollfit 2026-11-28 input rows 1";
/// The rows of a block.
const BLOCK_ROWS: usize = 4096;
/// The bytes of an instant, or of a value.
const WORD_BYTES: usize = 8;
/// Any value that is not a number, and NULL.
const NAN_BITS: u64 = 0x7ff8_0000_0000_0000;

/// The digest of the rows so far. A clone continues from the same row.
#[derive(Clone, Debug)]
pub struct InputDigest {
    row_bytes: usize,
    /// The hash of the last whole block.
    chained: blake3::Hash,
    /// The same, and the rows since: what the next hash is taken of.
    open: Vec<u8>,
    rows: u64,
}

impl InputDigest {
    /// The digest of no rows of this many series, of which `lookback_rows` will be before the partition.
    pub fn new(series: usize, lookback_rows: u64) -> Self {
        let mut head = [0; 2 * WORD_BYTES];
        head[..WORD_BYTES].copy_from_slice(&(series as u64).to_le_bytes());
        head[WORD_BYTES..].copy_from_slice(&lookback_rows.to_le_bytes());
        let chained = hash(&head);
        let open = chained.as_bytes().to_vec();
        Self { row_bytes: WORD_BYTES * (1 + series), chained, open, rows: 0 }
    }

    /// Adds rows after those so far: their instants in microseconds since 1970, and the values of each series.
    pub fn push_rows(&mut self, instants_us: &[i64], columns: &[&[f64]]) {
        debug_assert_eq!(self.row_bytes, WORD_BYTES * (1 + columns.len()));
        debug_assert!(columns.iter().all(|column| column.len() == instants_us.len()));
        let mut next = 0;
        while next < instants_us.len() {
            let open_rows = (self.open.len() - blake3::OUT_LEN) / self.row_bytes;
            let end = instants_us.len().min(next + BLOCK_ROWS - open_rows);
            self.gather(&instants_us[next..end], columns.iter().map(|column| &column[next..end]));
            next = end;
            if self.open.len() == blake3::OUT_LEN + BLOCK_ROWS * self.row_bytes {
                self.close_block();
            }
        }
        self.rows += instants_us.len() as u64;
    }

    /// How many rows there are so far, lookback included.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the digest of the rows so far, as receipts have it. More rows can follow.
    pub fn finish(&self) -> String {
        let has_rows = self.open.len() > blake3::OUT_LEN;
        let last = if has_rows { hash(&self.open) } else { self.chained };
        format!("{ROWS_DIGEST}:{}", last.to_hex())
    }

    /// Adds rows to the open block, which has room for them.
    fn gather<'a>(&mut self, instants_us: &[i64], columns: impl Iterator<Item = &'a [f64]>) {
        let start = self.open.len();
        self.open.resize(start + instants_us.len() * self.row_bytes, 0);
        let rows = &mut self.open[start..];
        put_words(rows, self.row_bytes, 0, instants_us.iter().map(|instant| instant.cast_unsigned()));
        for (at, column) in columns.enumerate() {
            let bits = column.iter().map(|value| if value.is_nan() { NAN_BITS } else { value.to_bits() });
            put_words(rows, self.row_bytes, 1 + at, bits);
        }
    }

    fn close_block(&mut self) {
        self.chained = hash(&self.open);
        self.open.clear();
        self.open.extend_from_slice(self.chained.as_bytes());
    }
}

/// Puts a word into each row, `at` words from its start.
fn put_words(rows: &mut [u8], row_bytes: usize, at: usize, words: impl Iterator<Item = u64>) {
    for (row, word) in rows.chunks_exact_mut(row_bytes).zip(words) {
        row[at * WORD_BYTES..][..WORD_BYTES].copy_from_slice(&word.to_le_bytes());
    }
}

fn hash(bytes: &[u8]) -> blake3::Hash {
    blake3::Hasher::new_derive_key(CONTEXT).update(bytes).finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The made rows of docs/format.md.
    fn made(rows: usize) -> (Vec<i64>, [Vec<f64>; 2]) {
        let instants_us = (0..rows as i64).map(|row| 60_000_000 * row).collect();
        let first = (0..rows).map(|row| row as f64).collect();
        let second = (0..rows).map(|row| row as f64 / 8.0 - 100.0).collect();
        (instants_us, [first, second])
    }

    /// Pushes rows in pieces of these lengths, and what is left at the end.
    fn pushed(
        digest: &mut InputDigest,
        (instants_us, columns): &(Vec<i64>, [Vec<f64>; 2]),
        pieces: &[usize],
    ) {
        let mut next = digest.rows() as usize;
        for &piece in pieces.iter().chain([&usize::MAX]) {
            let end = next.saturating_add(piece).min(instants_us.len());
            let columns: Vec<&[f64]> = columns.iter().map(|column| &column[next..end]).collect();
            digest.push_rows(&instants_us[next..end], &columns);
            next = end;
        }
    }

    fn digest_of(rows: &(Vec<i64>, [Vec<f64>; 2]), lookback_rows: u64) -> String {
        let mut digest = InputDigest::new(2, lookback_rows);
        pushed(&mut digest, rows, &[]);
        digest.finish()
    }

    #[test]
    fn digests_are_those_of_the_documented_vectors() {
        let few = (vec![1, 2, 3], [vec![1.0, f64::NAN, 3.0], vec![-0.0, 0.5, 1e-300]]);
        let vectors = [
            (made(0), 0, "9dea70d75fa303b1390fc2e051d46b0538e64154951f876dc4118a6401f195a9"),
            (few, 1, "205882842963b6156646d59e4762bdad13398b74cc1b4d9c6f027bb2ce966f17"),
            (made(4096), 0, "af52a2351af7169629e5488f5dcf32ae1d3d5b76ab020dc5c2bbb02d30d3525e"),
            (made(4097), 0, "2db267e1c938a2eb05b4befd54a8160bff67609dbc4aa7ed4a406398ef95089c"),
        ];
        for (rows, lookback_rows, wanted) in vectors {
            assert_eq!(digest_of(&rows, lookback_rows), format!("rows1:{wanted}"));
        }
    }

    #[test]
    fn the_digest_does_not_depend_on_how_rows_are_pushed() {
        let mut random = fastrand::Rng::with_seed(13);
        for rows in [1, 4095, 4096, 4097, 8191, 8192, 8193, 20_000] {
            let rows = made(rows);
            let whole = digest_of(&rows, 5);
            for round in 0..10 {
                let longest = [1, 7, 100, 4096, 5000][round % 5] + 1;
                let pieces: Vec<usize> = (0..20).map(|_| random.usize(..longest)).collect();
                let mut digest = InputDigest::new(2, 5);
                pushed(&mut digest, &rows, &pieces);
                assert_eq!(digest.finish(), whole, "{pieces:?}");
                assert_eq!(digest.finish(), whole, "what is finished goes on");
            }
        }
    }

    #[test]
    fn the_first_rows_have_a_digest_of_their_own_and_the_later_ones_go_on_from_it() {
        let rows = made(9000);
        for prefix in [0, 1, 4095, 4096, 4097, 8192, 8999, 9000] {
            let mut digest = InputDigest::new(2, 0);
            pushed(&mut digest, &made(prefix), &[]);
            assert_eq!((digest.rows(), digest.finish()), (prefix as u64, digest_of(&made(prefix), 0)));
            let mut follower = digest.clone();
            pushed(&mut follower, &rows, &[1]);
            assert_eq!(follower.finish(), digest_of(&rows, 0), "after {prefix} rows");
            assert_eq!(digest.finish(), digest_of(&made(prefix), 0), "a clone goes its own way");
        }
    }

    #[test]
    fn only_what_has_no_value_is_the_same_whatever_its_bits() {
        let of = |values: [f64; 2]| digest_of(&(vec![1, 2], [values.into(), vec![0.0; 2]]), 0);
        let nan = of([1.0, f64::NAN]);
        assert_eq!(nan, of([1.0, f64::from_bits(0xfff8_0000_0000_0001)]));
        assert_eq!(nan, of([1.0, f64::from_bits(0x7ff0_0000_0000_0001)]));
        for other in [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::from_bits(1)] {
            assert_ne!(nan, of([1.0, other]));
        }
        assert_ne!(of([0.0, 1.0]), of([-0.0, 1.0]));
    }

    #[test]
    fn series_and_lookback_count_without_rows_too() {
        let of = |series, lookback_rows| InputDigest::new(series, lookback_rows).finish();
        let all = [of(1, 0), of(2, 0), of(1, 1), of(2, 1)];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
    }
}
