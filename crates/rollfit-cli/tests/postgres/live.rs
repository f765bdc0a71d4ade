//! Live is batch: bars that come one by one around a month's turn, to a follower that is killed at random moments, end in what
//! one run over all of them stores.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::following::Feed;
use crate::server::shared;
use crate::tree::walk;
use crate::workload::{SMALL, Workload};

const KEY: &str = "eurusd";

/// The reference workload's series, both made of closes.
fn derived(text: String) -> String {
    let text = text
        .replace("value = \"rate_index\"", "value = \"rate_index\"\nderive = \"rate_index\"\nbase = 1.0521");
    let text = text.replace("table = \"bqx_{key}\"\ntime = \"ts_utc\"\nvalue = \"w15_bqx_return\"", "table = \"m1_{key}\"\ntime = \"time\"\nvalue = \"rate_index\"\nderive = \"backward_return(15)\"\nbase = 1.0521");
    text.replace("value = \"rate_index\"", "value = \"close\"")
}

/// Bars every five minutes around a month's turn, of which those from an instant on come later.
fn bars(from: &str, kept_back: &str, to: &str) -> (Workload<'static>, Feed) {
    let workload = Workload::on(shared(), SMALL);
    let digits = |salt: &str| format!("(hashtext('{salt} ' || t) % 10000)");
    let instants = format!("generate_series('{from}'::timestamp, '{to}', '5 minutes') t");
    workload.database.sql(&format!(
        "truncate m1_eurusd, bqx_eurusd; alter table m1_eurusd add close float8;
         insert into m1_eurusd select t, 100 + {rate} / 8192.0::float8, 1.05 + {rate} / 1e6::float8 from {instants};
         insert into bqx_eurusd select t at time zone 'UTC', {} / 65536.0::float8 from {instants}",
        digits("return"),
        rate = digits("rate"),
    ));
    let feed = workload.keep_back(KEY, kept_back);
    (workload, feed)
}

/// Plays three days around a month's turn and kills the follower now and then, wherever it is.
#[track_caller]
fn three_days_with_kills(seed: u64, workload: &Workload<'_>, mut feed: Feed) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut follower = workload.start_to_follow(&[]);
    let mut last = String::new();
    while feed.len() > 0 {
        for _ in 0..random.usize(20..90).min(feed.len()) {
            last = feed.bar();
            std::thread::sleep(Duration::from_millis(random.u64(0..8)));
        }
        follower.kill();
        follower = workload.start_to_follow(&[]);
    }
    workload.wait_for_features(KEY, &last);
    follower.stop();
    workload.is_as_one_run_makes_it();
}

#[test]
fn three_days_bar_by_bar_with_kills_store_what_one_run_stores() {
    let (workload, feed) = bars("2017-01-29", "2017-01-30 12:00", "2017-02-02 12:00");
    three_days_with_kills(1, &workload, feed);
}

#[test]
fn three_days_of_closes_under_carry_with_kills_store_what_one_run_stores() {
    let (workload, feed) = bars("2017-01-29", "2017-01-30 12:00", "2017-02-02 12:00");
    workload.reconfigure(|text| derived(text).replace("\"reset\"", "\"carry\""));
    three_days_with_kills(2, &workload, feed);
}

/// The features' files and their bytes.
fn files(workload: &Workload<'_>) -> Vec<(PathBuf, Vec<u8>)> {
    let files = walk(&workload.sandbox.path("fx/features"));
    let files =
        files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn three_hundred_bars_at_the_turn_end_in_the_files_of_one_run() {
    let (workload, mut feed) = bars("2017-01-31", "2017-01-31 12:00", "2017-02-01 12:55");
    assert_eq!(feed.len(), 300);
    workload.reconfigure(|text| text.replace("[store]", "[source]") + "\n[sink]\nurl = \"parquet:fx\"\n");
    fs::create_dir(workload.sandbox.path("fx")).unwrap();
    let follower = workload.follow(&[]);
    while feed.len() > 0 {
        feed.bar();
        std::thread::sleep(Duration::from_millis(10));
    }
    let started = Instant::now();
    let is_done = || {
        let plan = workload.run(&["plan", "--json"]).json();
        plan["partitions"].as_array().unwrap().iter().all(|partition| partition["state"] == "done")
    };
    while !is_done() {
        assert!(started.elapsed() < Duration::from_secs(60), "the last bars never came");
    }
    follower.stop();
    let followed = files(&workload);
    assert_eq!(followed.len(), 2);
    workload.run(&["verify", "--quiet"]).exits(0);
    fs::remove_dir_all(workload.sandbox.path("fx/features")).unwrap();
    workload.done();
    assert!(files(&workload) == followed, "other bytes than those of one run");
}
