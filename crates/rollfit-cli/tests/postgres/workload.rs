//! [`Workload`]: source tables in a database, the configuration for their features, and the executable beside them. The
//! rows are made by the server from hashes of their instants, so that every workload of the same shape has the same.

use std::process::Command;

use rollfit_job::config::{FIT_PREFIX, Layout};
use serde_json::Value;

use crate::bars::config;
use crate::running::Running;
use crate::sandbox::{Answer, Sandbox};
use crate::server::{Server, shared};
use crate::sql::Database;

/// What a workload is of.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) keys: &'static [&'static str],
    pub(crate) months: &'static [&'static str],
}

/// Two partitions of three tiles each.
pub(crate) const SMALL: Shape = Shape { keys: &["eurusd"], months: &["2017-01", "2017-02"] };

/// One partition.
pub(crate) const ONE: Shape = Shape { keys: &["eurusd"], months: &["2017-01"] };

/// Keys and months, enough for two runners to get in each other's way.
pub(crate) const WIDE: Shape =
    Shape { keys: &["eurusd", "usdjpy"], months: &["2017-01", "2017-02", "2017-03"] };

/// Half an hour: some 1400 rows a month.
const STEP: &str = "30 minutes";

/// A job on tables of its own.
pub(crate) struct Workload<'server> {
    pub(crate) sandbox: Sandbox,
    pub(crate) database: Database<'server>,
    pub(crate) shape: Shape,
    pub(crate) layout: Layout,
}

impl Workload<'static> {
    /// A small one on the server that the tests share.
    pub(crate) fn small() -> Self {
        Self::on(shared(), SMALL)
    }

    pub(crate) fn one() -> Self {
        Self::on(shared(), ONE)
    }

    pub(crate) fn wide() -> Self {
        Self::on(shared(), WIDE)
    }

    /// A small one that is done and has to be done again.
    pub(crate) fn changed() -> Self {
        let workload = Self::small();
        workload.done();
        workload.change_sources();
        workload
    }
}

impl<'server> Workload<'server> {
    pub(crate) fn on(server: &'server Server, shape: Shape) -> Self {
        let (sandbox, database) = (Sandbox::new(), server.database());
        let workload = Self { sandbox, database, shape, layout: Layout::Metrics };
        shape.keys.iter().for_each(|key| workload.make_sources(key));
        workload.configure("");
        workload
    }

    /// The same, kept in a layout.
    pub(crate) fn in_layout(self, layout: Layout) -> Self {
        let workload = Self { layout, ..self };
        workload.configure("");
        workload
    }

    /// Writes the configuration, with more lines in `[run]`.
    pub(crate) fn configure(&self, run: &str) {
        let months = self.shape.months;
        let text = config(self.shape.keys, months[0], months[months.len() - 1]);
        let text = text.replace("parquet:fx", &self.database.url()).replace("workers = 2", "workers = 1");
        let text = match self.layout {
            Layout::Metrics => text,
            layout => text.replace("[partitions]", &format!("layout = \"{layout}\"\n\n[partitions]")),
        };
        self.sandbox.write("rollfit.toml", format!("{text}{run}\n"));
    }

    /// Changes the configuration.
    pub(crate) fn reconfigure(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.sandbox.path("rollfit.toml")).unwrap();
        self.sandbox.write("rollfit.toml", change(text));
    }

    fn make_sources(&self, key: &str) {
        self.database.sql(&format!(
            "create table m1_{key} (time timestamp primary key, rate_index float8);
             create table bqx_{key} (ts_utc timestamptz primary key, w15_bqx_return float8)"
        ));
        self.fill_sources(key, "infinity");
    }

    /// Adds the rows up to an instant that are not there.
    fn fill_sources(&self, key: &str, until: &str) {
        let (first, last) = (self.shape.months[0], self.shape.months[self.shape.months.len() - 1]);
        let instants = format!(
            "generate_series('{first}-01'::timestamp, '{last}-01'::timestamp + interval '1 month - 1 second', '{STEP}') t
             where t <= '{until}' on conflict do nothing"
        );
        let digits = |salt| format!("(hashtext('{key} {salt} ' || t) % 10000)");
        self.database.sql(&format!(
            "insert into m1_{key} select t, 100 + {} / 8192.0::float8 from {instants};
             insert into bqx_{key} select t at time zone 'UTC', {} / 65536.0::float8 from {instants};",
            digits("rate"),
            digits("return")
        ));
    }

    /// Takes the source rows after an instant away.
    pub(crate) fn cut_sources(&self, after: &str) {
        for key in self.shape.keys {
            self.database.sql(&format!(
                "delete from m1_{key} where time > '{after}'; delete from bqx_{key} where ts_utc > '{after}Z'"
            ));
        }
    }

    /// Brings back those up to an instant.
    pub(crate) fn grow_sources(&self, until: &str) {
        self.shape.keys.iter().for_each(|key| self.fill_sources(key, until));
    }

    /// Gives all partitions other values; the second time, those of before.
    pub(crate) fn change_sources(&self) {
        for key in self.shape.keys {
            self.database.sql(&format!(
                "update m1_{key} set rate_index = 200 - rate_index;
                 update bqx_{key} set w15_bqx_return = -w15_bqx_return"
            ));
        }
    }

    /// Takes everything away that a run has made.
    pub(crate) fn forget(&self) {
        let tables: String =
            self.tables().iter().map(|table| format!("drop table if exists {table} cascade;")).collect();
        self.database.sql(&format!("{tables} drop table if exists rollfit_receipts, rollfit_definitions"));
    }

    /// The tables that hold its rows, two a partition.
    pub(crate) fn tables(&self) -> Vec<String> {
        let of_partition = |key: &str, month: &str| {
            let month = month.replace('-', "_");
            ["rate", "bqx"].map(|series| self.table(&format!("reg_{series}_{key}_{month}")))
        };
        let partitions =
            self.shape.keys.iter().flat_map(|key| self.shape.months.iter().map(move |month| (key, month)));
        partitions.flat_map(|(key, month)| of_partition(key, month)).collect()
    }

    /// The table that holds the rows of features with this name.
    pub(crate) fn table(&self, features: &str) -> String {
        match self.layout {
            Layout::Metrics => features.to_owned(),
            Layout::Fits => format!("{FIT_PREFIX}{features}"),
        }
    }

    pub(crate) fn partitions(&self) -> usize {
        self.shape.keys.len() * self.shape.months.len()
    }

    /// The executable with variables in its environment.
    pub(crate) fn command(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command(arguments);
        command.envs(variables.iter().copied());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        self.sandbox.run(arguments)
    }

    pub(crate) fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Answer {
        self.sandbox.run_with(variables, arguments)
    }

    /// Runs to the end that all should be done at; the summary.
    #[track_caller]
    pub(crate) fn done(&self) -> Value {
        self.run(&["run", "--json"]).exits(0).json()
    }

    /// Starts a run whose messages are in JSON.
    pub(crate) fn start(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Running {
        let arguments = [&["run", "--json", "--log-format", "json"], arguments].concat();
        Running::start(self.command(variables, &arguments))
    }
}
