//! Tests of parsing and connecting: precedence, defaults, errors, and that no secret is printed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio_postgres::config::{ChannelBinding, SslMode as Encryption};

use crate::connect_error::ConnectError;
use crate::connect_options::ConnectOptions;
use crate::environment::Environment;
use crate::pass_file::PassFileKey;
use crate::role::Role;
use crate::tls_options::{Roots, SslMode, Verification};

/// A home directory and environment variables.
pub(crate) struct TestHome {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl TestHome {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub(crate) fn with(variables: &[(&'static str, &str)]) -> Self {
        let variables = variables.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        Self { variables, ..Self::new() }
    }

    pub(crate) fn file(self, name: &str, text: &str, mode: u32) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn environment(&self) -> Environment {
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Environment::from_variables(self.dir.path(), &variables)
    }

    fn parse(&self, url: &str) -> Result<ConnectOptions, ConnectError> {
        ConnectOptions::parse(url, &self.environment())
    }

    pub(crate) fn options(&self, url: &str) -> ConnectOptions {
        self.parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    pub(crate) fn error(&self, url: &str) -> String {
        match self.parse(url) {
            Err(error @ ConnectError::Configuration { .. }) => error.to_string(),
            Err(error) => panic!("{url}: {error:?}"),
            Ok(options) => panic!("{url}: {options:?}"),
        }
    }
}

fn options(url: &str) -> ConnectOptions {
    TestHome::new().options(url)
}

fn error(url: &str) -> String {
    TestHome::new().error(url)
}

pub(crate) fn password_for_first_host(options: &ConnectOptions) -> Option<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let password = runtime.block_on(options.password.fetch()).unwrap();
    let (host, database, user) = (&options.hosts[0], &options.database, &options.user);
    let key = PassFileKey { host: host.name_in_passfile(), port: host.port, database, user };
    password.for_host(key).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn the_url_goes_before_the_service_before_the_environment_before_defaults() {
    let service = "[fx]\nhost=service\nport=2\ndbname=service\n";
    let variables = [("PGSERVICE", "fx"), ("PGHOST", "env"), ("PGPORT", "3"), ("PGDATABASE", "env")];
    let home = TestHome::with(&variables).file(".pg_service.conf", service, 0o644);
    assert_eq!(home.options("postgres://url:1/url").to_string(), "osuser@url:1/url");
    assert_eq!(home.options("postgres://u@url/").to_string(), "u@url:2/service");
    assert_eq!(home.options("postgres://").to_string(), "osuser@service:2/service");
    let environment = TestHome::with(&[&variables[1..], &[("PGUSER", "env")]].concat());
    assert_eq!(environment.options("postgres://").to_string(), "env@env:3/env");
    assert_eq!(environment.options("postgres://?port=").to_string(), "env@env:5432/env");
    assert_eq!(options("postgres://me@").to_string(), "me@localhost:5432/me");
}

#[test]
fn the_url_may_name_the_service_and_its_last_value_counts() {
    let home = TestHome::new().file(".pg_service.conf", "[fx]\nhost=h\nhost=i\nuser=u\n", 0o644);
    assert_eq!(home.options("postgres:///d?service=fx").to_string(), "u@h:5432/d");
    assert_eq!(options("postgres://h/d?user=a&user=b&port=7").to_string(), "b@h:7/d");
    assert!(error("postgres:///d?service=none").contains("no service `none`"));
}

#[test]
fn every_environment_variable_is_followed() {
    let home = TestHome::with(&[
        ("PGHOST", "db.example"),
        ("PGHOSTADDR", "10.0.0.1"),
        ("PGSSLMODE", "require"),
        ("PGCONNECT_TIMEOUT", "4"),
        ("PGAPPNAME", "mine"),
        ("PGOPTIONS", "-c geqo=off"),
        ("PGTARGETSESSIONATTRS", "read-only"),
        ("PGCHANNELBINDING", "require"),
    ]);
    let options = home.options("postgres://");
    assert_eq!(options.tls.mode, SslMode::Require);
    assert_eq!(options.timeout, Some(Duration::from_secs(4)));
    assert_eq!(options.role, Some(Role::ReadOnly));
    assert_eq!(options.base.get_application_name(), Some("mine"));
    assert_eq!(options.base.get_options(), Some("-c geqo=off"));
    assert_eq!(options.base.get_channel_binding(), ChannelBinding::Require);
    assert_eq!(TestHome::with(&[("PGREQUIRESSL", "1")]).options("postgres://").tls.mode, SslMode::Require);
}

#[test]
fn without_a_host_a_local_socket_is_found_by_its_port() {
    let home = TestHome::new().file("sockets/.s.PGSQL.5433", "", 0o600);
    let dir = home.path("sockets");
    assert_eq!(home.options("postgres://u@").to_string(), "u@localhost:5432/u");
    let local = home.options("postgres:///d?user=u&port=5433");
    assert_eq!(local.to_string(), format!("u@{}:5433/d", dir.display()));
    assert!(local.hosts[0].is_directory());
}

#[test]
fn a_socket_in_a_directory_of_all_is_not_taken_for_that_of_a_missing_server() {
    let home = TestHome::new().file("tmp/.s.PGSQL.5432", "", 0o600);
    let tmp = home.path("tmp");
    assert_eq!(home.options("postgres://u@").to_string(), format!("u@{}:5432/u", tmp.display()));
    fs::create_dir(home.path("sockets")).unwrap();
    assert_eq!(home.options("postgres://u@").to_string(), "u@localhost:5432/u");
}

#[test]
fn hosts_are_lists_with_one_port_for_all_or_one_each() {
    assert_eq!(options("postgres://u@a,[::1]:1,c/d").to_string(), "u@a:5432,[::1]:1,c:5432/d");
    assert_eq!(options("postgres://u@/d?host=a,b&port=7").to_string(), "u@a:7,b:7/d");
    assert_eq!(options("postgres://u@/d?hostaddr=10.0.0.1,::2").to_string(), "u@10.0.0.1:5432,[::2]:5432/d");
    assert_eq!(options("postgres://u@a,b/d?hostaddr=10.0.0.1,10.0.0.2").to_string(), "u@a:5432,b:5432/d");
    assert_eq!(options("postgres://u@%2Frun%2Fpg:7/d").to_string(), "u@/run/pg:7/d");
    assert!(error("postgres://a,b/d?port=1,2,3").contains("port in the URL"));
    assert!(error("postgres://a,b/d?hostaddr=10.0.0.1").contains("hostaddr in the URL"));
    assert!(error("postgres://a/d?hostaddr=b").contains("not an IP address"));
    assert!(error("postgres:///d?host=%40abstract").contains("abstract"));
    for port in ["0", "65536", "x", "-1"] {
        assert!(error(&format!("postgres://h:{port}/d")).contains("65535"), "{port}");
    }
}

#[test]
fn an_address_names_the_host_where_a_directory_would() {
    let host = &options("postgres://u@/d?host=/run/pg&hostaddr=10.0.0.1").hosts[0];
    assert_eq!((host.is_directory(), host.name.as_str()), (false, "10.0.0.1"));
}

#[test]
fn the_password_of_the_url_goes_before_the_command_before_the_rest() {
    let service = "[fx]\npassword=service\n";
    let home = TestHome::with(&[("PGPASSWORD", "env")]).file(".pg_service.conf", service, 0o600).file(
        ".pgpass",
        "h:5432:d:u:file\n*:*:*:*:other\n",
        0o600,
    );
    let without_command = home.environment();
    let with_command = home.environment().with_password_command("echo command", "");
    let password = |url: &str, environment: &Environment| {
        password_for_first_host(&ConnectOptions::parse(url, environment).unwrap()).unwrap()
    };
    assert_eq!(password("postgres://u:url@h/d", &with_command), "url");
    assert_eq!(password("postgres://u@h/d?password=url", &with_command), "url");
    assert_eq!(password("postgres://u@h/d?service=fx", &with_command), "command");
    assert_eq!(password("postgres://u@h/d?service=fx", &without_command), "service");
    assert_eq!(password("postgres://u@h/d", &without_command), "env");
    let home = TestHome { variables: Vec::new(), ..home };
    assert_eq!(password_for_first_host(&home.options("postgres://u@h/d")).unwrap(), "file");
    assert_eq!(password_for_first_host(&home.options("postgres://u@i/d")).unwrap(), "other");
    assert_eq!(password_for_first_host(&options("postgres://u@h/d")), None);
}

#[test]
fn paths_in_a_url_are_relative_to_its_directory_and_those_in_variables_are_not() {
    let home = TestHome::new().file("conf/pass", "*:*:*:*:beside the configuration\n", 0o600).file(
        "conf/ca.pem",
        "",
        0o600,
    );
    let parse = |url: &str, variables: &[(&str, &str)]| {
        let environment = Environment::from_variables(home.dir.path(), variables);
        let environment = environment.with_url_dir(home.path("conf"));
        ConnectOptions::parse(url, &environment).unwrap()
    };
    let in_url = parse("postgres://u@h/d?passfile=pass", &[]);
    assert_eq!(password_for_first_host(&in_url).unwrap(), "beside the configuration");
    let in_variable = parse("postgres://u@h/d", &[("PGPASSFILE", "pass")]);
    assert_eq!(password_for_first_host(&in_variable), None);
    let roots = |url: &str| parse(url, &[]).tls.verification;
    let there = Roots::File(home.path("conf/ca.pem"));
    assert_eq!(
        roots("postgres://h/d?sslmode=verify-full&sslrootcert=ca.pem"),
        Verification::IssuerAndName(there)
    );
    assert_eq!(roots("postgres://h/d?sslrootcert=system"), Verification::IssuerAndName(Roots::System));
}

#[test]
fn password_files_can_be_named_and_call_default_socket_directories_localhost() {
    let text = "localhost:5432:d:u:local\n/run/pg:5432:d:u:there\n";
    let mut home = TestHome::new().file("pass", text, 0o600);
    let path = home.path("pass");
    home.variables.push(("PGPASSFILE", path.to_str().unwrap().to_owned()));
    let password =
        |host: &str| password_for_first_host(&home.options(&format!("postgres://u@/d?host={host}"))).unwrap();
    assert_eq!(password("/var/run/postgresql"), "local");
    assert_eq!(password("/tmp"), "local");
    assert_eq!(password("localhost"), "local");
    assert_eq!(password("/run/pg"), "there");
}

#[test]
fn settings_without_effect_are_warned_of() {
    let home = TestHome::with(&[("PGKRBSRVNAME", "postgres")]).file(".pgpass", "*:*:*:*:hunter2", 0o644);
    let options = home.options("postgres://u@h/d");
    assert_eq!(options.warnings()[0], "krbsrvname in PGKRBSRVNAME is ignored: Kerberos is not supported");
    assert!(options.warnings()[1].contains(".pgpass") && options.warnings()[1].contains("0600"));
    assert_eq!(options.warnings().len(), 2);
    let with_password = home.options("postgres://u:p@h/d");
    assert_eq!(with_password.warnings().len(), 1, "a file that is not looked at is no matter");
}

#[test]
fn what_is_not_supported_is_refused_with_name_and_origin() {
    let refused = [
        "sslpassword=x",
        "requirepeer=postgres",
        "sslnegotiation=direct",
        "sslcertmode=require",
        "gssencmode=require",
        "replication=database",
    ];
    for pair in refused {
        let message = error(&format!("postgres://h/d?{pair}"));
        let name = pair.split('=').next().unwrap();
        assert!(message.starts_with(&format!("{name} in the URL is not supported: ")), "{message}");
    }
    let message = TestHome::with(&[("PGREQUIREPEER", "root")]).error("postgres://h/d");
    assert!(message.starts_with("requirepeer in PGREQUIREPEER is not supported"), "{message}");
    options("postgres://h/d?gssencmode=disable&sslnegotiation=postgres&client_encoding=auto&sslcrl=");
}

#[test]
fn a_wrong_word_or_number_is_reported_with_the_right_ones() {
    let message = error("postgres://h/d?sslmode=full");
    assert_eq!(
        message,
        "sslmode in the URL is `full`: choose one of disable, allow, prefer, require, verify-ca, verify-full"
    );
    let names = ["connect_timeout", "keepalives", "keepalives_idle", "keepalives_count", "tcp_user_timeout"];
    for name in names {
        let message = error(&format!("postgres://h/d?{name}=soon"));
        assert_eq!(message, format!("{name} in the URL is not a whole number"));
    }
    assert!(error("postgres://h/d?target_session_attrs=writable").contains("read-write"));
    assert!(error("postgres://h/d?channel_binding=maybe").contains("require"));
    assert!(error("postgres://h/d?load_balance_hosts=yes").contains("random"));
}

#[test]
fn timeouts_and_keepalives_have_defaults_and_can_be_turned_off() {
    let standard = options("postgres://h/d");
    assert_eq!(standard.timeout, Some(Duration::from_secs(10)));
    assert!(standard.base.get_keepalives());
    assert_eq!(standard.base.get_keepalives_idle(), Duration::from_secs(30));
    assert_eq!(standard.base.get_keepalives_interval(), Some(Duration::from_secs(10)));
    assert_eq!(standard.base.get_keepalives_retries(), Some(3));
    assert_eq!(standard.base.get_tcp_user_timeout(), None);
    let query =
        "connect_timeout=0&keepalives=0&keepalives_interval=0&keepalives_count=-1&tcp_user_timeout=1500";
    let given = options(&format!("postgres://h/d?{query}"));
    assert_eq!(given.timeout, None);
    assert!(!given.base.get_keepalives());
    assert_eq!(given.base.get_keepalives_interval(), None);
    assert_eq!(given.base.get_keepalives_retries(), None);
    assert_eq!(given.base.get_tcp_user_timeout(), Some(&Duration::from_millis(1500)));
}

#[test]
fn the_application_name_of_the_user_goes_before_that_of_the_program() {
    assert_eq!(options("postgres://h/d").application_name(), "");
    let environment = || TestHome::new().environment().with_fallback_application_name("program");
    let name = |url: &str| ConnectOptions::parse(url, &environment()).unwrap().application_name().to_owned();
    assert_eq!(name("postgres://h/d"), "program");
    assert_eq!(name("postgres://h/d?fallback_application_name=a"), "a");
    assert_eq!(name("postgres://h/d?fallback_application_name=a&application_name=b"), "b");
}

#[test]
fn a_default_of_read_write_does_not_replace_what_the_user_set() {
    let mut unset = options("postgres://h/d");
    assert_eq!(unset.role, None);
    unset.default_to_read_write();
    assert_eq!(unset.role, Some(Role::ReadWrite));
    let mut any = options("postgres://h/d?target_session_attrs=any");
    any.default_to_read_write();
    assert_eq!(any.role, Some(Role::Any));
}

#[test]
fn sslmode_says_whether_to_try_with_tls_or_without() {
    use Encryption::{Disable, Prefer, Require};
    let cases: [(&str, &[Encryption]); 5] = [
        ("", &[Prefer, Disable]),
        ("?sslmode=disable", &[Disable]),
        ("?sslmode=allow", &[Disable, Require]),
        ("?sslmode=require", &[Require]),
        ("?ssl=true", &[Require]),
    ];
    for (query, wanted) in cases {
        let options = options(&format!("postgres://h/d{query}"));
        assert_eq!(options.tls.encryptions(), wanted, "{query}");
        assert_eq!(options.tls.verification, Verification::Nothing, "{query}");
    }
}

#[test]
fn verification_without_roots_says_what_to_give() {
    for mode in ["verify-ca", "verify-full"] {
        let message = error(&format!("postgres://h/d?sslmode={mode}"));
        assert!(message.contains(mode) && message.contains("sslrootcert=FILE"), "{message}");
    }
}

#[test]
fn a_root_certificate_at_home_makes_require_verify_the_issuer() {
    let home = TestHome::new().file(".postgresql/root.crt", "", 0o644);
    let at_home = Roots::File(home.path(".postgresql/root.crt"));
    let verification = |query: &str| home.options(&format!("postgres://h/d?{query}")).tls.verification;
    assert_eq!(verification("sslmode=prefer"), Verification::Nothing);
    assert_eq!(verification("sslmode=require"), Verification::Issuer(at_home.clone()));
    assert_eq!(verification("sslmode=verify-ca"), Verification::Issuer(at_home.clone()));
    assert_eq!(verification("sslmode=verify-full"), Verification::IssuerAndName(at_home));
    let given = Roots::File("/ca.pem".into());
    assert_eq!(verification("sslmode=require&sslrootcert=/ca.pem"), Verification::Issuer(given));
}

#[test]
fn the_systems_roots_go_with_full_verification_only() {
    let tls = options("postgres://h/d?sslrootcert=system").tls;
    assert_eq!(
        (tls.mode, tls.verification),
        (SslMode::VerifyFull, Verification::IssuerAndName(Roots::System))
    );
    options("postgres://h/d?sslrootcert=system&sslmode=verify-full");
    assert!(error("postgres://h/d?sslrootcert=system&sslmode=require").contains("sslmode=verify-full"));
}

#[test]
fn sockets_in_directories_need_no_certificates() {
    let tls = options("postgres://u@%2Frun%2Fpg/d?sslmode=verify-full").tls;
    assert_eq!(tls.mode, SslMode::Disable);
    assert!(error("postgres://u@%2Frun%2Fpg,h/d?sslmode=verify-full").contains("sslrootcert"));
}

#[test]
fn tls_versions_can_be_narrowed_but_not_below_what_is_safe() {
    options("postgres://h/d?ssl_min_protocol_version=TLSv1&ssl_max_protocol_version=tlsv1.2");
    assert!(error("postgres://h/d?ssl_max_protocol_version=TLSv1.1").contains("TLSv1.3"));
    let message = error("postgres://h/d?ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2");
    assert!(message.contains("is above"), "{message}");
}

fn load_error(home: &TestHome, query: &str) -> String {
    let options = home.options(&format!("postgres://h/d?{query}"));
    match options.tls.load() {
        Err(error @ ConnectError::Configuration { .. }) => format!("{error} {error:?}"),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("{query} was taken"),
    }
}

fn path_text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn certificates_that_cannot_be_read_are_named() {
    let home = TestHome::new().file("empty", "", 0o600).file("bad", "-----BEGIN hunter2", 0o600);
    for (file, word) in [("none", "cannot read"), ("empty", "no certificates"), ("bad", "no certificates")] {
        let path = home.path(file);
        let message = load_error(&home, &format!("sslmode=require&sslrootcert={}", path_text(&path)));
        assert!(message.contains(word) && message.contains(path_text(&path)), "{message}");
    }
}

#[test]
fn a_client_key_must_be_private_and_is_never_printed() {
    let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nhunter2=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let damaged = "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n";
    for (key, mode, word) in [
        (encrypted, 0o600, "without a password"),
        (damaged, 0o600, "without a password"),
        (encrypted, 0o644, "0600"),
    ] {
        let home = TestHome::new().file(".postgresql/postgresql.crt", certificate, 0o644).file(
            ".postgresql/postgresql.key",
            key,
            mode,
        );
        let message = load_error(&home, "sslmode=require");
        assert!(message.contains(word) && message.contains("postgresql.key"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn no_secret_is_printed_with_the_options() {
    let home = TestHome::with(&[("PGOPTIONS", "-c hunter2=1"), ("PGPASSWORD", "hunter2")]);
    let urls = ["postgres://u:hunter2@h/d", "postgres://u@h/d?password=hunter2", "postgres://u@h/d"];
    for url in urls {
        let options =
            ConnectOptions::parse(url, &home.environment().with_password_command("echo hunter2", ""))
                .unwrap();
        let printed = format!("{options:?} {options} {:?}", options.warnings());
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(printed.contains("\"h:5432\"") && printed.contains("prefer"), "{printed}");
    }
}

#[test]
fn a_port_that_is_a_part_of_the_password_is_not_repeated() {
    let message = error("postgres://u:hunter2/x");
    assert!(!message.contains("hunter2") && message.contains("%2F"), "{message}");
}

/// Options for a server that handles each connection with `serve`.
fn options_for_server(serve: fn(std::net::TcpStream)) -> ConnectOptions {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    options(&format!("postgres://u:hunter2@127.0.0.1:{port}/d?sslmode=require"))
}

fn connect_error(options: &ConnectOptions) -> ConnectError {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(options.connect()).err().unwrap();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    error
}

fn keep_silent(stream: std::net::TcpStream) {
    std::mem::forget(stream);
}

/// Agrees to TLS and closes the connection.
fn break_off(mut stream: std::net::TcpStream) {
    use std::io::{Read, Write};
    stream.read_exact(&mut [0; 8]).unwrap();
    stream.write_all(b"S").unwrap();
}

#[test]
fn a_server_that_accepts_and_stays_silent_times_out() {
    let mut options = options_for_server(keep_silent);
    options.timeout = Some(Duration::from_millis(50));
    let error = connect_error(&options);
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error:?}");
    assert!(!error.is_final());
}

#[test]
fn a_handshake_that_breaks_off_is_not_a_tls_error() {
    let error = connect_error(&options_for_server(break_off));
    assert!(matches!(error, ConnectError::Connection { .. }), "{error:?}");
    assert!(!error.is_final());
}

#[test]
fn all_hosts_are_tried_and_all_are_reported() {
    let mut both = options_for_server(break_off);
    let silent = options_for_server(keep_silent);
    both.timeout = Some(Duration::from_millis(200));
    both.hosts.extend(silent.hosts);
    let error = connect_error(&both);
    let ConnectError::AllFailed { failures } = &error else { panic!("{error:?}") };
    assert_eq!(failures.len(), 2);
    assert!(both.hosts.iter().all(|host| error.to_string().contains(&host.to_string())), "{error}");
}
