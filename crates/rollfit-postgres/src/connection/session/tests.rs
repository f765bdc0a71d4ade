//! Tests of sessions with servers that send rows now and then, or what cannot come.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use libpq_connect::Environment;
use rollfit_job::activity::{self, Activity, Lane, Lap};
use rollfit_job::store::Fault;

use super::*;
use crate::connection::pool::Pool;

/// The time limit for replies.
const LIMIT: Duration = Duration::from_millis(600);

/// The way to a server that lets one in and goes on with `script`.
fn server(script: impl FnOnce(TcpStream) + Send + 'static) -> ConnectOptions {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut start = [0; 4096];
        assert!(stream.read(&mut start).unwrap() > 0);
        stream.write_all(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").unwrap();
        script(stream);
    });
    let url = format!("postgres://u@127.0.0.1:{port}/d?sslmode=disable");
    ConnectOptions::parse(&url, &Environment::from_process()).unwrap()
}

/// A session with a server that lets anybody in and goes on with `script`.
fn session(script: impl FnOnce(TcpStream) + Send + 'static) -> Session {
    Session::open(&server(script), LIMIT, Shared::default()).unwrap()
}

/// Waits for the client's next messages and answers them.
fn answer(stream: &mut TcpStream, reply: &[u8]) {
    let mut messages = [0; 4096];
    assert!(stream.read(&mut messages).unwrap() > 0);
    stream.write_all(reply).unwrap();
}

/// Answers until rows of a COPY may come.
fn begin_copy(stream: &mut TcpStream) {
    answer(stream, b"1\0\0\0\x04t\0\0\0\x06\0\0n\0\0\0\x04Z\0\0\0\x05I");
    answer(stream, b"2\0\0\0\x04H\0\0\0\x07\0\0\0");
}

const ROW: &[u8] = b"d\0\0\0\x05x";
const COPY_END: &[u8] = b"c\0\0\0\x04C\0\0\0\x0bCOPY 1\0Z\0\0\0\x05I";

/// Reads rows with a pause between them. Returns how many came, and how it ended.
fn read_rows(session: &mut Session, pause: Duration) -> (usize, Result<(), StoreError>) {
    let mut copy = session.copy_out("read rows", "COPY t TO STDOUT").unwrap();
    let mut rows = 0;
    loop {
        match session.receive(&mut copy) {
            Ok(Some(_)) => rows += 1,
            Ok(None) => return (rows, Ok(())),
            Err(error) => return (rows, Err(error)),
        }
        std::thread::sleep(pause);
    }
}

#[test]
fn rows_that_come_now_and_then_are_not_waited_for_for_ever() {
    let mut session = session(|mut stream| {
        begin_copy(&mut stream);
        while stream.write_all(ROW).is_ok() {
            std::thread::sleep(LIMIT / 4);
        }
    });
    let started = Instant::now();
    let (rows, end) = read_rows(&mut session, Duration::ZERO);
    let error = end.unwrap_err().to_string();
    assert!(error.contains("has not answered for 1 s; the connection to u@127.0.0.1:"), "{error}");
    assert!((2..=6).contains(&rows) && started.elapsed() < 5 * LIMIT, "{rows} {:?}", started.elapsed());
    assert!(!session.is_usable());
}

