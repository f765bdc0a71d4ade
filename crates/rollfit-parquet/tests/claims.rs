//! Who has a partition, seen by others: a look never takes a claim and is never in the way of one; locks say who holds them, and may say
//! anything; marks change with each commit and with nothing else.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A failed helper fails its test; skips are said.

mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rollfit_job::partition::Partition;
use rollfit_job::runners::{RunnerName, Shard};
use rollfit_job::store::{Claim, Found, HoldingMark, Look, Sink, Write};
use rollfit_parquet::ParquetStore;
use tempfile::TempDir;

use support::market::{KEYS, MONTHS, all_bars, config, import, partition, run_undisturbed};
use support::script::Unsynced;
use support::tree_whole;

const ROWS: usize = 40;
const PART_DIR: &str = "features/key=aaa/month=2017-01";

/// A store with the bars of four partitions.
fn market() -> TempDir {
    let dir = TempDir::new().unwrap();
    import(dir.path(), &all_bars(ROWS, 0), &Unsynced).unwrap();
    dir
}

fn open(dir: &Path) -> ParquetStore {
    ParquetStore::open(dir, &config()).unwrap()
}

fn first() -> Partition {
    partition(KEYS[0], MONTHS[0])
}

fn all() -> Vec<Partition> {
    KEYS.iter().flat_map(|key| MONTHS.map(|month| partition(key, month))).collect()
}

/// Locks a partition as another process would, with this note.
fn hold(dir: &Path, note: &[u8]) -> File {
    fs::create_dir_all(dir.join(PART_DIR)).unwrap();
    let mut file = File::create(dir.join(PART_DIR).join(".lock")).unwrap();
    file.lock().unwrap();
    file.write_all(note).unwrap();
    file
}

#[track_caller]
fn held(look: Look) -> String {
    match look {
        Look::Held(who) => who,
        Look::Free(found) => panic!("free: {found:?}"),
    }
}

#[test]
fn a_look_says_who_has_a_partition_or_what_there_is_of_it_and_changes_nothing() {
    let dir = market();
    let store = open(dir.path());
    assert_eq!(store.look(&first()).unwrap(), Look::Free(Found::Nothing));
    let Claim::Taken(slot) = store.claim(&first(), Write::Replace).unwrap() else { panic!("held") };
    let before = tree_whole(dir.path());
    let who = held(open(dir.path()).look(&first()).unwrap());
    let own = RunnerName::of_job(&config());
    assert_eq!(
        who,
        format!(
            "rollfit {}@{}, which has locked {}",
            own.pid,
            own.host,
            dir.path().join(PART_DIR).join(".lock").display()
        )
    );
    assert_eq!(tree_whole(dir.path()), before);
    drop(slot);
    run_undisturbed(dir.path());
    // What a killed runner leaves is no claim, and stays for whoever takes the partition.
    fs::write(dir.path().join(PART_DIR).join(".lock"), "process 1 on elsewhere").unwrap();
    let before = tree_whole(dir.path());
    assert!(matches!(store.look(&first()).unwrap(), Look::Free(Found::Ours(_))));
    assert_eq!(store.runners(&all()).unwrap(), []);
    assert_eq!(tree_whole(dir.path()), before);
}

