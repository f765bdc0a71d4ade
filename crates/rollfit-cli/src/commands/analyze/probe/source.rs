//! What the job is about, as far as the source tells: how many partitions, about how many rows, and how fast some of them
//! are read.

use rollfit_job::activity::Activity;
use rollfit_job::error_chain;
use rollfit_job::panel::Panel;
use rollfit_job::partition::Partition;
use rollfit_job::plan::PlanError;
use rollfit_job::spec::Spec;
use rollfit_job::store::{Sink, Source};

use super::clock::timed;
use crate::exit::Failure;
use crate::open::planned;

/// How many partitions are asked for their rows, and how many are read.
const ASKED: usize = 12;
const READ: usize = 3;

/// What the source tells.
#[derive(Default)]
pub(super) struct Told {
    /// The partitions of the job.
    pub(super) partitions: Vec<Partition>,
    /// The rows of a partition, on average; none where they cannot be told.
    pub(super) rows_of_a_partition: Option<f64>,
    pub(super) reading: Option<ReadingSpeed>,
    /// The last partition that was read, to measure with.
    pub(super) panel: Option<Panel>,
    /// What could not be told, and why.
    pub(super) notes: Vec<String>,
}

/// How fast a worker reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(super) struct ReadingSpeed {
    /// The partitions that were read to find out.
    pub(super) partitions: usize,
    pub(super) rows: u64,
    /// How long a row took, whatever the worker waited for.
    pub(super) us_per_row: f64,
    /// The processor time of this process for it.
    pub(super) cpu_us_per_row: f64,
}

/// Asks the source.
pub(super) fn ask(spec: &Spec, source: &dyn Source, sink: &dyn Sink) -> Result<Told, Failure> {
    let mut told = Told::default();
    match planned(spec, source, sink, &[]) {
        Ok(partitions) => told.partitions = partitions,
        Err(PlanError::Nothing(cause)) => told.notes.push(format!("no partitions to plan: {cause}")),
        Err(error) => return Err(error.into()),
    }
    told.estimate_rows(spec, source);
    told.read(spec, source);
    Ok(told)
}

impl Told {
    fn estimate_rows(&mut self, spec: &Spec, source: &dyn Source) {
        let rows_of = |partition: &Partition| {
            let series = spec.series.iter().map(|series| source.estimate_rows(series, partition));
            series.collect::<Result<Vec<u64>, _>>().map(|rows| rows.into_iter().min().unwrap_or(0))
        };
        let asked: Vec<_> = spread(&self.partitions, ASKED).map(rows_of).collect();
        let known: Vec<u64> = asked.iter().filter_map(|rows| rows.as_ref().ok().copied()).collect();
        match asked.into_iter().find_map(Result::err) {
            Some(error) if known.is_empty() => {
                self.notes.push(format!("the rows of a partition are not known: {}", error_chain(&error)));
            }
            _ if known.iter().sum::<u64>() > 0 => {
                self.rows_of_a_partition = Some(known.iter().sum::<u64>() as f64 / known.len() as f64);
            }
            _ if !self.partitions.is_empty() => {
                self.notes.push("the rows of a partition are not known: the source has none".to_owned());
            }
            _ => {}
        }
    }

    /// Reads some partitions, each once, as a run does.
    fn read(&mut self, spec: &Spec, source: &dyn Source) {
        let (mut wall_s, mut cpu_s, mut rows, mut count) = (0.0, 0.0, 0, 0);
        let mut cause = None;
        for partition in spread(&self.partitions, READ) {
            let (panel, took) =
                on_a_thread(|| timed(Activity::Reading, || Panel::read(source, spec, partition)));
            match panel {
                Ok(panel) if panel.rows() > 0 => {
                    (wall_s, cpu_s) = (wall_s + took.wall_s(), cpu_s + took.cpu_s());
                    (rows, count) = (rows + panel.rows() as u64, count + 1);
                    self.panel = Some(panel);
                }
                Ok(_) => {}
                Err(error) => cause = Some(error_chain(&error)),
            }
        }
        let per_row = |seconds: f64| seconds * 1e6 / rows as f64;
        self.reading = (rows > 0).then(|| ReadingSpeed {
            partitions: count,
            rows,
            us_per_row: per_row(wall_s),
            cpu_us_per_row: per_row(cpu_s),
        });
        if let (None, Some(cause)) = (&self.reading, cause) {
            self.notes.push(format!("no partition could be read: {cause}"));
        }
    }
}

/// Time is counted by thread, and on the main thread somebody else may count.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// So many of a list, evenly spread.
fn spread<T>(items: &[T], wanted: usize) -> impl Iterator<Item = &T> {
    let count = wanted.min(items.len());
    (0..count).map(move |at| &items[(2 * at + 1) * items.len() / (2 * count)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_of_many_are_spread_over_all() {
        let items: Vec<usize> = (0..336).collect();
        assert_eq!(spread(&items, 3).copied().collect::<Vec<_>>(), [56, 168, 280]);
        assert_eq!(spread(&items[..2], 12).copied().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(spread::<usize>(&[], 3).count(), 0);
    }
}
