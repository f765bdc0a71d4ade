//! A store that is away while keys have trouble of their own: which key shows that it is back, and that no other has to wait for one
//! that cannot.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rollfit_job::store::{Fault, StoreError};

use crate::bench::{Bench, Live};

const NOTHING: [&str; 0] = [];

/// A bench whose keys are rarely checked.
fn bench(keys: &[&str]) -> Bench {
    let bench = Bench::new(&[("RUN__RECHECK_EVERY_S", "86400")], keys, 200);
    bench.run();
    bench
}

fn set_away(bench: &Bench, is_away: bool) {
    bench.source.is_away.store(is_away, Ordering::Relaxed);
}

#[test]
fn a_key_without_its_table_doesnt_keep_the_others_from_being_followed_after_an_absence() {
    let bench = bench(&["a", "b", "c"]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let rows = bench.source.remove_table("m1_a");
    assert_eq!(live.poll_after(1.0), ["a waits: there is no table m1_a"]);
    set_away(&bench, true);
    assert_eq!(live.poll_after(1.0), ["lost: no connection"]);
    set_away(&bench, false);
    bench.insert_both_of("b", [200]);
    bench.insert_both_of("c", [200]);
    assert_eq!(live.poll_after(30.0), ["b 2017-01 +1", "back"]);
    assert_eq!(live.poll_after(1.0), ["c 2017-01 +1"]);
    bench.source.change("m1_a", |table| *table = rows);
    bench.insert_both([200]);
    assert_eq!(live.poll_after(60.0), ["a 2017-01 +1", "a caught up"]);
    bench.assert_is_batch();
}

#[test]
fn a_bug_in_the_first_key_doesnt_either() {
    static IS_ON: AtomicBool = AtomicBool::new(false);
    let mut bench = bench(&["a", "b"]);
    bench.source.fault = Some(Box::new(|partition| {
        assert!(!IS_ON.load(Ordering::Relaxed) || partition.key != "a", "a broken invariant");
        Ok(())
    }));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    IS_ON.store(true, Ordering::Relaxed);
    set_away(&bench, true);
    assert_eq!(live.poll_after(1.0), ["lost: no connection"]);
    set_away(&bench, false);
    bench.insert_both_of("b", [200]);
    let told = live.poll_after(30.0);
    assert!(told.len() == 3 && told[0].contains("a broken invariant"), "{told:?}");
    assert_eq!(told[1..], ["b 2017-01 +1", "back"]);
}

#[test]
fn an_absence_ends_where_every_key_has_trouble_of_its_own() {
    let bench = bench(&["a", "b"]);
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    let tables = ["m1_a", "m1_b"].map(|name| (name, bench.source.remove_table(name)));
    set_away(&bench, true);
    assert_eq!(live.poll_after(1.0), ["lost: no connection"]);
    set_away(&bench, false);
    let mut told = live.poll_after(30.0);
    told.sort();
    let waits = |key| format!("{key} waits: there is no table m1_{key}");
    assert_eq!(told, [waits("a"), waits("b"), "back".to_owned()]);
    for (name, rows) in tables {
        bench.source.change(name, |table| *table = rows);
    }
    bench.insert_both([200]);
    bench.insert_both_of("b", [200]);
    let told = live.poll_after(60.0);
    assert!(["a", "b"].iter().all(|key| told.contains(&format!("{key} 2017-01 +1"))), "{told:?}");
    bench.assert_is_batch();
}

/// The twin: what is wrong with one key says nothing about the sink.
#[test]
fn a_sink_that_is_away_is_not_taken_to_be_back_since_a_key_fails_for_another_reason() {
    static IS_AWAY: AtomicBool = AtomicBool::new(false);
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    // The tables of `a` have no rows, and of those of `b` one cannot be read.
    let mut bench = bench(&["b", "c"]);
    bench.source.change("m1_a", |_| ());
    bench.source.change("bqx_a", |_| ());
    bench.source.fault = Some(Box::new(|partition| {
        let is_broken = IS_AWAY.load(Ordering::Relaxed) && partition.key == "b";
        if is_broken { Err(StoreError::permanent("no right to read")) } else { Ok(()) }
    }));
    bench.sink.claim_fault = Some(Box::new(|_| {
        if !IS_AWAY.load(Ordering::Relaxed) {
            return Ok(());
        }
        TRIES.fetch_add(1, Ordering::Relaxed);
        Err(StoreError::unconnected(Fault::Unreachable, "no connection"))
    }));
    let job = bench.job();
    let live = Live::new(&bench, &job);
    live.poll();
    live.poll_after(1.0);
    IS_AWAY.store(true, Ordering::Relaxed);
    bench.insert_both_of("c", [200]);
    assert_eq!(live.poll_after(1.0), ["lost: no connection"]);
    let told: Vec<String> = (0..100).flat_map(|_| live.poll_after(1.0)).collect();
    assert_eq!(told, ["b 2017-01 behind: no right to read"]);
    assert!(TRIES.load(Ordering::Relaxed) < 12, "it is asked less and less often");
    IS_AWAY.store(false, Ordering::Relaxed);
    assert_eq!(live.poll_after(30.0), ["b 2017-01 caught up", "back"]);
    assert_eq!(live.poll_after(1.0), ["c 2017-01 +1"]);
    assert_eq!(live.poll_after(100.0), NOTHING);
    bench.assert_is_batch();
}
