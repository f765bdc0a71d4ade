//! Functions of PostgreSQL. There an overflow, an underflow, a division by zero and the root of a negative number are errors.
//!
//! Each metric has two functions. `rollfit_{metric}` computes the plain expression where its inputs are 0 or of moderate
//! size, for which [`proof`] shows that it raises nothing; PostgreSQL puts it into the query in place of the call. For all other
//! inputs it calls `rollfit_guarded_{metric}`, which computes the same number by functions that give what a processor gives.
//!
//! Nothing in them depends on the caller's `search_path`: names are qualified, or the function sets its own.

use super::expression::{Binary, Expression, Input, Unary};
use super::range::{Proof, Range, TINIEST, proof};
use super::{SqlFunction, function_name, helpers, rows_range};
use crate::metric::Metric;
use crate::window::Window;

pub(super) const DOUBLE: &str = "double precision";
/// The search path of functions that are never inlined.
pub(super) const SEARCH_PATH: &str = "pg_catalog, pg_temp";

/// The magnitudes of moderate numbers, in the unit of the series.
const MODERATE: (f64, f64) = (1e-60, 1e60);
/// The same for sums of squares.
const MODERATE_SQUARES: (f64, f64) = (1e-120, 1e120);

pub(super) fn functions(schema: &str, metrics: &[(Metric, Expression)]) -> Vec<SqlFunction> {
    let mut functions = helpers::all(schema);
    functions.extend(metrics.iter().map(|(metric, expression)| guarded(schema, *metric, expression)));
    functions.extend(metrics.iter().map(|(metric, expression)| plain(schema, *metric, expression)));
    functions
}

fn arguments(expression: &Expression) -> Vec<(&'static str, &'static str)> {
    let kind = |input: Input| if input == Input::Rows { "integer" } else { DOUBLE };
    expression.inputs().into_iter().map(|input| (input.name(), kind(input))).collect()
}

fn guarded_name(metric: Metric) -> String {
    format!("rollfit_guarded_{}", metric.name())
}

// ---------------------------------------------------------------------------------------------- plain

fn plain(schema: &str, metric: Metric, expression: &Expression) -> SqlFunction {
    let arguments = arguments(expression);
    let names: Vec<&str> = arguments.iter().map(|(name, _)| *name).collect();
    let guarded = format!("{schema}.{}({})", guarded_name(metric), names.join(", "));
    let body = match moderate(expression) {
        Some((ranges, proof)) => {
            let are_moderate: Vec<String> =
                ranges.iter().map(|(input, range)| condition(*input, range)).collect();
            let value = defined(plain_text(expression), &proof);
            format!("SELECT CASE WHEN {} THEN {value} ELSE {guarded} END", are_moderate.join(" AND "))
        }
        None => format!("SELECT {guarded}"),
    };
    SqlFunction::postgres(schema, function_name(metric), arguments, "sql", body)
}

/// `value` where no divisor is 0, else NULL.
fn defined(value: String, proof: &Proof<'_>) -> String {
    if proof.divisors.is_empty() {
        return value;
    }
    let is_not_zero = |divisor: &&Expression| format!("{} OPERATOR(pg_catalog.<>) '0'", plain_text(divisor));
    let conditions: Vec<String> = proof.divisors.iter().map(is_not_zero).collect();
    format!("CASE WHEN {} THEN {value} END", conditions.join(" AND "))
}

/// Ranges of the inputs within which the expression raises no error. As far as the proof allows there is no least magnitude
/// above 0, because each condition costs time.
pub(super) fn moderate(expression: &Expression) -> Option<(Vec<(Input, Range)>, Proof<'_>)> {
    let mut ranges: Vec<(Input, Range)> =
        expression.inputs().into_iter().map(|input| (input, usual(input))).collect();
    let proven = |ranges: &[(Input, Range)]| {
        let range = |input: Input| {
            ranges.iter().find(|(own, _)| *own == input).map_or(usual(input), |(_, range)| *range)
        };
        proof(expression, &range)
    };
    let mut found = proven(&ranges)?;
    for at in 0..ranges.len() {
        let stricter = ranges[at].1;
        ranges[at].1.least = if stricter.has_zero { TINIEST } else { stricter.least };
        match proven(&ranges) {
            Some(proof) => found = proof,
            None => ranges[at].1 = stricter,
        }
    }
    Some((ranges, found))
}

fn usual(input: Input) -> Range {
    match input {
        Input::A2 | Input::A1 | Input::B | Input::YLast => Range::of_both_signs(MODERATE.0, MODERATE.1),
        Input::SsRes | Input::SsTot => Range::not_negative(MODERATE_SQUARES.0, MODERATE_SQUARES.1),
        Input::Rows => {
            let (low, high) = rows_range();
            Range { low, high, least: low, has_zero: false }
        }
    }
}

