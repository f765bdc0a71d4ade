//! [`Exposition`]: figures in the text format of Prometheus.
//!
//! Invariants: every name begins with `rollfit_`; units are seconds and bytes; a figure that is unknown is not there.

use std::fmt::Write;

use rollfit_job::foreign;

/// Whether a figure can fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricKind {
    /// It only rises.
    Counter,
    /// It rises and falls.
    Gauge,
}

/// Figures as they are added.
#[derive(Default)]
pub(crate) struct Exposition {
    text: String,
}

impl Exposition {
    /// Adds a figure that only rises.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        self.labelled(name, MetricKind::Counter, help, value.into().map(|value| (&[][..], value)));
    }

    /// Adds a figure that rises and falls.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Into<Option<f64>>) {
        self.labelled(name, MetricKind::Gauge, help, value.into().map(|value| (&[][..], value)));
    }

    /// Adds a figure once for each set of labels; nothing where there are none.
    pub(crate) fn labelled<'a>(
        &mut self,
        name: &str,
        kind: MetricKind,
        help: &str,
        samples: impl IntoIterator<Item = (&'a [(&'a str, &'a str)], f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let kind = if kind == MetricKind::Counter { "counter" } else { "gauge" };
        let _ = writeln!(self.text, "# HELP rollfit_{name} {help}\n# TYPE rollfit_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(self.text, "rollfit_{name}{} {value}", in_braces(labels));
        }
    }

    /// The text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

fn in_braces(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        foreign::message(&value).into_owned()
    };
    let labels = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    format!("{{{}}}", labels.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_help_type_and_escaped_labels_and_what_is_unknown_is_not_there() {
        let mut out = Exposition::default();
        out.counter("rows_total", "Rows.", 1_500_000.0);
        out.gauge("load1", "Load.", None);
        out.labelled(
            "run_info",
            MetricKind::Gauge,
            "Run.",
            [(&[("config", "a\"b\\c\nd"), ("run", "r")][..], 1.0)],
        );
        let expected = "# HELP rollfit_rows_total Rows.\n# TYPE rollfit_rows_total counter\nrollfit_rows_total 1500000\n\
            # HELP rollfit_run_info Run.\n# TYPE rollfit_run_info gauge\n\
            rollfit_run_info{config=\"a\\\"b\\\\c\\nd\",run=\"r\"} 1\n";
        assert_eq!(out.into_text(), expected);
    }
}
