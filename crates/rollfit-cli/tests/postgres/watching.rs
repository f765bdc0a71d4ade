//! What a follower asks of source tables: their last instants and last rows, each in one round trip and with the bits of an ordinary
//! reading, whatever becomes of the tables meanwhile; and whether they have the indexes that make it cheap.

use rollfit_job::config::Keys;
use rollfit_job::store::{
    Fault, LATEST_ROWS_MAX, LatestQuery, LatestRows, Purpose, SeriesHead, SeriesKind, SeriesOfKey,
    SeriesRows, Source, StoreError,
};

use crate::opened::Opened;
use crate::pooler::Pooler;
use crate::server::{Server, shared};
use crate::workload::{ONE, Workload};

/// 2017-01-31 20:00: the last eight rows of a workload's only month are later, or then.
const EVENING_US: i64 = 1_485_892_800_000_000;
const DAY_US: i64 = 86_400_000_000;
/// 2017-01-31 23:30.
const LAST_US: i64 = EVENING_US + 7 * DAY_US / 48;

type Heads = Vec<Result<SeriesHead, StoreError>>;

impl Opened {
    fn series(&self) -> Vec<SeriesOfKey<'_>> {
        let Keys::Listed(keys) = &self.config.keys else { panic!("every key") };
        keys.iter().flat_map(|key| self.config.series_of_key(key)).collect()
    }

    fn heads(&self) -> Heads {
        self.store.heads(&self.series()).unwrap()
    }

    /// The last instants, where nothing is wrong.
    #[track_caller]
    fn lasts(&self) -> Vec<Option<i64>> {
        self.heads().into_iter().map(|head| head.unwrap().last_us).collect()
    }

    fn latest(&self) -> Result<LatestRows, StoreError> {
        self.latest_from(EVENING_US, None)
    }

    fn latest_from(&self, from_us: i64, count_from_us: Option<i64>) -> Result<LatestRows, StoreError> {
        self.store.latest(&self.series(), LatestQuery { from_us, count_from_us })
    }

    /// The same rows through a snapshot.
    fn snapshot_from(&self, from_us: i64) -> Vec<SeriesRows> {
        let series = self.series();
        let mut snapshot = self.store.snapshot(&series, crate::opened::first_partition().period, 0).unwrap();
        (0..series.len()).map(|at| snapshot.rows(at, from_us..i64::MAX).unwrap()).collect()
    }

    /// How often the server is waited for.
    fn round_trips<T>(&self, ask: impl FnOnce() -> T) -> (u64, T) {
        let before = self.store.round_trips();
        let answer = ask();
        (self.store.round_trips() - before, answer)
    }

    #[track_caller]
    fn is_refused(&self, words: &[&str]) -> String {
        let error = self.store.check_followable(&self.series()).unwrap_err();
        assert_says(&error, words);
        assert_eq!(error.fault(), Fault::Permanent);
        error.to_string()
    }

    #[track_caller]
    fn is_followable(&self) {
        self.store.check_followable(&self.series()).unwrap();
    }
}

#[track_caller]
fn assert_says(error: &StoreError, words: &[&str]) {
    words.iter().for_each(|word| assert!(error.to_string().contains(word), "`{word}` is not in: {error}"));
}

fn bits(rows: &[SeriesRows]) -> Vec<(Vec<i64>, Vec<u64>)> {
    let bits = |rows: &SeriesRows| rows.values.iter().map(|value| value.to_bits()).collect();
    rows.iter().map(|rows| (rows.instants_us.clone(), bits(rows))).collect()
}

#[test]
fn many_heads_are_one_round_trip_and_so_is_a_look_at_the_last_rows() {
    let workload = Workload::wide();
    let opened = Opened::open(&workload);
    // The tables are described once.
    assert_eq!(opened.round_trips(|| opened.heads()).0, 2);
    let (round_trips, before) = opened.round_trips(|| opened.lasts());
    assert_eq!((round_trips, before.len()), (1, 4));
    workload.database.sql("insert into m1_usdjpy values ('2017-04-01', 1); delete from bqx_usdjpy where ts_utc > '2017-03-31 12:00Z'");
    let after = opened.lasts();
    assert_eq!(after[..2], before[..2]);
    assert!(after[2] > before[2] && after[3] < before[3], "{before:?} {after:?}");
    let (round_trips, latest) =
        opened.round_trips(|| opened.latest_from(before[3].unwrap(), Some(0)).unwrap());
    assert_eq!(round_trips, 1);
    let lengths: Vec<usize> = latest.rows.iter().map(|rows| rows.values.len()).collect();
    assert_eq!(lengths, [1, 1, 2, 0]);
    assert_eq!(latest.counts.unwrap(), [90 * 48 - 1, 90 * 48 - 1, 90 * 48 - 1, 90 * 48 - 23]);
    workload.database.sql("truncate bqx_usdjpy");
    assert_eq!(opened.lasts()[3], None);
    assert_eq!(opened.latest().unwrap().rows[3], SeriesRows::default());
    assert_eq!(opened.store.heads(&[]).unwrap().len(), 0);
}

