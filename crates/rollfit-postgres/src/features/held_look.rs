//! The look of a runner that would begin with a partition: who has it, and what there is of it if nobody does.
//!
//! Invariants: who has it is asked before the snapshot is taken. A claim that has ended by then shows what it committed, so a partition is never
//! taken for free and for missing because its writer ended in between.

use rollfit_job::partition::Partition;
use rollfit_job::store::{Found, Look, Sink, StoreError};

use super::claim_batch::HeldBy;
use crate::PostgresStore;
use crate::connection::holders::{Holder, HolderGrip};
use crate::connection::pool::PooledSession;

impl PostgresStore {
    /// See [`Sink::look`](rollfit_job::store::Sink::look).
    ///
    /// Somebody who only writes a table doesn't keep a partition from being found done. Where there is something to do, which is known after a
    /// claim in vain, it is held for as long as that lasts.
    pub(super) fn look_of(&self, partition: &Partition) -> Result<Look, StoreError> {
        let (output, tables) = (self.output_of(partition), self.leaf_names(partition));
        let question = || Holder::look(&output, &self.schema, &tables);
        let mut session = self.pool.session()?;
        // What another had a moment ago it may still have: then the tables need not be waited for.
        let was_held = self.expectations.is_held(partition);
        if was_held {
            let rows = session.try_batch("find out who has the partition", &[question()])?;
            let rows = rows.unwrap_or_default();
            if let Some((holder, _)) = Holder::looked(rows.first().map_or(&[], Vec::as_slice))? {
                return Ok(self.is_held_by(session, partition, &holder));
            }
        }
        let (rows, looked) = self.look_after(&mut session, partition, Some(question()))?;
        let holder = Holder::looked(&rows)?;
        if let Some((holder, _)) =
            holder.as_ref().filter(|(_, grip)| was_held || *grip == HolderGrip::Exclusive)
        {
            session.roll_back();
            return Ok(self.is_held_by(session, partition, holder));
        }
        let mut look = match looked {
            Ok(look) => look,
            Err(refused) if refused.is_lock_timeout() => {
                let (doing, holder) = refused.into_doing_and_holder();
                self.expectations.note_held(partition, true);
                let held = HeldBy::Looked(doing, holder);
                return self.holder_name(session, partition, held).map(Look::Held);
            }
            // The server does not show locks to this role: then a claim alone tells who has it.
            Err(refused) if refused.is_wrong_statement() => {
                drop(session);
                return self.found(partition).map(Look::Free);
            }
            Err(refused) => return Err(refused.into_error()),
        };
        let found = self.found_in(&mut session, partition, &mut look);
        session.roll_back();
        let found = found?;
        match holder {
            Some((holder, _)) if !matches!(found, Found::Ours(_)) => {
                Ok(self.is_held_by(session, partition, &holder))
            }
            _ => {
                self.expectations.note_held(partition, false);
                Ok(Look::Free(found))
            }
        }
    }

    /// Names the holder, and ends it if it is stuck.
    fn is_held_by(&self, mut session: PooledSession, partition: &Partition, holder: &Holder) -> Look {
        self.stalled_sessions.end_if_stuck(&mut session, holder);
        self.expectations.note_held(partition, true);
        let name = holder.to_string();
        self.pool.seen_holders().record_holder(&name);
        Look::Held(name)
    }
}
