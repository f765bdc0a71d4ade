//! The first lines of an analysis: what is idle or full, which setting does that, what a change gives, what is no limit, what to type.
//!
//! Invariants: no more lines than fit on a pager. An estimate has its range. A run is only said to continue where it does.

use rollfit_analysis::{
    AfterStep, Analysis, Change, Observation, RankedCause, Remedy, RunEnding, WorthReason,
};
use rollfit_job::record::Header;

use super::cores::CoresBusy;
use super::finding::setting_words;
use super::limit::worth_briefly;
use super::not_limits::not_limits;
use super::{Fact, code, command, early, fact, joined, remedy, server};
use crate::commands::analyze::run_now::RunNow;
use crate::format::{between_times, bytes, count, estimated_time, plural, quantity, time};

/// What a reader needs first, after the headline.
pub(in super::super) fn brief(analysis: &Analysis, now: RunNow) -> Vec<Fact> {
    let first = analysis.bottlenecks.first();
    let cores = CoresBusy::new(analysis).and_then(|cores| cores.by_user());
    let mut facts: Vec<Fact> = cores.map(|cores| fact("cores", cores)).into_iter().collect();
    if let Some(setting) = first.and_then(|first| first.setting.as_ref()) {
        facts.push(code("setting", setting_words(setting, &analysis.header)));
    }
    match &analysis.early {
        Some(told) => facts.extend(early::facts(told, analysis, now)),
        None => {
            facts.extend(first.and_then(|first| fix(first, analysis)));
            facts.extend(together(analysis));
        }
    }
    facts.extend(not_limits(analysis).map(|told| fact("no limit", told)));
    if analysis.early.is_none() {
        facts.extend(fewer(analysis));
        facts.extend(analysis.worth.as_ref().and_then(worth_briefly).map(|told| fact("no more", told)));
        facts.extend(server::unseen(analysis));
    }
    facts.extend(beside_runners(analysis));
    facts.extend(what_to_type(analysis, now));
    facts
}

/// Other runners on the same store, which take a part of what a change gives.
fn beside_runners(analysis: &Analysis) -> Option<Fact> {
    let runners = analysis.other_runners.filter(|&runners| runners > 0)?;
    let told = plural(runners as usize, "other runner");
    Some(fact(
        "runners",
        format!(
            "{told} worked on this store: analyze their records together, `rollfit analyze RECORD...`; they may take what a change gains, and \
             those on this machine count as other processes"
        ),
    ))
}

/// What the first remedy gives.
fn fix(first: &RankedCause, analysis: &Analysis) -> Option<Fact> {
    let remedy = first.remedy.as_ref()?;
    let action = remedy::action(first.cause, &remedy.change);
    // What comes behind it says where and how: that is told with the finding.
    let action = action.split([':', ';']).next().unwrap_or_default();
    let Some(job_s) = &remedy.job_s else { return Some(fact("change", action)) };
    let job = if remedy.server_unseen { between_times(job_s.low, job_s.high) } else { estimated_time(job_s) };
    let instead = job_s_now(analysis).map(|now| format!(" instead of {}", time(now))).unwrap_or_default();
    let needs = needs(first, remedy, analysis).map(|needs| format!("; {needs}")).unwrap_or_default();
    let left = alone(first, analysis).and_then(left).unwrap_or_default();
    Some(fact("change", format!("{action}: the whole job in {job}{instead}{left}{needs}")))
}

fn job_s_now(analysis: &Analysis) -> Option<f64> {
    analysis.combined.as_ref().map(|combined| combined.job_s_now).or(analysis.run.job_s)
}

/// What is needed once the first remedy is applied, where that is known of it alone.
fn needs(first: &RankedCause, remedy: &Remedy, analysis: &Analysis) -> Option<String> {
    if let Some(step) = alone(first, analysis) {
        return needs_of_step(step);
    }
    let Change::Setting { name, after: Some(after), .. } = &remedy.change else { return None };
    let workers = Some(after.parse::<usize>().ok()?).filter(|_| name == "run.workers")?;
    let line = analysis.scaling.iter().find(|line| line.workers == workers)?;
    needs_of(line.load, line.memory_bytes, line.sessions)
}

