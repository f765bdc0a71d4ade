//! [`ConnectOptions`]: how to connect, parsed once and used for every connection.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::ChannelBinding;

use crate::clear_text::ClearText;
use crate::connect_error::ConnectError;
use crate::environment::Environment;
use crate::host::{self, Host};
use crate::pass_file::PassFile;
use crate::password_source::PasswordSource;
use crate::require_auth::RequireAuth;
use crate::role::{ROLES, Role};
use crate::settings::Settings;
use crate::tls_options::{SslMode, TlsOptions, Verification};
use crate::url;

/// The time limit for each address without `connect_timeout`.
const TIMEOUT_S: u32 = 10;

/// How soon a lost server is noticed if the user does not say otherwise.
const KEEPALIVE_IDLE_S: u32 = 30;
const KEEPALIVE_INTERVAL_S: u32 = 10;
const KEEPALIVE_COUNT: u32 = 3;

const BINDINGS: [(&str, ChannelBinding); 3] = [
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];

/// How to connect: hosts, user, database, TLS, and where the password comes from.
///
/// Prints as `user@host:port/database`. Neither this nor `Debug` shows a secret.
#[derive(Clone)]
pub struct ConnectOptions {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) hosts: Vec<Host>,
    pub(crate) role: Option<Role>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) tls: TlsOptions,
    pub(crate) password: PasswordSource,
    pub(crate) require_auth: RequireAuth,
    /// How many bytes of rows one statement may return.
    pub(crate) row_bytes_max: Option<u64>,
    /// What is the same for every host.
    pub(crate) base: Config,
    shuffled: bool,
    warnings: Vec<String>,
}

impl ConnectOptions {
    /// Parses a URL (`postgres://` or `postgresql://`) and adds what the environment says. Reads the service file and checks that
    /// every setting is supported; does not connect.
    ///
    /// # Errors
    /// [`ConnectError::Configuration`] with what is wrong, where, and what to do.
    pub fn parse(url: &str, environment: &Environment) -> Result<Self, ConnectError> {
        let settings = Settings::collect(url::read(url)?, environment)?;
        let hosts = host::read(&settings, environment)?;
        let user = user(&settings, environment)?;
        let database = settings.get("dbname").unwrap_or(&user).to_owned();
        let password = password_source(&settings, environment);
        let tls = tls(&hosts, &settings, environment)?;
        let mut base = base(&settings, environment)?;
        base.user(&user).dbname(&database);
        Ok(Self {
            shuffled: settings.choice("load_balance_hosts", &[("disable", false), ("random", true)])?
                == Some(true),
            role: settings.choice("target_session_attrs", &ROLES)?,
            timeout: seconds(&settings, "connect_timeout", TIMEOUT_S)?,
            require_auth: RequireAuth::from_settings(&settings)?,
            row_bytes_max: None,
            warnings: warnings(&settings, &password, &tls),
            tls,
            user,
            database,
            hosts,
            password,
            base,
        })
    }

    /// Behaves as with `target_session_attrs=read-write`, unless the user set `target_session_attrs`.
    pub fn default_to_read_write(&mut self) {
        self.role.get_or_insert(Role::ReadWrite);
    }

    /// Returns the same options with at most this time for each address.
    pub fn with_timeout_max(&self, timeout_max: Duration) -> Self {
        let timeout = Some(self.timeout.map_or(timeout_max, |timeout| timeout.min(timeout_max)));
        Self { timeout, ..self.clone() }
    }

    /// Returns the same options with a limit in bytes for the rows of each statement: the connection to a server that sends more ends. `COPY` is not
    /// counted, because its rows are not collected.
    pub fn with_row_bytes_max(self, row_bytes_max: u64) -> Self {
        Self { row_bytes_max: Some(row_bytes_max), ..self }
    }

    /// Returns what the user should know: settings without effect, and a password file that is not used.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns what the server shows as `application_name`; empty if nothing sets it.
    pub fn application_name(&self) -> &str {
        self.base.get_application_name().unwrap_or_default()
    }

    /// Returns whether every host is a Unix socket or a loopback address.
    pub fn is_local(&self) -> bool {
        self.hosts.iter().all(Host::is_local)
    }

    /// Returns whether every host is a Unix socket.
    pub fn is_socket(&self) -> bool {
        self.hosts.iter().all(Host::is_directory)
    }

