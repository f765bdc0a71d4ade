//! [`Piece`]: bytes collected until there are enough for one write, at an address that direct writes accept.

/// A buffer of a fixed size whose address is aligned. It takes no memory before it has contents.
pub(super) struct Piece {
    memory: Vec<u8>,
    /// Where the aligned part of `memory` begins.
    start: usize,
    bytes: usize,
    capacity: usize,
    align: usize,
}

impl Piece {
    /// A buffer of at least `bytes`, a multiple of `align`.
    pub(super) fn new(bytes: usize, align: usize) -> Self {
        let capacity = bytes.max(1).next_multiple_of(align);
        Self { memory: Vec::new(), start: 0, bytes: 0, capacity, align }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes == self.capacity
    }

    pub(super) fn clear(&mut self) {
        self.bytes = 0;
    }

    /// Takes as many bytes as there is room for; returns how many.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        if self.memory.is_empty() {
            self.memory = vec![0; self.capacity + self.align];
            self.start = self.memory.as_ptr().addr().wrapping_neg() % self.align;
        }
        let taken = bytes.len().min(self.capacity - self.bytes);
        let at = self.start + self.bytes;
        self.memory[at..at + taken].copy_from_slice(&bytes[..taken]);
        self.bytes += taken;
        taken
    }

    /// The bytes, and zeros up to a multiple of `align`.
    pub(super) fn padded(&mut self, align: usize) -> &[u8] {
        let end = self.bytes.next_multiple_of(align).min(self.capacity);
        self.memory[self.start..][self.bytes..end].fill(0);
        &self.memory[self.start..][..end]
    }
}
