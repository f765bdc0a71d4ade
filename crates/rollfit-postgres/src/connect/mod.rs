//! From a URL as users write it, and the surroundings that libpq looks at, to a connection.
//!
//! What is said where, and what it means, is as in libpq: URL before service file before environment before defaults.
//! The differences are told in the documentation of [`ConnectOptions::parse`]. Passwords and certificates are read at
//! each connect, and no secret is in any message or in what prints here.

mod environment;
mod error;
mod explain;
mod hosts;
mod parameter;
mod passfile;
mod password;
mod role;
mod service;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod tls;
mod url;
mod verifier;

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use tokio_postgres::config::ChannelBinding;
use tokio_postgres::{Client, Config};

pub(crate) use self::environment::Environment;
pub(crate) use self::error::ConnectError;
use self::hosts::Host;
use self::passfile::PassFile;
use self::password::PasswordSource;
use self::role::{ROLES, Role};
use self::session::Attempt;
use self::settings::Settings;
use self::tls::TlsOptions;

/// How long an address may take to give a session, unless `connect_timeout` says so.
const LIMIT_S: u32 = 10;

/// Silence after which the network is asked whether the server is still there, unless the user says so.
const KEEPALIVE_IDLE_S: u32 = 30;
const KEEPALIVE_INTERVAL_S: u32 = 10;
const KEEPALIVE_COUNT: u32 = 3;

/// What the server keeps of an `application_name`.
const APPLICATION_NAME_BYTES_MAX: usize = 63;

/// What does the talking with the server: to be spawned, and run until it ends.
pub(crate) type Connection = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

/// Everything that is needed to connect, again and again.
#[derive(Clone)]
pub(crate) struct ConnectOptions {
    user: String,
    database: String,
    hosts: Vec<Host>,
    shuffled: bool,
    role: Option<Role>,
    limit: Option<Duration>,
    tls: TlsOptions,
    password: PasswordSource,
    warnings: Vec<String>,
    /// What is the same for every host.
    base: Config,
}

impl ConnectOptions {
    /// Makes sense of a URL, a password command and the surroundings.
    ///
    /// Other than libpq: `connect_timeout` is 10 s if nobody says otherwise and covers everything up to the first
    /// answer; keepalives are more frequent; without a host the socket directories are looked through; parameters that
    /// cannot be followed are errors.
    ///
    /// # Errors
    /// [`ConnectError::Configuration`] with what is wrong, where, and what to do.
    pub(crate) fn parse(
        url: &str,
        password_command: Option<&str>,
        environment: &Environment,
    ) -> Result<Self, ConnectError> {
        let settings = Settings::collect(url::read(url)?, environment)?;
        let hosts = hosts::read(&settings, environment)?;
        let user = user(&settings, environment)?;
        let password = password_source(&settings, password_command, environment);
        Ok(Self {
            database: settings.get("dbname").unwrap_or(&user).to_owned(),
            shuffled: settings.choice("load_balance_hosts", &[("disable", false), ("random", true)])?
                == Some(true),
            role: settings.choice("target_session_attrs", &ROLES)?,
            limit: seconds(&settings, "connect_timeout", LIMIT_S)?,
            tls: tls(&hosts, &settings, environment)?,
            warnings: warnings(&settings, &password),
            base: base(&settings)?,
            user,
            hosts,
            password,
        }
        .with_names())
    }

    /// Asks for a server that takes writes, unless the user asked for something.
    pub(crate) fn require_writable(&mut self) {
        self.role.get_or_insert(Role::ReadWrite);
    }

    /// The same, with no more time than this for each address.
    pub(crate) fn within(&self, time_max: Duration) -> Self {
        let limit = Some(self.limit.map_or(time_max, |limit| limit.min(time_max)));
        Self { limit, ..self.clone() }
    }

    /// What the user should hear of: what was said without effect.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// `user@host:port/database`, for messages.
    pub(crate) fn describe(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        format!("{}@{}/{}", self.user, hosts.join(","), self.database)
    }

    /// What the sessions say they are.
    pub(crate) fn application_name(&self) -> &str {
        self.base.get_application_name().unwrap_or_default()
    }

