//! What may happen to a follower and its store while bars come in: kills, restarts, second writers, sources that are changed,
//! tables that are taken away. What it has stored at the end is what one run stores.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use crate::checker::Contents;
use crate::following::Feed;
use crate::pooler::Pooler;
use crate::running::signal;
use crate::sandbox::Answer;
use crate::server::{Server, Setup, Shutdown, shared};
use crate::stopped::with_signal;
use crate::workload::{ONE, SMALL, Workload};

const KEY: &str = "eurusd";
const RATE: &str = "reg_rate_eurusd_2017_01";
const BQX: &str = "reg_bqx_eurusd_2017_01";

/// The steps of an append.
const STEPS: [&str; 8] = [
    "append-began",
    "append-locked",
    "append-looked",
    "append-rows-1",
    "append-rows-2",
    "append-receipt",
    "commit-sent",
    "commit-answered",
];

/// A month that is done but for its last 40 bars, which come later.
fn month(server: &Server) -> (Workload<'_>, Feed) {
    let workload = Workload::on(server, ONE);
    let feed = workload.keep_back(KEY, "2017-01-31 04:00");
    workload.done();
    (workload, feed)
}

fn by_default(workload: &Workload<'_>, setting: &str) {
    workload.database.sql(&format!("alter database {} set {setting}", workload.database.name()));
}

/// A text that changes when the row of an instant is written again.
fn version(workload: &Workload<'_>, at: &str) -> String {
    workload.database.one(&format!("select xmin::text from {RATE} where ts_utc = '{at}+00'"))
}

#[track_caller]
fn rows_added(answer: &Answer) -> u64 {
    answer.json()["follow"]["appended_rows"].as_u64().unwrap()
}

#[test]
fn killed_at_each_step_of_an_append_it_leaves_all_or_nothing_and_the_next_one_continues() {
    let (workload, mut feed) = month(shared());
    for step in STEPS {
        let before = Contents::from_database(&workload.database);
        let failpoint = with_signal(step, "KILL");
        let follower = workload.follow(&[("ROLLFIT_FAILPOINT", &failpoint)]);
        let at = feed.bar();
        assert_eq!(follower.0.finish().status.signal(), Some(9), "{step}");
        let left = Contents::from_database(&workload.database);
        workload.done();
        let after = Contents::from_database(&workload.database);
        let names = |contents: &Contents, other: &Contents| {
            let differences = contents.differences(other);
            differences
                .into_iter()
                .filter(|name| !name.contains("m1_") && !name.starts_with("public.bqx_"))
                .count()
        };
        assert!(names(&left, &before) == 0 || names(&left, &after) == 0, "{step}");
        workload.wait_for_features(KEY, &at);
    }
    workload.is_as_one_run_makes_it();
}

#[test]
fn whatever_isolation_level_the_role_has_nothing_is_lost_or_doubled() {
    for level in ["read uncommitted", "repeatable read", "serializable"] {
        let (workload, mut feed) = month(shared());
        by_default(&workload, &format!("default_transaction_isolation = '{level}'"));
        let follower = workload.follow(&[]);
        for _ in 0..3 {
            let at = feed.bar();
            workload.wait_for_features(KEY, &at);
        }
        assert_eq!(rows_added(&follower.stop()), 3, "{level}");
        workload.is_as_one_run_makes_it();
    }
}

#[test]
fn two_followers_add_each_bar_once() {
    let (workload, mut feed) = month(shared());
    let bars = feed.len() as u64;
    let followers = [0; 2].map(|_| workload.follow(&[]));
    while feed.len() > 0 {
        feed.bar();
        std::thread::sleep(Duration::from_millis(10));
    }
    workload.wait_for_features(KEY, "2017-01-31 23:30:00");
    let added: u64 = followers.into_iter().map(|follower| rows_added(&follower.stop())).sum();
    assert!((1..=bars).contains(&added), "{added} rows were added for {bars} bars");
    workload.is_as_one_run_makes_it();
}

