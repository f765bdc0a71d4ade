//! Files on a disk that refuses, shortens or fails any call, and on the disk of this machine.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::direct_trial::Way;
use super::direct_writes::DirectWrites;
use super::raw_file::RawFile;
use super::store_file::StoreFile;
use crate::file_system::OutputFile;

const ALIGN: usize = 4096;
const PIECE_BYTES: usize = 2 * ALIGN;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

// ---------------------------------------------------------------------------------------------- helpers

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    SetDirect(bool),
    Reserve(u64),
    /// Offset and length.
    Write(u64, usize),
    SetLen(u64),
    Sync,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Error(i32),
    /// It is refused if it is direct.
    Refused,
    Short(usize),
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    calls: Vec<Call>,
    addresses: Vec<usize>,
    is_direct: bool,
    faults: BTreeMap<usize, Fault>,
    writes: usize,
    refuses_direct: bool,
    room: Option<u64>,
}

/// A disk with one file. Clones share it.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<State>>);

impl Disk {
    /// A disk on which these writes, counted from 0, are not as they should be.
    fn with_faults(faults: impl IntoIterator<Item = (usize, Fault)>) -> Self {
        let disk = Self::default();
        disk.0.lock().unwrap().faults = faults.into_iter().collect();
        disk
    }

    fn calls(&self) -> Vec<Call> {
        self.0.lock().unwrap().calls.clone()
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    fn is_direct(&self) -> bool {
        self.0.lock().unwrap().is_direct
    }

    fn file(&self, direct: &Arc<DirectWrites>) -> StoreFile {
        StoreFile::with_direct_writes(Box::new(self.clone()), direct)
    }
}

impl RawFile for Disk {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        let (address, offset_at) = (bytes.as_ptr().addr(), offset as usize);
        let is_aligned = [address, bytes.len(), offset_at].iter().all(|at| at % ALIGN == 0);
        assert!(is_aligned || !state.is_direct, "{address:x} {} {offset}", bytes.len());
        let number = state.writes;
        state.writes += 1;
        state.calls.push(Call::Write(offset, bytes.len()));
        state.addresses.push(address);
        let written = match state.faults.get(&number) {
            Some(Fault::Error(errno)) => return Err(io::Error::from_raw_os_error(*errno)),
            Some(Fault::Short(written)) => bytes.len().min(*written),
            Some(Fault::Refused) if state.is_direct => return Err(io::Error::from_raw_os_error(EINVAL)),
            _ => bytes.len(),
        };
        let end = (offset_at + written).max(state.bytes.len());
        state.bytes.resize(end, 0xa5);
        state.bytes[offset_at..offset_at + written].copy_from_slice(&bytes[..written]);
        Ok(written)
    }

    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.calls.push(Call::Reserve(bytes));
        if state.room.is_some_and(|room| room < bytes) {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        state.bytes.resize(bytes as usize, 0xa5);
        Ok(())
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.calls.push(Call::SetLen(bytes));
        state.bytes.resize(bytes as usize, 0);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().calls.push(Call::Sync);
        Ok(())
    }

    fn id(&self) -> io::Result<(u64, u64)> {
        Ok((0, 0))
    }

    fn direct_alignment(&self) -> Option<usize> {
        Some(ALIGN)
    }

    fn set_direct(&mut self, is_direct: bool) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.calls.push(Call::SetDirect(is_direct));
        if is_direct && state.refuses_direct {
            return Err(io::Error::from_raw_os_error(EINVAL));
        }
        state.is_direct = is_direct;
        Ok(())
    }
}

/// A store whose first file is written directly.
fn direct() -> Arc<DirectWrites> {
    Arc::new(DirectWrites::new(PathBuf::from("fx"), PIECE_BYTES))
}

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 % 251 + 1) as u8).collect()
}

fn errno(error: &io::Error) -> Option<i32> {
    error.raw_os_error()
}

/// Writes a file of these bytes, in two unequal writes.
fn written(disk: &Disk, direct: &Arc<DirectWrites>, bytes: &[u8]) -> io::Result<()> {
    let mut file = disk.file(direct);
    let (first, rest) = bytes.split_at(bytes.len().min(1000));
    file.write_all(first)?;
    file.write_all(rest)?;
    file.flush()?;
    file.sync()
}

