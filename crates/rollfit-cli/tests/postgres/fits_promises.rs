//! The promises of the store in the layout of fits, on its own tables: those that other modules prove of features tables, and
//! that features which follow from stored fits are those of the layout of metrics, bit for bit.

use std::os::unix::process::ExitStatusExt;

use postgres::IsolationLevel;
use rollfit_job::config::Layout;
use rollfit_job::features_of_fits::as_features;
use rollfit_job::receipt::Receipt;
use rollfit_job::store::Sink;

use crate::checker::{Contents, Undisturbed};
use crate::cuts::at_statements;
use crate::kill::{Work, survives_in};
use crate::opened::{Opened, first_partition};
use crate::server::shared;
use crate::stopped::with_signal;
use crate::views::DROP_VIEWS;
use crate::workload::{ONE, SMALL, Shape, Workload};

const RATE: &str = "fit_reg_rate_eurusd_2017_01";
const BQX: &str = "fit_reg_bqx_eurusd_2017_01";
const NEXT: [&str; 2] = ["fit_reg_rate_eurusd_2017_02", "fit_reg_bqx_eurusd_2017_02"];

fn of_shape(shape: Shape) -> Workload<'static> {
    Workload::on(shared(), shape).in_layout(Layout::Fits)
}

fn done(shape: Shape) -> Workload<'static> {
    let workload = of_shape(shape);
    workload.done();
    workload
}

/// Done, and to be done again.
fn to_be_replaced(shape: Shape) -> Workload<'static> {
    let workload = done(shape);
    workload.change_sources();
    workload
}

fn undisturbed() -> &'static Undisturbed {
    Undisturbed::small_in(Layout::Fits)
}

/// Every feature of the first partition as it is read back, by its bits, and the receipt.
fn features(workload: &Workload<'_>) -> (Vec<i64>, Vec<u64>, Receipt) {
    let opened = Opened::open(workload);
    let (mut instants, mut bits) = (Vec::new(), Vec::new());
    let mut reader = as_features(&opened.config.series, opened.store.read(&first_partition()).unwrap());
    while let Some(tile) = reader.next_tile().unwrap() {
        for column in tile.columns() {
            instants.extend_from_slice(tile.instants_us);
            bits.extend(column.iter().map(|value| if value.is_nan() { u64::MAX } else { value.to_bits() }));
        }
    }
    let receipt = reader.receipt().unwrap().clone();
    (instants, bits, receipt)
}

/// Values that are hard on the formulas: none, without end, huge, tiny, all alike, a straight line, a parabola.
const HARD: &str = "
    update m1_eurusd set rate_index = null where time in ('2017-01-03 01:00', '2017-01-30');
    update m1_eurusd set rate_index = 'NaN' where time = '2017-01-05 03:30';
    update m1_eurusd set rate_index = '-Infinity' where time = '2017-01-07';
    update m1_eurusd set rate_index = 1e100 * (extract(hour from time) - 11)::float8 where time between '2017-01-09' and '2017-01-11';
    update m1_eurusd set rate_index = 1.1 where time between '2017-01-12' and '2017-01-15';
    update m1_eurusd set rate_index = extract(epoch from time)::float8 where time between '2017-01-16' and '2017-01-19';
    update m1_eurusd set rate_index = -extract(epoch from time)::float8 ^ 2 where time between '2017-01-20' and '2017-01-23';
    update bqx_eurusd set w15_bqx_return = 1e-300 * w15_bqx_return where ts_utc between '2017-01-09' and '2017-01-13';
    update bqx_eurusd set w15_bqx_return = 0 where ts_utc between '2017-01-14' and '2017-01-17';
    delete from bqx_eurusd where ts_utc between '2017-01-25' and '2017-01-25 02:00'";

