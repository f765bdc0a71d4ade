//! Inputs beside features in tables: in the layout of metrics and of fits, in doubles and decimals, added to, flipped, adopted.

use rollfit_job::config::Layout;
use serde_json::json;

use crate::server::shared;
use crate::workload::{SMALL, Workload};

const RATE: &str = "reg_rate_eurusd_2017_01";
const INCLUDE: &str = "[features]\ninclude = [\"idx.close\", \"idx.volume\", \"bqx.w15_bqx_return\"]\n";

/// Rows that have another close or volume than the source, or none.
const DIFFERING: &str = "select count(*) from reg_rate_eurusd_2017_01 full join
    (select * from m1_eurusd where time < '2017-02-01') m1 on time = ts_utc
    where close_idx is distinct from nullif(close::float8, 'infinity') or volume_idx is distinct from volume";

/// A workload whose first table has closes in decimals, and volumes that are sometimes NULL, once infinite.
fn including(layout: Layout) -> Workload<'static> {
    let workload = Workload::on(shared(), SMALL).in_layout(layout);
    workload.database.sql("alter table m1_eurusd add close numeric(12, 5), add volume float8");
    workload.give_closes();
    workload.reconfigure(|text| format!("{text}\n{INCLUDE}"));
    workload
}

impl Workload<'_> {
    /// Gives rows without a close one, and most of them a volume.
    fn give_closes(&self) {
        self.database.sql(
            "update m1_eurusd set close = 1 + (hashtext(time::text) % 9973) / 100000.0,
                 volume = case when hashtext(time::text) % 5 <> 0 then hashtext(time::text) / 3.0 end
             where close is null",
        );
    }

    #[track_caller]
    fn has_the_sources_values(&self) {
        assert_eq!(self.database.one::<i64>(DIFFERING), 0);
    }

    fn state(&self) -> String {
        self.run(&["plan", "--json"]).json()["partitions"][0]["state"].as_str().unwrap().to_owned()
    }
}

#[test]
fn included_columns_have_the_sources_values_in_both_layouts() {
    for layout in [Layout::Metrics, Layout::Fits] {
        let workload = including(layout);
        let run = workload.done();
        workload.has_the_sources_values();
        let nulls: i64 = workload.database.one("select count(*) from m1_eurusd where volume is null");
        assert!(nulls > 100 && run["no_value"]["included"] == nulls, "{layout}: {run}");
        let first = format!(
            "select close_idx is not null and r2_idx_w15 is null from {RATE} order by ts_utc limit 1"
        );
        assert!(workload.database.one::<bool>(&first), "warm-up rows have inputs");
        assert_eq!(workload.run(&["run", "--json"]).exits(0).json()["written"], json!(0));
        workload.run(&["verify", "--quiet"]).exits(0);
        workload.run(&["verify", "--sample", "20", "--quiet"]).exits(0);
        workload.run(&["compare", "--quiet"]).exits(0);
        workload.run(&["doctor"]).exits(0);
        // One close, and no rate.
        workload.database.sql("update m1_eurusd set close = close + 1 where time = '2017-01-20 12:00'");
        assert_eq!(workload.state(), "input-changed", "{layout}");
        assert_eq!(workload.done()["written"], json!(1), "{layout}");
        workload.has_the_sources_values();
    }
}

#[test]
fn an_included_value_that_is_flipped_is_found_and_foreign_ones_are_compared() {
    for layout in [Layout::Metrics, Layout::Fits] {
        let workload = including(layout);
        workload.done();
        let table = workload.table(RATE);
        let flip = |by: f64| {
            workload.database.sql(&format!(
                "update {table} set close_idx = close_idx + {by} where ts_utc = '2017-01-20 12:00'"
            ));
        };
        flip(1.0);
        workload.run(&["verify"]).exits(1).says(&["close_idx at 2017-01-20T12:00:00Z is"]);
        workload.run(&["verify", "--quick"]).exits(1).says(&["checksum"]);
        workload.run(&["compare"]).exits(1).says(&["close_idx at 2017-01-20T12:00:00Z"]);
        workload.database.sql("truncate rollfit_receipts");
        workload.run(&["adopt"]).exits(4).says(&["close_idx at 2017-01-20T12:00:00Z"]);
        workload.run(&["run", "--quiet", "--replace", "foreign"]).exits(0);
        workload.database.sql("truncate rollfit_receipts");
        assert_eq!(workload.state(), "foreign");
        workload.run(&["adopt", "--quiet"]).exits(0);
        assert_eq!(workload.state(), "done");
        workload.run(&["verify", "--sample", "20", "--quiet"]).exits(0);
    }
}

