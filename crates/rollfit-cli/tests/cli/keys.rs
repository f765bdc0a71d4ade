//! Keys as markets write them: they import as they are configured, in every command, and two that not every file system can
//! tell apart never share a directory.

use std::fs;

use rollfit_job::key::KEY_BYTES_MAX;

use crate::bars::{SourceRows, bars, config, csv};
use crate::sandbox::{Answer, Sandbox};
use crate::tree::Tree;

const MONTH: &str = "2017-01";
const KEYS: [&str; 4] = ["BTC-USD", "ES.c.0", "600519.SH", "EURUSD"];

/// Imports the bars of a month with `--key`.
fn import(sandbox: &Sandbox, key: &str) -> Answer {
    let file = sandbox.write("bars.csv", csv(&bars(key, MONTH))).display().to_string();
    sandbox.run(&["import", "--format", "csv", "--into", "parquet:fx", "--key", key, &file])
}

#[test]
fn keys_of_every_market_go_through_every_command_as_they_are_written() {
    let sandbox = Sandbox::new();
    for key in KEYS {
        import(&sandbox, key).exits(0).says(&[key]);
        assert!(sandbox.path(format!("fx/sources/m1_{key}")).is_dir());
    }
    sandbox.configure(&KEYS, MONTH, MONTH);
    sandbox.run(&["plan"]).exits(0).says(&["ES.c.0 2017-01", "4 missing"]);
    sandbox.run(&["run"]).exits(0).says(&["4 written"]);
    sandbox.run(&["run"]).exits(0).says(&["4 already done"]);
    sandbox.run(&["verify"]).exits(0).says(&["4 verified"]);
    sandbox.run(&["status"]).exits(0).says(&["finished"]);
    sandbox.run(&["doctor"]).exits(0);
    for key in KEYS {
        assert!(sandbox.part(key, MONTH).is_file());
        for only in [key.to_owned(), format!("{key}:{MONTH}")] {
            sandbox.run(&["verify", "--only", &only]).exits(0).says(&["1 verified"]);
        }
    }
    sandbox.configure(&["eurusd"], MONTH, MONTH);
    fs::rename(sandbox.path("fx/features"), sandbox.path("features")).unwrap();
    sandbox.run(&["plan"]).exits(1).says(&["there is one of the key `EURUSD`: case counts"]);
    fs::rename(sandbox.path("features"), sandbox.path("fx/features")).unwrap();
    sandbox.configure(&KEYS, MONTH, MONTH);
    sandbox
        .run(&["plan", "--only", "btc-usd"])
        .exits(2)
        .says(&["this job has no key btc-usd; did you mean `BTC-USD`?"]);
    sandbox.run(&["drop", "ES.c.0:2017-01"]).exits(0).says(&["dropped ES.c.0 2017-01"]);
    sandbox.write("rollfit.toml", config(&KEYS, MONTH, MONTH).replace(&format!("{KEYS:?}"), "\"all\""));
    sandbox.run(&["plan"]).exits(0).says(&["1 missing", "3 done"]);
}

#[test]
fn a_key_from_a_path_is_in_small_letters_and_one_that_is_given_is_not() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("pair=BTC-USD/x.csv", csv(&bars("x", MONTH))).display().to_string();
    sandbox.run(&["import", "--format", "csv", "--into", "parquet:a", &file]).exits(0).says(&["btc-usd"]);
    let given = ["import", "--format", "csv", "--into", "parquet:b", "--key", "Btc-USD", &file];
    sandbox.run(&given).exits(0).says(&["Btc-USD"]);
    for key in ["EUR/USD", "..", "", "-x", "a b", "é"] {
        let refused = ["import", "--format", "csv", "--into", "parquet:c", &format!("--key={key}"), &file];
        sandbox.run(&refused).exits(2).says(&["--key: `", "is not a key: use letters"]);
    }
    assert!(!sandbox.path("c").exists());
}

