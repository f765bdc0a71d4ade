//! Connections to PostgreSQL servers by libpq's rules.
//!
#![doc = include_str!("../README.md")]
//!
//! # How it works
//!
//! [`ConnectOptions::parse`] reads the URL, the service file and the [`Environment`] once. [`ConnectOptions::connect`] can be called
//! any number of times: it fetches the password, loads the certificates, and tries each host and address until one will do.

mod clear_text;
mod connect;
mod connect_error;
mod connect_options;
mod environment;
mod explain;
mod fuzzing;
mod guarded_stream;
#[cfg(test)]
mod home_tests;
mod host;
mod host_attempt;
mod login;
mod message_guard;
mod negotiation;
mod parameter;
mod pass_file;
mod password_source;
mod require_auth;
mod revocation;
#[cfg(test)]
mod revocation_tests;
mod role;
#[cfg(test)]
mod scripted_server;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod tls_options;
mod url;
mod verifier;
mod wait_point;
mod wire_fault;
#[cfg(test)]
mod wire_tests;

pub use self::connect_error::ConnectError;
pub use self::connect_options::ConnectOptions;
pub use self::environment::Environment;
#[doc(hidden)]
pub use self::fuzzing::server_bytes;
pub use self::host_attempt::ConnectionTask;
pub use self::url::url_without_passwords;
pub use self::wire_fault::server_fault;
