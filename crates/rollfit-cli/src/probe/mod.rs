//! `rollfit analyze --probe`: how fast machine, source and store are, measured in some seconds without a run, and what the
//! whole job would take.
//!
//! Holds true: nothing that was written stays. What cannot be measured is told and left out.

mod clock;
mod computing;
mod panel;
mod print;
mod source;

use std::time::{Duration, Instant};

use rollfit::Cpu;
use rollfit_job::error_chain;
use rollfit_job::panel::Panel;
use rollfit_job::spec::Spec;
use rollfit_job::speed::StoreSpeed;
use rollfit_job::store::{Fault, Sink, Source};
use rollfit_job::watch::{Machine, MachineLimits, MachineSample};
use rollfit_store::postgres::Purpose;

use self::computing::Computing;
use self::panel::{ROWS_OF_A_MONTH, Tiles, synthetic};
use self::source::{ReadingSpeed, Told};
use crate::args::{ConfigArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::{machine, open, output};

/// The format of the JSON document.
const FORMAT: u32 = 1;

/// How long the store is measured, about.
const STORE_TIME: Duration = Duration::from_secs(8);

/// What was measured, and what follows from it.
#[derive(serde::Serialize)]
pub(crate) struct Probe {
    format: u32,
    version: &'static str,
    /// The CPU path of the kernel.
    kernel: &'static str,
    machine: MachineLimits,
    /// How busy the machine was without a run.
    busy: MachineSample,
    job: Subject,
    computing: Computing,
    /// What computing was measured with.
    computed: String,
    reading: Option<ReadingSpeed>,
    store: Option<StoreSpeed>,
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
pub(crate) fn probe(global: &GlobalArguments, arguments: &ConfigArguments) -> Result<Exit, Failure> {
    let probe = Probe::measure(arguments)?;
    if global.json {
        output::json(&probe)?;
    } else {
        probe.print()?;
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
        let limits = machine.limits();
        let busy = machine.sample();
        let told = source::ask(&spec, source.as_ref(), sink.as_ref())?;
        let job = Subject::of(&spec, source.as_ref(), sink.as_ref(), &told);
        let Told { panel, reading, mut notes, .. } = told;
        // What follows is what others keep busy while nothing is asked of a store.
        machine.sample();
        let computed = if panel.is_some() { "rows of the source" } else { "made up rows" };
        let panel = panel.unwrap_or_else(|| synthetic(&spec, ROWS_OF_A_MONTH));
        let computing = computing::measure(&spec, sink.grouping(), &panel, threads(&limits));
        let written = write(&spec, sink.as_ref(), &panel, machine.as_ref(), &mut notes)?;
        let (store, store_cpu_us_per_row) = written.unzip();
        Ok(Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION"),
            kernel: Cpu::detect().name(),
            machine: limits,
            busy,
            job,
            computing,
            computed: computed.to_owned(),
            reading,
            store,
            store_cpu_us_per_row: store_cpu_us_per_row.flatten(),
            notes,
            took_s: began.elapsed().as_secs_f64(),
        })
    }
}

/// As many threads as can run at once.
fn threads(limits: &MachineLimits) -> usize {
    let whole = limits.cores_allowed.map(|cores| cores.ceil().max(1.0) as usize);
    whole.or(limits.cores).unwrap_or(1)
}

/// Hands features to the sink, and tells how fast it took them and, where the store works on this machine, its processor
/// time for a row. None where it cannot be measured.
fn write(
    spec: &Spec,
    sink: &dyn Sink,
    panel: &Panel,
    machine: &dyn Machine,
    notes: &mut Vec<String>,
) -> Result<Option<(StoreSpeed, Option<f64>)>, Failure> {
    let tiles = Tiles::of(spec, sink.grouping(), panel);
    let before = machine.sample();
    let began = Instant::now();
    let speed = match sink.measure(&tiles.tiles(), STORE_TIME) {
        Ok(speed) => speed,
        Err(error) if error.fault() == Fault::Unreachable => return Err(error.into()),
        Err(error) => {
            notes.push(format!("the store could not be measured: {}", error_chain(&error)));
            return Ok(None);
        }
    };
    let lasted_s = began.elapsed().as_secs_f64();
    let others = before.others_cores.zip(machine.sample().others_cores);
    let rows = speed.alone.rows + speed.together.map_or(0, |together| together.rows);
    let us_per_row = |(before, during): (f64, f64)| (during - before).max(0.0) * lasted_s * 1e6 / rows as f64;
    let is_seen = sink.is_local() == Some(true) && rows > 0;
    Ok(Some((speed, others.filter(|_| is_seen).map(us_per_row))))
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
