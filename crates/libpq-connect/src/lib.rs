//! Connections to PostgreSQL servers by libpq's rules.
//!
#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! [`ConnectOptions::parse`] reads the URL, the service file and the [`Environment`] once. [`ConnectOptions::connect`] can be called
//! any number of times: it fetches the password, loads the certificates, and tries each host and address until one will do.

mod connect;
mod connect_error;
mod connect_options;
mod environment;
mod explain;
mod host;
mod host_attempt;
mod parameter;
mod pass_file;
mod password_source;
mod role;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod tls_options;
mod url;
mod verifier;

pub use self::connect_error::ConnectError;
pub use self::connect_options::ConnectOptions;
pub use self::environment::Environment;
pub use self::host_attempt::ConnectionTask;
