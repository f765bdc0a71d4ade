//! `rollfit doctor`: checks the stores of a job as a run would use them, and lists each problem with what to do.
//!
//! Invariants: nothing is written. What was found is gathered first ([`Report`]) and printed afterwards.

mod bases;
mod blocked;
mod print;
mod work;

use std::collections::BTreeSet;

use rollfit_job::config::{JobConfig, Keys};
use rollfit_job::error_chain;
use rollfit_job::keys::FoundKeys;
use rollfit_job::partition::Partition;
use rollfit_job::plan::{PlanError, configured_partitions};
use rollfit_job::receipt::Definition;
use rollfit_job::selection::Selection;
use rollfit_job::store::{Diagnosis, Examination, Problem, Purpose, Store, StoreError};
use serde::ser::SerializeMap;

use self::blocked::Obstacles;
use self::work::Work;
use crate::args::{DoctorArguments, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::stores::Stores;
use crate::{open, output};

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
struct StoreReport {
    kind: &'static str,
    is_source: bool,
    is_sink: bool,
    diagnosis: Diagnosis,
}

impl serde::Serialize for StoreReport {
    /// The details of a store have the name of its kind.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("is_source", &self.is_source)?;
        map.serialize_entry("is_sink", &self.is_sink)?;
        map.serialize_entry(self.kind, &self.diagnosis.details)?;
        map.end()
    }
}

/// The partitions of a run, as far as they are known.
struct Planned {
    /// What was asked for.
    only: Selection,
    keys: Vec<String>,
    partitions: Vec<Partition>,
    /// Why there are none.
    problem: Option<String>,
    /// What a store refused to list.
    refusal: Option<String>,
}

pub(super) fn run(global: &GlobalArguments, arguments: &DoctorArguments) -> Result<Exit, Failure> {
    let config = open::config(&arguments.job)?;
    let stores = Stores::open(&config, Purpose::Write)?;
    let planned = Planned::new(&config, &stores, arguments.selection.selection()?)?;
    let report = Report::new(&config, &stores, &planned)?;
    output::document(global.json, &report, Report::print)?;
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

impl Planned {
    /// A store that does not list what it holds is a problem. The partitions that can be planned without it are checked.
    fn new(config: &JobConfig, stores: &Stores, only: Selection) -> Result<Self, Failure> {
        let (source, sink) = (stores.source(), stores.sink());
        let plan = open::planned(config, source.as_ref(), sink.as_ref(), &only);
        let (partitions, problem, refusal) = match plan {
            Ok(partitions) => (partitions, None, None),
            Err(PlanError::Store(error)) => {
                let configured = configured_partitions(config, source.as_ref(), sink.as_ref(), &only);
                (configured.unwrap_or_default(), None, Some(error_chain(&error)))
            }
            Err(PlanError::Nothing(what)) if only.is_all() => (Vec::new(), Some(what), None),
            Err(error) => return Err(error.into()),
        };
        let keys = match (&config.keys, partitions.is_empty()) {
            (_, false) => in_order(&partitions),
            (Keys::Listed(keys), true) => keys.clone(),
            (Keys::All, true) => FoundKeys::list(source.as_ref(), &config.series).unwrap_or_default().keys,
        };
        Ok(Self { only, keys, partitions, problem, refusal })
    }
}

/// The keys of partitions, each once.
fn in_order(partitions: &[Partition]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let keys = partitions.iter().map(|partition| &partition.key);
    keys.filter(|key| seen.insert((*key).clone())).cloned().collect()
}

impl Report {
    fn new(config: &JobConfig, stores: &Stores, planned: &Planned) -> Result<Self, Failure> {
        let source = stores.source_store();
        let mut reports = vec![StoreReport::new(config, source, planned, (true, stores.is_one))?];
        if !stores.is_one {
            reports.push(StoreReport::new(config, stores.sink_store(), planned, (false, true))?);
        }
        let work = Work::new(config, stores, planned, &reports);
        let diagnoses = || reports.iter().map(|report| &report.diagnosis);
        let mut problems: Vec<Problem> =
            diagnoses().flat_map(|diagnosis| diagnosis.problems.clone()).collect();
        problems.extend(planned.problem.as_ref().map(Problem::new));
        // The diagnosis mostly finds the same cause again, with what to do about it.
        let refusal = planned.refusal.as_ref().filter(|_| problems.is_empty());
        problems.extend(refusal.map(Problem::new));
        problems.extend(bases::problems(config, stores, planned));
        problems.extend(work.problem());
        let obstacles = Obstacles::new(config, stores, &reports);
        problems.extend(obstacles.problems());
        let notes = diagnoses().flat_map(|diagnosis| diagnosis.notes.clone());
        let notes = notes.chain(work.notes(&reports)).chain(obstacles.notes()).collect();
        Ok(Self { stores: reports, work, problems, notes })
    }
}

impl StoreReport {
    fn new(
        config: &JobConfig,
        store: &dyn Store,
        planned: &Planned,
        (is_source, is_sink): (bool, bool),
    ) -> Result<Self, StoreError> {
        let diagnosis = store.diagnose(&Examination {
            is_source,
            is_sink,
            only: &planned.only,
            keys: &planned.keys,
            partitions: &planned.partitions,
            definition: &Definition::from_config(config),
        })?;
        Ok(Self { kind: store.kind(), is_source, is_sink, diagnosis })
    }
}
