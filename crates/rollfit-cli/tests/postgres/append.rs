//! Rows added to those that are there, through the store alone: what an append vouches for, what it refuses, what it
//! costs, and that few rows and many are stored in the same bits.

use std::sync::Arc;

use rollfit_job::canonical_json::{definition_hash, receipt_hash};
use rollfit_job::partition::Partition;
use rollfit_job::receipt::Receipt;
use rollfit_job::store::{Claim, FeatureTile, Found, Sink, Slot, StoreError, Write};

use crate::opened::{Opened, first_partition};
use crate::server::Server;
use crate::workload::{ONE, Workload};

const RATE: &str = "reg_rate_eurusd_2017_01";
const BQX: &str = "reg_bqx_eurusd_2017_01";

const SECOND_US: i64 = 1_000_000;

/// A partition that a run has written, and the store that adds to it.
struct Month<'server> {
    workload: Workload<'server>,
    opened: Opened,
    partition: Partition,
}

impl<'server> Month<'server> {
    fn new() -> Month<'static> {
        Month::from_workload(Workload::one())
    }

    fn from_workload(workload: Workload<'server>) -> Self {
        workload.done();
        let (opened, partition) = (Opened::open(&workload), first_partition());
        Self { workload, opened, partition }
    }

    #[track_caller]
    fn receipt(&self) -> Receipt {
        match self.opened.store.found(&self.partition).unwrap() {
            Found::Ours(receipt) => *receipt,
            found => panic!("{found:?}"),
        }
    }

    fn claim(&self, after: &Receipt) -> Result<Claim<'_>, StoreError> {
        self.opened.store.claim(&self.partition, Write::Append { after: Box::new(after.clone()) })
    }

    /// What comes of a claim after the receipt that is there when it is claimed first: "taken", or why not.
    fn claimed(&self, after: &Receipt) -> String {
        match self.claim(after) {
            Ok(Claim::Taken(mut slot)) => match slot.found().unwrap() {
                Found::Ours(found) if *found == *after => "taken".to_owned(),
                found => format!("found: {found:?}"),
            },
            Ok(Claim::Held(holder)) => format!("held: {holder}"),
            Ok(Claim::Rewrite(why)) => format!("rewrite: {why}"),
            Err(error) => format!("error: {error}"),
        }
    }

    /// Adds rows, a second apart.
    #[track_caller]
    fn append(&self, rows: i64, value: impl Fn(i64) -> f64) {
        let after = self.receipt();
        let Ok(Claim::Taken(mut slot)) = self.claim(&after) else { panic!("{}", self.claimed(&after)) };
        let receipt = self.write(slot.as_mut(), &after, rows, value);
        slot.commit(&receipt).unwrap();
    }

    /// Writes rows after those of a receipt. The receipt of all of them.
    fn write(&self, slot: &mut dyn Slot, after: &Receipt, rows: i64, value: impl Fn(i64) -> f64) -> Receipt {
        let last_us = after.input.last_us.unwrap();
        let instants_us: Vec<i64> = (1..=rows).map(|row| last_us + row * SECOND_US).collect();
        let mut first_column = 0;
        slot.prepare().unwrap();
        for series in &self.opened.config.series {
            let columns = 0..series.columns.len() as i64;
            let values: Vec<f64> =
                columns.flat_map(|column| (0..rows).map(move |row| row * 7 + column)).map(&value).collect();
            slot.write(FeatureTile { instants_us: &instants_us, first_column, values: &values }).unwrap();
            first_column += series.columns.len();
        }
        slot.flush().unwrap();
        let mut receipt = after.clone();
        receipt.stored.rows += rows as u64;
        receipt.input.rows += rows as u64;
        receipt.input.last_us = instants_us.last().copied();
        receipt.input.digest = format!("rows1:{:064x}", receipt.input.rows);
        receipt
    }

    /// Puts a receipt in the place of the one that is there, as a run would store it.
    fn store_receipt(&self, receipt: &Receipt) {
        let mut json = serde_json::to_value(receipt).unwrap();
        let definition = json["definition"].take();
        json["definition"] = definition_hash(&definition).into();
        let mut client = self.workload.database.connect();
        let define = "insert into rollfit_definitions values ($1, $2::text::jsonb) on conflict do nothing";
        client.execute(define, &[&definition_hash(&definition), &definition.to_string()]).unwrap();
        let store = "update rollfit_receipts set receipt = $1::text::jsonb, digest = $2";
        assert_eq!(client.execute(store, &[&json.to_string(), &receipt_hash(&json)]).unwrap(), 1);
    }

    fn rows_of(&self, table: &str) -> i64 {
        self.workload.database.one(&format!("select count(*) from {table}"))
    }
}

