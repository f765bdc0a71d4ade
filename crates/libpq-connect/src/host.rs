//! [`Host`]: a name, an address or a socket directory, with a port; and the list of them that the settings give.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::connect_error::ConnectError;
use crate::environment::Environment;
use crate::settings::Settings;

const PORT: u16 = 5432;

/// Where a server may be. Prints as in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// A name, an address or a directory, as in certificates and password files.
    pub(crate) name: String,
    /// Its address, if the settings give one.
    address: Option<IpAddr>,
    pub(crate) port: u16,
}

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostAddr {
    /// The socket in this directory.
    Directory(PathBuf),
    /// This address.
    Address(IpAddr),
}

impl Host {
    /// Returns whether it is a directory with a Unix socket.
    pub(crate) fn is_directory(&self) -> bool {
        self.name.starts_with('/')
    }

    /// Returns whether it is a Unix socket or a loopback address.
    pub(crate) fn is_local(&self) -> bool {
        let address = self.address.or_else(|| self.name.parse().ok());
        self.is_directory() || address.map_or(self.name == "localhost", |address| address.is_loopback())
    }

    /// Returns the name in password files, where the default socket directories are called `localhost`.
    pub(crate) fn name_in_passfile(&self) -> &str {
        match self.name.as_str() {
            "/tmp" | "/var/run/postgresql" => "localhost",
            name => name,
        }
    }

    /// Returns every address of the host, in the order of the resolver.
    ///
    /// # Errors
    /// When the name is unknown.
    pub(crate) async fn addresses(&self) -> std::io::Result<Vec<HostAddr>> {
        if self.is_directory() {
            return Ok(vec![HostAddr::Directory(PathBuf::from(&self.name))]);
        }
        if let Some(address) = self.address.or_else(|| self.name.parse().ok()) {
            return Ok(vec![HostAddr::Address(address)]);
        }
        let found = tokio::net::lookup_host((self.name.as_str(), self.port)).await?;
        let mut addresses: Vec<HostAddr> = found.map(|socket| HostAddr::Address(socket.ip())).collect();
        addresses.dedup();
        Ok(addresses)
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

/// Returns the hosts that the settings name, or the local one if they name none.
///
/// # Errors
/// When the lists differ in length, or an item is not an address or a port.
pub(crate) fn read(settings: &Settings, environment: &Environment) -> Result<Vec<Host>, ConnectError> {
    let (names, addresses) = (settings.list("host"), settings.list("hostaddr"));
    let count = names.len().max(addresses.len()).max(1);
    if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
        return Err(settings.error("hostaddr", "has a different number of items than host"));
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
        return Err(settings.error("host", "names an abstract socket, which is not supported"));
    }
    let address = address.map(str::parse::<IpAddr>).transpose();
    let address = address.map_err(|_| settings.error("hostaddr", "is not an IP address"))?;
    // With an address, a directory is not a name for it.
    let name = name.filter(|name| address.is_none() || !name.starts_with('/')).map(str::to_owned);
    let by_address = || address.map(|address| address.to_string());
    let name = name.or_else(by_address).unwrap_or_else(|| local(port, environment));
    Ok(Host { name, address, port })
}

/// The directory in which a local server has its socket, or `localhost`. Where servers have a directory of their own, no other is
/// looked into: in `/tmp` everybody can make a socket.
fn local(port: u16, environment: &Environment) -> String {
    let dir = environment.socket_dirs().iter().find(|dir| dir.is_dir());
    let dir = dir.filter(|dir| dir.join(format!(".s.PGSQL.{port}")).exists());
    dir.and_then(|dir| dir.to_str()).unwrap_or("localhost").to_owned()
}

/// A port for each host. Errors do not repeat the text: in a malformed URL it may be a part of the password.
fn ports(settings: &Settings, hosts: usize) -> Result<Vec<u16>, ConnectError> {
    let port = |text: &&str| match *text {
        "" => Ok(PORT),
        text => text.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            settings.error(
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
            .error("port", "has a different number of items than host: give one port, or one for each host")),
    }
}
