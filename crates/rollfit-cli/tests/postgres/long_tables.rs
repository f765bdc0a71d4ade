//! Long tables, which have the rows of several keys: a key has the features and receipts that a table of its own would give it, whatever
//! type tells keys apart and whatever else is in the table.

use rollfit_job::config::Keys;
use rollfit_job::month::Month;
use rollfit_job::period::Period;
use rollfit_job::store::{LatestQuery, SeriesOfKey, SeriesRows, Source};

use crate::checker::Contents;
use crate::opened::Opened;
use crate::sandbox::Answer;
use crate::server::shared;
use crate::workload::{Shape, Workload};

const THREE: Shape = Shape { keys: &["eurusd", "usdjpy", "gbpusd"], months: &["2017-01", "2017-02"] };
const TWO: Shape = Shape { keys: &["eurusd", "usdjpy"], months: &["2017-01"] };

/// One series in the long table.
const IDX: [(&str, &str); 3] =
    [("SERIES__IDX__TABLE", "bars"), ("SERIES__IDX__KEY_COLUMN", "symbol"), ("SERIES__IDX__TIME", "ts")];
const BQX: [(&str, &str); 4] = [
    ("SERIES__BQX__TABLE", "bars"),
    ("SERIES__BQX__KEY_COLUMN", "symbol"),
    ("SERIES__BQX__TIME", "ts"),
    ("SERIES__BQX__VALUE", "ret"),
];
const INDEX: &str = "CREATE INDEX ON \"public\".\"bars\" (\"symbol\", \"ts\")";

impl Workload<'_> {
    /// Makes the table `bars` of all rows of all keys, which take turns as a feed writes them.
    fn lengthen(&self, key_type: &str) {
        let rows = |key: &&str| {
            format!(
                "select '{key}'::{key_type} as symbol, ts_utc as ts, rate_index, w15_bqx_return as ret
                 from m1_{key} join bqx_{key} on ts_utc at time zone 'UTC' = time"
            )
        };
        let rows = self.shape.keys.iter().map(rows).collect::<Vec<_>>().join(" union all ");
        self.database.sql(&format!(
            "create table bars as select * from ({rows}) t order by ts, symbol; {INDEX}; analyze bars"
        ));
    }

    /// Has the index be read from the long table.
    fn read_idx_from_bars(&self) {
        let long = "table = \"bars\"\nkey_column = \"symbol\"\ntime = \"ts\"";
        self.replace_in_configuration("table = \"m1_{key}\"\ntime = \"time\"", long);
    }

    /// Has the returns be read from it.
    fn read_bqx_from_bars(&self) {
        let own = "table = \"bqx_{key}\"\ntime = \"ts_utc\"\nvalue = \"w15_bqx_return\"";
        let long = "table = \"bars\"\nkey_column = \"symbol\"\ntime = \"ts\"\nvalue = \"ret\"";
        self.replace_in_configuration(own, long);
    }

    /// The same job over the long table alone.
    fn long(shape: Shape) -> Workload<'static> {
        let workload = Workload::on(shared(), shape);
        workload.lengthen("text");
        workload.read_idx_from_bars();
        workload.read_bqx_from_bars();
        workload
    }

    /// How many partitions a run wrote, and how many it found done.
    #[track_caller]
    fn written_and_done(&self) -> (u64, u64) {
        let summary = self.done();
        let count = |name: &str| summary[name].as_u64().unwrap();
        (count("written"), count("already_done"))
    }

    fn open_long(&self, further: &[(&str, &str)]) -> Opened {
        Opened::at(self, &self.database.url(), &[&IDX, &BQX[..], further].concat())
    }
}

impl Opened {
    /// All that the source says of a key, with the bits of its rows.
    #[track_caller]
    fn said_of(&self, key: &str) -> String {
        let period = Period::from("2017-02".parse::<Month>().unwrap());
        let (series, span_us) = (self.config.series_of_key(key), period.span_us());
        let mut said = Vec::new();
        let mut snapshot = self.store.snapshot(&series, period, 50).unwrap();
        for (at, series) in series.iter().enumerate() {
            let rows = [
                snapshot.rows(at, span_us.clone()).unwrap(),
                snapshot.rows_before(at, span_us.start, 50).unwrap(),
                snapshot.rows_before(at, span_us.end - 86_400_000_000, 7).unwrap(),
                snapshot.rows(at, span_us.start + 1..span_us.end - 1).unwrap(),
            ];
            said.push(format!("{:?}", rows.each_ref().map(bits)));
            said.push(format!("{:?} {:?}", snapshot.count(at, span_us.clone()), snapshot.last_us(at)));
            let (first, last) = ("2016-12".parse().unwrap(), "2017-04".parse().unwrap());
            said.push(format!("{:?}", self.store.months(series)));
            said.push(format!("{:?}", self.store.estimate_rows(series, period)));
            said.push(format!("{:?}", self.store.gaps(series, first, last)));
        }
        drop(snapshot);
        let query = LatestQuery { from_us: span_us.end - 3_600_000_000, count_from_us: Some(span_us.start) };
        let latest = self.store.latest(&series, query).unwrap();
        let rows: Vec<_> = latest.rows.iter().map(bits).collect();
        said.push(format!("{rows:?} {:?}", latest.counts));
        let heads = self.store.heads(&series).unwrap();
        said.push(format!("{:?}", heads.into_iter().map(Result::unwrap).collect::<Vec<_>>()));
        said.join("\n")
    }

