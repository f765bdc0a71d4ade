//! How busy the server is, as a run records it: the time of its processes where it is on this machine, what a command says where it is
//! elsewhere. A server is elsewhere for a run that does not see its processes.

use std::fs::File;
use std::io::BufReader;
use std::process::Command;
use std::time::Instant;

use rollfit_job::config::Origin;
use rollfit_job::record::{Record, Sample};

use crate::sandbox::Answer;
use crate::server::{Server, shared};
use crate::tree::walk;
use crate::workload::{ONE, Workload};

/// One partition that takes a second or two, so that a run has samples.
fn slow_workload() -> Workload<'static> {
    let workload = Workload::on(shared(), ONE);
    workload.configure("store_write_mb_per_s_max = 1.5");
    workload
}

/// The record of the only run, and its text.
#[track_caller]
fn record(workload: &Workload<'_>) -> (Record, String) {
    let mut files = walk(&workload.sandbox.path("state/runs"));
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let [file] = files.try_into().unwrap();
    let record = Record::read(BufReader::new(File::open(&file).unwrap())).unwrap();
    (record, std::fs::read_to_string(file).unwrap())
}

impl Server {
    /// The processor time of its processes so far, in seconds, of which a tick has a hundred.
    fn cpu_s(&self) -> f64 {
        let pid = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let first = pid.lines().next().unwrap();
        let fields = |pid: &str| -> Option<Vec<u64>> {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
            Some(fields.map(|field| field.parse().unwrap_or(0)).collect())
        };
        let ticks = |fields: Vec<u64>| fields[10..14].iter().sum::<u64>();
        let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let fields = fields(entry.unwrap().file_name().to_str()?)?;
            (fields[0].to_string() == first).then_some(fields)
        });
        (ticks(fields(first).unwrap()) + children.map(ticks).sum::<u64>()) as f64 / 100.0
    }
}

/// Does something while a session of the server computes now and then, and leaves the cores to other tests. Returns how many cores the server kept busy.
fn beside_a_busy_session<T>(workload: &Workload<'_>, work: impl FnOnce() -> T) -> (T, f64) {
    const BUSY: &str =
        "do $$ begin loop perform pg_sleep(0.02); for i in 1..300000 loop end loop; end loop; end $$";
    let mut session = workload.database.connect();
    let cancel = session.cancel_token();
    std::thread::scope(|scope| {
        scope.spawn(move || session.batch_execute(BUSY).unwrap_err());
        let server = workload.database.server();
        let (started, before_s) = (Instant::now(), server.cpu_s());
        let result = work();
        let cores = (server.cpu_s() - before_s) / started.elapsed().as_secs_f64();
        cancel.cancel_query(postgres::NoTls).unwrap();
        (result, cores)
    })
}

/// Its command adds nothing here, and fails.
#[test]
fn the_time_of_a_server_on_this_machine_is_that_of_its_processes() {
    let workload = slow_workload();
    let command = "echo hunter2; echo hunter2 >&2; exit 7";
    let variable = ("ROLLFIT_STORE__SERVER_METRICS_COMMAND", command);
    let (run, cores) = beside_a_busy_session(&workload, || workload.run_with(&[variable], &["run"]));
    let run = run.exits(0);
    let (record, text) = record(&workload);
    assert_eq!(record.header.server_cores, record.header.machine.cores.map(|cores| cores as f64));
    let seen: Vec<f64> = record.samples.iter().filter_map(|sample| sample.machine.server_cores).collect();
    let mean = seen.iter().sum::<f64>() / seen.len() as f64;
    // Other tests use the server too, and not evenly.
    assert!(mean > 0.3 * cores && mean < 3.0 * cores, "{seen:?}, {cores}");
    assert_eq!(record.samples.iter().filter_map(server_cpu_share).next(), None);
    // That it fails is told once, without what it wrote.
    let [only] = record.unavailable.as_slice() else { panic!("{:?}", record.unavailable) };
    assert!(only.cause.contains("server_metrics_command failed (exit status: 7)"), "{only:?}");
    assert_eq!(run.stderr.matches("exit status: 7").count(), 1, "{run}");
    assert!(!text.contains("hunter2") && !run.stderr.contains("hunter2"), "{text}");
}

fn server_cpu_share(sample: &Sample) -> Option<f64> {
    sample.store.as_ref()?.server_cpu_share
}

/// Runs where no process of the server is seen; none where that is not permitted.
fn run_elsewhere(workload: &Workload<'_>) -> Option<Answer> {
    const UNSHARE: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let is_permitted = Command::new("unshare").args(UNSHARE).arg("true").status();
    if !is_permitted.is_ok_and(|status| status.success()) {
        println!("skipped: a namespace of processes is not permitted here");
        return None;
    }
    let mut command = workload.sandbox.in_clean_environment("unshare");
    command.args(UNSHARE).arg(env!("CARGO_BIN_EXE_rollfit")).arg("run");
    Some(Answer::from_command(command))
}

#[test]
fn a_server_elsewhere_is_what_the_configuration_says_of_it() {
    let workload = slow_workload();
    workload.reconfigure(|text| {
        let command =
            "server_cores = 8\nserver_metrics_command = \"echo '{\\\"cpu_percent\\\": 37.5}'; cat hunter2\"";
        text.replacen("[partitions]", &format!("{command}\n\n[partitions]"), 1)
    });
    workload.sandbox.write("hunter2", "");
    let Some(run) = run_elsewhere(&workload) else { return };
    let stderr = run.exits(0).stderr;
    let (record, text) = record(&workload);
    assert_eq!(record.header.server_cores, Some(8.0));
    assert!(!text.contains("hunter2") && !stderr.contains("hunter2"), "{text}");
    let setting = record.header.settings.iter().find(|setting| setting.name == "store.server_cores").unwrap();
    let toml = std::fs::read_to_string(workload.sandbox.path("rollfit.toml")).unwrap();
    let line = toml.lines().position(|line| line.starts_with("server_cores")).unwrap() + 1;
    assert_eq!((setting.value.as_deref(), &setting.origin), (Some("8"), &Origin::Line(line)));
    assert_eq!(record.samples.iter().filter_map(server_cpu_share).next_back(), Some(0.375));
    assert!(
        record.unavailable.iter().all(|one| !one.cause.contains("command failed")),
        "{:?}",
        record.unavailable
    );
    assert!(record.samples.iter().all(|sample| sample.machine.server_cores.is_none()));
}
