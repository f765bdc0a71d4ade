//! What a new user meets first: the configuration is found from a subdirectory, paths start from the home, the version tells builds apart,
//! shells complete, manual pages exist, colours stay out of files, and a slip is answered with what was meant.

use std::fs;
use std::os::unix::fs::lchown;
use std::process::Command;

use serde_json::Value;

use crate::bars::config;
use crate::record::{read, records};
use crate::sandbox::{Answer, ROLLFIT, Sandbox, UNKNOWN_UID, is_privileged};

/// Runs the executable in a directory of the sandbox.
fn run_in(sandbox: &Sandbox, dir: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Answer {
    fs::create_dir_all(sandbox.path(dir)).unwrap();
    let mut command = sandbox.command(arguments);
    command.current_dir(sandbox.path(dir)).envs(variables.iter().copied());
    Answer::from_command(command)
}

/// What a program that may not be installed prints; none where it is not.
fn output_of(mut command: Command) -> Option<Answer> {
    command.output().ok().map(Answer::from)
}

// ------------------------------------------------------------------------------------------- configuration

#[test]
fn the_nearest_configuration_above_is_used_and_named() {
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    let above = fs::canonicalize(sandbox.path("rollfit.toml")).unwrap();
    let using = format!("using the configuration {}\n", above.display());
    let run = run_in(&sandbox, "a/b", &[], &["run"]).exits(0).says(&["1 written"]);
    assert_eq!(run.stderr.matches(&using).count(), 1, "{run}");
    assert!(sandbox.part("eurusd", "2017-01").exists(), "its paths start from its own directory");
    assert_eq!(read(&records(&sandbox)[0]).header.config, above.display().to_string());
    let quiet = run_in(&sandbox, "a/b", &[], &["plan", "--quiet"]).exits(0).says(&["1 done"]);
    assert_eq!(quiet.stderr, "");
    let here = sandbox.run(&["plan"]).exits(0);
    assert!(!here.stderr.contains("using the configuration"), "{here}");
    run_in(&sandbox, "a/b", &[], &["status"]).exits(0).says(&["finished"]);

    // The nearest one wins, and one that is named is taken as it is.
    sandbox.write("a/rollfit.toml", "nonsense");
    run_in(&sandbox, "a/b", &[], &["plan"]).exits(2).says(&["a/rollfit.toml: TOML parse error at line 1"]);
    run_in(&sandbox, "a/b", &[], &["plan", "-c", "../../rollfit.toml"]).exits(0).says(&["1 done"]);
    run_in(&sandbox, "a/b", &[], &["-c", "../../rollfit.toml", "plan"]).exits(0).says(&["1 done"]);
    let variable = [("ROLLFIT_CONFIG", "../../rollfit.toml")];
    run_in(&sandbox, "a/b", &variable, &["plan"]).exits(0).says(&["1 done"]);
    run_in(&sandbox, "a/b", &[], &["plan", "--config", "rollfit.toml"])
        .exits(2)
        .says(&["configuration rollfit.toml does not exist; `rollfit init` writes one"]);
}

#[test]
fn a_configuration_that_is_nowhere_is_said_with_the_places_searched() {
    let sandbox = Sandbox::new();
    let dir = fs::canonicalize(sandbox.dir()).unwrap().display().to_string();
    let missing = sandbox.run(&["plan"]).exits(2);
    missing.says(&[&format!("rollfit.toml does not exist in {dir} and above it, up to /"), "`rollfit init`"]);
}

#[test]
fn a_configuration_above_that_another_user_has_put_there_is_not_used_unasked() {
    if !is_privileged() {
        println!("skipped: only root can give a file to another user");
        return;
    }
    let sandbox = Sandbox::imported(&["eurusd"], &["2017-01"]);
    lchown(sandbox.path("rollfit.toml"), Some(UNKNOWN_UID), None).unwrap();
    let refused = run_in(&sandbox, "a", &[], &["plan"]).exits(2);
    refused.says(&["belongs to another user (uid 54321)", "--config"]);
    run_in(&sandbox, "a", &[], &["plan", "--config", "../rollfit.toml"]).exits(0);
    sandbox.run(&["plan"]).exits(0);
}

#[test]
fn init_writes_here_and_says_what_it_comes_before() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init"]).exits(0);
    let init = run_in(&sandbox, "below", &[], &["init"]).exits(0).says(&["wrote rollfit.toml"]);
    assert!(init.stderr.contains("use it from now on") && init.stderr.contains("/rollfit.toml"), "{init}");
    assert!(sandbox.path("below/rollfit.toml").exists());
}

