//! Tests of what a server may send, and when: each rule with a neighbour that passes it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::clear_text::ClearText;
use crate::connect_error::ConnectError;
use crate::connect_options::ConnectOptions;
use crate::login::Login;
use crate::require_auth::RequireAuth;
use crate::scripted_server::{
    TestAuthority, error, header, message, notice, parameter, read_typed, read_untyped, ready, request,
    send_and_wait, serve, session_start,
};
use crate::tests::TestHome;
use crate::wire_fault::{WireFault, server_fault};

const NO_REQUEST: &[u8] = b"";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn options(port: u16, query: &str) -> ConnectOptions {
    TestHome::new().options(&format!("postgres://u:hunter2@127.0.0.1:{port}/d?{query}"))
}

fn connect(port: u16, query: &str) -> Result<(), ConnectError> {
    let end = runtime().block_on(options(port, query).connect()).map(drop);
    assert!(!format!("{end:?}").contains("hunter2"), "{end:?}");
    end
}

/// A server without TLS that sends this after the start of a connection.
fn plain_server(reply: Vec<u8>) -> u16 {
    serve(move |mut stream| {
        read_untyped(&mut stream);
        send_and_wait(&mut stream, &reply);
    })
}

fn connect_to_plain(reply: Vec<u8>) -> Result<(), ConnectError> {
    connect(plain_server(reply), "sslmode=disable")
}

#[track_caller]
fn assert_broken(end: Result<(), ConnectError>, words: &str) {
    let error = end.unwrap_err();
    assert!(matches!(error, ConnectError::Protocol { .. }), "{error:?}");
    assert!(error.to_string().contains(words) && !error.is_final(), "{error}");
}

#[test]
fn before_the_login_is_complete_only_short_requests_and_refusals_come() {
    for (reply, words) in [
        (header(b'R', 2_001), "type `R` with the length 2001, which can be 8 to 2000 before the login"),
        (header(b'R', 7), "length 7"),
        (header(b'R', 0), "length 0"),
        (header(b'R', u32::MAX), "length 4294967295"),
        (header(b'E', 3), "length 3, which can be 4 to 30000"),
        (notice("hello"), "type `N`, which cannot come before the login is complete"),
        (parameter("a", "b"), "type `S`"),
        (ready(), "type `Z`"),
        (message(b'v', &[0; 8]), "type `v`"),
        (message(0, NO_REQUEST), "type 0x00"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "type `H`"),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "type `S`"),
    ] {
        assert_broken(connect_to_plain(reply), words);
    }
    // A request of exactly the length allowed is looked into, and a refusal is shown.
    let unknown = connect_to_plain(request(99, &[0; 1_992])).unwrap_err();
    assert!(unknown.to_string().contains("number 99"), "{unknown}");
    let refusal = error_of_bytes(30_000);
    let told = connect_to_plain(refusal).unwrap_err();
    assert!(matches!(told, ConnectError::Connection { .. }) && told.sqlstate().is_some(), "{told:?}");
    connect_to_plain([request(0, b""), session_start()].concat()).unwrap();
}

/// An error of this length, which does not count its type.
fn error_of_bytes(bytes: usize) -> Vec<u8> {
    let refusal = error(&"x".repeat(bytes - 4 - "SFATAL.VFATAL.C28000.M..".len()));
    assert_eq!(refusal.len(), bytes + 1);
    refusal
}

