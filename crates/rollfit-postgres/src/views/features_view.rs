//! [`FeaturesView`]: a view with the name and the columns of a features table, over the table that holds the fits.

use rollfit::sql::{self, Dialect};
use rollfit::{FitNumbers, Metric};
use rollfit_job::config::{FIT_NUMBERS, LabelledWindow, Series, TIME_COLUMN};
use rollfit_job::partition::Partition;

use super::{Views, decimal_function};
use crate::PostgresStore;
use crate::names::{TableName, quoted};

/// A view of features.
#[derive(Clone, Debug)]
pub(super) struct FeaturesView {
    pub(super) name: TableName,
    /// The table of fits.
    pub(super) from: TableName,
    /// Its query.
    pub(super) select: String,
}

impl FeaturesView {
    /// The statement that makes it. Where a view can, it reads with the rights of whoever reads it, so that policies and rights on the
    /// table of fits hold for them.
    pub(super) fn create_sql(&self, has_invoker: bool) -> String {
        let options = if has_invoker { " WITH (security_invoker = true)" } else { "" };
        format!("CREATE VIEW {}{options} AS\n{}", self.name.sql(), self.select)
    }
}

impl PostgresStore {
    /// The view through which the features of the series at `at` of a partition are read: one of all its siblings where it has a parent.
    pub(super) fn features_view(&self, views: &Views, at: usize, partition: &Partition) -> FeaturesView {
        let series = &self.feature_series[at];
        let from = self.table(&table_or_parent(&self.series[at], partition));
        let name = TableName::new(&views.schema, &table_or_parent(series, partition));
        let select = self.select(views, series, &from);
        FeaturesView { name, from, select }
    }

    /// The names of the views of a partition, one a series.
    pub(crate) fn view_names(&self, views: &Views, partition: &Partition) -> Vec<TableName> {
        let name = |series: &Series| TableName::new(&views.schema, &table_or_parent(series, partition));
        self.feature_series.iter().map(name).collect()
    }

    /// The views of a partition, one a series.
    pub(super) fn features_views(&self, views: &Views, partition: &Partition) -> Vec<FeaturesView> {
        (0..self.series.len()).map(|at| self.features_view(views, at, partition)).collect()
    }

    fn select(&self, views: &Views, series: &Series, from: &TableName) -> String {
        let schema = quoted(&self.schema);
        let fits: Vec<String> = series.fit_number_columns().iter().map(|column| quoted(column)).collect();
        let mut columns = vec![quoted(TIME_COLUMN)];
        let windows = series.windows.iter().zip(fits.chunks_exact(FIT_NUMBERS.len()));
        let mut names = series.columns.iter();
        for (window, numbers) in windows {
            let Some(fit) = named_fit(numbers, &fits) else { continue };
            for (&metric, name) in series.metrics.iter().zip(&mut names) {
                let value = value(views, &schema, metric, window, &fit);
                let name = quoted(name);
                columns.push(if value == name { name } else { format!("{value} AS {name}") });
            }
        }
        columns.extend(series.included_columns().iter().map(|name| {
            let name = quoted(name);
            match views.are_decimals {
                true => format!("{schema}.{}({name}) AS {name}", decimal_function::NAME),
                false => name,
            }
        }));
        format!("SELECT {}\nFROM {}", columns.join(",\n    "), from.sql())
    }
}

fn table_or_parent(series: &Series, partition: &Partition) -> String {
    series.parent_table(partition).unwrap_or_else(|| series.features_table(partition))
}

/// The columns of one window's fit.
fn named_fit<'a>(numbers: &'a [String], fits: &'a [String]) -> Option<FitNumbers<&'a str>> {
    let [a2, a1, b, ss_res, ss_tot] = numbers else { return None };
    let y_last = fits.last()?;
    Some(FitNumbers { a2, a1, b, ss_res, ss_tot, y_last })
}

fn value(
    views: &Views,
    schema: &str,
    metric: Metric,
    window: &LabelledWindow,
    fit: &FitNumbers<&str>,
) -> String {
    let value = sql::expression(Dialect::Postgres, schema, metric, window.window, fit);
    match views.are_decimals {
        true => format!("{schema}.{}({value})", decimal_function::NAME),
        false => value,
    }
}
