//! [`Switch`]: the statements that put one set of features in the place of another, which readers use by the same names.

/// What puts the features of a job in the place of those that readers use now. A store only prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Switch {
    /// One transaction, from BEGIN to COMMIT.
    pub statements: Vec<String>,
    /// The transaction that undoes it.
    pub back: Vec<String>,
    /// What somebody has to know or do who executes them.
    pub notes: Vec<String>,
}