#[test]
fn the_last_rows_have_the_bits_of_an_ordinary_reading() {
    let workload = Workload::one();
    let opened = Opened::open(&workload);
    let values = [
        ("float8", "'NaN', 'Infinity', '-0', null, '5e-324', '0.1', '-1.7976931348623157e308'"),
        ("real", "'NaN', '-Infinity', '-0', null, '1e-45', '0.1', '3.4e38'"),
        (
            "numeric",
            "'NaN', '0.1', '-0', null, '1e-400', '123456789012345678901234567890.12345678901234567890', '1e400'",
        ),
        ("numeric(12,6)", "'NaN', '0.1', '-0', null, '123456.654321', '-0.000001', '1'"),
        ("int8", "9223372036854775807, -9007199254740993, 0, null, 1, 2, 3"),
        ("int2", "1, 2, 3, null, 4, 5, 6"),
    ];
    for (kind, values) in values {
        for time in ["timestamp", "timestamptz"] {
            // The tables change their types under what is known of them.
            workload.database.sql(&format!(
                "drop table m1_eurusd; create table m1_eurusd (time {time}, rate_index {kind});
                 insert into m1_eurusd select '2017-01-31 20:00Z'::timestamptz at time zone 'UTC' + i * interval '1 min', v
                     from unnest(array[{values}]::{kind}[]) with ordinality u (v, i)"
            ));
            let latest = opened.latest().unwrap();
            assert_eq!(latest.rows[0].values.len(), 7, "{kind}");
            assert_eq!(bits(&latest.rows), bits(&opened.snapshot_from(EVENING_US)), "{kind} {time}");
            assert_eq!(opened.lasts(), [Some(EVENING_US + 420_000_000), Some(LAST_US)]);
        }
    }
}

#[test]
fn what_is_wrong_with_one_table_is_only_that_ones_error() {
    let workload = Workload::wide();
    let opened = Opened::open(&workload);
    let before = opened.lasts();
    let others = |heads: &Heads| {
        [0, 2, 3].map(|at: usize| heads[at].as_ref().unwrap().last_us) == [before[0], before[2], before[3]]
    };
    let wrong = |statement: &str, words: &[&str], restored: &str| {
        workload.database.sql(statement);
        for _ in 0..2 {
            let heads = opened.heads();
            assert!(others(&heads), "{statement}: {heads:?}");
            assert_says(heads[1].as_ref().unwrap_err(), words);
        }
        workload.database.sql(restored);
        assert_eq!(opened.lasts(), before, "{restored}");
        assert_eq!(opened.round_trips(|| opened.lasts()).0, 1);
    };
    wrong(
        "alter table bqx_eurusd rename to gone",
        &["public.bqx_eurusd does not exist"],
        "alter table gone rename to bqx_eurusd",
    );
    wrong(
        "alter table bqx_eurusd rename ts_utc to ts",
        &["public.bqx_eurusd has no column ts_utc"],
        "alter table bqx_eurusd rename ts to ts_utc",
    );
    wrong(
        "insert into bqx_eurusd values ('infinity', 1)",
        &["public.bqx_eurusd", "is infinity in a row"],
        "delete from bqx_eurusd where ts_utc = 'infinity'",
    );
    wrong(
        "alter table bqx_eurusd rename to whole; create table bqx_eurusd (ts_utc date, w15_bqx_return float8)",
        &["public.bqx_eurusd: column ts_utc is date"],
        "drop table bqx_eurusd; alter table whole rename to bqx_eurusd",
    );
}