#[test]
fn a_bar_takes_at_most_eight_round_trips_and_moves_the_receipt_with_its_rows() {
    let month = Month::new();
    let receipt = month.receipt();
    let types = receipt.stored.types.as_ref().unwrap();
    let wanted = [("timestamp without time zone".to_owned(), 1), ("double precision".to_owned(), 90)];
    assert_eq!(types, &[wanted.to_vec(), wanted.to_vec()]);
    let mut after = receipt;
    for _ in 0..3 {
        let before = month.opened.store.round_trips();
        let Ok(Claim::Taken(mut slot)) = month.claim(&after) else { panic!("{}", month.claimed(&after)) };
        assert_eq!(slot.column_types(), after.stored.types);
        let receipt = month.write(slot.as_mut(), &after, 1, |at| at as f64);
        assert!(slot.commit(&receipt).unwrap() > 2 * 90 * 12);
        let round_trips = month.opened.store.round_trips() - before;
        assert!(round_trips <= 8, "{round_trips} round trips");
        after = receipt;
    }
    assert_eq!(month.receipt(), after);
    assert_eq!([RATE, BQX].map(|table| month.rows_of(table)), [1491, 1491]);
    let row = "select rows, written_by like 'opened%' from rollfit_receipts";
    let rows = month.workload.database.rows(row);
    assert_eq!((rows[0].get::<_, i64>(0), rows[0].get::<_, bool>(1)), (1491, true));
}

/// Every kind of column, and values that are hard to store.
fn mixed() -> Workload<'static> {
    let workload = Workload::one();
    workload.done();
    workload.database.sql(&format!(
        "alter table {RATE} alter r2_idx_w15 type numeric, alter a1_idx_w15 type numeric(12,6), alter b_idx_w15 type real,
             alter rmse_idx_w15 type numeric(6,-2), alter a2_idx_w15 type numeric(40,38), alter ts_utc type timestamptz;
         alter table {BQX} alter r2_bqx_w15 type numeric(20,20), alter a1_bqx_w15 type numeric(1000,500),
             add note text default 'kept';
         alter table {BQX} drop constraint {BQX}_pkey"
    ));
    workload.run(&["run", "--quiet", "--force"]).exits(0);
    workload
}

fn hard(at: i64) -> f64 {
    const VALUES: [f64; 17] = [
        0.1,
        -0.1,
        1.005,
        -2.675,
        999.995,
        123_456.789_012_345,
        1e-300,
        5e-324,
        1.797_693_134_862_315_7e308,
        f64::NAN,
        0.0,
        1e22,
        1e-7,
        16_777_217.0,
        3.402_823_5e38,
        0.999_999_999_999_999_9,
        -50.0,
    ];
    VALUES[at.unsigned_abs() as usize % VALUES.len()] * (1.0 - (at % 13) as f64 / 64.0)
}

#[test]
fn few_rows_and_many_are_stored_in_the_same_bits_in_columns_of_every_type() {
    let [few, many, once] = [mixed(), mixed(), mixed()].map(Month::from_workload);
    let start = few.receipt();
    assert_eq!(
        start.stored.types.as_ref().unwrap()[0][..6],
        [
            ("timestamp with time zone", 1),
            ("numeric(40,38)", 1),
            ("numeric(12,6)", 1),
            ("real", 1),
            ("numeric", 1),
            ("numeric(6,-2)", 1)
        ]
        .map(|(name, count)| (name.to_owned(), count))
    );
    // The same values for the same instants, in pieces of one, some, and all rows.
    for row in 0..40 {
        few.append(1, |at| hard(at + row * 7));
    }
    many.append(40, hard);
    once.append(20, hard);
    once.append(20, |at| hard(at + 140));
    let contents = |month: &Month<'_>, table: &str| {
        let sum = "string_agg(t::text || ' ' || pg_column_size(t.*), ';' order by ts_utc)";
        month
            .workload
            .database
            .one::<String>(&format!("select {sum} from {table} t where ts_utc > '2017-01-31 23:30'"))
    };
    for table in [RATE, BQX] {
        assert_eq!(contents(&few, table), contents(&many, table), "{table}");
        assert_eq!(contents(&few, table), contents(&once, table), "{table}");
    }
    assert_eq!(few.receipt(), many.receipt());
    let kept = "select count(*) from reg_bqx_eurusd_2017_01 where note = 'kept'";
    assert_eq!(few.workload.database.one::<i64>(kept), 1528, "defaults of others' columns");
}

