//! The files in `deploy`: docs/many-machines.md and docs/operations.md show them as they are or link to them, and what can be checked
//! without their engines is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::running::{Running, signal};
use crate::sandbox::{Answer, ROLLFIT, Sandbox};
use crate::signals::SlowJob;

/// `srun` runs its command, or ends with a code of the test's; `scontrol` notes what it is asked for.
const SRUN: &str = "#!/bin/sh\n[ -z \"$SRUN_CODE\" ] || exit \"$SRUN_CODE\"\nshift\nexec \"$@\"\n";
const SCONTROL: &str = "#!/bin/sh\necho \"$@\" >>requeued\n";
/// As much of Airflow as the file names: decorators that give back what they decorate, and its exceptions. SIGTERM raises nothing in a task.
const AIRFLOW: &str = r#"
import signal, sys, types

class AirflowException(Exception): pass
class AirflowFailException(AirflowException): pass

def decorator(*_, **__):
    def decorated(function):
        function.expand = lambda **arguments: arguments
        return function
    return decorated

sys.modules["airflow"] = types.ModuleType("airflow")
for name, what in {"sdk": dict(dag=decorator, task=decorator),
                   "exceptions": dict(AirflowException=AirflowException, AirflowFailException=AirflowFailException)}.items():
    module = sys.modules["airflow." + name] = types.ModuleType("airflow." + name)
    vars(module).update(what)
signal.signal(signal.SIGTERM, lambda *_: None)
try:
    if sys.argv[1] == "nightly":
        import rollfit_nightly  # without Airflow, the DAG runs its task at once
    else:
        import rollfit_dag
        rollfit_dag.SHARDS, rollfit_dag.CONFIG = 2, sys.argv[1]
        rollfit_dag.run_shard(int(sys.argv[2]))
except AirflowException as error:
    sys.exit(f"{type(error).__name__}: {error}")
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn deployed(name: &str) -> String {
    fs::read_to_string(root().join("deploy").join(name)).unwrap()
}

/// The number after a flag, in the words of a command.
fn number_after(words: &[&str], flag: &str) -> u64 {
    words[words.iter().position(|word| *word == flag).unwrap() + 1].parse().unwrap()
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

/// The answer of a program that need not be there; none, and a word, where it is not.
fn answer(command: &mut Command) -> Option<Answer> {
    match command.output() {
        Ok(output) => Some(Answer::from(output)),
        Err(_) => {
            println!("skipped: {} is not to be had here", command.get_program().display());
            None
        }
    }
}

/// The documents of a YAML file; none where Python cannot read YAML.
fn yaml(name: &str) -> Option<Value> {
    let program =
        "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";
    let python = std::env::var("ROLLFIT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let answer = answer(Command::new(python).args(["-c", program]).arg(root().join("deploy").join(name)))?;
    if answer.stderr.contains("No module named 'yaml'") {
        println!("skipped: Python has no yaml here");
        return None;
    }
    Some(answer.exits(0).json())
}

#[test]
fn the_pages_show_every_file_as_it_is_or_link_to_it() {
    let pages = ["docs/many-machines.md", "docs/operations.md"];
    let pages = pages.map(|page| fs::read_to_string(root().join(page)).unwrap()).concat();
    let files = crate::tree::walk(&root().join("deploy"));
    let files: Vec<&PathBuf> = files.iter().filter(|path| path.is_file()).collect();
    assert!(files.len() >= 12, "{files:?}");
    for file in files {
        let shown = format!("\n{}```\n", fs::read_to_string(file).unwrap());
        let linked = format!("](../{})", file.strip_prefix(root()).unwrap().display());
        assert!(
            pages.contains(&shown) || pages.contains(&linked),
            "no page shows {} as it is",
            file.display()
        );
    }
}

#[test]
fn the_job_of_aws_batch_stops_in_time_and_tries_again_what_may_pass() {
    let job: Value = serde_json::from_str(&deployed("aws-batch/job-definition.json")).unwrap();
    serde_json::from_str::<Value>(&deployed("aws-batch/execution-role-policy.json")).unwrap();
    let command = words(&job["containerProperties"]["command"]);
    assert!(number_after(&command, "--stop-within") + 5 < 30, "AWS Batch kills after 30 s");
    is_understood(&command);
    let retries = job["retryStrategy"]["evaluateOnExit"].as_array().unwrap();
    assert!(retries.len() <= 5, "AWS Batch takes no more");
    let action = |code: &str| {
        let fits = |rule: &&Value| rule["onExitCode"] == code || rule["onExitCode"] == "*";
        retries.iter().find(fits).unwrap()["action"].as_str().unwrap()
    };
    assert_eq!(["1", "2", "3", "4", "130"].map(action), ["RETRY", "EXIT", "RETRY", "EXIT", "RETRY"]);
}

#[test]
fn the_job_of_kubernetes_has_as_many_shards_as_pods_and_stops_in_time() {
    let Some(documents) = yaml("kubernetes/job.yaml") else { return };
    let spec = &documents[0]["spec"];
    let container = stops_in_time(spec);
    let variables = container["env"].as_array().unwrap();
    let shard = variables.iter().find(|variable| variable["name"] == "ROLLFIT_SHARD").unwrap();
    assert_eq!(shard["value"], format!("/{}", spec["completions"]));
    let rules = spec["podFailurePolicy"]["rules"].as_array().unwrap();
    let codes = |action: &str| {
        let rule = rules.iter().find(|rule| rule["action"] == action).unwrap();
        assert_eq!(rule["onExitCodes"]["containerName"], container["name"]);
        rule["onExitCodes"]["values"].to_string()
    };
    assert_eq!(["FailJob", "FailIndex", "Count"].map(codes), ["[2]", "[4]", "[1,3,130]"]);
}

/// Checks the command and the grace period of the Pods of a Kubernetes Job; returns their container.
#[track_caller]
fn stops_in_time(job: &Value) -> &Value {
    let pod = &job["template"]["spec"];
    let container = &pod["containers"][0];
    let command = words(&container["args"]);
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(number_after(&command, "--stop-within") + 5 < grace);
    is_understood(&command);
    container
}

#[test]
fn the_nightly_job_of_kubernetes_keeps_its_records_and_waits_for_a_person_where_a_retry_is_in_vain() {
    let Some(documents) = yaml("kubernetes/cronjob.yaml") else { return };
    let (claim, job) = (&documents[0], &documents[1]["spec"]["jobTemplate"]["spec"]);
    let container = stops_in_time(job);
    let volumes = job["template"]["spec"]["volumes"].as_array().unwrap();
    let state = volumes.iter().find(|volume| volume["name"] == "state").unwrap();
    assert_eq!(state["persistentVolumeClaim"]["claimName"], claim["metadata"]["name"]);
    let variables = container["env"].as_array().unwrap();
    let dir = variables.iter().find(|variable| variable["name"] == "ROLLFIT_STATE_DIR").unwrap();
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["name"] == "state" && mount["mountPath"] == dir["value"]));
    let rules = job["podFailurePolicy"]["rules"].as_array().unwrap();
    let fails = rules.iter().find(|rule| rule["action"] == "FailJob").unwrap();
    assert_eq!(fails["onExitCodes"]["values"].to_string(), "[2,4]");
}