#[test]
fn features_that_follow_from_fits_have_the_bits_of_the_layout_of_metrics() {
    for lines in ["", "[features]\nmetrics = [\"r2\", \"vertex_y\", \"residual\", \"quadratic_term\"]\n"] {
        let workload = Workload::one();
        workload.database.sql(&format!("create schema next; {HARD}"));
        workload.replace_in_configuration("[run]", &format!("{lines}\n[run]"));
        workload.done();
        let (instants, bits, receipt) = features(&workload);
        let layout = "layout = \"fits\"\nviews_schema = \"next\"\n\n[partitions]";
        workload.replace_in_configuration("[partitions]", layout);
        workload.done();
        let (instants_of_fits, bits_of_fits, receipt_of_fits) = features(&workload);
        assert_eq!(instants, instants_of_fits);
        assert_eq!(bits.len(), 2 * receipt.definition.series[0].columns.len() * receipt.stored.rows as usize);
        assert!(bits == bits_of_fits, "features differ");
        assert!(bits.contains(&u64::MAX));
        let told = |receipt: &Receipt| {
            let stored = &receipt.stored;
            (stored.rows, stored.checksum.clone(), stored.no_value, receipt.input.clone())
        };
        assert_eq!(told(&receipt), told(&receipt_of_fits));
        workload.run(&["verify", "--quiet"]).exits(0);
        workload.run(&["compare", "--quiet"]).exits(0);
    }
}

#[test]
fn killed_at_any_moment_a_run_leaves_the_old_or_the_new() {
    survives_in(
        Layout::Fits,
        Work::FirstLoad,
        &["receipt-written:1", "middle-of-table-2:5", "commit-sent:2"],
    );
    survives_in(Layout::Fits, Work::ChangedSources, &["deleted:2", "between-tables:2", "commit-answered:2"]);
}

#[test]
fn cut_at_any_statement_a_run_leaves_the_old_or_the_new() {
    let workload = of_shape(SMALL);
    at_statements(23, &workload.database.server().socket(), |proxy, _| {
        let url = proxy.url(workload.database.name());
        let variables = [("ROLLFIT_STORE__URL", url.as_str()), ("ROLLFIT_RUN__ATTEMPTS", "1")];
        workload.run_with(&variables, &["run", "--quiet"]);
        workload.each_partition_is_old_or_new(&Contents::none(), &undisturbed().usual);
        workload.run(&["run", "--quiet"]).exits(0);
        workload.is_as_undisturbed();
        workload.forget();
    });
}

#[test]
fn readers_see_all_of_the_old_or_all_of_the_new_and_hold_nothing_up() {
    let both = "select (select count(*) || ' ' || sum(b_idx_w15) from fit_reg_rate_eurusd_2017_01),
                       (select count(*) || ' ' || sum(b_bqx_w15) from fit_reg_bqx_eurusd_2017_01)";
    let workload = to_be_replaced(SMALL);
    let mut client = workload.database.connect();
    let seen = |client: &mut dyn FnMut(&str) -> postgres::Row| -> [String; 2] {
        let row = client(both);
        [row.get(0), row.get(1)]
    };
    let old = seen(&mut |query| client.query_one(query, &[]).unwrap());
    let mut reader =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start().unwrap();
    reader.execute("select 1", &[]).unwrap();
    let stopped = workload.stopped_at("receipt-written", &[], &["--only", "eurusd:2017-01"]);
    let mut another = workload.database.connect();
    another.batch_execute("set lock_timeout = '100ms'").unwrap();
    assert_eq!(seen(&mut |query| another.query_one(query, &[]).unwrap()), old);
    drop(stopped);
    workload.run_with(&[("ROLLFIT_RUN__LOCK_WAIT_S", "0")], &["run"]).exits(0).says(&["2 written"]);
    assert_eq!(seen(&mut |query| reader.query_one(query, &[]).unwrap()), old);
    reader.commit().unwrap();
    assert_ne!(seen(&mut |query| client.query_one(query, &[]).unwrap()), old);
    drop((client, another));
    workload.is(&undisturbed().changed);
}

