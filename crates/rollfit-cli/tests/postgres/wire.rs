//! Servers that are not what they say: how they may let somebody in, who may read a password, and that no command waits for
//! one without an end. `libpq-connect` has the tests of single messages.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::certificates::Presented;
use crate::sandbox::Answer;
use crate::server::{Server, Setup};
use crate::workload::{ONE, Workload};

const SECRET: &str = "hunter2";

/// Runs `plan` as a role of the server. The password is nowhere in what is printed.
fn plan(workload: &Workload<'_>, role: &str, host: &str, query: &str) -> Answer {
    let (server, name) = (workload.database.server(), workload.database.name());
    let url = format!("postgres://{role}:{SECRET}@{host}:{}/{name}?{query}", server.port());
    let answer = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &["plan"]);
    assert!(!answer.to_string().contains(SECRET), "{answer}");
    answer
}

fn make_roles(server: &Server, roles: &[&str]) {
    for role in roles {
        let encryption = if *role == "md5" { "md5" } else { "scram-sha-256" };
        server.sql(&format!(
            "set password_encryption = '{encryption}'; create role \"{role}\" superuser login password '{SECRET}'"
        ));
    }
}

#[test]
fn a_server_may_ask_for_a_login_only_as_require_auth_says() {
    let methods = ["trust", "password", "md5", "scram-sha-256"];
    let lines = methods.map(|method| format!("host all \"{method}\" 127.0.0.1/32 {method}"));
    let server = Setup::default().over_tcp().access(&lines.each_ref().map(String::as_str)).start();
    make_roles(&server, &methods);
    let workload = Workload::on(&server, ONE);
    for role in methods {
        let rule = if role == "trust" { "none" } else { role };
        plan(&workload, role, "127.0.0.1", &format!("require_auth={rule}")).exits(0);
        let words = format!("which require_auth=!{rule} does not accept");
        plan(&workload, role, "127.0.0.1", &format!("require_auth=!{rule}")).exits(3).says(&[&words]);
    }
    plan(&workload, "trust", "127.0.0.1", "").exits(0);
    let words = "accepts the connection without a login, which require_auth=scram-sha-256 does not";
    plan(&workload, "trust", "127.0.0.1", "require_auth=scram-sha-256").exits(3).says(&[words]);
    plan(&workload, "md5", "127.0.0.1", "require_auth=md5x").exits(2).says(&["names `md5x`"]);
    let url = server.tcp_url("127.0.0.1", workload.database.name());
    let url = url.replace("postgres@", &format!("md5:{SECRET}@"));
    let variables = [("ROLLFIT_STORE__URL", url.as_str()), ("PGREQUIREAUTH", "scram-sha-256")];
    workload.run_with(&variables, &["plan"]).exits(3).says(&["asks for the password as MD5 hash"]);
}

/// An address of this machine that others reach it by. Nothing is sent to find out.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    let is_usable = !address.is_loopback() && !address.is_unspecified();
    is_usable.then(|| address.to_string())
}

#[test]
fn a_password_goes_to_another_machine_as_text_only_where_that_is_accepted() {
    let Some(own) = own_address() else {
        return println!("skipped: this machine has no address but its own");
    };
    let lines = ["127.0.0.1", &own].map(|address| format!("host all loader {address}/32 password"));
    let server = Setup::default()
        .presenting(Presented::Good)
        .set("listen_addresses", &format!("127.0.0.1,{own}"))
        .access(&lines.each_ref().map(String::as_str))
        .start();
    make_roles(&server, &["loader"]);
    let workload = Workload::on(&server, ONE);
    let (root, away) = (server.authority().display().to_string(), format!("hostaddr={own}"));
    let plan = |query: &str| plan(&workload, "loader", "localhost", query);
    for (query, words) in [
        ("sslmode=prefer", "its certificate is not verified"),
        ("sslmode=require", "its certificate is not verified"),
        ("sslmode=allow", "the connection is not encrypted"),
        ("sslmode=require&require_auth=!md5", "its certificate is not verified"),
    ] {
        let answer = plan(&format!("{away}&{query}")).exits(2);
        answer.says(&[words, "is not sent", "sslmode=verify-full", "require_auth=password"]);
    }
    for query in ["sslmode=disable", "sslmode=require&require_auth=password", "require_auth=md5,password"] {
        plan(&format!("{away}&{query}")).exits(0);
    }
    plan(&format!("{away}&sslmode=verify-full&sslrootcert={root}")).exits(0);
    plan(&format!("{away}&sslmode=require&sslrootcert={root}")).exits(0);
    plan("hostaddr=127.0.0.1&sslmode=allow").exits(0);
}

/// A server that serves each connection with `script`.
fn server_of(script: impl Fn(TcpStream) + Send + Sync + Copy + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || script(stream));
        }
    });
    port
}

