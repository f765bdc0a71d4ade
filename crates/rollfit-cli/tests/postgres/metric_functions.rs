//! `rollfit metrics --sql postgres`: the functions give the bits and NULLs of the catalogue, raise nothing, and are put into
//! queries in place of their calls.

use std::fmt::Write as _;

use postgres::Client;
use rollfit::sql::{self, Dialect};
use rollfit::{FitNumbers, Metric, Window};

use crate::hard_fits::{COLUMNS, HardFit, adversarial, assert_same, computed, golden, near_power};
use crate::sandbox::Sandbox;
use crate::sql::Database;

/// A database with the functions in `schema`, as they are printed.
fn with_functions(options: &[&str]) -> Database<'static> {
    let printed = Sandbox::new().run(&[&["metrics", "--sql", "postgres"], options].concat()).exits(0).stdout;
    let database = Database::fresh();
    database.sql("create schema \"x Y\"");
    database.sql(&printed);
    database
}

/// Makes the table of fits and fills it, bit by bit.
fn fill(client: &mut Client, fits: &[HardFit]) {
    client
        .batch_execute(
            "create table fits (at integer, rows integer, a2 double precision, a1 double precision, b double precision,
             ss_res double precision, ss_tot double precision, y_last double precision)",
        )
        .unwrap();
    let column = |of: usize| fits.iter().map(|fit| fit.numbers[of]).collect::<Vec<Option<f64>>>();
    let rows: Vec<i32> = fits.iter().map(|fit| fit.rows as i32).collect();
    let at: Vec<i32> = (0..rows.len() as i32).collect();
    let insert =
        "insert into fits select * from unnest($1::integer[], $2::integer[], $3::float8[], $4::float8[],
                  $5::float8[], $6::float8[], $7::float8[], $8::float8[])";
    let numbers: [_; 6] = std::array::from_fn(column);
    let [a2, a1, b, ss_res, ss_tot, y_last] = &numbers;
    client.execute(insert, &[&at, &rows, a2, a1, b, ss_res, ss_tot, y_last]).unwrap();
}

/// Calls of all functions, over a table of fits.
fn calls(metrics: &[Metric]) -> String {
    let names =
        FitNumbers { a2: "a2", a1: "a1", b: "b", ss_res: "ss_res", ss_tot: "ss_tot", y_last: "y_last" };
    let call = |metric: &Metric| {
        let call = sql::expression(Dialect::Postgres, "public", *metric, Window::new(60).unwrap(), &names);
        call.replace(", 60)", ", rows)")
    };
    metrics.iter().map(call).collect::<Vec<_>>().join(", ")
}

fn values(client: &mut Client, query: &str, columns: usize) -> Vec<Vec<Option<f64>>> {
    let rows = client.query(query, &[]).unwrap_or_else(|error| panic!("{error:?}"));
    rows.iter().map(|row| (0..columns).map(|column| row.get(column)).collect()).collect()
}

