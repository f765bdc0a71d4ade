//! A job in memory that is followed: whatever comes into the source, in whatever order, the features are those of one run over all of
//! it. Time is what the tests say.

#![allow(clippy::unwrap_used)] // A failed helper fails its test.

mod absence;
mod bench;
mod changes;
mod chaos;
mod cheap;
mod far_ahead;
mod growing;
mod keys;
mod late_months;
mod months;
mod periods;
mod stores;
mod taken_back;
