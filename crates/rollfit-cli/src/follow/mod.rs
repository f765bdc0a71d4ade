//! What a follower reports to, see [`FollowReporters`]: log, terminal, record and metrics file, for as long as it follows.

mod follow_log;
mod follow_reporters;
mod follow_state;
mod follow_view;
mod followed;
mod rolled_record;

pub(crate) use self::follow_reporters::FollowReporters;
pub(crate) use self::follow_state::{BehindNow, FollowState};
pub(crate) use self::follow_view::{lines, work};
