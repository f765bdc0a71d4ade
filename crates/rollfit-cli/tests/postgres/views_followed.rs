//! What becomes of views while bars come in, long before a follower checks the whole month: rows are added only where readers find them by
//! the views that rollfit makes, and rows that are there are never written again for that.

use rollfit_job::config::Layout;

use crate::following::{Feed, Follower};
use crate::running::signal;
use crate::server::shared;
use crate::workload::{ONE, Workload};

const KEY: &str = "eurusd";
const RATE: &str = "reg_rate_eurusd_2017_01";
/// An older row of each table, and how many rows there are.
const WRITTEN: &str =
    "select concat_ws(' ', count(*), min(xmin::text) filter (where ts_utc = '2017-01-30 00:00+00'))";

/// A month that is done but for its last bars.
fn month(parent: bool) -> (Workload<'static>, Feed) {
    let workload = Workload::on(shared(), ONE).in_layout(Layout::Fits);
    if parent {
        workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    }
    let feed = workload.keep_back(KEY, "2017-01-31 16:00");
    workload.done();
    (workload, feed)
}

impl Workload<'_> {
    fn rows_written(&self, series: &str) -> String {
        self.database.one(&format!("{WRITTEN} from fit_reg_{series}_eurusd_2017_01"))
    }

    /// Which older rows both tables have.
    fn older_rows(&self) -> [String; 2] {
        ["rate", "bqx"].map(|series| self.rows_written(series).split_once(' ').unwrap().1.to_owned())
    }

    /// The next bar is not added, and the log says why.
    #[track_caller]
    fn keeps_back(&self, feed: &mut Feed, follower: &mut Follower, words: &[&str]) -> String {
        let before = ["rate", "bqx"].map(|series| self.rows_written(series));
        let at = feed.bar();
        let told = follower.0.wait_for_stage("behind");
        let message = told["message"].as_str().unwrap();
        [&["blocked"], words]
            .concat()
            .iter()
            .for_each(|word| assert!(message.contains(word), "{word}: {told}"));
        assert_eq!(["rate", "bqx"].map(|series| self.rows_written(series)), before, "{message}");
        at
    }
}

#[test]
fn a_view_that_is_dropped_is_made_before_the_next_rows_are_added() {
    for parent in [false, true] {
        let (workload, mut feed) = month(parent);
        let follower = workload.follow(&[]);
        workload.wait_for_features(KEY, &feed.bar());
        let before = workload.older_rows();
        // A function takes both views with it.
        let (view, dropped) = match parent {
            true => ("reg_rate_eurusd", "view reg_rate_eurusd"),
            false => (RATE, "function rollfit_rmse(double precision, integer) cascade"),
        };
        workload.database.sql(&format!("drop {dropped}"));
        let at = feed.bar();
        workload.wait_for_features(KEY, &at);
        let is_read = format!("select exists (select from {view} where ts_utc = '{at}+00')");
        assert!(workload.database.one::<bool>(&is_read), "{dropped}: {at}");
        assert_eq!(workload.older_rows(), before, "rows were written again");
        let told = follower.stop();
        for words in [&format!("the view public.{view} is missing"), ": made again"] {
            assert!(told.stderr.contains(words), "{told}");
        }
        assert!(!told.stderr.contains("\"behind\""), "{told}");
    }
}

#[test]
fn no_rows_are_added_under_a_view_of_others_until_it_is_gone() {
    let (workload, mut feed) = month(false);
    let mut follower = workload.follow(&[]);
    workload.wait_for_features(KEY, &feed.bar());
    let before = workload.older_rows();
    let query: String = workload.database.one(&format!("select pg_get_viewdef('{RATE}'::regclass)"));
    let other = query.replacen("rollfit_rmse(", "rollfit_residual_std(", 1);
    workload.database.sql(&format!("create or replace view {RATE} as {other}"));
    let words = ["public.reg_rate_eurusd_2017_01 is not the view that rollfit makes", "DROP VIEW"];
    let at = workload.keeps_back(&mut feed, &mut follower, &words);
    workload.database.sql(&format!("create or replace view {RATE} as {query}"));
    workload.wait_for_features(KEY, &at);
    follower.0.wait_for_stage("caught-up");
    assert_eq!(workload.older_rows(), before, "rows were written again");
    // What an owner may decide keeps no rows back.
    workload
        .database
        .sql(&format!("comment on view {RATE} is 'ours'; create view above as select * from {RATE}"));
    workload.wait_for_features(KEY, &feed.bar());
    follower.stop();
    workload.run(&["verify", "--quiet"]).exits(0);
}

#[test]
fn no_rows_are_added_while_a_function_of_views_is_another() {
    let (workload, mut feed) = month(false);
    let mut follower = workload.follow(&[]);
    workload.wait_for_features(KEY, &feed.bar());
    workload.database.sql(
        "create or replace function rollfit_rmse(ss_res double precision, rows integer) returns double precision
             language sql immutable parallel safe as 'select 0.5'",
    );
    workload.keeps_back(&mut feed, &mut follower, &["rollfit_rmse(double precision, integer)"]);
    signal(&follower.0, "TERM");
    follower.0.finish().exits(1);
    workload.execute_with_psql(&workload.run(&["schema"]).exits(0).stdout);
    assert_eq!(workload.done()["written"], 1);
}
