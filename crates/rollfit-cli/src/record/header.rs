//! [`header`]: what a run is, as the first line of its record says it.
//!
//! Invariants: nothing in it is a secret. Stores are described, their URLs are not repeated.

use std::path::Path;

use rollfit::Cpu;
use rollfit_job::config::{Origin, Series, Setting};
use rollfit_job::receipt::Definition;
use rollfit_job::record::{Header, format_by};

use crate::args::{RunArguments, SelectArguments};
use crate::machine::host_name;
use crate::open::OpenJob;
use crate::paths;

/// The option that names a job.
const NAME: &str = "--name";

/// The header of the run of this name, which starts now.
pub(crate) fn header(open: &OpenJob, arguments: &RunArguments, run: &str) -> Header {
    let (config, job) = (&open.config, open.job());
    let select = &arguments.select;
    let sessions = open.sink.sessions();
    Header {
        format: format_by(config.by),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run: run.to_owned(),
        follows: None,
        started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        host: host_name(),
        pid: std::process::id(),
        config: paths::full_name(&open.config_path).display().to_string(),
        options: Some(options(open, arguments)),
        job: job_digest(open),
        source: source_place(open),
        sink: sink_place(open),
        source_kind: open.source.kind().to_owned(),
        sink_kind: open.sink.kind().to_owned(),
        sink_is_local: open.sink.is_local(),
        server_cores: server_cores(open),
        shard: open.config.run.shard.map(|shard| shard.to_string()),
        partitions: open.share.as_ref().map_or(open.partitions.len(), |share| share.partitions) as u64,
        features: config.feature_count() as u64,
        fits: config.series.iter().map(|series| series.windows.len() as u64).sum(),
        kernel: Cpu::detect().name().to_owned(),
        machine: job.machine.limits(),
        sessions_max: sessions.as_ref().map(|(sessions, _)| *sessions as u64),
        sessions_why: sessions.map(|(_, why)| why),
        settings: settings(open, select),
    }
}

/// What the command line says beyond the configuration and the settings; files by their full names.
fn options(open: &OpenJob, arguments: &RunArguments) -> Vec<String> {
    let with_value = |name: &str, value: String| [name.to_owned(), value];
    let file = |path: &Path| paths::full(path).display().to_string();
    let mut options = arguments.select.selection.typed();
    options.extend(job_name(open, arguments).into_iter().flat_map(|name| with_value(NAME, name)));
    // Also where an array job gave it: who types the command has none.
    let shard = open.config.run.shard.or(arguments.select.shard).map(|shard| shard.to_string());
    options.extend(shard.into_iter().flat_map(|shard| with_value("--shard", shard)));
    options.extend(arguments.replace.iter().flat_map(|state| with_value("--replace", state.to_string())));
    options.extend(arguments.force.then(|| "--force".to_owned()));
    options.extend(arguments.continues.iter().flat_map(|run| with_value("--continue", run.clone())));
    options.extend(arguments.allow_skipped.allow_skipped.then(|| "--allow-skipped".to_owned()));
    options.extend((arguments.no_help && open.share.is_some()).then(|| "--no-help".to_owned()));
    options.extend(arguments.follow.then(|| "--follow".to_owned()));
    let poll_ms = arguments.poll_interval.map(|interval| format!("{}ms", interval.0.as_millis()));
    let stop_within = arguments.stop_within.map(|seconds| seconds.to_string());
    let metrics_file = arguments.metrics_file.as_deref().map(file);
    for (name, value) in
        [("--poll-interval", poll_ms), ("--stop-within", stop_within), ("--metrics-file", metrics_file)]
    {
        options.extend(value.into_iter().flat_map(|value| with_value(name, value)));
    }
    options
}

/// The name that the job has beyond its configuration: typed, or from the environment.
fn job_name(open: &OpenJob, arguments: &RunArguments) -> Option<String> {
    let origins = &open.config.origins;
    let is_variable = |section| matches!(origins.of_key_in(section, "name"), Origin::Variable(_));
    let is_given = arguments.select.job.name.is_some() || ["store", "sink"].into_iter().any(is_variable);
    open.config.sink.name.clone().filter(|_| is_given)
}

/// The name that a run's job had beyond its configuration.
pub(crate) fn given_name(header: &Header) -> Option<&str> {
    let options = header.options.as_deref()?;
    let at = options.iter().position(|option| option == NAME)?;
    options.get(at + 1).map(String::as_str)
}

/// The cores of the server that features go to: as configured, or those of this machine where it works here.
fn server_cores(open: &OpenJob) -> Option<f64> {
    // A store without sessions has no server.
    open.sink.sessions()?;
    let configured = open.config.sink.server.cores;
    let of_this_machine = || open.machine.limits().cores.filter(|_| open.sink.is_local() == Some(true));
    configured.or_else(|| of_this_machine().map(|cores| cores as f64))
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

/// The settings that the run has, a flag overrides file and environment.
fn settings(open: &OpenJob, arguments: &SelectArguments) -> Vec<Setting> {
    let mut settings = open.config.run.settings(&open.config.origins);
    let workers = settings.iter_mut().find(|setting| setting.name == "run.workers");
    if let (Some(given), Some(setting)) = (arguments.workers, workers) {
        setting.value = Some(given.to_string());
        setting.origin = Origin::Flag("--workers".to_owned());
    }
    if open.sink.sessions().is_some() {
        settings.extend(open.config.sink.server.settings(&open.config.origins));
    }
    settings
}

/// The same for every run of a job, whatever its partitions and settings.
pub(crate) fn job_digest(open: &OpenJob) -> String {
    digest_of(open, Definition::from_config(&open.config))
}

/// As [`job_digest`], and what it was with the definitions of these earlier versions.
pub(crate) fn job_digests(open: &OpenJob, versions: &[u32]) -> Vec<String> {
    let earlier = |&version| Definition { version, ..Definition::from_config(&open.config) };
    let earlier = versions.iter().map(|version| digest_of(open, earlier(version)));
    std::iter::once(job_digest(open)).chain(earlier).collect()
}

fn digest_of(open: &OpenJob, definition: Definition) -> String {
    let config = &open.config;
    let features_of = |series: &Series| series.features.as_ref().map(ToString::to_string).unwrap_or_default();
    let tables: Vec<String> = config
        .series
        .iter()
        .flat_map(|series| [series.table.to_string(), series.value.clone(), features_of(series)])
        .collect();
    let places = (source_place(open), sink_place(open), &config.sink.name);
    // What is made of strings and numbers can be written.
    let text = serde_json::to_vec(&(places, tables, definition)).unwrap_or_default();
    blake3::hash(&text).to_hex()[..32].to_owned()
}