/// Checks that rollfit takes these words for a run, which has no configuration here.
#[track_caller]
fn is_understood(command: &[&str]) {
    Sandbox::new().run(command).exits(2).says(&["configuration rollfit.toml does not exist"]);
}

#[test]
fn the_scripts_have_no_mistake_that_a_checker_finds() {
    for name in ["slurm/rollfit.sbatch", "aws-batch/submit.sh"] {
        let path = root().join("deploy").join(name);
        if let Some(answer) = answer(Command::new("shellcheck").arg(&path)) {
            answer.exits(0);
        }
    }
}

/// The script of Slurm in the place of a task, with programs of its own in the place of Slurm's.
fn slurm_task(sandbox: &Sandbox, id: u32, restarts: u32) -> Command {
    for (name, text) in [("bin/srun", SRUN), ("bin/scontrol", SCONTROL)] {
        let path = sandbox.write(name, text);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    if !sandbox.path("bin/rollfit").exists() {
        symlink(ROLLFIT, sandbox.path("bin/rollfit")).unwrap();
    }
    let mut command = sandbox.in_clean_environment("bash");
    command.arg(root().join("deploy/slurm/rollfit.sbatch"));
    command.env("PATH", format!("{}:{}", sandbox.path("bin").display(), std::env::var("PATH").unwrap()));
    command.env("SLURM_SUBMIT_DIR", sandbox.dir()).env("SLURM_RESTART_COUNT", restarts.to_string());
    for (name, number) in [
        ("JOB_ID", 7),
        ("TASK_ID", id),
        ("TASK_MIN", 0),
        ("TASK_MAX", 1),
        ("TASK_STEP", 1),
        ("TASK_COUNT", 2),
    ] {
        command.env(format!("SLURM_ARRAY_{name}"), number.to_string());
    }
    command
}

#[test]
fn the_tasks_of_slurm_do_the_job_and_leave_a_record_each() {
    let sandbox = Sandbox::imported(&["eurusd", "usdjpy"], &["2017-01", "2017-02"]);
    Answer::from_command(slurm_task(&sandbox, 1, 0)).exits(0).says(&["shard 1 of 2, from Slurm"]);
    Answer::from_command(slurm_task(&sandbox, 0, 0)).exits(0).says(&["shard 0 of 2, from Slurm"]);
    sandbox.run(&["verify", "--quick"]).exits(0).says(&["4 verified"]);
    assert!(sandbox.path("records/7/1/runs").exists());
    assert!(!sandbox.path("requeued").exists());
}

#[test]
fn a_task_of_slurm_is_begun_again_where_that_helps() {
    let sandbox = Sandbox::new();
    Answer::from_command(slurm_task(&sandbox, 1, 0)).exits(2).says(&["rollfit.toml does not exist"]);
    assert!(!sandbox.path("requeued").exists(), "a wrong configuration stays wrong");
    sandbox.configure(&["eurusd"], "2017-01", "2017-01");
    let unreachable = |restarts| {
        let mut task = slurm_task(&sandbox, 1, restarts);
        task.env("ROLLFIT_STORE__URL", "postgres://127.0.0.1:1/none?connect_timeout=2");
        Answer::from_command(task).exits(3)
    };
    unreachable(4);
    assert!(!sandbox.path("requeued").exists(), "four times are enough");
    unreachable(3);
    assert_eq!(fs::read_to_string(sandbox.path("requeued")).unwrap(), "requeue 7_1\n");
}

#[test]
fn a_task_of_slurm_that_is_stopped_or_killed_is_begun_again() {
    for (code, is_again) in
        [(0, false), (1, true), (2, false), (4, false), (130, true), (137, true), (143, true)]
    {
        let sandbox = Sandbox::new();
        let mut task = slurm_task(&sandbox, 1, 0);
        task.env("SRUN_CODE", code.to_string());
        Answer::from_command(task).exits(code);
        assert_eq!(sandbox.path("requeued").exists(), is_again, "{code}");
    }
}

#[test]
fn the_script_of_slurm_needs_an_array_and_no_home() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let mut task = slurm_task(&sandbox, 1, 0);
    task.env_remove("HOME");
    Answer::from_command(task).exits(0);
    let mut alone = slurm_task(&sandbox, 1, 0);
    alone.env_remove("SLURM_ARRAY_JOB_ID");
    let alone = Answer::from_command(alone);
    assert!(!alone.status.success());
    alone.says(&["SLURM_ARRAY_JOB_ID: submit with --array"]);
}

