//! [`SelectionArguments`]: which partitions a command is about, as typed; the same for every command that selects.

use clap::Args;
use rollfit_job::period::Period;
use rollfit_job::selection::Selection;
use rollfit_job::selector::Selector;

use crate::exit::Failure;

/// What a selector looks like in help.
pub(crate) const SELECTOR: &str = "KEY[:MONTHS]";

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SelectionArguments {
    /// Only these partitions: eurusd, 'eur*', eurusd:2017-01, 'eur*:2017-0?', eurusd:2017-03..2017-06, :2017-03.. or a list with commas
    #[arg(long, value_name = SELECTOR, value_delimiter = ',')]
    pub(crate) only: Vec<Selector>,
    #[command(flatten)]
    pub(crate) months: MonthArguments,
}

#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct MonthArguments {
    /// Only this month and later ones; also a quarter, 2017-Q1, or a year, 2017
    #[arg(long, value_name = "YYYY-MM")]
    pub(crate) from: Option<Period>,
    /// Only this month and earlier ones
    #[arg(long, value_name = "YYYY-MM")]
    pub(crate) to: Option<Period>,
}

impl SelectionArguments {
    /// What is selected.
    ///
    /// # Errors
    /// When the last month is before the first one.
    pub(crate) fn selection(&self) -> Result<Selection, Failure> {
        self.months.selection(&self.only)
    }

    /// As they are typed again.
    pub(crate) fn typed(&self) -> Vec<String> {
        let only = self.only.iter().map(|selector| ("--only", selector.to_string()));
        let from = self.months.from.map(|from| ("--from", from.to_string()));
        let to = self.months.to.map(|to| ("--to", to.to_string()));
        only.chain(from).chain(to).flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }
}

impl MonthArguments {
    /// What `selectors` match of these months.
    ///
    /// # Errors
    /// When the last month is before the first one.
    pub(crate) fn selection(self, selectors: &[Selector]) -> Result<Selection, Failure> {
        Selection::new(selectors.to_vec(), self.from, self.to)
            .map_err(|error| Failure::usage(format!("--from and --to: {error}")))
    }
}
