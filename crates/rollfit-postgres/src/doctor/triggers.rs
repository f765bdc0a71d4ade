//! Triggers and rules on the tables that a run writes.

use std::collections::BTreeMap;

use rollfit_job::store::StoreError;

use super::rights::names_text;
use super::{Examination, Findings};
use crate::PostgresStore;
use crate::names::TableName;
use crate::tables::trigger::Trigger;

impl PostgresStore {
    /// Notes the triggers and rules on features tables and receipts. They prevent nothing as long as they change
    /// nothing.
    pub(super) fn report_triggers(
        &self,
        examination: &Examination<'_>,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let features = examination
            .partitions
            .iter()
            .flat_map(|partition| self.series.iter().map(move |series| series.features_table(partition)));
        let tables: Vec<TableName> = features.map(|name| self.table(&name)).collect();
        let tables = tables.iter().chain([&self.receipts]);
        let found = self.in_snapshot(|session| Trigger::on(session, tables));
        let mut by_name: BTreeMap<String, Vec<TableName>> = BTreeMap::new();
        for Trigger { table, name } in findings.found_out(found)?.unwrap_or_default() {
            by_name.entry(name).or_default().push(table);
        }
        for (name, tables) in by_name {
            findings.note(format!(
                "{name} on {}: a run reads back what it wrote there before it commits, and fails if rows were kept or changed",
                names_text(&tables)
            ));
        }
        Ok(())
    }
}
