//! Functions of PostgreSQL. There an overflow, an underflow, a division by zero and the root of a negative number are errors.
//!
//! Each metric has two functions. `rollfit_{metric}` computes the plain expression where its inputs are 0 or of moderate
//! size, for which [`proof`] shows that it raises nothing; PostgreSQL puts it into the query in place of the call. For all other
//! inputs it calls `rollfit_guarded_{metric}`, which computes the same number by functions that give what a processor gives.
//!
//! Nothing in them depends on the caller's `search_path`: names are qualified, or the function sets its own.

use super::expression::{Binary, Expression, Input, Unary};
use super::range::{Range, TINIEST, proof};
use super::{SqlFunction, function_name, helpers};
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
    let body = match Moderate::new(expression) {
        Some(moderate) => {
            let condition = moderate.condition();
            let value = moderate.where_defined(plain_text(expression));
            format!("SELECT CASE WHEN {condition}\n  THEN {value}\n  ELSE {guarded} END")
        }
        None => format!("SELECT {guarded}"),
    };
    SqlFunction::postgres(schema, function_name(metric), arguments, "sql", body)
}

/// Inputs for which an expression raises no error.
#[derive(Clone, Debug)]
pub(super) struct Moderate<'e> {
    pub(super) ranges: Vec<(Input, Range)>,
    /// The divisors that can be 0. Where one of them is, the expression is not finite.
    pub(super) divisors: Vec<&'e Expression>,
}

impl<'e> Moderate<'e> {
    /// As far as the proof allows there is no least magnitude above 0, because each condition costs time.
    pub(super) fn new(expression: &'e Expression) -> Option<Self> {
        let ranges = expression.inputs().into_iter().map(|input| (input, usual(input))).collect();
        let mut found = Self::proven(expression, ranges)?;
        for at in 0..found.ranges.len() {
            let mut wider = found.ranges.clone();
            if wider[at].1.has_zero {
                wider[at].1.least = TINIEST;
            }
            found = Self::proven(expression, wider).unwrap_or(found);
        }
        Some(found)
    }

    /// Windows are looked at by groups of similar lengths, because what depends on the length cancels out: `x_last` is
    /// between 1.2 and 1.8 for all.
    fn proven(expression: &'e Expression, ranges: Vec<(Input, Range)>) -> Option<Self> {
        let mut divisors: Vec<&Expression> = Vec::new();
        for windows in groups_of_windows() {
            let of_input = |input: Input| {
                ranges.iter().find(|(own, _)| *own == input).map_or(windows, |(_, range)| *range)
            };
            let range = |input: Input| if input == Input::Rows { windows } else { of_input(input) };
            for divisor in proof(expression, &range)?.divisors {
                if !divisors.contains(&divisor) {
                    divisors.push(divisor);
                }
            }
        }
        Some(Self { ranges, divisors })
    }

    /// Whether the inputs are such. Not true if one is NULL or NaN.
    fn condition(&self) -> String {
        let has = |wanted: Input| self.ranges.iter().any(|(input, _)| *input == wanted);
        let has_both = has(Input::SsRes) && has(Input::SsTot);
        let conditions = self.ranges.iter().map(|(input, range)| match input {
            Input::Rows => {
                format!("rows {} {} AND rows {} {}", sign(">="), range.low, sign("<="), range.high)
            }
            Input::SsRes | Input::SsTot => squares(*input, range, has_both),
            Input::A2 | Input::A1 | Input::B | Input::YLast => signed(*input, range),
        });
        conditions.collect::<Vec<_>>().join("\n    AND ")
    }

    /// `value` where no divisor is 0, else NULL.
    fn where_defined(&self, value: String) -> String {
        if self.divisors.is_empty() {
            return value;
        }
        let is_not_zero = |divisor: &&Expression| format!("{} {} '0'", plain_text(divisor), sign("<>"));
        let conditions: Vec<String> = self.divisors.iter().map(is_not_zero).collect();
        format!("CASE WHEN {} THEN {value} END", conditions.join(" AND "))
    }
}

/// The range of the lengths of windows, cut into pieces.
fn groups_of_windows() -> impl Iterator<Item = Range> {
    let all = usual(Input::Rows);
    let first = move |low: f64| Range { low, high: all.high.min(low * 1.25), least: low, has_zero: false };
    let next = move |range: &Range| (range.high < all.high).then(|| first(range.high));
    std::iter::successors(Some(first(all.low)), next)
}

fn usual(input: Input) -> Range {
    match input {
        Input::A2 | Input::A1 | Input::B | Input::YLast => Range::of_both_signs(MODERATE.0, MODERATE.1),
        Input::SsRes | Input::SsTot => Range::not_negative(MODERATE_SQUARES.0, MODERATE_SQUARES.1),
        Input::Rows => {
            let (low, high) = (Window::MIN_ROWS as f64, Window::MAX_ROWS as f64);
            Range { low, high, least: low, has_zero: false }
        }
    }
}

