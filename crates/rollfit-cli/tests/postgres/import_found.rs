//! Import into source tables that others have hung something on: foreign keys with an action, and triggers.

use crate::sandbox::{Answer, Sandbox};
use crate::sql::Database;

const MISSING: &str = "2017-01-09 04:00";

/// A database with a month of bars, from which somebody has taken one bar.
struct Imported {
    sandbox: Sandbox,
    database: Database<'static>,
}

impl Imported {
    fn new() -> Self {
        let imported = Self { sandbox: Sandbox::new(), database: Database::fresh() };
        imported.import("2017-01").exits(0);
        imported.database.sql(&format!("delete from m1_eurusd where time = '{MISSING}'"));
        imported
    }

    fn import(&self, month: &str) -> Answer {
        let file = self.sandbox.bars_file("eurusd", month).display().to_string();
        self.sandbox.run(&["import", "--format", "csv", "--into", &self.database.url(), &file])
    }

    fn tables(&self) -> Vec<Vec<Option<String>>> {
        self.database.texts("select 'm1', m::text from m1_eurusd m union all select 'bqx', b::text from bqx_eurusd b order by 1, 2")
    }
}

/// A bar that somebody took away takes its return with it, to which a row of others refers.
#[test]
fn an_import_deletes_no_rows_of_others() {
    let imported = Imported::new();
    imported.database.sql(&format!(
        "create table labels (ts timestamptz constraint labels_key references bqx_eurusd on delete cascade);
         insert into labels values ('{MISSING}+00')"
    ));
    let before = imported.tables();
    imported.import("2017-02").exits(1).says(&["public.labels", "labels_key", "DROP CONSTRAINT"]);
    assert_eq!(imported.tables(), before);
    assert_eq!(imported.database.one::<i64>("select count(*) from labels"), 1);
    imported.database.sql("truncate labels");
    imported.import("2017-02").exits(0);
}

#[test]
fn what_a_trigger_changes_or_keeps_in_source_tables_is_not_committed() {
    const TRIGGERS: [&str; 2] = [
        "create trigger meddle before insert on m1_eurusd for each row execute function meddle()",
        "create trigger meddle before delete on bqx_eurusd for each row execute function nothing()",
    ];
    let imported = Imported::new();
    imported.database.sql(
        "create function meddle() returns trigger language plpgsql as 'begin new.rate_index = 100; return new; end';
         create function nothing() returns trigger language plpgsql as 'begin return null; end'",
    );
    let before = imported.tables();
    for trigger in TRIGGERS {
        imported.database.sql(trigger);
        imported.import("2017-02").exits(1).says(&["trigger"]);
        assert_eq!(imported.tables(), before);
        imported
            .database
            .sql("drop trigger if exists meddle on m1_eurusd; drop trigger if exists meddle on bqx_eurusd");
    }
    // A trigger of a part changes rows that come through the table above.
    imported.database.sql(
        "alter table m1_eurusd rename to part;
         create table m1_eurusd (like part, primary key (time)) partition by range (time);
         alter table m1_eurusd attach partition part default;
         create trigger meddle before insert on part for each row execute function meddle()",
    );
    imported.import("2017-02").exits(1).says(&["trigger meddle"]);
    assert_eq!(imported.tables(), before);
    imported.database.sql("drop trigger meddle on part");
    imported.import("2017-02").exits(0);
}
