//! [`ViewAccess`]: who gets a new view. It is made like the view of its nearest sibling; else like the table of its name beside the tables of
//! fits, which it takes the place of; else like the view of another series of its partition; else it goes to those who read its table of
//! fits.
//!
//! Invariants: readers get the right to read, never one to write. Where a view reads with the rights of its reader, one that is made again
//! over a table of fits that was there before opens it to nobody: who may not read the table could not read the view before.

use rollfit_job::partition::Partition;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use super::Views;
use super::features_view::FeaturesView;
use crate::PostgresStore;
use crate::connection::session::{Session, SqlParameter};
use crate::ddl::model_lookups::Access;
use crate::names::TableName;
use crate::partitioning::catalog::FRESH_FOR;

/// The first of the names $2 in the schema $1 that a view has: a table of others tells nothing about readers of features.
const FIRST_VIEW: &str = "
    SELECT c.relname::text FROM unnest($2) WITH ORDINALITY w (name, place)
    JOIN pg_catalog.pg_class c ON c.relname = w.name AND c.relkind = 'v'
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1
    ORDER BY w.place LIMIT 1";

/// Of the table $2 in the schema $1: which of the roles $3 may read nothing of it, and whether it has just been made: in this transaction or,
/// if it is a parent, without a partition yet. No row where there is no such table yet.
const READABLE: &str = "
    SELECT ARRAY(SELECT r.name FROM unnest($3) r (name) WHERE NOT has_any_column_privilege(r.name, c.oid, 'SELECT')),
           CASE c.relkind WHEN 'p' THEN NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)
                ELSE c.xmin IS NOT DISTINCT FROM pg_current_xact_id_if_assigned()::xid END
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2";

/// Who gets a new view.
#[derive(Clone)]
pub(super) struct ViewAccess {
    pub(super) access: Access,
    /// Whether readers get the table of fits with it: they may read the table that it takes the place of, or the table of fits is new too.
    pub(super) is_new: bool,
}

impl ViewAccess {
    /// Returns it without those who could not read the table of fits, where a view reads with their rights.
    pub(super) fn readable(
        mut self,
        session: &mut Session,
        from: &TableName,
        has_invoker: bool,
    ) -> Result<Self, StoreError> {
        let roles: Vec<&str> = self.access.reader_names().collect();
        if self.is_new || !has_invoker || roles.is_empty() {
            return Ok(self);
        }
        let parameters: [SqlParameter<'_>; 3] =
            [(&from.schema, Type::TEXT), (&from.name, Type::TEXT), (&roles, Type::TEXT_ARRAY)];
        let rows = session.rows(&format!("look up who may use {from}"), READABLE, &parameters)?;
        match rows.first() {
            Some(row) if !row.get::<_, bool>(1)? => {
                self.access = self.access.without(&row.get::<_, Vec<String>>(0)?);
            }
            _ => self.is_new = true,
        }
        Ok(self)
    }
}

impl PostgresStore {
    /// Returns the owner and the readers that a new view should have, as they were a moment ago.
    pub(super) fn view_access(
        &self,
        session: &mut Session,
        views: &Views,
        (at, view): (usize, &FeaturesView),
        partition: &Partition,
    ) -> Result<ViewAccess, StoreError> {
        let kin = (at, partition.key.clone());
        let like_a_view = |access| Ok(ViewAccess { access, is_new: false });
        if let Some(sibling) = views.siblings_access.known(&kin, FRESH_FOR) {
            return like_a_view(sibling.as_ref().clone());
        }
        let siblings = self.siblings(session)?;
        let siblings = siblings.nearest_first(at, &partition.key);
        let months = siblings.iter().map(|sibling| sibling.partition_of(&partition.key));
        let names = months.filter_map(|month| self.view_names(views, &month).into_iter().nth(at));
        if let Some(access) = access_of_first(session, views, names, &view.name)? {
            views.siblings_access.note(&kin, access.clone());
            return like_a_view(access);
        }
        let deployed = self.table(&view.name.name);
        if deployed != view.name
            && let Some(access) = Access::find(session, &deployed)?
        {
            return Ok(ViewAccess { access: access.reading_only(), is_new: true });
        }
        let names = self.view_names(views, partition).into_iter();
        if let Some(access) = access_of_first(session, views, names, &view.name)? {
            return like_a_view(access);
        }
        like_a_view(Access::find(session, &view.from)?.unwrap_or_default().reading_only())
    }
}

/// Returns the owner and the readers of the first of some views that is there and is another one than `view`.
fn access_of_first(
    session: &mut Session,
    views: &Views,
    names: impl Iterator<Item = TableName>,
    view: &TableName,
) -> Result<Option<Access>, StoreError> {
    let names: Vec<String> = names.filter(|name| name != view).map(|name| name.name).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let parameters: [SqlParameter<'_>; 2] = [(&views.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    let rows = session.rows("look up views", FIRST_VIEW, &parameters)?;
    let Some(row) = rows.first() else { return Ok(None) };
    let access = Access::find(session, &TableName::new(&views.schema, &row.get::<_, String>(0)?))?;
    Ok(access.map(Access::without_writing))
}
