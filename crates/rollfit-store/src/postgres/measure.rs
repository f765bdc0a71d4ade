//! The speed of the server without a run: tables like those of a partition, made, filled and completed in transactions that
//! are taken back, by one session and by several at once.
//!
//! Holds true: nothing is left behind but the server's log of it. A role that may make tables has its tables logged, as a
//! run's are; one that may not has temporary ones, which are not, so that they show the most that the server could do.

use std::time::{Duration, Instant};

use rollfit_job::spec::TIME_COLUMN;
use rollfit_job::speed::StoreSpeed;
use rollfit_job::store::{FeatureTile, StoreError};
use tokio_postgres::types::Type;

use super::PostgresStore;
use super::encode::RowEncoder;
use super::leaf::Leaf;
use super::names::{TableName, list, quoted};
use super::pool::PooledSession;
use super::session::{Mode, Session};
use crate::stopwatch::{Stopwatch, micros};
use crate::trial::{BYTES_MAX, Trial, check_tiles, later_instants, speed};

/// The most sessions at once.
const SESSIONS_MAX: usize = 4;
const COMMITS: usize = 5;
/// What a new partition takes beside those that have tables: transactions, claim, receipt.
const ROUND_TRIPS: u64 = 10;
const ROUND_TRIPS_PER_SERIES: u64 = 14;
/// The share of the time that one session may take, and that several may.
const ALONE_SHARE: f64 = 0.35;
const TOGETHER_SHARE: f64 = 0.5;
/// The share of a session's time in which rows are handed over; the rest is for keys and statistics.
const WRITE_SHARE: f64 = 0.7;

/// The tables that are made to measure with.
struct Scratch<'a> {
    tables: Vec<ScratchTable<'a>>,
    /// `TEMPORARY ` where the role may make no others.
    kind: &'static str,
}

struct ScratchTable<'a> {
    tile: FeatureTile<'a>,
    leaf: Leaf,
    /// The columns in SQL: in a CREATE TABLE, and in a COPY.
    definition: String,
    columns: String,
}

impl PostgresStore {
    pub(super) fn measure_speed(
        &self,
        tiles: &[FeatureTile<'_>],
        time_max: Duration,
    ) -> Result<StoreSpeed, StoreError> {
        let columns: Vec<usize> = self.series.iter().map(|series| series.columns.len()).collect();
        check_tiles(tiles, &columns)?;
        let (mut session, connect) = self.pool.new_session()?;
        let (round_trip, _) = self.round_trip(&mut session)?;
        let (scratch, notes) = self.scratch(&mut session, tiles)?;
        let commit = self.time_of_commit(&mut session, &scratch)?;
        let alone = self.trial(&mut session, &scratch, time_max.mul_f64(ALONE_SHARE))?;
        drop(session);
        let together = self.trials(&scratch, time_max.mul_f64(TOGETHER_SHARE))?;
        Ok(StoreSpeed {
            connect_us: Some(micros(connect)),
            round_trip_us: Some(micros(round_trip)),
            round_trips: Some(ROUND_TRIPS + ROUND_TRIPS_PER_SERIES * self.series.len() as u64),
            alone: speed(&[alone]),
            together: (together.len() > 1).then(|| speed(&together)),
            commit_us: micros(commit),
            notes,
        })
    }

    /// Tables with the columns that new ones would have, and what there is to say about them.
    fn scratch<'a>(
        &self,
        session: &mut Session,
        tiles: &[FeatureTile<'a>],
    ) -> Result<(Scratch<'a>, Vec<String>), StoreError> {
        const MAY_CREATE: &str = "SELECT has_schema_privilege($1, 'CREATE')";
        let rows = session.rows("look what the role may do", MAY_CREATE, &[(&self.schema, Type::TEXT)])?;
        let is_logged = rows.first().is_some_and(|row| row.get(0));
        let mut tables = Vec::new();
        for (series, &tile) in self.series.iter().zip(tiles) {
            let (leaf, definition) = self.model_leaf(session, series)?;
            let columns = list(std::iter::once(TIME_COLUMN).chain(series.columns.iter().map(String::as_str)));
            tables.push(ScratchTable { tile, leaf, definition, columns });
        }
        let note = format!(
            "the role may not make tables in schema {}: measured with temporary ones, which are not logged, so that a run is slower",
            self.schema
        );
        let kind = if is_logged { "" } else { "TEMPORARY " };
        Ok((Scratch { tables, kind }, if is_logged { Vec::new() } else { vec![note] }))
    }

    /// The median time of a COMMIT.
    fn time_of_commit(&self, session: &mut Session, scratch: &Scratch<'_>) -> Result<Duration, StoreError> {
        let times: Result<Vec<Duration>, StoreError> =
            (0..COMMITS).map(|_| self.commit(session, scratch)).collect();
        let mut times = times?;
        times.sort();
        Ok(times[COMMITS / 2])
    }

    /// How long a COMMIT takes that makes something durable: a table that came and went, and all that was logged before.
    fn commit(&self, session: &mut Session, scratch: &Scratch<'_>) -> Result<Duration, StoreError> {
        let name = self.scratch_name(scratch);
        let statements = format!("CREATE {}TABLE {name} (); DROP TABLE {name}", scratch.kind);
        let written = session
            .begin(Mode::Write, &self.settings)
            .and_then(|()| session.execute("make a table to measure with", &statements));
        if let Err(error) = written {
            session.roll_back();
            return Err(error);
        }
        let stopwatch = Stopwatch::start();
        session.execute("commit", "COMMIT")?;
        Ok(stopwatch.wall())
    }

    /// A name that no other has who measures at the same time.
    fn scratch_name(&self, scratch: &Scratch<'_>) -> String {
        let name = format!("rollfit_measure_{:016x}", fastrand::u64(..));
        if scratch.kind.is_empty() { TableName::new(&self.schema, &name).sql() } else { quoted(&name) }
    }

    /// As many trials at once as there are sessions to have, four at most.
    fn trials(&self, scratch: &Scratch<'_>, time_max: Duration) -> Result<Vec<Trial>, StoreError> {
        let mut sessions = vec![self.pool.session()?];
        while sessions.len() < SESSIONS_MAX.min(self.budget.sessions) {
            match self.pool.spare_session(Duration::ZERO, self.reply_timeout()) {
                Ok(Some(session)) => sessions.push(session),
                Ok(None) | Err(_) => break,
            }
        }
        if sessions.len() == 1 {
            return Ok(Vec::new());
        }
        std::thread::scope(|scope| {
            let start =
                |mut session: PooledSession| scope.spawn(move || self.trial(&mut session, scratch, time_max));
            let threads: Vec<_> = sessions.into_iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(died()))).collect()
        })
    }

    fn trial(
        &self,
        session: &mut PooledSession,
        scratch: &Scratch<'_>,
        time_max: Duration,
    ) -> Result<Trial, StoreError> {
        session.begin(Mode::Write, &self.settings)?;
        let tried = self.try_tables(session, scratch, time_max.mul_f64(WRITE_SHARE));
        session.roll_back();
        let mut trial = tried?;
        // The log of rows that were taken back goes to disk with the next commit, as that of a partition with its own.
        trial.completed += self.commit(session, scratch)?;
        Ok(trial)
    }

    /// Fills the first table until its share of the time or of the bytes is over, and the others with as many rows.
    fn try_tables(
        &self,
        session: &mut Session,
        scratch: &Scratch<'_>,
        time_max: Duration,
    ) -> Result<Trial, StoreError> {
        let share = scratch.tables.len() as u32;
        let mut trial = Trial::default();
        let mut tiles = Tiles::Until(Instant::now() + time_max / share, BYTES_MAX / u64::from(share));
        for table in &scratch.tables {
            let name = self.scratch_name(scratch);
            let create = format!("CREATE {}TABLE {name} ({})", scratch.kind, table.definition);
            session.execute("make a table to measure with", &create)?;
            let stopwatch = Stopwatch::start();
            let (count, bytes) = fill(session, &name, table, &tiles)?;
            trial.written += stopwatch.lap();
            tiles = Tiles::Count(count);
            trial.rows = count * table.tile.rows() as u64;
            trial.bytes += bytes;
            trial.completed += complete(session, &name)?;
        }
        Ok(trial)
    }
}

