//! [`StoredReceipt`]: the receipt of an output as found: joined with its definition, both held against their hashes.
//!
//! A receipt whose `definition` is an object is whole, whatever other columns say: so are those of earlier versions.

use rollfit_job::canonical_json::receipt_hash;
use rollfit_job::parsed_receipt::ParsedReceipt;
use rollfit_job::receipt::Receipt;
use rollfit_job::store::StoreError;
use serde_json::Value;
use tokio_postgres::types::Type;

use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, SqlParameter};
use crate::names::TableName;
use crate::tables::definitions::KnownDefinitions;

/// The tables of receipts and definitions, as far as they are there and can be read.
pub(crate) struct ReceiptTables<'a> {
    pub(crate) receipts: &'a TableName,
    /// Whether receipts have a digest; those of earlier versions have none.
    pub(crate) has_digest: bool,
    pub(crate) definitions: Definitions<'a>,
    pub(crate) known: &'a KnownDefinitions,
}

/// The table of definitions.
#[derive(Clone, Copy)]
pub(crate) enum Definitions<'a> {
    Readable(&'a TableName),
    /// The role has no right to read it.
    Unreadable(&'a TableName),
    Missing(&'a TableName),
}

/// The row of a receipt.
pub(crate) struct StoredReceipt {
    /// The receipt as the server prints it. A row that prints the same is the same.
    pub(crate) text: String,
    /// Its digest, as the row has it.
    pub(crate) digest: Option<String>,
    pub(crate) reading: Reading,
}

/// What a row says.
pub(crate) enum Reading {
    /// No receipt of rollfit.
    Nothing,
    /// A receipt that does not count, and why.
    Void(String),
    Receipt(Box<Receipt>),
    /// A receipt that a later version wrote, and what to do.
    Newer(String),
}

impl ReceiptTables<'_> {
    /// Returns the receipt of an output, if there is a row.
    pub(crate) fn read(
        &self,
        session: &mut Session,
        output: &str,
    ) -> Result<Option<StoredReceipt>, StoreError> {
        let known = self.known.hashes();
        let parameters: [SqlParameter<'_>; 2] = [(&output, Type::TEXT), (&known, Type::TEXT_ARRAY)];
        let rows = session.rows("read the receipt", &self.select(), &parameters)?;
        rows.first().map_or(Ok(None), |row| self.stored(output, row))
    }

    /// Returns the query of the receipt of the output $1. $2 are the definitions that need not be sent.
    pub(crate) fn select(&self) -> String {
        let digest = if self.has_digest { "r.digest" } else { "NULL::text" };
        let (definition, join) = match self.definitions {
            Definitions::Readable(table) => (
                "CASE WHEN d.hash = ANY($2) THEN '' ELSE d.definition::text END",
                format!("LEFT JOIN {} d ON d.hash = r.receipt ->> 'definition'", table.sql()),
            ),
            Definitions::Unreadable(_) | Definitions::Missing(_) => ("NULL::text", String::new()),
        };
        format!(
            "SELECT r.receipt::text AS receipt, {digest} AS digest, {definition} AS definition FROM {} r {join} \
             WHERE r.output = $1",
            self.receipts.sql()
        )
    }

    /// Returns the receipt in a row that begins with the columns of [`Self::select`]; none where they are NULL.
    pub(crate) fn stored(&self, output: &str, row: &AnswerRow) -> Result<Option<StoredReceipt>, StoreError> {
        let Some(text) = row.get::<_, Option<String>>(0)? else { return Ok(None) };
        let digest: Option<String> = row.get(1)?;
        let reading = self.reading(output, &text, digest.as_deref(), row.get(2)?);
        Ok(Some(StoredReceipt { text, digest, reading }))
    }

    pub(super) fn reading(
        &self,
        output: &str,
        text: &str,
        digest: Option<&str>,
        definition: Option<&str>,
    ) -> Reading {
        let Ok(mut json) = serde_json::from_str::<Value>(text) else { return Reading::Nothing };
        let joined = self.join(&mut json, digest, definition);
        match (ParsedReceipt::from_json(&json), joined) {
            // First, because a later version may have other hashes.
            (Ok(ParsedReceipt::Newer(what)), _) => Reading::Newer(what),
            (_, Err(cause)) => Reading::Void(cause),
            (Ok(ParsedReceipt::Known(receipt)), Ok(())) if receipt.output == output => {
                Reading::Receipt(receipt)
            }
            _ => Reading::Nothing,
        }
    }

    /// Puts the definition in the place of its hash. A receipt that holds its definition is left as it is.
    ///
    /// # Errors
    /// Why the receipt is void.
    fn join(&self, json: &mut Value, digest: Option<&str>, definition: Option<&str>) -> Result<(), String> {
        let Some(hash) = json.get("definition").and_then(Value::as_str) else { return Ok(()) };
        if !is_hash(hash) {
            return Err("its definition is no hash".to_owned());
        }
        let has_digest = digest == Some(receipt_hash(json).as_str());
        match self.definition(hash, definition) {
            Ok(definition) => json["definition"] = definition,
            Err(cause) => {
                // It is still told from one of a later version.
                if let Ok(unverified) = serde_json::from_str(definition.unwrap_or_default()) {
                    json["definition"] = unverified;
                }
                return Err(cause);
            }
        }
        if has_digest { Ok(()) } else { Err("its digest is not that of its JSON".to_owned()) }
    }

    /// Returns the definition with a hash, or why there is none.
    fn definition(&self, hash: &str, text: Option<&str>) -> Result<Value, String> {
        match (self.definitions, text) {
            (Definitions::Missing(table), _) => {
                Err(format!("{table}, which holds its definition, is missing"))
            }
            (Definitions::Unreadable(table), _) => {
                Err(format!("the role may not read {table}, which holds its definition"))
            }
            (Definitions::Readable(table), None) => Err(format!("its definition {hash} is not in {table}")),
            (Definitions::Readable(table), Some(text)) => match self.known.resolve(hash, text) {
                Some(definition) => Ok(definition.as_ref().clone()),
                None => Err(format!("the definition in the row {hash} of {table} is another one")),
            },
        }
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
