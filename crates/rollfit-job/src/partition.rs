//! [`Partition`]: the unit of work, of commit and of resume.

use serde::de::Error as _;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::period::{Period, PeriodUnit};

/// One key in one period. In documents it has two fields: `key`, and `month`, `quarter`, `year` or `period`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// What the series belongs to, `eurusd`.
    pub key: String,
    /// When.
    pub period: Period,
}

impl Partition {
    /// A key's partition of a period.
    pub fn new(key: impl Into<String>, period: Period) -> Self {
        Self { key: key.into(), period }
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&format!("{} {}", self.key, self.period))
    }
}

impl Serialize for Partition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Partition", 2)?;
        fields.serialize_field("key", &self.key)?;
        fields.serialize_field(self.period.unit().noun(), &self.period)?;
        fields.end()
    }
}

impl<'de> Deserialize<'de> for Partition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            key: String,
            month: Option<Period>,
            quarter: Option<Period>,
            year: Option<Period>,
            period: Option<Period>,
        }
        let Fields { key, month, quarter, year, period } = Fields::deserialize(deserializer)?;
        let of_units = PeriodUnit::ALL.into_iter().zip([month, quarter, year, period]);
        let mut given = of_units.filter_map(|(unit, period)| Some((unit, period?)));
        match (given.next(), given.next()) {
            (Some((unit, period)), None) if period.unit() == unit => Ok(Self { key, period }),
            (Some((unit, period)), None) => {
                Err(D::Error::custom(format!("`{period}` is not a {}", unit.noun())))
            }
            _ => Err(D::Error::custom("a partition has one of month, quarter, year and period")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_name_the_unit_of_a_period() {
        for (period, json) in [
            ("2017-01", r#"{"key":"eurusd","month":"2017-01"}"#),
            ("2017-Q1", r#"{"key":"eurusd","quarter":"2017-Q1"}"#),
            ("2017", r#"{"key":"eurusd","year":"2017"}"#),
            ("all", r#"{"key":"eurusd","period":"all"}"#),
        ] {
            let partition = Partition::new("eurusd", period.parse().unwrap());
            assert_eq!(serde_json::to_string(&partition).unwrap(), json);
            assert_eq!(serde_json::from_str::<Partition>(json).unwrap(), partition);
        }
        for wrong in [
            r#"{"key":"eurusd"}"#,
            r#"{"key":"eurusd","month":"2017"}"#,
            r#"{"key":"eurusd","period":"2017"}"#,
            r#"{"key":"eurusd","month":"2017-01","year":"2017"}"#,
        ] {
            assert!(serde_json::from_str::<Partition>(wrong).is_err(), "{wrong}");
        }
    }
}