#[test]
fn a_table_of_fits_that_another_job_holds_is_waited_for_and_runners_overtake_each_other() {
    let workload = to_be_replaced(SMALL);
    let mut job = workload.database.connect();
    job.batch_execute(&format!("set application_name = 'the old job'; begin; delete from {BQX}")).unwrap();
    let mut running = workload.start(&[], &[]);
    assert_eq!(running.wait_for_stage("held")["partition"], "eurusd 2017-01");
    running.wait_for(|message| message["stage"] == "written" && message["partition"] == "eurusd 2017-02");
    job.batch_execute("rollback").unwrap();
    assert_eq!(running.finish().exits(0).json()["written"], 2);
    workload.is(&undisturbed().changed);
    workload.change_sources();
    let impatient = [("ROLLFIT_RUN__IDLE_TIMEOUT_S", "1")];
    let stopped = workload.stopped_at("middle-of-table-2:2", &impatient, &[]);
    assert_eq!(workload.run_with(&impatient, &["run", "--json"]).exits(0).json()["written"], 2);
    let overtaken = stopped.go_on().finish().exits(0).json();
    // The sessions of the run before may still have had the partitions when it began: then it reads what the other has written.
    let found_done = ["already_done", "written_by_others"].map(|count| overtaken[count].as_u64().unwrap());
    assert_eq!((&overtaken["written"], found_done.iter().sum()), (&0.into(), 2_u64), "{overtaken}");
    workload.is_as_undisturbed();
}

#[test]
fn rows_that_refer_to_fits_block_their_partition() {
    let workload = done(ONE);
    let instant = "2017-01-09 03:30";
    workload.database.sql(&format!(
        "create table labels (ts timestamp constraint labels_key references {RATE} (ts_utc) on delete cascade);
         insert into labels values ('{instant}')"
    ));
    workload.change_sources();
    for command in [&["run"][..], &["run", "--force"], &["drop", "eurusd:2017-01"]] {
        workload.run(command).exits(4).says(&["blocked", "public.labels", "labels_key"]);
    }
    workload.run(&["plan"]).exits(0).says(&["blocked", "public.labels", "ON DELETE CASCADE"]);
    assert_eq!(workload.database.one::<i64>("select count(*) from labels"), 1);
    // A row that comes in the midst of the replacement waits, and stays.
    workload.database.sql("delete from labels");
    let stopped = workload.stopped_at("references-read", &[], &[]);
    let mut other = workload.database.connect();
    let inserting =
        std::thread::spawn(move || other.batch_execute(&format!("insert into labels values ('{instant}')")));
    let is_waiting = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
    workload.wait_until("a lock", is_waiting);
    assert_eq!(stopped.go_on().finish().exits(0).json()["written"], 1);
    inserting.join().unwrap().unwrap();
    assert_eq!(workload.database.one::<i64>("select count(*) from labels"), 1);
}

#[test]
fn what_triggers_and_rules_keep_change_or_add_is_not_passed_off_as_fits() {
    let workload = to_be_replaced(ONE);
    workload.database.sql(&format!(
        "create function meddle() returns trigger language plpgsql as 'begin new.ss_res_bqx_agg = new.ss_res_bqx_agg * 1.5; return new; end';
         create function lose() returns trigger language plpgsql as 'begin new.a1_bqx_w15 = null; return new; end';
         create function fill() returns trigger language plpgsql as 'begin new.a1_bqx_agg = coalesce(new.a1_bqx_agg, 0); return new; end';
         create function add_one() returns trigger language plpgsql as
             'begin if pg_trigger_depth() = 1 then insert into {BQX} (ts_utc) values (''2017-01-31 23:59''); end if; return null; end';
         create function stay() returns trigger language plpgsql as 'begin return new; end'"
    ));
    let before = Contents::from_database(&workload.database);
    for (when, function) in [
        ("before insert on TABLE for each row", "meddle"),
        ("before insert on TABLE for each row", "lose"),
        ("before insert on TABLE for each row", "fill"),
        ("after insert on TABLE for each statement", "add_one"),
    ] {
        let when = when.replace("TABLE", BQX);
        workload.database.sql(&format!("create trigger meddle {when} execute function {function}()"));
        workload.run(&["run"]).exits(1).says(&["do not hold what was written", "trigger meddle"]);
        workload.database.sql(&format!("drop trigger meddle on {BQX}"));
        assert_eq!(Contents::from_database(&workload.database).differences(&before), Vec::<String>::new());
    }
    workload.database.sql(&format!(
        "alter table {RATE} drop constraint {RATE}_pkey; create rule keep as on delete to {RATE} do instead nothing"
    ));
    for command in [&["run"][..], &["drop", "eurusd:2017-01"]] {
        workload.run(command).exits(1).says(&[RATE, "still has rows", "rule keep"]);
    }
    workload.database.sql(&format!(
        "drop rule keep on {RATE}; create trigger harmless before insert on {RATE} for each row execute function stay()"
    ));
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
}