    /// The keys in the table of the first series.
    fn keys(&self) -> Vec<String> {
        self.store.keys_in(&self.config.series[0]).unwrap().into_iter().collect()
    }

    /// The last instants of all series of all keys; none where one cannot be asked.
    fn last_instants(&self) -> Vec<Option<i64>> {
        let Keys::Listed(keys) = &self.config.keys else { panic!("every key") };
        let series: Vec<SeriesOfKey<'_>> =
            keys.iter().flat_map(|key| self.config.series_of_key(key)).collect();
        let heads = self.store.heads(&series).unwrap();
        heads.into_iter().map(|head| head.ok().and_then(|head| head.last_us)).collect()
    }

    /// Why nothing can be read of a key.
    #[track_caller]
    fn refused(&self, key: &str) -> String {
        self.store.months(&self.config.series[0].of_key(key)).unwrap_err().to_string()
    }
}

fn bits(rows: &SeriesRows) -> (Vec<i64>, Vec<u64>) {
    (rows.instants_us.clone(), rows.values.iter().map(|value| value.to_bits()).collect())
}

fn said_of_all(opened: &Opened) -> Vec<String> {
    THREE.keys.iter().map(|key| opened.said_of(key)).collect()
}

/// How often something was said.
fn times(answer: &Answer, words: &str) -> usize {
    answer.to_string().matches(words).count()
}

#[test]
fn a_long_table_gives_the_features_and_receipts_of_a_table_a_key() {
    let workload = Workload::on(shared(), THREE);
    workload.replace_in_configuration("boundary = \"reset\"", "boundary = \"carry\"");
    workload.done();
    let of_tables = Contents::from_database(&workload.database);
    workload.lengthen("text");
    // Beside a table a key.
    workload.read_idx_from_bars();
    assert_eq!(workload.written_and_done(), (0, 6));
    workload.read_bqx_from_bars();
    assert_eq!(workload.written_and_done(), (0, 6));
    // Alone, begun with one key.
    THREE.keys.iter().for_each(|key| workload.database.sql(&format!("drop table m1_{key}, bqx_{key}")));
    workload.replace_in_configuration(&format!("{:?}", THREE.keys), "\"all\"");
    workload.forget();
    workload.run(&["run", "--quiet", "--only", "usdjpy"]).exits(0);
    assert_eq!(workload.written_and_done(), (4, 2));
    let differences = Contents::from_database(&workload.database).differences(&of_tables);
    let of_features = |text: &&String| text.starts_with("public.reg_") || text.starts_with("receipt of ");
    assert_eq!(differences.iter().filter(of_features).collect::<Vec<_>>(), Vec::<&String>::new());
    // What changes of one key is computed again, and nothing else.
    workload.database.sql("update bars set ret = -ret where symbol = 'gbpusd' and ts >= '2017-02-01Z'");
    assert_eq!(workload.written_and_done(), (1, 5));
    workload.run(&["verify", "--quiet"]).exits(0);
    workload.doctor_says(0).says(&["public.bars (gbpusd)", "A run can start."]);
}