/// A server that cannot start a process for a session sends `E` and a text, which has no length.
#[test]
fn a_text_in_place_of_an_error_is_a_server_without_a_session() {
    let text = b"Ecould not fork new process for connection: Resource temporarily unavailable\n\0";
    for reply in [text.to_vec(), error_of_bytes(30_001), header(b'E', u32::MAX)] {
        for query in ["sslmode=disable", "require_auth=scram-sha-256&sslmode=disable"] {
            let error = connect(plain_server(reply.clone()), query).unwrap_err();
            assert!(matches!(error, ConnectError::NoSession { .. }), "{error:?}");
            assert!(error.is_transient() && !error.is_final() && !error.is_login_refused(), "{error:?}");
            assert!(!error.to_string().contains("fork"), "{error}");
        }
    }
    // Where TLS is asked for, such a text is the answer to that. It may be the answer to a second attempt too, or not.
    for query in ["sslmode=prefer", "sslmode=allow", "sslmode=require"] {
        let error = connect(answering_all(text), query).unwrap_err();
        assert!(error.is_transient(), "{query}: {error:?}");
    }
    connect(answering(text), "sslmode=prefer").unwrap();
    // Later, a text is no error of a server.
    for before in [request_ok(), [request_ok(), session_start()].concat()] {
        let end = connect(
            plain_server([before, text.to_vec()].concat()),
            "sslmode=disable&target_session_attrs=read-write",
        );
        assert_broken(end, "sent a message of type `E` with the length");
    }
}

/// A server that answers whatever comes first with this.
fn answering_all(answer: &'static [u8]) -> u16 {
    serve(move |mut stream| {
        read_untyped(&mut stream);
        send_and_wait(&mut stream, answer);
    })
}

#[test]
fn messages_while_a_session_starts_are_counted() {
    let start =
        |message: &[u8], count: usize| [request(0, b""), message.repeat(count), session_start()].concat();
    connect_to_plain(start(&notice("login trigger"), 900)).unwrap();
    assert_broken(connect_to_plain(start(&notice("flood"), 1_001)), "while a session starts");
    let long = notice(&"x".repeat(600_000));
    connect_to_plain(start(&long, 1)).unwrap();
    assert_broken(connect_to_plain(start(&long, 2)), "1200");
    let names =
        |count: usize| (0..count).flat_map(|name| parameter(&name.to_string(), "x")).collect::<Vec<u8>>();
    connect_to_plain(start(&names(255), 1)).unwrap();
    assert_broken(connect_to_plain(start(&names(256), 1)), "more than 256 parameters");
    // The same parameter may be reported often.
    connect_to_plain(start(&names(1), 900)).unwrap();
    assert_broken(
        connect_to_plain(start(&parameter("a", &"x".repeat(9_000)), 1)),
        "type `S` with the length",
    );
    for tag in [b'A', b'R', b'D', b'G', b'1'] {
        assert_broken(
            connect_to_plain(start(&message(tag, &[0; 8]), 1)),
            "which cannot come while a session",
        );
    }
}

/// How a query ends to which the server replies with this, and what the connection says.
fn query(reply: Vec<u8>, limit: Option<u64>) -> (Result<usize, tokio_postgres::Error>, Option<String>) {
    let port = serve(move |mut stream| {
        read_untyped(&mut stream);
        stream.write_all(&[request(0, b""), session_start()].concat()).unwrap();
        read_typed(&mut stream);
        send_and_wait(&mut stream, &reply);
    });
    let options = options(port, "sslmode=disable");
    let options = limit.map_or(options.clone(), |limit| options.with_row_bytes_max(limit));
    runtime().block_on(async {
        let (client, connection) = options.connect().await.unwrap();
        let connection = tokio::spawn(connection);
        let rows = client.simple_query("SELECT").await.map(|messages| messages.len());
        drop(client);
        let fault = connection.await.unwrap().err().as_ref().and_then(server_fault);
        (rows, fault)
    })
}

/// A result of one text column with rows of this many bytes.
fn result(rows: usize, bytes: usize) -> Vec<u8> {
    let mut description = b"\0\x01a\0".to_vec();
    description.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]);
    let length = u32::try_from(bytes).unwrap().to_be_bytes();
    let row = message(b'D', &[&[0, 1], &length[..], &vec![b'x'; bytes]].concat());
    [message(b'T', &description), row.repeat(rows), message(b'C', b"SELECT\0"), ready()].concat()
}