/// An operator that no `search_path` replaces.
fn sign(operator: &str) -> String {
    format!("OPERATOR(pg_catalog.{operator})")
}

fn signed(input: Input, range: &Range) -> String {
    let (name, least, most) = (input.name(), range.least, range.high);
    let (up, down) = (sign(">="), sign("<="));
    if range.least == TINIEST {
        return format!("pg_catalog.abs({name}) {down} '{most:?}'");
    }
    format!(
        "({name} {up} '{least:?}' AND {name} {down} '{most:?}' OR {name} {down} '-{least:?}' AND {name} {up} '-{most:?}' \
         OR {name} {} '0')",
        sign("=")
    )
}

/// Of the two sums of squares of a fit, that of the residuals is not the larger one.
fn squares(input: Input, range: &Range, has_both: bool) -> String {
    let (name, least, most) = (input.name(), range.least, range.high);
    let (up, down) = (sign(">="), sign("<="));
    let is_below = match (input, has_both) {
        (Input::SsRes, true) => format!("{name} {down} {}", Input::SsTot.name()),
        _ => format!("{name} {down} '{most:?}'"),
    };
    match (input, range.least == TINIEST) {
        (Input::SsTot, true) if has_both => is_below,
        (_, true) => format!("{name} {up} '0' AND {is_below}"),
        (_, false) => format!("({name} {up} '{least:?}' OR {name} {} '0') AND {is_below}", sign("=")),
    }
}

/// The expression in PostgreSQL's own operators.
fn plain_text(expression: &Expression) -> String {
    match expression {
        Expression::Constant(value) => constant(*value),
        Expression::Input(input) => argument(*input),
        Expression::Unary(Unary::Neg, of) => format!("({} {})", sign("-"), plain_text(of)),
        Expression::Unary(Unary::Abs, of) => format!("pg_catalog.abs({})", plain_text(of)),
        Expression::Unary(Unary::Sqrt, of) => format!("pg_catalog.sqrt({})", plain_text(of)),
        Expression::Binary(operation, left, right) => {
            format!("({} {} {})", plain_text(left), sign(operation.sign()), plain_text(right))
        }
    }
}

/// Takes its type, a double, from what it is combined with.
fn constant(value: f64) -> String {
    format!("'{value:?}'")
}

/// Has a type of its own: for an argument without one a function of somebody else with the same name might be called.
fn typed_constant(value: f64) -> String {
    format!("{DOUBLE} {}", constant(value))
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
        Expression::Constant(value) => typed_constant(*value),
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
        // Planners count a branch that is hardly ever taken like any other: its cost must not bring about parallel plans and JIT.
        let settings =
            if inlined { String::new() } else { format!(" COST 1 SET search_path = {SEARCH_PATH}") };
        let sql = format!(
            "CREATE OR REPLACE FUNCTION {schema}.{name}({})\nRETURNS {DOUBLE} LANGUAGE {language} \
             IMMUTABLE{strict} PARALLEL SAFE{settings}\nAS $rollfit${body}$rollfit$",
            typed.join(", ")
        );
        let search_path = (!inlined).then_some(SEARCH_PATH);
        Self { name, arguments, language, is_strict: !inlined, search_path, body, sql }
    }
}

#[cfg(test)]
mod tests {
    use crate::metric::Metric;
    use crate::sql::{Dialect, functions};

    /// The arguments of a call, from its opening parenthesis on.
    fn arguments(call: &str) -> Vec<&str> {
        let (mut depth, mut start, mut found) = (0, 1, Vec::new());
        for (at, character) in call.char_indices() {
            match character {
                '(' => depth += 1,
                ',' if depth == 1 => {
                    found.push(call[start..at].trim());
                    start = at + 1;
                }
                ')' if depth == 1 => {
                    found.push(call[start..at].trim());
                    return found;
                }
                ')' => depth -= 1,
                _ => {}
            }
        }
        found
    }

    #[test]
    fn every_argument_of_a_call_has_a_type() {
        assert_eq!(arguments("(f(a, '1'), '2') + g(b)"), ["f(a, '1')", "'2'"]);
        let mut calls = 0;
        for function in functions(Dialect::Postgres, "s", Metric::ALL) {
            for (at, name) in function.body.match_indices("s.rollfit_") {
                let call = &function.body[at + name.len()..];
                let call = &call[call.find('(').unwrap()..];
                for argument in arguments(call) {
                    calls += 1;
                    let bare = argument.trim_matches(['-', '+', '(', ')', ' ']);
                    let is_typed = bare.contains(' ') || bare.starts_with(char::is_alphabetic);
                    assert!(is_typed, "{argument} in {}", function.body);
                }
            }
        }
        assert!(calls > 50, "{calls}");
    }
}
