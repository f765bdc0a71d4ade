//! [`PartOfPeriod`]: a bound in the middle of a job's periods, which would leave open whether the period is meant.

use crate::period::{Period, PeriodUnit};

/// A period that begins, or ends, within one of a job's periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartOfPeriod {
    part: Period,
    whole: Period,
}

impl std::fmt::Display for PartOfPeriod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { part, whole } = self;
        match whole.unit() {
            PeriodUnit::All => write!(
                f,
                "with by = \"all\" in [partitions] each key has one partition, of all times: leave {part} out, or set by to \"month\", \
                 \"quarter\" or \"year\""
            ),
            unit => write!(
                f,
                "{part} is only a part of {whole}, and by = \"{unit}\" in [partitions]: write {whole}"
            ),
        }
    }
}

impl std::error::Error for PartOfPeriod {}

impl Period {
    /// Checks that a period of the unit `by` begins where this one does.
    ///
    /// # Errors
    /// Naming the period that begins before.
    pub fn check_start(self, by: PeriodUnit) -> Result<(), PartOfPeriod> {
        let whole = by.period_of(self.first_month());
        if whole.first_month() == self.first_month() {
            Ok(())
        } else {
            Err(PartOfPeriod { part: self, whole })
        }
    }

    /// Checks that a period of the unit `by` ends where this one does.
    ///
    /// # Errors
    /// Naming the period that ends later.
    pub fn check_end(self, by: PeriodUnit) -> Result<(), PartOfPeriod> {
        let whole = by.period_of(self.last_month());
        if whole.last_month() == self.last_month() { Ok(()) } else { Err(PartOfPeriod { part: self, whole }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_where_periods_begin_and_end() {
        let period = |text: &str| text.parse::<Period>().unwrap();
        for (text, by) in
            [("2017", PeriodUnit::Month), ("2017-Q1", PeriodUnit::Quarter), ("all", PeriodUnit::All)]
        {
            assert_eq!(
                (period(text).check_start(by), period(text).check_end(by)),
                (Ok(()), Ok(())),
                "{text}"
            );
        }
        assert_eq!(period("2017-01").check_start(PeriodUnit::Year), Ok(()));
        assert_eq!(period("2017-Q4").check_end(PeriodUnit::Year), Ok(()));
        let error = period("2017-01").check_end(PeriodUnit::Quarter).unwrap_err().to_string();
        assert!(
            error.contains("2017-01 is only a part of 2017-Q1") && error.contains("write 2017-Q1"),
            "{error}"
        );
        let error = period("2017").check_start(PeriodUnit::All).unwrap_err().to_string();
        assert!(error.contains("each key has one partition") && error.contains("leave 2017 out"), "{error}");
    }
}
