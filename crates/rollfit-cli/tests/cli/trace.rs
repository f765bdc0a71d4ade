//! `run --trace`: a trace that viewers open, whatever the end of the run.

use std::collections::HashMap;
use std::fs;

use serde_json::Value;

use crate::running::signal;
use crate::sandbox::Sandbox;
use crate::signals::SlowJob;

/// The events of a trace, checked for what a viewer needs of each.
#[track_caller]
fn events(sandbox: &Sandbox) -> Vec<Value> {
    let trace: Value = serde_json::from_slice(&fs::read(sandbox.path("trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap().clone();
    for event in &events {
        let phase = event["ph"].as_str().unwrap();
        assert!(event["pid"].is_u64() && event["name"].is_string(), "{event}");
        assert!(phase == "M" || event["ts"].is_u64(), "{event}");
        assert!(phase != "X" || event["dur"].is_u64() && event["tid"].is_u64(), "{event}");
    }
    events
}

fn of_category<'a>(events: &'a [Value], category: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["cat"] == category).collect()
}

/// The lane of a slice, and when it begins and ends.
fn place(slice: &Value) -> (u64, u64, u64) {
    let number = |field: &str| slice[field].as_u64().unwrap();
    (number("tid"), number("ts"), number("ts") + number("dur"))
}

#[test]
fn partitions_lie_in_the_lanes_of_their_workers_one_after_the_other_with_activities_within() {
    let sandbox = Sandbox::imported(&["eurusd", "usdjpy"], &["2017-01", "2017-02"]);
    sandbox.run(&["run", "--workers", "2", "--trace", "trace.json"]).exits(0);
    let events = events(&sandbox);
    let partitions: Vec<_> = of_category(&events, "partition").into_iter().map(place).collect();
    assert_eq!(partitions.len(), 4);
    let mut ends: HashMap<u64, u64> = HashMap::new();
    for (lane, begin, end) in &partitions {
        assert!(*begin >= ends.insert(*lane, *end).unwrap_or(0), "{partitions:?}");
    }
    let activities = of_category(&events, "activity");
    assert!(activities.iter().any(|activity| activity["name"] == "computing"));
    for activity in activities {
        let (lane, begin, end) = place(activity);
        let holds = |(of, from, to): &(u64, u64, u64)| *of == lane && *from <= begin && end <= *to;
        assert!(partitions.iter().any(holds), "{activity}");
    }
    for phase in ["M", "C", "i"] {
        assert!(events.iter().any(|event| event["ph"] == phase), "{phase}");
    }
}

#[test]
fn the_trace_of_a_run_that_is_interrupted_or_killed_is_whole() {
    let job = SlowJob::new();
    let mut running = job.start(&["run", "--trace", "trace.json"]);
    running.wait_for_stage("write");
    signal(&running, "KILL");
    running.finish();
    assert!(of_category(&events(&job.sandbox), "partition").is_empty());
    let mut running = job.start(&["run", "--trace", "trace.json"]);
    running.wait_for_stage("write");
    signal(&running, "INT");
    running.wait_for_words("finishing");
    running.finish().exits(130);
    assert_eq!(of_category(&events(&job.sandbox), "partition").len(), 1);
}