/// The task of Airflow in the place of Airflow.
fn airflow_task(sandbox: &Sandbox, index: u32) -> Command {
    sandbox.write("task.py", AIRFLOW);
    let _ = symlink(ROLLFIT, sandbox.path("rollfit"));
    let mut command = sandbox.in_clean_environment("python3");
    command.args(["-B", "task.py", "rollfit.toml", &index.to_string()]);
    command.env("PYTHONPATH", root().join("deploy/airflow"));
    command.env("PATH", format!("{}:{}", sandbox.dir().display(), std::env::var("PATH").unwrap()));
    command
}

#[test]
fn the_tasks_of_airflow_do_the_job_and_say_whether_a_retry_helps() {
    let sandbox = Sandbox::new();
    let Some(wrong) = answer(&mut airflow_task(&sandbox, 0)) else { return };
    wrong.exits(1).says(&["AirflowFailException: shard 0/2: the configuration is wrong (exit code 2)"]);
    let sandbox = Sandbox::imported(&["eurusd", "usdjpy"], &["2017-01"]);
    for index in [0, 1] {
        Answer::from_command(airflow_task(&sandbox, index)).exits(0).says(&["from ROLLFIT_SHARD"]);
    }
    sandbox.run(&["verify", "--quick"]).exits(0).says(&["2 verified"]);
    fs::remove_dir_all(sandbox.path("fx")).unwrap();
    Answer::from_command(airflow_task(&sandbox, 1))
        .exits(1)
        .says(&["AirflowFailException: shard 1/2: the configuration is wrong (exit code 2)"]);
}