#[test]
fn fits_that_a_policy_hides_are_refused_and_applied_policies_are_written_through() {
    const ACCEPTED: (&str, &str) = ("ROLLFIT_STORE__ROW_SECURITY", "apply");
    let workload = of_shape(SMALL);
    let role = workload.as_new_role("tenant");
    workload.database.sql(&format!(
        "grant select on m1_eurusd, bqx_eurusd to {role}; grant create, usage on schema public to {role}"
    ));
    workload.cut_sources("2017-02-28 20:00");
    workload.run_with(&[ACCEPTED], &["run", "--quiet"]).exits(0);
    for table in workload.tables() {
        workload.database.sql(&format!(
            "alter table {table} enable row level security; alter table {table} force row level security;
             create policy early on {table} using (ts_utc < '2017-01-16')"
        ));
    }
    workload.run(&["run"]).exits(1).says(&[RATE, "\"early\"", "row-level security"]);
    workload.run_with(&[ACCEPTED], &["run", "--force"]).exits(1).says(&["would stay beside"]);
    for table in workload.tables() {
        workload
            .database
            .sql(&format!("drop policy early on {table}; create policy every on {table} using (true)"));
    }
    // Rewritten by way of staged rows, and grown.
    workload.change_sources();
    workload.run_with(&[ACCEPTED], &["run", "--quiet"]).exits(0);
    workload.change_sources();
    workload.grow_sources("infinity");
    workload.run_with(&[ACCEPTED], &["run", "--quiet"]).exits(0);
    workload.run_with(&[ACCEPTED], &["verify", "--quiet"]).exits(0);
    let differences = Contents::from_database(&workload.database).differences(&undisturbed().usual);
    assert!(differences.iter().all(|place| place.starts_with("receipt of")), "{differences:?}");
}

#[test]
fn rows_of_others_stay_until_told_otherwise() {
    let workload = done(ONE);
    workload.database.sql(&format!("insert into {RATE} (ts_utc) values ('2017-02-01')"));
    for command in [&["run"][..], &["run", "--force"], &["drop", "eurusd:2017-01"]] {
        workload.run(command).exits(1).says(&[RATE, "holds rows outside 2017-01"]);
    }
    workload.database.sql(&format!(
        "delete from {RATE} where ts_utc = '2017-02-01'; delete from rollfit_receipts; update {BQX} set b_bqx_w15 = 7
         where ts_utc = '2017-01-09'"
    ));
    workload.run(&["plan"]).exits(0).says(&["foreign"]);
    workload.run(&["run"]).exits(4).says(&["foreign", RATE, "rows without a rollfit receipt"]);
    workload.run(&["adopt"]).exits(4).says(&["b_bqx_w15"]);
    workload.run(&["compare"]).exits(1).says(&["b_bqx_w15", "2017-01-09T00:00:00Z"]);
    workload.run(&["run", "--quiet", "--replace", "foreign"]).exits(0);
    // What agrees is adopted, and its receipt is of this layout.
    workload.database.sql("delete from rollfit_receipts");
    workload.run(&["adopt"]).exits(0).says(&["1 adopted"]);
    workload.run(&["verify", "--quiet"]).exits(0);
    assert_eq!(workload.done()["already_done"], 1);
    workload.run(&["drop", "eurusd:2017-01"]).exits(0);
    assert_eq!(workload.database.one::<i64>(&format!("select count(*) from {RATE}")), 0);
    workload.run(&["plan"]).exits(0).says(&["missing"]);
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
}

