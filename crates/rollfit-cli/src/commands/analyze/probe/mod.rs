//! `rollfit analyze --probe`: how fast machine, source and store are, measured in some seconds without a run, and what the
//! whole job would take.
//!
//! Holds true: nothing that was written stays. What cannot be measured is told and left out.

mod clock;
mod computing;
mod panel;
mod print;
mod source;
mod store;

use std::time::Instant;

use rollfit::Cpu;
use rollfit_analysis::{Measured, Outlook};
use rollfit_job::spec::{Setting, Spec};
use rollfit_job::speed::StoreSpeed;
use rollfit_job::store::{Sink, Source};
use rollfit_job::watch::{MachineLimits, MachineSample};
use rollfit_store::postgres::Purpose;

use self::computing::Computing;
use self::panel::{ROWS_OF_A_MONTH, synthetic};
use self::source::{ReadingSpeed, Told};
use crate::args::{ConfigArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::{machine, open, output};

/// The format of the JSON document.
const FORMAT: u32 = 1;

/// What was measured, and what follows from it.
#[derive(serde::Serialize)]
struct Probe {
    format: u32,
    version: &'static str,
    /// The CPU path of the kernel.
    kernel: &'static str,
    machine: MachineLimits,
    /// How busy the machine was without a run.
    busy: MachineSample,
    job: Subject,
    /// How the job is to run, with where that was set.
    settings: Vec<Setting>,
    computing: Computing,
    reading: Option<ReadingSpeed>,
    store: Option<StoreSpeed>,
    /// What is to be expected of the job; none where the store could not be measured.
    outlook: Option<Outlook>,
    /// The store's processor time for a row, where it works on this machine and that could be seen.
    store_cpu_us_per_row: Option<f64>,
    /// What could not be measured or told, and why.
    notes: Vec<String>,
    took_s: f64,
}

/// What the job is about.
#[derive(serde::Serialize)]
struct Subject {
    source: String,
    sink: String,
    source_kind: &'static str,
    sink_kind: &'static str,
    sink_is_local: Option<bool>,
    sessions_max: Option<usize>,
    sessions_why: Option<String>,
    partitions: usize,
    /// About how many there are of all partitions; none where the source does not tell.
    rows: Option<u64>,
    series: usize,
    /// The fits of a row.
    fits: usize,
    /// The features of a row.
    features: usize,
}

/// Measures, and prints what was measured and what follows.
pub(super) fn probe(global: &GlobalArguments, arguments: &ConfigArguments) -> Result<Exit, Failure> {
    let probe = Probe::measure(arguments)?;
    if global.json {
        output::json(&probe)?;
    } else {
        output::lines(&print::render(&probe))?;
    }
    Ok(Exit::Done)
}

impl Probe {
    fn measure(arguments: &ConfigArguments) -> Result<Self, Failure> {
        let began = Instant::now();
        let machine = machine::here();
        let spec = open::spec(arguments)?;
        let stores = open::stores(&spec, Purpose::Write)?;
        let (source, sink) = (stores.source.source(), stores.sink.sink());
        let (limits, busy) = (machine.limits(), machine.sample());
        let mut told = source::ask(&spec, source.as_ref(), sink.as_ref())?;
        let panel = told.panel.take().unwrap_or_else(|| synthetic(&spec, ROWS_OF_A_MONTH));
        // From here on nothing is asked of a store until its turn.
        machine.sample();
        let computing = computing::measure(&spec, sink.grouping(), &panel, threads(&limits));
        let stored = store::measure(&spec, sink.as_ref(), &panel, machine.as_ref(), &mut told.notes)?;
        let mut probe = Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            kernel: Cpu::detect().name(),
            machine: limits,
            busy,
            job: Subject::of(&spec, source.as_ref(), sink.as_ref(), &told),
            settings: spec.run.settings(&spec.origins),
            computing,
            reading: told.reading,
            store_cpu_us_per_row: stored.as_ref().and_then(|stored| stored.cpu_us_per_row),
            store: stored.map(|stored| stored.speed),
            outlook: None,
            notes: told.notes,
            took_s: began.elapsed().as_secs_f64(),
        };
        let measured = probe.measured(told.rows_of_a_partition, stores.is_one);
        probe.outlook = measured.map(|measured| Outlook::of(&spec.run, &measured));
        Ok(probe)
    }

    /// What the time of the job follows from; none where the store could not be measured.
    fn measured(&self, rows_of_a_partition: Option<f64>, is_one_store: bool) -> Option<Measured> {
        let reading = self.reading.unwrap_or_default();
        let is_server = self.job.sessions_max.is_some();
        Some(Measured {
            machine: self.machine.clone(),
            busy: self.busy.clone(),
            partitions: self.job.partitions,
            rows_of_a_partition,
            computing_us_alone: self.computing.alone.cpu_us_per_row,
            computing_us_together: self.computing.together.cpu_us_per_row,
            threads: self.computing.together.threads,
            reading_cpu_us: reading.cpu_us_per_row,
            reading_wait_us: (reading.us_per_row - reading.cpu_us_per_row).max(0.0),
            store: self.store.clone()?,
            store_cpu_us: self.store_cpu_us_per_row.unwrap_or(0.0),
            reads_local_server: is_one_store && is_server && self.job.sink_is_local == Some(true),
            sessions_max: self.job.sessions_max,
        })
    }
}

/// As many threads as can run at once.
fn threads(limits: &MachineLimits) -> usize {
    let whole = limits.cores_allowed.map(|cores| cores.ceil().max(1.0) as usize);
    whole.or(limits.cores).unwrap_or(1)
}

impl Subject {
    fn of(spec: &Spec, source: &dyn Source, sink: &dyn Sink, told: &Told) -> Self {
        let partitions = told.partitions.len();
        let (sessions_max, sessions_why) = sink.sessions().unzip();
        Self {
            source: source.place(),
            sink: sink.place(),
            source_kind: source.kind(),
            sink_kind: sink.kind(),
            sink_is_local: sink.is_local(),
            sessions_max,
            sessions_why,
            partitions,
            rows: told.rows_of_a_partition.map(|rows| (rows * partitions as f64) as u64),
            series: spec.series.len(),
            fits: computing::fits(spec),
            features: spec.feature_count(),
        }
    }
}