#[test]
fn messages_of_a_session_are_of_known_types_and_bounded() {
    for (reply, words) in [
        (header(b'D', (64 << 20) + 1), "which can be 4 to 67108864 in a session"),
        (header(b'D', 3), "length 3"),
        (header(b'N', (1 << 20) + 1), "type `N` with the length"),
        (header(b'E', (1 << 20) + 1), "type `E` with the length"),
        (header(b'A', (1 << 20) + 1), "type `A` with the length"),
        (header(b'S', (8 << 10) + 1), "type `S` with the length"),
        (request(3, b""), "type `R`, which cannot come in a session"),
        (message(b'W', &[0; 4]), "type `W`"),
        (message(b'K', &[0; 8]), "type `K`"),
        (message(0xff, b""), "type 0xff"),
        ((0..300).flat_map(|name| parameter(&name.to_string(), "x")).collect(), "256 parameters"),
    ] {
        let (rows, fault) = query(reply, None);
        assert!(
            rows.is_err() && fault.as_ref().is_some_and(|fault| fault.contains(words)),
            "{words}: {fault:?}"
        );
    }
    let asides =
        [notice("n"), parameter("TimeZone", "UTC"), message(b'A', &[0, 0, 0, 1, b'c', 0, 0])].concat();
    let (rows, fault) = query([asides.repeat(50_000), result(3, 10)].concat(), None);
    assert_eq!((rows.unwrap(), fault), (5, None));
    assert_eq!(query(result(1, 60 << 20), None).0.unwrap(), 3, "a row may be longer than a text");
}

#[test]
fn the_rows_of_a_statement_are_bounded_where_that_is_asked_for() {
    let (rows, fault) = query(result(100, 989), Some(100_000));
    assert_eq!((rows.unwrap(), fault), (102, None));
    let (rows, fault) = query(result(101, 989), Some(100_000));
    assert!(rows.is_err() && fault.unwrap().contains("answers a query with more than 100000 bytes"));
    assert_eq!(query(result(101, 989), None).0.unwrap(), 103);
}

/// A server that answers the request for TLS with this, then serves without TLS where the client still wants it.
fn answering(answer: &'static [u8]) -> u16 {
    serve(move |mut stream| {
        let Some(request) = read_untyped(&mut stream) else { return };
        if request.len() == 4 {
            let _ = stream.write_all(answer);
            if read_untyped(&mut stream).is_none() {
                return;
            }
        }
        send_and_wait(&mut stream, &[request_ok(), session_start()].concat());
    })
}

fn request_ok() -> Vec<u8> {
    request(0, b"")
}

#[test]
fn the_answer_to_the_request_for_tls_is_one_byte() {
    assert_broken(
        connect(answering(b"SR\0\0\0\x08\0\0\0\0"), "sslmode=require"),
        "plain text behind its answer",
    );
    assert_broken(
        connect(answering(b"NR\0\0\0\x08\0\0\0\0"), "sslmode=prefer"),
        "plain text behind its answer",
    );
    assert_broken(connect(answering(b"X"), "sslmode=prefer"), "neither yes nor no");
    assert_broken(connect(answering(b"G"), "sslmode=require"), "neither yes nor no");
    connect(answering(b"N"), "sslmode=prefer").unwrap();
    let refused = connect(answering(b"N"), "sslmode=require").unwrap_err();
    assert!(refused.to_string().contains("offers no TLS and sslmode=require"), "{refused}");
}

/// Plain text that comes a moment after the answer is taken for TLS, and is none.
#[test]
fn plain_text_after_the_answer_is_no_handshake() {
    let port = serve(|mut stream| {
        read_untyped(&mut stream);
        stream.write_all(b"S").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        send_and_wait(&mut stream, &[request_ok(), session_start()].concat());
    });
    let refused = connect(port, "sslmode=require").unwrap_err();
    assert!(matches!(refused, ConnectError::Tls { .. }), "{refused:?}");
}

