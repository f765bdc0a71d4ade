//! What an import keeps of a row besides its close, and whose bar a row is: `--columns` and `--key-column`.

use std::fs;

use crate::sandbox::{Answer, Sandbox};
use crate::tree::Tree;

const TEXT: &str = "symbol,time,open,close,Tick Volume,note\n\
                    EURUSD,2017-03-01 00:00,1.1,1.2,7,x\n\
                    BTC-USD,2017-03-01 00:00,900,901,3,x\n\
                    EURUSD,2017-03-01 00:01,1.2,1.3,8,y\n";

fn import(sandbox: &Sandbox, store: &str, arguments: &[&str]) -> Answer {
    let fixed = ["import", "--format", "csv", "--timezone", "UTC", "--into", store];
    sandbox.run(&[&fixed[..], arguments, &["bars.csv"]].concat())
}

#[test]
fn a_file_of_many_keys_is_split_and_keeps_its_numbers() {
    let sandbox = Sandbox::new();
    sandbox.write("bars.csv", TEXT);
    let options = ["--key-column", "symbol", "--columns", "all", "--json"];
    let answer = import(&sandbox, "parquet:fx", &options).exits(0);
    let document = answer.says(&["read bars.csv: 3 bars of 2 keys", "left out", "`note`"]).json();
    let keys: Vec<(&str, u64)> = document["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["key"].as_str().unwrap(), key["total"].as_u64().unwrap()))
        .collect();
    assert_eq!(keys, [("BTC-USD", 1), ("EURUSD", 2)]);
    assert_eq!(document["files"][0]["key"], "EURUSD");
    let file = fs::read(sandbox.path("fx/sources/m1_EURUSD/2017-03.parquet")).unwrap();
    let holds = |name: &str| file.windows(name.len()).any(|bytes| bytes == name.as_bytes());
    assert!(holds("open") && holds("tick_volume") && !holds("note"));

    // The same file once more changes nothing; without --columns the values stay.
    let before = Tree::read(&sandbox.path("fx/sources"));
    import(&sandbox, "parquet:fx", &options).exits(0);
    let again = import(&sandbox, "parquet:fx", &["--key-column", "symbol"]).exits(0);
    again.says(&["1 file of 2 keys"]);
    let differences = before.differences(&Tree::read(&sandbox.path("fx/sources")));
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn only_what_is_named_is_kept_and_a_key_is_said_once() {
    let sandbox = Sandbox::new();
    sandbox.write("bars.csv", TEXT);
    import(&sandbox, "parquet:one", &["--key", "k"]).exits(1).says(&["bars.csv:3", "--key-column symbol"]);
    let options = ["--key-column", "symbol", "--columns", "open,tick volume"];
    import(&sandbox, "parquet:fx", &options).exits(0);
    import(&sandbox, "parquet:fx", &["--key-column", "symbol", "--columns", "low"]).exits(2).says(&["`low`"]);
    import(&sandbox, "parquet:fx", &["--key-column", "symbol", "--key", "k"]).exits(2).says(&["--key"]);
    sandbox.write("bars.csv", TEXT.replace("BTC-USD", "EUR/USD"));
    import(&sandbox, "parquet:new", &["--key-column", "symbol"]).exits(1).says(&["bars.csv:3", "EUR/USD"]);
    assert!(!sandbox.path("new").exists());
}