#[test]
fn whoever_is_overtaken_between_look_and_lock_adds_nothing_twice() {
    for has_key in [true, false] {
        let (workload, mut feed) = month(shared());
        if !has_key {
            let drop_key = |table| format!("alter table {table} drop constraint {table}_pkey;");
            workload.database.sql(&[RATE, BQX].map(drop_key).concat());
        }
        let failpoint = with_signal("connected", "STOP");
        let follower = workload.follow(&[("ROLLFIT_FAILPOINT", &failpoint)]);
        feed.bar();
        follower.wait_until_stopped();
        assert_eq!(workload.done()["written"], 1, "another runner adds the bar that the follower has read");
        signal(&follower.0, "CONT");
        let at = feed.bar();
        workload.wait_for_features(KEY, &at);
        assert_eq!(rows_added(&follower.stop()), 1);
        if !has_key {
            let add_key = |table| format!("alter table {table} add primary key (ts_utc);");
            workload.database.sql(&[RATE, BQX].map(add_key).concat());
        }
        workload.is_as_one_run_makes_it();
    }
}

#[test]
fn a_follower_and_full_runs_do_not_trip_over_each_other() {
    let (workload, mut feed) = month(shared());
    let follower = workload.follow(&[]);
    for _ in 0..3 {
        let run = workload.start(&[], &["--force"]);
        for _ in 0..10 {
            feed.bar();
            std::thread::sleep(Duration::from_millis(10));
        }
        run.finish().exits(0);
    }
    let at = feed.rest();
    workload.wait_for_features(KEY, &at);
    follower.stop();
    workload.is_as_one_run_makes_it();
}

#[test]
fn a_source_that_corrects_yesterday_is_found_at_the_next_look_or_when_all_is_read_again() {
    // Within the last 120 rows: at once. Further back: when the month is read as a whole.
    for (corrected, recheck_s) in [("2017-01-30 00:00:00", "3600"), ("2017-01-10 00:00:00", "1")] {
        let (workload, mut feed) = month(shared());
        let follower = workload.follow(&[("ROLLFIT_RUN__RECHECK_EVERY_S", recheck_s)]);
        let before = version(&workload, corrected);
        workload.database.sql(&format!("update m1_eurusd set rate_index = 99 where time = '{corrected}'"));
        let at = feed.bar();
        workload.wait_for_features(KEY, &at);
        let is_new = format!("select xmin::text <> '{before}' from {RATE} where ts_utc = '{corrected}+00'");
        workload.wait_until("the corrected row", &is_new);
        follower.stop();
        workload.is_as_one_run_makes_it();
    }
}

#[test]
fn an_older_bar_that_a_long_transaction_commits_later_is_found() {
    // Among the last 120 rows, and far before them.
    for late in ["2017-01-30 12:00:00", "2017-01-12 12:00:00"] {
        let (workload, mut feed) = month(shared());
        let mut old = workload.database.connect();
        let rows = format!(
            "with gone as (delete from m1_eurusd where time = '{late}' returning *) select rate_index::text from gone"
        );
        let value = workload.database.texts(&rows)[0][0].clone().unwrap();
        workload.run(&["run", "--force", "--quiet"]).exits(0);
        let follower = workload.follow(&[]);
        old.batch_execute(&format!("begin; insert into m1_eurusd values ('{late}', '{value}')")).unwrap();
        let at = feed.bar();
        workload.wait_for_features(KEY, &at);
        old.batch_execute("commit").unwrap();
        feed.bar();
        workload.wait_for_features(KEY, late);
        follower.stop();
        workload.is_as_one_run_makes_it();
    }
}

#[test]
fn two_bars_with_one_instant_are_told_and_left_until_one_is_gone() {
    let (workload, mut feed) = month(shared());
    workload
        .database
        .sql("alter table m1_eurusd drop constraint m1_eurusd_pkey; create index on m1_eurusd (time)");
    let mut follower = workload.follow(&[]);
    let at = feed.bar();
    workload.wait_for_features(KEY, &at);
    workload.database.sql(&format!("insert into m1_eurusd values ('{at}', 98)"));
    let next = feed.bar();
    let told = follower.0.wait_for_stage("behind");
    assert!(told["message"].as_str().unwrap().contains("2017-01-31T04:00"), "{told}");
    workload.database.sql(&format!("delete from m1_eurusd where time = '{at}' and rate_index = 98"));
    workload.wait_for_features(KEY, &next);
    follower.0.wait_for_stage("caught-up");
    follower.stop();
    workload.is_as_one_run_makes_it();
}

