//! Connection settings: URLs, and password files.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use libpq_connect::{ConnectOptions, Environment};
use rollfit_job::config::JobConfig;
use rollfit_job::error_chain;
use rollfit_job::patience::wait_for_no_store;
use rollfit_job::store::Purpose;
use rollfit_postgres::PostgresStore;
use rollfit_testkit::market;

use crate::Seed;
use crate::scratch::in_scratch;

pub(crate) fn hold(bytes: &[u8]) {
    let Some((what, rest)) = bytes.split_first() else { return };
    match what % 2 {
        0 => url(&String::from_utf8_lossy(rest)),
        _ => password_file(rest),
    }
}

/// Reads a URL; connects to nothing.
fn url(url: &str) {
    match ConnectOptions::parse(url, &Environment::from_process()) {
        Err(error) => assert!(!error_chain(&error).is_empty()),
        Ok(options) => {
            let shown = format!("{options} {options:?} {:?}", options.warnings());
            assert!(!shown.is_empty());
        }
    }
}

/// Looks for a password on the way to a socket that does not exist.
fn password_file(text: &[u8]) {
    wait_for_no_store();
    in_scratch(|scratch| {
        let path = scratch.write("passwords", text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let dir = scratch.path().display();
        let url = format!("postgres://u@/d?host={dir}&port=1&passfile={}", path.display());
        let config: JobConfig = market::config(&[("STORE__URL", &url)]);
        let opened = PostgresStore::open(&config.source, &config, Purpose::Read);
        assert!(opened.is_err());
    });
}

pub(crate) fn seeds() -> Vec<Seed> {
    let urls = [
        "postgres://",
        "postgres://user:pass%40word@host:5433/db?sslmode=verify-full&sslrootcert=system",
        "postgresql://u@[::1]:5432,h2:5433,/var/run/d?target_session_attrs=read-write&load_balance_hosts=random",
        "postgres:///d?host=/tmp,%2Frun&port=1,2&connect_timeout=3&keepalives=0&channel_binding=require",
        "postgres://u@h/d?options=-c%20x%3Dy&application_name=a&require_auth=scram-sha-256&ssl=true",
    ];
    let files = ["*:*:*:u:p\n", "# no\nlocalhost:1:d:u:p\\:w\\\\\r\n*:*:d:u:\n", "h:5432:d:u"];
    let seed = |what: u8, name: &str, at: usize, text: &str| {
        (format!("{name}_{at}"), [&[what], text.as_bytes()].concat())
    };
    let urls = urls.iter().enumerate().map(|(at, url)| seed(0, "url", at, url));
    urls.chain(files.iter().enumerate().map(|(at, text)| seed(1, "passwords", at, text))).collect()
}
