//! Views of features: whether a run would find them or may make them, and what is in their place.

use std::collections::BTreeSet;

use rollfit_job::config::Series;
use rollfit_job::store::{Examination, ReaderView, StoreError};
use tokio_postgres::types::Type;

use super::rights::{Lacking, Rights};
use super::{Findings, Problem, Target};
use crate::PostgresStore;
use crate::connection::session::SqlParameter;
use crate::names::{TableName, quoted};

impl PostgresStore {
    /// Adds to the obstacle of a partition what is in the place of its views.
    pub(super) fn examine_view(
        &self,
        target: &mut Target,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let view = self.reader_view_of(&target.partition);
        if let Some(ReaderView::Foreign(what)) = findings.found_out(view)? {
            let obstacle = target.obstacle.take();
            target.obstacle = Some(obstacle.map_or(what.clone(), |obstacle| format!("{obstacle}; {what}")));
        }
        Ok(())
    }

    /// Reports views that are to be replaced for those who use them, once the tables that they read are as they should be.
    pub(super) fn report_replacements(
        &self,
        targets: &[Target],
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        for target in targets.iter().filter(|target| target.obstacle.is_some()) {
            let partition = &target.partition;
            let found = self.in_snapshot(|session| self.view_replacements(session, partition));
            for (what, statements) in findings.found_out(found)?.unwrap_or_default() {
                findings.problem_once(Problem { what, statements });
            }
        }
        Ok(())
    }

    /// Checks that the role may read the views that are there: `rollfit verify` reads them.
    pub(super) fn check_view_rights(
        &self,
        examination: &Examination<'_>,
        rights: &Rights,
        lacking: &mut Lacking,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        const QUESTION: &str = "
            SELECT n.nspname::text, c.relname::text
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE (n.nspname = $1 AND c.relname = ANY($2) AND c.relkind = 'v'
                   OR n.nspname = $3 AND c.relname = ANY($4) AND c.relkind = 'p')
                AND NOT has_table_privilege(c.oid, 'SELECT') ORDER BY 2";
        let Some(views) = &self.views else { return Ok(()) };
        let names = |partition| self.view_names(views, partition).into_iter().map(|name| name.name);
        let names: BTreeSet<String> = examination.partitions.iter().flat_map(names).collect();
        let parents =
            |partition| self.series.iter().filter_map(move |series: &Series| series.parent_table(partition));
        let parents: BTreeSet<String> = examination.partitions.iter().flat_map(parents).collect();
        let (schema, names) = (views.schema(), names.into_iter().collect::<Vec<_>>());
        let parents: Vec<String> = parents.into_iter().collect();
        let parameters: [SqlParameter<'_>; 4] = [
            (&schema, Type::TEXT),
            (&names, Type::TEXT_ARRAY),
            (&self.schema, Type::TEXT),
            (&parents, Type::TEXT_ARRAY),
        ];
        let (rows, grants) = self.in_snapshot(|session| {
            let rows = session.rows("look up rights", QUESTION, &parameters)?;
            Ok((rows, self.lacking_grants(session, views, &[rights.role.as_str()])?))
        })?;
        for row in rows {
            lacking.add("", vec!["SELECT"], TableName::new(row.get(0)?, row.get(1)?));
        }
        if !grants.is_empty() {
            let role = &rights.role;
            findings.problem(
                format!("the role {role} may not use functions that views call, which rollfit verify reads"),
                grants,
            );
        }
        Ok(())
    }

    /// Checks that the role may make the views that are missing.
    pub(super) fn check_view_creation(
        &self,
        examination: &Examination<'_>,
        rights: &Rights,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        const QUESTION: &str = "
            SELECT n.nspname::text FROM pg_catalog.pg_namespace n
            WHERE n.nspname = ANY($1) AND NOT has_schema_privilege(n.oid, 'CREATE') ORDER BY 1";
        let Some(views) = &self.views else { return Ok(()) };
        let (mut missing, mut without_tables) = (0, 0);
        for partition in examination.partitions {
            let view = findings.found_out(self.reader_view_of(partition))?;
            let is_there = |series: &Series| rights.table(&series.features_table(partition)).is_some();
            match view {
                Some(ReaderView::Missing(_)) if self.series.iter().all(is_there) => missing += 1,
                Some(ReaderView::Missing(_)) => without_tables += 1,
                _ => {}
            }
        }
        if missing + without_tables == 0 {
            return Ok(());
        }
        if missing > 0 {
            findings.note(match missing {
                1 => "1 partition lacks views of its features: a run makes them".to_owned(),
                missing => format!("{missing} partitions lack views of their features: a run makes them"),
            });
        }
        // Whether it may make tables is checked beside this.
        let own = (without_tables == 0).then_some(self.schema.as_str());
        let schemas: BTreeSet<&str> = own.into_iter().chain([views.schema()]).collect();
        let schemas: Vec<&str> =
            schemas.into_iter().filter(|schema| without_tables == 0 || *schema != self.schema).collect();
        let parameters: [SqlParameter<'_>; 1] = [(&schemas, Type::TEXT_ARRAY)];
        let lacking = self.in_snapshot(|session| session.rows("look up rights", QUESTION, &parameters))?;
        for row in lacking {
            let (schema, role): (String, _) = (row.get(0)?, &rights.role);
            findings.problem(
                format!(
                    "the role {role} may not create functions and views in the schema {schema}; grant it, or have a role that \
                     may execute what `rollfit schema` prints"
                ),
                vec![format!("GRANT CREATE ON SCHEMA {} TO {}", quoted(&schema), quoted(role))],
            );
        }
        Ok(())
    }
}
