//! A doctor's [`Report`] for people.

use std::io;

use rollfit_job::spec::RowSecurity;
use rollfit_parquet::Unverified;
use rollfit_postgres::{
    Connection, Diagnosis, Holds, RestrictedTable, RowSecurityReport, SourceTable, Target, Targets,
};

use super::{Directory, Findings, Report, StoreReport, Work};
use crate::format::{bytes, count, plural, time};
use crate::output::{self, line, lines};

impl Report {
    pub(super) fn print(&self) -> io::Result<()> {
        for store in &self.stores {
            store.print()?;
        }
        self.work.print()?;
        for note in &self.notes {
            line(&format!("note: {note}"))?;
        }
        if self.problems.is_empty() {
            return line("\nA run could start.");
        }
        line(&format!("\n{}:", plural(self.problems.len(), "problem")))?;
        for problem in &self.problems {
            line(&format!("- {}", problem.what))?;
            problem.statements.iter().try_for_each(|statement| lines(&format!("    {statement};")))?;
        }
        Ok(())
    }
}

impl StoreReport {
    fn print(&self) -> io::Result<()> {
        let part = match (self.is_source, self.is_sink) {
            (true, true) => "source and sink",
            (true, false) => "source",
            _ => "sink",
        };
        match &self.findings {
            Findings::Parquet(directory) => directory.print(part),
            Findings::Postgres(diagnosis) => print_diagnosis(diagnosis, part),
        }
    }
}

impl Directory {
    fn print(&self, part: &str) -> io::Result<()> {
        line(&format!("{part}: {}", self.place))?;
        fact("keys", &format!("{} with a table of each series", self.keys.len()))?;
        fact("features", &plural(self.partitions, "partition"))?;
        fact("unverified", &unverified_shown(&self.unverified))?;
        fact("free", &self.free_bytes.map_or("unknown".to_owned(), bytes))?;
        line("")
    }
}

