//! [`Policies`]: the row-level security of a table as far as it decides what somebody reads, and whether a view hides the same rows.

use rollfit_job::few::few;
use rollfit_job::store::StoreError;

use super::exchange::{Exchange, Replaced};
use crate::connection::answer_row::AnswerRow;

/// Row-level security of a table, for reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policies {
    pub(super) is_on: bool,
    /// Whether it holds for the owner too.
    pub(super) is_forced: bool,
    /// The policies for reading, in order: kind, roles, expression.
    pub(super) of_reading: Vec<String>,
}

impl Policies {
    pub(super) fn from_row(row: &AnswerRow) -> Result<Self, StoreError> {
        Ok(Self {
            is_on: row.get("has_row_security")?,
            is_forced: row.get("is_forced")?,
            of_reading: row.get("policies")?,
        })
    }

    /// Returns whether both hide the same rows of tables with the same columns.
    pub(super) fn hide_the_same(&self, other: &Self) -> bool {
        self == other || !self.is_on && !other.is_on
    }
}

impl Exchange {
    /// Refuses to show rows that policies of a deployed table hide from some of its readers, and to hide others.
    ///
    /// # Errors
    /// When the policies are not the same, or do not hold for readers of the view.
    pub(super) fn check_row_security(&self) -> Result<(), StoreError> {
        let problem = self.tables.iter().find_map(|replaced| self.problem_of_policies(replaced));
        let problem = problem.or_else(|| {
            let is_bypassed = self.fits.policies.is_on && !self.view.reads_as_reader;
            is_bypassed.then(|| {
                format!(
                    "{} reads with the rights of its owner, so the policies of {} would not hold for its readers; ALTER VIEW {} SET \
                     (security_invoker = true), which PostgreSQL has from 15 on",
                    self.view.name,
                    self.fits.name,
                    self.view.name.sql()
                )
            })
        });
        match problem {
            None => Ok(()),
            Some(problem) => Err(StoreError::permanent(format!("not ready to switch: {problem}"))),
        }
    }

    fn problem_of_policies(&self, Replaced { table, .. }: &Replaced) -> Option<String> {
        let (deployed, fits) = (&table.policies, &self.fits.policies);
        let (name, fits_name, fits_sql) = (&table.name, &self.fits.name, self.fits.name.sql());
        if deployed.hide_the_same(fits) {
            return deployed.is_on.then(|| self.retyped_column(table)).flatten();
        }
        if deployed.is_on && !fits.is_on {
            return Some(format!(
                "{name} has row-level security and {fits_name} has none, so the view would show what the policies hide; create the \
                 same policies on {fits_name} and ALTER TABLE {fits_sql} ENABLE ROW LEVEL SECURITY"
            ));
        }
        if fits.is_on && !deployed.is_on {
            return Some(format!(
                "{fits_name} has row-level security and {name} has none, so the view would hide rows that readers see; ALTER TABLE \
                 {fits_sql} DISABLE ROW LEVEL SECURITY"
            ));
        }
        if deployed.of_reading != fits.of_reading {
            return Some(format!(
                "the policies for reading of {name} and {fits_name} differ: {}; create the same on {fits_name}",
                difference(deployed, fits)
            ));
        }
        let (forced, free) = if deployed.is_forced { (name, fits_name) } else { (fits_name, name) };
        let setting = if deployed.is_forced { "FORCE" } else { "NO FORCE" };
        Some(format!(
            "the policies of {forced} hold for its owner and those of {free} do not; ALTER TABLE {fits_sql} {setting} ROW LEVEL SECURITY"
        ))
    }

    /// A column that both tables have, with other types: the same policy means something else there.
    fn retyped_column(&self, table: &super::relation::Relation) -> Option<String> {
        let of_fits = |name: &String| self.fits.columns.iter().find(|(column, _)| column == name);
        let changed = table.columns.iter().find_map(|(column, kind)| {
            let (_, new) = of_fits(column)?;
            (new != kind).then(|| format!("{column} is {kind} in {} and {new}", table.name))
        })?;
        Some(format!(
            "{changed} in {}, so the same policies may hide other rows; remove row-level security from {} first, or keep layout = \
             \"metrics\" for it",
            self.fits.name, table.name
        ))
    }
}

/// Which policies only one of both has.
fn difference(deployed: &Policies, fits: &Policies) -> String {
    let only = |these: &Policies, those: &Policies| -> Vec<String> {
        these.of_reading.iter().filter(|policy| !those.of_reading.contains(policy)).cloned().collect()
    };
    let told = |which: &str, policies: Vec<String>| {
        (!policies.is_empty()).then(|| format!("only the {which} has {}", few(policies)))
    };
    let parts = [told("first", only(deployed, fits)), told("second", only(fits, deployed))];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "one has the same policy twice".to_owned() } else { parts.join(", ") }
}
