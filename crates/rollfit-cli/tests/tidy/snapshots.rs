//! [`Snapshots`]: text files that hold what was printed or found, and the difference to what is now.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The environment variable that has snapshots written anew.
const UPDATE: &str = "ROLLFIT_UPDATE_SNAPSHOTS";

/// The snapshots of one kind: a directory of text files.
pub(crate) struct Snapshots {
    dir: PathBuf,
    kept: BTreeSet<String>,
    differences: Vec<String>,
}

impl Snapshots {
    pub(crate) fn open(kind: &str) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(kind);
        Self { dir, kept: BTreeSet::new(), differences: Vec::new() }
    }

    /// Compares `text` with the snapshot `name`, or writes it.
    pub(crate) fn check(&mut self, name: &str, text: &str) {
        let file = format!("{name}.txt");
        let path = self.dir.join(&file);
        if is_update() {
            fs::create_dir_all(&self.dir).unwrap();
            fs::write(&path, text).unwrap();
        } else {
            let stored = fs::read_to_string(&path).unwrap_or_default();
            if stored != text {
                self.differences.push(format!("{}\n{}", path.display(), difference(&stored, text)));
            }
        }
        self.kept.insert(file);
    }

    /// Fails where a snapshot differs, or is there for nothing.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        for entry in fs::read_dir(&self.dir).unwrap() {
            let entry = entry.unwrap();
            if self.kept.contains(&entry.file_name().into_string().unwrap()) {
                continue;
            }
            if is_update() {
                fs::remove_file(entry.path()).unwrap();
            } else {
                self.differences
                    .push(format!("{}\n  is for nothing that is there now", entry.path().display()));
            }
        }
        assert!(
            self.differences.is_empty(),
            "{}\nIf the change is meant, write the snapshots anew and review them:\n  \
             {UPDATE}=1 cargo test -p rollfit-cli --test tidy\n",
            self.differences.join("\n")
        );
    }
}

fn is_update() -> bool {
    std::env::var_os(UPDATE).is_some_and(|value| value == "1")
}

/// The lines that only one text has, those of the stored one with `-`, in order. Lines that are in both are left out.
fn difference(stored: &str, now: &str) -> String {
    let (stored, now): (Vec<&str>, Vec<&str>) = (stored.lines().collect(), now.lines().collect());
    let common = common_lines(&stored, &now);
    let (mut text, mut from, mut to) = (String::new(), 0, 0);
    for (a, b) in common.into_iter().chain([(stored.len(), now.len())]) {
        stored[from..a].iter().for_each(|line| text.push_str(&format!("  -{line}\n")));
        now[to..b].iter().for_each(|line| text.push_str(&format!("  +{line}\n")));
        (from, to) = (a + 1, b + 1);
    }
    text
}

/// The longest common subsequence, as pairs of line numbers.
fn common_lines(a: &[&str], b: &[&str]) -> Vec<(usize, usize)> {
    let mut lengths = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i][j] = if a[i] == b[j] {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

#[test]
fn a_difference_shows_what_went_and_what_came() {
    let (stored, now) = ("a\nb\nc\n", "a\nx\nc\nd\n");
    assert_eq!(difference(stored, now), "  -b\n  +x\n  +d\n");
    assert_eq!(difference(now, now), "");
}