#[test]
fn each_type_of_key_column_gives_the_rows_of_the_key() {
    let workload = Workload::on(shared(), THREE);
    let alone = Opened::open(&workload);
    let wanted = said_of_all(&alone);
    let mut sorted: Vec<&str> = THREE.keys.to_vec();
    sorted.sort_unstable();
    let sql = |statements: &str| workload.database.sql(statements);
    sql("create type pair as enum ('usdjpy', 'gbpusd', 'unused', 'eurusd')");
    for key_type in ["text", "varchar(9)", "char(10)", "pair"] {
        workload.lengthen(key_type);
        let long = workload.open_long(&[]);
        assert_eq!(said_of_all(&long), wanted, "{key_type}");
        assert_eq!(long.keys(), sorted, "{key_type}");
        sql("drop index bars_symbol_ts_idx");
        assert_eq!(long.keys(), sorted, "{key_type} without an index");
        sql("alter table bars rename to kept; create view bars as select * from kept");
        let view = workload.open_long(&[]);
        assert_eq!(view.said_of("usdjpy"), wanted[1], "{key_type} in a view");
        assert_eq!(view.keys(), sorted, "{key_type} in a view");
        sql("drop table kept cascade");
    }
    for key_type in ["smallint", "integer", "bigint"] {
        workload.lengthen("text");
        sql(&format!(
            "alter table bars alter symbol type {key_type} using array_position(array['eurusd', 'usdjpy', 'gbpusd'], symbol)"
        ));
        let long = workload.open_long(&[]);
        assert_eq!(["1", "2", "3"].map(|key| long.said_of(key)).to_vec(), wanted, "{key_type}");
        assert_eq!(long.keys(), ["1", "2", "3"]);
        assert!(long.refused("99999").contains("no row of key `99999`"), "{key_type}");
        sql("drop table bars");
    }
}

#[test]
fn keys_of_any_letters_are_told_apart_and_rows_of_none_are_said() {
    let workload = Workload::on(shared(), THREE);
    let alone = Opened::open(&workload);
    let [eurusd, usdjpy, gbpusd] = ["eurusd", "usdjpy", "gbpusd"].map(|key| alone.said_of(key));
    workload.lengthen("text");
    workload.database.sql(
        r#"update bars set symbol = 'EURUSD' where symbol = 'usdjpy';
           update bars set symbol = 'ES.c.0' where symbol = 'gbpusd';
           insert into bars select odd, ts, 7, 7 from bars,
               unnest(array['it''s', '100%', 'ES_c_0', '"q"', 'a\b', 'eurusd ', '', '-x', NULL]) odd where symbol = 'eurusd'"#,
    );
    let long = workload.open_long(&[]);
    for (key, wanted) in [("eurusd", eurusd), ("EURUSD", usdjpy), ("ES.c.0", gbpusd)] {
        assert_eq!(long.said_of(key), wanted, "{key}");
    }
    let mut keys = long.keys();
    for odd in ["it's", "100%", "ES_c_0", "\"q\"", "a\\b", "eurusd ", "", "-x"] {
        let at = keys.iter().position(|key| key == odd).unwrap_or_else(|| panic!("{odd}: {keys:?}"));
        keys.remove(at);
    }
    assert_eq!(keys, ["ES.c.0", "EURUSD", "eurusd"]);
    workload.database.sql("delete from bars where symbol = 'ES_c_0'");
    workload.read_idx_from_bars();
    workload.read_bqx_from_bars();
    workload.replace_in_configuration(&format!("{:?}", THREE.keys), "\"all\"");
    let null = format!("public.bars: column `symbol` is NULL in {} rows, which belong to no key", 59 * 48);
    let plan = workload.run(&["plan"]).exits(0).says(&[&null, "6 missing", "7 keys"]);
    assert_eq!(times(&plan, "is NULL"), 1, "{plan}");
    workload.database.sql("drop index bars_symbol_ts_idx");
    workload.run(&["plan"]).exits(0).says(&[&null, "6 missing"]);
}

