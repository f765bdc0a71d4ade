//! The harness itself: what it starts answers and is gone afterwards, and its faults strike at the moments they promise.

use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use crate::certificates::Presented;
use crate::faults::{Fault, When, is_commit};
use crate::pooler::Pooler;
use crate::programs::{as_server_user, postgres_program};
use crate::proxy::Proxy;
use crate::server::{Server, Setup, Shutdown, shared};
use crate::sql::{Database, connect};

/// Tells [`waits_to_be_killed`] that it is to do so.
const WAIT_TO_BE_KILLED: &str = "TEST_WAITS_TO_BE_KILLED";

fn postmaster_of(server: &Server) -> u32 {
    let text = std::fs::read_to_string(server.data().join("postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

fn is_running(process: u32) -> bool {
    // Of one that has ended and is not yet buried, the command line is empty.
    std::fs::read(format!("/proc/{process}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[test]
fn a_server_answers_and_nothing_of_it_is_left_afterwards() {
    let server = Server::start();
    let (process, directory) = (postmaster_of(&server), server.host());
    let database = server.database();
    assert!(database.one::<i32>("select current_setting('server_version_num')::int4") >= 150_000);
    drop(database);
    assert!(is_running(process));
    drop(server);
    assert!(!is_running(process) && !Path::new(&directory).exists());
}

#[test]
fn a_killed_test_leaves_no_server() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "harness_works::waits_to_be_killed", "--nocapture"]).env(WAIT_TO_BE_KILLED, "1");
    let mut test = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(test.stdout.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find_map(|line| line.split_once("server: ").map(|(_, rest)| rest.to_owned())).unwrap();
    let (process, directory) = line.split_once(' ').unwrap();
    assert!(is_running(process.parse().unwrap()) && Path::new(directory).exists());
    test.kill().unwrap();
    assert_eq!(test.wait().unwrap().signal(), Some(9));
    let started = Instant::now();
    while is_running(process.parse().unwrap()) || Path::new(directory).exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "{line} is left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Not a test of its own: what [`a_killed_test_leaves_no_server`] kills.
#[test]
fn waits_to_be_killed() {
    if std::env::var_os(WAIT_TO_BE_KILLED).is_some() {
        let server = shared();
        println!("server: {} {}", postmaster_of(server), server.host());
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

#[test]
fn a_server_has_the_settings_and_the_access_rules_of_its_test() {
    let server = Setup::default()
        .set("max_connections", "7")
        .set("lock_timeout", "12s")
        .over_tcp()
        .access(&["host all all 127.0.0.1/32 scram-sha-256"])
        .start();
    let database = server.database();
    let shown = |setting| database.one::<String>(&format!("select current_setting('{setting}')"));
    assert_eq!(["max_connections", "lock_timeout", "wal_level"].map(shown), ["7", "12s", "replica"]);
    server.sql("create role reader login password 'right'");
    let url = |password| {
        let user = format!("//reader:{password}@");
        server.tcp_url("127.0.0.1", database.name()).replace("//postgres@", &user)
    };
    connect(&url("right"));
    let error = Client::connect(&url("wrong"), NoTls).err().unwrap();
    assert_eq!(error.code(), Some(&SqlState::INVALID_PASSWORD));
}

#[test]
fn databases_of_one_server_are_apart_and_go_with_their_tests() {
    let [one, other] = [Database::fresh(), Database::fresh()];
    one.sql("create table t as select 1.50 as digits, null::int4 as nothing");
    other.sql("create table t as select 2 as digits");
    assert_eq!(one.texts("select * from t"), [[Some("1.50".to_owned()), None]]);
    assert_eq!(other.one::<i32>("select digits from t"), 2);
    let (name, _session_that_is_in_the_way) = (one.name().to_owned(), one.connect());
    drop(one);
    let query = format!("select count(*) from pg_database where datname = '{name}'");
    assert_eq!(other.one::<i64>(&query), 0);
    assert!(std::ptr::eq(other.server(), shared()));
}

#[test]
fn a_server_comes_back_with_what_was_committed() {
    let server = Server::with(&[("log_checkpoints", "on")]);
    let database = server.database();
    database.sql("create table t as select 1 as a");
    let mut session = database.connect();
    session.batch_execute("begin; insert into t values (2)").unwrap();
    server.restart(Shutdown::Immediate);
    assert!(server.log().contains("automatic recovery in progress"), "{}", server.log());
    assert!(session.batch_execute("commit").is_err());
    server.restart(Shutdown::Fast);
    server.stop(Shutdown::Fast);
    assert!(Client::connect(&database.url(), NoTls).is_err());
    server.start_again();
    assert_eq!(database.one::<i64>("select count(*) from t"), 1);
}

/// A database with a table `t` of one row, and a proxy before it.
struct Network {
    database: Database<'static>,
    proxy: Proxy,
}

impl Network {
    fn new() -> Self {
        let database = Database::fresh();
        database.sql("create table t as select 1 as a");
        let proxy = Proxy::before(&database.server().socket());
        Self { database, proxy }
    }

    fn connect(&self) -> Client {
        connect(&self.proxy.url(self.database.name()))
    }

    /// Adds a row in a transaction.
    fn add_row(&self) -> Result<(), postgres::Error> {
        let mut client = self.connect();
        let mut transaction = client.transaction()?;
        transaction.execute("insert into t values (2)", &[])?;
        transaction.commit()
    }

    fn add_row_with(&self, when: When, fault: Fault) -> Result<(), postgres::Error> {
        self.proxy.arm(when, fault);
        let added = self.add_row();
        self.proxy.wait_until_struck();
        added
    }

    /// The rows, once no other session is at work.
    fn rows_at_last(&self) -> i64 {
        let others = "select count(*) from pg_stat_activity where datname = current_database()
                      and pid <> pg_backend_pid() and backend_type = 'client backend'";
        let started = Instant::now();
        while self.database.one::<i64>(others) > 0 {
            assert!(started.elapsed() < Duration::from_secs(60), "a session is left");
            std::thread::sleep(Duration::from_millis(5));
        }
        self.database.one("select count(*) from t")
    }
}

fn kind(error: &postgres::Error) -> Option<ErrorKind> {
    error.source()?.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
}

#[test]
fn the_proxy_passes_what_it_is_not_told_to_spoil() {
    let network = Network::new();
    network.add_row().unwrap();
    assert_eq!(network.rows_at_last(), 2);
    let numbers = network.connect().query("select generate_series(1, 100000)", &[]).unwrap();
    assert_eq!(numbers.len(), 100_000);
}

#[test]
fn a_commit_whose_answer_is_lost_has_happened() {
    let network = Network::new();
    assert!(network.add_row_with(When::Answered(is_commit), Fault::Cut).is_err());
    assert_eq!(network.database.one::<i64>("select count(*) from t"), 2);
    network.add_row().unwrap();
    assert_eq!(network.rows_at_last(), 3, "the fault struck once");
}

#[test]
fn a_commit_that_was_sent_happens_and_is_not_answered() {
    let network = Network::new();
    assert!(network.add_row_with(When::Sent(is_commit), Fault::Reset).is_err());
    assert_eq!(network.rows_at_last(), 2);
}

#[test]
fn a_commit_that_the_server_never_saw_has_not_happened() {
    let network = Network::new();
    assert!(network.add_row_with(When::Comes(is_commit), Fault::Cut).is_err());
    assert_eq!(network.rows_at_last(), 1);
}

#[test]
fn a_prepared_statement_is_recognised_when_it_runs() {
    let network = Network::new();
    let is_insert: fn(&str) -> bool = |statement| statement.starts_with("insert");
    let mut client = network.connect();
    let insert = client.prepare("insert into t values (3)").unwrap();
    client.execute(&insert, &[]).unwrap();
    network.proxy.arm(When::Answered(is_insert), Fault::Cut);
    assert!(client.execute(&insert, &[]).is_err());
    assert_eq!(network.rows_at_last(), 3);
}

#[test]
fn a_connection_is_reset_after_so_many_bytes() {
    let network = Network::new();
    let mut client = network.connect();
    network.proxy.arm(When::ToClient(50_000), Fault::Reset);
    let error = client.query("select generate_series(1, 100000)", &[]).unwrap_err();
    assert_eq!(kind(&error), Some(ErrorKind::ConnectionReset), "{error:?}");

    let mut client = network.connect();
    network.proxy.arm(When::ToServer(100_000), Fault::Reset);
    let mut copy = client.copy_in("copy t from stdin").unwrap();
    let text = "7\n".repeat(10_000);
    while std::io::Write::write_all(&mut copy, text.as_bytes()).is_ok() {}
    drop(copy);
    network.proxy.wait_until_struck();
    assert_eq!(network.rows_at_last(), 1);
}

#[test]
fn connections_are_cut_and_reset_on_command() {
    let network = Network::new();
    for fault in [Fault::Cut, Fault::Reset] {
        let mut client = network.connect();
        network.proxy.strike_all(fault);
        assert!(client.batch_execute("select 1").is_err(), "{fault:?}");
        assert!(client.is_closed());
    }
    network.connect().batch_execute("select 1").unwrap();
}

#[test]
fn a_stalled_connection_waits_and_goes_on() {
    let network = Network::new();
    network.proxy.arm(When::Sent(is_commit), Fault::Stall);
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| network.add_row());
        network.proxy.wait_until_struck();
        network.connect().batch_execute("select 1").unwrap();
        network.proxy.strike_all(Fault::Stall);
        let coming = scope.spawn(|| network.add_row());
        assert!(!adding.is_finished() && !coming.is_finished());
        network.proxy.pass();
        adding.join().unwrap().unwrap();
        coming.join().unwrap().unwrap();
    });
    assert_eq!(network.rows_at_last(), 3);
}

#[test]
fn a_pooler_lends_its_connection_for_a_transaction_at_a_time() {
    let database = Database::fresh();
    let pooler = Pooler::before(database.server(), 1);
    let process = |client: &mut Client| {
        let answer = client.simple_query("select pg_backend_pid()").unwrap();
        answer.iter().find_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    };
    let mut clients = [0; 2].map(|_| connect(&pooler.url(database.name())));
    let [one, other] = clients.each_mut().map(process);
    assert!(one.is_some() && one == other, "{one:?} {other:?}");
    let proxy = Proxy::before(&pooler.socket());
    assert_eq!(process(&mut connect(&proxy.url(database.name()))), one);
    assert!(pooler.log().contains("process up"), "{}", pooler.log());
}

#[test]
fn a_small_disk_is_full_until_its_ballast_is_dropped() {
    let Some(server) = Server::with_small_disk(16) else { return };
    let database = server.database();
    database.sql("create table t (a int4)");
    let insert = "insert into t select generate_series(1, 100000)";
    database.fill_disk();
    let error = database.connect().batch_execute(insert).unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::DISK_FULL));
    database.sql("drop table ballast");
    database.sql(insert);
    assert_eq!(database.one::<i64>("select count(*) from t"), 100_000);
}

/// What `psql`, which knows how to doubt a certificate, makes of a server's.
fn psql(server: &Server, host: &str, authority: &Path) -> String {
    let url = server.tcp_url(host, "postgres");
    let mut command = as_server_user(postgres_program("psql"));
    command.env("PGSSLMODE", "verify-full").env("PGSSLROOTCERT", authority);
    let output = command.args(["-X", "-A", "-t", "-c", "select 'well met'", &url]).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn certificates_are_as_good_and_as_bad_as_they_should_be() {
    let [good, wrong_host, expired] =
        [Presented::Good, Presented::WrongHost, Presented::Expired].map(Server::with_tls);
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(psql(&good, host, &good.authority()), "well met\n");
    }
    let said = [
        (psql(&wrong_host, "localhost", &wrong_host.authority()), "does not match host name"),
        (psql(&expired, "localhost", &expired.authority()), "certificate verify failed"),
        (psql(&good, "localhost", &expired.authority()), "certificate verify failed"),
    ];
    for (said, wanted) in said {
        assert!(said.contains(wanted), "{said}");
    }
    let plain = Client::connect(&good.tcp_url("localhost", "postgres"), NoTls);
    assert!(plain.is_err(), "the server insists on TLS");
}

#[test]
fn a_standby_is_read_only_until_it_is_promoted() {
    let primary = Server::start();
    let database = primary.database();
    let standby = primary.standby();
    database.sql("create table t as select 1 as a");
    standby.catches_up_with(&primary);
    let mut session = connect(&standby.url(database.name()));
    assert_eq!(session.query_one("select a from t", &[]).unwrap().get::<_, i32>(0), 1);
    let error = session.batch_execute("insert into t values (2)").unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));

    let url = standby.url_before(&primary, database.name());
    let recovers =
        |url: &str| connect(url).query_one("select pg_is_in_recovery()", &[]).unwrap().get::<_, bool>(0);
    assert!(recovers(&url), "the standby answers first");
    assert!(!recovers(&format!("{url}?target_session_attrs=read-write")));
    primary.stop(Shutdown::Immediate);
    standby.promote();
    session.batch_execute("insert into t values (2)").unwrap();
}