#[test]
fn paths_of_stores_start_from_the_home_directory_and_what_only_a_shell_knows_is_refused() {
    let sandbox = Sandbox::new();
    let home = sandbox.dir().display().to_string();
    let home = [("HOME", home.as_str())];
    let file = sandbox.bars_file("eurusd", "2017-01").display().to_string();
    let import = |store: &str| {
        run_in(&sandbox, "elsewhere", &home, &["import", "--format", "csv", "--into", store, &file])
    };
    import("parquet:~/fx").exits(0);
    assert!(sandbox.path("fx/sources").is_dir());
    let text = config(&["eurusd"], "2017-01", "2017-01");
    sandbox.write("elsewhere/rollfit.toml", text.replace("parquet:fx", "parquet:~/fx"));
    run_in(&sandbox, "elsewhere", &home, &["run"]).exits(0).says(&["1 written"]);
    assert!(sandbox.part("eurusd", "2017-01").exists());
    for named in
        [&["--config=~/elsewhere/rollfit.toml", "plan"][..], &["plan", "-c", "~/elsewhere/rollfit.toml"]]
    {
        run_in(&sandbox, "other", &home, named).exits(0).says(&["1 done"]);
    }
    let variables = [home[0], ("ROLLFIT_CONFIG", "~/elsewhere/rollfit.toml")];
    run_in(&sandbox, "other", &variables, &["plan"]).exits(0);
    let before = fs::read_dir(sandbox.path("elsewhere")).unwrap().count();
    import("parquet:~joe/fx").exits(2).says(&["`~joe` is not replaced here", "./~joe"]);
    import("parquet:$HOME/fx").exits(2).says(&["`$HOME` is not replaced here", "~/"]);
    sandbox.write("elsewhere/rollfit.toml", text.replace("parquet:fx", "parquet:/data/${USER}/fx"));
    run_in(&sandbox, "elsewhere", &home, &["plan"]).exits(2).says(&["`${USER}` is not replaced here"]);
    assert_eq!(fs::read_dir(sandbox.path("elsewhere")).unwrap().count(), before, "nothing was made");
}

// ------------------------------------------------------------------------------------------- version, completions, pages

#[test]
fn the_version_tells_builds_and_machines_apart() {
    let sandbox = Sandbox::new();
    let short = sandbox.run(&["-V"]).exits(0);
    let long = sandbox.run(&["--version"]).exits(0);
    assert_eq!(short.stdout.lines().count(), 1, "{short}");
    assert_eq!(long.stdout.lines().next(), short.stdout.lines().next());
    let fields = ["commit: ", "built: ", "target: ", "CPU path: ", "definition: "];
    let long = long.says(&fields);
    let document = sandbox.run(&["--version", "--json"]).exits(0).json();
    for field in ["version", "built", "target", "cpu_path"] {
        let value = document[field].as_str().unwrap();
        assert!(!value.is_empty() && long.stdout.contains(value), "{field}: {long}");
    }
    let day = document["built"].as_str().unwrap().split('-').map(str::len).collect::<Vec<_>>();
    assert_eq!(day, [4, 2, 2]);
    assert!(document["definition"].is_u64());
    match &document["commit"] {
        Value::Null => assert!(long.stdout.contains("unknown"), "{long}"),
        commit => assert!(long.stdout.contains(commit.as_str().unwrap()), "{long}"),
    }
}

#[test]
fn bash_completes_commands_options_and_their_values() {
    let sandbox = Sandbox::new();
    let script = sandbox.run(&["completions", "bash"]).exits(0).stdout;
    let path = sandbox.write("rollfit.bash", script);
    let complete = |typed: &str| {
        let words: Vec<&str> = typed.split(' ').collect();
        let (current, previous) = (words[words.len() - 1], words[words.len() - 2]);
        let program = format!(
            "set -e; bash -n {0}; source {0}; compopt() {{ :; }}; COMP_WORDS=({typed}); COMP_CWORD={1}; \
             _rollfit rollfit '{current}' '{previous}'; echo \"${{COMPREPLY[@]}}\"",
            path.display(),
            words.len() - 1
        );
        let mut bash = sandbox.in_clean_environment("bash");
        bash.args(["-c", &program]);
        output_of(bash).map(|answer| answer.exits(0).stdout.trim_end().to_owned())
    };
    for (typed, completed) in [
        ("rollfit ver", "verify"),
        ("rollfit run --repl", "--replace"),
        ("rollfit plan --conf", "--config"),
        ("rollfit completions z", "zsh"),
        ("rollfit metrics --sql p", "postgres"),
        ("rollfit run --replace d", "definition-changed"),
        ("rollfit plan --replace foreign,sh", "foreign,shrunk"),
        ("rollfit import --format hi", "histdata"),
        ("rollfit run --color = al", "always"),
        ("rollfit run --workers ro", "ro"),
    ] {
        let Some(found) = complete(typed) else {
            println!("skipped: there is no bash");
            return;
        };
        assert_eq!(found, completed, "{typed}");
    }
}

