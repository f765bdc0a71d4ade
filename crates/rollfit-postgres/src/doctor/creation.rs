//! Finds the rights that the role lacks to create missing tables: to read their models, create them, give them to the
//! owner of their siblings, and attach them to their parents.

use std::collections::{BTreeSet, HashSet};

use rollfit_job::config::Series;
use rollfit_job::partition::Partition;
use rollfit_job::store::{Fault, StoreError};
use tokio_postgres::types::Type;

use super::rights::{Lacking, Rights};
use super::{Examination, Findings};
use crate::PostgresStore;
use crate::connection::session::{Session, SqlParameter};
use crate::ddl::creation::Model;
use crate::names::quoted;
use crate::tables::table::RelationKind;

/// The rights for creating tables that the role lacks.
#[derive(Default)]
struct MissingRights {
    /// Roles that the role must be a member of.
    memberships: BTreeSet<String>,
    /// Roles that must be allowed to create tables, because they will own tables.
    creators: BTreeSet<String>,
}

impl PostgresStore {
    pub(super) fn check_creation(
        &self,
        examination: &Examination<'_>,
        rights: &Rights,
        lacking: &mut Lacking,
        findings: &mut Findings,
    ) -> Result<(), StoreError> {
        let mut wanted = MissingRights::default();
        let ours = [&self.receipts, &self.definitions];
        let mut makes_tables = ours.iter().any(|table| rights.table(&table.name).is_none());
        let mut known_kin = HashSet::new();
        for partition in examination.partitions {
            for series in &self.series {
                if rights.table(&series.features_table(partition)).is_some() {
                    continue;
                }
                makes_tables = true;
                if known_kin.insert((&series.name, &partition.key, series.parent_table(partition)))
                    && let Some(model) = self.usable_model(series, partition)?
                {
                    self.check_model(&model, partition, rights, lacking, &mut wanted)?;
                }
            }
        }
        if makes_tables && !rights.may_create {
            wanted.creators.insert(rights.role.clone());
        }
        wanted.report(&rights.role, &self.schema, findings);
        Ok(())
    }

    /// Returns the model of a missing table, if it can be used. Each partition reports why it cannot.
    fn usable_model(&self, series: &Series, partition: &Partition) -> Result<Option<Model>, StoreError> {
        let model = self.in_snapshot(|session| {
            let model = self.model(session, series, partition)?;
            self.creation_like(&model, series, partition)?;
            Ok(model)
        });
        match model {
            Ok(model) => Ok(Some(model)),
            Err(error) if error.fault() == Fault::Permanent => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn check_model(
        &self,
        model: &Model,
        partition: &Partition,
        rights: &Rights,
        lacking: &mut Lacking,
        wanted: &mut MissingRights,
    ) -> Result<(), StoreError> {
        let Some(like) = &model.like else { return Ok(()) };
        let parent = model.parent.as_ref().filter(|parent| parent.is_there).map(|parent| &parent.name.name);
        let names: Vec<String> = std::iter::once(&like.name.name).chain(parent).cloned().collect();
        self.in_snapshot(|session| {
            let held = self.rights_on_tables(session, &names)?;
            // If the job also writes this table, its missing rights, SELECT included, are reported there.
            let is_written = like.kind == RelationKind::Plain && rights.table(&like.name.name).is_some();
            if let Some(held) = held.get(&like.name.name).filter(|_| !is_written) {
                lacking.add(&partition.key, held.lacks(&["SELECT"]), like.name.clone());
            }
            let parent = parent.and_then(|parent| held.get(parent));
            wanted
                .memberships
                .extend(parent.filter(|parent| !parent.is_owner).map(|parent| parent.owner.clone()));
            model.owners().try_for_each(|owner| self.check_owner(session, owner, wanted))
        })
    }

    /// Notes what giving a table to `owner` requires.
    fn check_owner(
        &self,
        session: &mut Session,
        owner: &str,
        wanted: &mut MissingRights,
    ) -> Result<(), StoreError> {
        const QUESTION: &str = "
            SELECT pg_has_role(oid, 'MEMBER'), rolname = current_user OR has_schema_privilege(oid, $2, 'CREATE')
            FROM pg_catalog.pg_roles WHERE rolname = $1";
        let parameters: [SqlParameter<'_>; 2] = [(&owner, Type::TEXT), (&self.schema, Type::TEXT)];
        let rows = session.rows("look up the role's rights", QUESTION, &parameters)?;
        let Some(row) = rows.first() else { return Ok(()) };
        if !row.get::<_, bool>(0)? {
            wanted.memberships.insert(owner.to_owned());
        }
        if !row.get::<_, bool>(1)? {
            wanted.creators.insert(owner.to_owned());
        }
        Ok(())
    }
}

const INSTEAD: &str = "have a role that may execute what `rollfit schema` prints";

impl MissingRights {
    fn report(self, role: &str, schema: &str, findings: &mut Findings) {
        for creator in self.creators {
            findings.problem(
                format!(
                    "the role {creator} may not create tables in the schema {schema}; grant it, or {INSTEAD}"
                ),
                vec![format!("GRANT CREATE ON SCHEMA {} TO {}", quoted(schema), quoted(&creator))],
            );
        }
        for owner in self.memberships {
            findings.problem(
                format!(
                    "the role {role} is not a member of {owner}, which owns the new tables or their parents; grant it, or {INSTEAD}"
                ),
                vec![format!("GRANT {} TO {}", quoted(&owner), quoted(role))],
            );
        }
    }
}
