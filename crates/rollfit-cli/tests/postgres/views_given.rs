//! Who owns and reads a view of features that is made again, or put in the place of another one: whoever did before, and nobody else.

use rollfit_job::config::Layout;

use crate::server::shared;
use crate::workload::{ONE, SMALL, Shape, Workload};

const RATE: &str = "reg_rate_eurusd_2017_01";
const BQX: &str = "reg_bqx_eurusd_2017_01";

impl Workload<'_> {
    /// Makes roles, each named after what it may do.
    fn roles<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        names.map(|name| {
            let role = format!("{name}_{}", self.database.name());
            self.database.sql(&format!("create role {role}"));
            role
        })
    }

    fn owner_and_grants(&self, view: &str) -> String {
        self.database.one(&format!(
            "select concat_ws(' ', pg_get_userbyid(relowner), array(select a::text from unnest(relacl) a order by 1))
             from pg_class where oid = '{view}'::regclass"
        ))
    }

    /// What the role may do, of `SELECT`, `INSERT` and the like.
    fn may(&self, role: &str, table: &str, right: &str) -> bool {
        self.database.one(&format!("select has_table_privilege('{role}', '{table}', '{right}')"))
    }

    fn add_a_window(&self) {
        self.replace_in_configuration("w30 = 30", "w30 = 30\nw47 = 47");
    }
}

fn done(shape: Shape) -> Workload<'static> {
    let workload = Workload::on(shared(), shape).in_layout(Layout::Fits);
    workload.done();
    workload
}

#[test]
fn a_view_that_is_made_again_has_the_readers_of_its_table_of_fits() {
    let workload = done(ONE);
    let [reader, other] = workload.roles(["reader", "other"]);
    workload.database.sql(&format!(
        "grant select on {RATE}, fit_{RATE} to {reader}; grant select on {BQX}, fit_{BQX} to {other}; drop view {RATE}"
    ));
    workload.done();
    // The view of the other series is nearest, and opens no table of fits.
    assert!(!workload.may(&other, RATE, "select") && !workload.may(&other, &format!("fit_{RATE}"), "select"));
    workload.database.sql(&format!("drop view {RATE}, {BQX}"));
    workload.done();
    assert!(workload.may(&reader, RATE, "select") && workload.may(&other, BQX, "select"));
    assert!(!workload.may(&reader, BQX, "select") && !workload.may(&other, RATE, "select"));
}

#[test]
fn a_new_view_gets_no_rights_of_a_table_of_others_and_none_to_write() {
    let workload = Workload::small();
    workload.in_fits("");
    workload.run(&["run", "--only", "eurusd:2017-01", "--quiet"]).exits(0);
    let [writer, reader] = workload.roles(["writer", "reader"]);
    workload.database.sql(&format!(
        "drop view {RATE}; create table {RATE} (x int); grant all on {RATE} to {writer};
         grant select, insert, update on {BQX} to {reader}; grant select on fit_{BQX} to {reader}"
    ));
    workload.run(&["run", "--only", "eurusd:2017-02", "--quiet"]).exits(0);
    let (rate, bqx) = (RATE.replace("_01", "_02"), BQX.replace("_01", "_02"));
    for right in ["select", "insert", "update", "delete"] {
        assert!(!workload.may(&writer, &rate, right), "{right}");
        assert_eq!(workload.may(&reader, &bqx, right), right == "select", "{right}");
    }
}

#[test]
fn a_view_is_put_in_the_place_of_one_of_others_for_the_same_owner_and_readers() {
    for (more, kept) in
        [("", false), ("create view users as select ts_utc from reg_rate_eurusd_2017_01", true)]
    {
        let workload = done(ONE);
        let [owner, reader] = workload.roles(["owner", "reader"]);
        workload.database.sql(&format!(
            "grant usage, create on schema public to {owner}; grant select on fit_{RATE} to {owner}, {reader};
             alter view {RATE} owner to {owner}; grant select on {RATE} to {reader} with grant option; {more}"
        ));
        let (before, query) = (workload.owner_and_grants(RATE), format!("select count(*) from {RATE}"));
        let rows: i64 = workload.database.one(&query);
        workload.database.sql(&format!("alter view {RATE} rename column rmse_idx_w15 to other"));
        let plan = workload.run(&["plan"]).exits(0);
        assert!(
            plan.stdout.contains("rename it, set views_schema, or run what `rollfit doctor` prints"),
            "{plan}"
        );
        let statements = workload.doctor(1).statements();
        workload.database.sql(&statements.join(";\n"));
        assert_eq!(workload.owner_and_grants(RATE), before);
        assert_eq!(workload.database.one::<i64>(&query), rows);
        assert_eq!(workload.done()["already_done"], 1);
        let old = format!("select to_regclass('{RATE}_old') is not null");
        assert_eq!(workload.database.one::<bool>(&old), kept, "{statements:?}");
    }
}

#[test]
fn after_a_window_was_added_all_tables_and_views_are_told_at_once() {
    let workload = done(ONE);
    let [reader] = workload.roles(["reader"]);
    workload.database.sql(&format!("grant select on {RATE}, {BQX}, fit_{RATE}, fit_{BQX} to {reader}"));
    workload.add_a_window();
    let both = [format!("fit_{RATE}"), format!("fit_{BQX}")];
    let run = workload.run(&["run"]).exits(1);
    let told = format!("{}{}", run.stdout, run.stderr);
    both.iter().for_each(|table| assert!(told.contains(table), "{table}: {run}"));
    let schema = workload.run(&["schema"]).exits(1);
    [RATE, BQX].iter().for_each(|view| assert!(schema.stderr.contains(view), "{view}: {schema}"));
    let found = workload.doctor(1);
    workload.database.sql(&crate::placement::remedies(&found).join(";\n"));
    assert_eq!(workload.run(&["schema"]).exits(0).stdout, "-- nothing is missing\n");
    workload.run(&["run", "--replace", "definition-changed"]).exits(0);
    assert!(workload.may(&reader, RATE, "select") && workload.may(&reader, BQX, "select"));
}

#[test]
fn a_run_names_the_view_that_would_block_what_it_skips() {
    let workload = done(ONE);
    workload.replace_in_configuration("w30 = 30\n", "");
    let words = ["definition-changed", "--replace would find it blocked", RATE, BQX];
    workload.run(&["run"]).exits(4).says(&words);
    workload.run(&["run", "--replace", "definition-changed"]).exits(4).says(&["blocked", RATE, BQX]);
    workload.database.sql(&format!("drop view {RATE}, {BQX}"));
    let run = workload.run(&["run"]).exits(4).says(&["definition-changed"]);
    assert!(!format!("{run}").contains("would find it blocked"), "{run}");
    workload.run(&["run", "--replace", "definition-changed"]).exits(0);
}

#[test]
fn one_partition_without_views_is_told_in_the_singular() {
    let workload = done(SMALL);
    for (view, words) in [
        (RATE.to_owned(), "1 partition lacks views of its features"),
        (RATE.replace("_01", "_02"), "2 partitions lack views of their features"),
    ] {
        workload.database.sql(&format!("drop view {view}"));
        workload.doctor_says(0).says(&[words]);
    }
    // What compares features with the source needs no views.
    workload.run(&["compare"]).exits(0);
}
