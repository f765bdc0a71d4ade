//! The features tables: which exist, what they hold, who wrote it, and which rights the role lacks to write them.

use rollfit_job::config::Series;
use rollfit_job::partition::Partition;
use rollfit_job::store::{Examination, Found, Holds, StoreError};

use super::Findings;
use super::rights::{Lacking, Rights};
use crate::PostgresStore;
use crate::connection::answer_row::first_value;
use crate::connection::session::Session;
use crate::features::inspect::Inspection;
use crate::features::partition_look::PartitionLook;
use crate::features::references::References;

/// The rights that a run needs on an existing features table. The lock against other writers needs one of UPDATE,
/// DELETE and TRUNCATE.
const WRITE: [&str; 3] = ["SELECT", "INSERT", "DELETE"];
/// The rights that a run needs on the table of receipts.
const KEEP_RECEIPTS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];
/// The rights that a run needs on the table of definitions.
const ADD_DEFINITIONS: [&str; 2] = ["SELECT", "INSERT"];

/// The features tables.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Targets {
    /// Whether the table of receipts exists.
    pub(crate) has_receipts: bool,
    /// Whether the table of definitions exists.
    pub(crate) has_definitions: bool,
    /// The state of each planned partition.
    pub(crate) partitions: Vec<Target>,
    /// How fast the last run wrote; none if the receipts do not show it.
    pub(crate) last_run: Option<LastRun>,
}

/// The stored state of a partition.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Target {
    /// The partition.
    pub(crate) partition: Partition,
    /// The existing tables.
    pub(crate) tables: usize,
    /// The tables that a run would create.
    pub(crate) tables_missing: usize,
    /// What they hold.
    pub(crate) holds: Holds,
    /// The rows of each table: from the receipt, or the server's estimate.
    pub(crate) rows: u64,
    /// The reason, if one is needed.
    pub(crate) cause: Option<String>,
    /// Which rows of other tables would be lost if its rows were replaced or removed.
    pub(crate) obstacle: Option<String>,
}

/// How fast the last run wrote, from its receipts.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(crate) struct LastRun {
    /// The partitions that it wrote.
    pub(crate) partitions: u64,
    /// Their rows.
    pub(crate) rows: u64,
    /// From the first commit to the last.
    pub(crate) seconds: f64,
}

impl LastRun {
    /// Returns the rows per second of all workers together. Work before the first commit is neither timed nor
    /// counted.
    pub(crate) fn rows_per_second(&self) -> f64 {
        let timed_share = 1.0 - 1.0 / self.partitions as f64;
        timed_share * self.rows as f64 / self.seconds
    }
}

impl PostgresStore {
    pub(super) fn examine_targets(
        &self,
        examination: &Examination<'_>,
        rights: &Rights,
        findings: &mut Findings,
    ) -> Result<Targets, StoreError> {
        let receipts = rights.table(&self.receipts.name);
        let mut lacking = Lacking::default();
        if let Some(held) = receipts {
            lacking.add("", held.lacks(&KEEP_RECEIPTS), self.receipts.clone());
        }
        let definitions = rights.table(&self.definitions.name);
        if let Some(held) = definitions {
            lacking.add("", held.lacks(&ADD_DEFINITIONS), self.definitions.clone());
        }
        self.report_receipts(rights, findings)?;
        self.check_rights(examination, rights, &mut lacking);
        self.check_creation(examination, rights, &mut lacking, findings)?;
        self.check_view_creation(examination, rights, findings)?;
        self.check_view_rights(examination, rights, &mut lacking, findings)?;
        lacking.report(&rights.role, findings);
        self.report_owners(examination, rights, findings);
        self.report_triggers(examination, findings)?;
        let mut partitions = Vec::new();
        for partition in examination.partitions {
            let mut target = self.examine_target(partition, examination, rights, findings)?;
            self.examine_view(&mut target, findings)?;
            partitions.push(target);
        }
        findings.report_table_problems();
        self.report_replacements(&partitions, findings)?;
        let last_run = match rights.may_read(&self.receipts.name) {
            true => findings.found_out(self.in_snapshot(|session| self.last_run(session)))?.flatten(),
            false => None,
        };
        let (has_receipts, has_definitions) = (receipts.is_some(), definitions.is_some());
        Ok(Targets { has_receipts, has_definitions, partitions, last_run })
    }

    fn check_rights(&self, examination: &Examination<'_>, rights: &Rights, lacking: &mut Lacking) {
        for partition in examination.partitions {
            for series in &self.series {
                let name = series.features_table(partition);
                if let Some(held) = rights.table(&name) {
                    lacking.add(&partition.key, held.lacks(&WRITE), self.table(&name));
                }
            }
        }
    }

    fn examine_target(
        &self,
        partition: &Partition,
        examination: &Examination<'_>,
        rights: &Rights,
        findings: &mut Findings,
    ) -> Result<Target, StoreError> {
        let mut target = self.unseen(partition, rights);
        if target.tables == 0 {
            target.holds = Holds::Nothing;
            if let Err(error) = self.in_snapshot(|session| self.check_prospects(session, partition)) {
                findings.record_obstacle(&mut target, error)?;
            }
            return Ok(target);
        }
        if !self.may_inspect(partition, rights) {
            target.cause =
                Some("the role may not read its tables or the receipts, or not all of their rows".to_owned());
            return Ok(target);
        }
        let inspection = self.in_snapshot(|session| {
            let inspection = self.inspect(session, partition)?;
            let mut look = PartitionLook::default();
            let references = References::find(session, &inspection.leaves, &mut look)?;
            let obstacle = references.obstacle(session, &mut look)?;
            Ok((inspection, obstacle))
        });
        match inspection {
            Ok((inspection, obstacle)) => {
                target.obstacle = obstacle;
                self.describe_inspection(&mut target, &inspection, examination, rights)?;
            }
            Err(error) => findings.record_obstacle(&mut target, error)?,
        }
        Ok(target)
    }

