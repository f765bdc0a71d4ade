//! A runner looks at a partition before it reads anything: who has it is known at once, without a wait and without taking it.

use rollfit_job::store::{Claim, Found, Look, Sink, Write};

use crate::opened::{Opened, first_partition};
use crate::workload::Workload;

const RATE: &str = "reg_rate_eurusd_2017_01";

/// A look, and the round trips that it took.
fn look(opened: &Opened) -> (Look, u64) {
    let before = opened.store.round_trips();
    let look = opened.store.look(&first_partition()).unwrap();
    (look, opened.store.round_trips() - before)
}

#[track_caller]
fn is_held_by(opened: &Opened, name: &str) -> u64 {
    match look(opened) {
        (Look::Held(who), trips) if who.contains(name) => trips,
        (other, _) => panic!("{other:?}, and not held by {name}"),
    }
}

#[track_caller]
fn is_free(opened: &Opened) -> Found {
    match look(opened) {
        (Look::Free(found), _) => found,
        (held, _) => panic!("{held:?}"),
    }
}

#[test]
fn a_claimed_partition_is_seen_held_and_then_free_and_each_look_is_one_round_trip() {
    let workload = Workload::one();
    let (ours, other) =
        (Opened::open(&workload), Opened::as_runner(&workload, Some("rollfit 7@far 1a2b3c4d 3/8")));
    assert_eq!(is_free(&ours), Found::Nothing);
    assert_eq!(look(&ours), (Look::Free(Found::Nothing), 1));
    let slot = other.claim(&first_partition());
    assert_eq!(is_held_by(&ours, "rollfit 7@far 1a2b3c4d 3/8"), 1);
    assert_eq!(is_held_by(&ours, "rollfit 7@far 1a2b3c4d 3/8"), 1, "of what was held nothing more is asked");
    drop(slot);
    assert_eq!(is_free(&ours), Found::Nothing);
    workload.done();
    assert!(matches!(is_free(&ours), Found::Ours(_)));
    assert_eq!(look(&ours).1, 1);
    // A look is in no claim's way.
    drop(other.claim(&first_partition()));
}

#[test]
fn a_table_that_nobody_can_read_is_held_and_the_look_ends() {
    let workload = Workload::one();
    workload.done();
    let ours = Opened::open(&workload);
    for statement in [format!("lock table {RATE}"), "lock table rollfit_receipts".to_owned()] {
        let mut job = workload.database.connect();
        job.batch_execute(&format!("set application_name = 'the old job'; begin; {statement}")).unwrap();
        is_held_by(&ours, "the old job");
        job.batch_execute("rollback").unwrap();
        assert!(matches!(is_free(&ours), Found::Ours(_)), "{statement}");
    }
}

#[test]
fn who_writes_a_table_holds_what_is_to_be_written_and_not_what_is_done() {
    let workload = Workload::one();
    workload.done();
    let ours = Opened::open(&workload);
    let mut job = workload.database.connect();
    job.batch_execute("set application_name = 'the old job'").unwrap();
    job.batch_execute(&format!("begin; delete from {RATE}")).unwrap();
    assert!(matches!(is_free(&ours), Found::Ours(_)));
    // It has to be written after all: from the claim in vain on, nothing is read until the job ends.
    assert!(matches!(ours.store.claim(&first_partition(), Write::Replace), Ok(Claim::Held(_))));
    assert_eq!(is_held_by(&ours, "the old job"), 1);
    job.batch_execute("rollback").unwrap();
    assert!(matches!(is_free(&ours), Found::Ours(_)));
    // Rows of others without a receipt.
    workload.database.sql("truncate rollfit_receipts");
    assert!(matches!(is_free(&ours), Found::Foreign(_)));
    job.batch_execute(&format!("begin; delete from {RATE}")).unwrap();
    is_held_by(&ours, "the old job");
    job.batch_execute("rollback").unwrap();
    // Readers are in nobody's way.
    job.batch_execute(&format!("begin; select count(*) from {RATE}")).unwrap();
    assert!(matches!(is_free(&ours), Found::Foreign(_)));
}

#[test]
fn marks_change_with_each_commit_of_a_receipt_and_with_nothing_else() {
    let workload = Workload::small();
    let ours = Opened::open(&workload);
    let partitions = [
        first_partition(),
        rollfit_job::partition::Partition::new("eurusd".to_owned(), "2017-02".parse().unwrap()),
    ];
    let marks = || ours.store.marks(&partitions).unwrap();
    assert_eq!(marks(), [None, None]);
    workload.run(&["run", "--only", "eurusd:2017-01"]).exits(0);
    let first = marks();
    assert!(first[0].as_ref().unwrap().committed_us.is_some() && first[1].is_none(), "{first:?}");
    workload.database.sql("vacuum full rollfit_receipts");
    workload.database.sql(&format!("vacuum full {RATE}"));
    assert_eq!(marks(), first);
    workload.run(&["run"]).exits(0);
    let second = marks();
    assert!(second[0] == first[0] && second[1].is_some(), "{second:?}");
    workload.run(&["run", "--force"]).exits(0);
    let third = marks();
    assert!(third.iter().zip(&second).all(|(now, before)| now != before), "{third:?}");
    // Many partitions are asked for in few round trips.
    let many: Vec<_> = (0..25_000)
        .map(|n| rollfit_job::partition::Partition::new(format!("k{n}"), "2017-01".parse().unwrap()))
        .chain(partitions.iter().cloned())
        .collect();
    let before = ours.store.round_trips();
    let marks = ours.store.marks(&many).unwrap();
    assert!(ours.store.round_trips() - before <= 5);
    assert_eq!((marks.len(), &marks[25_000..]), (25_002, &third[..]));
    assert!(marks[..25_000].iter().all(Option::is_none));
}