#[test]
fn changed_bits_are_found_where_they_make_other_features() {
    let workload = done(ONE);
    let at = "ts_utc = '2017-01-20 10:30'";
    workload.database.sql(&format!("create table kept as table {BQX}"));
    // A quick look sees what makes other features, which the newest value of a window does not.
    for (change, is_quick) in [
        ("ss_res_bqx_agg = ss_res_bqx_agg * (1 + 1e-9)", true),
        ("b_bqx_w30 = b_bqx_w30 * (1 + 2e-16)", true),
        ("a2_bqx_w15 = null", true),
        ("y_last_bqx = null", true),
        ("y_last_bqx = y_last_bqx + 1", false),
        ("ss_tot_bqx_w60 = 'NaN'", true),
        ("b_bqx_w30 = 'Infinity'", true),
        ("a1_bqx_w45 = -a1_bqx_w45", true),
    ] {
        workload.database.sql(&format!("update {BQX} set {change} where {at}"));
        for (depth, finds) in [(&["verify"][..], true), (&["verify", "--quick"], is_quick)] {
            let code = workload.run(depth).status.code();
            assert_eq!(code, Some(i32::from(finds)), "{depth:?} after {change}");
        }
        workload.database.sql(&format!("delete from {BQX}; insert into {BQX} table kept"));
    }
    workload.run(&["verify", "--quiet"]).exits(0);
    workload.database.sql(&format!("delete from {BQX} where {at}"));
    workload.run(&["verify"]).exits(1);
}

#[test]
fn added_rows_are_those_of_a_single_run_whatever_happens_in_between() {
    const EARLY: &str = "2017-02-28 20:00";
    let workload = of_shape(SMALL);
    workload.cut_sources(EARLY);
    workload.done();
    let old = Contents::from_database(&workload.database);
    for moment in ["append-looked", "append-rows-2", "append-receipt"] {
        workload.grow_sources("infinity");
        let variable = with_signal(moment, "KILL");
        let answer = workload.run_with(&[("ROLLFIT_FAILPOINT", &variable)], &["run", "--quiet"]);
        assert_eq!(answer.status.signal(), Some(9), "{moment}: {answer}");
        workload.each_partition_is_old_or_new(&old, &undisturbed().usual);
        workload.cut_sources(EARLY);
    }
    workload.grow_sources("2017-02-28 21:30");
    workload.done();
    workload.grow_sources("infinity");
    workload.done();
    let writers = |table: &str| {
        workload.database.one::<i64>(&format!("select count(distinct xmin::text) from {table}"))
    };
    assert_eq!(NEXT.map(writers), [3, 3]);
    workload.is_as_undisturbed();
    // What somebody else has put there, or another type, is not added to.
    for (change, code, words) in [
        (
            format!("insert into {} (ts_utc) values ('2017-02-28 20:15')", NEXT[1]),
            1,
            "another program added rows",
        ),
        (
            format!("{DROP_VIEWS} alter table {} alter b_bqx_w15 type real", NEXT[1]),
            1,
            "expected double precision",
        ),
    ] {
        let workload = of_shape(SMALL);
        workload.cut_sources(EARLY);
        workload.done();
        workload.database.sql(&change);
        workload.grow_sources("infinity");
        workload.run(&["run"]).exits(code).says(&[words]);
    }
}

#[test]
fn a_follower_adds_to_tables_of_fits() {
    let workload = of_shape(SMALL);
    let mut feed = workload.keep_back("eurusd", "2017-02-28 22:00");
    let follower = workload.follow(&[]);
    let last = feed.rest();
    workload.wait_for_features("eurusd", &last);
    follower.stop();
    workload.is_as_undisturbed();
}

#[test]
fn what_schema_prints_and_doctor_grants_is_all_that_a_role_needs() {
    let workload = of_shape(SMALL);
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    let printed = workload.run(&["schema"]).exits(0).stdout;
    for table in
        ["\"fit_reg_rate_eurusd\"", "\"fit_reg_rate_eurusd_2017_01\"", "\"fit_reg_bqx_eurusd_2017_02\""]
    {
        assert!(printed.contains(&format!("\"public\".{table} (")), "{printed}");
    }
    let role = workload.as_new_role("runner");
    workload.database.sql(&format!("{printed}; grant select on m1_eurusd, bqx_eurusd to {role}"));
    let grants = workload.doctor(1).statements();
    assert!(grants.iter().all(|grant| !grant.contains("CREATE")), "{grants:?}");
    workload.database.sql(&grants.join(";"));
    workload.doctor(0);
    assert_eq!(workload.run(&["schema"]).exits(0).stdout, "-- nothing is missing\n");
    workload.done();
    workload.run(&["verify", "--quiet"]).exits(0);
    workload.change_sources();
    workload.done();
    workload.run(&["verify", "--quick", "--quiet"]).exits(0);
    let held = workload.doctor(0).held();
    assert_eq!(held, [("ours".to_owned(), 1488), ("ours".to_owned(), 1344)]);
}