/// Checks that the file has these bytes and that they were durable at the end.
#[track_caller]
fn check(disk: &Disk, bytes: &[u8]) {
    assert!(disk.bytes() == bytes, "{} bytes of {}: {:?}", disk.bytes().len(), bytes.len(), disk.calls());
    assert_eq!(disk.calls().last(), Some(&Call::Sync));
}

// -------------------------------------------------------------------------------------- a disk as it should be

#[test]
fn the_last_piece_is_padded_and_the_file_cut_before_it_is_synced() {
    let (disk, bytes) = (Disk::default(), text(10_000));
    written(&disk, &direct(), &bytes).unwrap();
    check(&disk, &bytes);
    let wanted = [
        Call::SetDirect(true),
        Call::Write(0, PIECE_BYTES),
        Call::Write(PIECE_BYTES as u64, ALIGN),
        Call::SetLen(10_000),
        Call::Sync,
    ];
    assert_eq!(disk.calls(), wanted);
}

#[test]
fn a_file_that_ends_where_a_piece_does_needs_no_padding() {
    for bytes in [2 * PIECE_BYTES, 2 * PIECE_BYTES + ALIGN] {
        let (disk, bytes) = (Disk::default(), text(bytes));
        written(&disk, &direct(), &bytes).unwrap();
        check(&disk, &bytes);
        assert!(!disk.calls().iter().any(|call| matches!(call, Call::SetLen(_))), "{:?}", disk.calls());
    }
}

#[test]
fn small_files_are_buffered_and_count_in_no_trial() {
    let direct = direct();
    for bytes in [0, 1, ALIGN, PIECE_BYTES - 1] {
        let (disk, bytes) = (Disk::default(), text(bytes));
        written(&disk, &direct, &bytes).unwrap();
        check(&disk, &bytes);
        assert!(!disk.calls().contains(&Call::SetDirect(true)));
        assert!(disk.calls().len() <= 2, "{:?}", disk.calls());
    }
    assert_eq!(direct.next_way(), Way::Direct);
}

#[test]
fn ways_take_turns_until_one_is_kept() {
    let direct = direct();
    let ways = (0..4).map(|_| {
        let disk = Disk::default();
        let mut file = disk.file(&direct);
        file.write_all(&text(3 * PIECE_BYTES)).unwrap();
        disk.is_direct()
    });
    assert_eq!(ways.collect::<Vec<_>>(), [true, false, true, false]);
}

#[test]
fn large_aligned_writes_are_passed_on_from_where_they_are() {
    let buffer = vec![7; 9 * ALIGN + ALIGN];
    let start = buffer.as_ptr().addr().wrapping_neg() % ALIGN;
    let aligned = &buffer[start..start + 9 * ALIGN];
    let disk = Disk::default();
    let mut file = disk.file(&direct());
    file.write_all(&aligned[..5 * ALIGN]).unwrap();
    file.write_all(&aligned[5 * ALIGN..9 * ALIGN - 5]).unwrap();
    file.sync().unwrap();
    check(&disk, &aligned[..9 * ALIGN - 5]);
    let writes = [0, 5, 8].map(|pages: usize| aligned.as_ptr().addr() + pages * ALIGN);
    assert_eq!(disk.0.lock().unwrap().addresses[..2], writes[..2]);
    assert_ne!(disk.0.lock().unwrap().addresses[2], writes[2]);
}

#[test]
fn room_is_set_aside_for_direct_writes_and_what_is_too_much_given_back() {
    let (disk, bytes) = (Disk::default(), text(3 * PIECE_BYTES));
    let mut file = disk.file(&direct());
    file.reserve(100_001).unwrap();
    file.write_all(&bytes).unwrap();
    file.sync().unwrap();
    check(&disk, &bytes);
    assert_eq!(disk.calls()[..2], [Call::SetDirect(true), Call::Reserve(102_400)]);
    // What is reserved may be too little, and a small file needs no room.
    for reserved in [PIECE_BYTES as u64, 1] {
        let disk = Disk::default();
        let mut file = disk.file(&direct());
        file.reserve(reserved).unwrap();
        file.write_all(&bytes).unwrap();
        file.sync().unwrap();
        check(&disk, &bytes);
    }
}

