//! Commands to type: the run again with other settings, from where it is; one partition of it alone.
//!
//! Invariants: each word is one to a shell, whatever a record holds. A run is only said to continue where it does: not where it
//! was told to write everything again.

use rollfit_analysis::Change;
use rollfit_files::path::shell_word;
use rollfit_job::config::{Origin, Setting};
use rollfit_job::partition::Partition;
use rollfit_job::record::Header;

use crate::commands::analyze::run_now::RunNow;
use crate::record::header::given_name;

/// The options that a record of anybody may bring into a command, each with whether a value follows.
const OPTIONS: [(&str, bool); 8] = [
    ("--name", true),
    ("--only", true),
    ("--from", true),
    ("--to", true),
    ("--shard", true),
    ("--replace", true),
    ("--no-help", false),
    ("--follow", false),
];
/// Those that are of use to who started the run, and name files or times of his.
const OWN_OPTIONS: [(&str, bool); 3] =
    [("--poll-interval", true), ("--stop-within", true), ("--metrics-file", true)];
/// More than any store takes, in MB/s: a limit cannot be taken away by a variable, but raised.
const NO_WRITE_MAX: &str = "1000000";
/// More cores than there are.
const NO_CPU_MAX: &str = "4096";

/// The command that does a job again with these changes of settings; none where one of them cannot be made by a variable.
pub(super) fn again(header: &Header, changes: &[&Change], now: RunNow) -> Option<String> {
    let mut words = variables(header, changes)?;
    words.extend(["rollfit".to_owned(), "run".to_owned()]);
    words.extend(config(header));
    words.extend(options(header, now));
    words.extend(workers_flag(header, changes));
    Some(words.join(" "))
}

/// The same for a run in progress: it is stopped first. None where the job would begin anew instead of continuing, and where its process is not
/// known.
pub(super) fn continued(header: &Header, changes: &[&Change], now: RunNow) -> Option<String> {
    let pid = now.pid.filter(|_| continues(header) == Some(true))?;
    Some(format!("kill -INT {pid}; {}", again(header, changes, now)?))
}

/// Whether another run of the same command leaves what is done; none where a record does not say how the run was started.
pub(super) fn continues(header: &Header) -> Option<bool> {
    header.options.as_ref().map(|options| !options.iter().any(|option| option == "--force"))
}

/// The command that writes one partition again, with these words before it.
pub(super) fn one_partition(before: &[String], header: &Header, partition: &Partition) -> String {
    let only = format!("{}:{}", partition.key, partition.period);
    let command = ["rollfit".to_owned(), "run".to_owned()];
    let name = given_name(header).map(|name| format!("--name {}", shell_word(name)));
    let options = ["--only".to_owned(), shell_word(&only), "--force".to_owned()];
    let words = before.iter().cloned().chain(command).chain(config(header)).chain(name).chain(options);
    words.collect::<Vec<_>>().join(" ")
}

/// The variable that makes a change of a setting; none where there is none.
pub(super) fn variable(change: &Change) -> Option<String> {
    let Change::Setting { name, after, .. } = change else { return None };
    let value = match (after, name.as_str()) {
        (Some(after), _) => after.as_str(),
        (None, "run.store_write_mb_per_s_max") => NO_WRITE_MAX,
        (None, "run.cpu_max") => NO_CPU_MAX,
        (None, _) => return None,
    };
    Some(assignment(name, value))
}

fn assignment(name: &str, value: &str) -> String {
    format!("ROLLFIT_{}={}", name.replace('.', "__").to_uppercase(), shell_word(value))
}

/// The changes, and what the run had from its environment and keeps.
fn variables(header: &Header, changes: &[&Change]) -> Option<Vec<String>> {
    let mut variables: Vec<String> = changes.iter().map(|change| variable(change)).collect::<Option<_>>()?;
    let is_kept = |setting: &&Setting| {
        matches!(setting.origin, Origin::Variable(_)) && !is_changed(changes, &setting.name)
    };
    let kept = header.settings.iter().filter(is_kept);
    variables.extend(kept.filter_map(|setting| Some(assignment(&setting.name, setting.value.as_deref()?))));
    Some(variables)
}

fn is_changed(changes: &[&Change], setting: &str) -> bool {
    changes.iter().any(|change| matches!(change, Change::Setting { name, .. } if name == setting))
}

/// `--workers`, where the run was given it and nothing changes it: a flag overrides a variable.
fn workers_flag(header: &Header, changes: &[&Change]) -> Option<String> {
    const WORKERS: &str = "run.workers";
    let given = header.settings.iter().find(|setting| setting.name == WORKERS)?;
    let is_kept = matches!(given.origin, Origin::Flag(_)) && !is_changed(changes, WORKERS);
    let value = given.value.as_ref().filter(|_| is_kept)?;
    Some(format!("--workers {}", shell_word(value)))
}