/// Whether an input is within a range.
fn condition(input: Input, range: &Range) -> String {
    let name = input.name();
    let holds = |sign: &str, limit: f64| match input {
        Input::Rows => format!("{name} OPERATOR(pg_catalog.{sign}) {limit}"),
        _ => format!("{name} OPERATOR(pg_catalog.{sign}) '{limit:?}'"),
    };
    let (low, high) = (holds(">=", range.low), holds("<=", range.high));
    if !range.has_zero || range.least == TINIEST {
        return format!("{low} AND {high}");
    }
    let (above, below, zero) = (holds(">=", range.least), holds("<=", -range.least), holds("=", 0.0));
    if range.low < 0.0 {
        format!("({above} OR {below} OR {zero}) AND {high} AND {low}")
    } else {
        format!("({above} OR {zero}) AND {high}")
    }
}

/// The expression in PostgreSQL's own operators.
fn plain_text(expression: &Expression) -> String {
    match expression {
        Expression::Constant(value) => constant(*value),
        Expression::Input(input) => argument(*input),
        Expression::Unary(Unary::Neg, of) => format!("(OPERATOR(pg_catalog.-) {})", plain_text(of)),
        Expression::Unary(Unary::Abs, of) => format!("pg_catalog.abs({})", plain_text(of)),
        Expression::Unary(Unary::Sqrt, of) => format!("pg_catalog.sqrt({})", plain_text(of)),
        Expression::Binary(operation, left, right) => {
            let sign = match operation {
                Binary::Add => "+",
                Binary::Sub => "-",
                Binary::Mul => "*",
                Binary::Div => "/",
            };
            format!("({} OPERATOR(pg_catalog.{sign}) {})", plain_text(left), plain_text(right))
        }
    }
}

/// Takes its type, a double, from what it is combined with.
fn constant(value: f64) -> String {
    format!("'{value:?}'")
}

fn argument(input: Input) -> String {
    match input {
        Input::Rows => format!("{}::{DOUBLE}", input.name()),
        _ => input.name().to_owned(),
    }
}

// -------------------------------------------------------------------------------------------- guarded

fn guarded(schema: &str, metric: Metric, expression: &Expression) -> SqlFunction {
    let value = guarded_text(schema, expression);
    let is_window = format!("rows BETWEEN {} AND {}", Window::MIN_ROWS, Window::MAX_ROWS);
    let value = match expression.inputs().contains(&Input::Rows) {
        true => format!("CASE WHEN {is_window} THEN {value} END"),
        false => value,
    };
    let body = format!(
        "\nDECLARE\n  value {DOUBLE} := {value};\nBEGIN\n  RETURN CASE WHEN abs(value) < 'Infinity' THEN value END;\nEND\n"
    );
    SqlFunction::postgres(schema, guarded_name(metric), arguments(expression), "plpgsql", body)
}

fn guarded_text(schema: &str, expression: &Expression) -> String {
    let text = |of: &Expression| guarded_text(schema, of);
    let call =
        |name: &str, arguments: &[String]| format!("{schema}.rollfit_{name}({})", arguments.join(", "));
    match expression {
        Expression::Constant(value) => constant(*value),
        Expression::Input(input) => argument(*input),
        Expression::Unary(Unary::Neg, of) => format!("(-{})", text(of)),
        Expression::Unary(Unary::Abs, of) => format!("abs({})", text(of)),
        // The proof for moderate numbers covers what depends on the number of rows alone.
        _ if expression.inputs() == [Input::Rows] => plain_text(expression),
        Expression::Unary(Unary::Sqrt, of) => call("sqrt", &[text(of)]),
        Expression::Binary(Binary::Add, left, right) => call("add", &[text(left), text(right)]),
        Expression::Binary(Binary::Sub, left, right) => {
            call("add", &[text(left), format!("-{}", text(right))])
        }
        Expression::Binary(Binary::Mul, left, right) => call("mul", &[text(left), text(right)]),
        Expression::Binary(Binary::Div, left, right) => call("div", &[text(left), text(right)]),
    }
}

impl SqlFunction {
    pub(super) fn postgres(
        schema: &str,
        name: String,
        arguments: Vec<(&'static str, &'static str)>,
        language: &'static str,
        body: String,
    ) -> Self {
        let inlined = language == "sql";
        let typed: Vec<String> = arguments.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        let strict = if inlined { "" } else { " STRICT" };
        let settings = if inlined { String::new() } else { format!(" SET search_path = {SEARCH_PATH}") };
        let sql = format!(
            "CREATE OR REPLACE FUNCTION {schema}.{name}({})\nRETURNS {DOUBLE} LANGUAGE {language} \
             IMMUTABLE{strict} PARALLEL SAFE{settings}\nAS $rollfit${body}$rollfit$",
            typed.join(", ")
        );
        let search_path = (!inlined).then_some(SEARCH_PATH);
        Self { name, arguments, language, is_strict: !inlined, search_path, body, sql }
    }
}
