//! The machine that this process is on: what it allows, and how busy it is, from `/proc` and `/sys` of Linux. Elsewhere
//! only the number of cores is known.
//!
//! Invariants: what cannot be read, or makes no sense, is none and named once among what is unavailable. It is never 0, and
//! never the end of a run.

#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod proc;
#[cfg(target_os = "linux")]
mod reading;
#[cfg(target_os = "linux")]
mod server;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
#[cfg(target_os = "linux")]
mod watched;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod watched_tests;

use std::sync::Arc;

use rollfit_job::watch::Machine;

/// The name of this machine, as the system has it.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The machine that this process is on.
#[cfg(target_os = "linux")]
pub(crate) fn here() -> Arc<dyn Machine> {
    Arc::new(linux::Linux::below("/"))
}

/// The machine that this process is on.
#[cfg(not(target_os = "linux"))]
pub(crate) fn here() -> Arc<dyn Machine> {
    Arc::new(elsewhere::Elsewhere)
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use rollfit_job::watch::{Machine, MachineLimits, MachineSample};

    /// A machine whose system rollfit does not know how to ask.
    pub(super) struct Elsewhere;

    impl Machine for Elsewhere {
        fn limits(&self) -> MachineLimits {
            let cores = std::thread::available_parallelism().ok();
            MachineLimits {
                cores: cores.map(std::num::NonZero::get),
                unavailable: vec!["how busy cores, memory and disks are: only Linux is asked".to_owned()],
                ..MachineLimits::default()
            }
        }

        fn sample(&self) -> MachineSample {
            MachineSample::default()
        }
    }
}
