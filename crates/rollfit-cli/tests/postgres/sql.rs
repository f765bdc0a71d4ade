//! [`Database`]: a database of a test's own on a server, and a few words of SQL to it. Every call has a connection of its
//! own, so that the tests themselves leave no session behind.

use std::sync::atomic::{AtomicU32, Ordering};

use postgres::types::FromSqlOwned;
use postgres::{Client, NoTls, Row, SimpleQueryMessage};

use crate::server::{Server, shared};

/// Opens a session.
#[track_caller]
pub(crate) fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap_or_else(|error| panic!("{url}: {error:?}"))
}

/// An empty database with a name that no other has. It is dropped with the guard.
pub(crate) struct Database<'server> {
    server: &'server Server,
    name: String,
}

impl Database<'static> {
    /// One on the server that the tests share.
    pub(crate) fn fresh() -> Self {
        shared().database()
    }
}

impl Server {
    /// A new database here.
    #[track_caller]
    pub(crate) fn database(&self) -> Database<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("create database {name}"));
        Database { server: self, name }
    }

    /// Runs statements that are about the whole server: roles, databases, settings.
    #[track_caller]
    pub(crate) fn sql(&self, statements: &str) {
        batch(&self.url("postgres"), statements);
    }
}

impl Database<'_> {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn server(&self) -> &Server {
        self.server
    }

    pub(crate) fn url(&self) -> String {
        self.server.url(&self.name)
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> Client {
        connect(&self.url())
    }

    /// Runs statements.
    #[track_caller]
    pub(crate) fn sql(&self, statements: &str) {
        batch(&self.url(), statements);
    }

    #[track_caller]
    pub(crate) fn rows(&self, query: &str) -> Vec<Row> {
        self.connect().query(query, &[]).unwrap_or_else(|error| panic!("{query}: {error:?}"))
    }

    /// The first column of the only row.
    #[track_caller]
    pub(crate) fn one<T: FromSqlOwned>(&self, query: &str) -> T {
        let rows = self.rows(query);
        assert_eq!(rows.len(), 1, "{query}");
        rows[0].get(0)
    }

    /// The rows as the server writes them: NUMERIC with its digits, timestamps with their zone, NULL as `None`.
    #[track_caller]
    pub(crate) fn texts(&self, query: &str) -> Vec<Vec<Option<String>>> {
        let answer = self.connect().simple_query(query);
        let messages = answer.unwrap_or_else(|error| panic!("{query}: {error:?}"));
        messages.iter().filter_map(row_of_texts).collect()
    }
}

fn row_of_texts(message: &SimpleQueryMessage) -> Option<Vec<Option<String>>> {
    let SimpleQueryMessage::Row(row) = message else { return None };
    Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
}

#[track_caller]
fn batch(url: &str, statements: &str) {
    connect(url).batch_execute(statements).unwrap_or_else(|error| panic!("{statements}: {error:?}"));
}

impl Drop for Database<'_> {
    /// A server that a test has stopped takes its databases with it.
    fn drop(&mut self) {
        if let Ok(mut client) = Client::connect(&self.server.url("postgres"), NoTls) {
            let _ = client.batch_execute(&format!("drop database if exists {} with (force)", self.name));
        }
    }
}
