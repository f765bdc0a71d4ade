//! Two hosts with addresses of their own, as network namespaces: two shards on one server, one of them cut off in mid-work and connected again
//! when the other has ended. All is done once, nothing is lost, and both end well. Needs root and `ip`; is skipped elsewhere.
//!
//! The link is down for as long as the other host works, some seconds. `ROLLFIT_TEST_CUT_S=60` adds a minute.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::running::{Running, signal};
use crate::sandbox::is_privileged;
use crate::server::Setup;
use crate::stopped::{wait_until_stopped, with_signal};
use crate::workload::{WIDE, Workload};

/// A claim that stands still for longer is taken from a host that is cut off.
const IMPATIENT: (&str, &str) = ("ROLLFIT_RUN__IDLE_TIMEOUT_S", "1");

/// The shards of the two hosts. The first of three has none of the partitions of [`WIDE`], the others have four and two.
const SHARDS: [&str; 2] = ["1/3", "2/3"];

/// Two network namespaces, each with an address and a link to this one. They go away with the guard, and when the test process ends in any way: a
/// shell at the other end of a pipe removes them.
struct TwoHosts {
    number: u8,
    shell: Child,
}

impl TwoHosts {
    /// None where this user or system makes none, which is said.
    fn new() -> Option<Self> {
        if !is_privileged() || !ip("netns") {
            println!("skipped: network namespaces need root and `ip`");
            return None;
        }
        // Tests of several processes run at once: whoever makes the first name has the number.
        let first = std::process::id() % 256;
        let number = (0..256)
            .map(|step| ((first + step) % 256) as u8)
            .find(|number| ip(&format!("netns add {}", namespace(*number, 0))));
        let Some(number) = number else {
            println!("skipped: network namespaces cannot be made here");
            return None;
        };
        let hosts = Self { number, shell: remover(number) };
        assert!(ip(&format!("netns add {}", namespace(number, 1))));
        (0..2).for_each(|host| hosts.connect(host));
        Some(hosts)
    }

    fn connect(&self, host: u8) {
        let (namespace, link, server) =
            (namespace(self.number, host), self.link(host), self.server_address(host));
        let address = format!("198.18.{}.{}", self.number, 4 * host + 2);
        for command in [
            format!("link add {link} type veth peer name eth0 netns {namespace}"),
            format!("addr add {server}/30 dev {link}"),
            format!("link set {link} up"),
            format!("-n {namespace} addr add {address}/30 dev eth0"),
            format!("-n {namespace} link set eth0 up"),
        ] {
            assert!(ip(&command), "ip {command}");
        }
    }

    /// This end of a host's link.
    fn link(&self, host: u8) -> String {
        format!("rollfit{}{}", self.number, ["a", "b"][usize::from(host)])
    }

    /// The address of the server as a host sees it, of a range that is for tests of networks (RFC 2544).
    fn server_address(&self, host: u8) -> String {
        format!("198.18.{}.{}", self.number, 4 * host + 1)
    }

    fn set_link(&self, host: u8, state: &str) {
        assert!(ip(&format!("link set {} {state}", self.link(host))));
    }

    /// Starts a host's shard, with one worker.
    fn start(&self, host: u8, workload: &Workload<'_>, variables: &[(&str, &str)]) -> Running {
        let (port, database) = (workload.database.server().port(), workload.database.name());
        let url =
            format!("postgres://postgres@{}:{port}/{database}?sslmode=disable", self.server_address(host));
        let mut command = workload.sandbox.in_clean_environment("ip");
        command.args(["netns", "exec", &namespace(self.number, host), crate::sandbox::ROLLFIT]);
        command.args([
            "run",
            "--json",
            "--log-format",
            "json",
            "--workers",
            "1",
            "--shard",
            SHARDS[usize::from(host)],
        ]);
        command.env("ROLLFIT_STORE__URL", url).envs([IMPATIENT]).envs(variables.iter().copied());
        Running::start(command)
    }
}

impl Drop for TwoHosts {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn namespace(number: u8, host: u8) -> String {
    format!("rollfit-test-{number}-{}", ["a", "b"][usize::from(host)])
}

/// Removes the namespaces, and the links with them, when its pipe closes.
fn remover(number: u8) -> Child {
    let script = "trap '' HUP INT TERM; read -r end; ip netns del \"$0\"; ip netns del \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).args([0, 1].map(|host| namespace(number, host)));
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Whether a command of `ip` does what it is to do.
fn ip(arguments: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(arguments.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// For how long a link is down beyond the work of the other host.
fn more_of_the_cut() -> Duration {
    let seconds = std::env::var("ROLLFIT_TEST_CUT_S").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or_default())
}

fn written(summary: &Value) -> u64 {
    ["/written", "/other_shards/written"]
        .map(|what| summary.pointer(what).unwrap().as_u64().unwrap())
        .iter()
        .sum()
}

#[test]
fn a_host_that_is_cut_off_in_mid_work_loses_nothing_and_ends_well() {
    let Some(hosts) = TwoHosts::new() else { return };
    let addresses = [0, 1].map(|host| hosts.server_address(host)).join(",");
    let access = format!("host all all 198.18.{}.0/29 trust", hosts.number);
    let server = Setup::default().set("listen_addresses", &addresses).access(&[&access]).start();
    let workload = Workload::on(&server, WIDE);

    let moment = with_signal("between-tables:2", "STOP");
    let cut_off = hosts.start(1, &workload, &[("ROLLFIT_FAILPOINT", moment.as_str())]);
    wait_until_stopped(&cut_off);
    hosts.set_link(1, "down");
    signal(&cut_off, "CONT");
    // It ends the claim of the other, which no longer makes progress, and does what that one had in hand.
    let connected = hosts.start(0, &workload, &[]).finish().exits(0).json();
    assert_eq!((&connected["written"], written(&connected)), (&4.into(), 5), "it has helped: {connected}");
    workload.run(&["verify", "--quick"]).exits(0).says(&["6 verified"]);

    std::thread::sleep(more_of_the_cut());
    hosts.set_link(1, "up");
    let reconnected = cut_off.finish().exits(0).json();
    assert_eq!(
        written(&connected) + written(&reconnected),
        6,
        "each was written once: {connected} {reconnected}"
    );
    assert_eq!(reconnected["not_started"], 0);
    let sum = |field: &str| {
        [&connected, &reconnected].map(|summary| summary[field].as_u64().unwrap()).iter().sum::<u64>()
    };
    assert!(
        sum("source_reads") <= 6 + sum("seen_held") + sum("retries"),
        "no source was read twice unseen, but for what was tried again: {connected} {reconnected}"
    );
    workload.is_as_undisturbed();
}