#[test]
fn a_table_that_somebody_has_locked_keeps_no_other_from_being_asked() {
    let workload = Workload::one();
    let opened = Opened::open(&workload);
    let before = opened.lasts();
    let mut other = workload.database.connect();
    other.batch_execute("begin; lock table m1_eurusd in access exclusive mode").unwrap();
    let heads = opened.heads();
    assert_eq!(heads[0].as_ref().unwrap_err().fault(), Fault::Transient);
    assert_eq!(heads[1].as_ref().unwrap().last_us, before[1]);
    other.batch_execute("rollback").unwrap();
    assert_eq!(opened.lasts(), before);
    assert_eq!(opened.round_trips(|| opened.lasts()).0, 1);
}

#[test]
fn a_table_of_several_series_is_asked_once_and_one_that_stays_locked_costs_little_time() {
    let workload = Workload::wide();
    let opened = Opened::open(&workload);
    let mut series = opened.series();
    for (at, table) in [(1, "m1_eurusd"), (3, "m1_usdjpy")] {
        series[at].table = table.to_owned();
        (series[at].time, series[at].value) = ("time", "rate_index");
    }
    // And another column of one of them.
    workload.database.sql("alter table m1_usdjpy add seen timestamp default '2017-01-01'");
    let seen = SeriesOfKey { time: "seen", ..series[3].clone() };
    series.push(seen);
    let lasts = |heads: Heads| heads.into_iter().map(|head| head.unwrap().last_us).collect::<Vec<_>>();
    let all = lasts(opened.store.heads(&series).unwrap());
    assert_eq!((all[0], all[2]), (all[1], all[3]));
    assert_eq!((all.len(), all[4]), (5, Some(1_483_228_800_000_000)));
    let mut other = workload.database.connect();
    other.batch_execute("begin; lock table m1_eurusd in access exclusive mode").unwrap();
    for is_known in [false, true, true] {
        let started = std::time::Instant::now();
        let (round_trips, heads) = opened.round_trips(|| opened.store.heads(&series).unwrap());
        for locked in &heads[..2] {
            assert_says(locked.as_ref().unwrap_err(), &["lock timeout", "public.m1_eurusd"]);
            assert_eq!(locked.as_ref().unwrap_err().fault(), Fault::Transient);
        }
        let others = [2, 3, 4].map(|at: usize| heads[at].as_ref().unwrap().last_us);
        assert_eq!(others[..], all[2..]);
        if is_known {
            // One for the table, and one for all others.
            assert_eq!(round_trips, 2);
            assert!(started.elapsed().as_millis() < 450, "{:?}", started.elapsed());
        }
    }
    other.batch_execute("rollback").unwrap();
    assert_eq!(lasts(opened.store.heads(&series).unwrap()), all);
    // What is wrong with one series of a table is not wrong with the others.
    series[1].value = "missing";
    let heads = opened.store.heads(&series).unwrap();
    assert_says(heads[1].as_ref().unwrap_err(), &["public.m1_eurusd has no column missing"]);
    assert_eq!(
        [0, 2, 3, 4].map(|at: usize| heads[at].as_ref().unwrap().last_us),
        [all[0], all[2], all[3], all[4]]
    );
}

#[test]
fn rows_that_an_ordinary_reading_refuses_are_refused_among_the_last_ones_too() {
    let workload = Workload::one();
    let opened = Opened::open(&workload);
    opened.latest().unwrap();
    for (row, words) in [
        ("'infinity'", "is infinity in a row"),
        ("'-infinity'", "is -infinity in a row"),
        ("'2017-01-31 22:00'", "is 2017-01-31T22:00:00Z in two rows"),
    ] {
        workload.database.sql(&format!(
            "alter table m1_eurusd drop constraint if exists m1_eurusd_pkey; insert into m1_eurusd values ({row}, 7)"
        ));
        assert_says(&opened.latest().unwrap_err(), &["public.m1_eurusd", words]);
        workload.database.sql("delete from m1_eurusd where rate_index = 7");
    }
    assert_eq!(bits(&opened.latest().unwrap().rows), bits(&opened.snapshot_from(EVENING_US)));
    // A time that is NULL belongs to no row.
    workload
        .database
        .sql("alter table m1_eurusd alter time drop not null; insert into m1_eurusd values (null, 7)");
    assert_eq!(bits(&opened.latest().unwrap().rows), bits(&opened.snapshot_from(EVENING_US)));
}