#[test]
fn an_error_before_tls_is_not_shown() {
    let text = b"Etype \\! rm -rf to continue\0";
    let refused = connect(answering(text), "sslmode=require").unwrap_err();
    assert!(matches!(refused, ConnectError::NoSession { .. }) && refused.is_transient(), "{refused:?}");
    assert!(refused.to_string().contains("the server's log"), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("rm -rf"), "{refused:?}");
    // Without TLS there is no such promise, and a server's refusal is shown.
    let told = connect_to_plain(error("no entry for the host")).unwrap_err();
    assert_eq!(told.sqlstate().unwrap().code(), "28000");
}

#[test]
fn messages_are_counted_behind_tls_too() {
    let authority = TestAuthority::new("ours");
    let serve = |reply: Vec<u8>| {
        authority.serve(move |mut stream| {
            read_untyped(&mut stream);
            send_and_wait(&mut stream, &reply);
        })
    };
    connect(serve([request_ok(), session_start()].concat()), "sslmode=require").unwrap();
    assert_broken(connect(serve(header(b'R', 2_001)), "sslmode=require"), "length 2001");
}

/// Asks for a login and then accepts whatever comes.
fn asking(request: Vec<u8>, answers: usize) -> u16 {
    serve(move |mut stream| {
        read_untyped(&mut stream);
        let _ = stream.write_all(&request);
        for _ in 0..answers {
            read_typed(&mut stream);
        }
        send_and_wait(&mut stream, &[request_ok(), session_start()].concat());
    })
}

