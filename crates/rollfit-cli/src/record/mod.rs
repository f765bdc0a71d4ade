//! The record of a run as it is made: [`header`] says what the run is, [`events`] what happens, and [`Recorder`] writes both
//! to the state directory.

pub(crate) mod events;
pub(crate) mod header;
mod recorder;
mod thinning;

pub(crate) use self::recorder::Recorder;
pub(crate) use self::thinning::Thinning;