/// A row of another program.
const FOREIGN_ROW: &str = "insert into TABLE (ts_utc) values ('2017-01-09 03:31')";

#[test]
fn rows_of_others_are_told_before_every_reason_to_write_the_month_again() {
    let month = Month::new();
    month
        .workload
        .database
        .sql("create function keep() returns trigger language plpgsql as 'begin return new; end'");
    let after = month.receipt();
    let remove = |table: &str| format!("delete from {table} where ts_utc = '2017-01-09 03:31'");
    let add = |table: &str| FOREIGN_ROW.replace("TABLE", table);
    let told = |table: &str| ["error: ".to_owned(), format!("{table} has 1489 rows")];
    for [change, undo] in [
        [
            format!("create trigger keep before insert on {RATE} for each row execute function keep()"),
            format!("drop trigger keep on {RATE}"),
        ],
        [
            "create trigger keep before update on rollfit_receipts for each row execute function keep()"
                .to_owned(),
            "drop trigger keep on rollfit_receipts".to_owned(),
        ],
        [
            format!("create rule keep as on insert to {BQX} do also notify added"),
            format!("drop rule keep on {BQX}"),
        ],
        [
            format!("alter table {BQX} alter r2_bqx_w15 type numeric"),
            format!("alter table {BQX} alter r2_bqx_w15 type float8"),
        ],
        // Rows that are gone from one table do not make those of others in the other one ours.
        [
            format!(
                "create table kept as select * from {RATE}; delete from {RATE} where ts_utc > '2017-01-31'"
            ),
            format!("delete from {RATE}; insert into {RATE} select * from kept; drop table kept"),
        ],
    ] {
        month.workload.database.sql(&change);
        claim_after_undone(&month, &after, &add(BQX), &remove(BQX), &told(BQX));
        month.workload.database.sql(&undo);
    }
    for (change, why) in NOT_FOLLOWED {
        let mut other = after.clone();
        change(&mut other);
        month.store_receipt(&other);
        for table in [RATE, BQX] {
            month.workload.database.sql(&add(table));
            let claimed = month.claimed(&other);
            let [error, rows] = told(table);
            assert!(claimed.starts_with(&error) && claimed.contains(&rows), "{why}: {claimed}");
            month.workload.database.sql(&remove(table));
        }
        assert!(month.claimed(&other).starts_with("rewrite: "), "{why}");
        month.store_receipt(&after);
    }
    month.append(1, |_| 0.5);
}

/// Checks what a claim says after a change by SQL, and that the month would be written again once it is undone.
#[track_caller]
fn claim_after_undone(month: &Month<'_>, after: &Receipt, change: &str, undo: &str, wanted: &[String]) {
    month.workload.database.sql(change);
    let claimed = month.claimed(after);
    assert!(wanted.iter().all(|part| claimed.contains(part)), "{change}: {claimed}, wanted {wanted:?}");
    month.workload.database.sql(undo);
    let claimed = month.claimed(after);
    assert!(claimed.starts_with("rewrite: "), "{undo}: {claimed}");
}

