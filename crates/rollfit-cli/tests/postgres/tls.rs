//! Who may come in, and whom to trust: certificates that pass and those that do not, passwords from wherever libpq and
//! clouds keep them, and no secret in anything that is printed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::certificates::Presented;
use crate::sandbox::Answer;
use crate::server::{Server, Setup};
use crate::tree::walk;
use crate::workload::{ONE, Workload};

const SECRET: &str = "hunter2";

/// The way in by network, with full doubt about the server's certificate.
fn doubting(server: &Server, authority: &Server, workload: &Workload<'_>) -> String {
    let url = server.tcp_url("localhost", workload.database.name());
    format!("{url}?sslmode=verify-full&sslrootcert={}", authority.authority().display())
}

#[test]
fn a_server_with_a_good_certificate_is_trusted() {
    let server = Server::with_tls(Presented::Good);
    let workload = Workload::on(&server, ONE);
    let url = doubting(&server, &server, &workload);
    workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &["run"]).exits(0);
    workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &["verify", "--quiet"]).exits(0);
    // As libpq is told by the environment.
    let url = server.tcp_url("127.0.0.1", workload.database.name());
    let authority = server.authority().display().to_string();
    let variables =
        [("ROLLFIT_STORE__URL", url.as_str()), ("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", &authority)];
    workload.run_with(&variables, &["run"]).exits(0).says(&["1 already done"]);
}

#[test]
fn a_server_whose_certificate_does_not_pass_is_told_nothing() {
    let [good, wrong_host, expired] =
        [Presented::Good, Presented::WrongHost, Presented::Expired].map(Server::with_tls);
    let authority = expired.authority().display().to_string();
    let cases = [
        (&wrong_host, &wrong_host, &["is for elsewhere.example, not localhost"][..]),
        (&expired, &expired, &["expired on 2001-01-01"]),
        (&good, &expired, &["was not issued by any of the certificates in", &authority, "sslrootcert"]),
    ];
    for (server, trusted, words) in cases {
        let workload = Workload::on(server, ONE);
        let url =
            doubting(server, trusted, &workload).replace("//postgres@", &format!("//postgres:{SECRET}@"));
        let answer = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &["run"]).exits(3).says(words);
        assert!(!answer.to_string().contains(SECRET), "{answer}");
    }
}

/// A server that wants the password of the role `loader`.
fn with_passwords() -> Server {
    let setup = Setup::default().over_tcp().access(&["host all loader 127.0.0.1/32 scram-sha-256"]);
    let server = setup.start();
    server.sql(&format!("create role loader superuser login password '{SECRET}'"));
    server
}

fn loader_url(workload: &Workload<'_>, password: &str) -> String {
    let url = workload.database.server().tcp_url("127.0.0.1", workload.database.name());
    url.replace("postgres@", &format!("loader{password}@"))
}

/// Runs as `loader`, and checks that the password is nowhere in what is printed, recorded or written for others.
#[track_caller]
fn run_as_loader(workload: &Workload<'_>, variables: &[(&str, &str)]) -> Answer {
    let url = loader_url(workload, "");
    let mut command =
        workload.command(&[("ROLLFIT_STORE__URL", url.as_str())], &["run", "--log-format", "json"]);
    command.envs(variables.iter().copied()).args(["--metrics-file", "state/prom", "--trace", "state/trace"]);
    fs::create_dir_all(workload.sandbox.path("state")).unwrap();
    let answer = Answer::from_command(command);
    assert!(!answer.to_string().contains(SECRET), "{answer}");
    let told = walk(&workload.sandbox.path("state"));
    for path in told.iter().filter(|path| path.is_file()) {
        let text = fs::read_to_string(path).unwrap();
        assert!(!text.contains(SECRET), "{}: {text}", path.display());
    }
    answer
}

#[test]
fn the_password_may_come_from_wherever_libpq_looks() {
    let server = with_passwords();
    let workload = Workload::on(&server, ONE);
    run_as_loader(&workload, &[("ROLLFIT_STORE__URL", &loader_url(&workload, ":hunter2"))]).exits(0);
    let is_record = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
    assert!(walk(&workload.sandbox.path("state")).iter().any(is_record), "there is a record to look into");
    run_as_loader(&workload, &[("PGPASSWORD", SECRET)]).exits(0);
    let line = format!("127.0.0.1:{}:*:loader:{SECRET}\n", server.port());
    let file = workload.sandbox.write("passwords", line);
    let path = file.display().to_string();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    run_as_loader(&workload, &[("PGPASSFILE", &path)]).exits(0);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    run_as_loader(&workload, &[("PGPASSFILE", &path)]).exits(3).says(&["asks for a password", &path, "0600"]);
}

#[test]
fn the_password_command_is_run_at_each_connect() {
    let server = with_passwords();
    let workload = Workload::on(&server, ONE);
    let command = |command: &str| [("ROLLFIT_STORE__PASSWORD_COMMAND", command.to_owned())];
    let run = |text: &str| {
        let given = command(text);
        run_as_loader(&workload, &given.each_ref().map(|(name, value)| (*name, value.as_str())))
    };
    run(&format!("echo ran >> asked; echo {SECRET}")).exits(0);
    let asked = fs::read_to_string(workload.sandbox.path("asked")).unwrap();
    assert!(!asked.is_empty());
    // A session that is lost needs a new password.
    let text = format!("echo ran >> asked; echo {SECRET}");
    let url = loader_url(&workload, "");
    let variables = [("ROLLFIT_STORE__URL", url.as_str()), ("ROLLFIT_STORE__PASSWORD_COMMAND", &text)];
    let stopped = workload.stopped_at("receipt-written", &variables, &["--force"]);
    workload.database.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'loader'");
    let before = fs::read_to_string(workload.sandbox.path("asked")).unwrap();
    stopped.go_on().finish().exits(0);
    assert!(fs::read_to_string(workload.sandbox.path("asked")).unwrap().len() > before.len());

    run(&format!("echo {SECRET} >&2; echo {SECRET}; exit 3")).exits(3).says(&["the password command"]);
    run(&format!("sleep 0; : {SECRET}")).exits(3).says(&["the password command"]);
    run("echo wrong").exits(3).says(&["password authentication failed"]);
}

#[test]
fn a_wrong_password_and_none_at_all_are_told() {
    let server = with_passwords();
    let workload = Workload::on(&server, ONE);
    run_as_loader(&workload, &[("PGPASSWORD", "wrong")]).exits(3).says(&["password authentication failed"]);
    run_as_loader(&workload, &[]).exits(3).says(&["asks for a password", "PGPASSWORD"]);
    let answer = run_as_loader(&workload, &[("ROLLFIT_STORE__URL", &loader_url(&workload, ":not-this-one"))]);
    assert!(!answer.exits(3).to_string().contains("not-this-one"));
}

#[test]
fn a_password_that_is_changed_during_a_run_ends_it_without_a_flood() {
    let server = with_passwords();
    let workload = Workload::on(&server, ONE);
    let url = loader_url(&workload, &format!(":{SECRET}"));
    let stopped = workload.stopped_at("receipt-written", &[("ROLLFIT_STORE__URL", &url)], &[]);
    // Together, the sessions could begin again before the commit.
    server.sql("alter role loader password 'another'");
    server.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'loader'");
    let answer = stopped.go_on().finish().exits(1);
    assert!(!answer.to_string().contains(SECRET), "{answer}");
    assert_eq!(answer.json()["retries"], 1, "{answer}");
    assert_eq!(workload.left_over_sessions(), Vec::<String>::new());
}
