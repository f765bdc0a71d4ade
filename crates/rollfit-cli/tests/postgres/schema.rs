//! `rollfit schema`: what it prints is what a run would execute, so that a run needs no right to create tables, and new
//! tables are like their siblings.

use std::io::Write;
use std::process::Stdio;

use crate::programs::{as_server_user, postgres_program};
use crate::sandbox::Sandbox;
use crate::workload::{Shape, Workload};

/// Everything that makes a features table what it is.
const TABLES: &str = "
    select c.relname, c.relkind::text, pg_get_userbyid(c.relowner)::text,
           (select string_agg(x::text, ' ' order by x::text) from unnest(c.relacl) x),
           (select string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)), ', ' order by attnum)
            from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
            where attrelid = c.oid and attnum > 0),
           (select string_agg(pg_get_constraintdef(oid), ', ' order by 1) from pg_constraint where conrelid = c.oid),
           (select inhparent::regclass::text from pg_inherits where inhrelid = c.oid),
           pg_get_expr(c.relpartbound, c.oid)
    from pg_class c
    where relkind in ('r', 'p') and relnamespace = (select oid from pg_namespace where nspname = 'public')
      and relname !~ '^(m1|bqx)_' order by 1";

impl Workload<'_> {
    /// What there is to execute.
    #[track_caller]
    fn schema(&self, arguments: &[&str]) -> String {
        self.run(&[&["schema"], arguments].concat()).exits(0).stdout
    }

    /// As in `rollfit schema | psql -1`, by the superuser.
    #[track_caller]
    pub(crate) fn execute_with_psql(&self, statements: &str) {
        self.psql(&["-1"], statements);
    }

    /// Has psql execute statements to the end, as the superuser.
    #[track_caller]
    pub(crate) fn psql(&self, options: &[&str], statements: &str) {
        let mut command = as_server_user(postgres_program("psql"));
        command.args(["-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]).args(options).arg(self.database.url());
        let mut psql = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        psql.stdin.take().unwrap().write_all(statements.as_bytes()).unwrap();
        let output = psql.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Every features table and parent.
    fn described(&self) -> Vec<Vec<Option<String>>> {
        self.database.texts(TABLES)
    }
}

#[test]
fn with_what_schema_prints_a_role_without_create_runs() {
    let workload = Workload::small();
    let role = workload.as_new_role("runner");
    workload.database.sql(&format!("grant select on m1_eurusd, bqx_eurusd to {role}"));
    workload
        .run(&["run", "--quiet"])
        .exits(1)
        .says(&["permission denied for schema public", "`rollfit schema` prints"]);
    workload.execute_with_psql(&workload.schema(&[]));
    let grants = workload.doctor(1).statements();
    assert!(grants.iter().all(|grant| !grant.contains("CREATE")), "{grants:?}");
    workload.database.sql(&grants.join(";"));
    workload.doctor(0);
    assert_eq!(workload.schema(&[]), "-- nothing is missing\n");
    let described = workload.described();
    workload.done();
    workload.is_as_undisturbed();
    assert_eq!(workload.described(), described);
}

/// A first month by hand, as siblings for those after it: the rates under a parent, the returns alone, all NUMERIC, of
/// another owner, with grants; the returns with a column and a check of their own.
fn make_siblings(workload: &Workload<'_>) -> String {
    let owner = format!("owner_{}", workload.database.name());
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    let first = workload.schema(&["--only", "eurusd:2017-01"]).replace("double precision", "numeric(24,12)");
    workload.execute_with_psql(&first);
    workload.database.sql(&format!(
        "create role {owner}; create role reader_{owner};
         alter table reg_rate_eurusd owner to {owner};
         alter table reg_rate_eurusd_2017_01 owner to {owner};
         alter table reg_bqx_eurusd_2017_01 owner to {owner};
         grant select on reg_rate_eurusd, reg_bqx_eurusd_2017_01 to public;
         grant select, insert on reg_rate_eurusd_2017_01 to reader_{owner} with grant option;
         alter table reg_bqx_eurusd_2017_01 add remark text default 'none', add check (ts_utc < '2017-02-01')"
    ));
    owner
}

const THREE_MONTHS: Shape = Shape { keys: &["eurusd", "usdjpy"], months: &["2017-01", "2017-02", "2017-03"] };

#[test]
fn printed_tables_are_those_that_a_run_makes_and_like_their_siblings() {
    let server = crate::server::shared();
    let [printed, ran] = [(); 2].map(|()| Workload::on(server, THREE_MONTHS));
    let owner = make_siblings(&printed);
    printed.execute_with_psql(&printed.schema(&[]));
    let other_owner = make_siblings(&ran);
    ran.done();
    let described = format!("{:?}", printed.described());
    assert_eq!(described.replace(&owner, &other_owner), format!("{:?}", ran.described()));
    printed.done();
    let tables = printed.described();
    assert_eq!(tables.len(), 2 * 2 * 3 + 2 + 2);
    for table in tables.iter().filter(|table| !table[0].as_ref().unwrap().starts_with("rollfit_")) {
        assert_eq!(table[2].as_ref(), Some(&owner), "{table:?}");
        assert!(table[4].as_ref().unwrap().contains("a2_"), "{table:?}");
        assert!(!table[4].as_ref().unwrap().contains("double precision"), "{table:?}");
        assert!(table[5].as_ref().unwrap().contains("PRIMARY KEY (ts_utc)"), "{table:?}");
    }
    let access =
        "select string_agg(distinct relacl::text, ' | ') from pg_class where relname ~ '^reg_rate_.*_0[23]$'";
    let access = printed.database.one::<String>(access);
    assert!(access.contains(&format!("reader_{owner}=a*r*/{owner}")) && !access.contains('|'), "{access}");
}

#[test]
fn tables_are_printed_for_months_ahead_and_a_parent_only_once() {
    let workload = Workload::small();
    workload.replace_in_configuration("[series.bqx]", "parent = \"reg_rate_{key}\"\n\n[series.bqx]");
    let printed = workload.schema(&["--months-ahead", "2"]);
    assert_eq!(printed.matches("PARTITION BY RANGE").count(), 1);
    workload.execute_with_psql(&printed);
    let months = "select string_agg(right(relname, 7), ' ' order by relname) from pg_class
                  where relispartition and relkind = 'r'";
    assert_eq!(workload.database.one::<String>(months), "2017_01 2017_02 2017_03 2017_04");
    assert_eq!(workload.schema(&["--months-ahead", "2"]), "-- nothing is missing\n");
    let ahead = workload.run(&["schema", "--months-ahead", "3", "--json"]).exits(0).json();
    assert!(ahead["statements"][0].as_str().unwrap().contains("reg_rate_eurusd_2017_05"));
    workload.run(&["schema", "--months-ahead", "1201"]).exits(2);
    // On the first of a month a run finds what it needs.
    workload.done();
}

#[test]
fn the_first_leaf_of_a_parent_has_its_owner_and_grants() {
    let workload = Workload::small();
    let owner = make_siblings(&workload);
    workload.database.sql("drop table reg_rate_eurusd_2017_01");
    workload.done();
    let first = "select concat_ws(' ', pg_get_userbyid(relowner), relacl)
                 from pg_class where relname = 'reg_rate_eurusd_2017_01'";
    assert_eq!(
        workload.database.one::<String>(first),
        format!("{owner} {{{owner}=arwdDxt/{owner},=r/{owner}}}")
    );
}

#[test]
fn hostile_names_stay_names() {
    let workload = Workload::small();
    for (from, to) in [
        ("reg_rate_{key}_{yyyy}_{mm}", "R\\\"; drop table m1_eurusd; --{key} :name {yyyy}{mm}"),
        ("reg_bqx_{key}_{yyyy}_{mm}", "Tab'le\\\\ $$ {key}\\n{yyyy}{mm}"),
        (
            "[series.bqx]",
            "parent = \"Pa \\\" rent {key}\"\ncolumn = \"{metric} \\\"{series}' {window}\"\n\n[series.bqx]",
        ),
    ] {
        workload.replace_in_configuration(from, to);
    }
    workload.execute_with_psql(&workload.schema(&["--months-ahead", "1"]));
    assert_eq!(workload.schema(&["--months-ahead", "1"]), "-- nothing is missing\n");
    workload.done();
    workload.doctor(0);
    let leaves = "select count(*) from pg_class where relname like E'Tab''le\\\\\\\\ $$ eurusd\\n2017__'";
    assert_eq!(workload.database.one::<i64>(leaves), 3);
}

#[test]
fn a_parent_that_lacks_a_column_is_told_before_a_table_is_made_like_it() {
    let workload = Workload::small();
    make_siblings(&workload);
    workload.database.sql("alter table reg_rate_eurusd drop column r2_idx_w15");
    let wanted = "ALTER TABLE \"public\".\"reg_rate_eurusd\" ADD COLUMN \"r2_idx_w15\" numeric(24,12)";
    workload.run(&["schema"]).exits(1).says(&[wanted]);
    workload.doctor_says(1).says(&[wanted]);
}

#[test]
fn files_need_no_schema() {
    let sandbox = Sandbox::new();
    sandbox.write("rollfit.toml", crate::bars::config(&["eurusd"], "2017-01", "2017-01"));
    sandbox.run(&["schema"]).exits(2).says(&["stores need no schema; nothing to print"]);
}
