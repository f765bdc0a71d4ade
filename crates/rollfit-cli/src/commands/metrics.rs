//! `rollfit metrics`: the catalogue, as a list or as SQL.

use rollfit::sql::{self, Dialect, SqlFunction};
use rollfit::{FitNumbers, Metric, Window};

use crate::args::{GlobalArguments, MetricsArguments, SqlDialect};
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(serde::Serialize)]
struct MetricLine {
    name: &'static str,
    unit: String,
    stored_by_default: bool,
    formula: &'static str,
}

#[derive(serde::Serialize)]
struct FunctionLine {
    name: String,
    statement: String,
}

pub(super) fn run(global: &GlobalArguments, arguments: &MetricsArguments) -> Result<Exit, Failure> {
    if let Some(dialect) = arguments.sql {
        return print_sql(global, dialect, arguments.schema.as_deref());
    }
    let lines: Vec<MetricLine> = Metric::ALL.iter().copied().map(describe).collect();
    if global.json {
        output::json(&lines)?;
        return Ok(Exit::Done);
    }
    let stored = |line: &MetricLine| if line.stored_by_default { "stored" } else { "" }.to_owned();
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| vec![line.name.to_owned(), line.unit.clone(), stored(line), line.formula.to_owned()])
        .collect();
    output::table(&["metric", "unit", "default", "formula"], &rows)?;
    Ok(Exit::Done)
}

fn describe(metric: Metric) -> MetricLine {
    MetricLine {
        name: metric.name(),
        unit: metric.unit().to_string(),
        stored_by_default: Metric::STORED.contains(&metric),
        formula: metric.formula(),
    }
}

// ------------------------------------------------------------------------------------------------ SQL

/// The columns of one window in the example.
const EXAMPLE: FitNumbers<&str> = FitNumbers {
    a2: "a2_idx_w60",
    a1: "a1_idx_w60",
    b: "b_idx_w60",
    ss_res: "ss_res_idx_w60",
    ss_tot: "ss_tot_idx_w60",
    y_last: "y_last_idx",
};
const EXAMPLE_ROWS: usize = 60;

fn print_sql(global: &GlobalArguments, dialect: SqlDialect, schema: Option<&str>) -> Result<Exit, Failure> {
    let (kind, product, default, table) = match dialect {
        SqlDialect::Postgres => {
            // In quotes, as views have it: a function is known by its body.
            (Dialect::Postgres, "PostgreSQL 14 or later", "\"public\"", "fit_reg_rate_eurusd_2017_01")
        }
        SqlDialect::DuckDb => (Dialect::DuckDb, "DuckDB", "main", "'fits.parquet'"),
    };
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let schema = schema.map_or(default.to_owned(), quoted);
    let functions = sql::functions(kind, &schema, Metric::ALL);
    if global.json {
        let line = |function: SqlFunction| FunctionLine { name: function.name, statement: function.sql };
        output::json(&functions.into_iter().map(line).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    let calls: Vec<String> = functions.iter().filter_map(call).collect();
    let window = Window::new(EXAMPLE_ROWS).map_err(|error| Failure::usage(error.to_string()))?;
    let shown = [Metric::R2, Metric::Prediction].map(|metric| {
        let value = sql::expression(kind, &schema, metric, window, &EXAMPLE);
        format!("{value} AS {metric}_idx_w{EXAMPLE_ROWS}")
    });
    output::lines(&format!(
        "-- The metrics of rollfit for {product}, computed from stored fits: the same bits as rollfit's own, NULL where there\n\
         -- is no value. a2, a1 and b are columns of a fit; the others are\n--\n\
         --     {}\n--\n\
         -- where rows is the number of rows of the window. An example:\n--\n\
         --     SELECT ts_utc,\n--         {}\n--     FROM {table};\n",
        calls.join("\n--     "),
        shown.join(",\n--         "),
    ))?;
    functions.iter().try_for_each(|function| output::lines(&format!("{};\n", function.sql)))?;
    Ok(Exit::Done)
}

/// How a metric's function is called. Those that only others call aren't listed.
fn call(function: &SqlFunction) -> Option<String> {
    function.name.strip_prefix("rollfit_")?.parse::<Metric>().ok()?;
    let names: Vec<&str> = function.arguments.iter().map(|(name, _)| *name).collect();
    Some(format!("{}({})", function.name, names.join(", ")))
}
