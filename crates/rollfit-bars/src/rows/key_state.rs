//! [`KeyState`]: what the rows of a key say of its later rows.

use super::instruments::Instruments;
use crate::time::stamp::Stamp;
use crate::time::stamp_reader::DatesAlone;

/// What the rows of a key so far say of those to come.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct KeyState {
    pub(crate) dates: DatesAlone,
    pub(crate) instruments: Instruments,
    /// The last time of a Parquet file, if it was a midnight.
    pub(crate) midnight: Option<Stamp>,
}

impl KeyState {
    /// How the rows of a key begin.
    pub(crate) fn new(instruments: Instruments) -> Self {
        Self { instruments, ..Self::default() }
    }

    /// Turns what rows say that were read as the first of their key into what all say up to there; returns false where they
    /// would have been read in another way after these.
    pub(crate) fn precede(&self, later: &mut Self) -> bool {
        self.dates.precede(&mut later.dates) && self.instruments.precede(&mut later.instruments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::stamp_reader::{StampReader, StampRules};

    /// Reads rows of a date and two instrument columns.
    fn read(state: &mut KeyState, rows: &[(u64, &str, [&str; 2])]) -> bool {
        let mut stamps = StampReader::new(StampRules::default());
        rows.iter().all(|(number, date, fields)| {
            state.instruments.check(*number, fields.iter().copied()).is_ok()
                && stamps.read(&mut state.dates, None, date).is_ok()
        })
    }

    #[test]
    fn rows_read_apart_say_what_they_say_together() {
        let mut random = fastrand::Rng::with_seed(7);
        let new = KeyState::new(Instruments::new(vec![(0, "name".to_owned()), (1, "ticker".to_owned())]));
        let (mut joined, mut refused) = (0, 0);
        for _ in 0..3_000 {
            let mut day = 1;
            let (repeats, others) = (random.u32(5..40), random.u32(5..400));
            let days: Vec<(String, bool)> = (0..random.usize(0..28))
                .map(|_| {
                    day += u32::from(random.u32(0..repeats) > 0);
                    (format!("2024-01-{day:02}"), random.u32(0..others) == 0)
                })
                .collect();
            let rows: Vec<(u64, &str, [&str; 2])> = (2..)
                .zip(&days)
                .map(|(number, (day, is_other))| {
                    (number, day.as_str(), ["Euro", if *is_other { "y" } else { "x" }])
                })
                .collect();
            let cut = random.usize(0..=rows.len());
            let (mut together, mut before, mut later) = (new.clone(), new.clone(), new.clone());
            let is_read = read(&mut together, &rows);
            let apart = read(&mut before, &rows[..cut]) && read(&mut later, &rows[cut..]);
            if apart && before.precede(&mut later) {
                assert!(is_read, "{rows:?} cut at {cut}");
                assert_eq!(later, together, "{rows:?} cut at {cut}");
                joined += 1;
            } else {
                refused += 1;
            }
        }
        assert!(joined > 500 && refused > 500, "{joined} joined, {refused} refused");
    }
}
