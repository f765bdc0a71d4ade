//! [`BufferPool`]: the memory of writers, kept for the next partition: the system takes 10 ms to give a row group's anew.

use std::sync::Mutex;

use rollfit_job::lock::lock;

use crate::encode::body_output::PieceBuffer;
use crate::encode::page_encoder::PageMemory;
use crate::encode::row_group::RowGroup;

/// What one writer needs.
#[derive(Default)]
pub(super) struct WriterBuffers {
    pub(super) group: RowGroup,
    pub(super) piece: PieceBuffer,
    pub(super) page: PageMemory,
}

/// Buffers that no writer uses. Keeps as many as are in use, and one more.
#[derive(Default)]
pub(crate) struct BufferPool(Mutex<Idle>);

#[derive(Default)]
struct Idle {
    buffers: Vec<WriterBuffers>,
    lent: usize,
}

impl BufferPool {
    /// Buffers without rows, used before or new.
    pub(super) fn take(&self) -> WriterBuffers {
        let mut idle = lock(&self.0);
        idle.lent += 1;
        idle.buffers.pop().unwrap_or_default()
    }

    /// Takes buffers back.
    pub(super) fn put(&self, mut buffers: WriterBuffers) {
        buffers.group.clear();
        let mut idle = lock(&self.0);
        idle.lent -= 1;
        if idle.buffers.len() <= idle.lent {
            idle.buffers.push(buffers);
        }
    }
}