    /// Whether every host is a socket of this machine or its loopback address.
    pub(crate) fn leads_here(&self) -> bool {
        self.hosts.iter().all(Host::is_here)
    }

    /// The same with one of the hosts.
    fn describe_at(&self, host: &Host) -> String {
        format!("{}@{host}/{}", self.user, self.database)
    }

    /// Connects to the first host that will do. The client is of use while the connection is driven.
    ///
    /// # Errors
    /// When the password or a certificate cannot be got, or no host will do.
    pub(crate) async fn connect(&self) -> Result<(Client, Connection), ConnectError> {
        let tls = self.tls.load()?;
        let password = self.password.fetch().await?;
        let mut failures = Vec::new();
        for role in self.role.unwrap_or(Role::Any).rounds() {
            for host in self.in_order(self.hosts.iter().collect()) {
                let attempt =
                    Attempt { options: self, tls: tls.as_ref(), password: &password, host, role: *role };
                match attempt.run().await {
                    Err(error) if !error.is_final() => failures.push(error),
                    end => return end,
                }
            }
        }
        Err(ConnectError::of_hosts(failures))
    }

    fn in_order<T>(&self, mut items: Vec<T>) -> Vec<T> {
        if self.shuffled {
            fastrand::shuffle(&mut items);
        }
        items
    }

    fn with_names(mut self) -> Self {
        self.base.user(&self.user).dbname(&self.database);
        self
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        f.debug_struct("ConnectOptions")
            .field("hosts", &hosts)
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

/// A command is more to the point than a password lying around, and less than one in the URL.
fn password_source(settings: &Settings, command: Option<&str>, environment: &Environment) -> PasswordSource {
    let given = settings.get("password").map(|password| PasswordSource::Given(password.to_owned()));
    let command = command.map(|command| PasswordSource::Command {
        command: command.to_owned(),
        dir: environment.command_dir().to_owned(),
    });
    let file = settings.get("passfile").map(PathBuf::from).or_else(|| environment.home_file(".pgpass"));
    let first = if settings.is_in_url("password") { given.or(command) } else { command.or(given) };
    first.or_else(|| file.map(PasswordSource::File)).unwrap_or(PasswordSource::Nowhere)
}

fn warnings(settings: &Settings, password: &PasswordSource) -> Vec<String> {
    let mut warnings = settings.notes();
    if let PasswordSource::File(path) = password {
        warnings.extend(PassFile::read(path).note().map(str::to_owned));
    }
    warnings
}

fn tls(hosts: &[Host], settings: &Settings, environment: &Environment) -> Result<TlsOptions, ConnectError> {
    match hosts.iter().all(Host::is_directory) {
        true => Ok(TlsOptions::none()),
        false => TlsOptions::new(settings, environment),
    }
}

fn base(settings: &Settings) -> Result<Config, ConnectError> {
    let mut config = Config::new();
    if let Some(options) = settings.get("options") {
        config.options(options);
    }
    let named = settings.get("application_name").or_else(|| settings.get("fallback_application_name"));
    config.application_name(named.map_or_else(application_name, str::to_owned));
    if let Some(binding) = settings.choice("channel_binding", &BINDINGS)? {
        config.channel_binding(binding);
    }
    set_keepalives(&mut config, settings)?;
    Ok(config)
}

const BINDINGS: [(&str, ChannelBinding); 3] = [
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];

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

/// A number, where 0 means none: what that means is left to the system.
fn positive(settings: &Settings, name: &str, default: u32) -> Result<Option<u32>, ConnectError> {
    Ok(Some(settings.number(name)?.unwrap_or(default)).filter(|number| *number > 0))
}

/// `rollfit PID@HOST`: whoever looks at the server's sessions finds the process.
fn application_name() -> String {
    let system = rustix::system::uname();
    let mut name = format!("rollfit {}@{}", std::process::id(), system.nodename().to_string_lossy());
    name.truncate(name.floor_char_boundary(APPLICATION_NAME_BYTES_MAX));
    name
}
