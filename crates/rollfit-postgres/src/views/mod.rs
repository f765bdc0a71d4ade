//! The layout of fits as readers see it: [`Views`], with the names and columns of features tables, over the tables that hold fits; and the
//! functions that they call.
//!
//! Invariants: nothing that others made is altered or dropped, and a run drops nothing: where something else has the name of a view or function, the partition is
//! blocked. Rows never depend on a view, so what was seen of one a moment ago may decide whether a partition is written.

mod access;
mod ddl;
mod decimal_function;
mod dropped;
mod features_view;
mod foreign_function;
mod look;
mod provide;
mod reader;
mod reader_question;
mod replacement;
mod view_access;
mod view_function;
mod view_text;

use std::collections::HashSet;
use std::sync::Mutex;

use rollfit_job::config::{JobConfig, Layout, NumberType};
use rollfit_job::store::ReaderView;

pub(crate) use self::look::ViewQuestion;
pub(crate) use self::reader_question::ReaderQuestion;
use self::view_function::{FunctionsFound, ViewFunction};
use crate::ddl::model_lookups::Access;
use crate::names::TableName;
use crate::partitioning::catalog::Recent;

/// The views of a job.
pub(crate) struct Views {
    /// Where they are.
    schema: String,
    /// The functions that they call, those first that others call.
    functions: Vec<ViewFunction>,
    /// Whether features are `NUMERIC`.
    are_decimals: bool,
    functions_found: Recent<(), FunctionsFound>,
    views_found: Recent<TableName, ReaderView>,
    /// Who may use the views of a series and a key.
    siblings_access: Recent<(usize, String), Access>,
    provided: Mutex<Provided>,
}

/// What partitions share and is known to be there, or in other hands, for the rest of a run.
#[derive(Default)]
struct Provided {
    functions: bool,
    views: HashSet<TableName>,
}

impl Views {
    /// The views of a job whose tables of fits are in `schema`; none where a store keeps features.
    pub(crate) fn from_config(config: &JobConfig, schema: &str) -> Option<Self> {
        if config.sink.layout != Layout::Fits {
            return None;
        }
        let are_decimals = config.sink.numbers == NumberType::Decimal;
        Some(Self {
            schema: config.sink.views_schema.clone().unwrap_or_else(|| schema.to_owned()),
            functions: ViewFunction::all(schema, &config.series, are_decimals),
            are_decimals,
            functions_found: Recent::default(),
            views_found: Recent::default(),
            siblings_access: Recent::default(),
            provided: Mutex::default(),
        })
    }

    /// The names of the functions that they call, with the types of their arguments.
    pub(crate) fn function_signatures(&self) -> Vec<String> {
        self.functions.iter().map(ViewFunction::signature).collect()
    }

    /// Where they are.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }
}
