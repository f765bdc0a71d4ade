//! [`Opened`]: the store of a [`Workload`] opened in the test's own process, for what no command shows: the probe beside a run,
//! the times of partitions, the speed of the store.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rollfit_job::config::JobConfig;
use rollfit_job::partition::Partition;
use rollfit_job::store::Purpose;
use rollfit_job::store::StoreSample;
use rollfit_job::store::{Claim, FeatureTile, Sink, Slot, Write};
use rollfit_postgres::PostgresStore;

use crate::workload::Workload;

/// How long something may take on a busy machine before a test gives it up.
const PATIENCE: Duration = Duration::from_secs(60);

/// An open store, whose sessions have a name that no other test's have.
pub(crate) struct Opened {
    pub(crate) config: JobConfig,
    pub(crate) store: PostgresStore,
}

impl Opened {
    pub(crate) fn open(workload: &Workload<'_>) -> Self {
        Self::at(workload, &workload.database.url(), &[])
    }

    /// The store at another URL, with other settings, such as `("RUN__STORE_SESSIONS_MAX", "1")`.
    pub(crate) fn at(workload: &Workload<'_>, url: &str, settings: &[(&str, &str)]) -> Self {
        Self::with_purpose(workload, url, settings, Purpose::Write)
    }

    pub(crate) fn with_purpose(
        workload: &Workload<'_>,
        url: &str,
        settings: &[(&str, &str)],
        purpose: Purpose,
    ) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("opened {}", NEXT.fetch_add(1, Ordering::Relaxed));
        let join = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{join}application_name={}", name.replace(' ', "%20"));
        Self::with_url(workload, url, settings, purpose)
    }

    /// A store whose sessions have the name that rollfit gives them for this purpose.
    pub(crate) fn under_own_name(workload: &Workload<'_>, purpose: Purpose) -> Self {
        Self::with_url(workload, workload.database.url(), &[], purpose)
    }

    /// A store whose sessions have the name of a runner, by default that of this process.
    pub(crate) fn as_runner(workload: &Workload<'_>, name: Option<&str>) -> Self {
        let url = workload.database.url();
        let join = if url.contains('?') { '&' } else { '?' };
        let name = name.map(|name| format!("{join}application_name={}", name.replace(' ', "%20")));
        Self::with_url(workload, format!("{url}{}", name.unwrap_or_default()), &[], Purpose::Write)
    }

    fn with_url(workload: &Workload<'_>, url: String, settings: &[(&str, &str)], purpose: Purpose) -> Self {
        let text = std::fs::read_to_string(workload.sandbox.path("rollfit.toml")).unwrap();
        let variables = settings.iter().copied().chain([("STORE__URL", url.as_str())]);
        let variables = variables.map(|(name, value)| (format!("ROLLFIT_{name}"), value.to_owned()));
        let config = JobConfig::parse(&text, variables).unwrap();
        let store = PostgresStore::open(&config.sink.store, &config, purpose).unwrap();
        Self { config, store }
    }

    pub(crate) fn claim(&self, partition: &Partition) -> Box<dyn Slot + '_> {
        match self.store.claim(partition, Write::Replace).unwrap() {
            Claim::Taken(slot) => slot,
            Claim::Held(holder) | Claim::Rewrite(holder) => panic!("{holder} has it"),
        }
    }

    /// Hands over rows of the first series.
    pub(crate) fn write(&self, slot: &mut dyn Slot, partition: &Partition, rows: i64) {
        let start_us = partition.period.span_us().start;
        let instants_us: Vec<i64> = (0..rows).map(|row| start_us + row * 60_000_000).collect();
        let values = vec![0.5; instants_us.len() * self.config.series[0].columns.len()];
        slot.write(FeatureTile { instants_us: &instants_us, first_column: 0, values: &values }).unwrap();
    }
}

/// `eurusd 2017-01`, which every workload has.
pub(crate) fn first_partition() -> Partition {
    Partition::new("eurusd".to_owned(), "2017-01".parse().unwrap())
}

/// Samples until one is as it should be.
#[track_caller]
pub(crate) fn sample_until(
    mut sample: impl FnMut() -> Result<StoreSample, String>,
    is_right: impl Fn(&StoreSample) -> bool,
) -> StoreSample {
    let started = Instant::now();
    loop {
        let last = sample();
        match last {
            Ok(sample) if is_right(&sample) => return sample,
            last => assert!(started.elapsed() < PATIENCE, "{last:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
