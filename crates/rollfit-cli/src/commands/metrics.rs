//! `rollfit metrics`: the catalogue.

use rollfit::Metric;

use crate::args::GlobalArguments;
use crate::exit::{Exit, Failure};
use crate::output;

#[derive(serde::Serialize)]
struct MetricLine {
    name: &'static str,
    unit: String,
    stored_by_default: bool,
    formula: &'static str,
}

pub(super) fn run(global: &GlobalArguments) -> Result<Exit, Failure> {
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