#[test]
fn rows_that_are_added_bring_their_inputs() {
    for layout in [Layout::Metrics, Layout::Fits] {
        let workload = including(layout);
        workload.cut_sources("2017-02-20");
        workload.done();
        workload.grow_sources("infinity");
        workload.give_closes();
        workload.done();
        let writers =
            format!("select count(distinct xmin::text) from {}", workload.table("reg_rate_eurusd_2017_02"));
        assert_eq!(
            workload.database.one::<i64>(&writers),
            2,
            "{layout}: rows were added to those that were there"
        );
        workload.run(&["verify", "--sample", "20", "--quiet"]).exits(0);
        let query = "select count(*) from reg_rate_eurusd_2017_02 join m1_eurusd on time = ts_utc
             where close_idx = close::float8 and volume_idx is not distinct from volume";
        let all = "select count(*) from reg_rate_eurusd_2017_02";
        assert_eq!(workload.database.one::<i64>(query), workload.database.one::<i64>(all), "{layout}");
    }
}

#[test]
fn a_follower_adds_inputs_and_notices_those_that_change() {
    for layout in [Layout::Metrics, Layout::Fits] {
        let workload = including(layout);
        let mut feed = workload.keep_back("eurusd", "2017-02-28 20:00");
        workload.done();
        let follower = workload.follow(&[]);
        let at = feed.bar();
        workload.wait_for_features("eurusd", &at);
        workload.give_closes();
        let last = feed.rest();
        workload.wait_for_features("eurusd", &last);
        workload.wait_until(
            "the close that came after its row",
            &format!("select close_idx is not null from reg_rate_eurusd_2017_02 where ts_utc = '{at}'"),
        );
        follower.stop();
        workload.is_as_one_run_makes_it();
    }
}

#[test]
fn decimals_and_views_of_decimals_have_them_too() {
    for (layout, lines) in [
        (Layout::Metrics, "numbers = \"numeric\"\n"),
        (Layout::Metrics, "numbers = \"real\"\n"),
        (Layout::Fits, "numbers = \"numeric\"\n"),
    ] {
        let workload = including(layout);
        workload.reconfigure(|text| text.replacen("\n[partitions]", &format!("{lines}\n[partitions]"), 1));
        workload.database.sql(
            "update m1_eurusd set volume = 'infinity' where time = '2017-01-10 00:00';
             update m1_eurusd set volume = '-0' where time = '2017-01-10 00:30'",
        );
        workload.done();
        let values = format!(
            "select string_agg(coalesce(volume_idx::text, 'NULL'), ' ' order by ts_utc) from {RATE}
             where ts_utc in ('2017-01-10 00:00', '2017-01-10 00:30')"
        );
        assert_eq!(workload.database.one::<String>(&values), "NULL 0", "{layout} {lines}");
        workload.run(&["verify", "--sample", "20", "--quiet"]).exits(0);
        assert_eq!(workload.done()["written"], json!(0), "{layout} {lines}");
    }
}

#[test]
fn tables_are_printed_with_them_and_a_column_that_is_missing_is_named() {
    let workload = including(Layout::Metrics);
    workload.run(&["schema"]).exits(0).says(&["\"close_idx\" double precision", "\"w15_bqx_return_bqx\""]);
    workload.reconfigure(|text| text.replace("idx.close", "idx.clos"));
    let words = ["has no column clos", "did you mean `close`?", "\"idx.clos\" in `include` of [features]"];
    workload.run(&["run"]).exits(1).says(&words);
    workload.run(&["doctor"]).exits(1).says(&words);
}
