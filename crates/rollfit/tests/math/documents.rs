//! docs/formulas.md says what the catalogue says.

use super::*;

const FORMULAS: &str = include_str!("../../docs/formulas.md");

/// The cells of the table that starts with the metrics' names.
fn table() -> Vec<Vec<&'static str>> {
    let rows = FORMULAS.lines().skip_while(|line| !line.starts_with("| name | unit | definition |")).skip(2);
    let cells = |line: &'static str| {
        line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()
    };
    rows.take_while(|line| line.starts_with('|')).map(cells).collect()
}

#[test]
fn the_table_of_metrics_is_the_catalogue() {
    let table = table();
    assert_eq!(table.len(), Metric::ALL.len());
    for (row, metric) in table.iter().zip(Metric::ALL) {
        assert_eq!(row[..3], [metric.name(), &metric.unit().to_string(), metric.formula()]);
        assert!(!row[3].is_empty(), "{metric} has no formula in the fit");
    }
}
