//! [`Defect`]: why a table cannot be written as it is, and the statements that fix it.
//!
//! Invariants: a printed statement works when it is executed. It alters the topmost table if the table is a
//! partition, drops and recreates views in the way, and converts by an existing cast. If no such statement is known,
//! none is printed.

use rollfit_job::config::TIME_COLUMN;
use rollfit_job::few::{few, few_and};
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use crate::connection::session::Session;
use crate::names::{NAME_BYTES_MAX, TableName, quoted, start_of};
use crate::tables::problem::{ProblemKind, TableProblem};
use crate::tables::table::{Column, Table};

/// Why a table cannot be written.
#[derive(Clone, Debug)]
pub(crate) struct Defect {
    table: TableName,
    oid: u32,
    /// Its parent, as far as known without a query.
    above: Option<TableName>,
    wrong: Box<Wrong>,
}

/// What is wrong.
#[derive(Clone, Debug)]
pub(crate) enum Wrong {
    /// It is not a table with rows of its own.
    Table(String),
    /// Columns are missing, each with its required type.
    Missing(Vec<(String, String)>),
    /// Columns have types that cannot hold the values.
    Types {
        /// The accepted types.
        wanted: &'static str,
        columns: Vec<WrongColumn>,
    },
    /// Columns of other programs are NOT NULL and have no default.
    NeedsValues(Vec<String>),
}

/// A column that needs another type.
#[derive(Clone, Debug)]
pub(crate) struct WrongColumn {
    pub(crate) column: Column,
    pub(crate) conversion: Conversion,
}

/// How it is converted.
#[derive(Clone, Debug)]
pub(crate) enum Conversion {
    /// By a cast to a type.
    Cast(String),
    /// By a new column of a type beside the old one, because there is no cast.
    Beside(String),
}

/// The server's information about a table to alter.
struct TableContext {
    /// The table whose columns are altered.
    top: TableName,
    /// Views in the way, each after those that it depends on.
    views: Vec<DependentView>,
    /// Other dependents in the way, for messages.
    obstacles: Vec<String>,
    /// The wrong columns that are in the primary key.
    key_columns: Vec<String>,
}

/// A view, with the statements that drop and recreate it.
struct DependentView {
    drop: String,
    create: Vec<String>,
}

impl Defect {
    pub(crate) fn new(table: &Table, wrong: Wrong) -> Self {
        Self {
            table: table.name.clone(),
            oid: table.oid,
            above: table.attachment.as_ref().map(|attachment| attachment.parent.clone()),
            wrong: Box::new(wrong),
        }
    }

    /// Returns the problem, with statements that work for the table and its dependents as they are now.
    ///
    /// # Errors
    /// When the query fails.
    pub(crate) fn problem(&self, session: &mut Session) -> Result<TableProblem, StoreError> {
        let columns = self.columns();
        let mut surroundings = TableContext::read_from(session, self.oid, &self.table, &columns)?;
        if matches!(*self.wrong, Wrong::Types { .. }) {
            surroundings.find_dependents(session, &columns)?;
        }
        Ok(self.problem_in(&surroundings))
    }

    /// Returns the affected columns.
    fn columns(&self) -> Vec<String> {
        match &*self.wrong {
            Wrong::Table(_) => Vec::new(),
            Wrong::Missing(columns) => columns.iter().map(|(name, _)| name.clone()).collect(),
            Wrong::Types { columns, .. } => columns.iter().map(|wrong| wrong.column.name.clone()).collect(),
            Wrong::NeedsValues(columns) => columns.clone(),
        }
    }

    fn problem_in(&self, surroundings: &TableContext) -> TableProblem {
        let top = &surroundings.top;
        let problem = |what: String| TableProblem::new(&self.table, ProblemKind::Columns, what);
        match &*self.wrong {
            Wrong::Table(what) => problem(what.clone()),
            Wrong::Missing(columns) => {
                let additions =
                    columns.iter().map(|(name, kind)| format!("ADD COLUMN {} {kind}", quoted(name)));
                problem(missing(columns)).with_statements(top, vec![alter(top, additions)])
            }
            Wrong::Types { wanted, columns } => self.types_problem(wanted, columns, surroundings),
            Wrong::NeedsValues(columns) if !surroundings.key_columns.is_empty() => problem(format!(
                "{}, so no row can be written, and {} is in the primary key; give {1} a default, or make {} the whole key",
                needs_values(columns),
                surroundings.key_columns.join(" and "),
                TIME_COLUMN
            )),
            Wrong::NeedsValues(columns) => {
                let changes =
                    columns.iter().map(|name| format!("ALTER COLUMN {} DROP NOT NULL", quoted(name)));
                problem(format!("{}, so no row can be written", needs_values(columns)))
                    .with_statements(top, vec![alter(top, changes)])
            }
        }
    }