#[test]
fn claims_beside_looks_are_never_lost() {
    const CLAIMS: usize = 300;
    let dir = market();
    // As if a runner had been killed: there is a lock to look at all the time.
    let lock = dir.path().join(PART_DIR).join(".lock");
    fs::create_dir_all(lock.parent().unwrap()).unwrap();
    fs::write(&lock, "").unwrap();
    fs::hard_link(&lock, dir.path().join("second-name")).unwrap();
    let (is_over, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let store = open(dir.path());
                while !is_over.load(Ordering::Relaxed) {
                    store.look(&first()).unwrap();
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let store = open(dir.path());
        for _ in 0..CLAIMS {
            // Nobody else claims: the only way to lose is to take a look for a claim.
            let claim = store.claim(&first(), Write::Replace);
            if !matches!(claim, Ok(Claim::Taken(_))) {
                is_over.store(true, Ordering::Relaxed);
                panic!("a look was taken for a claim");
            }
            drop(claim);
            fs::create_dir_all(lock.parent().unwrap()).unwrap();
            let _ = fs::hard_link(dir.path().join("second-name"), &lock);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(looks.into_inner() > 0);
}

/// Takes the partition and gives it back until it has had it so often, which is returned.
fn claim_until(dir: &Path, wanted: usize, inside: &Path) -> usize {
    let store = open(dir);
    let (mut taken, started) = (0, Instant::now());
    while taken < wanted {
        assert!(started.elapsed() < Duration::from_secs(60), "{taken} of {wanted}");
        store.look(&first()).unwrap();
        match store.claim(&first(), Write::Replace).unwrap() {
            Claim::Taken(slot) => {
                // Two at once: the second cannot create it.
                fs::OpenOptions::new().write(true).create_new(true).open(inside).unwrap();
                std::thread::sleep(Duration::from_micros(200));
                fs::remove_file(inside).unwrap();
                drop(slot);
                taken += 1;
            }
            Claim::Held(_) => std::thread::sleep(Duration::from_micros(300)),
            Claim::Rewrite(why) => panic!("{why}"),
        }
    }
    taken
}

/// The test below in another process, in this directory.
fn claimer(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "claimers_that_look_have_the_partition_one_at_a_time_and_all_get_it",
            "--nocapture",
        ])
        .env("ROLLFIT_TEST_CLAIM_IN", dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn claimers_that_look_have_the_partition_one_at_a_time_and_all_get_it() {
    const THREADS: usize = 4;
    const PROCESSES: usize = 2;
    const CLAIMS: usize = 25;
    let claim = |dir: &Path| {
        std::thread::scope(|scope| {
            let claimers: Vec<_> =
                (0..THREADS).map(|_| scope.spawn(|| claim_until(dir, CLAIMS, &dir.join("inside")))).collect();
            claimers.into_iter().map(|claimer| claimer.join().unwrap()).sum::<usize>()
        })
    };
    if let Some(dir) = std::env::var_os("ROLLFIT_TEST_CLAIM_IN") {
        assert_eq!(claim(&PathBuf::from(dir)), THREADS * CLAIMS);
        return;
    }
    let dir = market();
    let children: Vec<Child> = (1..PROCESSES).map(|_| claimer(dir.path())).collect();
    assert_eq!(claim(dir.path()), THREADS * CLAIMS);
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert!(!dir.path().join(PART_DIR).exists(), "nothing is left of claims without a commit");
}

#[test]
fn runners_are_named_with_all_that_they_have_and_since_when() {
    let dir = market();
    run_undisturbed(dir.path());
    let mut of_shard = config();
    of_shard.run.shard = Some(Shard::new(3, 8).unwrap());
    let store = ParquetStore::open(dir.path(), &of_shard).unwrap();
    let taken: Vec<_> = all()[..2].iter().map(|of| store.claim(of, Write::Replace).unwrap()).collect();
    assert!(taken.iter().all(|claim| matches!(claim, Claim::Taken(_))));
    let seen = open(dir.path()).runners(&all()).unwrap();
    let [runner] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(runner.name, RunnerName::of_job(&of_shard));
    assert_eq!(runner.name.shard, of_shard.run.shard);
    let partitions: Vec<_> = runner.held.iter().map(|held| held.partition.clone()).collect();
    assert_eq!(partitions, all()[..2]);
    assert!(runner.held.iter().all(|held| held.since_us.is_some()));
    let who = held(open(dir.path()).look(&first()).unwrap());
    assert!(who.contains(" (shard 3/8), which has locked "), "{who}");
    drop(taken);
    assert_eq!(open(dir.path()).runners(&all()).unwrap(), []);
}

#[test]
fn notes_of_earlier_versions_are_read_and_strange_ones_do_no_harm() {
    for (note, who, pid) in [
        (&b"process 12 on elsewhere"[..], "process 12 on elsewhere", 12),
        (b"rollfit 12@elsewhere 1a2b3c4d 0/2", "rollfit 12@elsewhere (shard 0/2)", 12),
        (b"", "another process", 0),
        (b"rollfit 1", "rollfit 1", 0),
        (b"\xff\x1b[2J", "\u{fffd}\\u{1b}[2J", 0),
    ] {
        let dir = market();
        let lock = hold(dir.path(), note);
        let store = open(dir.path());
        let seen = held(store.look(&first()).unwrap());
        assert!(seen.starts_with(&format!("{who}, which has locked ")), "{seen}");
        let Claim::Held(claimed) = store.claim(&first(), Write::Replace).unwrap() else { panic!("not held") };
        assert_eq!(claimed, seen);
        let runners = store.runners(&all()).unwrap();
        assert_eq!((runners.len(), runners[0].name.pid), (1, pid));
        assert_eq!(runners[0].held[0].partition, first());
        lock.unlock().unwrap();
    }
}

/// Does something to a store.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn what_is_wrong_with_one_partition_hides_no_other() {
    let lock = |dir: &Path| {
        fs::create_dir_all(dir.join(PART_DIR)).unwrap();
        dir.join(PART_DIR).join(".lock")
    };
    let mkfifo = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let odd: [(Damage<'_>, &[&str], bool); 5] = [
        (&|dir| fs::create_dir(lock(dir)).unwrap(), &["month=2017-01/.lock", "it is a directory"], false),
        (&|dir| symlink("nowhere", lock(dir)).unwrap(), &["month=2017-01/.lock", "it is a link"], false),
        (&|dir| mkfifo(&lock(dir)), &["month=2017-01/.lock", "it is a named pipe"], false),
        (&|dir| fs::write(dir.join(PART_DIR), "").unwrap(), &["month=2017-01"], true),
        (&|dir| symlink("month=2017-01", dir.join(PART_DIR)).unwrap(), &["month=2017-01"], true),
    ];
    for (damage, words, is_marked) in odd {
        let dir = market();
        let store = open(dir.path());
        let Claim::Taken(held) = store.claim(&all()[1], Write::Replace).unwrap() else { panic!("held") };
        damage(dir.path());
        let told = rollfit_job::error_chain(&store.look(&first()).unwrap_err());
        support::assert_says(&told, words);
        let runners = store.runners(&all()).unwrap();
        assert_eq!(runners.iter().flat_map(|runner| &runner.held).count(), 1, "{words:?}");
        let marks = store.marks(&all()).unwrap();
        assert_eq!(marks[0].as_ref().map(|mark| mark.committed_us), is_marked.then_some(None), "{words:?}");
        assert_eq!(marks[1..], [None, None, None]);
        let holdings = store.holdings(&all(), false).unwrap();
        support::assert_says(&rollfit_job::error_chain(holdings[0].as_ref().unwrap_err()), words);
        assert!(holdings[1..].iter().all(|holding| holding.as_ref().unwrap().found == Found::Nothing));
        drop(held);
    }
}

#[test]
fn directories_that_may_not_be_read_hide_no_others_but_the_store_does() {
    let dir = market();
    run_undisturbed(dir.path());
    let store = open(dir.path());
    let marks = store.marks(&all()).unwrap();
    let forbid = |path: &str, mode| {
        fs::set_permissions(dir.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    forbid(PART_DIR, 0);
    if fs::read_dir(dir.path().join(PART_DIR)).is_ok() {
        println!("skipped: this user may read everything");
        return;
    }
    let seen = store.marks(&all()).unwrap();
    assert_eq!(seen[0].as_ref().map(|mark| mark.committed_us), Some(None));
    assert_eq!(seen[1..], marks[1..]);
    assert_eq!(store.runners(&all()).unwrap(), []);
    let holdings = store.holdings(&all(), false).unwrap();
    assert!(holdings[0].is_err() && holdings[1..].iter().all(Result::is_ok));
    forbid(PART_DIR, 0o755);
    forbid("features", 0);
    for error in [store.marks(&all()).unwrap_err(), store.runners(&all()).unwrap_err()] {
        support::assert_says(&error.to_string(), &["cannot list", "features"]);
    }
    forbid("features", 0o755);
}

#[test]
fn a_mark_changes_with_each_commit_and_with_nothing_else() {
    let dir = market();
    let marks = || open(dir.path()).marks(&all()).unwrap();
    assert_eq!(marks(), vec![None; 4]);
    run_undisturbed(dir.path());
    let done = marks();
    assert!(done.iter().all(Option::is_some));
    run_undisturbed(dir.path());
    let slot = open(dir.path());
    drop(slot.claim(&first(), Write::Replace).unwrap());
    assert_eq!(marks(), done, "nothing was committed");
    import(dir.path(), &all_bars(ROWS, 1), &Unsynced).unwrap();
    run_undisturbed(dir.path());
    let again = marks();
    for (before, after) in done.iter().zip(&again) {
        assert_ne!(before, after, "the same rows, bytes and all, are another commit");
    }
    let part = dir.path().join(PART_DIR).join("part.parquet");
    let far = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(u64::MAX >> 28);
    File::options().write(true).open(&part).unwrap().set_modified(far).unwrap();
    let Some(HoldingMark { committed_us: Some(_), .. }) = &marks()[0] else { panic!("{:?}", marks()[0]) };
    fs::remove_file(&part).unwrap();
    assert_eq!(marks()[0], None);
}

#[test]
fn a_directory_on_a_disk_of_this_machine_is_said_to_be() {
    let dir = market();
    let Some(why) = open(dir.path()).only_here() else {
        println!("skipped: the directory for temporary files is on no disk of this machine");
        return;
    };
    support::assert_says(&why, &[&dir.path().display().to_string(), " is on this machine's own disk ("]);
    assert_eq!(open(Path::new("/proc")).only_here(), None, "of what is no disk nothing is said");
}
