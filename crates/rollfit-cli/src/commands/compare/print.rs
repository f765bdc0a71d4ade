//! A comparison for people: a line for each series and metric, and the first differences of each partition.

use rollfit_job::verify::other_definition;

use super::super::checks::{self, VerdictCauses};
use super::document::{CompareDocument, CompareLine, FeatureLine, total};
use crate::exit::Failure;
use crate::format;
use crate::{output, share};

/// How many differences of a partition are printed.
const DIFFERENCES_MAX: usize = 5;

impl CompareDocument {
    pub(super) fn print(&self) -> Result<(), Failure> {
        self.print_table()?;
        let causes =
            self.partitions.iter().filter(|line| !matches!(line.verdict, "clean" | "empty" | "skipped"));
        checks::print_causes(&causes.map(CompareLine::causes).collect::<Vec<_>>(), DIFFERENCES_MAX)?;
        self.print_hints()?;
        self.print_counts()?;
        output::line(&format!(
            "{}: {} clean, {} different, {} failed, {} without features{}{}{}",
            share::partitions(self.partitions.len(), self.shard.as_ref()),
            self.clean,
            self.different,
            self.failed,
            self.absent,
            checks::empty_words(self.empty),
            checks::newer_words(self.newer),
            checks::blocked_words(self.blocked)
        ))?;
        checks::print_not_done(self.skipped, self.shard.as_ref(), "compared")?;
        Ok(())
    }

    /// A line a series and metric, its windows together. Those that are bit-equal have no line.
    fn print_table(&self) -> Result<(), Failure> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut shown: Vec<(&str, &str)> = Vec::new();
        for feature in self.features.iter().filter(|feature| feature.counts.differing() > 0) {
            let name = (feature.series.as_str(), feature.row_name());
            if !shown.contains(&name) {
                shown.push(name);
                rows.push(self.row(name));
            }
        }
        if !rows.is_empty() {
            const HEADINGS: [&str; 8] =
                ["series", "metric", "bit-equal", "within", "undetermined", "outside", "worst", "where"];
            output::table(&HEADINGS, &rows)?;
        }
        Ok(())
    }

    fn row(&self, (series, metric): (&str, &str)) -> Vec<String> {
        let windows = || {
            self.features.iter().filter(|feature| feature.series == series && feature.row_name() == metric)
        };
        let counts = total(windows().map(|feature| feature.counts.clone()));
        let distance =
            |feature: &FeatureLine| feature.worst.as_ref().map_or(0.0, |worst| worst.cell.distance);
        let worst =
            windows().reduce(|worst, other| if distance(other) > distance(worst) { other } else { worst });
        let numbers = [counts.bit_equal, counts.within, counts.undetermined, counts.outside];
        let mut row = vec![series.to_owned(), metric.to_owned()];
        row.extend(numbers.map(format::count));
        row.extend(worst.map(FeatureLine::worst_case).unwrap_or_default());
        row
    }

    fn print_hints(&self) -> Result<(), Failure> {
        let is_explained = self.partitions.iter().any(|line| line.definition_change.is_some());
        if !is_explained && self.counts.outside > 0 && self.counts.outside == self.counts.one_sided {
            output::line(
                "Every difference is a value on one side and NULL on the other: windows may have reached further back, or \
                 less far, than `boundary` in [run] allows.",
            )?;
        }
        Ok(())
    }

    fn print_counts(&self) -> Result<(), Failure> {
        let tables = || self.partitions.iter().flat_map(|line| &line.tables);
        output::line(&format!(
            "rows of tables: {} on both sides, {} only stored, {} only computed",
            format::count(tables().map(|table| table.rows).sum()),
            format::count(tables().map(|table| table.stored_only).sum()),
            format::count(tables().map(|table| table.computed_only).sum())
        ))?;
        output::line(&format!(
            "cells: {} bit-equal, {} within rounding, {} undetermined, {} outside",
            format::count(self.counts.bit_equal),
            format::count(self.counts.within),
            format::count(self.counts.undetermined),
            format::count(self.counts.outside)
        ))?;
        Ok(())
    }
}

impl CompareLine {
    fn causes(&self) -> VerdictCauses<'_> {
        let causes = if self.cause.is_some() { self.cause.as_slice() } else { &self.differences };
        let reason = self.definition_change.as_deref().map(other_definition);
        VerdictCauses { partition: &self.partition, verdict: self.verdict, causes, reason }
    }
}

impl FeatureLine {
    /// The metric, or an included column.
    fn row_name(&self) -> &str {
        self.metric.unwrap_or(&self.feature)
    }

    /// How bad the worst cell is, and where.
    fn worst_case(&self) -> [String; 2] {
        let Some(worst) = &self.worst else { return ["0".to_owned(), String::new()] };
        let distance = match worst.distance {
            None => "-".to_owned(),
            Some(distance) if distance < 1000.0 => format!("{distance:.3}"),
            Some(distance) => format!("{distance:.1e}"),
        };
        let window = self.window.as_ref().map(|window| format!("{window}, ")).unwrap_or_default();
        let place = format!("{window}{} {}", worst.partition.key, worst.instant);
        [distance, place]
    }
}
