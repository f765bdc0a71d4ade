//! What a run's [`Record`](crate::record::Record) tells: what limits the run, what to do about it, and what each change
//! would bring.

mod forecast;
mod report;

pub use self::forecast::{Eta, Forecast};
pub use self::report::{
    ActivityShare, Analysis, Basis, Bottleneck, Cause, Combined, Estimate, FORMAT, LaneSlice, Predicted,
    Remedy, Resource, RunFacts, Scaling, TimelinePoint, Worth,
};
