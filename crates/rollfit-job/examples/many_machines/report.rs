//! [`Report`]: a simulated job in a line of a table.

use crate::conditions::Conditions;
use crate::simulation::{Counts, Simulation};

pub(crate) const HEADER: &str = "\
| partitions | machines x workers | | time | idle at the end | source reads a partition | seen held | looks a partition | questions to the store |
|---|---|---|---|---|---|---|---|---|";

/// What came of a simulation.
pub(crate) struct Report<'a> {
    conditions: &'a Conditions,
    counts: Counts,
}

impl<'a> Report<'a> {
    /// Simulates. Checks what the runners promise: every partition is written, and no source is read for nothing but where somebody was
    /// seen to hold the partition, or died over it.
    pub(crate) fn new(conditions: &'a Conditions) -> Result<Self, String> {
        let counts = Simulation::new(conditions)?.run();
        let partitions = u64::from(conditions.partitions);
        if counts.written != partitions {
            return Err(format!("{} of {partitions} were written: {conditions:?}", counts.written));
        }
        if counts.source_reads > partitions + counts.seen_held + counts.lost {
            return Err(format!("{} source reads: {counts:?}, {conditions:?}", counts.source_reads));
        }
        Ok(Self { conditions, counts })
    }

    fn remark(&self) -> String {
        let Conditions { shards, deaths, .. } = self.conditions;
        match (shards, deaths) {
            (true, 0) => String::new(),
            (true, 1) => "one dies half-way".to_owned(),
            (true, deaths) => format!("{deaths} die half-way"),
            (false, 0) => "no shards".to_owned(),
            (false, deaths) => format!("no shards, {deaths} die half-way"),
        }
    }
}

impl std::fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (partitions, counts) = (f64::from(self.conditions.partitions), &self.counts);
        let Conditions { machines, .. } = self.conditions;
        write!(
            f,
            "| {} | {machines} x {} | {} | {} | {:.1} % | {:.4} | {} | {:.2} | {:.0}/s |",
            grouped(self.conditions.partitions),
            counts.workers,
            self.remark(),
            span(counts.end_s),
            counts.idle_share * 100.0,
            counts.source_reads as f64 / partitions,
            counts.seen_held,
            counts.looks as f64 / partitions,
            counts.questions as f64 / counts.end_s,
        )
    }
}

fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

fn span(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
