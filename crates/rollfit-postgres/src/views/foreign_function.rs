//! [`ForeignFunction`]: a function that has the name and the argument types of one that views call, and is another one.
//!
//! Invariants: a run leaves it as it is. The statements for its owner say what they do to it, and replace it only where it may be what
//! another version of rollfit made, or what was rollfit's before somebody changed it. Any other one keeps all but its name.

use rollfit_job::store::StoreError;

use super::view_function::ViewFunction;
use crate::connection::answer_row::AnswerRow;

/// A function in the place of one that views call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ForeignFunction {
    /// The position of the one that should be there.
    pub(super) at: usize,
    oid: u32,
    /// Whether only its body is another one, or views of fits call it.
    may_be_ours: bool,
    /// Whether the server allows to replace it: it is called in the same way.
    is_replaceable: bool,
}

impl ForeignFunction {
    /// Returns nothing where there is none, or the one that should be there.
    pub(super) fn from_row(at: usize, row: &AnswerRow) -> Result<Option<Self>, StoreError> {
        let Some(oid) = row.get(0)? else { return Ok(None) };
        let is = |column: usize| Ok::<bool, StoreError>(row.get::<_, Option<bool>>(column)?.unwrap_or(false));
        let (is_replaceable, differs_in_body_alone, has_body) = (is(1)?, is(2)?, is(3)?);
        let may_be_ours = differs_in_body_alone || is(4)?;
        let is_ours = differs_in_body_alone && has_body;
        Ok((!is_ours).then_some(Self { at, oid, may_be_ours, is_replaceable }))
    }

    fn is_replaced(&self) -> bool {
        self.may_be_ours && self.is_replaceable
    }

    /// What the statements do to it, after its schema.
    pub(super) fn warning(&self, wanted: &ViewFunction) -> String {
        let signature = wanted.signature();
        match self.is_replaced() {
            true => format!(
                "{signature} is there and is another one than this version makes (another version made it, or somebody changed it): the \
                 statements replace it"
            ),
            false => format!(
                "{signature} is there and is not rollfit's: the statements rename it to {}, and what calls it by name then calls \
                 rollfit's",
                self.new_name(wanted)
            ),
        }
    }

    /// The statements that put the wanted one in its place.
    pub(super) fn statements(&self, schema: &str, wanted: &ViewFunction) -> Vec<String> {
        let warning = self.warning(wanted);
        if self.is_replaced() {
            return vec![format!("-- {warning}\n{}", wanted.replace_sql())];
        }
        // A routine is a function, a procedure or an aggregate.
        let rename =
            format!("ALTER ROUTINE {schema}.{} RENAME TO {}", wanted.signature(), self.new_name(wanted));
        vec![format!("-- {warning}\n{rename}"), wanted.create.clone()]
    }

    /// A name that no other function has.
    fn new_name(&self, wanted: &ViewFunction) -> String {
        format!("{}_before_{}", wanted.name(), self.oid)
    }
}
