//! `rollfit metrics --sql duckdb`: the macros give the bits and NULLs of the catalogue, whatever DuckDB's settings are.

use std::process::Command;

use rollfit::sql::{self, Dialect};
use rollfit::{FitNumbers, Metric, Window};

use crate::hard_fits::{COLUMNS, HardFit, adversarial, assert_same, computed, golden};
use crate::hive::python;
use crate::sandbox::{Answer, Sandbox};

/// Reads numbers from a file, 8 bytes each, NULL as a byte 0 before it; writes the metrics in the same form, once for
/// each setting.
const SCRIPT: &str = r"
import sys, duckdb, numpy, pyarrow
macros, calls, fits, values, names = sys.argv[1:6]
names = names.split(',')
cells = numpy.fromfile(fits, dtype = [('known', 'u1'), ('number', '<f8')]).reshape(-1, len(names))
column = lambda at: pyarrow.array(cells['number'][:, at], mask = cells['known'][:, at] == 0)
table = pyarrow.table({name: column(at) for at, name in enumerate(names)})
results = []
strict = 'set ieee_floating_point_ops = false'
for settings in ['', strict, strict + '; set error_on_division_by_zero = false; set integer_division = true']:
    connection = duckdb.connect()
    connection.execute(settings or 'select 1')
    connection.execute(open(macros).read())
    connection.register('given', table)
    connection.execute('create table fits as select * replace (rows::integer as rows) from given')
    found = connection.sql(f'select {calls} from fits order by place').to_arrow_table()
    out = numpy.zeros((found.num_rows, found.num_columns), dtype = cells.dtype)
    for at, column in enumerate(found.columns):
        assert column.type == 'double', column.type
        column = column.combine_chunks()
        out['known'][:, at] = column.is_valid().to_numpy(zero_copy_only = False)
        out['number'][:, at] = column.fill_null(0).to_numpy(zero_copy_only = False)
    results.append(out)
numpy.concatenate(results).tofile(values)
";

fn bytes(number: Option<f64>) -> impl Iterator<Item = u8> {
    let known = u8::from(number.is_some());
    std::iter::once(known).chain(number.unwrap_or(0.0).to_le_bytes())
}

fn number(bytes: &[u8]) -> Option<f64> {
    (bytes[0] != 0).then(|| f64::from_le_bytes(bytes[1..].try_into().unwrap()))
}

/// What DuckDB makes of fits, for each setting.
fn in_duckdb(python: String, fits: &[HardFit], metrics: &[Metric]) -> Vec<Vec<Option<f64>>> {
    let sandbox = Sandbox::new();
    let macros = sandbox.write("macros.sql", sandbox.run(&["metrics", "--sql", "duckdb"]).exits(0).stdout);
    let cells = fits.iter().enumerate().flat_map(|(at, fit)| {
        let further = [Some(fit.rows as f64), Some(at as f64)];
        fit.numbers.into_iter().chain(further)
    });
    let given = sandbox.write("fits", cells.flat_map(bytes).collect::<Vec<u8>>());
    let names =
        FitNumbers { a2: "a2", a1: "a1", b: "b", ss_res: "ss_res", ss_tot: "ss_tot", y_last: "y_last" };
    let call = |metric: &Metric| {
        sql::expression(Dialect::DuckDb, "main", *metric, Window::new(60).unwrap(), &names)
            .replace(", 60)", ", rows)")
    };
    let calls = metrics.iter().map(call).collect::<Vec<_>>().join(", ");
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).arg(macros).arg(calls).arg(given).arg(sandbox.path("values"));
    command.arg([&COLUMNS[..], &["rows", "place"]].concat().join(","));
    Answer::from_command(command).exits(0);
    let values = std::fs::read(sandbox.path("values")).unwrap();
    let rows = values.chunks_exact(9 * metrics.len());
    rows.map(|row| row.chunks_exact(9).map(number).collect()).collect()
}

#[test]
fn the_macros_give_the_bits_of_the_catalogue_for_golden_windows_and_for_any_six_doubles() {
    let Some(python) = python("duckdb, pyarrow") else { return };
    let fits = [golden().unwrap_or_default(), adversarial(10_000)].concat();
    let metrics = computed();
    let got = in_duckdb(python, &fits, &metrics);
    assert_eq!(got.len(), 3 * fits.len(), "an answer for each setting");
    got.chunks_exact(fits.len()).for_each(|got| assert_same(&fits, &metrics, got));
}

#[test]
fn functions_are_printed_for_any_schema() {
    let sandbox = Sandbox::new();
    let metrics = |options: &[&str]| sandbox.run(&[&["metrics"], options].concat());
    let printed = metrics(&["--sql", "duckdb"]).exits(0).stdout;
    assert!(printed.contains("\nCREATE OR REPLACE MACRO main.rollfit_rmse(ss_res, rows) AS\n"), "{printed}");
    assert!(
        printed.contains("FROM 'fits.parquet';") && !printed.contains("MACRO main.rollfit_a2("),
        "{printed}"
    );
    let printed = metrics(&["--sql", "postgres", "--schema", "a\"b"]).exits(0).stdout;
    assert!(
        printed.contains("FUNCTION \"a\"\"b\".rollfit_rmse(") && !printed.contains("public."),
        "{printed}"
    );
    // Each function stands after those that it calls.
    let json = metrics(&["--sql", "postgres", "--json"]).exits(0).json();
    let functions = json.as_array().unwrap();
    for (at, function) in functions.iter().enumerate() {
        let later = functions[at + 1..].iter().map(|function| function["name"].as_str().unwrap());
        let statement = function["statement"].as_str().unwrap();
        later.for_each(|name| assert!(!statement.contains(&format!(".{name}(")), "{name} in {statement}"));
    }
    assert_eq!(functions.len(), 4 + 2 * computed().len());
    for refused in
        [&["--schema", "x"][..], &["--sql", "oracle"], &["--sql", "duckdb", "--schema", ""], &["--sql"]]
    {
        metrics(refused).exits(2);
    }
}
