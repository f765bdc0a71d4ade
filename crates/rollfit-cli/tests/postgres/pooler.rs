//! [`Pooler`]: a pgbouncer in transaction mode before a [`Server`].

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::programs::{pgbouncer_program, server_directory, write_for_server};
use crate::server::{Server, free_port, socket_in};
use crate::watchdog::Watchdog;

/// How long pgbouncer may need to answer on a busy machine before a test gives it up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running pgbouncer. It ends as a [`Server`] does.
pub(crate) struct Pooler {
    directory: PathBuf,
    port: u16,
    _watchdog: Watchdog,
}

impl Pooler {
    /// Starts one with so many connections to each of the server's databases.
    pub(crate) fn before(server: &Server, connections: u32) -> Self {
        let (directory, port) = (server_directory(), free_port());
        configure(&directory, port, server, connections);
        let watchdog = Watchdog::running(&directory, &pgbouncer_program(), &directory.join("pgbouncer.ini"));
        let pooler = Self { directory, port, _watchdog: watchdog };
        pooler.wait_until_it_answers();
        pooler
    }

    fn wait_until_it_answers(&self) {
        let started = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            assert!(started.elapsed() < PATIENCE, "pgbouncer does not answer\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@/{database}?host={}&port={}", self.directory.display(), self.port)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        socket_in(&self.directory, self.port)
    }

    /// What pgbouncer has written to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

fn configure(directory: &Path, port: u16, server: &Server, connections: u32) {
    let (server_host, server_port, socket_directory) = (server.host(), server.port(), directory.display());
    let text = format!(
        "[databases]
* = host={server_host} port={server_port}
[pgbouncer]
unix_socket_dir = {socket_directory}
listen_port = {port}
auth_type = trust
auth_file = {socket_directory}/users
pool_mode = transaction
default_pool_size = {connections}
"
    );
    write_for_server(&directory.join("pgbouncer.ini"), &text, 0o600);
    write_for_server(&directory.join("users"), "\"postgres\" \"\"\n", 0o600);
}
