//! [`Guard`]: what the printed transaction checks once it has the locks: that tables, views, owners, grants and policies are those that were
//! seen when it was printed, and that the fits have every row of the deployed tables.

use std::collections::BTreeMap;

use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use super::exchange::Exchange;
use super::relation::TableBelow;
use super::rows;
use crate::connection::session::{Session, SqlParameter};
use crate::names::{TableName, literal};

/// A digest of what the catalogue says of the relation `s.name`, with its partitions where `s.has_parts`. It depends on no setting of
/// the session but `search_path`: expressions and queries count as they are kept.
const STATE: &str = "(SELECT encode(sha256(convert_to(jsonb_build_array(
         c.oid::text, c.relkind::text, c.relowner::text, c.relacl::text, c.relrowsecurity, c.relforcerowsecurity,
         CASE WHEN c.relkind = 'v' THEN c.reloptions::text END,
         (SELECT string_agg(w.ev_action::text, '') FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND c.relkind = 'v'),
         (SELECT jsonb_agg(jsonb_build_array(a.attname, a.atttypid::text, a.atttypmod, a.attacl::text) ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
         (SELECT jsonb_agg(jsonb_build_array(p.polcmd::text, p.polpermissive, p.polroles::text, p.polqual::text) ORDER BY p.polname)
          FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid),
         (SELECT jsonb_agg(t.relid::oid::text ORDER BY t.relid::oid) FROM pg_partition_tree(c.oid) t WHERE s.has_parts)
     )::text, getdatabaseencoding())), 'hex') FROM pg_catalog.pg_class c WHERE c.oid = to_regclass(s.name))";

/// What must not have changed.
pub(super) struct Guard {
    /// The deployed tables and the tables of fits, in SQL.
    locked: Vec<String>,
    /// Digests by relation, in SQL, and whether new partitions count.
    states: Vec<(String, bool, String)>,
    /// Deployed tables with the tables of their fits, in SQL.
    pairs: Vec<(String, String)>,
}

impl Guard {
    /// Looks at everything that is switched.
    pub(super) fn look(
        session: &mut Session,
        exchanges: &[Exchange],
        renamed: &[(TableName, u32)],
        below: &[TableBelow],
    ) -> Result<Self, StoreError> {
        // New partitions of the tables of fits only add rows.
        let mut wanted: BTreeMap<String, bool> = BTreeMap::new();
        let deployed = renamed.iter().map(|(table, _)| table.sql());
        wanted.extend(deployed.chain(below.iter().map(|table| table.name.sql())).map(|name| (name, true)));
        for exchange in exchanges {
            wanted.insert(exchange.fits.name.sql(), false);
        }
        let locked = wanted.keys().cloned().collect();
        wanted.extend(exchanges.iter().map(|exchange| (exchange.view.name.sql(), false)));
        let pairs = exchanges.iter().flat_map(|exchange| &exchange.tables);
        let pairs = pairs.map(|replaced| (replaced.table.name.sql(), replaced.fits.sql())).collect();
        Ok(Self { locked, states: states(session, &wanted)?, pairs })
    }

    /// The statements, which come before all others of the transaction. Readers do not wait for them.
    pub(super) fn statements(&self) -> Vec<String> {
        let states: Vec<String> = self
            .states
            .iter()
            .map(|(name, has_parts, digest)| format!("({}, {has_parts}, '{digest}')", literal(name)))
            .collect();
        let mut body = format!(
            "
DECLARE
  changed text; pair record; deployed bigint; fits bigint; lost bigint; first text; last text;
BEGIN
  SELECT string_agg(s.name, ', ') INTO changed FROM (VALUES
    {}
  ) s(name, has_parts, digest) WHERE s.digest IS DISTINCT FROM {STATE};
  IF changed IS NOT NULL THEN
    RAISE EXCEPTION 'changed since this was printed: %', changed USING HINT = 'Print it again with rollfit switch.';
  END IF;",
            states.join(",\n    ")
        );
        if !self.pairs.is_empty() {
            let pairs: Vec<String> = self
                .pairs
                .iter()
                .map(|(deployed, fits)| format!("({}, {})", literal(deployed), literal(fits)))
                .collect();
            body.push_str(&format!(
                "
  FOR pair IN SELECT * FROM (VALUES
    {}
  ) p(deployed, fits) LOOP
    EXECUTE format({}, pair.deployed, pair.fits) INTO deployed, fits, lost, first, last;
    IF lost > 0 OR deployed > fits THEN
      RAISE EXCEPTION '% has rows that % lacks', pair.deployed, pair.fits
        USING HINT = 'Run rollfit run, and print this again with rollfit switch.';
    END IF;
  END LOOP;",
                pairs.join(",\n    "),
                literal(&rows::comparison_sql("%1$s", "%2$s"))
            ));
        }
        body.push_str("\nEND\n");
        let tag = tag_for(&body);
        vec![
            "SET LOCAL search_path = ''".to_owned(),
            "SET LOCAL timezone = 'UTC'".to_owned(),
            "SET LOCAL row_security = off".to_owned(),
            format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", self.locked.join(", ")),
            format!("DO {tag}{body}{tag}"),
        ]
    }
}

/// A quote that the text does not contain, whatever the names in it.
fn tag_for(text: &str) -> String {
    let mut tag = "$rollfit".to_owned();
    while text.contains(&tag) {
        tag.push('_');
    }
    tag + "$"
}

fn states(
    session: &mut Session,
    wanted: &BTreeMap<String, bool>,
) -> Result<Vec<(String, bool, String)>, StoreError> {
    let query = format!("SELECT s.name, s.has_parts, {STATE} FROM unnest($1, $2) s(name, has_parts)");
    let names: Vec<&String> = wanted.keys().collect();
    let has_parts: Vec<bool> = wanted.values().copied().collect();
    let parameters: [SqlParameter<'_>; 2] = [(&names, Type::TEXT_ARRAY), (&has_parts, Type::BOOL_ARRAY)];
    let rows = session.rows("look at what is to be switched", &query, &parameters)?;
    rows.iter()
        .map(|row| {
            let name: String = row.get(0)?;
            let digest: Option<String> = row.get(2)?;
            let digest = digest.ok_or_else(|| StoreError::permanent(format!("{name} is gone: try again")))?;
            Ok((name, row.get(1)?, digest))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::tag_for;

    #[test]
    fn a_name_does_not_end_the_block() {
        assert_eq!(tag_for("SELECT \"a$rollfit$\""), "$rollfit_$");
        assert_eq!(tag_for("SELECT \"a$rollfit_$ $rollfit$\""), "$rollfit__$");
        assert_eq!(tag_for("SELECT 1"), "$rollfit$");
    }
}
