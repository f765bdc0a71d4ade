//! [`RowSample`]: some rows of a partition, evenly spread.

/// Which rows of a partition are looked at closely.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSample {
    rows: usize,
    sampled: usize,
}

impl RowSample {
    /// `wanted` of `rows` rows; all of them without a wish.
    pub(crate) fn new(rows: usize, wanted: Option<usize>) -> Self {
        Self { rows, sampled: wanted.map_or(rows, |wanted| wanted.min(rows)) }
    }

    /// Whether row `row` is one of them.
    pub(crate) fn has(self, row: usize) -> bool {
        let sampled_before = |row: usize| row as u128 * self.sampled as u128 / self.rows as u128;
        sampled_before(row + 1) > sampled_before(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_as_many_rows_as_wanted_and_spreads_them() {
        for (rows, wanted, sampled) in
            [(1000, Some(10), 10), (1000, None, 1000), (7, Some(9), 7), (7, Some(0), 0)]
        {
            let sample = RowSample::new(rows, wanted);
            let chosen: Vec<usize> = (0..rows).filter(|&row| sample.has(row)).collect();
            assert_eq!(chosen.len(), sampled);
            assert!(chosen.windows(2).all(|pair| pair[1] - pair[0] <= rows.div_ceil(sampled)));
        }
    }
}
