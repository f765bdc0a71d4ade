//! Row-level security: the tables of the job whose policies apply to the role, and which of them prevent reading or
//! writing.

use std::collections::{BTreeMap, HashSet};

use rollfit_job::config::RowSecurity;

use super::rights::{Rights, names_text};
use super::{Examination, Findings, Problem};
use crate::PostgresStore;
use crate::names::TableName;
use crate::tables::applied_policies::AppliedPolicies;
use crate::tables::row_security::Accepting;

/// The configured handling of row-level security, and where it applies to the role.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct RowSecurityReport {
    /// `refuse` or `apply`.
    pub(crate) setting: &'static str,
    /// The tables of the job to which it applies.
    pub(crate) tables: Vec<RestrictedTable>,
}

/// A table on which policies apply to the role.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct RestrictedTable {
    /// The name, with its schema.
    pub(crate) table: String,
    /// The policies; empty if none is for the role, which hides every row.
    pub(crate) policies: Vec<String>,
}

/// Tables with the same problem: their policies, and the message.
type Alike = BTreeMap<(String, String), Vec<TableName>>;

impl PostgresStore {
    pub(super) fn examine_row_security(
        &self,
        examination: &Examination<'_>,
        rights: &Rights,
        findings: &mut Findings,
    ) -> RowSecurityReport {
        let mut tables = Vec::new();
        let mut problems = Alike::new();
        let mut add = |name: &str, accepting: Accepting, is_replaced: bool| {
            let Some(policies) = rights.table(name).and_then(|table| table.policies.as_ref()) else { return };
            let table = self.table(name);
            tables.push(RestrictedTable { table: table.to_string(), policies: policies.names.clone() });
            if let Some(remedies) = self.remedies(policies, accepting, is_replaced) {
                problems.entry((policies.describe(), remedies)).or_default().push(table);
            }
        };
        if examination.is_source {
            let of_key = |key: &String| self.series.iter().map(|series| series.table.for_key(key)).collect();
            let names = examination.keys.iter().flat_map::<Vec<String>, _>(of_key);
            // Keys and series may share a table.
            let mut seen = HashSet::new();
            let names = names.filter(|name| seen.insert(name.clone()));
            names.for_each(|name| add(&name, Accepting::Source, false));
        }
        if examination.is_sink {
            for partition in examination.partitions {
                let names = self.series.iter().map(|series| series.features_table(partition));
                names.for_each(|name| add(&name, Accepting::Sink, true));
            }
            add(&self.receipts.name, Accepting::Sink, false);
            add(&self.definitions.name, Accepting::Sink, false);
        }
        findings.problems.extend(problems.into_iter().map(|((what, remedies), tables)| {
            Problem::new(format!("{}: {what}; {remedies}", names_text(&tables)))
        }));
        RowSecurityReport { setting: self.settings.row_security.name(), tables }
    }

    /// Returns what to do about policies that prevent a run from using a table.
    fn remedies(
        &self,
        policies: &AppliedPolicies,
        accepting: Accepting,
        is_replaced: bool,
    ) -> Option<String> {
        match self.settings.row_security {
            RowSecurity::Refuse => Some(format!("{}, {}", policies.remedies(), accepting.setting())),
            RowSecurity::Apply if is_replaced => policies.keeps_from_replacing(),
            RowSecurity::Apply => None,
        }
    }
}