#[test]
fn no_room_is_set_aside_for_buffered_writes() {
    let disk = Disk::default();
    let mut file = StoreFile::new(Box::new(disk.clone()));
    file.reserve(100_000).unwrap();
    file.write_all(b"rows").unwrap();
    file.sync().unwrap();
    assert_eq!(disk.calls(), [Call::Write(0, 4), Call::Sync]);
}

#[test]
fn a_file_that_goes_on_after_it_was_synced_is_whole() {
    let (disk, bytes) = (Disk::default(), text(60_000));
    let mut file = disk.file(&direct());
    let mut done = 0;
    for end in [100, 100, 9_000, 20_001, 20_480, 60_000] {
        file.write_all(&bytes[done..end]).unwrap();
        file.sync().unwrap();
        check(&disk, &bytes[..end]);
        done = end;
    }
}

// ------------------------------------------------------------------------------------- a disk that is not

#[test]
fn a_refusal_when_direct_writes_begin_is_no_error_and_holds_for_the_store() {
    let (disk, direct, bytes) = (Disk::default(), direct(), text(40_000));
    disk.0.lock().unwrap().refuses_direct = true;
    written(&disk, &direct, &bytes).unwrap();
    check(&disk, &bytes);
    assert!(direct.are_over());
    let next = Disk::default();
    written(&next, &direct, &bytes).unwrap();
    check(&next, &bytes);
    assert!(!next.calls().contains(&Call::SetDirect(true)));
}

#[test]
fn a_refusal_of_any_write_continues_buffered_from_the_same_place() {
    let bytes = text(40_000);
    for (refused, errno) in (0..6).flat_map(|refused| [(refused, EINVAL), (refused, 95)]) {
        let (disk, direct) = (Disk::with_faults([(refused, Fault::Error(errno))]), direct());
        written(&disk, &direct, &bytes).unwrap();
        check(&disk, &bytes);
        let calls = disk.calls();
        let at = calls.iter().position(|call| *call == Call::SetDirect(false));
        assert_eq!((at.is_some(), direct.are_over()), (refused < 5, refused < 5), "{refused}: {calls:?}");
        if let Some(at) = at {
            assert_eq!(calls[at - 1], calls[at + 1], "the same bytes are written again");
        }
        let next = Disk::default();
        written(&next, &direct, &bytes).unwrap();
        assert!(!next.calls().contains(&Call::SetDirect(true)), "{refused}");
    }
}

#[test]
fn a_disk_that_refuses_buffered_writes_too_is_an_error() {
    let disk = Disk::with_faults([(1, Fault::Error(EINVAL)), (2, Fault::Error(EINVAL))]);
    let error = written(&disk, &direct(), &text(40_000)).unwrap_err();
    assert_eq!(errno(&error), Some(EINVAL));
}

#[test]
fn other_faults_are_errors_and_no_reason_to_fall_back() {
    for (fault, failing) in [EIO, ENOSPC, 13, 11].into_iter().flat_map(|fault| [(fault, 0), (fault, 4)]) {
        let (disk, direct) = (Disk::with_faults([(failing, Fault::Error(fault))]), direct());
        let error = written(&disk, &direct, &text(40_000)).unwrap_err();
        assert_eq!(errno(&error), Some(fault));
        assert!(!direct.are_over() && !disk.calls().contains(&Call::SetDirect(false)));
    }
}

#[test]
fn a_short_write_continues_where_it_stopped() {
    let bytes = text(40_000);
    for written_bytes in [1, 511, ALIGN - 1, ALIGN, ALIGN + 1, PIECE_BYTES - 1] {
        let short = |at| (at, Fault::Short(written_bytes));
        for faults in [vec![short(0)], vec![short(4)], (0..200).map(short).collect()] {
            let disk = Disk::with_faults(faults);
            written(&disk, &direct(), &bytes).unwrap();
            check(&disk, &bytes);
        }
    }
}

