//! Runs on a simulated machine and store with a virtual clock: nothing sleeps, and the same seed gives the same run. What
//! decides the number of workers is the real policy, and what comes out is a record as a real run writes it.

mod fleet;
mod load;
mod plan;
mod recording;
mod run;
mod shares;
mod world;

pub use self::fleet::{Fleet, SimulatedFleet, simulate_fleet};
pub use self::run::{BASE_BYTES, Simulated, simulate};
pub use self::world::{
    Over, SimulatedJob, SimulatedLimits, SimulatedMachine, SimulatedSource, SimulatedStore, World,
};
