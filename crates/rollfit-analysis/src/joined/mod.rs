//! The records of several runners of one job, joined: [`JoinedRuns`]. Each record becomes a [`RunnerDigest`] of bounded size, so that many
//! large ones can be joined.
//!
//! Invariants: processor time, bytes and sessions of runners add up; what each of them saw of the one server does not. Times are those of
//! each host's clock.

mod clock_disagreement;
mod duplicate_work;
mod host_line;
mod imbalance;
mod joined_limit;
mod joined_point;
mod joined_runs;
mod killed_runner;
mod more_machines;
mod runner_digest;
mod runner_line;
mod shared_server;
mod time_use;

pub use self::clock_disagreement::ClockDisagreement;
pub use self::duplicate_work::DuplicateWork;
pub use self::host_line::{HostLine, SlowReason, SlowerHost};
pub use self::imbalance::Imbalance;
pub use self::joined_limit::JoinedLimit;
pub use self::joined_point::{JoinedPoint, TimeGap};
pub use self::joined_runs::{JoinError, JoinedRuns, JoinedSummary};
pub use self::killed_runner::{KilledRunner, SeenHeldPartition};
pub use self::more_machines::{MoreLimit, MoreMachines, MoreMachinesLine, MoreUnknown};
pub use self::runner_digest::RunnerDigest;
pub use self::runner_line::{LaneCell, RunnerLine};
pub use self::shared_server::SharedServer;
pub use self::time_use::{TimeShare, TimeUse};