#[test]
fn every_shell_has_a_script_that_it_can_read() {
    let sandbox = Sandbox::new();
    for (shell, program, check) in [
        ("bash", "bash", "-n"),
        ("zsh", "zsh", "-n"),
        ("fish", "fish", "--no-execute"),
        ("elvish", "elvish", "-compileonly"),
        ("powershell", "", ""),
    ] {
        let script = sandbox.run(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("rollfit") && script.contains("verify"), "{shell}");
        let path = sandbox.write(format!("rollfit.{shell}"), script);
        let mut checker = Command::new(program);
        checker.arg(check).arg(path);
        match output_of(checker) {
            Some(answer) => drop(answer.exits(0)),
            None => println!("skipped: there is no {shell} to read its script"),
        }
    }
    sandbox.run(&["completions", "tcsh"]).exits(2).says(&["bash", "zsh"]);
}

#[test]
fn each_command_has_a_manual_page_with_its_examples() {
    let sandbox = Sandbox::new();
    let page = sandbox.run(&["man"]).exits(0).stdout;
    assert!(page.contains(".TH rollfit 1") && page.contains("Exit codes"), "{page}");
    assert!(!page.contains("CPU path"), "a page is the same on every machine");
    sandbox.run(&["man", "--dir", "pages"]).exits(0).says(&["pages into pages"]);
    let page = fs::read_to_string(sandbox.path("pages/rollfit-run.1")).unwrap();
    let parts = [".TH rollfit-run 1", ".SH EXAMPLES", "rollfit run \\-\\-replace definition\\-changed"];
    for part in parts {
        assert!(page.contains(part), "no `{part}` in {page}");
    }
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Tutf8", "-ww", "-z"]).args(["rollfit.1", "rollfit-run.1", "rollfit-check.1"]);
    groff.current_dir(sandbox.path("pages"));
    match output_of(groff) {
        Some(answer) => assert_eq!(answer.exits(0).stderr, ""),
        None => println!("skipped: there is no groff to read the pages"),
    }
    sandbox.write("file", "");
    sandbox.run(&["man", "--dir", "file"]).exits(1).says(&["cannot write file"]);
}

// ------------------------------------------------------------------------------------------- colours

const ESCAPE: char = '\u{1b}';

#[test]
fn colours_are_for_terminals_unless_they_are_asked_for() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    let has_colours = |answer: &Answer| (answer.stdout.contains(ESCAPE), answer.stderr.contains(ESCAPE));
    let always = ["--color", "always"];
    let plan = sandbox.run(&[&["plan", "--all"], &always[..]].concat()).exits(0);
    assert!(plan.stdout.contains("\u{1b}[32mdone"), "{plan}");
    assert!(plan.stdout.contains("\u{1b}[1mpartition"), "{plan}");
    let plain = sandbox.run(&["plan", "--all"]).exits(0);
    assert_eq!(has_colours(&plain), (false, false), "{plain}");
    assert_eq!(
        anstream::adapter::strip_str(&plan.stdout).to_string(),
        plain.stdout,
        "nothing is told by colour alone"
    );

    let force = [("CLICOLOR_FORCE", "1")];
    assert!(sandbox.run_with(&force, &["plan"]).stdout.contains(ESCAPE));
    for command in ["plan", "--help"] {
        let zero = sandbox.run_with(&[("CLICOLOR_FORCE", "0")], &[command]);
        assert_eq!(has_colours(&zero), (false, false), "{zero}");
    }
    assert!(
        sandbox.run_with(&[("CLICOLOR_FORCE", "0")], &["plan", "--color=always"]).stdout.contains(ESCAPE)
    );
    assert!(!sandbox.run_with(&force, &["plan", "--color=never"]).stdout.contains(ESCAPE));
    assert!(!sandbox.run_with(&[force[0], ("NO_COLOR", "1")], &["plan"]).stdout.contains(ESCAPE));
    assert!(sandbox.run_with(&[("NO_COLOR", "1")], &["plan", "--color=always"]).stdout.contains(ESCAPE));

    let json = sandbox.run(&[&["plan", "--json"], &always[..]].concat()).exits(0);
    assert_eq!(has_colours(&json), (false, false), "{json}");
    let log = sandbox.run(&["run", "--log-format", "json", "--only", "none", "--color=always"]).exits(2);
    assert_eq!(has_colours(&log), (false, false), "{log}");
}

