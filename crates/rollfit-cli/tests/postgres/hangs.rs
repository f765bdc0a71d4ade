//! A server that does not answer does not keep a process alive that was told to end.

use std::time::{Duration, Instant};

use crate::faults::{Fault, When};
use crate::proxy::Proxy;
use crate::running::signal;
use crate::workload::Workload;

#[test]
fn a_run_at_a_silent_server_ends_within_ten_seconds_of_the_last_signal() {
    let workload = Workload::small();
    let proxy = Proxy::before(&workload.database.server().socket());
    proxy.arm(When::ToServer(2_000_000), Fault::Stall);
    let url = proxy.url(workload.database.name());
    let mut running = workload.start(&[("ROLLFIT_STORE__URL", &url)], &[]);
    proxy.wait_until_struck();
    signal(&running, "TERM");
    running.wait_for_words("finishing the partitions in progress");
    signal(&running, "TERM");
    let last_signal = Instant::now();
    running.finish().exits(130);
    assert!(last_signal.elapsed() < Duration::from_secs(10), "{:?}", last_signal.elapsed());
    drop(proxy);
    workload.done();
    workload.is_as_undisturbed();
}
