//! Parses `postgres://user:password@host:port/database?parameter=value` as libpq does.
//!
//! Errors repeat nothing of the URL except a parameter's name, and that only if it cannot be a part of a password whose `/`, `?` or
//! `@` was not percent-encoded.

use crate::connect_error::ConnectError;
use crate::parameter::{self, ConnectParameter};

/// Parameters with their values, in the order of the URL.
pub(crate) type UrlParameters = Vec<(&'static ConnectParameter, String)>;

const STRAY_AT: &str = "\
    the URL has an @ after its host: in user, password and database, write %40 for @, %2F for / and %3F for ?";

/// Returns the parameters that a URL sets.
///
/// # Errors
/// When it is not such a URL, or sets a parameter that does not exist.
pub(crate) fn read(url: &str) -> Result<UrlParameters, ConnectError> {
    let (credentials, rest) = split_credentials(without_scheme(url)?);
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(ConnectError::configuration(STRAY_AT));
    }
    let (hosts, database) = authority.split_once('/').unwrap_or((authority, ""));
    let mut given = UrlParameters::new();
    read_credentials(credentials, &mut given)?;
    read_hosts(hosts, &mut given)?;
    add("dbname", database, &mut given)?;
    read_query(query, &mut given)?;
    Ok(given)
}

/// Returns the URL without the passwords in it, those of certificates' keys included: what may be written down.
///
/// # Errors
/// When it is not such a URL, so that it can't be told what in it is a password.
pub fn url_without_passwords(url: &str) -> Result<String, ConnectError> {
    read(url)?;
    let (credentials, rest) = split_credentials(without_scheme(url)?);
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
    let scheme = url.split_once("//").map_or("", |(scheme, _)| scheme);
    let at = if user.is_empty() { "" } else { "@" };
    let is_password = |pair: &&str| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        decode(name, "a parameter's name")
            .is_ok_and(|name| ["password", "sslpassword"].contains(&name.as_str()))
    };
    let kept: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !is_password(pair)).collect();
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    Ok(format!("{scheme}//{user}{at}{authority}{query}"))
}

fn without_scheme(url: &str) -> Result<&str, ConnectError> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
    rest.ok_or_else(|| {
        ConnectError::configuration(
            "a PostgreSQL URL is written postgres://user@host:port/database, with postgres or postgresql as its scheme",
        )
    })
}

/// Splits off user and password, if there is an `@` before the first `/`.
fn split_credentials(rest: &str) -> (&str, &str) {
    match rest.find(['@', '/']) {
        Some(at) if rest.as_bytes()[at] == b'@' => (&rest[..at], &rest[at + 1..]),
        _ => ("", rest),
    }
}

fn read_credentials(credentials: &str, given: &mut UrlParameters) -> Result<(), ConnectError> {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    add("user", user, given)?;
    add("password", password, given)
}

fn read_hosts(hosts: &str, given: &mut UrlParameters) -> Result<(), ConnectError> {
    let pairs = hosts.split(',').map(split_port).collect::<Result<Vec<_>, _>>()?;
    let (names, ports): (Vec<&str>, Vec<&str>) = pairs.into_iter().unzip();
    add("host", &names.join(","), given)?;
    add("port", &ports.join(","), given)
}

fn split_port(host: &str) -> Result<(&str, &str), ConnectError> {
    let Some(bracketed) = host.strip_prefix('[') else {
        return Ok(host.split_once(':').unwrap_or((host, "")));
    };
    match bracketed.split_once(']') {
        Some((name, "")) if !name.is_empty() => Ok((name, "")),
        Some((name, rest)) if !name.is_empty() && rest.starts_with(':') => Ok((name, &rest[1..])),
        _ => Err(ConnectError::configuration("an IPv6 address in a URL is written [::1] or [::1]:5432")),
    }
}

fn read_query(query: &str, given: &mut UrlParameters) -> Result<(), ConnectError> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(not_a_pair)?;
        match (decode(name, "a parameter's name")?.as_str(), value) {
            ("ssl", "true") => given.push((known("sslmode", query)?, "require".to_owned())),
            (name, value) => given.push((known(name, query)?, decode(value, name)?)),
        }
    }
    Ok(())
}

fn not_a_pair() -> ConnectError {
    ConnectError::configuration(
        "after the ?, a URL has name=value pairs separated by &; in a password, write %3F for ? and %26 for &",
    )
}

fn known(name: &str, query: &str) -> Result<&'static ConnectParameter, ConnectError> {
    parameter::find(name).ok_or_else(|| match query.contains('@') {
        true => ConnectError::configuration(
            "the URL has a parameter that does not exist; if it is a part of the password, write %3F for ?",
        ),
        false => ConnectError::configuration(format!(
            "the URL's parameter `{name}` does not exist{}",
            parameter::suggestion(name)
        )),
    })
}

/// Adds a part of the URL under its name. An absent part leaves the parameter to the environment.
fn add(name: &'static str, piece: &str, given: &mut UrlParameters) -> Result<(), ConnectError> {
    if let (Some(parameter), false) = (parameter::find(name), piece.is_empty()) {
        given.push((parameter, decode(piece, name)?));
    }
    Ok(())
}

/// Replaces every `%xx` by its byte.
fn decode(piece: &str, what: &str) -> Result<String, ConnectError> {
    let fault = || {
        ConnectError::configuration(format!(
            "{what} in the URL is not percent-encoded UTF-8: write %25 for %"
        ))
    };
    let mut chunks = piece.split('%');
    let mut bytes = chunks.next().unwrap_or_default().as_bytes().to_vec();
    for chunk in chunks {
        let (byte, rest) = encoded_byte(chunk.as_bytes()).ok_or_else(fault)?;
        bytes.push(byte);
        bytes.extend_from_slice(rest);
    }
    String::from_utf8(bytes).map_err(|_| fault())
}

