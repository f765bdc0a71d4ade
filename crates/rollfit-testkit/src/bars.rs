//! [`TestBars`]: bars of an import that come from no file, with further columns.

use std::fmt::Display;

use rollfit_job::import::{Bar, BarColumn, NewBars};

use crate::market::MINUTE_US;

/// Bars in memory. The bar at index 0 is "line 1".
#[derive(Clone, Default)]
pub struct TestBars {
    /// The bars, in order of time.
    pub bars: Vec<Bar>,
    /// Their further columns.
    pub columns: Vec<BarColumn>,
}

impl TestBars {
    /// A bar per minute from an instant on, with these closes.
    #[must_use]
    pub fn new(first_us: i64, closes: &[f64]) -> Self {
        let bar = |(row, close): (usize, &f64)| {
            let instant_us = first_us + i64::try_from(row).unwrap() * MINUTE_US;
            Bar { instant_us, close: *close }
        };
        Self { bars: closes.iter().enumerate().map(bar).collect(), columns: Vec::new() }
    }

    /// The same bars with one column more, NaN for no value.
    #[must_use]
    pub fn with(mut self, name: &str, values: &[f64]) -> Self {
        self.columns.push(BarColumn { name: name.to_owned(), values: values.to_vec() });
        self
    }
}

impl NewBars for TestBars {
    fn bars(&self) -> &[Bar] {
        &self.bars
    }

    fn columns(&self) -> &[BarColumn] {
        &self.columns
    }

    fn origin(&self, index: usize) -> Box<dyn Display + '_> {
        Box::new(format!("line {}", index + 1))
    }
}
