//! The functions that views of features call: those that others made under their names and signatures, those that go while a follower is at
//! work, and those of `rollfit metrics --sql`.

use rollfit_job::config::Layout;

use crate::server::shared;
use crate::workload::{ONE, SMALL, Shape, Workload};

/// Functions with the names and argument types of rollfit's that the server does not let anybody replace.
const NOT_OURS: [(&str, &str); 6] = [
    (
        "rollfit_r2(double precision, double precision)",
        "create function rollfit_r2(ss_tot float8, ss_res float8) returns float8 language sql immutable parallel safe as $f${body}$f$",
    ),
    (
        "rollfit_rmse(double precision, integer)",
        "create function rollfit_rmse(ss_res float8, rows integer) returns numeric language sql as 'select 1.0'",
    ),
    (
        "rollfit_residual_std(double precision, integer)",
        "create function rollfit_residual_std(ss_res float8, rows integer = 60) returns float8 language sql as 'select 1.0::float8'",
    ),
    (
        "rollfit_add(double precision, double precision)",
        "create procedure rollfit_add(x float8, y float8) language sql as 'select 1.0'",
    ),
    (
        "rollfit_sqrt(double precision)",
        "create aggregate rollfit_sqrt(float8) (sfunc = float8pl, stype = float8)",
    ),
    (
        "rollfit_mul(double precision, double precision)",
        "create function rollfit_mul(x float8, out z float8, y float8) language sql as 'select 1.0::float8'",
    ),
];

fn of_shape(shape: Shape) -> Workload<'static> {
    Workload::on(shared(), shape).in_layout(Layout::Fits)
}

impl Workload<'_> {
    /// The statements of rollfit's own functions.
    fn metrics_sql(&self) -> String {
        self.sandbox.run(&["metrics", "--sql", "postgres"]).exits(0).stdout
    }

    #[track_caller]
    fn lacks_nothing(&self) {
        assert_eq!(self.run(&["schema"]).exits(0).stdout, "-- nothing is missing\n");
        self.run(&["verify", "--quiet"]).exits(0);
    }

    fn functions(&self, which: &str) -> i64 {
        self.database.one(&format!("select count(*) from pg_proc where {which}"))
    }
}

#[test]
fn functions_that_nobody_can_replace_block_partitions_until_schema_has_renamed_them() {
    let workload = of_shape(ONE);
    workload.database.sql(&workload.metrics_sql());
    let body: String = workload.database.one("select prosrc from pg_proc where proname = 'rollfit_r2'");
    for (signature, create) in NOT_OURS {
        workload.database.sql(&format!("drop function {signature}; {}", create.replace("{body}", &body)));
    }
    let run = workload.run(&["run"]).exits(4);
    assert!(
        format!("{}{}", run.stdout, run.stderr).contains("rollfit_add(double precision, double precision)"),
        "{run}"
    );
    let printed = workload.run(&["schema"]).exits(0);
    for (signature, _) in NOT_OURS {
        let warning = format!("{signature} is there and is not rollfit's");
        assert!(printed.stdout.contains(&format!("-- {warning}")), "{warning}: {printed}");
        assert!(printed.stderr.contains(&format!("public.{warning}")), "{warning}: {printed}");
    }
    assert!(!printed.stdout.contains("OR REPLACE"), "{printed}");
    workload.execute_with_psql(&printed.stdout);
    let renamed = workload.functions("proname ~ '^rollfit_.*_before_[0-9]+$'");
    assert_eq!(renamed, NOT_OURS.len() as i64);
    assert_eq!(workload.done()["written"], 1);
    workload.lacks_nothing();
}

#[test]
fn a_function_of_somebody_else_keeps_its_body_and_one_of_another_version_is_replaced() {
    let workload = of_shape(ONE);
    workload.database.sql(
        "create function rollfit_r2(ss_res float8, ss_tot float8) returns float8 language plpgsql as 'begin return 7; end';
         create function rollfit_rmse(ss_res float8, rows integer) returns float8 language sql immutable parallel safe
             as 'select 7::float8'",
    );
    let printed = workload.run(&["schema"]).exits(0);
    for words in [
        "public.rollfit_r2(double precision, double precision) is there and is not rollfit's",
        "public.rollfit_rmse(double precision, integer) is there and is another one",
    ] {
        assert!(printed.stderr.contains(words), "{printed}");
    }
    assert_eq!(printed.stdout.matches("CREATE OR REPLACE").count(), 1, "{printed}");
    workload.execute_with_psql(&printed.stdout);
    assert_eq!(workload.functions("prosrc = 'begin return 7; end' and proname ~ '^rollfit_r2_before_'"), 1);
    assert_eq!(workload.functions("prosrc = 'select 7::float8'"), 0);
    workload.done();
    workload.lacks_nothing();
}

#[test]
fn functions_that_metrics_prints_are_those_of_views() {
    let workload = of_shape(ONE);
    workload.database.sql(&workload.metrics_sql());
    let ours = workload.functions("proname ~ '^rollfit_'");
    assert_eq!(workload.done()["written"], 1);
    workload.lacks_nothing();
    assert_eq!(workload.functions("proname ~ '^rollfit_'"), ours);
    workload.database.sql(&workload.metrics_sql());
    workload.lacks_nothing();
    let other = workload
        .metrics_sql()
        .replace("ELSE \"public\".rollfit_guarded_r2(", "ELSE 0 * \"public\".rollfit_guarded_r2(");
    workload.database.sql(&other);
    workload.run(&["verify"]).exits(1).says(&["rollfit_r2(double precision, double precision)"]);
}

#[test]
fn doctor_grants_functions_of_views_and_none_of_others() {
    let workload = of_shape(ONE);
    workload.done();
    workload.database.sql(
        "create function rollfit_rmse(text) returns text language sql as 'select $1';
         revoke execute on all functions in schema public from public",
    );
    workload.as_new_role("runner");
    let grants = workload.doctor(1).statements().join(";");
    assert!(grants.contains("rollfit_rmse(double precision, integer)"), "{grants}");
    assert!(!grants.contains("rollfit_rmse(text)"), "{grants}");
}

#[test]
fn a_follower_makes_functions_again_that_are_gone() {
    let workload = of_shape(SMALL);
    workload.replace_in_configuration("to = \"2017-02\"", "to = \"latest\"");
    let mut feed = workload.keep_back("eurusd", "2017-02-01 00:00");
    let follower = workload.follow(&[]);
    // The follower has made the functions' first user itself, and knows that they are there.
    let first = feed.bars(20);
    workload.wait_for_features("eurusd", &first);
    workload.database.sql(
        "do $$ declare function regprocedure; begin
            for function in select oid from pg_proc where proname ~ '^rollfit_' loop
                execute format('drop function %s cascade', function);
            end loop;
         end $$;
         insert into m1_eurusd (time, rate_index) select time + interval '28 days', rate_index from m1_eurusd where time >= '2017-02-01';
         insert into bqx_eurusd (ts_utc, w15_bqx_return)
             select ts_utc + interval '28 days', w15_bqx_return from bqx_eurusd where ts_utc >= '2017-02-01 00:00+00'",
    );
    workload.wait_for_features("eurusd", &first.replace("2017-02", "2017-03"));
    follower.stop();
    workload.done();
    workload.lacks_nothing();
}
