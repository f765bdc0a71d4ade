//! The receipts of many outputs in one query.

use std::collections::HashMap;

use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::session::{Session, SqlParameter};
use crate::tables::stored_receipt::{Definitions, Reading, ReceiptTables};

impl ReceiptTables<'_> {
    /// Returns what the rows of these outputs say, by output. Those without a row aren't in it.
    pub(crate) fn read_all(
        &self,
        session: &mut Session,
        outputs: &[String],
    ) -> Result<HashMap<String, Reading>, StoreError> {
        let digest = if self.has_digest { "r.digest" } else { "NULL::text" };
        let (definition, join) = match self.definitions {
            Definitions::Readable(table) => (
                "CASE WHEN d.hash = ANY($2) THEN '' ELSE d.definition::text END",
                format!("LEFT JOIN {} d ON d.hash = r.receipt ->> 'definition'", table.sql()),
            ),
            Definitions::Unreadable(_) | Definitions::Missing(_) => ("NULL::text", String::new()),
        };
        let sql = format!(
            "SELECT r.output, r.receipt::text, {digest}, {definition} FROM {} r {join} WHERE r.output = ANY($1)",
            self.receipts.sql()
        );
        let known = self.known.hashes();
        let parameters: [SqlParameter<'_>; 2] = [(&outputs, Type::TEXT_ARRAY), (&known, Type::TEXT_ARRAY)];
        let used = if join.is_empty() { 1 } else { 2 };
        let rows = session.rows("read the receipts", &sql, &parameters[..used])?;
        let mut readings = HashMap::with_capacity(rows.len());
        for row in &rows {
            let (output, text): (String, String) = (row.get(0)?, row.get(1)?);
            let digest: Option<&str> = row.get(2)?;
            let reading = self.reading(&output, &text, digest, row.get(3)?);
            readings.insert(output, reading);
        }
        Ok(readings)
    }
}