/// What is expected after the first remedy alone; none where another one comes before it.
fn alone<'a>(first: &RankedCause, analysis: &'a Analysis) -> Option<&'a AfterStep> {
    let step = analysis.combined.as_ref()?.after.first()?;
    (analysis.bottlenecks.get(step.bottleneck) == Some(first)).then_some(step)
}

fn left(step: &AfterStep) -> Option<String> {
    step.eta_s.as_ref().map(|left| format!(", what is left in {}", estimated_time(left)))
}

fn needs_of_step(step: &AfterStep) -> Option<String> {
    needs_of(step.load, step.memory_bytes, step.sessions)
}

/// `load 3.9, 412 MB of memory, 5 sessions`
fn needs_of(load: Option<f64>, memory_bytes: Option<u64>, sessions: Option<usize>) -> Option<String> {
    let parts = [
        load.map(|load| format!("load {}", quantity(load))),
        memory_bytes.map(|memory| format!("{} of memory", bytes(memory))),
        sessions.map(|sessions| plural(sessions, "session")),
    ];
    joined(parts, ", ")
}

/// What all remedies give, where there are several.
fn together(analysis: &Analysis) -> Option<Fact> {
    let combined = analysis.combined.as_ref().filter(|combined| combined.steps.len() > 1)?;
    let left = combined.after.last().and_then(left).unwrap_or_default();
    let needs = combined.after.last().and_then(needs_of_step).map(|needs| format!("; {needs}"));
    Some(fact(
        "all steps",
        format!("the whole job in {}{left}{}", estimated_time(&combined.job_s), needs.unwrap_or_default()),
    ))
}

/// Fewer workers that are as fast as those that a fixed number had.
fn fewer(analysis: &Analysis) -> Option<Fact> {
    let setting = analysis.header.settings.iter().find(|setting| setting.name == "run.workers")?;
    let now: usize = setting.value.as_ref()?.parse().ok()?;
    let worth = analysis.worth.as_ref().filter(|worth| worth.workers < now.min(analysis.run.workers_max))?;
    let WorthReason::LittleGain { workers, .. } = worth.why else { return None };
    (workers >= now).then(|| {
        let line = analysis.scaling.iter().find(|line| line.workers == worth.workers);
        let needs = line.and_then(|line| needs_of(line.load, line.memory_bytes, line.sessions));
        let needs = needs.map(|needs| format!("; {needs}")).unwrap_or_default();
        fact("fewer do", format!("`run.workers = {}` is about as fast as {now}{needs}", worth.workers))
    })
}

/// The command that does what is advised: now, where that continues the run in progress; else for the next run.
fn what_to_type(analysis: &Analysis, now: RunNow) -> Vec<Fact> {
    let attempt = analysis.early.as_ref().and_then(|told| early::attempt(told, analysis, now));
    let changes: Vec<&Change> = match &attempt {
        Some(attempt) => vec![&attempt.change],
        None if analysis.no_estimate.is_some() => Vec::new(),
        None => advised(analysis),
    };
    let mut facts: Vec<Fact> = attempt
        .iter()
        .map(|attempt| fact("try", format!("{}: {}", remedy::set(&attempt.change), attempt.why)))
        .collect();
    if !changes.is_empty() || is_cut_short(analysis, now) {
        facts.extend(commands(analysis, &changes, now));
    }
    facts
}

/// Whether the same command does the rest, with no change or with one.
fn is_cut_short(analysis: &Analysis, now: RunNow) -> bool {
    let has_ended = analysis.run.state != RunEnding::Finished && !now.is_running;
    has_ended && analysis.progress.next.is_some() && command::continues(&analysis.header) == Some(true)
}

/// The settings to change, of all remedies in order.
fn advised(analysis: &Analysis) -> Vec<&Change> {
    let steps = analysis.combined.iter().flat_map(|combined| &combined.steps);
    let findings = steps.filter_map(|&at| analysis.bottlenecks.get(at));
    let (mut changes, mut waits_for_others) = (Vec::new(), false);
    for finding in findings {
        let Some(Remedy { change, .. }) = &finding.remedy else { continue };
        let gains_now = !(waits_for_others && finding.evidence.contains(&Observation::OnlyAfterOthers));
        match change {
            Change::Setting { .. } if gains_now => changes.push(change),
            Change::Setting { .. } => {}
            _ => waits_for_others = true,
        }
    }
    changes
}

