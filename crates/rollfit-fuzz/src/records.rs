//! Records of runs, as `status` and `analyze` read them.

use rollfit_analysis::Analysis;
use rollfit_job::error_chain;
use rollfit_job::record::{Event, Record};
use rollfit_testkit::record::{lines, made};

use crate::Seed;

pub(crate) fn hold(bytes: &[u8]) {
    let header = Record::read_header(bytes);
    let record = match Record::read(bytes) {
        Ok(record) => record,
        Err(error) => return assert!(!error_chain(&error).is_empty()),
    };
    assert_eq!(header.unwrap(), record.header);
    let again = Record::read(text(&record).as_bytes()).unwrap();
    assert_eq!(again, record, "a record is read as it is written");
    for earlier in [vec![], vec![&record], vec![&record; 4]] {
        let analysis = Analysis::new(&record, earlier);
        let json = serde_json::to_string(&analysis).unwrap();
        let read: Analysis = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), json, "an analysis is read as it is written");
    }
}

/// The record as a run writes it.
fn text(record: &Record) -> String {
    let record = record.clone();
    let events = [Event::Run(Box::new(record.header))]
        .into_iter()
        .chain(record.decisions.into_iter().map(Event::Decision))
        .chain(record.unavailable.into_iter().map(Event::Unavailable))
        .chain(record.retries.into_iter().map(Event::Retry))
        .chain(record.partitions.into_iter().map(|end| Event::Partition(Box::new(end))))
        .chain(record.samples.into_iter().map(|sample| Event::Sample(Box::new(sample))))
        .chain(record.end.map(Event::End));
    events.map(|event| serde_json::to_string(&event).unwrap() + "\n").collect()
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
    seeds.push(("many_workers".to_owned(), whole.replace("\"worker\":0", "\"worker\":4095").into_bytes()));
    seeds
}
