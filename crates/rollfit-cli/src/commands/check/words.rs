//! What a check found, in words that fit on one line: the first names of many, and the worst of their figures.

use rollfit_job::health::{Aspect, HealthFact, HealthFinding, Verdict};
use rollfit_job::month::display_instant;

use super::{CheckLine, Checked};
use crate::format::{count, percent, plural, time};

/// How many keys or months of a kind are named.
const NAMED_MAX: usize = 3;

/// The word that begins a line.
pub(super) const fn label(status: Verdict) -> &'static str {
    match status {
        Verdict::Ok => "OK",
        Verdict::Warning => "WARNING",
        Verdict::Unknown => "UNKNOWN",
        Verdict::Problem => "PROBLEM",
    }
}

impl Checked {
    /// All in one line.
    pub(super) fn summary(&self, lines: &[CheckLine<'_>]) -> String {
        match lines.first() {
            Some(worst) if worst.status != Verdict::Ok => {
                format!("{}: {}{}", worst.check.name(), worst.message, others(&lines[1..]))
            }
            _ => {
                let until = self.report.features_until_us.map(display_instant);
                let until = until.map(|until| format!(", features until {until}")).unwrap_or_default();
                let keys = plural(self.report.keys, "key");
                format!("{keys}, {}{until}", plural(self.report.partitions, "partition"))
            }
        }
    }

    /// What to say of a check that found nothing.
    pub(super) fn nothing_found(&self, check: Aspect) -> String {
        let (report, unit) = (&self.report, self.by.noun());
        match (check, self.max_lag_s) {
            (Aspect::Freshness | Aspect::Source, None) => {
                "not checked: set --max-lag, or max_lag_s in [check]".to_owned()
            }
            (Aspect::Freshness, Some(max_lag_s)) => {
                let keys = plural(report.keys, "key");
                format!("no row of {keys} has been without features for more than {}", time(max_lag_s))
            }
            (Aspect::Source, Some(_)) => "no key waits for new rows".to_owned(),
            (Aspect::Coverage, _) => {
                format!("no {unit} is missing in {}", plural(report.partitions, "partition"))
            }
            (Aspect::Rows, _) => format!(
                "as many rows as receipts say in {} of {}",
                count(report.counted as u64),
                plural(report.partitions, "partition")
            ),
            (Aspect::Receipts, _) => format!(
                "receipts vouch for what is stored in {} of {}",
                count(report.receipts as u64),
                plural(report.partitions, "partition")
            ),
            (Aspect::NoValue, _) => format!(
                "no more features without a value than in earlier {unit}s of {}",
                plural(report.compared, "key")
            ),
            (Aspect::JoinLoss, _) => {
                format!("no {unit} loses more than {} of a series", percent(self.join_loss_max))
            }
        }
    }
}

/// How many further checks found something.
fn others(lines: &[CheckLine<'_>]) -> String {
    let of = |status: Verdict, noun: &str| {
        let checks = lines.iter().filter(|line| line.status == status).count();
        (checks > 0).then(|| plural(checks, noun))
    };
    let others = [
        of(Verdict::Problem, "more problem"),
        of(Verdict::Unknown, "more unknown"),
        of(Verdict::Warning, "more warning"),
    ];
    let others: Vec<String> = others.into_iter().flatten().collect();
    if others.is_empty() { String::new() } else { format!(" (and {})", others.join(", ")) }
}

/// What was found of one aspect: a clause each kind of fact, the worst first.
pub(super) fn clauses(findings: &[&HealthFinding]) -> String {
    let mut kinds: Vec<(Verdict, Vec<&HealthFinding>)> = Vec::new();
    for finding in findings {
        let is_same = |known: &&HealthFinding| {
            std::mem::discriminant(&known.fact) == std::mem::discriminant(&finding.fact)
        };
        let known =
            kinds.iter_mut().find(|(status, kind)| *status == finding.status && kind.iter().any(is_same));
        match known {
            Some((_, kind)) => kind.push(finding),
            None => kinds.push((finding.status, vec![finding])),
        }
    }
    kinds.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
    kinds.iter().map(|(_, kind)| clause(kind)).collect::<Vec<_>>().join("; ")
}

/// The first of the keys or months, and how many more there are.
fn named(findings: &[&HealthFinding]) -> String {
    let mut names: Vec<String> = findings.iter().map(|finding| finding.subject()).collect();
    names.dedup();
    let shown = names.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => shown,
        more => format!("{shown} and {} more", count(more as u64)),
    }
}

/// The findings are of one kind of fact.
fn clause(findings: &[&HealthFinding]) -> String {
    let subjects = named(findings);
    let Some(worst) = findings.iter().max_by(|a, b| severity(a).total_cmp(&severity(b))) else {
        return subjects;
    };
    let of_worst = if findings.len() > 1 { format!("{}: ", worst.subject()) } else { String::new() };
    match &worst.fact {
        HealthFact::SourceStale { .. } => stale(findings),
        HealthFact::NothingJoined { since_us } => format!(
            "no instant is in every series of {subjects} since {of_worst}{}",
            display_instant(*since_us)
        ),
        HealthFact::JobOver => format!(
            "the months of {subjects} are over: later rows get no features; look at `to` in [partitions], and --only"
        ),
        HealthFact::Behind { first_us, lag_s } => format!(
            "{subjects} without features for {} (from {of_worst}{} on) though the source has rows; look at `rollfit run`",
            time(*lag_s),
            display_instant(*first_us)
        ),
        HealthFact::NoFeatures => format!("{subjects} without any features; run `rollfit run`"),
        HealthFact::EndUnknown => format!("where the features of {subjects} end isn't known; see receipts"),
        HealthFact::InFuture { last_us } => format!(
            "{subjects} with features of instants to come ({of_worst}{}); check the clock and the source's time zone",
            display_instant(*last_us)
        ),
        HealthFact::Missing => format!("no features in {subjects}; run `rollfit run`"),
        HealthFact::SourceGap if worst.status == Verdict::Problem => {
            format!("the source has no rows in {subjects}, and require_rows = true; import them")
        }
        HealthFact::SourceGap => format!("the source has no rows in {subjects}"),
        HealthFact::FewRows { series, receipt_rows, source_rows } => format!(
            "{subjects} computed from {of_worst}{} of the {} rows that series {series} has now; run `rollfit run`",
            count(*receipt_rows),
            count(*source_rows)
        ),
        HealthFact::MoreWithoutValue { cause, share, usual_share } => format!(
            "{subjects} with {of_worst}{} of the features without a value ({}), usually {}",
            percent(*share),
            cause_words(cause),
            percent(*usual_share)
        ),
        HealthFact::JoinLoses { series, lost_rows, share } => format!(
            "{subjects} without {of_worst}{} rows ({}) of series {series}, which another series lacks",
            count(*lost_rows),
            percent(*share)
        ),
        HealthFact::RowsDiffer { receipt_rows, tables } => {
            let counts = tables.iter().map(|table| format!("{} has {}", table.table, count(table.rows)));
            format!(
                "{subjects} with other rows than the receipts say ({of_worst}{}, the receipt {}); run `rollfit verify`",
                counts.collect::<Vec<_>>().join(", "),
                count(*receipt_rows)
            )
        }
        fact => about_partitions(fact, &subjects, &of_worst),
    }
}

/// What is wrong with partitions that have features.
fn about_partitions(fact: &HealthFact, subjects: &str, of_first: &str) -> String {
    match fact {
        HealthFact::SourceShrunk { receipt_rows, source_rows } => format!(
            "the source has lost rows of {subjects} ({of_first}features of {} rows, {} are left); a run skips them, see `rollfit plan`",
            count(*receipt_rows),
            count(*source_rows)
        ),
        HealthFact::Foreign { message } => {
            format!("{subjects} with rows that no receipt vouches for ({of_first}{message})")
        }
        HealthFact::Void { message } => {
            format!("{subjects} with a receipt that contradicts what is stored ({of_first}{message})")
        }
        HealthFact::Newer { message } | HealthFact::Blocked { message } => {
            format!("{subjects}: {of_first}{message}")
        }
        HealthFact::DefinitionChanged { message } => {
            format!("{subjects} computed by another definition ({of_first}{message}); see `rollfit plan`")
        }
        HealthFact::Damaged { message } => format!("{subjects} damaged ({of_first}{message})"),
        HealthFact::Unreadable { message } => format!("cannot check {subjects} ({of_first}{message})"),
        _ => subjects.to_owned(),
    }
}

/// The source has had no new rows in these series.
fn stale(findings: &[&HealthFinding]) -> String {
    let mut clauses = Vec::new();
    let (empty, late): (Vec<&HealthFinding>, Vec<&HealthFinding>) = findings
        .iter()
        .partition(|finding| matches!(finding.fact, HealthFact::SourceStale { last_us: None, .. }));
    let series = |findings: &[&HealthFinding]| {
        let mut names: Vec<&str> = Vec::new();
        for finding in findings {
            if let HealthFact::SourceStale { series, .. } = &finding.fact
                && !names.contains(&series.as_str())
            {
                names.push(series);
            }
        }
        names.join(", ")
    };
    if let Some(worst) = late.iter().max_by(|a, b| severity(a).total_cmp(&severity(b)))
        && let HealthFact::SourceStale { last_us: Some(last_us), lag_s: Some(lag_s), .. } = &worst.fact
    {
        clauses.push(format!(
            "{} without new rows in {} for {} (since {})",
            named(&late),
            series(&late),
            time(*lag_s),
            display_instant(*last_us)
        ));
    }
    if !empty.is_empty() {
        clauses.push(format!("{} without any rows in {}", named(&empty), series(&empty)));
    }
    clauses.join("; ")
}

/// What makes one finding of a kind worse than another.
fn severity(finding: &HealthFinding) -> f64 {
    match &finding.fact {
        HealthFact::SourceStale { lag_s, .. } => lag_s.unwrap_or(f64::INFINITY),
        HealthFact::Behind { lag_s, .. } => *lag_s,
        HealthFact::InFuture { last_us } => *last_us as f64,
        HealthFact::NothingJoined { since_us } => -(*since_us as f64),
        HealthFact::FewRows { receipt_rows, source_rows, .. } => {
            1.0 - *receipt_rows as f64 / (*source_rows as f64).max(1.0)
        }
        HealthFact::SourceShrunk { receipt_rows, source_rows } => {
            1.0 - *source_rows as f64 / (*receipt_rows as f64).max(1.0)
        }
        HealthFact::MoreWithoutValue { share, usual_share, .. } => share - usual_share,
        HealthFact::JoinLoses { share, .. } => *share,
        _ => 0.0,
    }
}

fn cause_words(cause: &str) -> &str {
    match cause {
        "input" => "the source has no value",
        "undefined" => "the formula has none",
        _ => "the column cannot hold it",
    }
}
