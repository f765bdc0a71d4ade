//! The layout of fits as readers see it: views hold, bit for bit, what the layout of metrics would store, for whoever may read them.

use crate::workload::Workload;

/// A parent for the rates alone.
const PARENT: &str = "parent = \"reg_rate_{key}\"\n\n[series.bqx]";

impl Workload<'_> {
    /// Stores fits from now on, with more lines for the store.
    pub(crate) fn in_fits(&self, lines: &str) {
        self.reconfigure(|text| {
            let url = text.lines().find(|line| line.starts_with("url = ")).unwrap().to_owned();
            text.replacen(&url, &format!("{url}\nlayout = \"fits\"\n{lines}"), 1)
        });
    }

    /// Fits beside deployed features: `next` has views with the names of the tables in `public`.
    pub(crate) fn in_fits_beside(&self, lines: &str) {
        self.database.sql("create schema if not exists next");
        self.in_fits(&format!("views_schema = \"next\"\n{lines}"));
    }

    /// Whether views in `next` hold the same as tables or views in `public`, to the last digit.
    #[track_caller]
    pub(crate) fn same_as_deployed(&self, name: &str) {
        let rows =
            |schema: &str| self.database.texts(&format!("select * from {schema}.{name} order by ts_utc"));
        let (deployed, seen) = (rows("public"), rows("next"));
        assert_eq!(deployed.len(), seen.len(), "{name}");
        assert!(deployed.len() > 1000, "{name}");
        for (deployed, seen) in deployed.iter().zip(&seen) {
            assert_eq!(deployed, seen, "{name}");
        }
        let columns = |schema: &str| {
            self.database.texts(&format!(
                "select string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod)), ', ' order by attnum)
                 from pg_attribute where attrelid = '{schema}.{name}'::regclass and attnum > 0"
            ))
        };
        assert_eq!(columns("public"), columns("next"), "{name}");
    }

    /// Makes values that try formulas: none, huge, tiny, the same for hours, a straight line, powers of ten that have two decimals.
    pub(crate) fn make_sources_odd(&self) {
        self.database.sql(
            "update m1_eurusd set rate_index = case
                 when extract(day from time) = 2 then null
                 when extract(day from time) = 3 then 'nan'
                 when extract(day from time) in (4, 5, 6) then 100
                 when extract(day from time) in (7, 8) then extract(epoch from time) - 1483228800
                 when extract(day from time) in (9, 10) then 1e99 * (extract(hour from time) - 11.5)
                 when extract(day from time) in (11, 12) then 1e-99 * (extract(hour from time) - 11)
                 when extract(day from time) in (13, 14) then 5e-324 * (extract(minute from time) + extract(hour from time))
                 when extract(day from time) in (15, 16) then 0
                 when extract(day from time) in (17, 18) then 1e23
                 when extract(day from time) in (19, 20) then 1e101
                 else rate_index end",
        );
    }
}

#[test]
fn views_hold_what_the_layout_of_metrics_stores_to_the_last_bit() {
    for (numbers, parent) in [("double precision", false), ("numeric", true)] {
        let workload = Workload::small();
        workload.make_sources_odd();
        let numbers = format!("numbers = \"{numbers}\"\n");
        workload.replace_in_configuration("[partitions]", &format!("{numbers}[partitions]"));
        if parent {
            workload.replace_in_configuration("[series.bqx]", PARENT);
        }
        workload.done();
        workload.in_fits_beside("");
        assert_eq!(workload.done()["written"], 2);
        for table in
            if parent { vec!["reg_rate_eurusd", "reg_bqx_eurusd_2017_02"] } else { workload.tables_named() }
        {
            workload.same_as_deployed(table);
        }
        for depth in [&["verify"][..], &["verify", "--sample", "50"], &["verify", "--quick"]] {
            workload.run(depth).exits(0);
        }
        assert_eq!(workload.done()["already_done"], 2);
        assert_eq!(workload.run(&["schema"]).exits(0).stdout, "-- nothing is missing\n");
        workload.run(&["doctor"]).exits(0);
    }
}

impl Workload<'_> {
    fn tables_named(&self) -> Vec<&'static str> {
        vec![
            "reg_rate_eurusd_2017_01",
            "reg_rate_eurusd_2017_02",
            "reg_bqx_eurusd_2017_01",
            "reg_bqx_eurusd_2017_02",
        ]
    }
}