/// Puts a program called `rollfit` into the sandbox that ends with a code.
fn rollfit_that_exits(sandbox: &Sandbox, code: i32) {
    let path = sandbox.write("rollfit", format!("#!/bin/sh\nexit {code}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_nightly_task_of_airflow_is_retried_where_that_helps() {
    for (code, exception) in [
        (0, ""),
        (1, "AirflowException: exit code 1"),
        (2, "AirflowFailException: the configuration is wrong"),
        (3, "AirflowException: exit code 3"),
        (4, ""),
        (130, "AirflowException: exit code 130"),
    ] {
        let sandbox = Sandbox::new();
        rollfit_that_exits(&sandbox, code);
        sandbox.write("task.py", AIRFLOW);
        let mut task = sandbox.in_clean_environment("python3");
        task.args(["-B", "task.py", "nightly"]).env("PYTHONPATH", root().join("deploy/airflow"));
        task.env("PATH", format!("{}:{}", sandbox.dir().display(), std::env::var("PATH").unwrap()));
        let Some(answer) = answer(&mut task) else { return };
        answer.exits(i32::from(!exception.is_empty())).says(&[exception]);
    }
}

/// The commands of the crontab, in the sandbox.
fn cron_commands(sandbox: &Sandbox) -> Vec<Command> {
    let crontab = deployed("cron/rollfit");
    let lines = crontab.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(fields[5], "rollfit", "the user after five fields of time: {line}");
            assert!(!line.contains('%'), "cron takes it for the end of the line: {line}");
            let mut shell = sandbox.in_clean_environment("sh");
            shell.args(["-c", &fields[6..].join(" ")]).env("ROLLFIT_CONFIG", "rollfit.toml");
            shell.env("PATH", format!("{}:{}", sandbox.dir().display(), std::env::var("PATH").unwrap()));
            shell
        })
        .collect()
}

#[test]
fn the_commands_of_cron_do_the_job_and_print_what_went_wrong() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    symlink(ROLLFIT, sandbox.path("rollfit")).unwrap();
    let commands = cron_commands(&sandbox).into_iter();
    let answers: Vec<Answer> = commands.map(|command| Answer::from_command(command).exits(0)).collect();
    assert_eq!(answers.len(), 3, "run, check, verify");
    assert!(!answers[0].stdout.contains("exit code"), "{}", answers[0].stdout);
    assert!(
        answers[1].stdout.starts_with("PROBLEM"),
        "the job has one month, long ago: {}",
        answers[1].stdout
    );
    assert_eq!(answers[2].stdout, "", "verified");
    let sandbox = Sandbox::new();
    symlink(ROLLFIT, sandbox.path("rollfit")).unwrap();
    for command in cron_commands(&sandbox) {
        let answer = Answer::from_command(command);
        assert!(!answer.stdout.is_empty(), "no configuration");
    }
}

#[test]
fn systemd_takes_the_nightly_units() {
    let sandbox = Sandbox::new();
    let unit = deployed("systemd/rollfit-nightly.service");
    let installed = "/usr/local/bin/rollfit";
    assert!(unit.contains(installed) && unit.contains("\nSuccessExitStatus=4 "));
    let service = sandbox.write("rollfit-nightly.service", unit.replace(installed, ROLLFIT));
    let timer = sandbox.write("rollfit-nightly.timer", deployed("systemd/rollfit-nightly.timer"));
    if let Some(answer) = answer(Command::new("systemd-analyze").arg("verify").args([service, timer])) {
        assert!(!answer.stderr.contains("rollfit-nightly."), "{}", answer.stderr);
    }
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let command: Vec<&str> = command.split(' ').skip(1).collect();
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    assert!(number_after(&command, "--stop-within") + 5 < stop.parse().unwrap());
    is_understood(&command);
}

/// Airflow stops a task by SIGTERM, which raises nothing in it, and by SIGKILL 5 s later. Rollfit outlives its task.
#[test]
fn a_task_of_airflow_that_is_stopped_lets_the_partition_in_progress_finish() {
    let job = SlowJob::new();
    if answer(Command::new("python3").arg("--version")).is_none() {
        return;
    }
    let mut running = Running::start(airflow_task(&job.sandbox, 0));
    running.wait_for_stage("write");
    signal(&running, "TERM");
    signal(&running, "KILL");
    running.wait_for_words("finishing the partitions in progress");
    assert_eq!(running.finish().status.signal(), Some(9));
    let finished =
        ["2017-01", "2017-02", "2017-03"].iter().filter(|month| job.sandbox.part("slow", month).exists());
    assert_eq!(finished.count(), 1);
}

#[test]
fn the_container_ends_by_a_signal_that_rollfit_hears_and_has_no_rights() {
    let file = deployed("Dockerfile");
    let lines: Vec<&str> = file.lines().collect();
    for line in ["STOPSIGNAL SIGTERM", "USER 10001", "ENTRYPOINT [\"rollfit\"]"] {
        assert!(lines.contains(&line), "{line}");
    }
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).unwrap();
    let version = toolchain.split('"').nth(1).unwrap();
    assert!(
        file.contains(&format!("FROM rust:{version}-"))
            && file.contains(&format!("RUSTUP_TOOLCHAIN={version}"))
    );
}