#[test]
fn a_trigger_that_appears_ends_adding_but_not_following() {
    let (workload, mut feed) = month(shared());
    let follower = workload.follow(&[]);
    let first = feed.bar();
    workload.wait_for_features(KEY, &first);
    let mut before = version(&workload, &first);
    workload.database.sql(&format!(
        "create function kept() returns trigger language plpgsql as 'begin return new; end';
         create trigger kept before insert on {BQX} for each row execute function kept()"
    ));
    for is_rewritten in [true, false] {
        let at = feed.bar();
        workload.wait_for_features(KEY, &at);
        let after = version(&workload, &first);
        assert_eq!(before != after, is_rewritten);
        before = after;
        workload.database.sql("drop function if exists kept cascade");
    }
    follower.stop();
    workload.is_as_one_run_makes_it();
}

#[test]
fn a_leaf_that_is_taken_away_is_made_again() {
    let (workload, mut feed) = month(shared());
    let follower = workload.follow(&[]);
    for _ in 0..2 {
        let at = feed.bar();
        workload.wait_for_features(KEY, &at);
        workload.database.sql(&format!("drop table {RATE}, {BQX}"));
    }
    let at = feed.bar();
    workload.wait_for_features(KEY, &at);
    follower.stop();
    workload.is_as_one_run_makes_it();
}

#[test]
fn one_leaf_that_is_taken_away_is_told_and_the_other_is_left_alone() {
    let (workload, mut feed) = month(shared());
    let mut follower = workload.follow(&[]);
    workload.database.sql(&format!("drop table {RATE}"));
    let at = feed.bar();
    let told = follower.0.wait_for_stage("behind");
    assert!(told["message"].as_str().unwrap().contains("foreign"), "{told}");
    let rows: i64 = workload.database.one(&format!("select count(*) from {BQX}"));
    assert_eq!(rows, 1488 - 40, "rows that nobody can vouch for are left alone");
    workload.database.sql(&format!("drop table {BQX}"));
    workload.wait_for_features(KEY, &at);
    follower.stop();
    workload.is_as_one_run_makes_it();
}

#[test]
fn the_month_turns_while_the_server_is_down_and_one_side_lags() {
    let server = Server::start();
    let workload = Workload::on(&server, SMALL);
    workload.reconfigure(|text| {
        text.replace("\"reset\"", "\"carry\"").replace("to = \"2017-02\"", "to = \"latest\"")
    });
    drop(workload.keep_back(KEY, "2017-02-02"));
    let mut feed = workload.keep_back(KEY, "2017-01-31 20:00");
    workload.done();
    let mut follower = workload.follow(&[]);
    let at = feed.bars(3);
    workload.wait_for_features(KEY, &at);
    server.stop(Shutdown::Fast);
    follower.0.wait_for_stage("store-lost");
    server.start_again();
    // The rates are in the next month already when the returns of the old one come.
    let mut feed = feed.reconnected(&workload);
    let late: Vec<_> = (0..20).map(|_| feed.take()).collect();
    late.iter().for_each(|bar| feed.send(0, bar));
    for bar in &late {
        feed.send(1, bar);
        workload.wait_for_features(KEY, &bar.at);
    }
    let at = feed.rest();
    workload.wait_for_features(KEY, &at);
    follower.stop();
    workload.is_as_one_run_makes_it();
}

#[test]
fn restarts_and_crashes_of_the_server_are_outlived() {
    let server = Server::start();
    let (workload, mut feed) = month(&server);
    let mut follower = workload.follow(&[]);
    for shutdown in [Shutdown::Fast, Shutdown::Immediate] {
        server.restart(shutdown);
        feed = feed.reconnected(&workload);
        let at = feed.bars(2);
        workload.wait_for_features(KEY, &at);
    }
    server.stop(Shutdown::Immediate);
    follower.0.wait_for_stage("store-lost");
    server.start_again();
    follower.0.wait_for_stage("store-back");
    let mut feed = feed.reconnected(&workload);
    let at = feed.bar();
    workload.wait_for_features(KEY, &at);
    follower.stop();
    workload.is_as_one_run_makes_it();
}

#[test]
fn sessions_that_are_ended_do_not_end_it() {
    let (workload, mut feed) = month(shared());
    let follower = workload.follow(&[]);
    for _ in 0..3 {
        let ended: i64 = workload.database.one(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where application_name like 'rollfit %' and datname = current_database()",
        );
        assert!(ended >= 1);
        let at = feed.bar();
        workload.wait_for_features(KEY, &at);
    }
    follower.stop();
    workload.is_as_one_run_makes_it();
}