#[test]
fn rows_of_others_are_told_where_policies_apply_that_are_accepted() {
    let workload = Workload::one();
    let role = workload.as_new_role("tenant");
    workload.database.sql(&format!(
        "grant select on m1_eurusd, bqx_eurusd to {role}; grant create, usage on schema public to {role}"
    ));
    let url = workload.database.url().replacen("postgres@", &format!("{role}@"), 1);
    let accepted = [("STORE__ROW_SECURITY", "apply")];
    workload.run_with(&[("ROLLFIT_STORE__ROW_SECURITY", "apply")], &["run", "--quiet"]).exits(0);
    let opened = Opened::at(&workload, &url, &accepted);
    let month = Month { workload, opened, partition: first_partition() };
    let after = month.receipt();
    assert_eq!(month.claimed(&after), "taken");
    month.workload.database.sql(&format!(
        "alter table {RATE} enable row level security; alter table {RATE} force row level security;
         create policy every on {RATE} using (true)"
    ));
    let remove = format!("delete from {BQX} where ts_utc = '2017-01-09 03:31'");
    let told = ["error: ".to_owned(), format!("{BQX} has 1489 rows")];
    claim_after_undone(&month, &after, &FOREIGN_ROW.replace("TABLE", BQX), &remove, &told);
    assert!(month.claimed(&after).contains("row-level security applies to"));
}

/// What a claim says after a change by SQL, and once the change is undone.
#[track_caller]
fn claim_after(month: &Month<'_>, change: &str, undo: &str, wanted: &[&str]) {
    let after = month.receipt();
    month.workload.database.sql(change);
    let claimed = month.claimed(&after);
    for part in wanted {
        assert!(claimed.contains(part), "{change}: {claimed}, wanted {part}");
    }
    month.workload.database.sql(undo);
    assert_eq!(month.claimed(&after), "taken", "{undo}");
}

#[test]
fn nothing_is_added_where_a_trigger_or_rule_may_change_what_is_added() {
    let month = Month::new();
    month.workload.database.sql(
        "create function keep() returns trigger language plpgsql as 'begin return new; end';
         create function stay() returns trigger language plpgsql as 'begin return null; end'",
    );
    let rewrite = |kind: &str, create: &str, table: &str| {
        let wanted = ["rewrite: ", &format!("{kind} meddle on {table}")];
        claim_after(&month, create, &format!("drop {kind} meddle on {table}"), &wanted);
    };
    for (when, each) in
        [("before insert", "row"), ("after insert or delete", "row"), ("after insert", "statement")]
    {
        let create = format!("create trigger meddle {when} on {BQX} for each {each} execute function keep()");
        rewrite("trigger", &create, BQX);
    }
    let deferred = "create constraint trigger meddle after insert on TABLE deferrable initially deferred
                    for each row execute function stay()";
    rewrite("trigger", &deferred.replace("TABLE", RATE), RATE);
    let on_receipts =
        "create trigger meddle before update on rollfit_receipts for each row execute function keep()";
    rewrite("trigger", on_receipts, "rollfit_receipts");
    rewrite("rule", &format!("create rule meddle as on insert to {RATE} do also notify added"), RATE);
    rewrite(
        "rule",
        "create rule meddle as on update to rollfit_receipts do also notify moved",
        "rollfit_receipts",
    );
    // Those that no INSERT runs are in nobody's way.
    month.workload.database.sql(&format!(
        "create trigger gone after delete or update on {RATE} for each row execute function stay();
         create trigger off before insert on {RATE} for each row execute function keep();
         alter table {RATE} disable trigger off;
         create rule gone as on delete to {BQX} do also notify gone;
         create trigger fresh before insert on rollfit_receipts for each row execute function keep()"
    ));
    month.append(1, |_| 0.5);
}

