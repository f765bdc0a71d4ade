//! Keys as markets write them, in PostgreSQL: names of tables are quoted, so their case counts; and where an import gets its
//! store and its password from.

use std::fs;

use crate::bars::{bars, config, csv};
use crate::sandbox::{Answer, Sandbox};
use crate::server::Setup;
use crate::sql::Database;

const MONTH: &str = "2017-01";
/// Two of them differ only in case, which a database tells apart.
const KEYS: [&str; 5] = ["BTC-USD", "ES.c.0", "600519.SH", "EURUSD", "eurusd"];

fn bars_file(sandbox: &Sandbox, key: &str) -> String {
    sandbox.write("bars.csv", csv(&bars(key, MONTH))).display().to_string()
}

fn import(sandbox: &Sandbox, key: &str, options: &[&str]) -> Answer {
    let file = bars_file(sandbox, key);
    sandbox.run(&[&["import", "--format", "csv", "--key", key], options, &[&file]].concat())
}

#[test]
fn keys_of_every_market_go_through_every_command_as_they_are_written() {
    let (sandbox, database) = (Sandbox::new(), Database::fresh());
    let text = config(&KEYS, MONTH, MONTH).replace("parquet:fx", &database.url());
    sandbox.write("rollfit.toml", &text);
    for key in KEYS {
        // The store is that of the configuration.
        import(&sandbox, key, &[]).exits(0).says(&["the postgres store of rollfit.toml", key]);
        let close: f64 = database.one(&format!("select close from \"m1_{key}\" order by time limit 1"));
        assert_eq!(close, bars(key, MONTH)[0].1, "{key}");
    }
    let tables =
        database.one::<i64>("select count(*) from pg_class where relkind = 'r' and relname like 'm1%'");
    assert_eq!(tables, 5);
    sandbox.run(&["plan"]).exits(0).says(&["ES.c.0 2017-01", "5 missing"]);
    sandbox.run(&["run"]).exits(0).says(&["5 written"]);
    sandbox.run(&["run"]).exits(0).says(&["5 already done"]);
    sandbox.run(&["verify"]).exits(0).says(&["5 verified"]);
    sandbox.run(&["status"]).exits(0).says(&["finished"]);
    sandbox.run(&["doctor"]).exits(0);
    for key in KEYS {
        sandbox.run(&["verify", "--only", &format!("{key}:{MONTH}")]).exits(0).says(&["1 verified"]);
    }
    sandbox.run(&["drop", "EURUSD:2017-01"]).exits(0);
    sandbox.write("rollfit.toml", text.replace(&format!("{KEYS:?}"), "\"all\""));
    sandbox.run(&["plan"]).exits(0).says(&["1 missing", "4 done"]);
    // Importing again finds the tables and their bases.
    import(&sandbox, "EURUSD", &[]).exits(0).says(&["EURUSD"]);
    // Into files the same keys do not go together.
    let files = text.replace("[store]", "[source]") + "\n[sink]\nurl = \"parquet:fx\"\n";
    fs::create_dir(sandbox.path("fx")).unwrap();
    sandbox.write("rollfit.toml", files);
    sandbox.run(&["run"]).exits(2).says(&["the keys `EURUSD` and `eurusd` differ only in case"]);
}

#[test]
fn a_key_whose_table_name_the_server_would_cut_off_is_refused_before_a_file_is_read() {
    let (sandbox, database) = (Sandbox::new(), Database::fresh());
    let url = database.url();
    let (longest, longer) = ("k".repeat(59), "k".repeat(60));
    let refused = ["import", "--format", "csv", "--into", &url, "--key", &longer, "none.csv"];
    sandbox.run(&refused).exits(1).says(&["has 64 bytes", "keeps 63", "at most 59 characters"]);
    sandbox.write(format!("bars/key={longer}/x.csv"), csv(&bars("x", MONTH)));
    sandbox.bars_file("eurusd", MONTH);
    let refused = ["import", "--format", "csv", "--into", &url, "bars"];
    sandbox.run(&refused).exits(1).says(&["at most 59 characters"]);
    assert_eq!(
        database.one::<i64>("select count(*) from pg_class where relnamespace = 'public'::regnamespace"),
        0
    );
    import(&sandbox, &longest, &["--into", &url]).exits(0);
}

#[test]
fn the_password_of_an_import_may_come_from_a_command() {
    const SECRET: &str = "hunter2";
    let server = Setup::default().over_tcp().access(&["host all loader 127.0.0.1/32 scram-sha-256"]).start();
    server.sql(&format!("create role loader superuser login password '{SECRET}'"));
    let database = server.database();
    let sandbox = Sandbox::new();
    let url = format!("postgres://loader@127.0.0.1:{}/{}", server.port(), database.name());
    let with = |command: &str| import(&sandbox, "eurusd", &["--into", &url, "--password-command", command]);
    for (command, exit, part) in
        [("echo wrong", 3, "password authentication failed"), ("exit 3", 3, "the password command")]
    {
        with(command).exits(exit).says(&[part]);
    }
    let answer = with(&format!("echo {SECRET}")).exits(0);
    assert!(!answer.to_string().contains(SECRET), "{answer}");
    // So may that of a configuration, where the command runs in its directory.
    let command = "password_command = \"cat secret\"";
    sandbox.write("conf/secret", SECRET);
    sandbox.write("conf/rollfit.toml", format!("[store]\nurl = \"{url}\"\n{command}\n"));
    import(&sandbox, "eurusd", &["--config", "conf/rollfit.toml"]).exits(0);
}
