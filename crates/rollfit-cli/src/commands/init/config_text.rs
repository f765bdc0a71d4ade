//! [`ConfigText`]: a proposal as a configuration, short and commented. Names of others are quoted, and printable in comments.

use rollfit_job::few::few;
use rollfit_job::foreign;

use super::proposal::{Proposal, ProposedSeries};

/// Where the comment of a setting begins.
const COMMENT_COLUMN: usize = 40;
/// The windows of the example, with their labels.
const WINDOWS: [(&str, usize); 6] =
    [("w15", 15), ("w30", 30), ("w45", 45), ("w60", 60), ("w75", 75), ("agg", 90)];

/// The rows of the longest window that a proposal has.
pub(super) const LONGEST_WINDOW_ROWS: u64 = 90;

/// What the configuration says of the store.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreLines {
    /// The URL as it is written: relative paths start from the configuration, and it holds no password.
    pub(super) url: String,
    pub(super) schema: Option<String>,
    pub(super) password_command: Option<String>,
    /// Whether the URL that was typed holds a password.
    pub(super) has_password: bool,
    /// Whether features go to tables, which need names.
    pub(super) has_tables: bool,
}

/// What is written of a proposal.
#[derive(Clone, Debug)]
pub(super) struct ConfigText<'a> {
    pub(super) store: &'a StoreLines,
    pub(super) proposal: &'a Proposal,
    /// The rows of a month, where they are too few for the longest window.
    pub(super) few_rows: Option<u64>,
    /// Lines at the top, without the sign of a comment.
    pub(super) heading: Vec<String>,
}

impl ConfigText<'_> {
    /// The whole text.
    pub(super) fn text(&self) -> String {
        let mut lines: Vec<String> = self.heading.iter().map(|line| comment(line)).collect();
        lines.push(comment(
            "`rollfit plan` shows what it means; `rollfit init --template --stdout` prints every setting.",
        ));
        self.add_store(&mut lines);
        self.add_partitions(&mut lines);
        for series in &self.proposal.series {
            self.add_series(series, &mut lines);
        }
        section("[windows]", "in rows; the labels are parts of the columns' names", &mut lines);
        lines.extend(WINDOWS.map(|(label, rows)| format!("{label} = {rows}")));
        self.add_boundary(&mut lines);
        lines.join("\n") + "\n"
    }

    fn add_store(&self, lines: &mut Vec<String>) {
        let store = self.store;
        section("[store]", "", lines);
        set("url", &store.url, "where series come from and features go", lines);
        if let Some(schema) = &store.schema {
            set("schema", schema, "", lines);
        }
        if let Some(command) = &store.password_command {
            set("password_command", command, "prints the password, run at each connect", lines);
        }
        if store.has_password && store.password_command.is_none() {
            lines.push(comment(
                "The password isn't kept here: put it into ~/.pgpass or PGPASSWORD, or have it printed by",
            ));
            lines.push(comment("password_command = \"COMMAND\""));
        }
    }

    fn add_partitions(&self, lines: &mut Vec<String>) {
        let keys = &self.proposal.keys;
        section("[partitions]", "", lines);
        if self.has_all_keys() {
            let column = self.proposal.series.iter().find_map(|series| series.key_column.as_deref());
            let which = column.map_or_else(
                || match keys.as_slice() {
                    [] => "with a table of each series".to_owned(),
                    keys => format!("with a table of each series: {}", few(keys)),
                },
                |column| format!("every {column} of the table"),
            );
            set("keys", "all", &which, lines);
        } else {
            let listed: Vec<String> = keys.iter().map(|key| quoted(key)).collect();
            lines.push(format!("keys = [{}]", listed.join(", ")));
        }
        set("from", "first", "or a month, such as \"2024-01\"", lines);
        set("to", "latest", "the same", lines);
    }

    /// Whether all keys can be asked for: where features have tables, these may look like source tables of bare keys.
    fn has_all_keys(&self) -> bool {
        let is_bare = |series: &ProposedSeries| series.table.starts_with("{key}");
        self.proposal.is_all && !(self.store.has_tables && self.proposal.series.iter().any(is_bare))
    }

    fn add_series(&self, series: &ProposedSeries, lines: &mut Vec<String>) {
        section(&format!("[series.{}]", series.name), "", lines);
        let of_key =
            if series.table.contains("{key}") { "the source table of a key" } else { "the source table" };
        set("table", &series.table, of_key, lines);
        if let Some(column) = &series.key_column {
            set("key_column", column, "tells the keys of the table apart", lines);
        }
        let zone = if series.is_utc { "" } else { "has no time zone: taken as UTC" };
        set("time", &series.time, zone, lines);
        let others = match series.others.as_slice() {
            [] => "the column to fit".to_owned(),
            others => format!("the column to fit; other numbers: {}", few(others)),
        };
        set("value", &series.value, &others, lines);
        if self.store.has_tables {
            let prefix = if self.has_reg_tables() { "features" } else { "reg" };
            let known = if series.name == "idx" { "rate" } else { &series.name };
            let features = format!("{prefix}_{known}_{{key}}_{{yyyy}}_{{mm}}");
            set("features", &features, "the table of a month's features", lines);
        }
    }

    /// Whether the names that tables of features usually have could be those of source tables.
    fn has_reg_tables(&self) -> bool {
        self.proposal.series.iter().any(|series| series.table.starts_with("reg"))
    }

    fn add_boundary(&self, lines: &mut Vec<String>) {
        section("[run]", "", lines);
        if let Some(rows) = self.few_rows {
            lines.push(comment(&format!(
                "A month has about {rows} rows, fewer than the longest window: so windows reach into the months before."
            )));
            set("boundary", "carry", "\"reset\": windows start anew each month", lines);
        } else {
            set("boundary", "reset", "windows start anew each month; \"carry\": they don't", lines);
        }
    }
}

