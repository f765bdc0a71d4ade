//! [`AppliedPolicies`]: the row-level security of a table that applies to the role and may hide rows from it.

use rollfit_job::few::few;
use rollfit_job::store::StoreError;

use crate::connection::answer_row::AnswerRow;
use crate::names::{TableName, quoted};

/// The policies of a table that apply to the role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppliedPolicies {
    pub(crate) role: String,
    /// Their names; empty if row-level security is enabled and no policy is for the role, which hides every row.
    pub(crate) names: Vec<String>,
    /// Whether the role sees every row, and may delete it.
    hides_nothing: bool,
}

/// Columns that describe a table `c` of `pg_class`, for [`AppliedPolicies::from_row`]: its role, its policies, and
/// whether a permissive `USING (true)` and no restrictive policy is there for SELECT and DELETE.
pub(crate) fn columns() -> String {
    const OF_ROLE: &str = "FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND (0 = ANY(p.polroles) \
         OR EXISTS (SELECT FROM unnest(p.polroles) r WHERE r <> 0 AND pg_has_role(r, 'USAGE')))";
    let shows_all = |command: char| {
        format!(
            "EXISTS (SELECT {OF_ROLE} AND p.polpermissive AND p.polcmd IN ('*', '{command}') \
                 AND pg_get_expr(p.polqual, p.polrelid) = 'true')"
        )
    };
    format!(
        "CASE WHEN row_security_active(c.oid) THEN current_user::text END, \
         CASE WHEN row_security_active(c.oid) THEN ARRAY(SELECT p.polname::text {OF_ROLE} ORDER BY 1) END, \
         CASE WHEN row_security_active(c.oid) THEN {} AND {} AND NOT EXISTS (SELECT {OF_ROLE} \
             AND NOT p.polpermissive AND p.polcmd IN ('*', 'r', 'd')) END",
        shows_all('r'),
        shows_all('d')
    )
}

impl AppliedPolicies {
    /// Reads a row whose [`columns`] start at `first`; none if no policy applies to the role.
    pub(crate) fn from_row(row: &AnswerRow, first: usize) -> Result<Option<Self>, StoreError> {
        let (role, names, hides_nothing) = (row.get(first)?, row.get(first + 1)?, row.get(first + 2)?);
        let known = |((role, names), hides_nothing)| Self { role, names, hides_nothing };
        Ok(Option::zip(role, names).zip(hides_nothing).map(known))
    }

    /// Describes what they do, for messages.
    pub(crate) fn describe(&self) -> String {
        let role = &self.role;
        match self.names.as_slice() {
            [] => {
                format!("row-level security hides every row from role {role}, which has no policy")
            }
            [name] => {
                format!("the row-level security policy {} may hide rows from role {role}", quoted(name))
            }
            names => format!(
                "the row-level security policies {} may hide rows from role {role}",
                few(names.iter().map(|name| quoted(name)))
            ),
        }
    }

    /// Returns what to do about them without accepting them.
    pub(crate) fn remedies(&self) -> String {
        format!(
            "have the owner drop or change the policy, or give the role BYPASSRLS (ALTER ROLE {} BYPASSRLS)",
            quoted(&self.role)
        )
    }

    /// Returns why a table is not read.
    pub(crate) fn refused(&self, table: &TableName) -> StoreError {
        StoreError::permanent(format!("{table}: {}; {}", self.describe(), self.remedies()))
    }

    /// Checks that all rows can be replaced.
    ///
    /// # Errors
    /// When some may be hidden.
    pub(crate) fn check_writable(&self, table: &TableName) -> Result<(), StoreError> {
        match self.keeps_from_replacing() {
            None => Ok(()),
            Some(remedies) => Err(StoreError::permanent(format!("{table}: {}; {remedies}", self.describe()))),
        }
    }

    /// Returns why not all rows can be replaced, and what to do about it; none if they can.
    pub(crate) fn keeps_from_replacing(&self) -> Option<String> {
        (!self.hides_nothing).then(|| {
            format!(
                "hidden rows would stay beside the new ones, whatever `row_security` says; {}, or have the owner \
                 give the role a policy FOR ALL USING (true)",
                self.remedies()
            )
        })
    }
}
