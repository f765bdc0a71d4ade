//! [`header`]: what a run is, as the first line of its record says it.
//!
//! Holds true: nothing in it is a secret. Stores are described, their URLs are not repeated.

use std::path::Path;

use rollfit::Cpu;
use rollfit_job::receipt::Definition;
use rollfit_job::record::{FORMAT, Header};
use rollfit_job::spec::{Origin, Setting};

use crate::args::SelectArguments;
use crate::logging;
use crate::open::OpenJob;
use crate::paths;

/// What the run of a job is that begins now.
pub(crate) fn header(open: &OpenJob, arguments: &SelectArguments) -> Header {
    let (spec, job) = (&open.spec, open.job());
    let config = &arguments.config.config;
    let sessions = open.sink.sessions();
    Header {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run: logging::run_id().to_owned(),
        started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid: std::process::id(),
        config: paths::full_name(config).display().to_string(),
        job: job_digest(open),
        source: source_place(open),
        sink: sink_place(open),
        source_kind: open.source.kind().to_owned(),
        sink_kind: open.sink.kind().to_owned(),
        sink_is_local: open.sink.is_local(),
        partitions: open.partitions.len() as u64,
        features: spec.feature_count() as u64,
        fits: spec.series.iter().map(|series| series.windows.len() as u64).sum(),
        kernel: Cpu::detect().name().to_owned(),
        machine: job.machine.limits(),
        sessions_max: sessions.as_ref().map(|(sessions, _)| *sessions as u64),
        sessions_why: sessions.map(|(_, why)| why),
        settings: settings(open, arguments),
    }
}

fn source_place(open: &OpenJob) -> String {
    place(open.source.kind(), open.source.place())
}

fn sink_place(open: &OpenJob) -> String {
    place(open.sink.kind(), open.sink.place())
}

/// The same directory has the same name from wherever a run was started.
fn place(kind: &str, place: String) -> String {
    if kind != "parquet" {
        return place;
    }
    paths::full(Path::new(&place)).display().to_string()
}

/// The settings that the run has, where a flag stands above file and environment.
fn settings(open: &OpenJob, arguments: &SelectArguments) -> Vec<Setting> {
    let mut settings = open.spec.run.settings(&open.spec.origins);
    let workers = settings.iter_mut().find(|setting| setting.name == "run.workers");
    if let (Some(given), Some(setting)) = (arguments.workers, workers) {
        setting.value = Some(given.to_string());
        setting.origin = Origin::Flag("--workers".to_owned());
    }
    settings
}

/// The same for every run of a job, whatever its partitions and settings.
pub(crate) fn job_digest(open: &OpenJob) -> String {
    let spec = &open.spec;
    let tables: Vec<String> = spec
        .series
        .iter()
        .flat_map(|series| [series.table.to_string(), series.value.clone(), series.features.to_string()])
        .collect();
    let places = (source_place(open), sink_place(open), &spec.sink.name);
    // What is made of strings and numbers can be written.
    let text = serde_json::to_vec(&(places, tables, Definition::of(spec))).unwrap_or_default();
    blake3::hash(&text).to_hex()[..32].to_owned()
}