#[test]
fn the_functions_give_the_bits_of_the_catalogue_for_golden_windows_and_for_any_six_doubles() {
    let fits = [golden().unwrap_or_default(), adversarial(2500)].concat();
    let (database, metrics) = (with_functions(&[]), computed());
    let mut client = database.connect();
    fill(&mut client, &fits);
    let query = format!("select {} from fits order by at", calls(&metrics));
    assert_same(&fits, &metrics, &values(&mut client, &query, metrics.len()));
    // Workers of a parallel query, and a search_path that has nothing.
    client
        .batch_execute(
            "set force_parallel_mode = on; set parallel_setup_cost = 0; set parallel_tuple_cost = 0;
             set min_parallel_table_scan_size = 0; set search_path = ''",
        )
        .unwrap();
    let query = query.replace("from fits", "from public.fits");
    let explained: Vec<String> =
        client.query(&format!("explain {query}"), &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert!(explained.join("\n").contains("Gather"), "{explained:?}");
    assert_same(&fits, &metrics, &values(&mut client, &query, metrics.len()));
}

/// Has each guarded function raise an error where it is called.
fn raise_where_guarded(client: &mut Client) {
    for function in sql::functions(Dialect::Postgres, "public", Metric::ALL) {
        if function.name.starts_with("rollfit_guarded_") {
            let raising = function.sql.replace(&function.body, "BEGIN RAISE 'guarded'; END");
            client.batch_execute(&raising).unwrap();
        }
    }
}

#[test]
fn golden_windows_never_need_the_guarded_functions() {
    let Some(fits) = golden() else { return };
    let (database, metrics) = (with_functions(&[]), computed());
    let mut client = database.connect();
    fill(&mut client, &fits);
    raise_where_guarded(&mut client);
    let query = format!("select {} from fits order by at", calls(&metrics));
    assert_same(&fits, &metrics, &values(&mut client, &query, metrics.len()));
    // Nor do windows without a fit, which have NULL.
    client
        .batch_execute("update fits set a2 = null, a1 = null, b = null, ss_res = null, ss_tot = null")
        .unwrap();
    let nothing = values(&mut client, &query, metrics.len());
    assert!(nothing.iter().flatten().all(Option::is_none));
    client.batch_execute("update fits set a2 = 0, a1 = 1e-200").unwrap();
    let error = client.query("select rollfit_vertex_x(a2, a1) from fits", &[]).unwrap_err();
    assert_eq!(error.as_db_error().unwrap().message(), "guarded");
}

#[test]
fn calls_become_part_of_the_query() {
    let database = with_functions(&[]);
    let mut client = database.connect();
    fill(&mut client, &[]);
    for metric in computed() {
        let query = format!("explain (verbose, costs off) select {} from fits", calls(&[metric]));
        let rows = client.query(&query, &[]).unwrap();
        let plan: String = rows.iter().map(|row| row.get::<_, String>(0)).collect();
        let guarded = format!("rollfit_guarded_{metric}(");
        assert!(plan.contains("CASE WHEN") && plan.contains(&format!("ELSE {guarded}")), "{plan}");
        assert!(!plan.replace(&guarded, "").contains("rollfit_"), "{plan}");
        // Constants of a window are computed once, when the query is planned.
        let of_window = client.query(&query.replace("rows)", "60)"), &[]).unwrap();
        assert!(!of_window.iter().any(|row| row.get::<_, String>(0).contains("sqrt(35")), "{of_window:?}");
    }
}

#[test]
fn constants_are_as_good_as_columns() {
    let (database, metrics) = (with_functions(&[]), computed());
    let mut client = database.connect();
    let literal =
        |number: Option<f64>| number.map_or("null".to_owned(), |number| format!("'{number:?}'::float8"));
    for fit in adversarial(150) {
        let numbers = fit.numbers.map(literal);
        let constants = COLUMNS.iter().zip(&numbers);
        let mut query = String::new();
        for metric in &metrics {
            let call = calls(&[*metric]).replace(", rows)", &format!(", {})", fit.rows));
            let (name, arguments) = call.split_once('(').unwrap();
            let arguments = arguments.trim_end_matches(')').split(", ").map(|argument| {
                constants
                    .clone()
                    .find(|(name, _)| **name == argument)
                    .map_or(argument, |(_, value)| value.as_str())
            });
            let _ = write!(
                query,
                "{}{name}({})",
                if query.is_empty() { "select " } else { ", " },
                arguments.collect::<Vec<_>>().join(", ")
            );
        }
        assert_same(&[fit], &metrics, &values(&mut client, &query, metrics.len()));
    }
}

/// Functions with the names of those that guarded functions call, and other argument types.
const OVERLOADS: &str = "
    do $$ declare name text; x text; y text; begin
        foreach name in array array['add', 'mul', 'div'] loop
            for x, y in select * from unnest(array['text', 'float8', 'numeric']) a, unnest(array['text', 'float8', 'numeric']) b loop
                if x <> 'float8' or y <> 'float8' then
                    execute format('create function rollfit_%s(%s, %s) returns float8 language sql as ''select 7::float8''', name, x, y);
                end if;
            end loop;
        end loop;
        create function rollfit_sqrt(text) returns float8 language sql as 'select 7::float8';
    end $$";

/// A schema with operators and functions of its own in place of the usual ones.
const HIJACKED: &str = "
    create schema evil;
    create function evil.one(float8) returns float8 language sql immutable as 'select 7::float8';
    create function evil.two(float8, float8) returns float8 language sql immutable as 'select 7::float8';
    create function evil.never(float8, float8) returns boolean language sql immutable as 'select false';
    create function evil.abs(float8) returns float8 language sql immutable as 'select 7::float8';
    create function evil.sqrt(float8) returns float8 language sql immutable as 'select 7::float8';
    create operator evil.- (rightarg = float8, function = evil.one);
    create operator evil.+ (leftarg = float8, rightarg = float8, function = evil.two);
    create operator evil.- (leftarg = float8, rightarg = float8, function = evil.two);
    create operator evil.* (leftarg = float8, rightarg = float8, function = evil.two);
    create operator evil./ (leftarg = float8, rightarg = float8, function = evil.two);
    create operator evil.<= (leftarg = float8, rightarg = float8, function = evil.never);
    create operator evil.>= (leftarg = float8, rightarg = float8, function = evil.never);
    create operator evil.< (leftarg = float8, rightarg = float8, function = evil.never);
    create operator evil.> (leftarg = float8, rightarg = float8, function = evil.never);
    create operator evil.= (leftarg = float8, rightarg = float8, function = evil.never);
    create operator evil.<> (leftarg = float8, rightarg = float8, function = evil.never);
    set search_path = evil, public, pg_catalog";

#[test]
fn operators_and_functions_of_others_are_not_used() {
    let (database, metrics, fits) = (with_functions(&[]), computed(), adversarial(300));
    let mut client = database.connect();
    fill(&mut client, &fits);
    client.batch_execute(OVERLOADS).unwrap();
    client.batch_execute(HIJACKED).unwrap();
    assert_eq!(client.query_one("select 1::float8 + 1::float8", &[]).unwrap().get::<_, f64>(0), 7.0);
    let query = format!("select {} from fits order by at", calls(&metrics));
    assert_same(&fits, &metrics, &values(&mut client, &query, metrics.len()));
}

#[test]
fn other_numbers_of_rows_than_a_window_has_give_null() {
    let database = with_functions(&["--schema", "x Y"]);
    for rows in ["2", "0", "-1", "1048577", "null"] {
        let null: bool = database.one(&format!("select \"x Y\".rollfit_rmse(4, {rows}) is null"));
        assert!(null, "{rows}");
        let null: bool = database
            .one(&format!("select \"x Y\".rollfit_prediction(1, 1, 1, rows) is null from (values ({rows}::integer)) of (rows)"));
        assert!(null, "{rows}");
    }
    assert_eq!(database.one::<f64>("select \"x Y\".rollfit_rmse(16, 4)"), 2.0);
}

/// Pairs of numbers whose product or quotient is close to where the type ends.
fn pairs() -> Vec<(f64, f64)> {
    let mut rng = fastrand::Rng::with_seed(23);
    let mut pairs = Vec::new();
    for round in 0..3000 {
        let exponents = if round % 7 == 0 { -539..-535 } else { -1074..1024 };
        let x = near_power(rng.i32(exponents), &mut rng);
        let scaled = |power: i32| 2f64.powi(power / 2) / x * 2f64.powi(power - power / 2);
        // The product is about 2^-1075 or 2^1024, the quotient about 2^-1075 or 2^1024, or none of these.
        let y = match round % 5 {
            0 => scaled(-1075),
            1 => scaled(1024),
            2 => x * 2f64.powi(538) * 2f64.powi(537),
            3 => x * 2f64.powi(-512) * 2f64.powi(-512),
            _ => near_power(rng.i32(-1074..1024), &mut rng),
        };
        let y = [y, y.next_up(), y.next_down()][rng.usize(0..3)];
        let sign = |rng: &mut fastrand::Rng| if rng.bool() { 1.0 } else { -1.0 };
        pairs.push((x * sign(&mut rng), y * sign(&mut rng)));
    }
    let ends = [
        0.0,
        1.0,
        f64::from_bits(1),
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MAX / 2.0,
        2f64.powi(970),
        f64::INFINITY,
        f64::NAN,
    ];
    let ends = ends.into_iter().flat_map(|end| [end, -end, end.next_up(), end.next_down()]);
    pairs.extend(ends.clone().flat_map(|x| ends.clone().map(move |y| (x, y))));
    pairs
}

#[test]
fn guarded_arithmetic_gives_what_the_processor_gives() {
    let (database, pairs) = (with_functions(&[]), pairs());
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let query = "select rollfit_add(x, y), rollfit_mul(x, y), rollfit_div(x, y), rollfit_sqrt(x)
                 from unnest($1::float8[], $2::float8[]) with ordinality of (x, y, at) order by at";
    let rows = database.connect().query(query, &[&x, &y]).unwrap();
    let mut edges = [0; 4];
    for ((x, y), row) in pairs.iter().zip(&rows) {
        let wanted = [x + y, x * y, x / y, x.sqrt()];
        for (at, wanted) in wanted.into_iter().enumerate() {
            let got: f64 = row.get(at);
            assert!(
                got.to_bits() == wanted.to_bits() || (got.is_nan() && wanted.is_nan()),
                "operation {at} of {x:e} and {y:e}: {got:e} instead of {wanted:e}"
            );
            edges[at] += usize::from((wanted == 0.0 && *x != 0.0) || (wanted.is_infinite() && x.is_finite()));
        }
    }
    assert!(edges[..3].iter().all(|edges| *edges > 30), "the ends are reached: {edges:?}");
}
