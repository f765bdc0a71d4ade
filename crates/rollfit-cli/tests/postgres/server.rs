//! [`Server`]: a throw-away PostgreSQL on a socket and port of its own, in a directory that goes away with it; [`Setup`]:
//! what is special about one. Durability is off unless a test sets it: a test's data need not survive the machine.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::certificates::Presented;
use crate::programs::{as_server_user, finish, postgres_program, server_directory, write_for_server};
use crate::watchdog::Watchdog;

/// What a server of the tests has unless it is set up otherwise; a later setting of the same name wins.
const SETTINGS: [(&str, &str); 7] = [
    ("listen_addresses", ""),
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("shared_buffers", "32MB"),
    ("max_wal_size", "1GB"),
    ("wal_level", "replica"),
    ("logging_collector", "off"),
];

/// The tests themselves always get in through the socket.
const OWN_ACCESS: &str = "local all postgres trust\nlocal replication postgres trust\n";

/// How to stop a server.
#[derive(Clone, Copy)]
pub(crate) enum Shutdown {
    /// Sessions are ended, transactions rolled back.
    Fast,
    /// As if it crashed: the next start recovers.
    Immediate,
}

/// What is special about a server.
#[derive(Default)]
pub(crate) struct Setup {
    settings: Vec<(String, String)>,
    access: Option<String>,
    certificate: Option<Presented>,
}

impl Setup {
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Also listens on 127.0.0.1.
    pub(crate) fn over_tcp(self) -> Self {
        self.set("listen_addresses", "127.0.0.1")
    }

    /// Lets in whom these lines of `pg_hba.conf` let in, and `postgres` through the socket.
    pub(crate) fn access(mut self, lines: &[&str]) -> Self {
        self.access = Some(format!("{OWN_ACCESS}{}\n", lines.join("\n")));
        self
    }

    /// Listens on 127.0.0.1 for TLS only, and presents this certificate.
    pub(crate) fn presenting(mut self, certificate: Presented) -> Self {
        self.certificate = Some(certificate);
        self.over_tcp().set("ssl", "on").access(&["hostssl all all 127.0.0.1/32 trust"])
    }

    pub(crate) fn start(self) -> Server {
        let server = self.make();
        server.start_again();
        server
    }

    /// The server with its data, not yet started.
    pub(crate) fn make(self) -> Server {
        let server = Server::unmade();
        copy(template(), &server.data());
        if let Some(certificate) = self.certificate {
            certificate.place(&server.data(), &server.authority());
        }
        if let Some(access) = &self.access {
            write_for_server(&server.data().join("pg_hba.conf"), access, 0o600);
        }
        server.configure(&self.settings);
        server
    }
}

/// A running server. It stops and leaves nothing when it is dropped, and when the test process ends in any way.
pub(crate) struct Server {
    directory: PathBuf,
    port: u16,
    _watchdog: Watchdog,
}

impl Server {
    pub(crate) fn start() -> Self {
        Setup::default().start()
    }

    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        settings.iter().fold(Setup::default(), |setup, (name, value)| setup.set(name, value)).start()
    }

    pub(crate) fn with_tls(certificate: Presented) -> Self {
        Setup::default().presenting(certificate).start()
    }

    /// A directory, a port and a watchdog for a server whose data are still to be made.
    pub(crate) fn unmade() -> Self {
        let directory = server_directory();
        let watchdog = Watchdog::over_server(&directory, &postgres_program("pg_ctl"));
        Self { directory, port: free_port(), _watchdog: watchdog }
    }

    /// Adds settings to the configuration: the usual ones, those given, and where this server is.
    pub(crate) fn configure(&self, settings: &[(String, String)]) {
        let path = self.data().join("postgresql.conf");
        let given = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let (port, socket_directory) = (self.port.to_string(), self.host());
        let own = [("port", port.as_str()), ("unix_socket_directories", &socket_directory)];
        let mut text = fs::read_to_string(&path).unwrap();
        text.extend(SETTINGS.into_iter().chain(given).chain(own).map(|(name, value)| setting(name, value)));
        write_for_server(&path, &text, 0o600);
    }

    pub(crate) fn stop(&self, shutdown: Shutdown) {
        self.control(&["stop", "-m", shutdown.name()]);
    }

    /// Starts it after a stop.
    pub(crate) fn start_again(&self) {
        self.control(&["start"]);
    }

    /// Stops and starts it; returns when it answers again.
    pub(crate) fn restart(&self, shutdown: Shutdown) {
        self.control(&["restart", "-m", shutdown.name()]);
    }

    /// Has `pg_ctl` do something and waits for it.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let mut command = as_server_user(postgres_program("pg_ctl"));
        command.args(["-w", "-D"]).arg(self.data()).arg("-l").arg(self.log_file());
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}\n{}", output.status, self.log());
    }

    /// What the server has written to its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The way in through the socket.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@/{database}?host={}&port={}", self.host(), self.port)
    }

    /// The way in by network, where the server listens there. `host` is `localhost` or `127.0.0.1`.
    pub(crate) fn tcp_url(&self, host: &str, database: &str) -> String {
        format!("postgres://postgres@{host}:{}/{database}", self.port)
    }

    /// The directory of its socket, which libpq takes for a host.
    pub(crate) fn host(&self) -> String {
        self.directory.display().to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn socket(&self) -> PathBuf {
        socket_in(&self.directory, self.port)
    }

    /// The file of the authority that signed its certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.join("authority.pem")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }
}

impl Shutdown {
    fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Immediate => "immediate",
        }
    }
}

/// A server for all tests that need nothing special of it and leave the others' databases alone.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(Server::start)
}

/// The data of a server that was never started: made once, copied often.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<(PathBuf, Watchdog)> = OnceLock::new();
    &TEMPLATE.get_or_init(make_template).0
}

fn make_template() -> (PathBuf, Watchdog) {
    let directory = server_directory();
    let watchdog = Watchdog::over(&directory);
    let data = directory.join("data");
    let mut command = as_server_user(postgres_program("initdb"));
    command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
    // Small segments, because every server gets a copy of the first.
    finish(command.args(["--no-sync", "--wal-segsize=1", "--pgdata"]).arg(&data));
    (data, watchdog)
}

fn copy(from: &Path, to: &Path) {
    finish(as_server_user("cp").arg("-a").arg(from).arg(to));
}

fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'\n", value.replace('\'', "''"))
}

/// Where PostgreSQL and pgbouncer put their socket.
pub(crate) fn socket_in(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

/// A port that nobody listens on, below those that the system gives to clients; never the same twice.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() * 37;
    let candidate = || {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        u16::try_from(12_000 + (first + step) % 20_000).unwrap()
    };
    std::iter::repeat_with(candidate).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
