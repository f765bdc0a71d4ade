//! Delimited text and the names of columns, from any writer. Knows no format.

pub(crate) mod column_indexes;
pub(crate) mod column_names;
pub(crate) mod column_options;
pub(crate) mod delimiter;
pub(crate) mod fields;
pub(crate) mod further_columns;