    fn types_problem(
        &self,
        wanted: &str,
        columns: &[WrongColumn],
        surroundings: &TableContext,
    ) -> TableProblem {
        let top = &surroundings.top;
        let more = match columns.len() {
            0 | 1 => String::new(),
            many => format!(" (and {} more columns)", many - 1),
        };
        let found = columns
            .first()
            .map(|WrongColumn { column, .. }| format!("{} is {}", column.name, column.type_name));
        let what = format!("column {}, expected {wanted}{more}", found.unwrap_or_default());
        let problem = |what| TableProblem::new(&self.table, ProblemKind::Columns, what);
        if self.above.is_some() && columns.iter().any(|wrong| wrong.column.name == TIME_COLUMN) {
            return problem(format!(
                "{what}; a column of the partition key cannot be altered: move the rows to a new parent"
            ));
        }
        if !surroundings.obstacles.is_empty() {
            let obstacles = few_and(&surroundings.obstacles);
            return problem(format!(
                "{what}; {obstacles} uses it: drop that, alter the column and create it again"
            ));
        }
        let casts: Vec<String> = columns.iter().filter_map(WrongColumn::cast).collect();
        let mut statements: Vec<String> =
            surroundings.views.iter().rev().map(|view| view.drop.clone()).collect();
        if !casts.is_empty() {
            statements.push(alter(top, casts));
        }
        statements.extend(columns.iter().filter_map(|wrong| wrong.rename(top)));
        let additions: Vec<String> = columns.iter().filter_map(WrongColumn::addition).collect();
        if !additions.is_empty() {
            statements.push(alter(top, additions));
        }
        statements.extend(surroundings.views.iter().flat_map(|view| view.create.iter().cloned()));
        problem(what).with_statements(top, statements)
    }
}

/// Builds the error without a query: its statement alters the direct parent.
impl From<Defect> for StoreError {
    fn from(defect: Defect) -> Self {
        let surroundings = TableContext {
            top: defect.above.clone().unwrap_or_else(|| defect.table.clone()),
            views: Vec::new(),
            obstacles: Vec::new(),
            key_columns: Vec::new(),
        };
        defect.problem_in(&surroundings).into()
    }
}

impl WrongColumn {
    fn cast(&self) -> Option<String> {
        let Conversion::Cast(kind) = &self.conversion else { return None };
        let name = quoted(&self.column.name);
        let default = self.column.default.as_ref().map(|_| format!("ALTER COLUMN {name} DROP DEFAULT, "));
        Some(format!("{}ALTER COLUMN {name} TYPE {kind} USING {name}::{kind}", default.unwrap_or_default()))
    }

    /// Renames the column out of the way.
    fn rename(&self, top: &TableName) -> Option<String> {
        let Conversion::Beside(_) = &self.conversion else { return None };
        let old = format!("{}_old", start_of(&self.column.name, NAME_BYTES_MAX - "_old".len()));
        let (name, old) = (quoted(&self.column.name), quoted(&old));
        Some(format!("ALTER TABLE {} RENAME COLUMN {name} TO {old}", top.sql()))
    }

    fn addition(&self) -> Option<String> {
        let Conversion::Beside(kind) = &self.conversion else { return None };
        Some(format!("ADD COLUMN {} {kind}", quoted(&self.column.name)))
    }
}

fn alter(table: &TableName, changes: impl IntoIterator<Item = String>) -> String {
    let changes: Vec<String> = changes.into_iter().collect();
    format!("ALTER TABLE {} {}", table.sql(), changes.join(", "))
}

fn missing(columns: &[(String, String)]) -> String {
    match columns {
        [(column, kind)] => format!("column {column} ({kind}) is missing"),
        [(first, kind), ..] => {
            format!("{} columns are missing, the first is {first} ({kind})", columns.len())
        }
        [] => String::new(),
    }
}

fn needs_values(columns: &[String]) -> String {
    match columns {
        [column] => format!("column {column} is not rollfit's, is NOT NULL and has no default"),
        columns => {
            format!("columns {} are not rollfit's, are NOT NULL and have no default", few(columns))
        }
    }
}

impl TableContext {
    /// Returns the topmost table that has the first of `columns`, and columns of the primary key.
    fn read_from(
        session: &mut Session,
        oid: u32,
        table: &TableName,
        columns: &[String],
    ) -> Result<Self, StoreError> {
        const TOP: &str = "
            WITH RECURSIVE up(oid, height) AS (
                SELECT $1::oid, 0
                UNION ALL
                SELECT i.inhparent, up.height + 1 FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.oid)
            SELECT n.nspname::text, c.relname::text,
                   ARRAY(SELECT DISTINCT a.attname::text FROM pg_catalog.pg_index x
                         JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY(x.indkey)
                         WHERE x.indrelid IN ($1, c.oid) AND x.indisprimary AND a.attname = ANY($2))
            FROM up JOIN pg_catalog.pg_class c ON c.oid = up.oid
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE up.height = 0 OR c.relkind = 'p' OR EXISTS (
                SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = ANY($2))
            ORDER BY up.height DESC LIMIT 1";
        let rows = session.rows(
            &format!("look up the parents of {table}"),
            TOP,
            &[(&oid, Type::OID), (&columns, Type::TEXT_ARRAY)],
        )?;
        let (top, key_columns) = match rows.first() {
            Some(row) => (TableName::new(row.get(0)?, row.get(1)?), row.get(2)?),
            None => (table.clone(), Default::default()),
        };
        Ok(Self { top, views: Vec::new(), obstacles: Vec::new(), key_columns })
    }