#[test]
fn a_key_that_differs_from_a_stored_one_only_in_case_is_refused_in_a_directory() {
    let sandbox = Sandbox::new();
    import(&sandbox, "EURUSD").exits(0);
    let before = Tree::read(&sandbox.path("fx"));
    let refused = ["the keys `EURUSD` and `eurusd` differ only in case", "--key EURUSD"];
    import(&sandbox, "eurusd").exits(1).says(&refused);
    sandbox.bars_file("eurusd", MONTH);
    sandbox.bars_file("gbpusd", MONTH);
    sandbox.run(&["import", "--format", "csv", "--into", "parquet:fx", "bars"]).exits(1).says(&refused);
    assert!(before.has_the_files_of(&Tree::read(&sandbox.path("fx"))));
    import(&sandbox, "EURUSD").exits(0);
    import(&sandbox, "EURUSDT").exits(0);
    // A table that no import made counts as well.
    fs::create_dir(sandbox.path("fx/sources/bqx_UsdJpy")).unwrap();
    import(&sandbox, "usdjpy").exits(1).says(&["`UsdJpy` and `usdjpy`"]);
}

#[test]
fn two_keys_of_a_job_that_differ_only_in_case_are_refused_in_a_directory() {
    let sandbox = Sandbox::new();
    // As on a file system that tells them apart.
    for key in ["EURUSD", "eurusd"] {
        sandbox.drop_in(key, "a.parquet", &SourceRows::of_month(MONTH, 100, 60));
    }
    let clash = ["the keys `EURUSD` and `eurusd` differ only in case", "rename one"];
    for keys in ["[\"EURUSD\", \"eurusd\"]", "\"all\""] {
        sandbox.write("rollfit.toml", config(&["KEYS"], MONTH, MONTH).replace("[\"KEYS\"]", keys));
        for command in ["plan", "run", "verify", "doctor"] {
            sandbox.run(&[command]).exits(2).says(&clash);
        }
    }
    assert!(!sandbox.path("fx/features").exists());
    sandbox.configure(&["EURUSD"], MONTH, MONTH);
    sandbox.run(&["run"]).exits(0).says(&["1 written"]);
    // The other one alone would get a directory beside that of the first.
    sandbox.configure(&["eurusd"], MONTH, MONTH);
    sandbox.run(&["run"]).exits(2).says(&["features of the key `EURUSD`", "fx/features/key=EURUSD"]);
    sandbox.configure(&["EURUSD"], MONTH, MONTH);
    sandbox.run(&["drop", "EURUSD:2017-01"]).exits(0);
    let _ = fs::remove_dir(sandbox.path("fx/features/key=EURUSD"));
    sandbox.configure(&["eurusd"], MONTH, MONTH);
    sandbox.run(&["run"]).exits(0).says(&["1 written"]);
}

#[test]
fn keys_that_readers_of_directories_take_for_another_or_for_none_are_refused() {
    let sandbox = Sandbox::new();
    for key in ["007", "7", "__HIVE_DEFAULT_PARTITION__"] {
        sandbox.drop_in(key, "a.parquet", &SourceRows::of_month(MONTH, 100, 60));
    }
    sandbox.configure(&["007", "7"], MONTH, MONTH);
    sandbox.run(&["run"]).exits(2).says(&["the keys `007` and `7` are the same number", "rename one"]);
    sandbox.configure(&["__HIVE_DEFAULT_PARTITION__"], MONTH, MONTH);
    sandbox.run(&["run"]).exits(2).says(&["`__HIVE_DEFAULT_PARTITION__`", "take for NULL"]);
    assert!(!sandbox.path("fx/features").exists());
    sandbox.configure(&["007"], MONTH, MONTH);
    sandbox.run(&["run"]).exits(0).says(&["1 written"]);
    sandbox.configure(&["7"], MONTH, MONTH);
    sandbox.run(&["run"]).exits(2).says(&["features of the key `007`", "`7` is the same number", "key=007"]);
}

#[test]
fn the_longest_key_is_stored_and_a_longer_one_is_none() {
    let sandbox = Sandbox::new();
    let longest = "K".repeat(KEY_BYTES_MAX);
    import(&sandbox, &longest).exits(0);
    sandbox.configure(&[&longest], MONTH, MONTH);
    sandbox.run(&["run"]).exits(0).says(&["1 written"]);
    sandbox.run(&["verify"]).exits(0);
    let longer = "K".repeat(KEY_BYTES_MAX + 1);
    import(&sandbox, &longer).exits(2).says(&["252 characters, and a key has at most 251"]);
    sandbox.configure(&[&longer], MONTH, MONTH);
    sandbox.run(&["plan"]).exits(2).says(&["252 characters, and a key has at most 251"]);
}
