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

/// The same of file systems of networks, and those behind which there may be anything.
const OF_SEVERAL_MACHINES: [(u64, &str); 7] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "SMB"),
    (0xfe53_4d42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0bd0_0bd0, "Lustre"),
    (0x00c3_6400, "Ceph"),
    (0x0102_1997, "9P"),
];

/// What the file system of a directory is called; none where that is not known.
pub(crate) fn file_system_name(dir: &Path) -> Option<&'static str> {
    let kind = kind(dir)?;
    let known = OF_ONE_MACHINE.iter().chain(&OF_SEVERAL_MACHINES);
    known.copied().find(|(number, _)| *number == kind).map(|(_, name)| name)
}

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
