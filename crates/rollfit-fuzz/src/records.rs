//! Records of runs, as `status` and `analyze` read them.

use rollfit_analysis::Analysis;
use rollfit_job::error_chain;
use rollfit_job::record::{FollowChange, FollowChangeKind, PartitionEnd, PartitionOutcome, Record};
use rollfit_testkit::record::{far_partition, lines, made, partition};

use crate::Seed;

pub(crate) fn hold(bytes: &[u8]) {
    let header = Record::read_header(bytes);
    let record = match Record::read(bytes) {
        Ok(record) => record,
        Err(error) => return assert!(!error_chain(&error).is_empty()),
    };
    assert_eq!(header.unwrap(), record.header);
    let is_written = |end: &PartitionEnd| end.outcome == PartitionOutcome::Written;
    assert_eq!(Record::has_written(bytes).unwrap(), record.partitions.iter().any(is_written));
    let again = Record::read(lines(record.clone()).as_bytes()).unwrap();
    assert_eq!(again, record, "a record is read as it is written");
    for earlier in [vec![], vec![&record], vec![&record; 4]] {
        let analysis = Analysis::new(&record, earlier);
        let json = serde_json::to_string(&analysis).unwrap();
        let read: Analysis = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json, "an analysis is read as it is written");
    }
}

/// The record of a follower, and what others have that a run into files has not.
fn followed() -> Record {
    let mut record = made(2, 2);
    record.header.follows = Some("20261121T184510Z-4711".to_owned());
    let change = FollowChange {
        at_ms: 900,
        what: FollowChangeKind::Appended,
        times: 3,
        rows: 90,
        ..Default::default()
    };
    let behind = FollowChange {
        what: FollowChangeKind::Behind,
        partition: Some(partition(1)),
        cause: Some("the store is full".to_owned()),
        ..change.clone()
    };
    let waiting =
        FollowChange { what: FollowChangeKind::Waiting, key: Some("gbpusd".to_owned()), ..behind.clone() };
    record.changes = vec![change, behind, waiting];
    record.remaining = vec!["eurusd:2017-01".to_owned(), "gbpusd".to_owned()];
    record.partitions.push(far_partition(1, 1));
    record
}

pub(crate) fn seeds() -> Vec<Seed> {
    let seed = |partitions: u64, workers: usize| {
        (format!("made_{partitions}_{workers}"), lines(made(partitions, workers)).into_bytes())
    };
    let mut seeds = vec![seed(1, 1), seed(3, 2), seed(8, 2), seed(6, 3)];
    let whole = lines(made(3, 1));
    let escapes = whole.replace("eurusd", r"\u001b[31m\u009b\u202e\r\n");
    seeds.push(("escapes".to_owned(), escapes.into_bytes()));
    seeds.push(("cut".to_owned(), whole.as_bytes()[..whole.len() - 30].to_vec()));
    seeds.push(("followed".to_owned(), lines(followed()).into_bytes()));
    seeds.push(("many_workers".to_owned(), whole.replace("\"worker\":0", "\"worker\":4095").into_bytes()));
    seeds
}