#[test]
fn logins_are_held_against_require_auth() {
    let (none, password, md5) = (Vec::new(), request(3, b""), request(5, b"salt"));
    let scram = request(10, b"SCRAM-SHA-256\0\0");
    let (gss, sspi) = (request(7, b""), request(9, b""));
    // What is accepted of: no request, password, md5.
    for (rule, accepted) in [
        ("", [true, true, true]),
        ("none", [true, false, false]),
        ("password", [false, true, false]),
        ("md5", [false, false, true]),
        ("md5,password", [false, true, true]),
        ("password,none", [true, true, false]),
        ("scram-sha-256", [false, false, false]),
        ("scram-sha-256,none", [true, false, false]),
        ("gss,sspi", [false, false, false]),
        ("!none", [false, true, true]),
        ("!password", [true, false, true]),
        ("!password,!md5", [true, false, false]),
        ("!scram-sha-256", [true, true, true]),
        ("!none,!md5", [false, true, false]),
    ] {
        let query = format!("sslmode=disable&require_auth={rule}");
        for (request, is_accepted) in [&none, &password, &md5].into_iter().zip(accepted) {
            let end = connect(asking(request.clone(), usize::from(!request.is_empty())), &query);
            assert_eq!(end.is_ok(), is_accepted, "{rule}: {end:?}");
            if let Err(error) = end {
                assert!(
                    matches!(error, ConnectError::Authentication { .. }) && error.is_final(),
                    "{error:?}"
                );
                assert!(
                    error.to_string().contains(&format!("require_auth={rule} does not accept")),
                    "{error}"
                );
            }
        }
    }
    for (request, rule, words) in [
        (&scram, "md5", "asks for SCRAM, which require_auth=md5 does not accept"),
        (&scram, "!scram-sha-256", "asks for SCRAM, which require_auth=!scram-sha-256 does not accept"),
        (&gss, "md5", "asks for Kerberos (GSSAPI), which require_auth=md5 does not accept"),
        (&gss, "gss", "asks for Kerberos (GSSAPI), which is not supported"),
        (&sspi, "", "asks for SSPI, which is not supported"),
    ] {
        let error = connect(asking(request.clone(), 1), &format!("sslmode=disable&require_auth={rule}"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn require_auth_is_a_list_with_or_without_exclamation_marks() {
    for (rule, words) in [
        ("scram", "names `scram`: choose from password, md5, gss, sspi, scram-sha-256, none"),
        ("MD5", "names `MD5`"),
        ("md5,!none", "with and without `!`"),
        ("!none,md5", "with and without `!`"),
        ("md5,md5", "lists `md5` twice"),
        ("!none,!none", "lists `none` twice"),
        ("md5,", "names ``"),
        ("!", "names ``"),
    ] {
        let message = TestHome::new().error(&format!("postgres://h/d?require_auth={rule}"));
        assert!(message.starts_with("require_auth in the URL ") && message.contains(words), "{message}");
    }
    let from_environment = TestHome::with(&[("PGREQUIREAUTH", "md5")]).options("postgres://h/d");
    assert_eq!(from_environment.require_auth.text(), "md5");
    let service = TestHome::new().file(".pg_service.conf", "[fx]\nrequire_auth=!password\n", 0o644);
    assert_eq!(service.options("postgres://h/d?service=fx").require_auth.text(), "!password");
}

#[test]
fn a_login_by_scram_ends_with_the_proof_of_the_server() {
    let begin = request(10, b"SCRAM-SHA-256\0\0");
    // The server lets the client in although it has proved nothing.
    for rule in ["", "scram-sha-256", "scram-sha-256,none"] {
        let end = connect(asking(begin.clone(), 1), &format!("sslmode=disable&require_auth={rule}"));
        let error = end.unwrap_err();
        assert!(matches!(error, ConnectError::Authentication { .. }), "{error:?}");
        assert!(error.to_string().contains("without proving that it knows the password"), "{error}");
    }
    let port = serve(|mut stream| impostor(&mut stream));
    let error = connect(port, "sslmode=disable").unwrap_err();
    assert!(error.is_final() && !error.is_transient(), "{error:?}");
    for reply in [request(11, b"x"), request(12, b"x"), [request(5, b"salt"), request(3, b"")].concat()] {
        assert_broken(connect(asking(reply, 0), "sslmode=disable"), "");
    }
    let unknown = connect(asking(request(99, b""), 0), "sslmode=disable").unwrap_err();
    assert!(unknown.to_string().contains("number 99"), "{unknown}");
}

/// Goes through a login by SCRAM with a proof that is none.
fn impostor(stream: &mut TcpStream) {
    read_untyped(stream);
    stream.write_all(&request(10, b"SCRAM-SHA-256\0\0")).unwrap();
    let Some((_, answer)) = read_typed(stream) else { return };
    let text = String::from_utf8_lossy(&answer).into_owned();
    let nonce = text.split("r=").nth(1).unwrap_or_default();
    let challenge = format!("r={nonce}more,s=QSXCR+Q6sek8bf92,i=4096");
    stream.write_all(&request(11, challenge.as_bytes())).unwrap();
    read_typed(stream);
    let proof = request(12, b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    send_and_wait(stream, &[proof, request_ok(), session_start()].concat());
}

#[test]
fn channel_binding_that_is_required_is_not_done_without() {
    for request in [Vec::new(), request(3, b""), request(5, b"salt"), request(10, b"SCRAM-SHA-256\0\0")] {
        let error = connect(asking(request, 0), "sslmode=disable&channel_binding=require").unwrap_err();
        assert!(error.is_final(), "{error:?}");
    }
}

/// Who could read a password that is sent as text to this address, without TLS and with it.
fn clear_text(query: &str, address: &str) -> (ClearText, ClearText) {
    let options = TestHome::new().options(&format!("postgres://u@h/d?{query}"));
    options.clear_text_at(address.parse().unwrap())
}

#[test]
fn a_password_is_sent_as_text_only_where_it_stays_with_the_server_that_is_meant() {
    use ClearText::{Accepted, ForeignSocket, Unencrypted, Unverified};
    for query in ["", "sslmode=allow", "sslmode=prefer", "sslmode=require"] {
        assert_eq!(clear_text(query, "10.0.0.1"), (Unencrypted, Unverified), "{query}");
        for local in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(clear_text(query, local), (Accepted, Accepted), "{query} {local}");
        }
    }
    for address in ["::ffff:10.0.0.1", "0.0.0.0", "192.168.1.1", "fe80::1", "128.0.0.1"] {
        assert_eq!(clear_text("", address), (Unencrypted, Unverified), "{address}");
    }
    for mode in ["verify-ca", "verify-full", "require"] {
        let query = format!("sslmode={mode}&sslrootcert=/ca.pem");
        assert_eq!(clear_text(&query, "10.0.0.1"), (Unencrypted, Accepted), "{mode}");
    }
    assert_eq!(clear_text("sslmode=disable", "10.0.0.1"), (Accepted, Accepted));
    let check = |rule: &str, clear_text| {
        let query = if rule.is_empty() { String::new() } else { format!("?require_auth={rule}") };
        let rule = TestHome::new().options(&format!("postgres://h/d{query}")).require_auth;
        Login::new(rule, clear_text).check(&3_u32.to_be_bytes())
    };
    for clear_text in [Unencrypted, Unverified, ForeignSocket] {
        for rule in ["", "!md5", "!none"] {
            let fault = check(rule, clear_text).unwrap_err();
            assert!(matches!(fault, WireFault::ClearPassword(_)), "{fault:?}");
            assert!(fault.to_string().contains("require_auth=password"), "{fault}");
        }
        assert_eq!(check("password", clear_text), Ok(false));
        assert_eq!(check("md5,password", clear_text), Ok(false));
        assert!(matches!(check("md5", clear_text), Err(WireFault::Method(_))));
    }
    assert_eq!(check("", Accepted), Ok(false));
    // A hash of the password is sent as with libpq.
    assert_eq!(Login::new(RequireAuth::any(), Unencrypted).check(&[0, 0, 0, 5, 1, 2, 3, 4]), Ok(false));
}

/// How an attempt with a time limit of a second ends, which is to be soon.
#[track_caller]
fn assert_timed_out(port: u16, query: &str, words: &str) {
    let started = Instant::now();
    let mut options = options(port, query);
    options.timeout = Some(Duration::from_millis(300));
    let error = runtime().block_on(options.connect()).err().unwrap();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
    assert!(error.to_string().ends_with(&format!("(connect_timeout) while waiting for {words}")), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn a_server_that_keeps_a_client_waiting_is_given_up_wherever_it_does() {
    let silent = || serve(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    assert_timed_out(silent(), "sslmode=require", "the answer to the request for TLS");
    assert_timed_out(silent(), "sslmode=disable", "the answer to the login");
    let no_handshake = serve(|mut stream| {
        read_untyped(&mut stream);
        send_and_wait(&mut stream, b"S");
    });
    assert_timed_out(no_handshake, "sslmode=require", "the TLS handshake");
    let half = |bytes: Vec<u8>| plain_server(bytes[..bytes.len() - 1].to_vec());
    assert_timed_out(half(request_ok()), "sslmode=disable", "the answer to the login");
    let start = [request_ok(), session_start()].concat();
    assert_timed_out(half(start.clone()), "sslmode=disable", "the start of the session");
    // A byte now and then is not enough.
    let drip = serve(move |mut stream| {
        read_untyped(&mut stream);
        for byte in &start {
            std::thread::sleep(Duration::from_millis(50));
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
        }
    });
    assert_timed_out(drip, "sslmode=disable", "the answer to the login");
    let no_role = plain_server([request_ok(), session_start()].concat());
    let what = "what kind of server it is (target_session_attrs)";
    assert_timed_out(no_role, "sslmode=disable&target_session_attrs=read-write", what);
}