    /// Returns who could read a password that is sent as text to an address, without TLS and with it.
    pub(crate) fn clear_text_at(&self, address: IpAddr) -> (ClearText, ClearText) {
        let is_accepted = address.to_canonical().is_loopback() || self.tls.mode == SslMode::Disable;
        let unless_accepted = |otherwise| if is_accepted { ClearText::Accepted } else { otherwise };
        let encrypted = match self.tls.verification {
            Verification::Nothing => unless_accepted(ClearText::Unverified),
            Verification::Issuer(_) | Verification::IssuerAndName(_) => ClearText::Accepted,
        };
        (unless_accepted(ClearText::Unencrypted), encrypted)
    }

    /// Returns the items in the order in which to try them.
    pub(crate) fn in_order<T>(&self, mut items: Vec<T>) -> Vec<T> {
        if self.shuffled {
            fastrand::shuffle(&mut items);
        }
        items
    }

    /// Formats the options with one of the hosts.
    pub(crate) fn describe_at(&self, host: &Host) -> String {
        format!("{}@{host}/{}", self.user, self.database)
    }

    fn host_names(&self) -> Vec<String> {
        self.hosts.iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.user, self.host_names().join(","), self.database)
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("hosts", &self.host_names())
            .field("user", &self.user)
            .field("database", &self.database)
            .field("sslmode", &self.tls.mode.name())
            .finish_non_exhaustive()
    }
}

fn user(settings: &Settings, environment: &Environment) -> Result<String, ConnectError> {
    let user = settings.get("user").or_else(|| environment.user());
    user.map(str::to_owned).ok_or_else(|| {
        ConnectError::configuration(
            "the system has no name for this user: write postgres://USER@... or set PGUSER",
        )
    })
}

/// A password command is more specific than a password in the environment, and less than one in the URL.
fn password_source(settings: &Settings, environment: &Environment) -> PasswordSource {
    let given = settings.get("password").map(|password| PasswordSource::Given(password.to_owned()));
    let command = environment.password_command().cloned();
    let file = settings.get("passfile").map(PathBuf::from).or_else(|| environment.home_file(".pgpass"));
    let first = if settings.is_in_url("password") { given.or(command) } else { command.or(given) };
    first.or_else(|| file.map(PasswordSource::File)).unwrap_or(PasswordSource::Nowhere)
}

fn warnings(settings: &Settings, password: &PasswordSource, tls: &TlsOptions) -> Vec<String> {
    let mut warnings = settings.warnings();
    warnings.extend(tls.warning());
    if let PasswordSource::File(path) = password {
        warnings.extend(PassFile::read(path).warning().map(str::to_owned));
    }
    warnings
}

fn tls(hosts: &[Host], settings: &Settings, environment: &Environment) -> Result<TlsOptions, ConnectError> {
    match hosts.iter().all(Host::is_directory) {
        true => Ok(TlsOptions::none()),
        false => TlsOptions::new(settings, environment),
    }
}

fn base(settings: &Settings, environment: &Environment) -> Result<Config, ConnectError> {
    let mut config = Config::new();
    if let Some(options) = settings.get("options") {
        config.options(options);
    }
    let name = settings.get("application_name").or_else(|| settings.get("fallback_application_name"));
    if let Some(name) = name.or_else(|| environment.fallback_application_name()) {
        config.application_name(name);
    }
    if let Some(binding) = settings.choice("channel_binding", &BINDINGS)? {
        config.channel_binding(binding);
    }
    set_keepalives(&mut config, settings)?;
    Ok(config)
}

fn set_keepalives(config: &mut Config, settings: &Settings) -> Result<(), ConnectError> {
    config.keepalives(settings.number("keepalives")?.unwrap_or(1) != 0);
    if let Some(idle) = seconds(settings, "keepalives_idle", KEEPALIVE_IDLE_S)? {
        config.keepalives_idle(idle);
    }
    if let Some(interval) = seconds(settings, "keepalives_interval", KEEPALIVE_INTERVAL_S)? {
        config.keepalives_interval(interval);
    }
    if let Some(count) = positive(settings, "keepalives_count", KEEPALIVE_COUNT)? {
        config.keepalives_retries(count);
    }
    if let Some(timeout_ms) = positive(settings, "tcp_user_timeout", 0)? {
        config.tcp_user_timeout(Duration::from_millis(timeout_ms.into()));
    }
    Ok(())
}

fn seconds(settings: &Settings, name: &str, default_s: u32) -> Result<Option<Duration>, ConnectError> {
    Ok(positive(settings, name, default_s)?.map(|number_s| Duration::from_secs(number_s.into())))
}

/// Reads a number; 0 is `None`: no limit, or the default of the system.
fn positive(settings: &Settings, name: &str, default: u32) -> Result<Option<u32>, ConnectError> {
    Ok(Some(settings.number(name)?.unwrap_or(default)).filter(|number| *number > 0))
}