    /// Returns what the catalogue alone shows about a partition.
    fn unseen(&self, partition: &Partition, rights: &Rights) -> Target {
        let is_there = |series: &&Series| rights.table(&series.features_table(partition)).is_some();
        let tables = self.series.iter().filter(is_there).count();
        Target {
            partition: partition.clone(),
            tables,
            tables_missing: self.series.len() - tables,
            holds: Holds::Unknown,
            rows: 0,
            cause: None,
            obstacle: None,
        }
    }

    /// Returns whether everything that shows who wrote a partition is readable.
    fn may_inspect(&self, partition: &Partition, rights: &Rights) -> bool {
        let tables = self.series.iter().map(|series| series.features_table(partition));
        let ours = [self.receipts.name.clone(), self.definitions.name.clone()];
        let mut there = tables.chain(ours).filter(|name| rights.table(name).is_some());
        there.all(|name| rights.may_read(&name))
    }

    fn describe_inspection(
        &self,
        target: &mut Target,
        inspection: &Inspection,
        examination: &Examination<'_>,
        rights: &Rights,
    ) -> Result<(), StoreError> {
        match &inspection.found {
            Found::Nothing => target.holds = Holds::Nothing,
            Found::Ours(receipt) => {
                target.rows = receipt.stored.rows;
                target.cause = receipt.definition.difference(examination.definition);
                target.holds = if target.cause.is_none() { Holds::Ours } else { Holds::OtherDefinition };
            }
            Found::Newer(what) => {
                target.holds = Holds::Newer;
                target.cause = Some(what.clone());
            }
            Found::Foreign(what) | Found::Blocked(what) => {
                target.holds = Holds::Foreign;
                target.cause = Some(what.clone());
                target.rows = self.foreign_rows(inspection, rights)?;
            }
        }
        Ok(())
    }

    /// Returns the estimated number of rows of the longest table.
    fn foreign_rows(&self, inspection: &Inspection, rights: &Rights) -> Result<u64, StoreError> {
        let mut most = 0;
        for seen in inspection.leaves.iter().flatten().filter(|seen| seen.span.is_some()) {
            let name = &seen.leaf.name;
            let rows = match rights.table(&name.name).and_then(|table| table.estimated_rows) {
                Some(rows) => rows,
                None => self.in_snapshot(|session| {
                    let sql = format!("SELECT count(*) FROM {}", name.sql());
                    let rows = session.rows(&format!("count the rows of {name}"), &sql, &[])?;
                    Ok(first_value::<i64>(&rows)?.map_or(0, i64::unsigned_abs))
                })?,
            };
            most = most.max(rows);
        }
        Ok(most)
    }

    /// Without the owner's right to VACUUM and ANALYZE a run succeeds, but the tables grow more than necessary.
    fn report_owners(&self, examination: &Examination<'_>, rights: &Rights, findings: &mut Findings) {
        let tables = examination
            .partitions
            .iter()
            .flat_map(|partition| self.series.iter().map(move |series| series.features_table(partition)));
        let others = tables.filter(|name| rights.table(name).is_some_and(|table| !table.is_owner)).count();
        if others > 0 {
            findings.note(format!(
                "{others} features tables have another owner: a run cannot VACUUM and ANALYZE them and leaves that to \
                 autovacuum"
            ));
        }
    }

    /// Returns the figures from the receipts of the last run. What `adopt` has compared counts for no run: of rows of this name
    /// that others wrote, no time is known.
    fn last_run(&self, session: &mut Session) -> Result<Option<LastRun>, StoreError> {
        const PARTITIONS_MIN: i64 = 4;
        let receipts = self.receipts.sql();
        let sql = format!(
            "SELECT count(*), coalesce(sum(rows), 0)::bigint,
                    extract(epoch FROM max(written_at) - min(written_at))::float8
             FROM {receipts} WHERE written_by = (
                SELECT written_by FROM {receipts} WHERE receipt -> 'stored' -> 'adopted' IS NULL
                ORDER BY written_at DESC LIMIT 1)
             HAVING bool_and(receipt -> 'stored' -> 'adopted' IS NULL)"
        );
        let rows = session.rows("read the receipts", &sql, &[])?;
        let told = match rows.first() {
            Some(row) => row.get::<_, Option<f64>>(2)?.zip(Some((row.get(0)?, row.get(1)?))),
            None => None,
        };
        let enough =
            told.filter(|(seconds, (partitions, _))| *partitions >= PARTITIONS_MIN && *seconds > 0.0);
        Ok(enough.map(|(seconds, (partitions, rows)): (f64, (i64, i64))| LastRun {
            partitions: partitions.unsigned_abs(),
            rows: rows.unsigned_abs(),
            seconds,
        }))
    }
}
