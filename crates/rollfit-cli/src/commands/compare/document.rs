//! [`CompareDocument`]: what a comparison found, as it is printed: by partition, and by feature over all partitions.

use rollfit_job::check::CheckOutcome;
use rollfit_job::compare::{Cell, Compared, MatchedRows, Tally};
use rollfit_job::config::{JobConfig, Series};
use rollfit_job::month::display_instant;
use rollfit_job::partition::Partition;

use super::super::checks;
use crate::exit::Exit;
use crate::share::Share;

/// One partition, as it is printed.
#[derive(serde::Serialize)]
pub(super) struct CompareLine {
    pub(super) partition: Partition,
    pub(super) verdict: &'static str,
    pub(super) cause: Option<String>,
    /// What of the definition has changed since the features were stored; none where nothing has, or where it is not known.
    pub(super) definition_change: Option<String>,
    pub(super) tables: Vec<TableLine>,
    #[serde(flatten)]
    pub(super) counts: Counts,
    pub(super) differences: Vec<String>,
}

/// The rows of one table.
#[derive(serde::Serialize)]
pub(super) struct TableLine {
    pub(super) series: Vec<String>,
    pub(super) rows: u64,
    pub(super) stored_only: u64,
    pub(super) first_stored_only: Option<String>,
    pub(super) computed_only: u64,
    pub(super) first_computed_only: Option<String>,
}

/// One feature of all partitions.
#[derive(serde::Serialize)]
pub(super) struct FeatureLine {
    pub(super) feature: String,
    pub(super) series: String,
    /// None for an included column, which has no window either.
    pub(super) metric: Option<&'static str>,
    pub(super) window: Option<String>,
    #[serde(flatten)]
    pub(super) counts: Counts,
    pub(super) worst: Option<Worst>,
}

#[derive(Clone, Default, serde::Serialize)]
pub(super) struct Counts {
    pub(super) bit_equal: u64,
    pub(super) within: u64,
    pub(super) undetermined: u64,
    pub(super) outside: u64,
    pub(super) one_sided: u64,
}

/// The cell with the largest distance.
#[derive(Clone, serde::Serialize)]
pub(super) struct Worst {
    pub(super) partition: Partition,
    pub(super) instant: String,
    #[serde(serialize_with = "number")]
    pub(super) stored: f64,
    #[serde(serialize_with = "number")]
    pub(super) computed: f64,
    /// None where no number says it: a value on one side only, or one that is not finite.
    pub(super) distance: Option<f64>,
    #[serde(skip)]
    pub(super) cell: Cell,
}

/// What a comparison found, as it is printed.
#[derive(serde::Serialize)]
pub(super) struct CompareDocument {
    pub(super) partitions: Vec<CompareLine>,
    pub(super) features: Vec<FeatureLine>,
    #[serde(flatten)]
    pub(super) counts: Counts,
    pub(super) clean: usize,
    pub(super) different: usize,
    pub(super) failed: usize,
    pub(super) absent: usize,
    /// Without features and without a row in any series.
    pub(super) empty: usize,
    /// Written by a later version of rollfit, which can compare them.
    pub(super) newer: usize,
    /// A file of others lies where their features are, so that nothing was compared.
    pub(super) blocked: usize,
    pub(super) skipped: usize,
    /// The shard that was compared; none where all partitions were.
    pub(super) shard: Option<Share>,
}

impl From<&Tally> for Counts {
    fn from(tally: &Tally) -> Self {
        let Tally { bit_equal, within, undetermined, outside, one_sided, .. } = *tally;
        Self { bit_equal, within, undetermined, outside, one_sided }
    }
}

impl CompareLine {
    fn new(config: &JobConfig, partition: &Partition, outcome: &CheckOutcome<Compared>) -> Self {
        let word = |compared: &Compared| if compared.is_clean() { "clean" } else { "different" };
        let (name, cause) = checks::verdict(outcome, word);
        let compared = outcome.checked();
        let table = |rows: &MatchedRows| TableLine::new(&config.series[rows.series.clone()], rows);
        Self {
            partition: partition.clone(),
            verdict: name,
            cause,
            definition_change: compared.and_then(|compared| compared.definition_change.clone()),
            tables: compared.map(|compared| compared.tables.iter().map(table).collect()).unwrap_or_default(),
            counts: compared.map(|compared| Counts::from(&compared.total())).unwrap_or_default(),
            differences: compared.map(|compared| compared.differences(config)).unwrap_or_default(),
        }
    }
}

