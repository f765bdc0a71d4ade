//! What others put into a store: nothing is written through a link, nothing is waited for at a named pipe, and no list of
//! an import reaches out of its store. Each refusal names the file, and without that file the same command works.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sandbox::{Answer, Sandbox};
use crate::tree::{Tree, leftovers};

const KEY: [&str; 1] = ["eurusd"];
const MONTH: [&str; 1] = ["2017-01"];
const PARTITION: &str = "fx/features/key=eurusd/month=2017-01";
const SOURCE: &str = "fx/sources/m1_eurusd/2017-01.parquet";

/// A store that is done, beside a file that is none of its business.
fn store() -> Sandbox {
    let sandbox = Sandbox::done(&KEY, &MONTH);
    sandbox.write("precious", "precious");
    sandbox
}

/// Makes a named pipe.
pub(crate) fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

impl Sandbox {
    #[track_caller]
    fn has_precious(&self) {
        assert_eq!(fs::read(self.path("precious")).unwrap(), b"precious");
    }

    /// Leaves what an import leaves that was killed before it moved its one file; returns where that is.
    pub(crate) fn leave_an_unfinished_import(&self) -> PathBuf {
        let staged = self.path("fx/sources/m1_eurusd/.2017-01.parquet.tmp");
        fs::copy(self.path(SOURCE), &staged).unwrap();
        let list = r#"{"renames":[["m1_eurusd/.2017-01.parquet.tmp","m1_eurusd/2017-01.parquet"]]}"#;
        self.write("fx/sources/.import", list);
        staged
    }

    /// Imports a second month of bars.
    fn import_more(&self) -> Answer {
        let file = self.bars_file("eurusd", "2017-02").display().to_string();
        self.run(&["import", "--format", "csv", "--into", "parquet:fx", &file])
    }
}

// --------------------------------------------------------------------------------- the list of an import

