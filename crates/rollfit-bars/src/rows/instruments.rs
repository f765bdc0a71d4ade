//! [`Instruments`]: a file holds one instrument: the columns that say which never change.

use std::sync::Arc;

use super::row_refusal::{OtherInstrument, RowRefusal};
use crate::error::shown;
use crate::table::column_names::is_symbol;

/// The columns of a file that say the instrument of a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Instruments {
    columns: Vec<InstrumentColumn>,
}

#[derive(Debug, Clone, PartialEq)]
struct InstrumentColumn {
    index: usize,
    name: Arc<str>,
    /// Line or row of the first value, and the value.
    first: Option<(u64, Arc<str>)>,
}

impl Instruments {
    /// Watches columns, given by their index in a row and their name.
    pub(crate) fn new(columns: Vec<(usize, String)>) -> Self {
        let column =
            |(index, name): (usize, String)| InstrumentColumn { index, name: name.into(), first: None };
        Self { columns: columns.into_iter().map(column).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Compares the fields of a row with those of the first.
    pub(crate) fn check<'a>(
        &mut self,
        number: u64,
        fields: impl Iterator<Item = &'a str>,
    ) -> Result<(), RowRefusal> {
        let mut columns = self.columns.iter_mut().peekable();
        for (index, value) in fields.enumerate() {
            let Some(column) = columns.next_if(|column| column.index == index) else { continue };
            column.check(number, value.trim())?;
        }
        Ok(())
    }

    /// Gives the first values to the same columns of `later` rows, which saw none before; returns false where theirs differ.
    pub(crate) fn precede(&self, later: &mut Self) -> bool {
        self.columns.iter().zip(&mut later.columns).all(|(column, later)| {
            let Some((number, value)) = &column.first else { return true };
            let later = later.first.replace((*number, Arc::clone(value)));
            later.is_none_or(|(_, later)| later == *value)
        })
    }

    /// The first column that holds a symbol, and the symbol.
    pub(crate) fn symbol(&self) -> Option<(String, String)> {
        let named =
            |column: &InstrumentColumn| Some((column.name.to_string(), column.first.as_ref()?.1.to_string()));
        self.columns.iter().filter(|column| is_symbol(&column.name)).find_map(named)
    }
}

impl InstrumentColumn {
    fn check(&mut self, number: u64, value: &str) -> Result<(), RowRefusal> {
        let (earlier_number, earlier) = self.first.get_or_insert_with(|| (number, value.into()));
        if **earlier == *value {
            return Ok(());
        }
        Err(RowRefusal::Instrument(Box::new(OtherInstrument {
            column: self.name.to_string(),
            value: shown(value.as_bytes()),
            earlier_number: *earlier_number,
            earlier_value: shown(earlier.as_bytes()),
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_keeps_its_first_value() {
        let mut instruments = Instruments::new(vec![(0, "name".to_owned()), (2, "ticker".to_owned())]);
        let mut check = |number, row: [&'static str; 4]| instruments.check(number, row.into_iter());
        assert!(check(2, ["Euro", "1", "EURUSD", "x"]).is_ok());
        assert!(check(3, ["Euro ", "2", " EURUSD", "y"]).is_ok());
        for row in [["Euro", "3", "GBPUSD", ""], ["Euro", "3", "eurusd", ""], ["Euro", "3", "", ""]] {
            let Err(RowRefusal::Instrument(other)) = check(4, row) else {
                panic!("{row:?} is another instrument")
            };
            assert_eq!(
                (other.earlier_number, other.earlier_value.as_str(), other.column.as_str()),
                (2, "EURUSD", "ticker")
            );
            assert_eq!(other.value, row[2]);
        }
        assert_eq!(instruments.symbol(), Some(("ticker".to_owned(), "EURUSD".to_owned())));
    }
}
