//! From a [`Panel`] to the [`Input`] that a receipt records of it: counts, ends, and the digest of every bit.

use crate::input_digest::InputDigest;
use crate::panel::Panel;
use crate::parsed_receipt::ROWS_DIGEST;
use crate::receipt::Input;

impl Panel {
    /// What a receipt records of it.
    pub fn input(&self) -> Input {
        self.input_with(self.digest())
    }

    fn input_with(&self, digest: String) -> Input {
        Input {
            rows: self.rows() as u64,
            lookback_rows: self.lookback_rows as u64,
            first_us: self.instants_us.first().copied(),
            last_us: self.instants_us.last().copied(),
            digest,
            lost_rows: self.lost_rows.clone(),
        }
    }

    /// How it relates to the input that a receipt recorded. A receipt is checked by a digest of its own kind: that a later
    /// definition has another one is no change of the source.
    pub fn compare_input(&self, recorded: &Input) -> InputChange {
        let is_of_rows = is_of_rows(recorded);
        if is_of_rows && recorded.rows < self.rows() as u64 {
            return if self.begins_with(recorded) { InputChange::Grown } else { InputChange::Changed };
        }
        let digest = if is_of_rows { self.digest() } else { digest_of_columns(self) };
        if self.input_with(digest).is_same_rows(recorded) { InputChange::None } else { InputChange::Changed }
    }

    /// Whether it is the input that a receipt recorded, see [`Panel::compare_input`].
    pub fn is_input(&self, recorded: &Input) -> bool {
        self.compare_input(recorded) == InputChange::None
    }

    /// Whether its first rows, lookback included, are those that a receipt recorded, which has fewer.
    fn begins_with(&self, recorded: &Input) -> bool {
        let recorded_rows = usize::try_from(recorded.rows).unwrap_or(usize::MAX);
        let rows = self.lookback_rows.saturating_add(recorded_rows).min(self.instants_us.len());
        recorded.rows > 0
            && recorded.lookback_rows == self.lookback_rows as u64
            && recorded.first_us == self.instants_us.first().copied()
            && recorded.last_us == self.instants_us[..rows].last().copied()
            && recorded.digest == self.digest_of_first(rows)
    }

    fn digest(&self) -> String {
        self.digest_of_first(self.instants_us.len())
    }

    fn digest_of_first(&self, rows: usize) -> String {
        let columns: Vec<&[f64]> = self.columns.iter().map(|column| &column[..rows]).collect();
        let mut digest = InputDigest::new(columns.len(), self.lookback_rows as u64);
        digest.push_rows(&self.instants_us[..rows], &columns);
        digest.finish()
    }
}

/// What has become of the input of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputChange {
    /// The joined rows are the same.
    None,
    /// They are as they were, and there are later ones.
    Grown,
    /// They are others, or fewer.
    Changed,
}

fn is_of_rows(recorded: &Input) -> bool {
    recorded.digest.split_once(':').is_some_and(|(kind, _)| kind == ROWS_DIGEST)
}

/// The digest of definition 2: BLAKE3 of the panel's instants and values, as little-endian 64-bit words, a length before
/// each column.
fn digest_of_columns(panel: &Panel) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(panel.lookback_rows as u64).to_le_bytes());
    hash_words(&mut hasher, panel.instants_us.iter().map(|instant| instant.to_le_bytes()));
    for column in &panel.columns {
        hash_words(&mut hasher, column.iter().map(|value| value.to_bits().to_le_bytes()));
    }
    hasher.finalize().to_hex().to_string()
}