fn config(header: &Header) -> Option<String> {
    let config = Some(header.config.as_str()).filter(|config| !config.is_empty())?;
    Some(format!("--config {}", shell_word(config)))
}

/// The options of the run that are known, as far as they are not those of a stranger.
fn options(header: &Header, now: RunNow) -> Vec<String> {
    let own = if now.pid.is_some() { &OWN_OPTIONS[..] } else { &[] };
    let mut words = Vec::new();
    let mut given = header.options.iter().flatten();
    while let Some(option) = given.next() {
        let known = OPTIONS.iter().chain(own).find(|(name, _)| name == option);
        let Some((name, has_value)) = known else { continue };
        let Some(value) = (if *has_value { given.next().map(Some) } else { Some(None) }) else { continue };
        words.push((*name).to_owned());
        words.extend(value.map(|value| shell_word(value)));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, after: Option<&str>) -> Change {
        Change::Setting { name: name.to_owned(), before: None, after: after.map(str::to_owned) }
    }

    fn header(options: &[&str]) -> Header {
        Header {
            config: "/srv/fx/rollfit.toml".to_owned(),
            options: Some(options.iter().map(|&option| option.to_owned()).collect()),
            ..Header::default()
        }
    }

    const HERE: RunNow = RunNow { is_running: true, pid: Some(4711) };

    #[test]
    fn a_run_is_stopped_and_continued_with_the_change() {
        let workers = change("run.workers", Some("8"));
        let told = |header: &Header, now| continued(header, &[&workers], now);
        assert_eq!(
            told(&header(&["--shard", "3/8", "--no-help"]), HERE).unwrap(),
            "kill -INT 4711; ROLLFIT_RUN__WORKERS=8 rollfit run --config /srv/fx/rollfit.toml --shard 3/8 --no-help"
        );
        assert_eq!(
            told(&header(&["--only", "eurusd", "--stop-within", "5"]), HERE).unwrap(),
            "kill -INT 4711; ROLLFIT_RUN__WORKERS=8 rollfit run --config /srv/fx/rollfit.toml --only eurusd --stop-within 5"
        );
        let elsewhere = RunNow { is_running: true, pid: None };
        assert_eq!(told(&header(&[]), elsewhere), None);
        assert_eq!(told(&header(&["--force"]), HERE), None, "it would begin anew");
        let of_an_earlier_version = Header { options: None, ..header(&[]) };
        assert_eq!(told(&of_an_earlier_version, HERE), None);
    }

    #[test]
    fn what_flags_and_variables_set_is_kept_unless_it_is_what_changes() {
        let setting = |name: &str, value: &str, origin| Setting {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            origin,
        };
        let settings = vec![
            setting("run.workers", "2", Origin::Flag("--workers".to_owned())),
            setting("run.cpu_max", "1.5", Origin::Variable("ROLLFIT_RUN__CPU_MAX".to_owned())),
            setting("run.attempts", "9", Origin::Line(3)),
        ];
        let header = Header { settings, ..header(&[]) };
        let told = |changes: &[&Change]| again(&header, changes, RunNow::default()).unwrap();
        assert_eq!(
            told(&[&change("run.order", Some("largest-first"))]),
            "ROLLFIT_RUN__ORDER=largest-first ROLLFIT_RUN__CPU_MAX=1.5 rollfit run --config /srv/fx/rollfit.toml --workers 2"
        );
        assert_eq!(
            told(&[&change("run.workers", Some("auto")), &change("run.cpu_max", None)]),
            "ROLLFIT_RUN__WORKERS=auto ROLLFIT_RUN__CPU_MAX=4096 rollfit run --config /srv/fx/rollfit.toml"
        );
    }

    #[test]
    fn what_no_variable_can_change_has_no_command() {
        assert_eq!(again(&header(&[]), &[&Change::Locks], RunNow::default()), None);
        assert_eq!(again(&header(&[]), &[&change("run.order", None)], RunNow::default()), None);
    }

    #[test]
    fn options_of_a_stranger_write_nowhere_and_run_nothing() {
        let evil = [
            "--metrics-file",
            "/home/a/.bashrc",
            "--only",
            "a; rm -rf ~",
            "$(reboot)",
            "--config",
            "/evil",
            "--only",
        ];
        let workers = change("run.workers", Some("8 | sh"));
        assert_eq!(
            again(&header(&evil), &[&workers], RunNow::default()).unwrap(),
            "ROLLFIT_RUN__WORKERS='8 | sh' rollfit run --config /srv/fx/rollfit.toml --only 'a; rm -rf ~'"
        );
    }
}
