//! The connections to the server: from a configuration to a pool of sessions, what a session does, what its errors mean, and
//! what the server says of itself and of the sessions that it has.

pub(crate) mod answer_row;
pub(crate) mod connect;
pub(crate) mod fault;
pub(crate) mod holders;
pub(crate) mod monitor;
pub(crate) mod pool;
pub(crate) mod server;
pub(crate) mod server_metrics;
pub(crate) mod session;
pub(crate) mod session_budget;
