//! [`Work`]: what is done with a store in PostgreSQL.

use rollfit_bars::{Format, ReadOptions, merge, read_file};
use rollfit_job::config::{JobConfig, StoreConfig};
use rollfit_job::import::BarsOptions;
use rollfit_job::partition::Partition;
use rollfit_job::receipt::{Definition, Input, Receipt, Stored};
use rollfit_job::selection::Selection;
use rollfit_job::store::{
    Claim, Examination, FeatureTile, LatestQuery, Purpose, Sink, Source, Store, StoreError, StoreKind, Write,
};
use rollfit_postgres::{Postgres, PostgresStore};
use rollfit_testkit::market;

use crate::scratch::in_scratch;

/// How many there are.
pub(super) const WORKS: u8 = 5;

/// Enough for a row of every series.
const ROWS: usize = 24;

const HOUR_US: i64 = 60 * market::MINUTE_US;

pub(super) const KEY: &str = "k";
pub(super) const MONTH: &str = "2018-06";

#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// `plan`, `status`, `verify`.
    Read,
    /// `doctor`.
    Diagnose,
    /// `run`, without its workers.
    Write,
    /// `import`.
    Import,
    /// `status --store`, `init`, `run --follow` and runners that share a store.
    Watch,
}

impl Work {
    pub(super) const ALL: [(&str, Self); WORKS as usize] = [
        ("read", Self::Read),
        ("diagnose", Self::Diagnose),
        ("write", Self::Write),
        ("import", Self::Import),
        ("watch", Self::Watch),
    ];

    pub(super) fn from_byte(byte: u8) -> Self {
        Self::ALL[usize::from(byte % WORKS)].1
    }

    /// Does it.
    pub(super) fn run(self, url: &str) -> Result<(), StoreError> {
        let config = market::config(&[
            ("STORE__URL", url),
            ("RUN__JOIN_LOSS_MAX", "1"),
            ("RUN__RETRY_FOR_S", "0"),
            ("RUN__STATEMENT_TIMEOUT_S", "5"),
        ]);
        match self {
            Self::Read => open(&config, Purpose::Read).and_then(|store| read(&store, &config)),
            Self::Diagnose => open(&config, Purpose::Read).and_then(|store| diagnose(&store, &config)),
            Self::Write => open(&config, Purpose::Write).and_then(|store| write(&store, &config)),
            Self::Import => import(&config.source),
            Self::Watch => open(&config, Purpose::Read).and_then(|store| watch(&store, &config)),
        }
    }
}

fn open(config: &JobConfig, purpose: Purpose) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(&config.source, config, purpose)
}

fn partition() -> Partition {
    market::partition(KEY, MONTH)
}

fn read(store: &PostgresStore, config: &JobConfig) -> Result<(), StoreError> {
    let (series, partition) = (config.series_of_key(KEY), partition());
    let span_us = partition.period.span_us();
    store.tables()?;
    store.months(&series[0])?;
    store.estimate_rows(&series[0], partition.period)?;
    let mut snapshot = store.snapshot(&series, partition.period, 2)?;
    for at in 0..series.len() {
        let rows = snapshot.rows(at, span_us.clone())?;
        assert_eq!(rows.instants_us.len(), rows.values.len());
        snapshot.rows_before(at, span_us.end, 3)?;
    }
    drop(snapshot);
    store.partitions()?;
    store.found(&partition)?;
    store.obstacle(&partition)?;
    let mut reader = store.read(&partition)?;
    while let Some(tile) = reader.next_tile()? {
        assert_eq!(tile.values.len() % tile.rows(), 0);
    }
    Ok(())
}

fn diagnose(store: &PostgresStore, config: &JobConfig) -> Result<(), StoreError> {
    let definition = Definition::from_config(config);
    let (keys, partitions) = ([KEY.to_owned()], [partition()]);
    let only = Selection::default();
    let examination = Examination {
        is_source: true,
        is_sink: true,
        only: &only,
        keys: &keys,
        partitions: &partitions,
        definition: &definition,
    };
    store.diagnose(&examination)?;
    if let Some(mut monitor) = store.monitor() {
        drop(monitor.sample());
    }
    Ok(())
}

fn watch(store: &PostgresStore, config: &JobConfig) -> Result<(), StoreError> {
    let (series, partition) = (config.series_of_key(KEY), partition());
    let (span_us, partitions) = (partition.period.span_us(), [partition.clone()]);
    Postgres.survey(&config.source)?;
    store.heads(&series)?.into_iter().try_for_each(|head| head.map(drop))?;
    let query = LatestQuery { from_us: span_us.end - HOUR_US, count_from_us: Some(span_us.start) };
    let latest = store.latest(&series, query)?;
    assert!(latest.rows.iter().all(|rows| rows.instants_us.len() == rows.values.len()));
    store.check_followable(&series)?;
    store.holder(&series)?;
    store.start_in(&series, partition.period);
    store.runners(&partitions)?;
    store.clock_us()?;
    store.marks(&partitions)?;
    store.holdings(&partitions, true)?.into_iter().try_for_each(|holding| holding.map(drop))?;
    store.is_missing(&partition)?;
    store.look(&partition).map(drop)
}

fn write(store: &PostgresStore, config: &JobConfig) -> Result<(), StoreError> {
    let partition = partition();
    let Claim::Taken(mut slot) = store.claim(&partition, Write::Replace)? else { return Ok(()) };
    slot.found()?;
    slot.obstacle()?;
    slot.prepare()?;
    let start_us = partition.period.span_us().start;
    let instants_us: Vec<i64> = (0..ROWS as i64).map(|row| start_us + row * market::MINUTE_US).collect();
    let mut first_column = 0;
    for series in &config.series {
        let values = vec![0.5; ROWS * series.columns.len()];
        slot.write(FeatureTile { instants_us: &instants_us, first_column, values: &values })?;
        first_column += series.columns.len();
    }
    slot.flush()?;
    let input = Input {
        rows: ROWS as u64,
        lookback_rows: 0,
        first_us: instants_us.first().copied(),
        last_us: instants_us.last().copied(),
        digest: String::new(),
        lost_rows: vec![0; config.series.len()],
    };
    let stored = Stored { rows: ROWS as u64, ..Stored::default() };
    let (output, definition) = (store.output(&partition), Definition::from_config(config).into());
    slot.commit(&Receipt { output, definition, input, stored }).map(drop)
}

fn import(store: &StoreConfig) -> Result<(), StoreError> {
    let row = |row: usize| format!("20180604 17{row:02}00;1;1;1;1.{};0\n", row * 7919 % 101 + 100);
    let text: String = (0..ROWS).map(row).collect();
    let options = ReadOptions { key: Some(KEY.to_owned()), ..ReadOptions::new(Format::Histdata) };
    let file =
        in_scratch(|scratch| read_file(&scratch.write("bars.csv", text.as_bytes()), &options)).unwrap();
    let how = BarsOptions { base_from_us: None, rebase: false, replace: true };
    let mut import = Postgres.import_into(store, how)?;
    import.add(KEY, &merge(vec![file], false).unwrap()[KEY])?;
    import.commit()
}
