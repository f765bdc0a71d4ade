//! [`LongJob`]: the job of long tables, which have the rows of several keys, told apart by a column.

use super::proposal::{NoProposal, Proposal, ProposedSeries, TableGroup, ambiguous, series_name};

/// Tables with a column of keys.
pub(super) struct LongJob<'a> {
    /// Those with a column of keys.
    pub(super) tables: &'a [TableGroup],
    /// Those without.
    pub(super) others: &'a [TableGroup],
    /// Whether the user named all of them.
    pub(super) named: bool,
}

impl LongJob<'_> {
    /// The job of the only table, or of those that the user named. Its keys are known when it is planned.
    ///
    /// # Errors
    /// When several tables could be meant, or tell their keys apart by different columns.
    pub(super) fn proposal(&self, mut left_out: Vec<(String, String)>) -> Result<Proposal, NoProposal> {
        let key_column = |group: &TableGroup| group.first.key_column.clone();
        let is_one_each = self.tables.iter().all(|group| group.names.len() == 1);
        let is_alike = self.tables.iter().all(|group| key_column(group) == key_column(&self.tables[0]));
        let is_meant = self.tables.len() == 1 || self.named && is_alike;
        if !(is_one_each && is_meant) {
            return Err(ambiguous(self.tables, left_out));
        }
        let why = format!("it has no column of keys, as {} has", self.tables[0].names[0]);
        left_out.extend(self.others.iter().flat_map(|group| group.described(&why)));
        let mut series: Vec<ProposedSeries> = Vec::new();
        for group in self.tables {
            for value in &group.first.values {
                let name = series_name(value, &group.names[0], &series);
                series.push(ProposedSeries::new(name, group.names[0].clone(), group, value));
            }
        }
        Ok(Proposal { keys: Vec::new(), is_all: true, series, tables: self.tables.len(), left_out })
    }
}

#[cfg(test)]
mod tests {
    use super::super::usable_table::tests::table;
    use super::*;

    const BARS: (&str, &[&str]) = ("bars", &["o symbol", "z ts", "n open", "n close"]);
    const SPREADS: (&str, &[&str]) = ("spreads", &["o symbol", "z ts", "n spread"]);

    fn propose(tables: &[(&str, &[&str])], named: bool) -> Result<Proposal, NoProposal> {
        let names: Vec<String> = tables.iter().map(|(name, _)| (*name).to_owned()).collect();
        let tables: Vec<_> = tables.iter().map(|(name, columns)| table(name, columns)).collect();
        Proposal::new(&tables, &names, named)
    }

    fn series(found: &Proposal) -> Vec<String> {
        let text = |s: &ProposedSeries| format!("{}: {} {} of {:?}", s.name, s.table, s.value, s.key_column);
        found.series.iter().map(text).collect()
    }

    #[test]
    fn one_table_of_many_keys_is_a_job_of_all_its_keys() {
        let found = propose(&[BARS, ("calendar", &["z ts", "n x"]), ("users", &["o name"])], false).unwrap();
        assert_eq!(series(&found), ["close: bars close of Some(\"symbol\")"]);
        assert!(found.keys.is_empty() && found.is_all && found.tables == 1);
        assert_eq!(found.left_out.len(), 2);
        assert!(found.left_out.iter().any(|(_, why)| why == "it has no column of keys, as bars has"));
    }

    #[test]
    fn several_are_a_job_only_where_they_are_named_and_tables_of_a_key_each_come_first() {
        let error = propose(&[BARS, SPREADS], false).unwrap_err();
        assert_eq!(error.tables[0], ("bars".to_owned(), "has ts, close, open".to_owned()));
        let found = propose(&[BARS, SPREADS], true).unwrap();
        assert_eq!(found.series.len(), 2);
        let price: &[&str] = &["z ts", "n price"];
        let found = propose(&[BARS, ("p_aapl", price), ("p_msft", price)], false).unwrap();
        assert_eq!((found.keys.len(), found.left_out[0].0.as_str()), (2, "bars"));
        // Tables of the same columns may be one of each key all the same: nothing says that.
        assert!(propose(&[("b_1", BARS.1), ("b_2", BARS.1)], false).is_err());
    }
}
