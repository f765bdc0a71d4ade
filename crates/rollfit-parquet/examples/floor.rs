//! The floor of a Parquet store: the least time in which this disk takes the bytes of so many partitions. Two threads write
//! files that are in memory, each durable and renamed into place as a commit does, and nothing else.
//!
//!     cargo run --release -p rollfit-parquet --example floor -- FROM INTO direct|buffered [SIZES]
//!
//! FROM is a directory with Parquet files, which are read before the clock starts; INTO is made, with a directory a file.
//! SIZES is a file of sizes in bytes, a line each: so many files of these sizes are written with the bytes of FROM, for
//! stores that do not fit into memory. Prints what it took as JSON.
#![allow(clippy::print_stdout)] // what is measured is to be read

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, OFlags};
use rustix::time::{ClockId, clock_gettime};

const THREADS: usize = 2;
/// What direct writes are aligned to, in memory and in the file.
const ALIGNMENT: usize = 4096;
/// The bytes of a write.
const PIECE: usize = 8 << 20;
/// The most that is held in memory.
const HELD_BYTES_MAX: usize = 2 << 30;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (from, into, how, sizes) = match &arguments[..] {
        [from, into, how] => (Path::new(from), Path::new(into), how, None),
        [from, into, how, sizes] => (Path::new(from), Path::new(into), how, Some(sizes)),
        _ => return Err("give FROM INTO direct|buffered [SIZES]".into()),
    };
    let direct = match how.as_str() {
        "direct" => true,
        "buffered" => false,
        _ => return Err(format!("{how} is neither direct nor buffered").into()),
    };
    let held = Held::read(from)?;
    let files = match sizes {
        Some(sizes) => held.of_sizes(&fs::read_to_string(sizes)?)?,
        None => held.files.clone(),
    };
    fs::create_dir_all(into)?;
    let (start, processor) = (Instant::now(), processor_time());
    write_all(&held, &files, into, direct)?;
    let (seconds, processor) = (start.elapsed().as_secs_f64(), processor_time() - processor);
    let bytes: usize = files.iter().map(|file| file.bytes).sum();
    println!(
        "{{\"partitions\": {}, \"bytes\": {bytes}, \"seconds\": {seconds:.4}, \"processor_s\": {:.4}, \"mb_per_s\": {:.0}}}",
        files.len(),
        processor.as_secs_f64(),
        bytes as f64 / seconds / 1e6
    );
    Ok(())
}

/// A file to write: so many bytes of what is held, from `at` on.
#[derive(Clone, Copy)]
struct FloorFile {
    at: usize,
    bytes: usize,
}

/// The bytes of files, each at a multiple of the alignment and followed by zeros up to the next.
struct Held {
    memory: Vec<u8>,
    /// Where the alignment begins.
    start: usize,
    files: Vec<FloorFile>,
}

impl Held {
    fn read(from: &Path) -> Result<Self, Box<dyn Error>> {
        let mut paths = Vec::new();
        find_files(from, &mut paths)?;
        paths.sort();
        let mut files = Vec::new();
        let mut end = 0;
        for path in &paths {
            let bytes = usize::try_from(fs::metadata(path)?.len())?;
            files.push(FloorFile { at: end, bytes });
            end += bytes.next_multiple_of(ALIGNMENT);
        }
        if files.is_empty() || end > HELD_BYTES_MAX {
            let found = files.len();
            return Err(format!(
                "{found} files of {end} bytes in {}: some are needed, and at most 2 GiB",
                from.display()
            )
            .into());
        }
        let mut memory = vec![0; end + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        for (path, file) in paths.iter().zip(&files) {
            File::open(path)?.read_exact_at(&mut memory[start + file.at..][..file.bytes], 0)?;
        }
        Ok(Self { memory, start, files })
    }

    /// Files of the sizes given, with the bytes of those that are held, one after another.
    fn of_sizes(&self, sizes: &str) -> Result<Vec<FloorFile>, Box<dyn Error>> {
        let end = self.memory.len() - ALIGNMENT;
        let mut files = Vec::new();
        for (size, held) in sizes.lines().zip(self.files.iter().cycle()) {
            let bytes: usize = size.trim().parse()?;
            let padded = bytes.next_multiple_of(ALIGNMENT);
            let at = held.at.min(end.checked_sub(padded).ok_or("a size is larger than all that is held")?);
            files.push(FloorFile { at, bytes });
        }
        Ok(files)
    }

    /// The bytes of a file, up to the alignment after its end.
    fn padded(&self, file: FloorFile) -> &[u8] {
        &self.memory[self.start + file.at..][..file.bytes.next_multiple_of(ALIGNMENT)]
    }
}

fn find_files(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            find_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    Ok(())
}

fn write_all(held: &Held, files: &[FloorFile], into: &Path, direct: bool) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(&file) = files.get(at) else { return Ok(()) };
            let dir = into.join(format!("{at:05}"));
            commit(held.padded(file), file.bytes, &dir, direct)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", dir.display())))?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())));
        ended.collect()
    })
}

/// What a commit needs at least: the file durable under another name, the rename, and the directory durable.
fn commit(padded: &[u8], bytes: usize, dir: &Path, direct: bool) -> io::Result<()> {
    fs::create_dir(dir)?;
    let temporary = dir.join(".part.tmp");
    let flags = if direct { OFlags::DIRECT } else { OFlags::empty() };
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(flags.bits().cast_signed())
        .open(&temporary)?;
    if direct && bytes > 0 {
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, padded.len() as u64)?;
    }
    let content = if direct { padded } else { &padded[..bytes] };
    for (index, piece) in content.chunks(PIECE).enumerate() {
        file.write_all_at(piece, (index * PIECE) as u64)?;
    }
    file.set_len(bytes as u64)?;
    file.sync_all()?;
    fs::rename(temporary, dir.join("part.parquet"))?;
    File::open(dir)?.sync_all()
}

/// The processor time of this process.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