#[test]
fn a_column_that_cannot_tell_keys_apart_is_refused_with_what_to_do() {
    let workload = Workload::on(shared(), TWO);
    workload.lengthen("text");
    let with = |column: &str| workload.open_long(&[("SERIES__IDX__KEY_COLUMN", column)]);
    let says = |error: String, words: &[&str]| {
        words.iter().for_each(|word| assert!(error.contains(word), "`{word}` is not in: {error}"));
    };
    says(with("sybol").refused("eurusd"), &["public.bars has no column sybol", "`symbol`", "`key_column`"]);
    says(
        with("rate_index").refused("eurusd"),
        &["key column rate_index is double precision", "expected text"],
    );
    workload.database.sql(
        "create domain name_of_pair as text; create type pair as enum ('eurusd', 'usdjpy');
         alter table bars add of_domain name_of_pair, add of_enum pair, add of_number int",
    );
    says(with("of_domain").refused("eurusd"), &["is name_of_pair, expected text"]);
    says(with("of_enum").refused("eurusx"), &["cannot be eurusx", "did you mean `eurusd`", "eurusd, usdjpy"]);
    says(with("of_number").refused("007"), &["column of_number is integer and cannot be 007"]);
    if workload.database.one("select exists (select from pg_collation where collprovider = 'i')") {
        workload.database.sql(
            "create collation any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             alter table bars add any_case text collate any_case",
        );
        let long = with("any_case");
        says(long.refused("eurusd"), &["collation of key column any_case", "deterministic collation"]);
        says(
            long.store.keys_in(&long.config.series[0]).unwrap_err().to_string(),
            &["collation of key column any_case"],
        );
    }
    let misspelled = "public.bars has no row of key `usdjyp` in column `symbol`; did you mean `usdjpy`? its keys are eurusd, usdjpy";
    says(with("symbol").refused("usdjyp"), &[misspelled]);
    workload.read_idx_from_bars();
    workload.database.sql("create view bqx_usdjyp as select * from bqx_usdjpy");
    workload.replace_in_configuration("\"usdjpy\"]", "\"usdjyp\"]");
    workload.run(&["run"]).exits(1).says(&[misspelled, "1 written"]);
    workload.replace_in_configuration("key_column = \"symbol\"", "key_column = \"sybol\"");
    workload.run(&["run"]).exits(1).says(&["has no column sybol", "correct `key_column` of series `idx`"]);
    workload.doctor_says(1).says(&["has no column sybol"]);
}

#[test]
fn a_missing_index_is_told_once_with_the_statement_that_makes_it() {
    let workload = Workload::long(TWO);
    assert_eq!(times(&workload.run(&["plan"]).exits(0), "index"), 0);
    workload.database.sql("drop index bars_symbol_ts_idx; create index on bars (ts, symbol)");
    assert_eq!(times(&workload.run(&["plan"]).exits(0), INDEX), 1);
    let doctor = workload.doctor(0);
    let notes: Vec<&str> =
        doctor.0["notes"].as_array().unwrap().iter().filter_map(|note| note.as_str()).collect();
    assert_eq!(notes.iter().filter(|note| note.contains(INDEX)).count(), 1, "{notes:?}");
    assert!(!notes.iter().any(|note| note.contains("no index starts with the time")), "{notes:?}");
    let long = workload.open_long(&[]);
    let series: Vec<SeriesOfKey<'_>> =
        TWO.keys.iter().flat_map(|key| long.config.series_of_key(key)).collect();
    let error = long.store.check_followable(&series).unwrap_err().to_string();
    assert!(error.contains(INDEX) && !error.contains("more like it"), "{error}");
    workload.run(&["run", "--follow"]).exits(2).says(&[INDEX]);
    workload.database.sql(INDEX);
    long.store.check_followable(&series).unwrap();
    assert_eq!(times(&workload.run(&["plan"]).exits(0), "index"), 0);
    // Each partition of a table needs it.
    workload.database.sql(
        "alter table bars rename to kept;
         create table bars (like kept) partition by list (symbol);
         create table of_eurusd partition of bars for values in ('eurusd');
         create table others partition of bars default;
         insert into bars select * from kept; create index on of_eurusd (symbol, ts)",
    );
    let error = long.store.check_followable(&series).unwrap_err().to_string();
    assert!(error.contains("public.others has no index") && error.contains(INDEX), "{error}");
    assert_eq!(long.keys(), TWO.keys);
    workload.database.sql(INDEX);
    long.store.check_followable(&series).unwrap();
    assert_eq!(long.keys(), TWO.keys);
    let plan = workload.database.texts("explain select max(ts) from bars where \"symbol\" = E'eurusd'");
    assert!(!format!("{plan:?}").contains("others"), "{plan:?}");
    assert_eq!(workload.written_and_done(), (2, 0));
}

#[test]
fn rows_of_one_key_are_followed_while_somebody_writes_those_of_another() {
    let workload = Workload::long(TWO);
    // Series that are derived from closes look at the same table.
    let derived = "value = \"rate_index\"\nderive = \"rate_index\"\nbase = 100.0";
    workload.replace_in_configuration("value = \"rate_index\"", derived);
    let later = "symbol = 'usdjpy' and ts >= '2017-01-31 21:00Z'";
    workload.database.sql(&format!(
        "create table later as select * from bars where {later}; delete from bars where {later}"
    ));
    let follower = workload.follow(&[]);
    let mut other = workload.database.connect();
    other.batch_execute("begin; insert into bars values ('gbpusd', '2017-01-02Z', 1, 1)").unwrap();
    for at in ["2017-01-31 21:00:00", "2017-01-31 21:30:00", "2017-01-31 23:30:00"] {
        workload.database.sql(&format!(
            "insert into bars select * from later where ts <= '{at}Z' on conflict do nothing;
             delete from later where ts <= '{at}Z'"
        ));
        workload.wait_for_features("usdjpy", at);
    }
    other.batch_execute("rollback").unwrap();
    follower.stop();
    workload.database.sql("drop table later");
    workload.is_as_one_run_makes_it();
}

