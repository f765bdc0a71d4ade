//! The catalogue as SQL: functions for PostgreSQL and macros for DuckDB that compute metrics from stored fits, with the bits and
//! NULLs of [`Metric::value`]. The formulas are those of the catalogue, evaluated in a number that builds an expression.
//!
//! ```
//! use rollfit::sql::{self, Dialect};
//! use rollfit::{FitNumbers, Metric, Window};
//!
//! let names = FitNumbers { a2: "a2", a1: "a1", b: "b", ss_res: "ss_res", ss_tot: "ss_tot", y_last: "y_last" };
//! let rmse = sql::expression(Dialect::Postgres, "public", Metric::Rmse, Window::new(60)?, &names);
//! assert_eq!(rmse, "public.rollfit_rmse(ss_res, 60)");
//! # Ok::<(), rollfit::WindowError>(())
//! ```

mod duckdb;
mod expression;
mod helpers;
mod postgres;
mod range;

use crate::fit::FitNumbers;
use crate::metric::Metric;
use crate::window::Window;

use expression::{Expression, Input};

/// A database whose SQL is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// PostgreSQL 14 or later.
    Postgres,
    /// DuckDB.
    DuckDb,
}

/// A function of PostgreSQL or a macro of DuckDB.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlFunction {
    /// Its name, without schema: letters, digits and `_`.
    pub name: String,
    /// Its arguments, names and types. A macro has no types.
    pub arguments: Vec<(&'static str, &'static str)>,
    /// `sql` or `plpgsql` in PostgreSQL, `macro` in DuckDB.
    pub language: &'static str,
    /// Whether PostgreSQL returns NULL without a call where an argument is NULL.
    pub is_strict: bool,
    /// Its `search_path` in PostgreSQL, of a function that is never inlined.
    pub search_path: Option<&'static str>,
    /// What it does, as `pg_proc.prosrc` has it.
    pub body: String,
    /// The statement that makes it, or replaces it, without a semicolon.
    pub sql: String,
}

/// The functions that `metrics` need in `schema`, quoted where it must be. Those that others call come first.
/// `a2`, `a1` and `b` are columns and have none.
#[must_use]
pub fn functions(dialect: Dialect, schema: &str, metrics: &[Metric]) -> Vec<SqlFunction> {
    let computed = |metric: &Metric| match Expression::new(*metric) {
        Expression::Input(_) => None,
        expression => Some((*metric, expression)),
    };
    let computed: Vec<(Metric, Expression)> = metrics.iter().filter_map(computed).collect();
    match dialect {
        Dialect::Postgres => postgres::functions(schema, &computed),
        Dialect::DuckDb => {
            computed.iter().map(|(metric, formula)| duckdb::function(schema, *metric, formula)).collect()
        }
    }
}

/// `metric` of the fit in `columns` over `window`: a column, or a call of the function that [`functions`] prints. `schema` and
/// `columns` are quoted where they must be.
#[must_use]
pub fn expression(
    dialect: Dialect,
    schema: &str,
    metric: Metric,
    window: Window,
    columns: &FitNumbers<&str>,
) -> String {
    let expression = Expression::new(metric);
    let rows = window.rows().to_string();
    let text = |input: Input| input.of_fit(columns).unwrap_or(&rows);
    match (&expression, dialect) {
        (Expression::Input(input), _) => text(*input).to_owned(),
        // Macros are called as functions are.
        (_, Dialect::Postgres | Dialect::DuckDb) => {
            let arguments: Vec<&str> = expression.inputs().into_iter().map(text).collect();
            format!("{schema}.{}({})", function_name(metric), arguments.join(", "))
        }
    }
}

fn function_name(metric: Metric) -> String {
    format!("rollfit_{}", metric.name())
}