#[test]
fn a_list_of_an_import_that_reaches_out_of_its_store_moves_nothing() {
    let sandbox = store();
    let staged = sandbox.write("fx/sources/m1_eurusd/.2017-01.parquet.tmp", "theirs");
    sandbox.write("fx/sources/evil", "theirs");
    fs::create_dir(sandbox.path("elsewhere")).unwrap();
    sandbox.write("elsewhere/.2017-01.parquet.tmp", "theirs");
    symlink(sandbox.path("elsewhere"), sandbox.path("fx/sources/m1_linked")).unwrap();
    symlink(sandbox.path("precious"), sandbox.path("fx/sources/m1_eurusd/.2017-02.parquet.tmp")).unwrap();
    let list = |from: &str, to: &str| format!(r#"{{"renames":[["{from}","{to}"]]}}"#);
    let (from, precious) = ("m1_eurusd/.2017-01.parquet.tmp", sandbox.path("precious").display().to_string());
    let cases = [
        list("evil", &precious),
        list(from, &precious),
        list(from, "../../precious"),
        list(from, "m1_eurusd/../../../precious"),
        list("m1_../.2017-01.parquet.tmp", "m1_../2017-01.parquet"),
        list("m1_eurusd/./.2017-01.parquet.tmp", "m1_eurusd/./2017-01.parquet"),
        list(&precious, "m1_eurusd/2017-01.parquet"),
        list("../../precious", "m1_eurusd/2017-01.parquet"),
        list(from, "bqx_eurusd/2017-01.parquet"),
        list(from, "m1_eurusd/notes.parquet"),
        list(from, ".lock"),
        list("m1_linked/.2017-01.parquet.tmp", "m1_linked/2017-01.parquet"),
        list("m1_eurusd/.2017-02.parquet.tmp", "m1_eurusd/2017-02.parquet"),
        list("m1_eurusd/.2017-03.parquet.tmp", "m1_eurusd/2017-03.parquet"),
        // One that is right does not help one that is not.
        format!(r#"{{"renames":[["{from}","m1_eurusd/2017-01.parquet"],["evil","{precious}"]]}}"#),
    ];
    for case in cases {
        sandbox.write("fx/sources/.import", &case);
        let before = Tree::read(sandbox.dir());
        sandbox.run(&["plan"]).exits(1).says(&["fx/sources/.import"]);
        assert!(before.has_the_files_of(&Tree::read(sandbox.dir())), "{case}");
    }
    sandbox.import_more().exits(1).says(&["fx/sources/.import"]);
    assert_eq!(fs::read(staged).unwrap(), b"theirs");
    fs::remove_file(sandbox.path("fx/sources/.import")).unwrap();
    sandbox.run(&["plan"]).exits(0).says(&["1 done"]);
}

#[test]
fn a_torn_list_of_an_import_says_what_to_do_and_doing_it_helps() {
    let sandbox = store();
    let list = sandbox.path("fx/sources/.import");
    for torn in ["", "{\"renames\":[[\"m1_eur", "{}", "{\"renames\":[]}", "[]", "\0\0\0\0"] {
        fs::write(&list, torn).unwrap();
        sandbox.run(&["plan"]).exits(1).says(&[
            "fx/sources/.import is not a list that an import wrote",
            "remove it, then run the last import again",
        ]);
        sandbox.run(&["doctor"]).exits(1).says(&["fx/sources/.import is not a list that an import wrote"]);
        assert_eq!(fs::read(&list).unwrap(), torn.as_bytes());
    }
    File::create(&list).unwrap().set_len(1 << 32).unwrap();
    sandbox.run(&["plan"]).exits(1).says(&["too large"]);
    fs::remove_file(&list).unwrap();
    symlink("precious", &list).unwrap();
    sandbox.run(&["plan"]).exits(1).says(&[".import", "it is a link"]);
    fs::remove_file(&list).unwrap();
    fifo(&list);
    sandbox.run(&["plan"]).exits(1).says(&[".import", "a named pipe"]);
    fs::remove_file(&list).unwrap();
    sandbox.import_more().exits(0);
    sandbox.run(&["plan"]).exits(0);
}

#[test]
fn a_command_that_finishes_the_killed_import_of_another_process_says_so() {
    let sandbox = store();
    let staged = sandbox.leave_an_unfinished_import();
    let finished =
        "finished the import of another process, which was killed or is still running: 1 file is in place";
    sandbox.run(&["plan", "--quiet"]).exits(0).says(&[finished, "1 done"]);
    assert!(!staged.exists() && !sandbox.path("fx/sources/.import").exists());
    let again = sandbox.run(&["plan"]).exits(0);
    assert!(!again.stderr.contains("finished"), "{again}");
    let own = sandbox.import_more().exits(0);
    assert!(!own.stderr.contains("finished the import"), "{own}");
}

// ------------------------------------------------------------------------------------ locks and staging

#[test]
fn a_lock_that_is_a_link_or_a_named_pipe_is_refused_and_what_it_leads_to_is_untouched() {
    let sandbox = store();
    fs::create_dir_all(sandbox.path(PARTITION)).unwrap();
    for (lock, is_import) in [
        (format!("{PARTITION}/.lock"), false),
        ("fx/sources/.lock".into(), true),
        ("fx/sources/.import.lock".into(), true),
    ] {
        let lock = sandbox.path(lock);
        let command = || if is_import { sandbox.import_more() } else { sandbox.run(&["run", "--force"]) };
        for what in ["link", "dangling link", "named pipe"] {
            let _ = fs::remove_file(&lock);
            match what {
                "link" => symlink(sandbox.path("precious"), &lock).unwrap(),
                "dangling link" => symlink(sandbox.path("none"), &lock).unwrap(),
                _ => fifo(&lock),
            }
            let name = lock.file_name().unwrap().to_str().unwrap();
            command().exits(1).says(&[name, what.trim_start_matches("dangling ")]);
            sandbox.has_precious();
            assert!(!sandbox.path("none").exists());
        }
        fs::remove_file(&lock).unwrap();
        command().exits(0);
    }
}

#[test]
fn a_lock_with_a_second_name_is_taken_and_not_written_to() {
    let sandbox = store();
    fs::hard_link(sandbox.path("precious"), sandbox.path(PARTITION).join(".lock")).unwrap();
    sandbox.run(&["run", "--force"]).exits(0);
    sandbox.has_precious();
}

#[test]
fn what_waits_under_the_name_of_an_unfinished_file_is_not_written_through() {
    let sandbox = store();
    let plant = |names: &[&str], plant: &dyn Fn(&Path, &Path)| {
        names.iter().for_each(|name| plant(&sandbox.path("precious"), &sandbox.path(name)));
    };
    let link = |to: &Path, at: &Path| symlink(to, at).unwrap();
    let hard_link = |to: &Path, at: &Path| fs::hard_link(to, at).unwrap();
    for planted in [&link as &dyn Fn(&Path, &Path), &hard_link] {
        plant(&[&format!("{PARTITION}/.part.tmp")], planted);
        sandbox.run(&["run", "--force"]).exits(0);
        sandbox.has_precious();
        plant(&["fx/sources/.import.tmp", "fx/sources/m1_eurusd/.2017-01.parquet.tmp"], planted);
        sandbox.import_changed("eurusd", &[crate::bars::bars("eurusd", "2017-01")[3]]);
        sandbox.has_precious();
    }
    // An import removes only what is in the store, too.
    fs::create_dir(sandbox.path("elsewhere")).unwrap();
    sandbox.write("elsewhere/.mine.parquet.tmp", "mine");
    symlink(sandbox.path("elsewhere"), sandbox.path("fx/sources/m1_linked")).unwrap();
    sandbox.import_more().exits(0);
    assert!(sandbox.path("elsewhere/.mine.parquet.tmp").exists());
}

// ---------------------------------------------------------------------------------- linked directories

/// Moves a directory of the store out of it, and leaves a link in its place.
fn move_out(sandbox: &Sandbox, dir: &str) -> PathBuf {
    let elsewhere = sandbox.path("elsewhere");
    fs::rename(sandbox.path(dir), &elsewhere).unwrap();
    symlink(&elsewhere, sandbox.path(dir)).unwrap();
    elsewhere
}

/// Moves it back.
fn move_in(sandbox: &Sandbox, dir: &str) {
    fs::remove_file(sandbox.path(dir)).unwrap();
    fs::rename(sandbox.path("elsewhere"), sandbox.path(dir)).unwrap();
}

#[test]
fn nothing_is_written_through_a_linked_directory_inside_a_store() {
    let sandbox = store();
    let said = ["is a link", "rollfit does not write through links"];
    for dir in ["fx/features", "fx/features/key=eurusd", PARTITION] {
        let elsewhere = move_out(&sandbox, dir);
        let before = Tree::read(&elsewhere);
        sandbox.run(&["run", "--force"]).exits(1).says(&[dir]).says(&said);
        sandbox.run(&["drop", "eurusd:2017-01"]).exits(1).says(&said);
        before.is_untouched(&elsewhere);
        sandbox.run(&["verify"]).exits(0);
        move_in(&sandbox, dir);
    }
    for dir in ["fx/sources", "fx/sources/m1_eurusd"] {
        let elsewhere = move_out(&sandbox, dir);
        let before = Tree::read(&elsewhere);
        sandbox.import_more().exits(1).says(&[dir]).says(&said);
        before.is_untouched(&elsewhere);
        sandbox.run(&["run", "--force"]).exits(0);
        move_in(&sandbox, dir);
    }
    sandbox.import_more().exits(0);
    sandbox.run(&["run", "--force"]).exits(0);
}

#[test]
fn a_store_and_a_configuration_may_be_links() {
    let sandbox = store();
    for (from, to) in [("fx", "real"), ("rollfit.toml", "real.toml")] {
        fs::rename(sandbox.path(from), sandbox.path(to)).unwrap();
        symlink(to, sandbox.path(from)).unwrap();
    }
    symlink(sandbox.bars_file("eurusd", "2017-02"), sandbox.path("linked.csv")).unwrap();
    let into = ["--into", "parquet:fx", "--key", "eurusd", "linked.csv"];
    sandbox.run(&[&["import", "--format", "csv"], &into[..]].concat()).exits(0);
    sandbox.run(&["run", "--force"]).exits(0);
    assert!(leftovers(&sandbox.path("real/features")).is_empty());
}

// ------------------------------------------------------------------------------------------- data files

#[test]
fn among_sources_and_features_only_regular_files_are_opened() {
    let sandbox = store();
    let good = fs::read(sandbox.path(SOURCE)).unwrap();
    let planted = "fx/sources/m1_eurusd/2017-02.parquet";
    let path = sandbox.path(planted);
    for what in ["named pipe", "link", "directory"] {
        match what {
            "named pipe" => fifo(&path),
            "link" => symlink(sandbox.path("precious"), &path).unwrap(),
            _ => fs::create_dir(&path).unwrap(),
        }
        for command in [&["plan"][..], &["run", "--force"], &["verify"]] {
            sandbox.run(command).exits(1).says(&[planted, what]);
        }
        sandbox.import_more().exits(1).says(&[planted, what]);
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    }
    let part = sandbox.part("eurusd", "2017-01");
    fs::remove_file(&part).unwrap();
    fifo(&part);
    for command in [&["plan"][..], &["run"], &["run", "--force"], &["verify"], &["drop", "eurusd:2017-01"]] {
        sandbox.run(command).exits(1).says(&["part.parquet", "named pipe"]);
    }
    fs::remove_file(&part).unwrap();
    sandbox.run(&["run"]).exits(0);
    assert_eq!(fs::read(sandbox.path(SOURCE)).unwrap(), good);
}

#[test]
fn records_are_regular_files_too() {
    let sandbox = store();
    let runs = sandbox.path("state/runs");
    let record = fs::read_dir(&runs).unwrap().next().unwrap().unwrap().path();
    let live = record.with_extension("live.json");
    fifo(&runs.join("20990101T000000Z-1.jsonl"));
    symlink(sandbox.path("precious"), runs.join("20990101T000000Z-2.jsonl")).unwrap();
    fifo(&live);
    let writer = File::options().append(true).open(&record).unwrap();
    writer.lock().unwrap();
    sandbox.run(&["status"]).exits(0);
    writer.unlock().unwrap();
    sandbox.run(&["status"]).exits(0);
    sandbox.run(&["analyze"]).exits(0);
    sandbox.has_precious();
}