#[test]
fn rows_or_columns_that_are_not_those_of_the_receipt_are_rewritten_or_told() {
    let month = Month::new();
    let later = "2017-01-31 23:45";
    month.workload.database.sql(&format!("create table kept as select * from {BQX}"));
    let back = format!("delete from {BQX}; insert into {BQX} select * from kept");
    let fewer = |change: &str| claim_after(&month, change, &back, &["rewrite: ", "of 1488 rows"]);
    fewer(&format!("delete from {BQX} where ts_utc = '2017-01-09 03:30'"));
    fewer(&format!("delete from {BQX} where ts_utc > '2017-01-31 23:00'"));
    let told = ["error: ", BQX, "another program added rows", "run --force --only eurusd:2017-01"];
    let more = |change: &str| claim_after(&month, change, &back, &told);
    more(&format!("insert into {BQX} (ts_utc) values ('{later}')"));
    more(&format!("insert into {BQX} (ts_utc) values ('2017-01-09 03:31')"));
    more(&format!(
        "delete from {BQX} where ts_utc > '2017-01-31 23:00'; insert into {BQX} (ts_utc) values ('2017-01-09 03:31')"
    ));
    more(&format!(
        "delete from {BQX} where ts_utc < '2017-01-03'; insert into {BQX} (ts_utc) values ('{later}')"
    ));
    claim_after(&month, &format!("delete from {BQX}"), &back, &["rewrite: ", "no rows"]);
    // Without a key an instant can be there twice, or be missing.
    month.workload.database.sql(&format!("alter table {BQX} drop constraint {BQX}_pkey"));
    more(&format!("insert into {BQX} select * from {BQX} where ts_utc = '2017-01-09 03:30'"));
    let nulls = format!(
        "alter table {BQX} alter ts_utc drop not null; update {BQX} set ts_utc = null where ts_utc < '2017-01-01 00:15'"
    );
    claim_after(&month, &nulls, &back, &["rewrite: ", "without an instant"]);
    let types = format!("alter table {RATE} alter r2_idx_w15 type numeric(12,6)");
    let types_back = format!("alter table {RATE} alter r2_idx_w15 type float8");
    claim_after(&month, &types, &types_back, &["rewrite: ", RATE, "other types"]);
    let text = format!("alter table {RATE} alter r2_idx_w15 type text");
    let number = format!("alter table {RATE} alter r2_idx_w15 type float8 using r2_idx_w15::float8");
    claim_after(&month, &text, &number, &["error: ", RATE]);
    let away = |to: &str| format!("alter table {RATE} rename to {to}");
    claim_after(
        &month,
        &away("away"),
        &format!("alter table away rename to {RATE}"),
        &["rewrite: ", "is gone"],
    );
    let child = format!("create table child () inherits ({RATE})");
    claim_after(&month, &child, "drop table child", &["error: ", RATE]);
    month.append(1, |_| 0.5);
}

type ReceiptChange = fn(&mut Receipt);

/// Receipts whose rows are not added to, and why.
const NOT_FOLLOWED: [(ReceiptChange, &str); 4] = [
    (|receipt| receipt.stored.adopted = true, "another program wrote its rows"),
    (|receipt| receipt.stored.types = None, "its receipt does not record the types of its columns"),
    (|receipt| receipt.input.digest = "0".repeat(64), "its receipt has the input digest of an earlier"),
    (|receipt| Arc::make_mut(&mut receipt.definition).version = 2, "its receipt is of another"),
];

#[test]
fn a_receipt_that_cannot_be_followed_is_not() {
    let month = Month::new();
    let after = month.receipt();
    for (change, why) in NOT_FOLLOWED {
        let mut other = after.clone();
        change(&mut other);
        // What there is decides, not what was there once.
        assert!(month.claimed(&other).starts_with("found: Ours"), "{why}: {}", month.claimed(&other));
        month.store_receipt(&other);
        let claimed = month.claimed(&other);
        assert!(claimed.starts_with(&format!("rewrite: {why}")), "{claimed}, wanted {why}");
        month.store_receipt(&after);
        assert_eq!(month.claimed(&after), "taken");
    }
    let mut more = after.clone();
    more.input.rows += 1;
    assert!(month.claimed(&more).starts_with("found: Ours"));
    let edited = "update rollfit_receipts set receipt = jsonb_set(receipt, '{stored,rows}', '7')";
    let back = "update rollfit_receipts set receipt = jsonb_set(receipt, '{stored,rows}', '1488')";
    claim_after(&month, edited, back, &["found: Foreign", "its digest is not that of its JSON"]);
    let kept = "create table kept as select * from rollfit_receipts";
    let gone = format!("{kept}; delete from rollfit_receipts");
    claim_after(&month, &gone, "insert into rollfit_receipts select * from kept", &["found: Nothing"]);
    let undefined =
        "create table definitions as select * from rollfit_definitions; delete from rollfit_definitions";
    let defined = "insert into rollfit_definitions select * from definitions";
    claim_after(&month, undefined, defined, &["found: Foreign", "its definition"]);
    // Nothing was left open or locked by any of them.
    assert_eq!(month.workload.left_over_sessions(), Vec::<String>::new());
}

