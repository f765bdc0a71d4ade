//! Disks that are full and directories that cannot be written: one message, and what was there stays as it was.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::bars::config;
use crate::sandbox::{Answer, ROLLFIT, Sandbox};
use crate::tree::{Tree, leftovers, walk};

const MONTHS: [&str; 2] = ["2017-01", "2017-02"];

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_features_directory_without_write_permission_is_told_and_left_as_it_is() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    sandbox.run(&["run", "--only", "eurusd:2017-01"]).exits(0);
    set_mode(&sandbox.path("fx/features/key=eurusd"), 0o555);
    let before = Tree::read(&sandbox.path("fx/features"));
    let run = sandbox.run_unprivileged(&["run"]).exits(1);
    let parts = [
        "eurusd 2017-02: failed: cannot create the directory",
        "give this user permission",
        "1 already done",
    ];
    run.says(&parts);
    before.is_untouched(&sandbox.path("fx/features"));
    set_mode(&sandbox.path("fx/features/key=eurusd"), 0o755);
    sandbox.run_unprivileged(&["run"]).exits(0);
}

#[test]
fn a_read_only_store_can_be_planned_and_verified_but_not_written() {
    let sandbox = Sandbox::imported(&["eurusd"], &MONTHS);
    sandbox.run(&["run", "--only", "eurusd:2017-01"]).exits(0);
    for path in walk(&sandbox.path("fx")) {
        set_mode(&path, if path.is_dir() { 0o555 } else { 0o444 });
    }
    let before = Tree::read(&sandbox.path("fx"));
    sandbox.run_unprivileged(&["plan"]).exits(0).says(&["1 missing, 1 done"]);
    sandbox.run_unprivileged(&["verify"]).exits(4).says(&["1 verified"]);
    sandbox.run_unprivileged(&["compare"]).exits(4);
    sandbox.run_unprivileged(&["doctor"]);
    sandbox.run_unprivileged(&["status"]).exits(0).says(&["1 written"]);
    sandbox
        .run_unprivileged(&["run"])
        .exits(1)
        .says(&["eurusd 2017-02: failed", "give this user permission"]);
    sandbox.run_unprivileged(&["run", "--only", "eurusd:2017-01"]).exits(0).says(&["1 already done"]);
    sandbox.run_unprivileged(&["drop", "eurusd:2017-01"]).exits(1).says(&["give this user permission"]);
    let file = sandbox.bars_file("eurusd", "2017-03").display().to_string();
    let import = ["import", "--format", "csv", "--into", "parquet:fx", &file];
    sandbox.run_unprivileged(&import).exits(1).says(&["give this user permission"]);
    before.is_untouched(&sandbox.path("fx"));
    walk(&sandbox.path("fx")).iter().for_each(|path| set_mode(path, 0o755));
}

#[test]
fn an_import_that_was_cut_short_in_a_read_only_store_is_told_and_never_half_read() {
    let sandbox = Sandbox::done(&["eurusd", "usdjpy"], &["2017-01"]);
    let staged = sandbox.leave_an_unfinished_import();
    for path in walk(&sandbox.path("fx")) {
        set_mode(&path, if path.is_dir() { 0o555 } else { 0o444 });
    }
    let before = Tree::read(&sandbox.path("fx"));
    let told = [
        "an import into ",
        "fx/sources was cut short; run `rollfit plan` as a user who can write there to finish it",
        "fx/sources/.lock; give this user permission to do that",
    ];
    // Keys that the import does not change are read.
    sandbox.run_unprivileged(&["plan"]).exits(1).says(&told).says(&["1 done, 1 failed"]);
    before.is_untouched(&sandbox.path("fx"));
    walk(&sandbox.path("fx")).iter().for_each(|path| set_mode(path, 0o755));
    sandbox.run_unprivileged(&["plan"]).exits(0).says(&["finished the import of another process", "2 done"]);
    assert!(!staged.exists());
}

#[test]
fn a_store_that_may_not_be_read_is_unreachable() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    set_mode(&sandbox.path("fx"), 0o000);
    sandbox.run_unprivileged(&["run"]).exits(3).says(&["cannot open the store fx", "ermission denied"]);
    set_mode(&sandbox.path("fx"), 0o755);
}

#[test]
fn features_that_may_not_be_read_fail_and_are_not_overwritten() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let part = sandbox.part("eurusd", "2017-01");
    let before = fs::read(&part).unwrap();
    set_mode(&part, 0o000);
    let run = sandbox.run_unprivileged(&["run", "--force", "--replace", "foreign"]);
    set_mode(&part, 0o644);
    run.exits(1).says(&["cannot read", "part.parquet", "give this user permission"]);
    assert_eq!(fs::read(&part).unwrap(), before);
}