/// Adds a line `key = "value"`.
fn set(key: &str, value: &str, comment: &str, lines: &mut Vec<String>) {
    lines.push(with_comment(format!("{key} = {}", quoted(value)), comment));
}

/// A text as TOML has it, printable whatever is in it. What JSON escapes TOML escapes in the same way.
fn quoted(text: &str) -> String {
    foreign::json(&serde_json::Value::from(text).to_string()).replace('\u{7f}', "\\u007f")
}

fn section(name: &str, comment: &str, lines: &mut Vec<String>) {
    lines.push(String::new());
    lines.push(with_comment(name.to_owned(), comment));
}

fn with_comment(line: String, text: &str) -> String {
    if text.is_empty() {
        return line;
    }
    let width = COMMENT_COLUMN.max(line.chars().count() + 1);
    format!("{line:<width$}{}", comment(text))
}

/// A comment of one line, whatever is in it.
pub(super) fn comment(text: &str) -> String {
    if text.is_empty() { "#".to_owned() } else { format!("# {}", foreign::message(text)) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rollfit_job::config::{Boundary, JobConfig, Keys};

    use super::*;

    fn series(name: &str, table: &str, value: &str) -> ProposedSeries {
        let (time, others) = ("ts \"x\"".to_owned(), vec!["o\nne".to_owned()]);
        ProposedSeries {
            name: name.to_owned(),
            table: table.to_owned(),
            key_column: None,
            time,
            is_utc: false,
            value: value.to_owned(),
            others,
        }
    }

    fn parsed(store: &StoreLines, proposal: &Proposal, few_rows: Option<u64>) -> (String, JobConfig) {
        let heading = vec!["found\n[store]".to_owned()];
        let text = ConfigText { store, proposal, few_rows, heading }.text();
        let config =
            JobConfig::parse_in(Path::new(""), &text, []).unwrap_or_else(|error| panic!("{error}\n{text}"));
        (text, config)
    }

    fn proposal(table: &str, is_all: bool) -> Proposal {
        let series = vec![series("a", table, "v'\"\\\n\u{7f}é"), series("b", table, "w")];
        Proposal { keys: vec!["x".to_owned()], is_all, series, tables: 1, left_out: Vec::new() }
    }

    #[test]
    fn whatever_names_are_like_the_text_says_what_was_proposed() {
        let url = "parquet:./a \"b\" 'c' # d".to_owned();
        let store = StoreLines { url: url.clone(), ..StoreLines::default() };
        let (text, config) = parsed(&store, &proposal("p_{key}", true), None);
        assert_eq!(
            (config.source.url.clone(), &config.keys, config.boundary),
            (url, &Keys::All, Boundary::Reset)
        );
        assert_eq!(
            (config.from, config.to, config.longest_window_rows()),
            (None, None, LONGEST_WINDOW_ROWS as usize)
        );
        let [a, b] = config.series.as_slice() else { panic!("two series") };
        assert_eq!(
            (a.time.as_str(), a.value.as_str(), b.value.as_str()),
            ("ts \"x\"", "v'\"\\\n\u{7f}é", "w")
        );
        assert!(a.features.is_none() && text.lines().count() < 40, "{text}");
        assert!(!text.contains('\u{7f}') && text.contains("taken as UTC"), "{text}");
    }

    #[test]
    fn a_long_table_has_a_column_of_keys() {
        let store = StoreLines { url: "parquet:./fx".to_owned(), ..StoreLines::default() };
        let mut long = proposal("bars", true);
        long.keys.clear();
        long.series.iter_mut().for_each(|series| series.key_column = Some("sym \"x\"".to_owned()));
        let (text, config) = parsed(&store, &long, None);
        assert_eq!((&config.keys, config.series[1].key_column.as_deref()), (&Keys::All, Some("sym \"x\"")));
        assert!(text.contains("every sym \"x\" of the table"), "{text}");
    }

    #[test]
    fn tables_have_names_and_bare_keys_are_listed_beside_them() {
        let store =
            StoreLines { url: "postgres://h/d".to_owned(), has_tables: true, ..StoreLines::default() };
        let (_, config) = parsed(&store, &proposal("{key}", true), Some(21));
        assert_eq!((&config.keys, config.boundary), (&Keys::Listed(vec!["x".to_owned()]), Boundary::Carry));
        let features = |config: &JobConfig| config.series[0].features.as_ref().unwrap().to_string();
        assert_eq!(features(&config), "reg_a_{key}_{yyyy}_{mm}");
        assert_eq!(
            features(&parsed(&store, &proposal("reg{key}", true), None).1),
            "features_a_{key}_{yyyy}_{mm}"
        );
    }

    #[test]
    fn a_password_is_asked_for_where_it_can_be_kept() {
        let store = StoreLines {
            url: "postgres://u@h/d".to_owned(),
            has_tables: true,
            has_password: true,
            ..StoreLines::default()
        };
        assert!(parsed(&store, &proposal("p_{key}", true), None).0.contains("~/.pgpass"));
        let store = StoreLines {
            password_command: Some("pass \"x\"".to_owned()),
            schema: Some("s".to_owned()),
            ..store
        };
        let (text, config) = parsed(&store, &proposal("p_{key}", true), None);
        assert_eq!(
            (config.source.password_command.as_deref(), config.source.schema.as_deref()),
            (Some("pass \"x\""), Some("s"))
        );
        assert!(!text.contains("~/.pgpass"), "{text}");
    }
}
