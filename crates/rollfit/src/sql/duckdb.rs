//! Macros of DuckDB. Its doubles follow IEEE 754, but for two operations that depend on the version and on settings: x/0 may be NULL
//! or an error, and the root of a negative number an error. The macros make both NULL: neither has a finite result, and none
//! becomes finite later.

use super::expression::{Binary, Expression, Input, Unary};
use super::{SqlFunction, function_name};
use crate::metric::Metric;
use crate::window::Window;

pub(super) fn function(schema: &str, metric: Metric, expression: &Expression) -> SqlFunction {
    let inputs = expression.inputs();
    let name = function_name(metric);
    let value = text(expression);
    let is_window = format!("rows BETWEEN {} AND {} AND ", Window::MIN_ROWS, Window::MAX_ROWS);
    let is_window = if inputs.contains(&Input::Rows) { is_window.as_str() } else { "" };
    let body = format!("CASE WHEN {is_window}isfinite({value}) THEN {value} END");
    let arguments: Vec<(&str, &str)> = inputs.iter().map(|input| (input.name(), "")).collect();
    let names: Vec<&str> = inputs.iter().map(|input| input.name()).collect();
    let sql = format!("CREATE OR REPLACE MACRO {schema}.{name}({}) AS\n    {body}", names.join(", "));
    SqlFunction { name, arguments, language: "macro", is_strict: false, search_path: None, body, sql }
}

fn text(expression: &Expression) -> String {
    match expression {
        // With an exponent it is a double, else a decimal.
        Expression::Constant(value) => format!("{value:e}"),
        Expression::Input(input) => format!("{}::DOUBLE", input.name()),
        Expression::Unary(Unary::Neg, of) => format!("(-{})", text(of)),
        Expression::Unary(Unary::Abs, of) => format!("abs({})", text(of)),
        // What depends on the number of rows alone is neither 0 nor negative.
        Expression::Unary(Unary::Sqrt, of) if of.inputs() == [Input::Rows] => format!("sqrt({})", text(of)),
        Expression::Unary(Unary::Sqrt, of) => {
            let of = text(of);
            format!("sqrt(CASE WHEN {of} >= 0 THEN {of} END)")
        }
        Expression::Binary(Binary::Div, left, right) if right.inputs() != [Input::Rows] => {
            format!("({} / nullif({}, 0))", text(left), text(right))
        }
        Expression::Binary(operation, left, right) => {
            format!("({} {} {})", text(left), operation.sign(), text(right))
        }
    }
}