#[test]
fn of_very_many_last_rows_the_first_are_given_and_it_is_told() {
    let workload = Workload::one();
    let opened = Opened::open(&workload);
    let insert = |rows: usize, after: &str| {
        workload.database.sql(&format!(
            "insert into m1_eurusd select '{after}'::timestamptz + i * interval '1 ms', i from generate_series(1, {rows}) i"
        ));
    };
    let (added, day_us) = (LATEST_ROWS_MAX - 9, 1_485_907_200_000_000);
    insert(added, "2017-02-01Z");
    // Eight rows of the evening and the new ones: one fewer than may be given.
    let latest = opened.latest().unwrap();
    assert_eq!((latest.is_cut, latest.rows[0].values.len()), (false, LATEST_ROWS_MAX - 1));
    assert_eq!(bits(&latest.rows), bits(&opened.snapshot_from(EVENING_US)));
    insert(5, "2017-02-02Z");
    let latest = opened.latest_from(EVENING_US, Some(0)).unwrap();
    assert_eq!((latest.is_cut, latest.rows[0].values.len()), (true, LATEST_ROWS_MAX));
    assert_eq!(latest.counts, Some(vec![31 * 48 - 8; 2]));
    let first = SeriesRows {
        instants_us: opened.snapshot_from(EVENING_US)[0].instants_us[..LATEST_ROWS_MAX].to_vec(),
        values: opened.snapshot_from(EVENING_US)[0].values[..LATEST_ROWS_MAX].to_vec(),
    };
    assert_eq!(bits(&latest.rows[..1]), bits(&[first]));
    // Later ones are all given again, and closes have the rows before them.
    let mut series = opened.series();
    series[0].kind = SeriesKind::Closes { lookback_rows: 3 };
    let query = |from_us| LatestQuery { from_us, count_from_us: None };
    let latest = opened.store.latest(&series, query(day_us)).unwrap();
    assert_eq!((latest.is_cut, latest.rows[0].values.len()), (false, 3 + added + 5));
    let latest = opened.store.latest(&series, query(EVENING_US)).unwrap();
    assert_eq!((latest.is_cut, latest.rows[0].values.len()), (true, 3 + LATEST_ROWS_MAX));
}

#[test]
fn policies_hide_no_rows_unless_that_is_accepted() {
    let workload = Workload::one();
    let role = workload.as_new_role("watcher");
    workload.database.sql(&format!("grant select on m1_eurusd, bqx_eurusd to {role}"));
    let url = workload.database.url().replacen("postgres@", &format!("{role}@"), 1);
    let opened = Opened::at(&workload, &url, &[]);
    let accepting = Opened::at(&workload, &url, &[("STORE__ROW_SECURITY", "apply")]);
    // Known to both before there are policies.
    assert_eq!(opened.lasts(), [Some(LAST_US); 2]);
    assert_eq!(accepting.lasts(), [Some(LAST_US); 2]);
    workload.database.sql(
        "alter table m1_eurusd enable row level security;
         create policy early on m1_eurusd for select using (time < '2017-01-31 22:00')",
    );
    for _ in 0..2 {
        assert_says(
            opened.heads()[0].as_ref().unwrap_err(),
            &["public.m1_eurusd", "row-level security", "early"],
        );
        assert_says(&opened.latest().unwrap_err(), &["public.m1_eurusd", "row-level security"]);
    }
    assert_eq!(accepting.lasts(), [Some(EVENING_US + 3 * DAY_US / 48), Some(LAST_US)]);
    assert_eq!(accepting.latest().unwrap().rows[0].values.len(), 4);
}

#[test]
fn only_an_index_that_gives_the_last_row_makes_a_table_followable() {
    let workload = Workload::one();
    let opened = Opened::open(&workload);
    opened.is_followable();
    let sql = |statements: &str| workload.database.sql(statements);
    sql("alter table m1_eurusd drop constraint m1_eurusd_pkey");
    let create = "CREATE INDEX ON \"public\".\"m1_eurusd\" (\"time\")";
    let refused = |index: &str| {
        sql(index);
        opened.is_refused(&["public.m1_eurusd has no index that begins with time", create]);
        sql("drop index if exists i");
    };
    refused("create index i on m1_eurusd (time) where rate_index > 0");
    refused("create index i on m1_eurusd (rate_index, time)");
    refused("create index i on m1_eurusd (rate_index) include (time)");
    refused("create index i on m1_eurusd ((time + interval '1 s'))");
    refused("create index i on m1_eurusd using brin (time)");
    refused("create index i on m1_eurusd using hash (time)");
    refused("create index i on bqx_eurusd (ts_utc)");
    refused(
        "create index i on m1_eurusd (time); update pg_index set indisvalid = false where indexrelid = 'i'::regclass",
    );
    refused(
        "create index i on m1_eurusd (time); update pg_index set indisready = false where indexrelid = 'i'::regclass",
    );
    for index in ["(time)", "(time desc nulls last)", "(time, rate_index)"] {
        sql(&format!("create index i on m1_eurusd {index}"));
        opened.is_followable();
        sql("drop index i");
    }
    sql(create);
    opened.is_followable();
    sql("drop table bqx_eurusd");
    opened.is_refused(&["public.bqx_eurusd does not exist"]);
    sql("create view bqx_eurusd as select time as ts_utc, rate_index as w15_bqx_return from m1_eurusd");
    opened.is_refused(&["public.bqx_eurusd is a view", "ts_utc"]);
    sql("drop view bqx_eurusd; create table bqx_eurusd (ts_utc timestamptz, w15_bqx_return float8)");
    // Empty tables do not stay empty.
    opened.is_refused(&["public.bqx_eurusd has no index that begins with ts_utc"]);
    sql("drop table m1_eurusd; create table m1_eurusd (time timestamp, rate_index float8)");
    opened.is_refused(&["public.m1_eurusd", "(and 1 more like it)"]);
}

