//! Jobs that would give features nobody wants: the same rows for several keys, and windows that never fill.

use std::fs;

use serde_json::Value;

use crate::sandbox::Sandbox;

/// A store with two keys, whose configuration is changed.
fn changed(changes: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::imported(&["eurusd", "usdjpy"], &["2017-01", "2017-02"]);
    let mut text = fs::read_to_string(sandbox.path("rollfit.toml")).unwrap();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    }
    sandbox.write("rollfit.toml", text);
    sandbox
}

#[test]
fn several_keys_need_a_table_that_tells_them_apart() {
    let (m1, bqx) = (("\"m1_{key}\"", "\"m1_eurusd\""), ("\"bqx_{key}\"", "\"bqx_eurusd\""));
    let sandbox = changed(&[m1, bqx]);
    for verb in ["plan", "run", "verify", "doctor"] {
        let refused = sandbox.run(&[verb, "--only", "eurusd"]).exits(2);
        refused.says(&["table = \"m1_eurusd\"", "no table has {key}", "list one key"]);
    }
    // One key needs none, and one table beside those of the keys may serve them all.
    sandbox.run_with(&[("ROLLFIT_PARTITIONS__KEYS", "eurusd")], &["plan"]).exits(0);
    changed(&[bqx]).run(&["run"]).exits(0).says(&["4 written"]);
}

const LONG: [(&str, &str); 1] = [("ROLLFIT_WINDOWS__LONG", "500")];

#[test]
fn a_window_that_never_fills_is_told_by_plan_and_run_once_with_the_way_out() {
    let sandbox = changed(&[]);
    let told = [
        "warning: window long (500 rows) of series idx and bqx never fills in 4 partitions of eurusd, usdjpy",
        "boundary = \"carry\" in [run]",
        "693 rows of a key",
    ];
    for verb in ["plan", "run"] {
        let answer = sandbox.run_with(&LONG, &[verb]).exits(0).says(&told);
        assert_eq!(answer.stderr.matches("never fills").count(), 1, "{answer}");
    }
    let plan: Value = sandbox.run_with(&LONG, &["plan", "--json"]).exits(0).json();
    assert_eq!(plan["unfilled_windows"][0]["window_rows"], 500);
    let run = sandbox.run_with(&LONG, &["run", "--force", "--json"]).exits(0).json();
    assert_eq!(run["unfilled_windows"].as_array().unwrap().len(), 1);
}

#[test]
fn a_window_that_fills_somewhere_is_not_told() {
    let sandbox = changed(&[]);
    let carry = [LONG[0], ("ROLLFIT_RUN__BOUNDARY", "carry")];
    for verb in ["plan", "run"] {
        let answer = sandbox.run_with(&carry, &[verb]).exits(0);
        assert!(!answer.stderr.contains("never fills"), "{answer}");
    }
    // A month that has just begun is short, and the months before it are not.
    sandbox.import_changed("eurusd", &crate::bars::bars("eurusd", "2017-03")[..20]);
    sandbox.configure(&["eurusd"], "2017-01", "2017-03");
    let only = ["--only", "eurusd:2017-03"];
    let of_one_month = [["plan"].as_slice(), &only].concat();
    let of_one_month_anew = [["run", "--force"].as_slice(), &only].concat();
    for arguments in
        [&["plan"][..], &["run", "--replace", "definition-changed"], &of_one_month, &of_one_month_anew]
    {
        let answer = sandbox.run(arguments).exits(0);
        assert!(!answer.stderr.contains("never fills"), "{answer}");
    }
}
