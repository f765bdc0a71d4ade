//! Turns a [`ServerReport`] into a [`Diagnosis`]: what the command prints, and the figures that it computes with.

use rollfit_job::config::RowSecurity;
use rollfit_job::few::few;
use rollfit_job::period::PeriodUnit;
use rollfit_job::store::Quantity::{BytesPerS, Count, Counted, Seconds};
use rollfit_job::store::{
    Diagnosis, Examination, Finding, Holds, PartitionFound, PeriodRows, StoreError, Words,
};

use super::{
    RestrictedTable, RowSecurityReport, ServerConnection, ServerReport, SourceTableReport, Target, Targets,
};
use crate::PostgresStore;

impl PostgresStore {
    /// See [`Store::diagnose`](rollfit_job::store::Store::diagnose).
    pub(crate) fn diagnosis(&self, examination: &Examination<'_>) -> Result<Diagnosis, StoreError> {
        self.examine(examination).map(ServerReport::into_diagnosis)
    }
}

impl ServerReport {
    fn into_diagnosis(self) -> Diagnosis {
        Diagnosis {
            place: format!("{}, schema {}", self.place, self.schema),
            findings: self.findings(),
            details: serde_json::to_value(&self).unwrap_or_default(),
            sessions: Some(self.sessions.sessions),
            upload_bytes_per_s: Some(self.connection.upload_bytes_per_second),
            source_rows: self.sources.iter().flat_map(period_rows).collect(),
            partitions: self.targets.iter().flat_map(|targets| &targets.partitions).map(found).collect(),
            last_run_rows_per_s: self
                .targets
                .as_ref()
                .and_then(|targets| Some(targets.last_run?.rows_per_second())),
            problems: self.problems,
            notes: self.notes,
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = connection_facts(&self.connection);
        findings.push(fact("sessions", self.sessions.arithmetic()));
        findings.extend(policies(&self.row_security).map(|text| fact("policies", text)));
        findings.extend(self.warnings.iter().map(|warning| fact("warning", warning)));
        if !self.sources.is_empty() {
            findings.push(sources_table(&self.sources));
        }
        findings.extend(self.targets.as_ref().map(targets_table));
        findings
    }
}

fn fact(name: &'static str, text: impl Into<String>) -> Finding {
    Finding::Fact(name, vec![text.into().into()])
}

fn connection_facts(connection: &ServerConnection) -> Vec<Finding> {
    let standby = if connection.is_standby { ", a standby" } else { "" };
    let superuser = if connection.is_superuser { ", a superuser" } else { "" };
    let tls =
        connection.tls.as_ref().map_or("none".to_owned(), |tls| format!("{}, {}", tls.version, tls.cipher));
    vec![
        fact("server", format!("PostgreSQL {}{standby}", connection.version)),
        fact("role", format!("{}{superuser}", connection.role)),
        fact("TLS", tls),
        fact("pooler", if connection.has_pooler { "yes" } else { "none noticed" }),
        Finding::Fact("round trip", vec![Seconds(connection.round_trip_ms / 1e3)]),
        Finding::Fact(
            "upload",
            vec![BytesPerS(connection.upload_bytes_per_second), " over one connection, not stored".into()],
        ),
    ]
}

/// Says where policies are accepted and which tables they may filter. Refused policies are a problem instead.
fn policies(report: &RowSecurityReport) -> Option<String> {
    if report.setting != RowSecurity::Apply.name() {
        return None;
    }
    let told = |table: &RestrictedTable| format!("{} ({})", table.table, few(&table.policies));
    let tables = match report.tables.as_slice() {
        [] => "none applies".to_owned(),
        [only] => format!("they apply to {}", told(only)),
        [first, .., last] => {
            format!("they apply to {} tables, {} to {}", report.tables.len(), told(first), told(last))
        }
    };
    Some(format!("accepted (row_security = \"apply\"), {tables}"))
}

fn sources_table(sources: &[SourceTableReport]) -> Finding {
    let column = |column: &Option<String>| vec![column.as_deref().unwrap_or("missing").into()];
    let table = |source: &SourceTableReport| match &source.key_column {
        Some(_) => format!("{} ({})", source.table, source.key),
        None => source.table.clone(),
    };
    let row = |source: &SourceTableReport| {
        vec![vec![table(source).into()], column(&source.time), column(&source.value), rows_of(source)]
    };
    let mut rows: Vec<Vec<Words>> = sources.iter().map(row).collect();
    // Series may share a column.
    rows.dedup();
    Finding::Table {
        headings: vec!["source table", "time", "value", "rows in the planned months"],
        rows,
        remark: String::new(),
    }
}

/// Formats the total of rows, and the minimum and maximum of a period.
fn rows_of(source: &SourceTableReport) -> Words {
    let Some(periods) = &source.periods else { return vec!["unknown".into()] };
    let rows = || periods.iter().map(|counted| counted.rows);
    let unit = periods.first().map_or(PeriodUnit::Month, |counted| counted.period.unit()).noun();
    vec![
        Count(rows().sum()),
        " in ".into(),
        Counted(periods.len() as u64, unit),
        ", ".into(),
        Count(rows().min().unwrap_or(0)),
        " to ".into(),
        Count(rows().max().unwrap_or(0)),
        " a ".into(),
        unit.into(),
    ]
}

/// One row per key, whose partitions are next to each other.
fn targets_table(targets: &Targets) -> Finding {
    let of_keys = targets.partitions.chunk_by(|one, other| one.partition.key == other.partition.key);
    let row_of =
        |of_key: &[Target]| target_row(of_key.first().map_or("", |target| &target.partition.key), of_key);
    let state = |is_there| if is_there { "is there" } else { "is missing" };
    let (receipts, definitions) = (state(targets.has_receipts), state(targets.has_definitions));
    Finding::Table {
        headings: vec!["features of", "tables", "missing", "ours", "other definition", "foreign", "unknown"],
        rows: of_keys.map(row_of).collect(),
        remark: format!(
            "(partitions, with their rows; rollfit_receipts {receipts}, rollfit_definitions {definitions})"
        ),
    }
}

fn target_row(key: &str, targets: &[Target]) -> Vec<Words> {
    let tables: usize = targets.iter().map(|target| target.tables).sum();
    let missing: usize = targets.iter().map(|target| target.tables_missing).sum();
    let held = |holds: Holds| -> Words {
        let rows: Vec<u64> =
            targets.iter().filter(|target| target.holds == holds).map(|target| target.rows).collect();
        match rows.len() {
            0 => vec!["-".into()],
            partitions => {
                vec![Count(partitions as u64), " (".into(), Count(rows.iter().sum()), ")".into()]
            }
        }
    };
    let holds = [Holds::Ours, Holds::OtherDefinition, Holds::Foreign, Holds::Unknown].map(held);
    [vec![key.into()], vec![Count(tables as u64)], vec![Count(missing as u64)]]
        .into_iter()
        .chain(holds)
        .collect()
}

fn period_rows(source: &SourceTableReport) -> impl Iterator<Item = PeriodRows> {
    let periods = source.periods.iter().flatten();
    periods.map(|counted| PeriodRows { key: source.key.clone(), period: counted.period, rows: counted.rows })
}

fn found(target: &Target) -> PartitionFound {
    PartitionFound {
        partition: target.partition.clone(),
        holds: target.holds,
        obstacle: target.obstacle.clone(),
    }
}