/// Only what this side waits for counts, not what it does with the rows.
#[test]
fn rows_are_read_to_their_end_however_long_that_takes_here() {
    let mut session = session(|mut stream| {
        begin_copy(&mut stream);
        stream.write_all(&[&ROW.repeat(4), COPY_END].concat()).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let started = Instant::now();
    let (rows, end) = read_rows(&mut session, LIMIT / 2);
    assert_eq!(rows, 4);
    end.unwrap();
    assert!(started.elapsed() > LIMIT);
}

#[test]
fn a_message_that_cannot_come_ends_the_session_with_what_it_was() {
    for (reply, words) in [
        (
            &b"R\0\0\0\x08\0\0\0\x03"[..],
            "the server sent a message of type `R`, which cannot come in a session",
        ),
        (b"D\x40\0\0\0", "with the length 1073741824"),
        (b"T\0\0\0\x06\xff\xff", "the connection to the server was lost (unexpected EOF)"),
        (b"N\0\0\0\x05x", "the server sent a message that cannot be read"),
    ] {
        let mut session = session(|mut stream| {
            answer(&mut stream, reply);
            let _ = stream.read(&mut [0]);
        });
        let error = session.rows("ask", "SELECT 1", &[]).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(!session.is_usable(), "{words}");
    }
    let mut session = session(|mut stream| {
        answer(&mut stream, b"C\0\0\0\x0aBEGIN\0Z\0\0\0\x05T");
        let _ = stream.read(&mut [0]);
    });
    session.execute("begin", "BEGIN").unwrap();
    assert!(session.is_usable());
}

/// The type of a column by its number, and a row with a value of it.
fn one_row(type_oid: u8, value: &[u8]) -> Vec<u8> {
    let description =
        [b"T\0\0\0\x1a\0\x01a\0\0\0\0\0\0\0\0\0\0", &[type_oid][..], b"\0\x04\xff\xff\xff\xff\0\x01"];
    let length = u8::try_from(value.len()).unwrap();
    let row = [b"D\0\0\0", &[10 + length, 0, 1, 0, 0, 0, length][..], value];
    let end = [b"C\0\0\0\x0dSELECT 1\0", &b"Z\0\0\0\x05I"[..]];
    [&b"1\0\0\0\x042\0\0\0\x04"[..], &description.concat(), &row.concat(), &end.concat()].concat()
}

#[test]
fn a_value_of_another_type_than_asked_for_is_an_error() {
    let (text, number) = (25, 23);
    for (reply, is_right) in [
        (one_row(number, &[0, 0, 0, 7]), true),
        (one_row(text, b"seven"), false),
        (one_row(number, &[7]), false),
    ] {
        let mut session = session(move |mut stream| {
            answer(&mut stream, &reply);
            let _ = stream.read(&mut [0]);
        });
        let rows = session.rows("ask", "SELECT 7", &[]).unwrap();
        let get = |index: usize| rows[0].get::<_, i32>(index);
        let value = get(0);
        assert_eq!((value.is_ok(), session.is_usable()), (is_right, is_right), "{value:?}");
        match value {
            Ok(value) => assert_eq!(value, 7),
            Err(error) => assert!(error.to_string().contains("has another form"), "{error}"),
        }
        assert!(get(1).is_err(), "there is no such column");
    }
}

#[test]
fn messages_without_end_are_not_read_without_end() {
    let notices = b"N\0\0\0\x22SNOTICE\0VNOTICE\0C00000\0Mwait\0\0".repeat(100);
    for flood in [notices, b"C\0\0\0\x0aBEGIN\0".repeat(100), b"I\0\0\0\x04".repeat(1000)] {
        let mut session = session(move |mut stream| {
            answer(&mut stream, b"");
            while stream.write_all(&flood).is_ok() {}
        });
        let started = Instant::now();
        let error = session.execute("begin", "BEGIN").unwrap_err().to_string();
        // A second is over, or a million messages: which comes first is a matter of the machine.
        let is_told =
            ["has not answered for 1 s", "more than any server does"].iter().any(|end| error.contains(end));
        assert!(is_told, "{error}");
        assert!(started.elapsed() < 10 * LIMIT, "{:?}", started.elapsed());
    }
}

/// The first queries of a store have at most a minute, and a session that is kept afterwards has the limit of every other.
#[test]
fn only_the_first_queries_of_a_store_have_a_limit_of_their_own() {
    for (limit_s, opening_s) in [(315, 60), (20, 20)] {
        let limit = Duration::from_secs(limit_s);
        let options = server(|mut stream| drop(stream.read(&mut [0])));
        let (session, opening) =
            Pool::new(options, limit).first_session(|session| Ok(session.reply_timeout)).unwrap();
        assert_eq!((session.reply_timeout, opening), (limit, Duration::from_secs(opening_s)));
    }
}

#[test]
fn a_query_in_a_transaction_of_its_own_waits_for_no_answer_before_it_has_sent_all() {
    let mut session = session(|mut stream| {
        let (mut sent, mut messages) = (Vec::new(), [0; 4096]);
        while !sent.windows(8).any(|part| part == b"ROLLBACK") {
            let read = stream.read(&mut messages).unwrap();
            sent.extend_from_slice(&messages[..read]);
        }
        let text = String::from_utf8_lossy(&sent);
        assert!(text.find("BEGIN").unwrap() < text.find("SELECT 7").unwrap(), "{text}");
        let query = b"1\0\0\0\x042\0\0\0\x04t\0\0\0\x06\0\0n\0\0\0\x04C\0\0\0\x0dSELECT 0\0";
        stream.write_all(&[b"Z\0\0\0\x05T".as_slice(), query, b"Z\0\0\0\x05TZ\0\0\0\x05I"].concat()).unwrap();
        std::thread::sleep(LIMIT);
    });
    let settings =
        TransactionSettings { statement: LIMIT, lock: LIMIT, idle: LIMIT, row_security: RowSecurity::Refuse };
    assert_eq!(session.rows_at_once(&settings, "ask", "SELECT 7", &[]).unwrap().len(), 0);
    assert_eq!(session.shared.round_trips(), 1);
    assert!(session.is_usable());
}

/// Reads until the client has sent `last`. Returns all that it sent.
fn read_until(stream: &mut TcpStream, last: &str) -> String {
    let (mut sent, mut messages) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&sent).contains(last) {
        let read = stream.read(&mut messages).unwrap();
        assert!(read > 0, "{last} never came");
        sent.extend_from_slice(&messages[..read]);
    }
    String::from_utf8_lossy(&sent).into_owned()
}

/// A refusal with a code of the server.
fn refusal(code: &str) -> Vec<u8> {
    let fields = format!("SERROR\0VERROR\0C{code}\0Mrefused with {code}\0\0");
    let length = u32::try_from(fields.len() + 4).unwrap().to_be_bytes();
    [b"E", length.as_slice(), fields.as_bytes(), b"Z\0\0\0\x05E"].concat()
}

/// An answer to statements that return nothing.
fn ended(tag: &str) -> Vec<u8> {
    let length = u32::try_from(tag.len() + 5).unwrap().to_be_bytes();
    [b"C", length.as_slice(), tag.as_bytes(), b"\0Z\0\0\0\x05T"].concat()
}

#[test]
fn a_commit_that_the_server_answers_with_a_rollback_has_not_happened() {
    let cases = [
        ([refusal("25P02"), ended("ROLLBACK")], Some("cannot end it: refused with 25P02")),
        ([refusal("25P01"), ended("COMMIT")], Some("cannot end it: refused with 25P01")),
        ([ended("SAVEPOINT"), refusal("23503")], Some("cannot end it: refused with 23503")),
        ([ended("SAVEPOINT"), ended("COMMIT")], None),
    ];
    for (replies, error) in cases {
        let mut session = session(move |mut stream| {
            read_until(&mut stream, "VACUUM");
            stream.write_all(&[replies.concat(), ended("VACUUM")].concat()).unwrap();
            let _ = stream.read(&mut [0]);
        });
        let committed = session.commit("end it", vec![Request::execute("clean up", "VACUUM")]);
        let committed = committed.and_then(|mut answers| answers.done());
        match error {
            Some(error) => assert!(committed.unwrap_err().to_string().contains(error), "{error}"),
            None => committed.unwrap(),
        }
        assert!(session.is_usable());
    }
}

#[test]
fn of_requests_that_are_sent_together_the_first_that_fails_is_told() {
    let (rolled_back, seen) = std::sync::mpsc::channel();
    let mut session = session(move |mut stream| {
        let sent = read_until(&mut stream, "third");
        assert!(sent.find("BEGIN").unwrap() < sent.find("first").unwrap(), "{sent}");
        let replies = [ended("SELECT 1"), ended("SELECT 1"), refusal("42P01"), refusal("25P02")];
        stream.write_all(&replies.concat()).unwrap();
        read_until(&mut stream, "ROLLBACK");
        rolled_back.send(()).unwrap();
        read_until(&mut stream, "SELECT 1");
        stream.write_all(&[ended("ROLLBACK"), ended("SELECT 1")].concat()).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let settings =
        TransactionSettings { statement: LIMIT, lock: LIMIT, idle: LIMIT, row_security: RowSecurity::Refuse };
    session.begin(Mode::Snapshot, &settings);
    let requests = ["first", "second", "third"].map(|sql| Request::execute(format!("ask the {sql}"), sql));
    let mut answers = session.at_once(requests.into());
    answers.done().unwrap();
    let error = answers.done().unwrap_err().to_string();
    assert!(error.contains("cannot ask the second: refused with 42P01"), "{error}");
    session.roll_back();
    // What only reads is rolled back at once, and the answer is not waited for.
    seen.recv_timeout(LIMIT).unwrap();
    assert_eq!(session.shared.round_trips(), 1);
    session.execute("go on", "SELECT 1").unwrap();
}

#[test]
fn a_session_whose_copy_did_not_start_is_not_used_again() {
    for (is_prepared, is_usable) in [(true, false), (false, true)] {
        let mut session = session(move |mut stream| {
            if is_prepared {
                answer(&mut stream, b"1\0\0\0\x04t\0\0\0\x06\0\0n\0\0\0\x04Z\0\0\0\x05T");
            }
            answer(&mut stream, &refusal("42501"));
            let _ = stream.read(&mut [0; 4096]);
            std::thread::sleep(LIMIT);
        });
        let error = session.copy_in("write t", "COPY t FROM STDIN").err().unwrap().to_string();
        assert!(error.contains("cannot write t: refused with 42501"), "{error}");
        assert_eq!(session.is_usable(), is_usable);
    }
}

#[test]
fn every_one_of_the_answers_has_the_time_of_one() {
    for (pauses, error) in
        [([7, 7, 7], None), ([1, 30, 1], Some("cannot ask for 1: the server has not answered"))]
    {
        let mut session = session(move |mut stream| {
            read_until(&mut stream, "SELECT 2");
            for tenths in pauses {
                std::thread::sleep(LIMIT * tenths / 10);
                let _ = stream.write_all(&ended("SELECT 1"));
            }
            let _ = stream.read(&mut [0]);
        });
        let requests = (0..3).map(|at| Request::execute(format!("ask for {at}"), format!("SELECT {at}")));
        let mut answers = session.at_once(requests.collect());
        let answered = (0..3).try_for_each(|_| answers.done()).map_err(|error| error.to_string());
        match error {
            Some(error) => assert!(answered.as_ref().is_err_and(|told| told.contains(error)), "{answered:?}"),
            None => assert_eq!(answered, Ok(())),
        }
        assert_eq!(session.is_usable(), error.is_none());
    }
}

/// Statements after a COMMIT: one that the server refuses is no reason to pass over the next, and one that it never answers is told once.
#[test]
fn what_fails_after_a_commit_is_told_as_it_is() {
    for (replies, warnings) in [
        (vec![ended("VACUUM"), ended("VACUUM")], &[][..]),
        (
            vec![refusal("42501"), refusal("55P03")],
            &["clean 1: refused with 42501", "clean 2: refused with 55P03"],
        ),
        (vec![], &["clean 1: the server has not answered"]),
        (vec![ended("VACUUM")], &["clean 2: the server has not answered"]),
    ] {
        let answered = [vec![ended("SAVEPOINT"), ended("COMMIT")], replies].concat().concat();
        let mut session = session(move |mut stream| {
            read_until(&mut stream, "VACUUM 2");
            stream.write_all(&answered).unwrap();
            let _ = stream.read(&mut [0]);
        });
        let cleaned = [1, 2].map(|at| Request::execute(format!("clean {at}"), format!("VACUUM {at}")));
        let told = session.commit("end it", cleaned.into()).unwrap().failures();
        assert_eq!(told.len(), warnings.len(), "{told:?}");
        let all = told.iter().zip(warnings).all(|(told, words)| told.to_string().contains(words));
        assert!(all, "{told:?}, wanted {warnings:?}");
    }
}

/// Three steps, sent together to a server that answers the first one and then so.
fn refused(reply: Vec<u8>) -> RefusedStep {
    let mut session = session(move |mut stream| {
        read_until(&mut stream, "third");
        stream.write_all(&[ended("SELECT 1"), reply].concat()).unwrap();
    });
    let steps = ["first", "second", "third"].map(|sql| Step::execute(format!("ask the {sql}"), sql));
    session.try_batch("ask all", &steps).unwrap().err().unwrap()
}

#[test]
fn where_a_connection_is_lost_all_of_a_batch_is_named() {
    let error = refused(Vec::new()).into_error().to_string();
    assert!(error.starts_with("cannot ask all: the connection to the server was lost"), "{error}");
    let mut refused = refused(refusal("23503"));
    assert_eq!(refused.take_answers().len(), 1);
    let error = refused.into_error().to_string();
    assert!(error.starts_with("cannot ask the second: refused with 23503"), "{error}");
}

/// An object that went while the server looked at it is told by an internal error of the server.
#[test]
fn an_internal_error_is_asked_again_and_damage_is_not() {
    for (code, is_wrong, attempts_max) in [("XX000", true, Some(3)), ("XX001", false, None)] {
        let refused = refused(refusal(code));
        assert_eq!(refused.is_wrong_statement(), is_wrong, "{code}");
        let error = refused.into_error();
        assert_eq!(
            (error.fault() == Fault::Transient, error.attempts_max()),
            (is_wrong, attempts_max),
            "{code}"
        );
    }
}

/// A lock that begins a batch: what any answer takes is querying, and only what it takes longer is waiting.
#[test]
fn a_lock_that_is_had_at_once_was_not_waited_for() {
    const TRIP: Duration = Duration::from_millis(20);
    let longer = TRIP * 5;
    let mut session = session(move |mut stream| {
        for takes in [TRIP, TRIP, longer, Duration::ZERO] {
            read_until(&mut stream, ";");
            std::thread::sleep(takes);
            stream.write_all(&ended("SELECT 1")).unwrap();
        }
        let _ = stream.read(&mut [0]);
    });
    activity::start(Lane::new(0));
    let mut spent = |request| {
        session.at_once(vec![request]).done().unwrap();
        let Lap { wall, trips, .. } = activity::lap();
        assert_eq!(trips.count.total_us(), 1);
        let waited = [Activity::Querying, Activity::Waiting].map(|one| Duration::from_micros(wall.get(one)));
        (waited, trips)
    };
    let locks = || Request::Step(Step::lock("lock t", "LOCK TABLE t;"));
    spent(Request::execute("begin", "BEGIN;"));
    let ([querying, waiting], trips) = spent(locks());
    assert!(querying >= TRIP && waiting < longer - TRIP, "{querying:?}, {waiting:?}");
    assert_eq!(trips.count.get(Activity::Querying), 1);
    let ([_, waiting], trips) = spent(locks());
    assert!(waiting >= longer - 2 * TRIP, "{waiting:?}");
    assert_eq!((trips.count.get(Activity::Querying), trips.sink_us), (1, None));
    let (_, trips) = spent(Request::execute("read", "SELECT 1;").counted_as(Activity::Committing));
    assert_eq!(trips.count.get(Activity::Committing), 1);
}

/// A server that has sent an error before it was asked says nothing of how long a round trip takes.
#[test]
fn an_error_is_no_measure_of_the_way() {
    for (reply, is_measured) in [(refusal("42501"), false), (ended("SELECT 1"), true)] {
        let mut session = session(move |mut stream| {
            answer(&mut stream, &reply);
            let _ = stream.read(&mut [0]);
        });
        activity::start(Lane::new(0));
        let answered = session.execute("ask", "SELECT 1").is_ok();
        let trips = activity::lap().trips;
        assert_eq!((answered, trips.count.total_us()), (is_measured, 1));
        assert_eq!(
            (trips.sink_us.is_some(), session.shared.shortest_reply() > Duration::ZERO),
            (is_measured, is_measured)
        );
    }
}