#[test]
fn heads_of_a_long_table_are_each_key_s_own_and_one_that_is_locked_keeps_no_other_table() {
    let workload = Workload::on(shared(), TWO);
    workload.lengthen("text");
    let opened = Opened::at(&workload, &workload.database.url(), &IDX);
    let before = opened.last_instants();
    assert!(before.iter().all(Option::is_some), "{before:?}");
    workload.database.sql("insert into bars values ('usdjpy', '2017-02-01Z', 1, 1)");
    let after = opened.last_instants();
    assert_eq!([&after[..2], &after[3..]], [&before[..2], &before[3..]]);
    assert!(after[2] > before[2], "{before:?} {after:?}");
    workload.database.sql("delete from bars where symbol = 'usdjpy' and ts >= '2017-01-31Z'");
    assert!(opened.last_instants()[2] < before[2]);
    workload.database.sql("delete from bars where symbol = 'usdjpy'");
    let mut other = workload.database.connect();
    other.batch_execute("begin; lock table bars").unwrap();
    for _ in 0..2 {
        assert_eq!(opened.last_instants(), [None, before[1], None, before[3]]);
    }
    other.batch_execute("rollback").unwrap();
    assert_eq!(opened.last_instants(), [before[0], before[1], None, before[3]]);
}

#[test]
fn a_long_table_that_may_not_be_read_is_told_once() {
    let workload = Workload::long(TWO);
    let role = workload.as_new_role("reader");
    workload.database.sql(&format!("grant usage, create on schema public to {role}"));
    let found = workload.doctor(1);
    let lacking = format!("the role {role} lacks SELECT on public.bars");
    assert_eq!(found.problems(), [lacking.as_str()]);
    assert_eq!(found.statements(), [format!("GRANT SELECT ON \"public\".\"bars\" TO \"{role}\"")]);
    workload.database.sql(&format!("grant select (symbol, ts, rate_index, ret) on bars to {role}"));
    workload.doctor(0);
    workload.run(&["run", "--quiet"]).exits(0);
    // Promised: what a policy hides is never overlooked.
    workload.database.sql(
        "alter table bars enable row level security; create policy half on bars using (ts < '2017-01-16Z')",
    );
    let found = workload.doctor(1);
    let of_policies = found.problems().iter().filter(|what| what.starts_with("public.bars: ")).count();
    assert_eq!(of_policies, 1, "{:?}", found.problems());
    workload.run(&["run"]).exits(1).says(&["public.bars", "\"half\"", "row_security = \"apply\""]);
    workload.replace_in_configuration(&format!("{:?}", TWO.keys), "\"all\"");
    workload.run(&["plan"]).exits(1).says(&["public.bars", "\"half\""]);
}

#[test]
fn an_import_writes_no_table_of_several_keys() {
    let workload = Workload::on(shared(), TWO);
    workload.database.sql(
        "create table m1_long (symbol text, time timestamp, close float8, rate_index float8, primary key (symbol, time));
         create table bqx_long (symbol text, ts_utc timestamptz, w15_bqx_return float8, primary key (symbol, ts_utc))",
    );
    let file = workload.sandbox.bars_file("long", "2017-01").display().to_string();
    let import = || workload.run(&["import", "--format", "csv", "--key", "long", &file]);
    import().exits(1).says(&["m1_long", "symbol"]);
    workload.database.sql("insert into m1_long values ('eurusd', '2017-01-02', 1, 1)");
    import().exits(1).says(&["public.m1_long"]);
    assert_eq!(workload.database.one::<i64>("select count(*) from m1_long"), 1);
}

#[test]
fn a_key_that_has_left_the_table_is_no_key_any_more_when_its_features_are_dropped() {
    let workload = Workload::long(TWO);
    let all = |arguments: &[&str]| workload.run_with(&[("ROLLFIT_PARTITIONS__KEYS", "all")], arguments);
    all(&["run", "--quiet"]).exits(0);
    workload.database.sql("delete from bars where symbol = 'usdjpy'");
    all(&["plan"]).exits(1).says(&["no row of key `usdjpy`"]);
    all(&["drop", "usdjpy", "--yes"]).exits(0);
    let plan = all(&["plan", "--json"]).exits(0).json();
    let keys: Vec<&str> = plan["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["partition"]["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["eurusd"]);
}