/// Returns the byte of two hexadecimal digits, and what follows them. Parameters cannot contain byte 0.
fn encoded_byte(chunk: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = chunk.split_at_checked(2)?;
    let digit = |byte: u8| (byte as char).to_digit(16);
    let byte = digit(digits[0])? * 16 + digit(digits[1])?;
    u8::try_from(byte).ok().filter(|byte| *byte != 0).map(|byte| (byte, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(url: &str) -> Vec<(&'static str, String)> {
        read(url).unwrap().into_iter().map(|(parameter, value)| (parameter.name, value)).collect()
    }

    fn assert_reads(url: &str, wanted: &[(&str, &str)]) {
        let wanted: Vec<_> = wanted.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        assert_eq!(pairs(url), wanted, "{url}");
    }

    #[test]
    fn what_is_written_down_has_no_password() {
        let cases = [
            ("postgres://h/d", "postgres://h/d"),
            ("postgresql://u:p%2Fw@h:5433/d?sslmode=require", "postgresql://u@h:5433/d?sslmode=require"),
            ("postgres://u:a?b@h/d", "postgres://u@h/d"),
            ("postgres://:pw@h/d", "postgres://h/d"),
            ("postgres://u@h/d?password=x&host=/run&sslpassword=y", "postgres://u@h/d?host=/run"),
            ("postgres://u@h/d?pass%77ord=x", "postgres://u@h/d"),
            ("postgres://u:pa/ss@h/d", ""),
        ];
        for (url, wanted) in cases {
            assert_eq!(url_without_passwords(url).unwrap_or_default(), wanted, "{url}");
        }
    }

    #[test]
    fn every_part_of_a_url_may_be_absent() {
        assert_reads("postgres://", &[]);
        assert_reads("postgresql:///", &[]);
        assert_reads("postgresql:///fx", &[("dbname", "fx")]);
        assert_reads("postgres://u@", &[("user", "u")]);
        assert_reads("postgres://:secret@h", &[("password", "secret"), ("host", "h")]);
        assert_reads("postgres://h:5433", &[("host", "h"), ("port", "5433")]);
        assert_reads("postgres://h?user=u", &[("host", "h"), ("user", "u")]);
        assert_reads("postgres://h/?&connect_timeout=3&", &[("host", "h"), ("connect_timeout", "3")]);
    }

    #[test]
    fn all_parts_are_percent_decoded() {
        assert_reads(
            "postgres://m%40x:p%2Fa%3Fs%25s@h%2E:1/d%20b?application_name=a%26b=c+d",
            &[
                ("user", "m@x"),
                ("password", "p/a?s%s"),
                ("host", "h."),
                ("port", "1"),
                ("dbname", "d b"),
                ("application_name", "a&b=c+d"),
            ],
        );
        assert_reads("postgres://u:a:b?c#d@h", &[("user", "u"), ("password", "a:b?c#d"), ("host", "h")]);
    }

    #[test]
    fn hosts_come_in_lists_in_brackets_and_as_directories() {
        assert_reads("postgres://a,b:2,c/", &[("host", "a,b,c"), ("port", ",2,")]);
        assert_reads("postgres://a,b", &[("host", "a,b"), ("port", ",")]);
        assert_reads(
            "postgres://[::1]:5433,[fe80::2]/d",
            &[("host", "::1,fe80::2"), ("port", "5433,"), ("dbname", "d")],
        );
        assert_reads(
            "postgres://%2Frun%2Fpg:5433/d",
            &[("host", "/run/pg"), ("port", "5433"), ("dbname", "d")],
        );
        assert_reads("postgres:///d?host=/run/pg", &[("dbname", "d"), ("host", "/run/pg")]);
    }

    #[test]
    fn the_jdbc_way_to_ask_for_tls_is_understood() {
        assert_reads("postgres://h?ssl=true", &[("host", "h"), ("sslmode", "require")]);
        assert!(read("postgres://h?ssl=maybe").is_err());
    }

    #[test]
    fn an_unknown_parameter_gets_a_suggestion() {
        let error = read("postgres://h/d?ssl_mode=require").err().unwrap().to_string();
        assert_eq!(error, "the URL's parameter `ssl_mode` does not exist: did you mean `sslmode`?");
    }

    #[test]
    fn a_malformed_url_is_refused_without_repeating_any_of_it() {
        let urls = [
            "hunter2",
            "mysql://hunter2@h",
            "postgres:/hunter2",
            "postgres://u:%hunter2@h",
            "postgres://u:%00hunter2@h",
            "postgres://u:hunter2%f@h",
            "postgres://u:hunter2%ff@h",
            "postgres://[hunter2/d",
            "postgres://[]:hunter2",
            "postgres://[::1]hunter2/d",
            "postgres://u:a@hunter2@h/d",
            "postgres://u:1/hunter2@h/d",
            "postgres://u:1/2?hunter2@h/d",
            "postgres://u:1/2?hunter2=3@h/d",
            "postgres://h/d?application_name=%hunter2",
        ];
        for url in urls {
            let error = read(url).err().unwrap_or_else(|| panic!("{url}"));
            assert!(!format!("{error} {error:?}").contains("unter"), "{url}: {error}");
        }
    }
}
