//! [`Runs`]: the moments of the runs of one length that end at the latest rows, kept in a ring that is as short as
//! longer runs allow, so that all rings of usual windows stay in the first-level cache.

use crate::lanes::Lanes;
use crate::moments::Moments;

/// A ring of runs: row `r` stands at `r` modulo a power of two, the four moments in a column each. The first lanes
/// stand once more behind the last, so that eight rows can be loaded from anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    doubles: Vec<f64>,
    column_rows: usize,
}

impl Runs {
    /// A ring that holds the runs of at least the latest `rows` rows.
    pub(crate) fn new(rows: usize) -> Self {
        let column_rows = rows.next_power_of_two().max(Lanes::COUNT);
        Self { doubles: vec![0.0; 4 * (column_rows + Lanes::COUNT) + CACHE_LINE], column_rows }
    }

    /// The runs that end at `row` and the seven rows after it.
    #[inline(always)]
    pub(crate) fn load(&self, row: usize) -> Moments<Lanes> {
        let [mean, p1, p2, squares] = self.places(row);
        Moments {
            mean: Lanes::load(&self.doubles, mean),
            p1: Lanes::load(&self.doubles, p1),
            p2: Lanes::load(&self.doubles, p2),
            squares: Lanes::load(&self.doubles, squares),
        }
    }

    /// Keeps the runs that end at `row`, a multiple of eight, and the seven rows after it.
    #[inline(always)]
    pub(crate) fn store(&mut self, row: usize, moments: Moments<Lanes>) {
        let places = self.places(row);
        self.store_at(places, moments);
        if row.is_multiple_of(self.column_rows) {
            self.store_at(places.map(|place| place + self.column_rows), moments);
        }
    }

    /// The run that ends at `row`.
    pub(crate) fn get(&self, row: usize) -> Moments<f64> {
        let [mean, p1, p2, squares] = self.places(row).map(|place| self.doubles[place]);
        Moments { mean, p1, p2, squares }
    }

    #[inline(always)]
    fn store_at(&mut self, [mean, p1, p2, squares]: [usize; 4], moments: Moments<Lanes>) {
        moments.mean.store(&mut self.doubles, mean);
        moments.p1.store(&mut self.doubles, p1);
        moments.p2.store(&mut self.doubles, p2);
        moments.squares.store(&mut self.doubles, squares);
    }

    /// Where the four moments of a row stand.
    #[inline(always)]
    fn places(&self, row: usize) -> [usize; 4] {
        let stride = self.column_rows + Lanes::COUNT;
        let first = self.aligned() + (row & (self.column_rows - 1));
        [first, first + stride, first + 2 * stride, first + 3 * stride]
    }

    /// Where the first cache line begins: loads and stores that straddle two cost double.
    #[inline(always)]
    fn aligned(&self) -> usize {
        self.doubles.as_ptr().align_offset(64) & (CACHE_LINE - 1)
    }
}

/// Doubles in a cache line.
const CACHE_LINE: usize = 8;
