//! One attempt: from a host to a session that answers and is of the right kind, within the limit for one address.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio_postgres::config::SslMode as Encryption;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::ConnectError;
use super::explain;
use super::hosts::{Host, Place};
use super::passfile::Wanted;
use super::password::Password;
use super::role::Role;
use super::{ConnectOptions, Connection};

/// What a connection is made of.
pub(super) struct Attempt<'a> {
    pub(super) options: &'a ConnectOptions,
    pub(super) tls: Option<&'a MakeRustlsConnect>,
    pub(super) password: &'a Password,
    pub(super) host: &'a Host,
    pub(super) role: Role,
}

type Session = (Client, Connection);

impl Attempt<'_> {
    /// Tries every address of the host.
    pub(super) async fn run(&self) -> Result<Session, ConnectError> {
        let places = self.in_time(async {
            let places = self.host.places().await;
            places.map_err(|source| ConnectError::Name { at: self.at(), source })
        });
        let mut last = None;
        for place in self.options.in_order(places.await?) {
            match self.at_place(&place).await {
                Err(error) if !error.is_final() => last = Some(error),
                end => return end,
            }
        }
        Err(last.unwrap_or_else(|| self.no_address()))
    }

    /// Tries with and without TLS, as far as `sslmode` leaves the choice to the server.
    async fn at_place(&self, place: &Place) -> Result<Session, ConnectError> {
        let encryptions = match self.host.is_directory() {
            true => &[Encryption::Disable],
            false => self.options.tls.encryptions(),
        };
        let mut refusal: Option<ConnectError> = None;
        for encryption in encryptions {
            match self.in_time(self.open(place, *encryption)).await {
                Err(error) if error.is_about_encryption() => refusal = refusal.or(Some(error)),
                end => return end,
            }
        }
        Err(refusal.unwrap_or_else(|| self.no_address()))
    }

    async fn open(&self, place: &Place, encryption: Encryption) -> Result<Session, ConnectError> {
        let config = self.config(place, encryption);
        let opened = match self.tls {
            Some(tls) => config.connect(tls.clone()).await.map(|(client, rest)| (client, boxed(rest))),
            None => config.connect(NoTls).await.map(|(client, rest)| (client, boxed(rest))),
        };
        let (client, mut connection) = opened.map_err(|error| self.failure(error))?;
        self.check_role(&client, &mut connection).await?;
        Ok((client, connection))
    }

    fn config(&self, place: &Place, encryption: Encryption) -> Config {
        let mut config = self.options.base.clone();
        config.port(self.host.port).ssl_mode(encryption);
        match place {
            Place::Directory(dir) => config.host_path(dir),
            Place::Address(address) => config.host(&self.host.name).hostaddr(*address),
        };
        if let Some(password) = self.password.of(self.wanted()) {
            config.password(password);
        }
        config
    }

    fn wanted(&self) -> Wanted<'_> {
        let ConnectOptions { user, database, .. } = self.options;
        Wanted { host: self.host.name_in_passfile(), port: self.host.port, database, user }
    }

    async fn check_role(&self, client: &Client, connection: &mut Connection) -> Result<(), ConnectError> {
        let Some(question) = self.role.question() else { return Ok(()) };
        let answer = ask(client, connection, question.query).await.map_err(|error| self.failure(error))?;
        match answer.as_deref() == Some(question.answer) {
            true => Ok(()),
            false => {
                Err(ConnectError::Role { at: self.at(), wanted: self.role.name(), is: question.otherwise })
            }
        }
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        let Some(limit) = self.options.limit else { return work.await };
        match tokio::time::timeout(limit, work).await {
            Ok(end) => end,
            Err(_) => Err(ConnectError::TimedOut { at: self.at(), limit }),
        }
    }

    fn at(&self) -> String {
        self.options.describe_at(self.host)
    }

    fn failure(&self, error: tokio_postgres::Error) -> ConnectError {
        explain::failure(self.at(), error, &self.options.tls, self.password.note())
    }

    fn no_address(&self) -> ConnectError {
        ConnectError::Name { at: self.at(), source: std::io::ErrorKind::NotFound.into() }
    }
}

fn boxed(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) -> Connection {
    Box::pin(connection)
}

/// The first value of a query's answer. The connection, which nobody drives yet, is driven along.
async fn ask(
    client: &Client,
    connection: &mut Connection,
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
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}