#[test]
fn every_partition_of_a_source_table_needs_the_index() {
    let workload = Workload::one();
    let opened = Opened::open(&workload);
    let sql = |statements: &str| workload.database.sql(statements);
    sql(
        "drop table m1_eurusd; create table m1_eurusd (time timestamp, rate_index float8) partition by range (time)",
    );
    let create = "CREATE INDEX ON \"public\".\"m1_eurusd\" (\"time\")";
    opened.is_refused(&["public.m1_eurusd has no index", create]);
    sql("create table early partition of m1_eurusd for values from (minvalue) to ('2017-01-16');
         create table late partition of m1_eurusd for values from ('2017-01-16') to (maxvalue);
         insert into m1_eurusd select ts_utc at time zone 'UTC', 1 from bqx_eurusd;
         create index on early (time)");
    opened.is_refused(&["public.late has no index that begins with time", create]);
    assert_eq!(opened.lasts(), [Some(LAST_US); 2]);
    sql(create);
    opened.is_followable();
    let plan = workload.database.texts("explain select max(time) from m1_eurusd");
    assert!(!format!("{plan:?}").contains("Seq Scan"), "{plan:?}");
    // Of a table whose last instant is known, no other partition is locked.
    let mut beside = workload.database.connect();
    beside.batch_execute("begin; lock table only early in access exclusive mode").unwrap();
    assert_eq!(opened.lasts(), [Some(LAST_US); 2]);
    beside.batch_execute("truncate early; commit").unwrap();
    // Rows that somebody is adding to a partition itself.
    let mut other = workload.database.connect();
    other.batch_execute("begin; insert into late values ('2017-01-20 00:00:01', 1)").unwrap();
    assert!(opened.latest().unwrap().has_writers);
    other.batch_execute("rollback").unwrap();
    assert!(!opened.latest().unwrap().has_writers);
    sql("delete from m1_eurusd where time > '2017-01-20 12:00'; insert into early values ('2017-01-02', 1)");
    assert_eq!(opened.lasts()[0], Some(EVENING_US - 11 * DAY_US - DAY_US / 3));
    sql("truncate late");
    assert_eq!(opened.lasts()[0], Some(EVENING_US - 30 * DAY_US + DAY_US / 6));
    sql("truncate m1_eurusd");
    assert_eq!(opened.lasts(), [None, Some(LAST_US)]);
    sql("insert into late values ('2017-01-20 12:00', 1)");
    assert_eq!(opened.round_trips(|| opened.lasts()[0]), (1, Some(EVENING_US - 11 * DAY_US - DAY_US / 3)));
}

#[test]
fn who_has_written_and_is_not_over_is_told_and_nobody_else() {
    let server = Server::with(&[("max_prepared_transactions", "2")]);
    let workload = Workload::on(&server, ONE);
    let opened = Opened::open(&workload);
    let told = || {
        let series = opened.series();
        let mut snapshot =
            opened.store.snapshot(&series, crate::opened::first_partition().period, 0).unwrap();
        let of_snapshot = snapshot.has_writers().unwrap();
        drop(snapshot);
        assert_eq!(opened.latest().unwrap().has_writers, of_snapshot);
        of_snapshot
    };
    assert!(!told());
    let mut other = workload.database.connect();
    let older = "insert into m1_eurusd values ('2017-01-02 00:00:01', 1)";
    other
        .batch_execute(&format!(
            "create table elsewhere (v int); begin; insert into elsewhere values (1); {older}"
        ))
        .unwrap();
    let before = opened.latest_from(EVENING_US, Some(0)).unwrap();
    assert!(told() && before.has_writers);
    other.batch_execute("commit").unwrap();
    assert!(!told());
    let after = opened.latest_from(EVENING_US, Some(0)).unwrap();
    assert_eq!(after.rows, before.rows);
    assert_eq!(after.counts.unwrap()[0], before.counts.unwrap()[0] + 1);
    other
        .batch_execute("begin; insert into elsewhere values (1); lock table m1_eurusd in row share mode")
        .unwrap();
    assert!(!told());
    other.batch_execute("rollback; begin; delete from bqx_eurusd where false").unwrap();
    assert!(told());
    other.batch_execute("rollback; begin; insert into bqx_eurusd values ('2017-01-02 00:00:01Z', 1); prepare transaction 'p'").unwrap();
    assert!(told());
    other.batch_execute("rollback prepared 'p'").unwrap();
    assert!(!told());
    // A standby knows no locks of the server's sessions.
    let standby = server.standby();
    let url = standby.url(workload.database.name());
    let beside = Opened::with_purpose(&workload, &url, &[], Purpose::Read);
    assert_eq!(beside.lasts(), opened.lasts());
    let latest = beside.latest().unwrap();
    assert!(latest.has_writers);
    assert_eq!(latest.rows, opened.latest().unwrap().rows);
}

#[test]
fn sessions_of_a_pooler_answer_the_same() {
    let workload = Workload::one();
    let pooler = Pooler::before(shared(), 1);
    let (opened, pooled) =
        (Opened::open(&workload), Opened::at(&workload, &pooler.url(workload.database.name()), &[]));
    let latest = opened.latest().unwrap();
    let threads = || {
        for _ in 0..20 {
            assert_eq!(pooled.lasts(), [Some(LAST_US); 2]);
            assert_eq!(pooled.latest().unwrap(), latest);
        }
    };
    std::thread::scope(|scope| [0; 3].map(|_| scope.spawn(threads)).map(|thread| thread.join().unwrap()));
    // What fails leaves nothing behind for whoever has the connection next.
    workload.database.sql("alter table m1_eurusd rename to gone");
    assert_says(&pooled.latest().unwrap_err(), &["public.m1_eurusd does not exist"]);
    workload.database.sql("alter table gone rename to m1_eurusd");
    assert_eq!(pooled.latest().unwrap(), latest);
}

#[test]
fn counts_and_the_last_instant_of_a_snapshot_are_those_of_its_rows() {
    let workload = Workload::one();
    let opened = Opened::open(&workload);
    let series = opened.series();
    let period = crate::opened::first_partition().period;
    let mut snapshot = opened.store.snapshot(&series, period, 0).unwrap();
    assert_eq!(snapshot.count(0, period.span_us()).unwrap(), 31 * 48);
    assert_eq!(snapshot.count(1, EVENING_US..LAST_US).unwrap(), 7);
    assert_eq!(snapshot.last_us(0).unwrap(), Some(LAST_US));
    drop(snapshot);
    workload.database.sql("truncate bqx_eurusd; insert into m1_eurusd values ('infinity', 1)");
    let mut snapshot = opened.store.snapshot(&series, period, 0).unwrap();
    assert_eq!(snapshot.last_us(1).unwrap(), None);
    assert_says(&snapshot.last_us(0).unwrap_err(), &["is infinity in a row"]);
}

#[test]
fn names_of_any_characters_and_all_rows_at_once_are_no_matter() {
    let workload = Workload::one();
    workload.replace_in_configuration("\"m1_{key}\"", r#"'m"1\n {key}'"#);
    workload.database.sql(r#"alter table m1_eurusd rename to "m""1\n eurusd""#);
    let opened = Opened::open(&workload);
    opened.is_followable();
    assert_eq!(opened.lasts(), [Some(LAST_US); 2]);
    let all = opened.latest_from(i64::MIN, Some(i64::MIN)).unwrap();
    assert_eq!((bits(&all.rows), all.has_writers), (bits(&opened.snapshot_from(i64::MIN)), false));
    assert_eq!(all.counts, Some(vec![0, 0]));
    assert_eq!(opened.latest_from(i64::MAX, Some(0)).unwrap().counts, Some(vec![31 * 48; 2]));
}