#[test]
fn whoever_has_the_partition_or_a_table_is_named_and_rows_are_added_afterwards() {
    let month = Month::new();
    let after = month.receipt();
    let output = "select output from rollfit_receipts";
    let lock = format!("select pg_advisory_xact_lock(hashtextextended('rollfit ' || ({output}), 0))");
    let insert = format!("insert into {BQX} (ts_utc) values ('2017-01-31 23:45')");
    // Whoever adds rows to other partitions has locks on the receipts too, and is in nobody's way.
    let innocent = |_| {
        let mut innocent = month.workload.database.connect();
        let update = "set application_name = 'the innocent'; begin; update rollfit_receipts set rows = 1 where output = 'x'";
        innocent.batch_execute(update).unwrap();
        innocent
    };
    let mut innocents = [0; 8].map(innocent);
    let share = "lock table rollfit_receipts in share mode";
    let definitions = "lock table rollfit_definitions in access exclusive mode";
    for statement in [lock.as_str(), &insert, share, definitions] {
        if statement.contains("in share mode") {
            innocents.iter_mut().for_each(|innocent| innocent.batch_execute("rollback").unwrap());
        }
        let mut other = month.workload.database.connect();
        other.batch_execute(&format!("set application_name = 'the old job'; begin; {statement}")).unwrap();
        let claimed = month.claimed(&after);
        assert!(claimed.starts_with("held: the old job"), "{statement}: {claimed}");
        other.batch_execute("rollback").unwrap();
    }
    month.append(1, |_| 0.5);
}

#[test]
fn rows_are_added_to_a_table_that_others_refer_to_and_that_refers_to_others() {
    let month = Month::new();
    month.workload.database.sql(&format!(
        "create table notes (ts_utc timestamp references {RATE} on delete cascade, note text);
         insert into notes select ts_utc, 'kept' from {RATE} limit 10;
         create table instants as select t as ts_utc from generate_series('2017-01-01'::timestamp, '2017-02-01', '1 second') t;
         alter table instants add primary key (ts_utc);
         alter table {BQX} add foreign key (ts_utc) references instants deferrable initially deferred"
    ));
    month.append(2, |_| 0.5);
    assert_eq!(month.rows_of("notes"), 10);
    // A row that the key refuses leaves nothing, of either table, also where it is refused at the commit.
    month.workload.database.sql("delete from instants where ts_utc > '2017-01-31 23:45'");
    let before = month.receipt();
    let claimed = month.claim(&before);
    let Ok(Claim::Taken(mut slot)) = claimed else { panic!("{}", month.claimed(&before)) };
    let receipt = month.write(slot.as_mut(), &before, 1800, |_| 0.25);
    let error = slot.commit(&receipt).unwrap_err().to_string();
    assert!(error.contains("foreign key"), "{error}");
    assert_eq!(month.receipt(), before);
    assert_eq!([RATE, BQX].map(|table| month.rows_of(table)), [1490, 1490]);
}

#[test]
fn a_receipt_that_somebody_changes_meanwhile_is_not_overwritten_and_no_row_is_added() {
    let month = Month::new();
    let before = month.receipt();
    let Ok(Claim::Taken(mut slot)) = month.claim(&before) else { panic!("{}", month.claimed(&before)) };
    let receipt = month.write(slot.as_mut(), &before, 1, |_| 0.5);
    month.workload.database.sql("update rollfit_receipts set digest = 'other'");
    let error = slot.commit(&receipt).unwrap_err();
    assert_eq!(error.fault(), rollfit_job::store::Fault::Transient, "{error}");
    assert!(error.to_string().contains("another program changed the receipt"), "{error}");
    assert_eq!([RATE, BQX].map(|table| month.rows_of(table)), [1488, 1488]);
    assert_eq!(month.workload.left_over_sessions(), Vec::<String>::new());
}

#[test]
fn a_slot_for_added_rows_refuses_what_is_not_an_addition() {
    let month = Month::new();
    let before = month.receipt();
    let slot = || match month.claim(&before) {
        Ok(Claim::Taken(slot)) => slot,
        _ => panic!("{}", month.claimed(&before)),
    };
    assert!(slot().remove().unwrap_err().to_string().contains("removes none"));
    let mut wrong = slot();
    let values = vec![0.5; month.opened.config.series[0].columns.len()];
    let instants_us = [before.input.last_us.unwrap()];
    let again = FeatureTile { instants_us: &instants_us, first_column: 0, values: &values };
    assert!(wrong.write(again).unwrap_err().to_string().contains("do not come after"));
    drop(wrong);
    for change in [
        (|receipt| receipt.stored.rows += 1) as fn(&mut Receipt),
        |receipt| receipt.stored.types = None,
        |receipt| receipt.output.push('x'),
    ] {
        let mut slot = slot();
        let mut receipt = month.write(slot.as_mut(), &before, 1, |_| 0.5);
        change(&mut receipt);
        assert!(slot.commit(&receipt).unwrap_err().to_string().contains("report this bug"));
    }
    assert_eq!(month.receipt(), before);
    assert_eq!([RATE, BQX].map(|table| month.rows_of(table)), [1488, 1488]);
}