impl TableLine {
    fn new(series: &[Series], rows: &MatchedRows) -> Self {
        Self {
            series: series.iter().map(|series| series.name.clone()).collect(),
            rows: rows.both,
            stored_only: rows.stored_only,
            first_stored_only: rows.first_stored_only_us.map(display_instant),
            computed_only: rows.computed_only,
            first_computed_only: rows.first_computed_only_us.map(display_instant),
        }
    }
}

/// Every feature, by its place among the columns.
fn features(
    config: &JobConfig,
    partitions: &[Partition],
    outcomes: &[CheckOutcome<Compared>],
) -> Vec<FeatureLine> {
    let compared: Vec<(&Partition, &Compared)> =
        partitions.iter().zip(outcomes).filter_map(|(at, outcome)| Some((at, outcome.checked()?))).collect();
    let line = |(at, (series, place)): (usize, (&Series, usize))| {
        let tallies = compared.iter().map(|(partition, compared)| (*partition, &compared.columns[at]));
        let metrics = series.metrics.len();
        let window = series.windows.get(place / metrics);
        FeatureLine {
            feature: series.columns[place].clone(),
            series: series.name.clone(),
            metric: window.map(|_| series.metrics[place % metrics].name()),
            window: window.map(|window| window.label.clone()),
            counts: total(tallies.clone().map(|(_, tally)| Counts::from(tally))),
            worst: worst(tallies.filter_map(Worst::from_tally)),
        }
    };
    let series = config.series.iter();
    let columns = series.flat_map(|series| (0..series.columns.len()).map(move |place| (series, place)));
    columns.enumerate().map(line).collect()
}

pub(super) fn total(counts: impl Iterator<Item = Counts>) -> Counts {
    counts.fold(Counts::default(), |total, counts| Counts {
        bit_equal: total.bit_equal + counts.bit_equal,
        within: total.within + counts.within,
        undetermined: total.undetermined + counts.undetermined,
        outside: total.outside + counts.outside,
        one_sided: total.one_sided + counts.one_sided,
    })
}

/// The first of those with the largest distance.
fn worst(all: impl Iterator<Item = Worst>) -> Option<Worst> {
    all.reduce(|worst, other| if other.cell.distance > worst.cell.distance { other } else { worst })
}

/// A number as JSON has it: null for no value, a word for what it has no number for.
fn number<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *number {
        number if number.is_nan() => serializer.serialize_none(),
        number if number.is_infinite() => serializer.serialize_str("not finite"),
        number => serializer.serialize_f64(number),
    }
}

impl Worst {
    fn from_tally((partition, tally): (&Partition, &Tally)) -> Option<Self> {
        let cell = tally.worst?;
        Some(Self {
            partition: partition.clone(),
            instant: display_instant(cell.instant_us),
            stored: cell.stored,
            computed: cell.computed,
            distance: Some(cell.distance).filter(|distance| distance.is_finite()),
            cell,
        })
    }
}

impl CompareDocument {
    pub(super) fn new(
        config: &JobConfig,
        partitions: &[Partition],
        outcomes: &[CheckOutcome<Compared>],
        shard: Option<Share>,
    ) -> Self {
        let lines: Vec<CompareLine> = partitions
            .iter()
            .zip(outcomes)
            .map(|(partition, outcome)| CompareLine::new(config, partition, outcome))
            .collect();
        let count = |verdict: &str| lines.iter().filter(|line| line.verdict == verdict).count();
        Self {
            features: features(config, partitions, outcomes),
            counts: total(lines.iter().map(|line| line.counts.clone())),
            clean: count("clean"),
            different: count("different"),
            failed: count("failed"),
            absent: count("absent"),
            empty: count("empty"),
            newer: count("newer"),
            blocked: count("blocked"),
            skipped: count("skipped"),
            partitions: lines,
            shard,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        Exit::from_partitions(
            self.skipped > 0,
            self.different + self.failed + self.blocked > 0,
            self.absent + self.newer > 0,
        )
    }
}

impl Counts {
    pub(super) fn differing(&self) -> u64 {
        self.within + self.undetermined + self.outside
    }
}