/// The files of ours without checksums, and how they get some.
fn unverified_shown(unverified: &Unverified) -> String {
    let Unverified { unverified_sources: sources, unverified_features: features, .. } = *unverified;
    let sources = (sources > 0).then(|| {
        format!("{} without checksums (import the bars again to add them)", plural(sources, "source file"))
    });
    let features = (features > 0).then(|| {
        format!("{} without checksums (`rollfit run --force` adds them)", plural(features, "features file"))
    });
    let shown: Vec<String> = [sources, features].into_iter().flatten().collect();
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

fn fact(name: &str, value: &str) -> io::Result<()> {
    line(&format!("  {name:<11} {value}"))
}

fn print_diagnosis(diagnosis: &Diagnosis, part: &str) -> io::Result<()> {
    line(&format!("{part}: {}, schema {}", diagnosis.place, diagnosis.schema))?;
    print_connection(&diagnosis.connection)?;
    fact("sessions", &diagnosis.sessions.arithmetic())?;
    if let Some(text) = policies(&diagnosis.row_security) {
        fact("policies", &text)?;
    }
    for warning in &diagnosis.warnings {
        fact("warning", warning)?;
    }
    line("")?;
    if !diagnosis.sources.is_empty() {
        print_sources(&diagnosis.sources)?;
        line("")?;
    }
    match &diagnosis.targets {
        Some(targets) => print_targets(targets),
        None => Ok(()),
    }
}

/// Where policies are accepted, and of which tables they may hide rows. Those that are refused are a problem.
fn policies(report: &RowSecurityReport) -> Option<String> {
    if report.setting != RowSecurity::Apply.name() {
        return None;
    }
    let told = |table: &RestrictedTable| format!("{} ({})", table.table, table.policies.join(", "));
    let tables = match report.tables.as_slice() {
        [] => "none applies".to_owned(),
        [only] => format!("they apply to {}", told(only)),
        [first, .., last] => {
            format!("they apply to {} tables, {} to {}", report.tables.len(), told(first), told(last))
        }
    };
    Some(format!("accepted (row_security = \"apply\"), {tables}"))
}

fn print_connection(connection: &Connection) -> io::Result<()> {
    let standby = if connection.is_standby { ", a standby" } else { "" };
    let superuser = if connection.is_superuser { ", a superuser" } else { "" };
    let tls =
        connection.tls.as_ref().map_or("none".to_owned(), |tls| format!("{}, {}", tls.version, tls.cipher));
    fact("server", &format!("PostgreSQL {}{standby}", connection.version))?;
    fact("role", &format!("{}{superuser}", connection.role))?;
    fact("TLS", &tls)?;
    fact("pooler", if connection.has_pooler { "yes" } else { "none noticed" })?;
    fact("round trip", &format!("{:.2} ms", connection.round_trip_ms))?;
    let upload = bytes(connection.upload_bytes_per_second as u64);
    fact("upload", &format!("{upload}/s over one connection, stored nowhere"))
}

fn print_sources(sources: &[SourceTable]) -> io::Result<()> {
    let column = |column: &Option<String>| column.clone().unwrap_or("missing".to_owned());
    let rows: Vec<Vec<String>> = sources
        .iter()
        .map(|source| {
            vec![source.table.clone(), column(&source.time), column(&source.value), rows_told(source)]
        })
        .collect();
    output::table(&["source table", "time", "value", "rows in the planned months"], &rows)
}

/// All rows, and the least and the most of a month.
fn rows_told(source: &SourceTable) -> String {
    let Some(months) = &source.months else { return "unknown".to_owned() };
    let rows = || months.iter().map(|month| month.rows);
    let (least, most) = (rows().min().unwrap_or(0), rows().max().unwrap_or(0));
    format!(
        "{} in {}, {} to {} a month",
        count(rows().sum()),
        plural(months.len(), "month"),
        count(least),
        count(most)
    )
}

/// A line a key.
fn print_targets(targets: &Targets) -> io::Result<()> {
    let mut keys: Vec<&str> = targets.partitions.iter().map(|target| target.partition.key.as_str()).collect();
    keys.dedup();
    let line_of = |key: &str| {
        let of_key = targets.partitions.iter().filter(|target| target.partition.key == key);
        target_line(key, &of_key.collect::<Vec<_>>())
    };
    let rows: Vec<Vec<String>> = keys.into_iter().map(line_of).collect();
    let headings = ["features of", "tables", "missing", "ours", "other definition", "foreign", "unknown"];
    output::table(&headings, &rows)?;
    let receipts = if targets.has_receipts { "is there" } else { "is missing" };
    line(&format!("(partitions, with their rows; rollfit_receipts {receipts})\n"))
}

fn target_line(key: &str, targets: &[&Target]) -> Vec<String> {
    let tables: usize = targets.iter().map(|target| target.tables).sum();
    let missing: usize = targets.iter().map(|target| target.tables_missing).sum();
    let held = |holds: Holds| {
        let rows: Vec<u64> =
            targets.iter().filter(|target| target.holds == holds).map(|target| target.rows).collect();
        if rows.is_empty() {
            "-".to_owned()
        } else {
            format!("{} ({})", rows.len(), count(rows.iter().sum()))
        }
    };
    let holds = [Holds::Ours, Holds::OtherDefinition, Holds::Foreign, Holds::Unknown].map(held);
    [key.to_owned(), tables.to_string(), missing.to_string()].into_iter().chain(holds).collect()
}

impl Work {
    fn print(&self) -> io::Result<()> {
        let uncounted = match self.uncounted {
            0 => String::new(),
            some => format!(", not counting the rows of {}", plural(some, "partition")),
        };
        line(&format!(
            "{}, {} without features: about {} rows, {} to write with {}{uncounted}",
            plural(self.partitions, "partition"),
            self.missing,
            count(self.rows),
            bytes(self.write_bytes),
            plural(self.workers, "worker")
        ))?;
        if let Some(seconds) = self.seconds_min {
            line(&format!(
                "at least {} on the way to the server alone; storing takes longer",
                time(seconds)
            ))?;
        }
        if let Some(seconds) = self.seconds_as_last_run {
            line(&format!("about {} at the pace of the last run here", time(seconds)))?;
        }
        Ok(())
    }
}