    /// Returns what depends on the columns of the topmost table and all below it. Names in view definitions include
    /// their schemas, whatever the search_path is; the transaction is not used for anything else after an error.
    fn find_dependents(&mut self, session: &mut Session, columns: &[String]) -> Result<(), StoreError> {
        let doing = format!("look up what depends on {}", self.top);
        session.execute(&doing, "SET LOCAL search_path = ''")?;
        let top = self.top.sql();
        for row in session.rows(&doing, DEPENDENTS, &[(&top, Type::TEXT), (&columns, Type::TEXT_ARRAY)])? {
            match row.get::<_, Option<String>>("name")? {
                None => self.obstacles.push(row.get("what")?),
                Some(name) => {
                    let options = row.get::<_, Option<String>>("options")?;
                    let options = options.map(|options| format!(" WITH ({options})")).unwrap_or_default();
                    let definition = in_one_line(row.get("definition")?);
                    let create = format!("CREATE VIEW {name}{options} AS {definition}");
                    let after = row.get::<_, Vec<String>>("after")?;
                    let create = std::iter::once(create).chain(after).collect();
                    self.views.push(DependentView { drop: format!("DROP VIEW {name}"), create });
                }
            }
        }
        Ok(())
    }
}

/// Returns a query without line breaks and semicolon. Quoted text stays as it is.
fn in_one_line(query: &str) -> String {
    let mut quote = None;
    let mut line = String::new();
    for character in query.trim().trim_end_matches(';').chars() {
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
        let is_space = quote.is_none() && character.is_whitespace();
        if !is_space {
            line.push(character);
        } else if !line.ends_with(' ') {
            line.push(' ');
        }
    }
    line
}

/// Views by their distance from the columns, and other users of the columns, such as a view that would lose its
/// triggers, rules or column grants if it were recreated, a generated column or the body of a function.
const DEPENDENTS: &str = "
    WITH RECURSIVE down(oid) AS (
        SELECT to_regclass($1)::oid
        UNION ALL
        SELECT i.inhrelid FROM down JOIN pg_catalog.pg_inherits i ON i.inhparent = down.oid),
    uses AS (
        SELECT DISTINCT d.classid, d.objid, d.objsubid, r.ev_class
        FROM down
        JOIN pg_catalog.pg_attribute a ON a.attrelid = down.oid AND a.attname = ANY($2)
        JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = down.oid
            AND d.refobjsubid = a.attnum
        LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
        WHERE d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_trigger'::regclass,
                            'pg_catalog.pg_policy'::regclass, 'pg_catalog.pg_proc'::regclass,
                            'pg_catalog.pg_publication_rel'::regclass)
            OR d.classid = 'pg_catalog.pg_attrdef'::regclass AND EXISTS (
                SELECT FROM pg_catalog.pg_attrdef g WHERE g.oid = d.objid AND g.adnum <> a.attnum)),
    views(oid, depth) AS (
        SELECT ev_class, 0 FROM uses WHERE ev_class IS NOT NULL
        UNION
        SELECT r.ev_class, views.depth + 1 FROM views
        JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = views.oid
            AND d.classid = 'pg_catalog.pg_rewrite'::regclass
        JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND r.ev_class <> views.oid
        WHERE views.depth < 32)
    SELECT CASE WHEN c.relkind = 'v' AND NOT (c.relhastriggers
                    OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')
                    OR EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)
                    OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_class'::regclass
                               AND d.refobjid = c.oid AND d.classid = 'pg_catalog.pg_proc'::regclass))
                THEN format('%I.%I', n.nspname, c.relname) END AS name,
           pg_describe_object('pg_catalog.pg_class'::regclass, c.oid, 0) AS what,
           pg_get_viewdef(c.oid) AS definition, array_to_string(c.reloptions, ', ') AS options,
           ARRAY(SELECT format('GRANT %s ON %I.%I TO %s', x.privilege_type, n.nspname, c.relname,
                               CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END)
                 FROM aclexplode(c.relacl) x WHERE x.grantee <> c.relowner ORDER BY 1)
               || ARRAY(SELECT format('COMMENT ON VIEW %I.%I IS %L', n.nspname, c.relname, text)
                        FROM obj_description(c.oid, 'pg_class') text WHERE text IS NOT NULL)
               || format('ALTER VIEW %I.%I OWNER TO %I', n.nspname, c.relname, pg_get_userbyid(c.relowner)) AS after, v.depth
    FROM (SELECT oid, max(depth) AS depth FROM views GROUP BY oid) v
    JOIN pg_catalog.pg_class c ON c.oid = v.oid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    UNION ALL
    SELECT NULL, pg_describe_object(classid, objid, objsubid), NULL, NULL, NULL, 0 FROM uses WHERE ev_class IS NULL
    ORDER BY depth";