fn keep_silent(mut stream: TcpStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Lets anybody in.
fn log_in(stream: &mut TcpStream) {
    let mut start = [0; 4096];
    let _ = stream.read(&mut start);
    let _ = stream.write_all(b"R\0\0\0\x08\0\0\0\0K\0\0\0\x0c\0\0\0\0\0\0\0\0Z\0\0\0\x05I");
}

fn let_in_and_keep_silent(mut stream: TcpStream) {
    log_in(&mut stream);
    keep_silent(stream);
}

/// Answers the first statement with half a message.
fn let_in_and_stop_in_a_message(mut stream: TcpStream) {
    log_in(&mut stream);
    let _ = stream.write_all(b"T\0\0\x01\0\0\x01");
    keep_silent(stream);
}

/// Answers the first statement with notices.
fn let_in_and_chatter(mut stream: TcpStream) {
    log_in(&mut stream);
    let _ = stream.read(&mut [0; 4096]);
    while stream.write_all(b"N\0\0\0\x22SNOTICE\0VNOTICE\0C00000\0Mwait\0\0").is_ok() {
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// What `switch` asks of a configuration.
const AS_VIEWS: [(&str, &str); 2] =
    [("ROLLFIT_STORE__LAYOUT", "fits"), ("ROLLFIT_STORE__VIEWS_SCHEMA", "next")];

/// Runs commands at a server at once, each of which is to end in time, with 3 and these words.
fn assert_all_end(port: u16, query: &str, commands: &[&[&str]], time: Duration, words: &[&str]) {
    let workload = Workload::one();
    workload.sandbox.bars_file("eurusd", "2017-01");
    workload.configure("statement_timeout_s = 1");
    let url = format!("postgres://u:{SECRET}@127.0.0.1:{port}/d?sslmode=disable&{query}");
    std::thread::scope(|scope| {
        for command in commands {
            let (workload, url) = (&workload, &url);
            scope.spawn(move || {
                let started = Instant::now();
                let command: Vec<&str> =
                    command.iter().map(|word| if *word == "URL" { url } else { *word }).collect();
                let mut variables = vec![("ROLLFIT_STORE__URL", url.as_str())];
                if command[0] == "switch" {
                    variables.extend(AS_VIEWS);
                }
                let answer = workload.run_with(&variables, &command);
                let host = format!("u@127.0.0.1:{port}/d");
                let answer = answer.exits(3).says(&[&host]).says(words);
                assert!(started.elapsed() < time, "{command:?}: {:?}", started.elapsed());
                assert!(!answer.to_string().contains(SECRET), "{answer}");
            });
        }
    });
}

#[test]
fn no_command_waits_for_a_server_that_does_not_answer() {
    let commands: [&[&str]; 15] = [
        &["plan"],
        &["run"],
        &["run", "--follow"],
        &["verify"],
        &["compare"],
        &["adopt"],
        &["schema"],
        &["drop", "eurusd:2017-01"],
        &["switch", "next"],
        &["switch", "next", "--back"],
        &["doctor"],
        &["check"],
        &["status", "--store"],
        &["init", "--stdout", "URL"],
        &["import", "--format", "csv", "--into", "URL", "bars/key=eurusd/2017-01.csv"],
    ];
    let words = ["no answer within 1 s (connect_timeout) while waiting for the answer to the login"];
    assert_all_end(server_of(keep_silent), "connect_timeout=1", &commands, Duration::from_secs(15), &words);
}

#[test]
fn no_command_waits_for_a_server_that_lets_it_in_and_says_nothing_of_use() {
    let words = ["cannot look up the schema: the server has not answered for 16 s"];
    let time = Duration::from_secs(25);
    let assert_all_end = |port, commands: &[&[&str]]| assert_all_end(port, "", commands, time, &words);
    std::thread::scope(|scope| {
        scope.spawn(|| assert_all_end(server_of(let_in_and_keep_silent), &[&["plan"], &["switch", "next"]]));
        scope.spawn(|| assert_all_end(server_of(let_in_and_stop_in_a_message), &[&["plan"]]));
        scope.spawn(|| assert_all_end(server_of(let_in_and_chatter), &[&["plan"]]));
    });
}

/// Answers every statement with a row without columns.
fn let_in_and_answer_something_else(mut stream: TcpStream) {
    log_in(&mut stream);
    const ANSWER: &[u8] =
        b"1\0\0\0\x042\0\0\0\x04T\0\0\0\x06\0\0D\0\0\0\x06\0\0C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
    while stream.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) && stream.write_all(ANSWER).is_ok() {}
}

#[test]
fn an_answer_of_another_form_than_asked_for_is_an_error() {
    let url = format!(
        "postgres://u@127.0.0.1:{}/d?sslmode=disable&target_session_attrs=any",
        server_of(let_in_and_answer_something_else)
    );
    let workload = Workload::one();
    for command in ["plan", "verify", "run"] {
        let answer = workload.run_with(&[("ROLLFIT_STORE__URL", &url)], &[command]);
        let answer = answer.exits(2).says(&["has another form than was asked for"]);
        assert!(!answer.to_string().contains("panic"), "{answer}");
    }
}
