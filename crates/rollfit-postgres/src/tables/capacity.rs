//! What the tables of a server can hold of a job: so many columns, of names that are free, in rows that fit on a page.

use rollfit_job::config::{JobConfig, Layout, Pattern, Series, StoreConfig, TIME_COLUMN};
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::PostgresStore;
use crate::connection::answer_row::first_value;
use crate::connection::session::Session;
use crate::names::{TableName, check_length};
use crate::tables::leaf::Leaf;

/// The most columns of a table.
const COLUMNS_MAX: usize = 1600;
/// The columns that each table has by itself.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Checks that tables can have the columns of a job; in the layout of fits, that views can have its feature columns too.
///
/// # Errors
/// When one would have too many, or a name is too long or the server's own.
pub(crate) fn check_columns(series: &[Series]) -> Result<(), StoreError> {
    for Series { name, columns, fit_columns, include, windows, metrics, .. } in series {
        if columns.len() >= COLUMNS_MAX {
            let beside =
                if include.is_empty() { String::new() } else { format!(" + {} included", include.len()) };
            return Err(StoreError::permanent(format!(
                "[series.{name}]: {} windows x {} metrics{beside} = {} columns, but a table of PostgreSQL has at most \
                 {COLUMNS_MAX}, {TIME_COLUMN} included; use fewer windows, or name the `metrics`",
                windows.len(),
                metrics.len(),
                columns.len()
            )));
        }
        let what = format!("[series.{name}] column");
        let mut all = columns.iter().chain(fit_columns);
        all.clone().try_for_each(|column| check_length(&what, column))?;
        if let Some(column) = all.find(|column| SYSTEM_COLUMNS.contains(&column.as_str())) {
            return Err(StoreError::permanent(format!(
                "{what}: every table of PostgreSQL has a column `{column}` of its own; choose another pattern"
            )));
        }
    }
    Ok(())
}

/// Checks that no pattern begins with the name of a schema: a pattern names tables of one schema, dots and quotes included.
///
/// # Errors
/// When there is such a schema, or the query fails.
pub(crate) fn check_schemas(
    session: &mut Session,
    store: &StoreConfig,
    config: &JobConfig,
) -> Result<(), StoreError> {
    const QUESTION: &str = "SELECT nspname::text FROM pg_catalog.pg_namespace WHERE nspname = $1";
    for (series, key, pattern) in patterns(store, config) {
        let Some(schema) = schema_in(pattern) else { continue };
        if !session.rows("look up schemas", QUESTION, &[(&schema, Type::TEXT)])?.is_empty() {
            return Err(StoreError::permanent(format!(
                "[series.{series}] {key} = \"{pattern}\": a pattern is the name of a table, without its schema; remove \
                 `{schema}.` and quotes, and set schema = \"{schema}\" beside `url`"
            )));
        }
    }
    Ok(())
}

/// The patterns of tables in this store, each with its series and its key there.
fn patterns<'a>(
    store: &StoreConfig,
    config: &'a JobConfig,
) -> impl Iterator<Item = (&'a str, &'static str, &'a Pattern)> {
    let (is_source, is_sink) = (config.source == *store, config.sink.store == *store);
    config.series.iter().flat_map(move |series| {
        let table = is_source.then_some(("table", &series.table));
        let features = series.features.as_ref().filter(|_| is_sink).map(|features| ("features", features));
        let parent = series.parent.as_ref().filter(|_| is_sink).map(|parent| ("parent", parent));
        let all = [table, features, parent].into_iter().flatten();
        all.map(|(key, pattern)| (series.name.as_str(), key, pattern))
    })
}

/// The name of a schema that a pattern seems to begin with: all that is before its first dot.
fn schema_in(pattern: &Pattern) -> Option<String> {
    let text = pattern.to_string();
    let (before, _) = text.split_once('.')?;
    let before = before.trim_matches('"');
    (!before.is_empty() && !before.contains('{')).then(|| before.to_owned())
}

impl PostgresStore {
    /// Checks that a row of a table fits on a page: the server cannot move numbers of fixed width elsewhere. How large pages are is
    /// asked once, where it matters: a server has one size from its birth.
    ///
    /// # Errors
    /// When it does not, or the query fails.
    pub(crate) fn check_row(&self, session: &mut Session, leaf: &Leaf) -> Result<(), StoreError> {
        const USUAL_PAGE_BYTES: u64 = 8192;
        let fits =
            |page_bytes: u64| leaf.stored_row_bytes_min() <= page_bytes.saturating_sub(PAGE_HEADER_BYTES);
        if fits(USUAL_PAGE_BYTES) {
            return Ok(());
        }
        let page_bytes = match self.page_bytes.get() {
            Some(page_bytes) => *page_bytes,
            None => {
                let sql = "SELECT current_setting('block_size')::int";
                let rows = session.rows("look up the size of pages", sql, &[])?;
                let page_bytes = first_value::<i32>(&rows)?.map(|bytes| u64::from(bytes.unsigned_abs()));
                *self.page_bytes.get_or_init(|| page_bytes.unwrap_or(USUAL_PAGE_BYTES))
            }
        };
        if fits(page_bytes) { Ok(()) } else { Err(too_wide(&leaf.name, leaf, page_bytes)) }
    }
}

/// What a page keeps for itself of the space of its only row.
const PAGE_HEADER_BYTES: u64 = 32;

fn too_wide(name: &TableName, leaf: &Leaf, page_bytes: u64) -> StoreError {
    let remedy = match leaf.layout {
        Layout::Metrics => "use fewer windows, name the `metrics`, or set numbers = \"real\" for new tables",
        Layout::Fits => "use fewer windows",
    };
    let what = if leaf.layout == Layout::Fits { "numbers of fits" } else { "features" };
    StoreError::permanent(format!(
        "{name}: a row of {} {what} has {} bytes, but a page of the server has room for {}, and a row must fit on one; {remedy}",
        leaf.features.len(),
        leaf.stored_row_bytes_min(),
        page_bytes.saturating_sub(PAGE_HEADER_BYTES)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::instant::TimeType;
    use crate::copy::number_column::NumberColumn;

    #[test]
    fn a_schema_before_a_name_is_noticed_and_a_dot_of_a_key_is_none() {
        let schema = |text: &str| schema_in(&Pattern::parse(text, &["key"]).unwrap());
        assert_eq!(schema("other.m1_{key}").as_deref(), Some("other"));
        assert_eq!(schema("\"Other\".\"m1_{key}\"").as_deref(), Some("Other"));
        for plain in ["m1_{key}", "{key}.bars", ".m1_{key}"] {
            assert_eq!(schema(plain), None, "{plain}");
        }
    }

    #[test]
    fn the_widest_row_that_fits_has_1001_doubles() {
        let bytes = |features: usize, column| {
            let name = TableName::new("public", "t");
            let features = vec![column; features];
            let (time, types, layout) = (TimeType::Naive, Vec::new(), Layout::Metrics);
            Leaf { name, layout, time, features, types, others: Vec::new() }.stored_row_bytes_min()
        };
        let most = 8192 - PAGE_HEADER_BYTES;
        assert!(bytes(1001, NumberColumn::Double) <= most && bytes(1002, NumberColumn::Double) > most);
        assert!(bytes(1599, NumberColumn::Single) <= most);
        assert!(
            bytes(1599, NumberColumn::Decimal) <= most,
            "how wide decimals are is known when they are written"
        );
    }
}
