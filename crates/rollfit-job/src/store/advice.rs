//! [`Advice`]: what a store recommends against a [`Bottleneck`]. A store knows its own settings; nobody else names them.

/// What can limit a run as far as a store may have advice about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// Commits are slow.
    SlowCommits,
    /// Statements that remove, check, count or clean up rows take long.
    Statements,
    /// The store's write bandwidth is saturated.
    WriteBandwidth,
    /// Round trips to the store are slow.
    RoundTrips,
    /// Reading the source is slow.
    SourceReads,
    /// The server's processors are busy.
    ServerCpu,
    /// Sessions wait for locks that others hold.
    LockWaits,
    /// The store allows too few sessions.
    TooFewSessions,
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AppliesWhen {
    /// At once, also to a run in progress.
    AtOnce,
    /// To sessions that start later.
    NewSessions,
    /// With the next run.
    NextRun,
    /// When the store has been restarted.
    StoreRestart,
}

/// One thing to do about a bottleneck.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Advice {
    /// What it does, as an order.
    pub action: String,
    /// The setting or statement to type; none where there is nothing to type.
    pub statement: Option<String>,
    /// A variable of the environment that makes the change for one run alone, to try it; none where there is none.
    pub trial: Option<String>,
    /// Where that is set.
    pub place: String,
    /// What undoes it.
    pub roll_back: String,
    /// What can go wrong; empty where nothing can.
    pub risk: String,
    /// When it takes effect.
    pub applies: AppliesWhen,
}
