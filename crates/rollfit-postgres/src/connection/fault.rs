//! Errors of the server and the connection. Each says what was being done, and whether a retry can help.

use std::time::Duration;

use libpq_connect::ConnectError;
use rollfit_job::store::{Fault, StoreError};
use tokio_postgres::error::{DbError, Severity, SqlState};

/// A statement was cancelled by a timeout or a user. It is retried once; a second failure is final.
const CANCELLED_ATTEMPTS: u32 = 2;

/// The server found a relation, a function or another object gone that it was about to use. The next attempt does not see it, unless
/// the server is damaged.
const INTERNAL_ATTEMPTS: u32 = 3;

/// The remedy if policies apply to the table in the message.
const ROW_SECURITY_REMEDIES: &str = "have the owner of that table drop or change its policies, give the role BYPASSRLS, or \
     accept what the policies hide with row_security = \"apply\" in [source], [sink] or [store]";

/// The maximum length of a text in which the server repeats a row or a statement.
const DETAIL_CHARS_MAX: usize = 200;

/// Returns the error of a connection that could not be opened: `fault`, unless only the user can fix it.
pub(crate) fn not_connected(error: &ConnectError, fault: Fault) -> StoreError {
    let fault = match error {
        ConnectError::Configuration { .. } | ConnectError::ClearPassword { .. } => Fault::Permanent,
        error if error.is_login_refused() && fault == Fault::Transient => Fault::Permanent,
        _ => fault,
    };
    match fault {
        Fault::Permanent => StoreError::permanent(rollfit_job::error_chain(error)),
        fault => StoreError::unconnected(fault, rollfit_job::error_chain(error)),
    }
}

/// Returns the error of the server, or of the connection to it, while `doing`.
pub(crate) fn server_error(doing: &str, error: tokio_postgres::Error) -> StoreError {
    match error.as_db_error() {
        Some(refusal) => refused(doing, refusal),
        None if is_client_fault(&error) => {
            StoreError::caused_by(Fault::Permanent, format!("cannot {doing}"), error)
        }
        None => lost(doing, &error),
    }
}

/// As [`server_error`]. Where a lock could not be had, the message names who held it, if that is known.
pub(crate) fn refused_by(doing: &str, error: tokio_postgres::Error, holder: Option<&str>) -> StoreError {
    let Some((holder, refusal)) = holder.zip(error.as_db_error()).filter(|_| is_lock_timeout(&error)) else {
        return server_error(doing, error);
    };
    let (message, code) = (refusal.message(), refusal.code().code());
    StoreError::new(
        Fault::Transient,
        format!(
            "cannot {doing}: {message} (SQLSTATE {code}); a lock is held by {holder}: wait until it has ended, or end it"
        ),
    )
}

/// Returns the error of a server that refused.
fn refused(doing: &str, refusal: &DbError) -> StoreError {
    let code = refusal.code();
    let fault = if is_transient(refusal) { Fault::Transient } else { Fault::Permanent };
    let mut message = format!("cannot {doing}: {} (SQLSTATE {})", refusal.message(), code.code());
    if refuses_to_hide_rows(refusal) {
        message = format!("{message}; {ROW_SECURITY_REMEDIES}");
    }
    if *code == SqlState::QUERY_CANCELED {
        message.push_str("; the statement exceeded statement_timeout_s in [run], or somebody cancelled it");
        return StoreError::new(fault, message).with_attempts_max(CANCELLED_ATTEMPTS);
    }
    let error = match is_shutdown_notice(refusal) {
        true => StoreError::unconnected(fault, message),
        false if *code == SqlState::INTERNAL_ERROR => {
            StoreError::new(fault, message).with_attempts_max(INTERNAL_ATTEMPTS)
        }
        false => StoreError::new(fault, message),
    };
    let more: Vec<String> = [refusal.detail(), refusal.hint()].into_iter().flatten().map(shortened).collect();
    if more.is_empty() { error } else { error.with_detail(more.join("; ")) }
}

/// Returns whether the server refused because policies would hide rows.
fn refuses_to_hide_rows(refusal: &DbError) -> bool {
    *refusal.code() == SqlState::INSUFFICIENT_PRIVILEGE && refusal.routine() == Some("check_enable_rls")
}

/// Returns the first characters of a text.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns the error of a lost connection. Uncommitted work is lost with it.
fn lost(doing: &str, error: &tokio_postgres::Error) -> StoreError {
    let cause = std::error::Error::source(error).map(|cause| format!(" ({cause})")).unwrap_or_default();
    StoreError::unconnected(
        Fault::Transient,
        format!("cannot {doing}: the connection to the server was lost{cause}"),
    )
}

/// Returns the error of a server that did not answer within its own timeouts.
pub(crate) fn silent(doing: &str, at: &str, waited: Duration) -> StoreError {
    let waited_s = waited.as_secs_f64();
    StoreError::unconnected(
        Fault::Transient,
        format!(
            "cannot {doing}: the server has not answered for {waited_s:.0} s; the connection to {at} was closed"
        ),
    )
}

/// Returns the error of a connection that this side ended because of what the server sent.
pub(crate) fn given_up(doing: &str, at: &str, why: &str) -> StoreError {
    StoreError::unconnected(
        Fault::Transient,
        format!("cannot {doing}: the connection to {at} was closed: {why}"),
    )
}

/// Returns whether the client library failed before anything reached the server.
fn is_client_fault(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    !error.is_closed()
        && (text.starts_with("error serializing")
            || text.starts_with("error deserializing")
            || text.starts_with("invalid"))
}

fn is_transient(refusal: &DbError) -> bool {
    const CODES: [&str; 20] = [
        "25006", "25P03", "25P04", "40001", "40P01", "53100", "53200", "53300", "53400", "55P03", "57014",
        "57P01", "57P02", "57P03", "57P05", "58030", "42P05", "26000", "08P01", "XX000",
    ];
    let code = refusal.code().code();
    code.starts_with("08") || CODES.contains(&code) || is_race_to_create(refusal)
}

/// Returns whether another session created the same object at the same moment.
fn is_race_to_create(refusal: &DbError) -> bool {
    let catalog = |name: &str| name.starts_with("pg_type_") || name.starts_with("pg_class_");
    match *refusal.code() {
        SqlState::DUPLICATE_TABLE | SqlState::DUPLICATE_OBJECT => true,
        SqlState::UNIQUE_VIOLATION => refusal.constraint().is_some_and(catalog),
        _ => false,
    }
}

/// Returns whether the connection was lost, so that no answer came.
pub(crate) fn is_lost(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_none() && !is_client_fault(error)
}

/// Returns whether the session is over: the connection is closed, or the server ended it.
pub(crate) fn ends_the_session(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().map_or(!is_client_fault(error), is_shutdown_notice)
}

/// Returns whether the server ends the session with this error.
fn is_shutdown_notice(refusal: &DbError) -> bool {
    // The severity may be in the server's language.
    matches!(refusal.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
}

/// Returns whether another session holds the lock.
pub(crate) fn is_lock_timeout(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// Returns whether a pooler gave this session a server connection on which another session left a statement of the
/// same name, or took away the connection on which it had prepared its own.
pub(crate) fn is_statement_mixed_up(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::DUPLICATE_PSTATEMENT | &SqlState::INVALID_SQL_STATEMENT_NAME))
}
