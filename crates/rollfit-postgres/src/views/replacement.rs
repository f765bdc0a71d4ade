//! The statements that put the view that rollfit makes in the place of another one that roles own or read, for `rollfit doctor`: one
//! transaction, after which they own and read the new one.
//!
//! Invariants: a printed statement works when it is executed, or changes nothing. Nobody gets more than the right to read, and only who had
//! it. What a new view could not have, such as a rule or an object that depends on it, stays with the old one, which is renamed.

use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use super::Views;
use super::features_view::FeaturesView;
use super::look::{Relation, current_relations};
use crate::PostgresStore;
use crate::connection::session::{Session, SqlParameter};
use crate::names::{NAME_BYTES_MAX, quoted, start_of};

/// Of the view $2 in the schema $1: what gives one named $3 to its owner and readers, and whether columns of it are granted. Then whether
/// there is the table $4.
const KEPT: &str = "
    SELECT ARRAY(SELECT format('GRANT SELECT ON %s TO %s%s', $3,
                               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END,
                               CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
                 FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner AND a.privilege_type = 'SELECT' ORDER BY 1)
               || ARRAY(SELECT format('COMMENT ON VIEW %s IS %L', $3, text)
                        FROM obj_description(c.oid, 'pg_class') text WHERE text IS NOT NULL)
               || CASE WHEN pg_get_userbyid(c.relowner) = current_user THEN '{}'
                       ELSE ARRAY[format('ALTER VIEW %s OWNER TO %I', $3, pg_get_userbyid(c.relowner))] END,
           EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL),
           to_regclass($4) IS NOT NULL
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2";

impl PostgresStore {
    /// Returns, for each view of a partition that is another one than rollfit makes and that roles own or read, what to do about it and the
    /// statements that do it.
    ///
    /// # Errors
    /// When a query fails.
    pub(crate) fn view_replacements(
        &self,
        session: &mut Session,
        partition: &Partition,
    ) -> Result<Vec<(String, Vec<String>)>, StoreError> {
        let Some(views) = &self.views else { return Ok(Vec::new()) };
        let wanted = self.features_views(views, partition);
        let (found, functions) = (current_relations(session, views, &wanted)?, self.function_keys(views));
        let mut replacements = Vec::new();
        for view in &wanted {
            let relation = found.get(&view.name.name);
            if let Some(relation) = relation.filter(|relation| relation.is_others_view(view, &functions)) {
                replacements.extend(self.view_replacement(session, views, view, relation)?);
            }
        }
        Ok(replacements)
    }

    fn view_replacement(
        &self,
        session: &mut Session,
        views: &Views,
        view: &FeaturesView,
        relation: &Relation,
    ) -> Result<Option<(String, Vec<String>)>, StoreError> {
        let (name, sql, from) = (&view.name, view.name.sql(), view.from.sql());
        let parameters: [SqlParameter<'_>; 4] =
            [(&name.schema, Type::TEXT), (&name.name, Type::TEXT), (&sql, Type::TEXT), (&from, Type::TEXT)];
        let rows = session.rows(&format!("look up who may use {name}"), KEPT, &parameters)?;
        let Some(row) = rows.first() else { return Ok(None) };
        let old = format!("{}_old", start_of(&name.name, NAME_BYTES_MAX - "_old".len()));
        let rename = format!("ALTER VIEW {sql} RENAME TO {}", quoted(&old));
        if !row.get::<_, bool>(2)? {
            let what =
                format!("{name} is not the view that rollfit makes, and {} is not there yet", view.from);
            return Ok(Some((format!("{what}: rename it"), vec![rename])));
        }
        let may_go = relation.dependents.is_empty() && !row.get::<_, bool>(1)?;
        let away = if may_go { format!("DROP VIEW {sql}") } else { rename };
        let functions = self.current_functions(session, &views.functions)?;
        let mut statements = vec!["BEGIN".to_owned(), away];
        statements.extend(functions.missing.iter().map(|&at| views.functions[at].create.clone()));
        statements.push(view.create_sql(functions.has_invoker));
        statements.extend(row.get::<_, Vec<String>>(0)?);
        statements.push("COMMIT".to_owned());
        let what = format!(
            "{name} is not the view that rollfit makes of {}; this puts that in its place, for the same owner and readers",
            view.from
        );
        Ok(Some((what, statements)))
    }
}
