//! The features tables: which there are, what they hold and who wrote it, and what the role lacks to write them.

use rollfit_job::config::Series;
use rollfit_job::partition::Partition;
use rollfit_job::store::{Examination, Found, Holds, StoreError};

use super::Findings;
use super::rights::{Lacking, Rights};
use crate::PostgresStore;
use crate::connection::session::Session;
use crate::features::inspect::Inspection;
use crate::features::references::References;

/// What a run does with a features table that is there. The lock that keeps other writers out wants one of UPDATE, DELETE
/// and TRUNCATE.
const WRITE: [&str; 3] = ["SELECT", "INSERT", "DELETE"];
/// What a run does with the table of receipts.
const KEEP_RECEIPTS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// The features tables.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Targets {
    /// Whether there is a table of receipts.
    pub(crate) has_receipts: bool,
    /// What there is of each planned partition.
    pub(crate) partitions: Vec<Target>,
    /// How fast the last run wrote; none where the receipts do not tell.
    pub(crate) last_run: Option<LastRun>,
}

/// What there is of a partition.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Target {
    /// The partition.
    pub(crate) partition: Partition,
    /// The tables there are.
    pub(crate) tables: usize,
    /// The tables that a run would create.
    pub(crate) tables_missing: usize,
    /// What they hold.
    pub(crate) holds: Holds,
    /// The rows of each table: as the receipt says, or about as many as the server believes.
    pub(crate) rows: u64,
    /// Why, where that needs to be said.
    pub(crate) cause: Option<String>,
    /// What of others would be lost if its rows were replaced or removed.
    pub(crate) obstacle: Option<String>,
}

/// How fast the last run wrote, as its receipts tell.
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
    /// Rows a second of all workers together. What was done before the first commit is not timed, nor counted.
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
        self.check_rights(examination, rights, &mut lacking);
        self.check_creation(examination, rights, &mut lacking, findings)?;
        lacking.report(&rights.role, findings);
        self.report_owners(examination, rights, findings);
        self.report_triggers(examination, findings)?;
        let mut partitions = Vec::new();
        for partition in examination.partitions {
            partitions.push(self.examine_target(partition, examination, rights, findings)?);
        }
        findings.report_table_problems();
        let last_run = match rights.may_read(&self.receipts.name) {
            true => findings.found_out(self.in_snapshot(|session| self.last_run(session)))?.flatten(),
            false => None,
        };
        Ok(Targets { has_receipts: receipts.is_some(), partitions, last_run })
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
            let obstacle = References::find(session, &inspection.leaves)?.obstacle(session)?;
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

    /// What the catalogue alone says of a partition.
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

    /// Whether all can be read that tells who wrote a partition.
    fn may_inspect(&self, partition: &Partition, rights: &Rights) -> bool {
        let tables = self.series.iter().map(|series| series.features_table(partition));
        let mut there =
            tables.chain([self.receipts.name.clone()]).filter(|name| rights.table(name).is_some());
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
            Found::Foreign(what) => {
                target.holds = Holds::Foreign;
                target.cause = Some(what.clone());
                target.rows = self.foreign_rows(inspection, rights)?;
            }
        }
        Ok(())
    }

    /// About how many rows the tables have, the longest of them.
    fn foreign_rows(&self, inspection: &Inspection, rights: &Rights) -> Result<u64, StoreError> {
        let mut most = 0;
        for seen in inspection.leaves.iter().flatten().filter(|seen| seen.span.is_some()) {
            let name = &seen.leaf.name;
            let rows = match rights.table(&name.name).and_then(|table| table.estimated_rows) {
                Some(rows) => rows,
                None => self.in_snapshot(|session| {
                    let sql = format!("SELECT count(*) FROM {}", name.sql());
                    let rows = session.rows(&format!("count the rows of {name}"), &sql, &[])?;
                    Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
                })?,
            };
            most = most.max(rows);
        }
        Ok(most)
    }

    /// Without the owner's right to VACUUM and ANALYZE a run goes well, and the tables grow more than they need to.
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

    /// What the receipts of the last run say. Rows that were adopted were not written.
    fn last_run(&self, session: &mut Session) -> Result<Option<LastRun>, StoreError> {
        const PARTITIONS_MIN: i64 = 4;
        let receipts = self.receipts.sql();
        let sql = format!(
            "SELECT count(*), coalesce(sum(rows), 0)::bigint,
                    extract(epoch FROM max(written_at) - min(written_at))::float8
             FROM {receipts} WHERE receipt -> 'stored' -> 'adopted' IS NULL
                AND written_by = (SELECT written_by FROM {receipts} ORDER BY written_at DESC LIMIT 1)"
        );
        let rows = session.rows("read the receipts", &sql, &[])?;
        let told = rows
            .first()
            .and_then(|row| Some((row.get(0), row.get::<_, i64>(1), row.get::<_, Option<f64>>(2)?)));
        let enough = told.filter(|(partitions, _, seconds)| *partitions >= PARTITIONS_MIN && *seconds > 0.0);
        Ok(enough.map(|(partitions, rows, seconds): (i64, i64, f64)| LastRun {
            partitions: partitions.unsigned_abs(),
            rows: rows.unsigned_abs(),
            seconds,
        }))
    }
}
