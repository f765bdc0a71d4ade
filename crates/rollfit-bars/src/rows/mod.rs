//! What every reader does with a row, whatever file it came from: checks, instants, order, counts.

pub(crate) mod batch;
pub(crate) mod collector;
pub(crate) mod file_report;
pub(crate) mod instruments;
pub(crate) mod key_state;
pub(crate) mod keyed_collectors;
pub(crate) mod lines;
pub(crate) mod price;
pub(crate) mod row_refusal;
pub(crate) mod time_column;
pub(crate) mod values;