#[test]
fn a_disk_that_takes_nothing_is_an_error_and_no_endless_loop() {
    let disk = Disk::with_faults((0..9).map(|at| (at, Fault::Short(0))));
    assert_eq!(written(&disk, &direct(), &text(40_000)).unwrap_err().kind(), ErrorKind::WriteZero);
    let full = Disk::with_faults([(0, Fault::Short(ALIGN)), (1, Fault::Error(ENOSPC))]);
    assert_eq!(written(&full, &direct(), &text(40_000)).unwrap_err().kind(), ErrorKind::StorageFull);
}

#[test]
fn a_disk_that_fills_although_room_was_set_aside_is_an_error_that_may_be_retried() {
    for faults in [vec![(1, Fault::Error(ENOSPC))], vec![(1, Fault::Short(513)), (2, Fault::Error(ENOSPC))]] {
        let (disk, direct, bytes) = (Disk::with_faults(faults), direct(), text(40_000));
        let mut file = disk.file(&direct);
        file.reserve(40_000).unwrap();
        assert_eq!(file.write_all(&bytes).unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(!disk.calls().contains(&Call::Sync) && !direct.are_over());
        drop(file);
        // The way is not held against the next file, which is the trial's second.
        let again = Disk::default();
        written(&again, &direct, &bytes).unwrap();
        check(&again, &bytes);
    }
}

#[test]
fn a_disk_without_room_for_the_file_says_so_before_anything_is_written() {
    let disk = Disk::default();
    disk.0.lock().unwrap().room = Some(50_000);
    let error = disk.file(&direct()).reserve(60_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(disk.calls().len(), 2);
    disk.file(&direct()).reserve(49_000).unwrap();
}

#[test]
fn the_bytes_are_the_same_whatever_the_writes_and_whatever_happens_to_them() {
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..400 {
        let fault = |random: &mut fastrand::Rng| match random.usize(..4) {
            0 => Fault::Refused,
            1 => Fault::Error(4),
            _ => Fault::Short(random.usize(1..3 * PIECE_BYTES)),
        };
        let faults: Vec<_> =
            (0..random.usize(..6)).map(|_| (random.usize(..12), fault(&mut random))).collect();
        let disk = Disk::with_faults(faults.iter().copied());
        disk.0.lock().unwrap().refuses_direct = random.usize(..8) == 0;
        let (direct, bytes) = (direct(), text(random.usize(..100_000)));
        if random.bool() {
            direct.next_way();
        }
        let mut file = disk.file(&direct);
        if random.bool() {
            file.reserve(random.u64(..200_000)).unwrap();
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (part, others) = rest.split_at(random.usize(1..=rest.len().min(30_000)));
            file.write_all(part).unwrap();
            rest = others;
        }
        file.sync().unwrap();
        assert!(disk.bytes() == bytes, "round {round}: {faults:?} {:?}", disk.calls());
    }
}

// ------------------------------------------------------------------------------------- the disk of this machine

#[test]
fn direct_writes_of_this_machine_give_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = rollfit_files::regular_file::create(&dir.path().join("part")).unwrap();
    let watched = file.try_clone().unwrap();
    let (is_possible, direct, bytes) = (file.direct_alignment().is_some(), direct(), text(1_000_003));
    let mut file = StoreFile::with_direct_writes(Box::new(file), &direct);
    file.reserve(1_200_000).unwrap();
    file.write_all(&bytes[..1000]).unwrap();
    file.write_all(&bytes[1000..]).unwrap();
    let is_direct = || rustix::fs::fcntl_getfl(&watched).unwrap().contains(rustix::fs::OFlags::DIRECT);
    let was_direct = is_direct();
    file.sync().unwrap();
    assert!(std::fs::read(dir.path().join("part")).unwrap() == bytes);
    if is_possible && !direct.are_over() {
        assert!(was_direct && is_direct());
    } else {
        println!("skipped: {} takes no direct writes", dir.path().display());
        assert!(!is_direct());
    }
}
