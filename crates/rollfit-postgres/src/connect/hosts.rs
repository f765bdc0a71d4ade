//! The hosts of a connection, in order: names, addresses or socket directories, each with its port.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use super::environment::Environment;
use super::error::ConnectError;
use super::settings::Settings;

const PORT: u16 = 5432;

/// One place where a server may be. Prints as URLs have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// A name, an address or a directory: what certificates and password files know it by.
    pub(super) name: String,
    /// Where it is, if that need not be looked up.
    address: Option<IpAddr>,
    pub(super) port: u16,
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The socket in this directory.
    Directory(PathBuf),
    /// This address.
    Address(IpAddr),
}

impl Host {
    /// Whether the server is reached through a socket in a directory.
    pub(super) fn is_directory(&self) -> bool {
        self.name.starts_with('/')
    }

    /// Whether it is a socket in a directory or the loopback address.
    pub(super) fn is_here(&self) -> bool {
        let address = self.address.or_else(|| self.name.parse().ok());
        self.is_directory() || address.map_or(self.name == "localhost", |address| address.is_loopback())
    }

    /// The name in password files: the usual socket directories go by `localhost`.
    pub(super) fn name_in_passfile(&self) -> &str {
        match self.name.as_str() {
            "/tmp" | "/var/run/postgresql" => "localhost",
            name => name,
        }
    }

    /// Everywhere that the host's name leads to.
    ///
    /// # Errors
    /// When the name is unknown.
    pub(super) async fn places(&self) -> std::io::Result<Vec<Place>> {
        if self.is_directory() {
            return Ok(vec![Place::Directory(PathBuf::from(&self.name))]);
        }
        if let Some(address) = self.address.or_else(|| self.name.parse().ok()) {
            return Ok(vec![Place::Address(address)]);
        }
        let found = tokio::net::lookup_host((self.name.as_str(), self.port)).await?;
        let mut places: Vec<Place> = found.map(|socket| Place::Address(socket.ip())).collect();
        places.dedup();
        Ok(places)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, port, .. } = self;
        match name.contains(':') && !name.starts_with('/') {
            true => write!(f, "[{name}]:{port}"),
            false => write!(f, "{name}:{port}"),
        }
    }
}

/// The hosts that the settings name, or the one that is meant by naming none.
///
/// # Errors
/// When the lists do not fit each other, or hold what is no address or port.
pub(super) fn read(settings: &Settings, environment: &Environment) -> Result<Vec<Host>, ConnectError> {
    let (names, addresses) = (settings.list("host"), settings.list("hostaddr"));
    let count = names.len().max(addresses.len()).max(1);
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        return Err(settings.fault("hostaddr", "names another number of hosts than host does"));
    }
    let ports = ports(settings, count)?;
    let host = |(index, port)| one(item(&names, index), item(&addresses, index), port, settings, environment);
    ports.into_iter().enumerate().map(host).collect()
}

fn item<'a>(list: &[&'a str], index: usize) -> Option<&'a str> {
    list.get(index).copied().filter(|item| !item.is_empty())
}

fn one(
    name: Option<&str>,
    address: Option<&str>,
    port: u16,
    settings: &Settings,
    environment: &Environment,
) -> Result<Host, ConnectError> {
    if name.is_some_and(|name| name.starts_with('@')) {
        return Err(settings.fault("host", "names an abstract socket, which is not supported"));
    }
    let address = address.map(str::parse::<IpAddr>).transpose();
    let address = address.map_err(|_| settings.fault("hostaddr", "is not an IP address"))?;
    // Where there is an address, a directory is no name for it.
    let name = name.filter(|name| address.is_none() || !name.starts_with('/')).map(str::to_owned);
    let by_address = || address.map(|address| address.to_string());
    let name = name.or_else(by_address).unwrap_or_else(|| local(port, environment));
    Ok(Host { name, address, port })
}

/// The directory in which a local server has its socket, or this machine's name.
fn local(port: u16, environment: &Environment) -> String {
    let socket = format!(".s.PGSQL.{port}");
    let dirs = environment.socket_dirs().iter().filter(|dir| dir.join(&socket).exists());
    dirs.filter_map(|dir| dir.to_str()).next().unwrap_or("localhost").to_owned()
}

/// A port for each host. What stands there is not told: in a malformed URL it may be a piece of the password.
fn ports(settings: &Settings, hosts: usize) -> Result<Vec<u16>, ConnectError> {
    let port = |text: &&str| match *text {
        "" => Ok(PORT),
        text => text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            settings.fault(
                "port",
                "is not a number from 1 to 65535 (in a password, write %2F for / and %3A for :)",
            )
        }),
    };
    let ports = settings.list("port").iter().map(port).collect::<Result<Vec<u16>, _>>()?;
    match ports.len() {
        0 => Ok(vec![PORT; hosts]),
        1 => Ok(vec![ports[0]; hosts]),
        count if count == hosts => Ok(ports),
        _ => Err(settings
            .fault("port", "names another number of hosts than host does; give one port, or one each")),
    }
}