/// How many tiles to hand over.
enum Tiles {
    /// Until then, and until there are so many bytes; one at least.
    Until(Instant, u64),
    Count(u64),
}

impl Tiles {
    fn wants_more_than(&self, count: u64, bytes: u64) -> bool {
        match self {
            Self::Until(end, bytes_max) => count == 0 || bytes < *bytes_max && Instant::now() < *end,
            Self::Count(tiles) => count < *tiles,
        }
    }
}

/// Copies tiles into a table; how many, and their bytes.
fn fill(
    session: &mut Session,
    name: &str,
    table: &ScratchTable<'_>,
    tiles: &Tiles,
) -> Result<(u64, u64), StoreError> {
    let sql = format!("COPY {name} ({}) FROM STDIN (FORMAT binary, FREEZE)", table.columns);
    let mut copy = session.copy_in("measure how fast rows are taken", &sql)?;
    let mut encoder = RowEncoder::new(table.leaf.features.clone());
    let (mut count, mut instants_us) = (0, Vec::new());
    while tiles.wants_more_than(count, encoder.bytes()) {
        later_instants(table.tile, count, &mut instants_us);
        let tile = FeatureTile { instants_us: &instants_us, ..table.tile };
        encoder.add(tile, |bytes| session.send(&mut copy, bytes))?;
        count += 1;
    }
    let rest = encoder.finish();
    session.send(&mut copy, rest)?;
    session.finish(copy)?;
    Ok((count, encoder.bytes()))
}

/// What a new table gets after its rows; how long that takes.
fn complete(session: &mut Session, name: &str) -> Result<Duration, StoreError> {
    let time = quoted(TIME_COLUMN);
    let stopwatch = Stopwatch::start();
    session.execute("measure a key", &format!("ALTER TABLE {name} ADD PRIMARY KEY ({time})"))?;
    session.execute("measure statistics", &format!("ANALYZE {name} ({time})"))?;
    Ok(stopwatch.wall())
}

fn died() -> StoreError {
    StoreError::permanent("a defect of rollfit stopped the measurement, please report it")
}