#[test]
fn errors_and_help_follow_the_choice_too() {
    let sandbox = Sandbox::new();
    let error = sandbox.run(&["plan", "--color", "always"]).exits(2);
    assert!(error.stderr.starts_with("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m "), "{error}");
    assert!(sandbox.run(&["plan", "--help", "--color", "always"]).exits(0).stdout.contains(ESCAPE));
    let slip = sandbox.run(&["--color=always", "rum"]).exits(2).stderr;
    assert!(slip.contains(ESCAPE) && !slip.contains("\u{1b}[33m"), "yellow vanishes on white: {slip}");
    assert!(!sandbox.run(&["plan", "--help"]).exits(0).stdout.contains(ESCAPE));
    sandbox.run(&["plan", "--color", "green"]).exits(2).says(&["auto, always, never"]);
}

// ------------------------------------------------------------------------------------------- slips

#[test]
fn a_slip_of_a_variable_is_refused_and_one_of_others_is_said() {
    let sandbox = Sandbox::done(&["eurusd"], &["2017-01"]);
    for (slip, meant) in [
        ("ROLLFIT_RUN_BOUNDARY", "ROLLFIT_RUN__BOUNDARY"),
        ("ROLLFIT_STORE_URL", "ROLLFIT_STORE__URL"),
        ("ROLLFIT_CONFG", "ROLLFIT_CONFIG"),
        ("ROLLFIT_WORKERS", "ROLLFIT_RUN__WORKERS"),
    ] {
        let refused = sandbox.run_with(&[(slip, "x")], &["plan"]).exits(2);
        refused.says(&[&format!("the environment has {slip}"), &format!("did you mean {meant}?")]);
    }
    let warned = sandbox.run_with(&[("ROLLFIT_IMAGE_TAG", "1.2")], &["plan"]).exits(0);
    warned.says(&["warning: ignored from the environment: ROLLFIT_IMAGE_TAG"]);
    let of_cluster = [("ROLLFIT_SERVICE_HOST", "10.0.0.1"), ("ROLLFIT_PORT", "tcp://10.0.0.1:80")];
    let silent = sandbox.run_with(&of_cluster, &["plan", "--quiet"]).exits(0);
    assert_eq!(silent.stderr, "");
    sandbox.run_with(&[("ROLLFIT_RUN__WORKER", "2")], &["plan"]).exits(2).says(&["did you mean `workers`?"]);
}

#[test]
fn what_is_misspelled_is_named_with_what_was_meant() {
    let sandbox = Sandbox::done(&["eurusd", "usdjpy"], &["2017-01"]);
    sandbox.run(&["plna"]).exits(2).says(&["plan"]);
    sandbox.run(&["run", "--replace", "foriegn"]).exits(2).says(&["did you mean `foreign`?"]);
    sandbox.run(&["plan", "--only", "eursud"]).exits(2).says(&["did you mean `eurusd`?"]);
    sandbox.run(&["import", "--format", "cvs", "a.csv"]).exits(2).says(&["did you mean `csv`?"]);
    let value = [("ROLLFIT_SERIES__IDX__VALUE", "rate_indx")];
    sandbox
        .run_with(&value, &["plan"])
        .says(&["column `rate_indx` does not exist; did you mean `rate_index`?"]);
    let metrics = [("ROLLFIT_FEATURES__METRICS", "[\"rsme\"]")];
    sandbox.run_with(&metrics, &["plan"]).exits(2).says(&["did you mean `rmse`?"]);
}

#[test]
fn no_list_of_candidates_makes_a_message_of_many_lines() {
    let sandbox = Sandbox::new();
    let names: Vec<String> = (0..5000).map(|column| format!("price_{column}")).collect();
    let header = format!("time,{}\n2017-01-02T00:00:00Z{}\n", names.join(","), ",1.5".repeat(names.len()));
    let file = sandbox.write("wide.csv", header).display().to_string();
    let import = ["import", "--format", "csv", "--key", "eurusd", "--into", "parquet:fx", &file];
    for more in
        [&[][..], &["--close-column", "pirce_17"], &["--close-column", "price_1", "--columns", "pirce_4"]]
    {
        let refused = sandbox.run(&[&import[..], more].concat());
        assert!(!refused.status.success() && refused.stderr.len() < 1000, "{} bytes", refused.stderr.len());
    }
    let meant = sandbox.run(&[&import[..], &["--close-column", "pirce_17"]].concat());
    meant.says(&["did you mean `price_17`?", "and 4991 more"]);
}

#[test]
fn a_command_can_be_completed_under_the_name_that_users_type() {
    let script = Sandbox::new().run(&["completions", "bash"]).stdout;
    assert!(script.contains("complete -F _rollfit") && script.contains(" rollfit\n"), "{ROLLFIT}");
}
