//! [`StoreSpeed`]: how fast a store takes features, measured without a run by [`Sink::measure`].
//!
//! Holds true: measuring leaves nothing behind. A row is one of a partition, with the features of every series.
//!
//! [`Sink::measure`]: crate::store::Sink::measure

use serde::{Deserialize, Serialize};

/// How fast a store takes features.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoreSpeed {
    /// To open a session; none where there are no sessions.
    pub connect_us: Option<f64>,
    /// From a question to its answer, the median; none where nobody is asked.
    pub round_trip_us: Option<f64>,
    /// About how many round trips a new partition takes, beside its rows; none where nobody is asked.
    pub round_trips: Option<u64>,
    /// One session, or one file.
    pub alone: WriteSpeed,
    /// Several sessions, or files, at once; none where one is all there may be.
    pub together: Option<WriteSpeed>,
    /// To commit a partition that is whole, whatever its rows.
    pub commit_us: f64,
    /// What makes the figures better or worse than those of a run, for people.
    pub notes: Vec<String>,
}

/// How fast so many sessions take rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WriteSpeed {
    /// How many at once.
    pub sessions: usize,
    /// The rows that were handed over to find out.
    pub rows: u64,
    /// Rows a second, of all sessions, encoded and handed over as fast as the store took them.
    pub rows_per_s: f64,
    /// Bytes a second, of all sessions.
    pub bytes_per_s: f64,
    /// The processor time of this process to encode and hand over a row.
    pub cpu_us_per_row: f64,
    /// How long a session then takes to make a row whole: keys and statistics of its tables, or the sync of its file.
    pub complete_us_per_row: f64,
}
