//! The tables of receipts and definitions: those of an earlier version, and receipts without their definitions.

use rollfit_job::store::StoreError;

use super::Findings;
use super::rights::Rights;
use crate::PostgresStore;
use crate::connection::answer_row::first_value;
use crate::tables::receipts;
use crate::tables::table::describe;

impl PostgresStore {
    /// Reports receipts of an earlier version, and those whose definitions are gone with their table.
    pub(super) fn report_receipts(&self, rights: &Rights, findings: &mut Findings) -> Result<(), StoreError> {
        let names = std::slice::from_ref(&self.receipts.name);
        let tables =
            findings.found_out(self.in_snapshot(|session| describe(session, &self.schema, names)))?;
        let Some(table) = tables.and_then(|mut tables| tables.remove(&self.receipts.name)) else {
            return Ok(());
        };
        if let Some(what) = receipts::earlier_version(&table) {
            let statements = receipts::alter_sql(&table).into_iter().collect();
            findings.problem(format!("{what}: have its owner alter it"), statements);
            return Ok(());
        }
        let has_definitions = rights.table(&self.definitions.name).is_some();
        if !has_definitions && rights.may_read(&self.receipts.name) {
            self.report_lost_definitions(findings)?;
        }
        Ok(())
    }

    fn report_lost_definitions(&self, findings: &mut Findings) -> Result<(), StoreError> {
        let sql = format!("SELECT count(*) FROM {} WHERE digest IS NOT NULL", self.receipts.sql());
        let counted = self.in_snapshot(|session| session.rows("count the receipts", &sql, &[]));
        let rows = findings.found_out(counted)?.unwrap_or_default();
        let lost = first_value::<i64>(&rows)?.unwrap_or(0);
        if lost > 0 {
            findings.problem(
                format!(
                    "{} is missing, and with it the definitions of {lost} receipts: they are void, their partitions \
                     foreign; restore the table, or let rollfit make it and adopt the partitions",
                    self.definitions
                ),
                Vec::new(),
            );
        }
        Ok(())
    }
}
