//! [`Block`]: the memory that the columns of a table share.
//!
//! A large block begins at a multiple of 2 MB and asks for huge pages, because the faults of 4 kB pages would cost more than the
//! fits. The block that was freed last is kept for the next table, whose memory then needs no page at all; it is at most
//! [`SPARE_BYTES`] long.
//!
//! Invariants: every number of a block is initialised, with whatever value, from its first moment; nobody but its one owner changes
//! it, and nobody does once it is shared as an Arrow buffer.

#![allow(unsafe_code)]

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_buffer::Buffer;

/// Where a column should begin: at a line of the cache, which is also a register of AVX-512.
pub(crate) const LINE_BYTES: usize = 64;
/// A huge page of x86-64 and of most ARM systems.
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Smaller blocks come from the allocator: each mapping is a page or more, and the system limits how many a process has.
const LEAST_MAPPED_BYTES: usize = 1 << 20;
/// The longest block that is kept for the next table.
const SPARE_BYTES: usize = 64 << 20;

/// The pages kept for the next table.
static SPARE: Mutex<Option<Pages>> = Mutex::new(None);

/// Numbers side by side, which begin at a line of the cache.
#[derive(Debug)]
pub(crate) struct Block {
    start: NonNull<f64>,
    count: usize,
    memory: Memory,
}

/// Where a block's memory comes from.
#[derive(Debug)]
enum Memory {
    Allocator(Layout),
    Pages(Pages),
    /// Given to the next block.
    Gone,
}

/// Pages of the system, given back when dropped.
#[derive(Debug)]
struct Pages {
    first: NonNull<std::ffi::c_void>,
    bytes: usize,
}

// SAFETY: pages belong to their one owner, whichever thread it is on.
unsafe impl Send for Pages {}
// SAFETY: a block owns its memory, and a shared one is only read.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    /// A block of `count` numbers, whose values may be anything. None where the system has not that much memory.
    pub(crate) fn new(count: usize) -> Option<Self> {
        let bytes = count.checked_mul(size_of::<f64>())?;
        if bytes < LEAST_MAPPED_BYTES {
            let layout = Layout::from_size_align(bytes.max(LINE_BYTES), LINE_BYTES).ok()?;
            // SAFETY: the layout is not of size 0.
            let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) })?;
            return Some(Self { start: start.cast(), count, memory: Memory::Allocator(layout) });
        }
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = spare.take_if(|pages| pages.suit(bytes));
        drop(spare);
        let pages = kept.or_else(|| Pages::new(bytes))?;
        Some(Self { start: pages.start().cast(), count, memory: Memory::Pages(pages) })
    }

    /// The number of its numbers.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Its numbers.
    pub(crate) fn values(&self) -> &[f64] {
        // SAFETY: the memory holds `count` initialised numbers, and nobody changes them while they are shared.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }

    /// Its numbers, to change.
    pub(crate) fn values_mut(&mut self) -> &mut [f64] {
        // SAFETY: as above, and `self` is the only owner.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.count) }
    }

    /// All its memory as an Arrow buffer, which shares ownership of the block.
    pub(crate) fn buffer(self: &Arc<Self>) -> Buffer {
        let bytes = self.count * size_of::<f64>();
        // SAFETY: the memory is initialised and stays as it is until the last owner of the block is gone, the buffer among them.
        unsafe { Buffer::from_custom_allocation(self.start.cast(), bytes, Arc::clone(self) as _) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.memory, Memory::Gone) {
            // SAFETY: allocated with this layout, and dropped once.
            Memory::Allocator(layout) => unsafe { std::alloc::dealloc(self.start.as_ptr().cast(), layout) },
            Memory::Pages(pages) if pages.room_bytes() <= SPARE_BYTES => {
                let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
                let older = spare.replace(pages);
                drop(spare);
                drop(older);
            }
            Memory::Pages(_) | Memory::Gone => {}
        }
    }
}

impl Pages {
    /// Pages with room for `bytes` from a multiple of 2 MB on.
    fn new(bytes: usize) -> Option<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let room_bytes = bytes.checked_next_multiple_of(HUGE_PAGE_BYTES)?;
        let bytes = room_bytes.checked_add(HUGE_PAGE_BYTES)?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the system chooses the address, so no memory in use is mapped over. New pages hold zeros.
        let first = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, access, MapFlags::PRIVATE) }.ok()?;
        let pages = Self { first: NonNull::new(first)?, bytes };
        #[cfg(target_os = "linux")]
        // SAFETY: the range is within the pages. The advice changes no contents, and nothing depends on its success.
        let _ = unsafe {
            rustix::mm::madvise(pages.start().as_ptr(), room_bytes, rustix::mm::Advice::LinuxHugepage)
        };
        Some(pages)
    }

    /// The first multiple of 2 MB.
    fn start(&self) -> NonNull<std::ffi::c_void> {
        let skipped_bytes = self.first.cast::<u8>().align_offset(HUGE_PAGE_BYTES);
        // SAFETY: less than a huge page is skipped, and there is one more than the room.
        unsafe { self.first.byte_add(skipped_bytes) }
    }

    /// The bytes from the first multiple of 2 MB on that a block may have.
    fn room_bytes(&self) -> usize {
        self.bytes - HUGE_PAGE_BYTES
    }

    /// Whether `bytes` fit and use at least half of them.
    fn suit(&self, bytes: usize) -> bool {
        bytes <= self.room_bytes() && self.room_bytes() / 2 <= bytes.next_multiple_of(HUGE_PAGE_BYTES)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped as one, and the owner, who is the last, is being dropped.
        let _ = unsafe { rustix::mm::munmap(self.first.as_ptr(), self.bytes) };
    }
}
