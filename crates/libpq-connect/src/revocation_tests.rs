//! Tests of revocation lists: a revoked certificate is refused, and no list is passed over.

use crate::connect_error::ConnectError;
use crate::scripted_server::{TestAuthority, read_untyped, request, send_and_wait, session_start};
use crate::tests::TestHome;

/// Connects with full verification. `query` may name files of the home as `{home}`.
fn connect(authority: &TestAuthority, home: &TestHome, query: &str) -> Result<(), ConnectError> {
    let port = authority.serve(|mut stream| {
        read_untyped(&mut stream);
        send_and_wait(&mut stream, &[request(0, b""), session_start()].concat());
    });
    let dir = home.path("");
    let query = query.replace("{home}", dir.to_str().unwrap().trim_end_matches('/'));
    let options = home.options(&format!("postgres://u@localhost:{port}/d?hostaddr=127.0.0.1&{query}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(options.connect()).map(drop)
}

const VERIFY: &str = "sslmode=verify-full&sslrootcert={home}/ca.pem";

#[test]
fn a_revoked_certificate_is_refused_and_another_is_not() {
    let authority = TestAuthority::new("ours");
    let home = TestHome::new()
        .file("ca.pem", &authority.pem(), 0o644)
        .file("revoked.pem", &authority.revocation_list(true, 2100), 0o644)
        .file("others.pem", &authority.revocation_list(false, 2100), 0o644)
        .file("dir/5ed36f99.r0", &authority.revocation_list(true, 2100), 0o644)
        .file("good/5ed36f99.r0", &authority.revocation_list(false, 2100), 0o644)
        .file("good/README", "no list", 0o644);
    connect(&authority, &home, VERIFY).unwrap();
    for query in ["sslcrl={home}/others.pem", "sslcrldir={home}/good"] {
        connect(&authority, &home, &format!("{VERIFY}&{query}")).unwrap();
    }
    for query in
        ["sslcrl={home}/revoked.pem", "sslcrldir={home}/dir", "sslcrl={home}/others.pem&sslcrldir={home}/dir"]
    {
        for mode in ["verify-full", "verify-ca", "require"] {
            let error =
                connect(&authority, &home, &format!("sslmode={mode}&sslrootcert={{home}}/ca.pem&{query}"));
            let error = error.unwrap_err();
            assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
            assert!(error.to_string().contains("revoked"), "{error}");
        }
    }
}

#[test]
fn the_revocation_list_at_home_is_used() {
    let authority = TestAuthority::new("ours");
    let home = |revokes| {
        TestHome::new().file(".postgresql/root.crt", &authority.pem(), 0o644).file(
            ".postgresql/root.crl",
            &authority.revocation_list(revokes, 2100),
            0o644,
        )
    };
    for mode in ["verify-full", "verify-ca", "require"] {
        let error = connect(&authority, &home(true), &format!("sslmode={mode}")).unwrap_err();
        assert!(error.to_string().contains("revoked"), "{error}");
        connect(&authority, &home(false), &format!("sslmode={mode}")).unwrap();
    }
    // What verifies nothing looks at no list, as with libpq.
    connect(&authority, &home(true), "sslmode=prefer").unwrap();
}

#[test]
fn a_list_that_says_nothing_of_the_certificate_is_not_enough() {
    let (authority, other) = (TestAuthority::new("ours"), TestAuthority::new("another"));
    let home = TestHome::new()
        .file("ca.pem", &authority.pem(), 0o644)
        .file("old.pem", &authority.revocation_list(false, 2002), 0o644)
        .file("other.pem", &other.revocation_list(false, 2100), 0o644)
        .file("empty.pem", "", 0o644)
        .file("dir/README", "no list", 0o644);
    let cases = [
        ("sslcrl={home}/old.pem", "has expired"),
        ("sslcrl={home}/other.pem", "no revocation list covers"),
        ("sslcrl={home}/empty.pem", "holds no revocation list in PEM form"),
        ("sslcrl={home}/ca.pem", "holds no revocation list in PEM form"),
        ("sslcrl={home}/none.pem", "cannot read"),
        ("sslcrldir={home}/dir", "openssl rehash"),
        ("sslcrldir={home}/none", "cannot read"),
    ];
    for (query, words) in cases {
        let error = connect(&authority, &home, &format!("{VERIFY}&{query}")).unwrap_err();
        assert!(error.to_string().contains(words), "{query}: {error}");
    }
}

/// Of an expired list and a current one of a CA the current one counts, wherever they are; what either revokes is revoked.
#[test]
fn a_list_that_has_expired_does_no_harm_beside_a_current_one() {
    let authority = TestAuthority::new("ours");
    let list = |revokes, year| authority.revocation_list(revokes, year);
    let (old, current) = (list(false, 2002), list(false, 2100));
    let home = TestHome::new()
        .file("ca.pem", &authority.pem(), 0o644)
        .file("old.pem", &old, 0o644)
        .file("current.pem", &current, 0o644)
        .file("old-first.pem", &[&*old, &current].concat(), 0o644)
        .file("current-first.pem", &[&*current, &old].concat(), 0o644)
        .file("both-old.pem", &[&*old, &list(false, 2003)].concat(), 0o644)
        .file("revoked-then.pem", &[&*current, &list(true, 2002)].concat(), 0o644)
        .file("revoked-now.pem", &[&*old, &list(true, 2100)].concat(), 0o644)
        .file("current/5ed36f99.r0", &current, 0o644)
        .file("old/5ed36f99.r0", &old, 0o644);
    for query in [
        "sslcrl={home}/old-first.pem",
        "sslcrl={home}/current-first.pem",
        "sslcrl={home}/old.pem&sslcrldir={home}/current",
        "sslcrl={home}/current.pem&sslcrldir={home}/old",
    ] {
        connect(&authority, &home, &format!("{VERIFY}&{query}")).unwrap();
    }
    for (query, words) in [
        ("sslcrl={home}/both-old.pem", "has expired"),
        ("sslcrl={home}/old.pem&sslcrldir={home}/old", "has expired"),
        ("sslcrl={home}/revoked-then.pem", "revoked"),
        ("sslcrl={home}/revoked-now.pem", "revoked"),
    ] {
        let error = connect(&authority, &home, &format!("{VERIFY}&{query}")).unwrap_err();
        assert!(error.to_string().contains(words), "{query}: {error}");
    }
}

#[test]
fn lists_without_effect_are_warned_of() {
    let warnings =
        |query: &str| TestHome::new().options(&format!("postgres://h/d?{query}")).warnings().to_vec();
    assert!(warnings("sslcrl=/crl")[0].contains("sslmode=prefer does not verify"));
    assert!(warnings("sslcrldir=/crl&sslmode=require")[0].contains("sslmode=require"));
    assert_eq!(warnings("sslcrl=/crl&sslmode=verify-full&sslrootcert=/ca"), Vec::<String>::new());
}
