//! `rollfit doctor`: looks at the stores of a job as a run would, and tells what stands in its way, each with what to do.
//!
//! Holds true: nothing is written. What was found is gathered first ([`Report`]) and printed afterwards.

mod blocked;
mod print;
mod work;

use std::collections::BTreeSet;

use rollfit_job::error_chain;
use rollfit_job::partition::{Partition, Selector};
use rollfit_job::patience::patiently;
use rollfit_job::plan::{PlanError, configured_partitions};
use rollfit_job::receipt::Definition;
use rollfit_job::spec::{Keys, Spec};
use rollfit_parquet::{ParquetStore, Unverified};
use rollfit_postgres::{Diagnosis, Examination, Problem, Purpose};

use self::blocked::Obstacles;
use self::work::Work;
use crate::args::{DoctorArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::open::{self, Store, Stores};
use crate::output;

/// What was found.
#[derive(serde::Serialize)]
struct Report {
    stores: Vec<StoreReport>,
    work: Work,
    /// Of all stores and of the job; empty where a run could start.
    problems: Vec<Problem>,
    notes: Vec<String>,
}

/// What was found out about one store.
#[derive(serde::Serialize)]
struct StoreReport {
    is_source: bool,
    is_sink: bool,
    #[serde(flatten)]
    findings: Findings,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Findings {
    Parquet(Directory),
    Postgres(Box<Diagnosis>),
}

/// A store of files.
#[derive(serde::Serialize)]
struct Directory {
    place: String,
    /// The keys that have a table of each series.
    keys: Vec<String>,
    /// The partitions that have features.
    partitions: usize,
    free_bytes: Option<u64>,
    #[serde(flatten)]
    unverified: Unverified,
}

/// The partitions that a run would be about, as far as they can be told.
struct Planned {
    keys: Vec<String>,
    partitions: Vec<Partition>,
    /// Why there are none.
    problem: Option<String>,
    /// What a store refused to tell.
    refusal: Option<String>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &DoctorArguments) -> Result<Exit, Failure> {
    let spec = open::spec(&arguments.config)?;
    let stores = open::stores(&spec, Purpose::Write)?;
    let planned = Planned::of(&spec, &stores, &arguments.only)?;
    let report = Report::of(&spec, &stores, &planned)?;
    if global.json {
        output::json(&report)?;
    } else {
        report.print()?;
    }
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

impl Planned {
    /// A store that does not tell what it holds is a finding, and those partitions are looked at that can be planned
    /// without.
    fn of(spec: &Spec, stores: &Stores, only: &[Selector]) -> Result<Self, Failure> {
        let (source, sink) = (stores.source.source(), stores.sink.sink());
        let plan = open::planned(spec, source.as_ref(), sink.as_ref(), only);
        let (partitions, problem, refusal) = match plan {
            Ok(partitions) => (partitions, None, None),
            Err(PlanError::Store(error)) => {
                let configured = configured_partitions(spec, source.as_ref(), sink.as_ref(), only);
                (configured.unwrap_or_default(), None, Some(error_chain(&error)))
            }
            Err(PlanError::Nothing(what)) if only.is_empty() => (Vec::new(), Some(what), None),
            Err(error) => return Err(error.into()),
        };
        let keys = match (&spec.keys, partitions.is_empty()) {
            (_, false) => in_order(&partitions),
            (Keys::Listed(keys), true) => keys.clone(),
            (Keys::All, true) => source.keys(&spec.series).unwrap_or_default(),
        };
        Ok(Self { keys, partitions, problem, refusal })
    }
}

/// The keys of partitions, each once.
fn in_order(partitions: &[Partition]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let keys = partitions.iter().map(|partition| &partition.key);
    keys.filter(|key| seen.insert((*key).clone())).cloned().collect()
}

impl Report {
    fn of(spec: &Spec, stores: &Stores, planned: &Planned) -> Result<Self, Failure> {
        let mut reports = vec![StoreReport::of(spec, &stores.source, planned, true, stores.is_one)?];
        if !stores.is_one {
            reports.push(StoreReport::of(spec, &stores.sink, planned, false, true)?);
        }
        let work = Work::of(spec, stores, planned, &reports);
        let diagnoses = || reports.iter().filter_map(StoreReport::diagnosis);
        let mut problems: Vec<Problem> =
            diagnoses().flat_map(|diagnosis| diagnosis.problems.clone()).collect();
        problems.extend(reports.iter().flat_map(StoreReport::faults).map(Problem::new));
        problems.extend(planned.problem.as_ref().map(Problem::new));
        // What keeps a store from telling its partitions is mostly found again, with what to do about it.
        let refusal = planned.refusal.as_ref().filter(|_| problems.is_empty());
        problems.extend(refusal.map(Problem::new));
        problems.extend(work.problem());
        let obstacles = Obstacles::new(spec, stores, &reports);
        problems.extend(obstacles.problems());
        let notes = diagnoses().flat_map(|diagnosis| diagnosis.notes.clone());
        let notes = notes.chain(work.notes(&reports)).chain(obstacles.notes()).collect();
        Ok(Self { stores: reports, work, problems, notes })
    }
}

impl StoreReport {
    fn of(
        spec: &Spec,
        store: &Store,
        planned: &Planned,
        is_source: bool,
        is_sink: bool,
    ) -> Result<Self, Failure> {
        let (keys, partitions) = (&planned.keys, &planned.partitions);
        let definition = &Definition::of(spec);
        let findings = match store {
            Store::Parquet(files) => {
                let sources: &[String] = if is_source { keys } else { &[] };
                Findings::Parquet(Directory::of(spec, store, files, sources, is_sink)?)
            }
            Store::Postgres(store) => {
                let examination = Examination { is_source, is_sink, keys, partitions, definition };
                Findings::Postgres(Box::new(patiently(|| store.diagnose(&examination))?))
            }
        };
        Ok(Self { is_source, is_sink, findings })
    }

    fn diagnosis(&self) -> Option<&Diagnosis> {
        match &self.findings {
            Findings::Parquet(_) => None,
            Findings::Postgres(diagnosis) => Some(diagnosis),
        }
    }
}

impl StoreReport {
    /// What is damaged or cannot be read in a directory.
    fn faults(&self) -> &[String] {
        match &self.findings {
            Findings::Parquet(directory) => &directory.unverified.faults,
            Findings::Postgres(_) => &[],
        }
    }
}

impl Directory {
    /// Looks at the source tables of `sources`, and at the features of a sink.
    fn of(
        spec: &Spec,
        store: &Store,
        files: &ParquetStore,
        sources: &[String],
        is_sink: bool,
    ) -> Result<Self, Failure> {
        let sink = store.sink();
        let partitions = sink.partitions()?;
        let mut unverified = Unverified::default();
        files.examine_sources(&spec.series, sources, &mut unverified);
        if is_sink {
            files.examine_features(&partitions, &mut unverified);
        }
        Ok(Self {
            place: sink.place(),
            keys: store.source().keys(&spec.series)?,
            partitions: partitions.len(),
            free_bytes: sink.free_bytes(),
            unverified,
        })
    }
}
