//! Whether a directory is on a disk of this machine, which no other machine can write to.

use std::path::Path;

use rollfit_files::path::full;

/// What a file system has, by the number that Linux gives its kind (`statfs(2)`), where it is one machine's alone. File systems of networks
/// and clusters are not among them, nor is FUSE, behind which there may be anything.
const OF_ONE_MACHINE: [(u64, &str); 12] = [
    (0xef53, "ext4"),
    (0x5846_5342, "XFS"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "ZFS"),
    (0xf2f5_2010, "F2FS"),
    (0xca45_1a4e, "bcachefs"),
    (0x3153_464a, "JFS"),
    (0x5265_4973, "ReiserFS"),
    (0x4d44, "FAT"),
    (0x0102_1994, "tmpfs, in memory"),
    (0x8584_58f6, "ramfs, in memory"),
    (0x794c_7630, "overlay, a container's own"),
];

/// Why a store at `dir` is this machine's alone, as a clause; none where it may not be. `existing` is `dir` or a directory above it.
pub(crate) fn only_here(dir: &Path, existing: &Path) -> Option<String> {
    let kind = kind(existing)?;
    let (_, name) = OF_ONE_MACHINE.iter().find(|(number, _)| *number == kind)?;
    Some(format!(
        "{} is on this machine's own disk ({name}); use a directory that all machines reach",
        full(dir).display()
    ))
}

#[cfg(target_os = "linux")]
fn kind(dir: &Path) -> Option<u64> {
    let kind = rustix::fs::statfs(dir).ok()?.f_type;
    // The kernel's numbers have 32 bits, and their sign differs between machines.
    Some(u64::from(kind as u32))
}

#[cfg(not(target_os = "linux"))]
fn kind(_dir: &Path) -> Option<u64> {
    None
}
