//! [`JoinLoss`]: what the join of a partition's series loses, where that is more than the configuration allows.
//!
//! Rows before another series' first instant of all do not count: a series that is made of another one starts later.

use crate::config::{JobConfig, Series};
use crate::partition::Partition;
use crate::store::Source;

/// The rows of one series that another series lacks, of the series that loses the largest share.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JoinLoss {
    /// The series that loses rows.
    pub series: String,
    /// How many it loses.
    pub lost_rows: u64,
    /// How many it has in the partition, those before another series' first instant and pending ones aside.
    pub rows: u64,
    /// The series that lack rows that it loses.
    pub lacking: Vec<String>,
}

impl JoinLoss {
    /// The lost share of the rows, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.lost_rows as f64 / (self.rows as f64).max(1.0)
    }
}

/// The instants of each series of a partition, and those that all of them have.
pub(crate) struct Sides {
    /// Of each series, in microseconds since 1970, rising.
    pub(crate) instants_us: Vec<Vec<i64>>,
    /// Of the join.
    pub(crate) joined_us: Vec<i64>,
    /// Those that wait for a series, see [`Pending`](crate::pending::Pending): no loss, and not counted as rows.
    pub(crate) pending_us: Vec<i64>,
}

impl Sides {
    /// The largest loss of a series, where it is above `join_loss_max`. No snapshot of the source may be open.
    pub(crate) fn join_loss(
        &self,
        source: &dyn Source,
        config: &JobConfig,
        partition: &Partition,
    ) -> Option<JoinLoss> {
        let loss_max = config.run.join_loss_max;
        let lost = |rows: &Vec<i64>| rows.len() - self.joined_us.len() - self.pending_rows(rows);
        let counted = |rows: &Vec<i64>| rows.len() - self.pending_rows(rows);
        if !self.instants_us.iter().any(|rows| lost(rows) as f64 > loss_max * counted(rows) as f64) {
            return None;
        }
        let firsts_us = self.firsts_us(source, config, partition);
        let losses = (0..config.series.len()).map(|at| self.loss_of(at, &config.series, &firsts_us));
        let worst = losses.max_by(|a, b| a.share().total_cmp(&b.share()));
        worst.filter(|loss| loss.share() > loss_max)
    }

    /// How many of a series' rows are pending.
    fn pending_rows(&self, rows: &[i64]) -> usize {
        self.pending_us.iter().filter(|instant_us| rows.binary_search(instant_us).is_ok()).count()
    }

    /// The first instant of all of each series; the lowest there is where it lies before the partition, and where the
    /// source does not say: then every lost row counts.
    fn firsts_us(&self, source: &dyn Source, config: &JobConfig, partition: &Partition) -> Vec<i64> {
        let starts = source.start_in(&config.series_of_key(&partition.key), partition.period);
        let first_us = |(rows, starts): (&Vec<i64>, bool)| match starts {
            true => rows.first().copied().unwrap_or(i64::MAX),
            false => i64::MIN,
        };
        self.instants_us.iter().zip(starts).map(first_us).collect()
    }

    fn loss_of(&self, at: usize, series: &[Series], firsts_us: &[i64]) -> JoinLoss {
        let has = |other: usize, instant_us: &i64| self.instants_us[other].binary_search(instant_us).is_ok();
        let mut lacking = vec![false; series.len()];
        let (mut lost_rows, mut early_rows) = (0, 0);
        let is_lost = |instant_us: &&i64| {
            [&self.joined_us, &self.pending_us].iter().all(|others| others.binary_search(instant_us).is_err())
        };
        for instant_us in self.instants_us[at].iter().filter(is_lost) {
            let lack: Vec<usize> = (0..series.len()).filter(|&other| !has(other, instant_us)).collect();
            if lack.iter().any(|&other| *instant_us < firsts_us[other]) {
                early_rows += 1;
                continue;
            }
            lost_rows += 1;
            lack.iter().for_each(|&other| lacking[other] = true);
        }
        let names = series.iter().zip(&lacking).filter(|(_, lacks)| **lacks);
        JoinLoss {
            series: series[at].name.clone(),
            lost_rows,
            rows: (self.instants_us[at].len() - self.pending_rows(&self.instants_us[at])) as u64 - early_rows,
            lacking: names.map(|(series, _)| series.name.clone()).collect(),
        }
    }
}