fn commands(analysis: &Analysis, changes: &[&Change], now: RunNow) -> Vec<Fact> {
    let header = &analysis.header;
    if let Some(typed) = command::continued(header, changes, now) {
        return vec![Fact::command("now", typed), fact("", continues_at(analysis))];
    }
    let Some(typed) = command::again(header, changes, now) else { return Vec::new() };
    let (label, note) = match (analysis.run.state, command::continues(header)) {
        (RunEnding::Finished, _) | (_, None) => ("next run", String::new()),
        (_, Some(false)) => {
            ("next run", "it starts with the first partition again: --force rewrites what is done".to_owned())
        }
        (_, Some(true)) if now.is_running => {
            let Header { pid, host, .. } = header;
            ("now", format!("after SIGINT to process {pid} on {host}; {}", continues_at(analysis)))
        }
        (_, Some(true)) => ("continue", continues_at(analysis)),
    };
    let note = Some(note).filter(|note| !note.is_empty()).map(|note| fact("", note));
    std::iter::once(Fact::command(label, typed)).chain(note).collect()
}

/// `continues at partition 12 of 336`
fn continues_at(analysis: &Analysis) -> String {
    let progress = &analysis.progress;
    match progress.next {
        Some(next) => format!("continues at partition {} of {}", count(next), count(progress.partitions)),
        None => "continues with what is not done".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rollfit_analysis::{Limit, LimitingCause, Worth};

    use super::*;
    use crate::commands::analyze::example;

    const HERE: RunNow = RunNow { is_running: true, pid: Some(4711) };

    fn told(analysis: &Analysis, now: RunNow) -> String {
        let lines = brief(analysis, now).into_iter().map(|fact| format!("{}: {}\n", fact.label, fact.text));
        lines.collect()
    }

    /// The example as it was in progress, started with these options.
    fn in_progress(options: &[&str]) -> Analysis {
        let mut analysis = example::full();
        analysis.run.state = RunEnding::Unfinished;
        analysis.header.options = Some(options.iter().map(|&option| option.to_owned()).collect());
        analysis.progress.next = Some(12);
        analysis
    }

    #[test]
    fn the_first_lines_say_what_is_idle_what_sets_it_what_a_change_gives_and_what_is_no_limit() {
        let told = told(&example::full(), RunNow::default());
        for line in [
            "cores: 1.1 of 4 allowed idle: this process 2.9, other processes 0.3\n",
            "setting: run.workers = 1 (rollfit.toml, line 31)\n",
            "change: Set `run.workers = \"auto\"`: the whole job in 3.9 h (3.6–4.3 h) instead of 11.2 h; load 3.9, 412.0 MB of memory, 5 sessions\n",
            "no limit: memory 412.3 MB of 8.6 GB; sessions 5 of 17; network 12.0 MB/s, waited for 2.0 % of the time\n",
            "no more: than 6 workers: 8 gain 1.4 % more, limited by store write bandwidth\n",
            "next run: ROLLFIT_RUN__WORKERS=auto rollfit run --config /srv/fx/rollfit.toml\n",
        ] {
            assert!(told.contains(line), "{line} is not in {told}");
        }
        assert!(told.lines().count() <= 8, "{told}");
    }

    #[test]
    fn a_run_in_progress_is_continued_where_it_is_unless_it_would_begin_anew() {
        let here = told(&in_progress(&[]), HERE);
        assert!(here.contains("now: kill -INT 4711; ROLLFIT_RUN__WORKERS=auto rollfit run"), "{here}");
        assert!(here.contains("continues at partition 12 of 336"), "{here}");
        let forced = told(&in_progress(&["--force"]), HERE);
        assert!(!forced.contains("kill") && !forced.contains("continues"), "{forced}");
        assert!(forced.contains("next run: ROLLFIT_RUN__WORKERS=auto"), "{forced}");
        let elsewhere = told(&in_progress(&[]), RunNow { is_running: true, pid: None });
        assert!(!elsewhere.contains("kill") && elsewhere.contains("process 4711 on loader-3"), "{elsewhere}");
        let killed = told(&in_progress(&[]), RunNow::default());
        assert!(killed.contains("continue: ROLLFIT_RUN__WORKERS=auto"), "{killed}");
    }

    #[test]
    fn a_run_that_was_cut_short_is_continued_by_its_command_where_nothing_is_to_be_changed() {
        let mut analysis = in_progress(&[]);
        (analysis.bottlenecks, analysis.combined) = (Vec::new(), None);
        let killed = told(&analysis, RunNow::default());
        assert!(killed.contains("continue: rollfit run --config /srv/fx/rollfit.toml\n"), "{killed}");
        assert!(killed.contains("continues at partition 12 of 336"), "{killed}");
        assert!(!told(&analysis, HERE).contains("rollfit run"), "it is still running");
        analysis.run.state = RunEnding::Finished;
        assert!(!told(&analysis, RunNow::default()).contains("rollfit run"), "nothing is left to do");
        let mut forced = in_progress(&["--force"]);
        (forced.bottlenecks, forced.combined) = (Vec::new(), None);
        assert!(!told(&forced, RunNow::default()).contains("rollfit run"), "it would begin anew");
    }

    #[test]
    fn a_number_of_workers_that_pays_only_once_others_leave_is_not_for_now() {
        let mut analysis = in_progress(&[]);
        let mut others = analysis.bottlenecks[0].clone();
        others.cause = LimitingCause::Cpu;
        others.remedy.as_mut().unwrap().change = Change::Cores { cores: 1.0, cores_wanted: 4.0 };
        analysis.bottlenecks[0].evidence.push(Observation::OnlyAfterOthers);
        analysis.bottlenecks.insert(0, others);
        analysis.combined.as_mut().unwrap().steps = vec![0, 1];
        let told = told(&analysis, HERE);
        assert!(!told.contains("kill") && told.contains("all steps: the whole job in"), "{told}");
    }

    #[test]
    fn fewer_workers_are_named_where_they_are_as_fast_and_only_there() {
        let mut analysis = example::of_partitions(336, 4);
        (analysis.bottlenecks, analysis.combined) = (Vec::new(), None);
        analysis.header.settings[0].value = Some("4".to_owned());
        let capacity = rollfit_analysis::Capacity::Time {
            limit: Limit::Cores,
            at_once: 2.0,
            partition_s: 0.2,
            rows_per_s: 1e5,
        };
        let little = WorthReason::LittleGain { workers: 4, gain: 0.014, capacity };
        let mut with = |workers, why: &WorthReason| {
            analysis.worth = Some(Worth { workers, why: why.clone() });
            told(&analysis, RunNow::default())
        };
        let fewer = with(2, &little);
        assert!(
            fewer.contains(
                "fewer do: `run.workers = 2` is about as fast as 4; load 2.1, 206.0 MB of memory, 3 sessions"
            ),
            "{fewer}"
        );
        assert!(fewer.contains("no more: than 2 workers: 4 gain 1.4 % more, limited by the cores"));
        assert!(!with(4, &little).contains("fewer do"));
        let competing = WorthReason::CompetingLoad { workers: 4, gain: 0.5, competing_cores: 1.2 };
        let at_the_cost_of_others = with(2, &competing);
        assert!(!at_the_cost_of_others.contains("fewer do"), "{at_the_cost_of_others}");
        assert!(
            at_the_cost_of_others.contains("4 gain 50 % by taking cores from other processes"),
            "{at_the_cost_of_others}"
        );
    }

    #[test]
    fn of_a_server_that_is_not_visible_bounds_are_told_and_what_shows_it() {
        let mut analysis = example::full();
        analysis.resources.as_mut().unwrap().store.basis = rollfit_analysis::ServerCpuBasis::Unknown;
        analysis.bottlenecks[0].remedy.as_mut().unwrap().server_unseen = true;
        let told = told(&analysis, RunNow::default());
        assert!(told.contains("the whole job in 3.6–4.3 h instead of 11.2 h"), "{told}");
        assert!(told.contains("`server_cores`") && told.contains("`server_metrics_command`"), "{told}");
        let seen = self::told(&example::full(), RunNow::default());
        assert!(!seen.contains("server_cores"), "{seen}");
    }
}
