//! Relative paths of a configuration: they start from its own directory, wherever the command runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::record::{read, records};
use crate::sandbox::{Answer, ROLLFIT, Sandbox};

/// Runs the executable in a directory.
fn run_in(
    sandbox: &Sandbox,
    dir: impl AsRef<Path>,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> Answer {
    let mut command: Command = sandbox.command(arguments);
    command.current_dir(dir).envs(variables.iter().copied());
    Answer::from_command(command)
}

#[test]
fn a_configuration_means_the_same_store_from_every_directory() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    fs::create_dir_all(sandbox.path("some/where")).unwrap();
    let config = sandbox.path("rollfit.toml").display().to_string();
    let by_path = ["plan", "--config", &config];
    let (up, here) = (["plan", "--config", "../../rollfit.toml"], ["plan", "--config", "./rollfit.toml"]);
    run_in(&sandbox, "/", &[], &by_path).exits(0).says(&["1 done"]);
    run_in(&sandbox, sandbox.path("some/where"), &[], &up).exits(0).says(&["1 done"]);
    run_in(&sandbox, sandbox.dir(), &[], &here).exits(0).says(&["1 done"]);
    run_in(&sandbox, "/", &[("ROLLFIT_CONFIG", &config)], &["verify"]).exits(0);

    run_in(&sandbox, sandbox.path("some"), &[], &["run", "--force", "--config", "../rollfit.toml"]).exits(0);
    let headers: Vec<_> = records(&sandbox).iter().map(|path| read(path).header).collect();
    assert_eq!(headers.len(), 2);
    let names = |at: usize| (&headers[at].job, &headers[at].config, &headers[at].sink);
    assert_eq!(names(0), names(1), "it is the same job with the same names");
    run_in(&sandbox, "/", &[], &["status", "--config", &config]).exits(0).says(&["finished"]);
}

#[test]
fn a_run_is_found_by_its_configuration_whatever_its_path_is_shown_as() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    sandbox.write("می\u{200c}خواهم/rollfit.toml", fs::read(sandbox.path("rollfit.toml")).unwrap());
    fs::rename(sandbox.path("fx"), sandbox.path("می\u{200c}خواهم/fx")).unwrap();
    let config = ["--config", "می\u{200c}خواهم/rollfit.toml"];
    sandbox.run(&[&["run"][..], &config].concat()).exits(0);
    sandbox.run(&[&["status"][..], &config].concat()).exits(0).says(&["finished", "1 written"]);
}

#[test]
fn a_link_to_a_configuration_stands_in_its_own_directory() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    sandbox.write("deploy/real.toml", fs::read(sandbox.path("rollfit.toml")).unwrap());
    std::os::unix::fs::symlink(sandbox.path("deploy/real.toml"), sandbox.path("linked.toml")).unwrap();
    let linked = sandbox.path("linked.toml").display().to_string();
    run_in(&sandbox, "/", &[], &["plan", "--config", &linked]).exits(0).says(&["1 done"]);
}

#[test]
fn a_store_where_paths_once_started_is_named_beside_the_one_that_is_meant() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    fs::create_dir_all(sandbox.path("conf")).unwrap();
    fs::rename(sandbox.path("rollfit.toml"), sandbox.path("conf/rollfit.toml")).unwrap();
    let arguments = ["--config", "conf/rollfit.toml"];
    let root = fs::canonicalize(sandbox.dir()).unwrap();
    let (meant, there) = (root.join("conf/fx").display().to_string(), root.join("fx").display().to_string());
    for verb in ["plan", "run", "verify", "doctor"] {
        let refused = sandbox.run(&[&[verb], &arguments[..]].concat());
        refused.exits(2).says(&[
            &meant,
            &there,
            "paths in a configuration are relative to its own directory",
        ]);
    }
    let text = fs::read_to_string(sandbox.path("conf/rollfit.toml")).unwrap();
    sandbox.write("conf/rollfit.toml", text.replace("parquet:fx", "parquet:../fx"));
    sandbox.run(&[&["plan"], &arguments[..]].concat()).exits(0).says(&["1 done"]);
}

#[test]
fn paths_of_variables_flags_and_pipes_start_from_the_working_directory() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    fs::create_dir_all(sandbox.path("conf")).unwrap();
    let text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    sandbox.write("conf/rollfit.toml", text.replace("parquet:fx", "parquet:none"));
    let variables = [("ROLLFIT_STORE__URL", "parquet:./fx")];
    let plan = ["plan", "--config", "conf/rollfit.toml"];
    run_in(&sandbox, sandbox.dir(), &variables, &plan).exits(0).says(&["1 done"]);
    let mut piped = sandbox.in_clean_environment("sh");
    piped.args(["-c", r#"cat rollfit.toml | "$0" plan --config /dev/stdin"#, ROLLFIT]);
    Answer::from_command(piped).exits(0).says(&["1 done"]);
    sandbox.run(&plan).exits(2).says(&["conf/none"]);
}