fn hash_words(hasher: &mut blake3::Hasher, words: impl ExactSizeIterator<Item = [u8; 8]>) {
    hasher.update(&(words.len() as u64).to_le_bytes());
    let mut block = Vec::with_capacity(64 * 1024);
    for word in words {
        block.extend_from_slice(&word);
        if block.len() == block.capacity() {
            hasher.update(&block);
            block.clear();
        }
    }
    hasher.update(&block);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel() -> Panel {
        Panel {
            instants_us: vec![1, 2, 3],
            columns: vec![vec![1.0, f64::NAN, 3.0], vec![-0.0, 0.5, 1e-300]],
            lookback_rows: 1,
            lost_rows: vec![0, 2],
            ..Panel::default()
        }
    }

    #[test]
    fn the_digest_sees_every_change() {
        let original = panel().input();
        assert_eq!(original, panel().input());
        let changes: [fn(&mut Panel); 5] = [
            |panel| panel.instants_us[1] = 9,
            |panel| panel.columns[1][0] = 0.0,
            |panel| panel.columns[0][1] = 2.0,
            |panel| panel.lookback_rows = 0,
            |panel| panel.columns.swap(0, 1),
        ];
        for change in changes {
            let mut changed = panel();
            change(&mut changed);
            assert_ne!(original.digest, changed.input().digest);
            assert!(!changed.is_input(&original) && !changed.is_input(&of_definition_2()));
        }
        // No feature depends on how many rows a series has lost.
        let mut lost = panel();
        lost.lost_rows[0] = 1;
        assert!(lost.is_input(&original) && lost.is_input(&of_definition_2()));
    }

    #[test]
    fn a_panel_has_grown_where_its_first_rows_are_those_of_the_receipt() {
        let grown = |change: fn(&mut Panel)| {
            let mut now = panel();
            now.instants_us.push(4);
            now.columns.iter_mut().for_each(|column| column.push(7.0));
            change(&mut now);
            now.compare_input(&panel().input())
        };
        assert_eq!(grown(|_| ()), InputChange::Grown);
        assert_eq!(grown(|now| now.lost_rows[0] = 9), InputChange::Grown);
        let changes: [fn(&mut Panel); 4] = [
            |now| now.columns[0][0] = 1.5,
            |now| now.instants_us[1] = 9,
            |now| now.lookback_rows = 0,
            |now| now.columns[1][2] = f64::NAN,
        ];
        for change in changes {
            assert_eq!(grown(change), InputChange::Changed);
        }
        let mut longer = panel();
        longer.instants_us.push(4);
        longer.columns.iter_mut().for_each(|column| column.push(7.0));
        for recorded in [
            of_definition_2(),
            Input { rows: u64::MAX, ..panel().input() },
            Input { rows: 0, ..panel().input() },
            Input { lookback_rows: u64::MAX, ..panel().input() },
            Input { last_us: None, ..panel().input() },
            Input { digest: "rows1:".to_owned(), ..panel().input() },
        ] {
            assert_eq!(longer.compare_input(&recorded), InputChange::Changed, "{recorded:?}");
        }
        assert_eq!(panel().compare_input(&longer.input()), InputChange::Changed, "rows are gone");
    }

    /// What rollfit recorded of the same panel with definition 2.
    fn of_definition_2() -> Input {
        let digest = "c39f2f60a3610e31d3194e4809acf4b775b22e59b05dfbdeb026f4872ac73eb6";
        Input { digest: digest.to_owned(), ..panel().input() }
    }

    #[test]
    fn a_receipt_is_checked_by_the_kind_of_digest_that_it_has() {
        assert!(panel().is_input(&panel().input()));
        assert_eq!(digest_of_columns(&panel()), of_definition_2().digest);
        assert!(panel().is_input(&of_definition_2()));
        assert_ne!(panel().input().digest, of_definition_2().digest);
        for digest in ["", "rows1:", "rows1", "rows2:00", "00"] {
            assert!(!panel().is_input(&Input { digest: digest.to_owned(), ..panel().input() }));
        }
    }

    #[test]
    fn the_join_loss_is_the_worst_sides() {
        assert_eq!(panel().input().join_loss(), 0.5);
    }

    #[test]
    fn the_join_loss_of_any_numbers_is_a_share() {
        let loss =
            |rows: u64, lost: u64| Input { rows, lost_rows: vec![lost], ..panel().input() }.join_loss();
        assert_eq!(loss(3, 1), 0.25);
        assert_eq!(loss(0, 0), 0.0);
        assert_eq!((loss(u64::MAX, u64::MAX), loss(u64::MAX, 0)), (0.5, 0.0));
    }
}
