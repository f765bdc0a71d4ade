//! [`HealthFinding`]: something that a check found, as a fact: the command makes the words.

use std::collections::BTreeMap;

use crate::period::{Period, PeriodUnit};
use crate::store::TableRows;

/// How good or bad something is; the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Somebody should look at it.
    Warning,
    /// It could not be checked.
    Unknown,
    /// Features are wrong, missing or late.
    Problem,
}

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// Whether the source gets new rows.
    Source,
    /// Whether the source's rows have features.
    Freshness,
    /// Whether each period has features, of all rows.
    Coverage,
    /// How many features have no value.
    NoValue,
    /// How many rows the join of the series loses.
    JoinLoss,
    /// Whether as many rows are stored as receipts say.
    Rows,
    /// Whether receipts vouch for what is stored.
    Receipts,
}

impl Aspect {
    /// Every aspect, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Freshness,
        Self::Source,
        Self::Coverage,
        Self::Rows,
        Self::Receipts,
        Self::NoValue,
        Self::JoinLoss,
    ];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Freshness => "freshness",
            Self::Coverage => "coverage",
            Self::NoValue => "no-value",
            Self::JoinLoss => "join-loss",
            Self::Rows => "rows",
            Self::Receipts => "receipts",
        }
    }
}

/// Something found.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthFinding {
    /// What was checked.
    pub aspect: Aspect,
    /// How bad it is.
    pub status: Verdict,
    /// The key.
    pub key: String,
    /// The period, where it is about one.
    pub period: Option<Period>,
    /// What it is.
    pub fact: HealthFact,
}

/// As in documents: the period is called by its unit, and `month` is `null` where a key is meant.
impl serde::Serialize for HealthFinding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Fields<'a> {
            status: Verdict,
            key: &'a str,
            #[serde(flatten)]
            period: BTreeMap<&'static str, Option<Period>>,
            #[serde(flatten)]
            fact: &'a HealthFact,
        }
        let unit = self.period.map_or(PeriodUnit::Month, Period::unit);
        let period = BTreeMap::from([(unit.noun(), self.period)]);
        Fields { status: self.status, key: &self.key, period, fact: &self.fact }.serialize(serializer)
    }
}

impl HealthFinding {
    /// The partition, or the key, for people.
    pub fn subject(&self) -> String {
        match self.period {
            Some(period) => format!("{} {period}", self.key),
            None => self.key.clone(),
        }
    }
}

/// What was found. Instants are microseconds since 1970, UTC; lags are without closed hours.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum HealthFact {
    /// A series has had no new rows for too long.
    SourceStale {
        /// The series.
        series: String,
        /// Its last instant; none where it has no rows.
        last_us: Option<i64>,
        /// How far that lies behind the clock.
        lag_s: Option<f64>,
    },
    /// Every series has new rows, but no instant is in all of them since this one.
    NothingJoined {
        /// The last instant with features.
        since_us: i64,
    },
    /// The last period of the job is over.
    JobOver,
    /// Joined rows of the source have had no features for too long.
    Behind {
        /// The first instant without features.
        first_us: i64,
        /// How far that lies behind the clock.
        lag_s: f64,
    },
    /// A key has no features at all.
    NoFeatures,
    /// It isn't known where the features of a key end: those of its newest period aren't vouched for.
    EndUnknown,
    /// Features are of instants that are still to come.
    InFuture {
        /// The last one.
        last_us: i64,
    },
    /// A period has no features.
    Missing,
    /// A period has no features, and no rows in the source: it is between others, or rows are required of each.
    SourceGap,
    /// The source has lost so many rows since the features were computed that a run skips the month.
    SourceShrunk {
        /// The joined rows that the receipt knows.
        receipt_rows: u64,
        /// The rows that the source has now of the shortest series.
        source_rows: u64,
    },
    /// The source has many more rows than the features were computed from.
    FewRows {
        /// The series.
        series: String,
        /// The rows that the receipt knows, up to its last instant.
        receipt_rows: u64,
        /// The rows that the source has up to there.
        source_rows: u64,
    },
    /// More features have no value than in the periods before.
    MoreWithoutValue {
        /// The cause, as receipts name it.
        cause: &'static str,
        /// Their share in this period.
        share: f64,
        /// The median of the periods before.
        usual_share: f64,
    },
    /// The join loses many rows of a series.
    JoinLoses {
        /// The series.
        series: String,
        /// How many rows it loses.
        lost_rows: u64,
        /// The share of its rows.
        share: f64,
    },
    /// Other rows are stored than the receipt says.
    RowsDiffer {
        /// The rows of the receipt.
        receipt_rows: u64,
        /// The rows that there are.
        tables: Vec<TableRows>,
    },
    /// Rows without a receipt of rollfit.
    Foreign {
        /// What they are.
        message: String,
    },
    /// A receipt that contradicts what is stored.
    Void {
        /// How.
        message: String,
    },
    /// A later version of rollfit wrote it.
    Newer {
        /// Which, and what to do.
        message: String,
    },
    /// A file of others is in the way.
    Blocked {
        /// Which, and what to do.
        message: String,
    },
    /// Computed by another definition.
    DefinitionChanged {
        /// What differs.
        message: String,
    },
    /// What rollfit wrote is damaged.
    Damaged {
        /// How.
        message: String,
    },
    /// It could not be looked at.
    Unreadable {
        /// Why.
        message: String,
    },
}
