//! The statements that give a new view to those who will want it, see [`ViewAccess`].
//!
//! A view that reads with the rights of its reader needs more than a grant on itself: the table of fits, the schema of the functions, and
//! the functions, where these are not everybody's.

use rollfit_job::partition::Partition;
use rollfit_job::store::{Purpose, StoreError};
use tokio_postgres::types::Type;

use super::Views;
use super::features_view::FeaturesView;
use super::view_access::ViewAccess;
use super::view_function::ViewFunction;
use crate::PostgresStore;
use crate::connection::answer_row::{AnswerRow, first_value};
use crate::connection::session::{Session, SqlParameter};
use crate::names::quoted;

/// Whether somebody has decided who may execute new functions.
const DEFAULTS: &str = "SELECT EXISTS (SELECT FROM pg_catalog.pg_default_acl WHERE defaclobjtype = 'f')";

/// Which of the roles $2 may not use the schema $1, and which of the functions $3 there they may not execute.
const LACKING: &str = "
    SELECT r.name,
           NOT has_schema_privilege(r.name, n.oid, 'USAGE'),
           ARRAY(SELECT format('%I.%I(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)) FROM pg_catalog.pg_proc p
                 WHERE p.pronamespace = n.oid AND p.proname || '(' || oidvectortypes(p.proargtypes) || ')' = ANY($3)
                     AND p.prokind = 'f' AND NOT has_function_privilege(r.name, p.oid, 'EXECUTE') ORDER BY 1)
    FROM unnest($2) r (name), pg_catalog.pg_namespace n WHERE n.nspname = $1";

impl PostgresStore {
    /// Returns the statements that make a view and give it to those who will want it. The tables that it reads are there.
    pub(super) fn view_sql(
        &self,
        session: &mut Session,
        views: &Views,
        at: usize,
        partition: &Partition,
        view: &FeaturesView,
    ) -> Result<Vec<String>, StoreError> {
        let functions =
            views.functions_found.get(&(), || self.current_functions(session, &views.functions))?;
        let found = self.view_access(session, views, (at, view), partition)?;
        let ViewAccess { access, is_new } = found.readable(session, &view.from, functions.has_invoker)?;
        let mut statements = vec![view.create_sql(functions.has_invoker)];
        let mut given = access.clone();
        if given.owner.is_some() && !self.may_give_views_to(session, views, given.owner.as_deref())? {
            given.owner = None;
        }
        statements.extend(given.sql(&view.name));
        if functions.has_invoker && is_new {
            statements.extend(
                access.readers().map(|reader| format!("GRANT SELECT ON {} TO {reader}", view.from.sql())),
            );
        }
        Ok(statements)
    }

    /// Whether a new view can be given to `owner`: by whoever executes what is printed, or by the role of a run, which otherwise keeps it.
    /// Readers find the same.
    fn may_give_views_to(
        &self,
        session: &mut Session,
        views: &Views,
        owner: Option<&str>,
    ) -> Result<bool, StoreError> {
        const QUESTION: &str = "
            SELECT pg_has_role($1, 'MEMBER') AND has_schema_privilege($1, n.oid, 'CREATE')
                   OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
            FROM pg_catalog.pg_namespace n WHERE n.nspname = $2";
        if self.purpose != Purpose::Write {
            return Ok(true);
        }
        let parameters: [SqlParameter<'_>; 2] = [(&owner, Type::TEXT), (&views.schema, Type::TEXT)];
        let rows = session.rows("look up rights", QUESTION, &parameters)?;
        Ok(first_value(&rows)?.unwrap_or(false))
    }

    /// Returns the statements without which readers of a new view could not use what it calls.
    pub(super) fn reader_grants(
        &self,
        session: &mut Session,
        views: &Views,
        at: usize,
        partition: &Partition,
        view: &FeaturesView,
    ) -> Result<Vec<String>, StoreError> {
        let ViewAccess { access, .. } = self.view_access(session, views, (at, view), partition)?;
        let roles: Vec<&str> = access.reader_names().collect();
        let mut grants = self.lacking_grants(session, views, &roles)?;
        let missing =
            &views.functions_found.get(&(), || self.current_functions(session, &views.functions))?.missing;
        let is_decided = !missing.is_empty()
            && first_value(&session.rows("look up rights", DEFAULTS, &[])?)?.unwrap_or(false);
        for &at in missing.iter().filter(|_| is_decided) {
            let function = views.functions[at].signature();
            let grant =
                |reader| format!("GRANT EXECUTE ON FUNCTION {}.{function} TO {reader}", quoted(&self.schema));
            grants.extend(access.readers().map(grant));
        }
        Ok(grants)
    }

    /// Returns the statements without which these roles could not use what views call.
    pub(crate) fn lacking_grants(
        &self,
        session: &mut Session,
        views: &Views,
        roles: &[&str],
    ) -> Result<Vec<String>, StoreError> {
        let signatures: Vec<String> = views.functions.iter().map(ViewFunction::signature).collect();
        let parameters: [SqlParameter<'_>; 3] =
            [(&self.schema, Type::TEXT), (&roles, Type::TEXT_ARRAY), (&signatures, Type::TEXT_ARRAY)];
        let rows = session.rows("look up rights", LACKING, &parameters)?;
        let mut grants = Vec::new();
        for row in rows {
            grants.extend(self.grants_to(&row)?);
        }
        Ok(grants)
    }

    fn grants_to(&self, row: &AnswerRow) -> Result<Vec<String>, StoreError> {
        let name: String = row.get(0)?;
        let role = if name == "public" { "PUBLIC".to_owned() } else { quoted(&name) };
        let mut grants = Vec::new();
        if row.get::<_, bool>(1)? {
            grants.push(format!("GRANT USAGE ON SCHEMA {} TO {role}", quoted(&self.schema)));
        }
        let functions: Vec<String> = row.get(2)?;
        grants.extend(
            functions.iter().map(|function| format!("GRANT EXECUTE ON FUNCTION {function} TO {role}")),
        );
        Ok(grants)
    }
}