#[test]
fn a_password_that_expires_is_asked_for_again_until_it_is_right() {
    let setup = Setup::default().over_tcp().access(&["host all loader 127.0.0.1/32 scram-sha-256"]);
    let server = setup.start();
    server.sql("create role loader superuser login password 'hunter-one'");
    let (workload, mut feed) = month(&server);
    workload.sandbox.write("token", "hunter-one");
    let url = server.tcp_url("127.0.0.1", workload.database.name()).replace("postgres@", "loader@");
    let command = "echo asked >> asked; cat token";
    let variables = [("ROLLFIT_STORE__URL", url.as_str()), ("ROLLFIT_STORE__PASSWORD_COMMAND", command)];
    let mut follower = workload.follow(&variables);
    let asked = || fs::read_to_string(workload.sandbox.path("asked")).unwrap().lines().count();
    let before = asked();
    // The token is of no use any more before its sessions are ended: together, they could begin again before the commit.
    server.sql("alter role loader password 'hunter-two'");
    server.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'loader'");
    follower.0.wait_for_stage("store-lost");
    let at = feed.bar();
    let started = Instant::now();
    while asked() < before + 2 {
        assert!(started.elapsed() < Duration::from_secs(60), "the token is not asked for again");
        std::thread::sleep(Duration::from_millis(5));
    }
    workload.sandbox.write("token", "hunter-two");
    workload.wait_for_features(KEY, &at);
    let answer = follower.stop();
    assert!(!answer.to_string().contains("hunter"), "{answer}");
    workload.is_as_one_run_makes_it();
}

#[test]
fn it_lives_behind_a_pooler_that_lends_connections_by_the_transaction() {
    let (workload, mut feed) = month(shared());
    let pooler = Pooler::before(workload.database.server(), 2);
    let url = pooler.url(workload.database.name());
    let followers = [0; 2].map(|_| workload.follow(&[("ROLLFIT_STORE__URL", &url)]));
    for _ in 0..10 {
        let at = feed.bar();
        workload.wait_for_features(KEY, &at);
    }
    followers.into_iter().for_each(|follower| drop(follower.stop()));
    workload.is_as_one_run_makes_it();
}

#[test]
fn it_moves_over_to_the_standby_that_takes_over() {
    let server = Server::start();
    let (workload, mut feed) = month(&server);
    let standby = server.standby();
    let url = server.url_before(&standby, workload.database.name());
    let follower = workload.follow(&[("ROLLFIT_STORE__URL", &url)]);
    let at = feed.bar();
    workload.wait_for_features(KEY, &at);
    standby.catches_up_with(&server);
    server.stop(Shutdown::Immediate);
    standby.promote();
    let mut client = crate::sql::connect(&standby.url(workload.database.name()));
    let bar = feed.take();
    (0..2).for_each(|side| client.batch_execute(&bar.insert(side, KEY)).unwrap());
    let has = format!("select exists (select from {BQX} where ts_utc = '{}+00')", bar.at);
    while !client.query_one(&has, &[]).unwrap().get::<_, bool>(0) {
        std::thread::sleep(Duration::from_millis(5));
    }
    follower.stop();
    let there = [("ROLLFIT_STORE__URL", standby.url(workload.database.name()))];
    let there = there.each_ref().map(|(name, url)| (*name, url.as_str()));
    workload.run_with(&there, &["verify", "--quiet"]).exits(0);
}

#[test]
fn a_signal_lets_it_finish_what_it_commits() {
    let (workload, mut feed) = month(shared());
    let failpoint = with_signal("append-receipt", "STOP");
    let follower = workload.follow(&[("ROLLFIT_FAILPOINT", &failpoint)]);
    let at = feed.bar();
    follower.wait_until_stopped();
    signal(&follower.0, "TERM");
    signal(&follower.0, "CONT");
    let answer = follower.0.finish().exits(0);
    assert_eq!(rows_added(&answer), 1, "{answer}");
    workload.wait_for_features(KEY, &at);
    feed.rest();
    workload.done();
    workload.is_as_one_run_makes_it();
}
