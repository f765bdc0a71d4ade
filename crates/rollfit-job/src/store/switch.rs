//! [`Switch`]: the statements that put one set of features in the place of another, which readers use by the same names;
//! [`JobExchange`]: the same where a store does it itself.

use super::StoreError;

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

/// Two jobs of a store that are about to exchange their features. While it lives, no runner of either is at work.
pub trait JobExchange {
    /// Exchanges the features of the two jobs at once: at every moment readers find those of one job under a name, and after a crash the
    /// names are as before or exchanged.
    ///
    /// # Errors
    /// When it cannot. Then nothing has changed, but where the error says so.
    fn commit(self: Box<Self>) -> Result<(), StoreError>;
}