#[test]
fn a_bar_is_logged_in_few_bytes_and_tables_grow_by_little_more_than_their_rows() {
    const BARS: i64 = 100;
    let server = Server::with(&[("full_page_writes", "on"), ("autovacuum", "off")]);
    let workload = Workload::on(&server, ONE);
    workload.replace_in_configuration("[store]", "[store]\nnumbers = \"numeric\"");
    let month = Month::from_workload(workload);
    let database = &month.workload.database;
    let logged = || database.one::<i64>("select (pg_current_wal_insert_lsn() - '0/0')::int8");
    let pages =
        || [RATE, BQX].map(|table| database.one::<i64>(&format!("select pg_relation_size('{table}')")));
    let digits = |at: i64| (at as f64 + 0.5).sqrt();
    // The first change of a page after a checkpoint logs the whole page.
    database.sql("checkpoint");
    let before = logged();
    month.append(1, digits);
    let first = logged() - before;
    assert!(first <= 100_000, "{first} bytes of WAL after a checkpoint");
    let (before, pages_before) = (logged(), pages());
    (0..BARS).for_each(|_| month.append(1, digits));
    let each = (logged() - before) / BARS;
    assert!(each <= 20_000, "{each} bytes of WAL a bar");
    for (at, table) in [RATE, BQX].into_iter().enumerate() {
        let bytes =
            format!("select sum(pg_column_size(t.*)) from {table} t where ts_utc > '2017-01-31 23:30:01'");
        let (grown, bytes) = (pages()[at] - pages_before[at], database.one::<i64>(&bytes));
        assert!(grown <= 2 * bytes, "{table} grew by {grown} bytes for rows of {bytes}");
    }
    // Statistics of the instants are renewed once a tenth is new.
    let analyzed =
        || database.one::<f32>(&format!("select reltuples from pg_class where relname = '{RATE}'"));
    assert_eq!((analyzed(), month.rows_of(RATE)), (1488.0, 1488 + 1 + BARS));
    month.append(100, digits);
    assert_eq!(analyzed(), 1689.0);
}

#[test]
fn names_with_quotes_and_dollars_are_locked_as_a_replacement_locks_them() {
    let workload = Workload::one();
    let schema = r#"a "b" \ $1 'c'"#;
    let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
    workload.database.sql(&format!(
        "create schema {quoted}; alter table m1_eurusd set schema {quoted}; alter table bqx_eurusd set schema {quoted}"
    ));
    let escaped = schema.replace('\\', "\\\\").replace('"', "\\\"");
    workload.replace_in_configuration("[store]", &format!("[store]\nschema = \"{escaped}\""));
    let month = Month::from_workload(workload);
    month.append(1, |_| 0.5);
    let after = month.receipt();
    let held = month.opened.claim(&month.partition);
    let claimed = month.claimed(&after);
    assert!(claimed.starts_with("held: opened"), "{claimed}");
    drop(held);
    month.append(1, |_| 0.5);
}

#[test]
fn a_claim_that_fails_leaves_no_lock_behind_and_its_session_is_used_again() {
    let month = Month::new();
    let after = month.receipt();
    month.workload.database.sql(&format!("alter table {BQX} alter r2_bqx_w15 type text"));
    for write in [Write::Replace, Write::Append { after: Box::new(after.clone()) }] {
        assert!(month.opened.store.claim(&month.partition, write).is_err());
        assert_eq!(month.workload.left_over_sessions(), Vec::<String>::new());
    }
    let back = format!("alter table {BQX} alter r2_bqx_w15 type float8 using r2_bqx_w15::float8");
    month.workload.database.sql(&back);
    assert_eq!(month.claimed(&after), "taken");
    drop(month.opened.claim(&month.partition));
}