/// Runs a shell script in the sandbox, with the executable as `$0` and a mount namespace of its own.
pub(crate) fn with_small_disk(sandbox: &Sandbox, script: &str) -> Option<Answer> {
    let mount = "mount -t tmpfs -o size=4m rollfit-test disk";
    fs::create_dir_all(sandbox.path("disk")).unwrap();
    let run = |script: &str| {
        let mut command = sandbox.in_clean_environment("unshare");
        command.args(["-m", "sh", "-c", &format!("{mount} && {script}"), ROLLFIT]);
        command
    };
    match run("true").output() {
        Ok(output) if output.status.success() => Some(Answer::from_command(run(script))),
        _ => {
            println!("skipped: mounting a small disk is not permitted here");
            None
        }
    }
}

const HALF_A_YEAR: [&str; 6] = ["2017-01", "2017-02", "2017-03", "2017-04", "2017-05", "2017-06"];

/// Bars in `fx` and a configuration for a copy of it on the small disk.
fn for_small_disk() -> Sandbox {
    let sandbox = Sandbox::imported(&["eurusd"], &HALF_A_YEAR);
    let text = config(&["eurusd"], HALF_A_YEAR[0], HALF_A_YEAR[5]).replace("parquet:fx", "parquet:disk/fx");
    sandbox.write("rollfit.toml", text);
    sandbox
}

#[test]
fn a_full_disk_is_told_and_everything_stays_as_it_was() {
    let sandbox = for_small_disk();
    let file = sandbox.bars_file("eurusd", "2017-07").display().to_string();
    let import = format!("\"$0\" import --format csv --into parquet:disk/fx {file}");
    let script = format!(
        r#"cp -r fx disk/fx; "$0" run --quiet; cp -r disk/fx before; head -c 9999999 /dev/zero > disk/ballast
        "$0" plan --force; echo "plan exits $?"; "$0" run --force; echo "forced run exits $?"; {import}; echo "import exits $?"; cp -r disk/fx after
        rm disk/ballast; "$0" plan --force; echo "further plan exits $?"; "$0" run --force; echo "further run exits $?"; {import}; echo "further import exits $?""#
    );
    let Some(answer) = with_small_disk(&sandbox, &script) else { return };
    let parts = ["forced run exits 1", "import exits 1", "further run exits 0", "further import exits 0"];
    // What old rows make way for needs no room of its own.
    let planned = ["plan exits 1", "not have enough free space for this plan", "further plan exits 0"];
    let advice = "cannot write disk/fx/features/key=eurusd/month=2017-06/.part.tmp; free some";
    answer
        .exits(0)
        .says(&parts)
        .says(&planned)
        .says(&[advice, "0 written, 0 already done, 0 skipped, 6 failed"]);
    let differences = Tree::read(&sandbox.path("before")).differences(&Tree::read(&sandbox.path("after")));
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn a_run_that_cannot_fit_is_refused_before_it_writes() {
    let sandbox = for_small_disk();
    let script = r#"cp -r fx disk/fx; head -c 2500000 /dev/zero > disk/ballast
        "$0" plan; echo "plan exits $?"; "$0" run; code=$?; ls disk/fx; exit $code"#;
    let Some(answer) = with_small_disk(&sandbox, script) else { return };
    let parts =
        ["plan exits 1", "are free at disk/fx/features", "the missing partitions need about", "--only"];
    let answer = answer.exits(1).says(&parts);
    assert!(answer.stdout.ends_with("\nsources\n"), "{answer}");
}

#[test]
fn a_limit_on_the_size_of_files_fails_the_partition_and_leaves_nothing() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let part = sandbox.part("eurusd", "2017-01");
    let before = fs::read(&part).unwrap();
    // The signal that goes with the limit is ignored, as it is under many supervisors, and leaves an error.
    let script = r#"trap '' XFSZ; ulimit -f 64; exec "$0" run --force"#;
    let mut command = sandbox.in_clean_environment("sh");
    command.args(["-c", script, ROLLFIT]);
    Answer::from_command(command).exits(1).says(&[
        "eurusd 2017-01: failed: cannot write",
        ".part.tmp",
        "File too large",
    ]);
    assert_eq!(fs::read(&part).unwrap(), before);
    assert!(leftovers(&sandbox.path("fx/features")).is_empty());
}
