//! [`RawFile`]: what the operating system does for a file that is being written, behind a trait so that a test can refuse
//! or shorten each call.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{AtFlags, FallocateFlags, OFlags, StatxFlags};
use rustix::io::Errno;

/// A file being written, call by call.
pub trait RawFile: Send {
    /// Writes at an offset, maybe fewer bytes than given. While writes are direct, the address, the offset and the length are
    /// multiples of [`RawFile::direct_alignment`].
    ///
    /// # Errors
    /// Those of the file system.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Sets aside room for a file of this length. Does nothing where the file system cannot.
    ///
    /// # Errors
    /// When there is no room.
    fn reserve(&mut self, bytes: u64) -> io::Result<()>;

    /// Cuts the file to this length.
    ///
    /// # Errors
    /// Those of the file system.
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes the file durable.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync(&mut self) -> io::Result<()>;

    /// The file's device and inode, by which it is told from another that takes its name.
    ///
    /// # Errors
    /// Those of the file system.
    fn id(&self) -> io::Result<(u64, u64)>;

    /// What direct writes have to be aligned to, a power of two. `None` where they are not worth trying.
    fn direct_alignment(&self) -> Option<usize>;

    /// Makes the following writes direct, or not.
    ///
    /// # Errors
    /// When the file system refuses direct writes.
    fn set_direct(&mut self, is_direct: bool) -> io::Result<()>;
}

impl RawFile for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&*self, FallocateFlags::empty(), 0, bytes) {
                Err(Errno::INTR) => {}
                Err(error) if is_unsupported(error) => return Ok(()),
                done => return Ok(done?),
            }
        }
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }

    fn id(&self) -> io::Result<(u64, u64)> {
        let status = self.metadata()?;
        Ok((status.dev(), status.ino()))
    }

    fn direct_alignment(&self) -> Option<usize> {
        let file_system = rustix::fs::fstatfs(self).ok()?;
        if !takes_direct_writes(file_system.f_type as u64) {
            return None;
        }
        match rustix::fs::statx(self, "", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) {
            Ok(found) if found.stx_mask & StatxFlags::DIOALIGN.bits() != 0 => {
                alignment(found.stx_dio_mem_align, found.stx_dio_offset_align)
            }
            // Kernels before 6.1 do not say.
            _ => Some(PAGE_BYTES),
        }
    }

    fn set_direct(&mut self, is_direct: bool) -> io::Result<()> {
        let mut flags = rustix::fs::fcntl_getfl(&*self)?;
        flags.set(OFlags::DIRECT, is_direct);
        Ok(rustix::fs::fcntl_setfl(&*self, flags)?)
    }
}

const PAGE_BYTES: usize = 4096;

fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Whether direct writes of a file system reach the disk without detours: those of ext2, ext3, ext4 and XFS. Others take
/// them and only pretend (tmpfs, overlay, FUSE), send them elsewhere (NFS), or then store the files without the compression
/// that they would otherwise apply (btrfs, ZFS, bcachefs).
fn takes_direct_writes(file_system: u64) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    matches!(file_system, EXT | XFS)
}

/// What suits memory and offset alike, at least a page; 0 means that there are no direct writes of this file.
fn alignment(memory: u32, offset: u32) -> Option<usize> {
    const MOST: usize = 1 << 16;
    let (memory, offset) = (usize::try_from(memory).ok()?, usize::try_from(offset).ok()?);
    let is_possible = memory.is_power_of_two() && offset.is_power_of_two();
    let aligned = memory.max(offset).max(PAGE_BYTES);
    (is_possible && aligned <= MOST).then_some(aligned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alignment_suits_memory_and_offset_and_is_a_page_at_least() {
        assert_eq!(alignment(4, 512), Some(4096));
        assert_eq!(alignment(512, 8192), Some(8192));
        for (memory, offset) in [(0, 0), (0, 512), (512, 0), (3, 512), (512, 513), (512, 1 << 17)] {
            assert_eq!(alignment(memory, offset), None, "{memory} {offset}");
        }
    }

    #[test]
    fn only_file_systems_known_to_write_directly_are_tried() {
        let (tmpfs, nfs, overlay, fuse, btrfs) = (0x0102_1994, 0x6969, 0x794c_7630, 0x6573_5546, 0x9123_683e);
        assert!([tmpfs, nfs, overlay, fuse, btrfs].iter().all(|&other| !takes_direct_writes(other)));
        assert!(takes_direct_writes(0xef53) && takes_direct_writes(0x5846_5342));
    }

    #[test]
    fn only_a_missing_fallocate_is_passed_over() {
        assert!(is_unsupported(Errno::OPNOTSUPP) && is_unsupported(Errno::NOSYS));
        assert!(![Errno::NOSPC, Errno::DQUOT, Errno::FBIG, Errno::IO].into_iter().any(is_unsupported));
    }
}
