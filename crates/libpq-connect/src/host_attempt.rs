//! [`HostAttempt`]: tries the addresses of one host until one gives a connection of the right kind in time.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::net::UnixStream;
use tokio_postgres::config::{SslMode as Encryption, SslNegotiation};
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::clear_text::ClearText;
use crate::connect_error::ConnectError;
use crate::connect_options::ConnectOptions;
use crate::explain;
use crate::host::{Host, HostAddr};
use crate::negotiation::Negotiation;
use crate::pass_file::PassFileKey;
use crate::password_source::Password;
use crate::role::Role;
use crate::wait_point::WaitPoint;

/// Exchanges messages with the server. Spawn it: the client works as long as it runs.
pub type ConnectionTask = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>;

/// One host, and what is needed to connect to it.
pub(crate) struct HostAttempt<'a> {
    pub(crate) options: &'a ConnectOptions,
    pub(crate) tls: Option<&'a MakeRustlsConnect>,
    pub(crate) password: &'a Password,
    pub(crate) host: &'a Host,
    pub(crate) role: Role,
}

type Connected = (Client, ConnectionTask);

impl HostAttempt<'_> {
    /// Tries every address of the host.
    pub(crate) async fn run(&self) -> Result<Connected, ConnectError> {
        let wait_point = WaitPoint::new("the address of the host");
        let addresses = self.in_time(&wait_point, async {
            let addresses = self.host.addresses().await;
            addresses.map_err(|source| ConnectError::UnknownHost { at: self.at(), source })
        });
        let mut last = None;
        for address in self.options.in_order(addresses.await?) {
            match self.connect_to(&address).await {
                Err(error) if !error.is_final() => last = Some(error),
                end => return end,
            }
        }
        Err(last.unwrap_or_else(|| self.no_address()))
    }

    /// Tries with and without TLS, if `sslmode` allows both.
    async fn connect_to(&self, address: &HostAddr) -> Result<Connected, ConnectError> {
        let encryptions = match self.host.is_directory() {
            true => &[Encryption::Disable],
            false => self.options.tls.encryptions(),
        };
        let mut refusal: Option<ConnectError> = None;
        for encryption in encryptions {
            let wait_point = WaitPoint::new("the connection");
            match self.in_time(&wait_point, self.open(address, *encryption, &wait_point)).await {
                Err(error) if error.is_about_encryption() => refusal = refusal.or(Some(error)),
                end => return end,
            }
        }
        Err(refusal.unwrap_or_else(|| self.no_address()))
    }

    async fn open(
        &self,
        address: &HostAddr,
        encryption: Encryption,
        wait_point: &WaitPoint,
    ) -> Result<Connected, ConnectError> {
        let config = self.config();
        let negotiation = |clear_text| self.negotiation(clear_text, encryption, wait_point.clone());
        let opened = match address {
            HostAddr::Directory(dir) => {
                let socket = UnixStream::connect(dir.join(format!(".s.PGSQL.{}", self.host.port))).await;
                let socket = socket.map_err(|source| ConnectError::NoSocket { at: self.at(), source })?;
                let clear_text = ClearText::over_socket(&socket, dir);
                let negotiation = negotiation((clear_text, clear_text));
                config.connect_raw(socket, negotiation).await.map(|(client, rest)| (client, boxed(rest)))
            }
            HostAddr::Address(address) => {
                let config = with_address(config, &self.host.name, *address);
                let negotiation = negotiation(self.options.clear_text_at(*address));
                config.connect(negotiation).await.map(|(client, rest)| (client, boxed(rest)))
            }
        };
        let (client, mut connection) = opened.map_err(|error| self.failure(error))?;
        wait_point.set("what kind of server it is (target_session_attrs)");
        self.check_role(&client, &mut connection).await?;
        Ok((client, connection))
    }

    fn config(&self) -> Config {
        let mut config = self.options.base.clone();
        // The negotiation does what the client library takes for the handshake.
        config.port(self.host.port).ssl_mode(Encryption::Require).ssl_negotiation(SslNegotiation::Direct);
        if let Some(password) = self.password.for_host(self.pass_file_key()) {
            config.password(password);
        }
        config
    }

    /// `clear_text` is for a connection without TLS and with it.
    fn negotiation(
        &self,
        (clear_text_plain, clear_text_encrypted): (ClearText, ClearText),
        encryption: Encryption,
        wait_point: WaitPoint,
    ) -> Negotiation {
        Negotiation {
            tls: self.tls.cloned(),
            encryption,
            host_name: self.host.name.clone(),
            require_auth: self.options.require_auth.clone(),
            clear_text_plain,
            clear_text_encrypted,
            row_bytes_max: self.options.row_bytes_max,
            wait_point,
        }
    }

    fn pass_file_key(&self) -> PassFileKey<'_> {
        let ConnectOptions { user, database, .. } = self.options;
        PassFileKey { host: self.host.name_in_passfile(), port: self.host.port, database, user }
    }

    async fn check_role(&self, client: &Client, connection: &mut ConnectionTask) -> Result<(), ConnectError> {
        let Some(check) = self.role.check() else { return Ok(()) };
        let answer = ask(client, connection, check.query).await.map_err(|error| self.failure(error))?;
        match answer.as_deref() == Some(check.answer) {
            true => Ok(()),
            false => {
                Err(ConnectError::WrongRole { at: self.at(), wanted: self.role.name(), is: check.otherwise })
            }
        }
    }

    async fn in_time<T>(
        &self,
        wait_point: &WaitPoint,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let Some(limit) = self.options.timeout else { return work.await };
        match tokio::time::timeout(limit, work).await {
            Ok(end) => end,
            Err(_) => Err(ConnectError::TimedOut { at: self.at(), limit, waited_for: wait_point.get() }),
        }
    }

    fn at(&self) -> String {
        self.options.describe_at(self.host)
    }

    fn failure(&self, error: tokio_postgres::Error) -> ConnectError {
        explain::failure(self.at(), error, &self.options.tls, self.password.warning())
    }

    fn no_address(&self) -> ConnectError {
        ConnectError::UnknownHost { at: self.at(), source: std::io::ErrorKind::NotFound.into() }
    }
}

fn with_address(mut config: Config, name: &str, address: IpAddr) -> Config {
    config.host(name).hostaddr(address);
    config
}

fn boxed(
    connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
) -> ConnectionTask {
    Box::pin(connection)
}

/// Returns the first value of a query. Polls the connection too, because nothing else does so yet.
async fn ask(
    client: &Client,
    connection: &mut ConnectionTask,
    query: &str,
) -> Result<Option<String>, tokio_postgres::Error> {
    let mut reply = pin!(client.simple_query(query));
    let messages = poll_fn(|context| {
        if let Poll::Ready(Err(error)) = Pin::new(&mut *connection).poll(context) {
            return Poll::Ready(Err(error));
        }
        reply.as_mut().poll(context)
    });
    Ok(messages.await?.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten().map(str::to_owned),
        _ => None,
    }))
}
