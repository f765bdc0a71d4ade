//! [`Relation`]: a table or view with what a switch has to know of it: owner, grants, columns.

use std::collections::{BTreeMap, HashMap};

use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use super::row_security::Policies;
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::Session;
use crate::names::{TableName, quoted};

/// A table or view, and who may use it.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) name: TableName,
    pub(super) oid: u32,
    /// As in `pg_class.relkind`.
    pub(super) kind: String,
    pub(super) owner: String,
    pub(super) policies: Policies,
    /// Whether it is a view that reads with the rights of whoever reads it.
    pub(super) reads_as_reader: bool,
    /// The table that it is a partition of.
    pub(super) parent: Option<(u32, TableName)>,
    /// The columns and their types.
    pub(super) columns: Vec<(String, String)>,
    pub(super) readers: Readers,
    /// Grants other than SELECT, `loader: DELETE, INSERT`.
    pub(super) other_grants: Vec<String>,
    /// Roles with grants on columns.
    pub(super) column_readers: Vec<String>,
}

/// Roles with a grant of SELECT, the owner left out, and whether they may grant it on.
pub(super) type Readers = BTreeMap<Reader, bool>;

/// Who may read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reader {
    Public,
    Role(String),
}

impl Reader {
    /// Returns it as GRANT has it.
    pub(super) fn sql(&self) -> String {
        match self {
            Self::Public => "PUBLIC".to_owned(),
            Self::Role(role) => quoted(role),
        }
    }

    /// Returns it as the functions about privileges have it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Public => "public".to_owned(),
            Self::Role(role) => role.clone(),
        }
    }

    pub(super) fn role(name: &str) -> Self {
        Self::Role(name.to_owned())
    }
}

impl Relation {
    /// Returns whether it holds rows, or partitions that do.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "p")
    }

    fn from_row(schema: &str, row: &AnswerRow) -> Result<Self, StoreError> {
        let columns: Vec<String> = row.get("columns")?;
        let types: Vec<String> = row.get("types")?;
        let mut readers = Readers::new();
        let granted: Vec<bool> = row.get("grantable")?;
        for (role, grantable) in row.get::<_, Vec<String>>("readers")?.into_iter().zip(granted) {
            let reader = if role.is_empty() { Reader::Public } else { Reader::Role(role) };
            *readers.entry(reader).or_default() |= grantable;
        }
        Ok(Self {
            name: TableName::new(schema, row.get("name")?),
            oid: row.get("oid")?,
            kind: row.get("kind")?,
            owner: row.get("owner")?,
            policies: Policies::from_row(row)?,
            reads_as_reader: row.get("reads_as_reader")?,
            parent: parent_from(row)?,
            columns: columns.into_iter().zip(types).collect(),
            readers,
            other_grants: row.get("other_grants")?,
            column_readers: row.get("column_readers")?,
        })
    }
}

fn parent_from(row: &AnswerRow) -> Result<Option<(u32, TableName)>, StoreError> {
    let Some(oid) = row.get("parent_oid")? else { return Ok(None) };
    Ok(Some((oid, TableName::new(row.get("parent_schema")?, row.get("parent")?))))
}

/// Relations of the schema $1 with the names $2.
const RELATIONS: &str = "
    SELECT c.relname::text AS name, c.oid, c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
           c.relrowsecurity AS has_row_security, c.relforcerowsecurity AS is_forced,
           ARRAY(SELECT format('%sTO %s USING (%s)', CASE WHEN l.polpermissive THEN '' ELSE 'AS RESTRICTIVE ' END,
                               (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(r)::text END, ', ' ORDER BY r)
                                FROM unnest(l.polroles) r), coalesce(pg_get_expr(l.polqual, l.polrelid), 'true'))
                 FROM pg_catalog.pg_policy l WHERE l.polrelid = c.oid AND l.polcmd IN ('*', 'r') ORDER BY 1) AS policies,
           EXISTS (SELECT FROM pg_options_to_table(c.reloptions) o
                   WHERE o.option_name = 'security_invoker' AND c.relkind = 'v' AND o.option_value::boolean) AS reads_as_reader,
           p.oid AS parent_oid, pn.nspname::text AS parent_schema, p.relname::text AS parent,
           ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
           ARRAY(SELECT format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS types,
           ARRAY(SELECT CASE x.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(x.grantee)::text END FROM aclexplode(c.relacl) x
                 WHERE x.privilege_type = 'SELECT' AND x.grantee <> c.relowner ORDER BY x.grantee, x.grantor) AS readers,
           ARRAY(SELECT x.is_grantable FROM aclexplode(c.relacl) x
                 WHERE x.privilege_type = 'SELECT' AND x.grantee <> c.relowner ORDER BY x.grantee, x.grantor) AS grantable,
           ARRAY(SELECT format('%s: %s', CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END,
                               string_agg(DISTINCT x.privilege_type, ', '))
                 FROM aclexplode(c.relacl) x WHERE x.privilege_type <> 'SELECT' AND x.grantee <> c.relowner
                 GROUP BY x.grantee ORDER BY 1) AS other_grants,
           ARRAY(SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END
                 FROM pg_catalog.pg_attribute a, aclexplode(a.attacl) x
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1) AS column_readers
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
    LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
    LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
    WHERE n.nspname = $1 AND c.relname = ANY($2)";

/// Returns the relations of a schema that have one of these names, by name.
pub(super) fn relations(
    session: &mut Session,
    schema: &str,
    names: &[String],
) -> Result<HashMap<String, Relation>, StoreError> {
    let rows = session.rows(
        "look up what is to be switched",
        RELATIONS,
        &[(&schema, Type::TEXT), (&names, Type::TEXT_ARRAY)],
    )?;
    let relations = rows.iter().map(|row| {
        let relation = Relation::from_row(schema, row)?;
        Ok((relation.name.name.clone(), relation))
    });
    relations.collect()
}

/// A partition of a table, at any depth.
#[derive(Clone, Debug)]
pub(super) struct TableBelow {
    pub(super) name: TableName,
    pub(super) oid: u32,
    /// Whether it is partitioned itself, and holds no rows of its own.
    pub(super) is_partitioned: bool,
}

/// Returns the partitions of the tables `oids`, by name.
pub(super) fn tables_below(session: &mut Session, oids: &[u32]) -> Result<Vec<TableBelow>, StoreError> {
    const BELOW: &str = "
        WITH RECURSIVE below(oid, depth) AS (
            SELECT o, 0 FROM unnest($1::oid[]) o
            UNION ALL
            SELECT i.inhrelid, b.depth + 1 FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid
            JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition)
        SELECT DISTINCT n.nspname::text, c.relname::text, c.oid, c.relkind = 'p' FROM below b
        JOIN pg_catalog.pg_class c ON c.oid = b.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE b.depth > 0 ORDER BY 1, 2";
    let rows = session.rows("look up partitions", BELOW, &[(&oids, Type::OID_ARRAY)])?;
    let below = rows.iter().map(|row| {
        let name = TableName::new(row.get(0)?, row.get(1)?);
        Ok(TableBelow { name, oid: row.get(2)?, is_partitioned: row.get(3)? })
    });
    below.collect()
}

/// Returns the names that no new table of a schema can have: those of its relations and types.
pub(super) fn taken_names(session: &mut Session, schema: &str) -> Result<Vec<String>, StoreError> {
    const TAKEN: &str = "
        SELECT c.relname::text FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1
        UNION
        SELECT t.typname::text FROM pg_catalog.pg_type t
        JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = $1";
    let rows = session.rows("list names", TAKEN, &[(&schema, Type::TEXT)])?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Returns what depends on the tables `oids` and is none of them, as the server describes it: views, functions,
/// foreign keys, policies, columns of their row types, publications.
pub(super) fn dependents(session: &mut Session, oids: &[u32]) -> Result<Vec<String>, StoreError> {
    const DEPENDENTS: &str = "
        SELECT DISTINCT CASE WHEN v.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)
                             ELSE pg_describe_object('pg_catalog.pg_class'::regclass, v.oid, 0) END
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid
            OR d.refclassid = 'pg_catalog.pg_type'::regclass AND d.refobjid IN (c.reltype,
                (SELECT t.typarray FROM pg_catalog.pg_type t WHERE t.oid = c.reltype))
        LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
        LEFT JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm')
        LEFT JOIN pg_catalog.pg_constraint f ON d.classid = 'pg_catalog.pg_constraint'::regclass AND f.oid = d.objid
        WHERE c.oid = ANY($1)
            AND (d.deptype = 'n' OR d.classid = 'pg_catalog.pg_publication_rel'::regclass)
            AND (d.classid <> 'pg_catalog.pg_class'::regclass OR d.objid <> ALL($1))
            AND (f.oid IS NULL OR f.conrelid <> ALL($1) AND f.conparentid = 0)
            AND (r.oid IS NULL OR r.ev_class <> ALL($1))
        ORDER BY 1";
    let doing = "look up what depends on the tables";
    let rows = session.rows(doing, DEPENDENTS, &[(&oids, Type::OID_ARRAY)])?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Returns which of `readers` lack EXECUTE on which of `functions`, name and types, in a schema, as GRANT has the functions.
pub(super) fn functions_without_right(
    session: &mut Session,
    schema: &str,
    functions: &[String],
    readers: &[Reader],
) -> Result<Vec<(String, String)>, StoreError> {
    const LACKING: &str = "
        SELECT r.name, string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.proname)
        FROM unnest($2::text[]) r(name), pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = $1 AND p.prokind = 'f' AND p.proname || '(' || oidvectortypes(p.proargtypes) || ')' = ANY($3)
            AND NOT has_function_privilege(r.name, p.oid, 'EXECUTE')
        GROUP BY 1 ORDER BY 1";
    let names: Vec<String> = readers.iter().map(Reader::name).collect();
    let rows = session.rows(
        "look up who may call functions",
        LACKING,
        &[(&schema, Type::TEXT), (&names, Type::TEXT_ARRAY), (&functions, Type::TEXT_ARRAY)],
    )?;
    let of_name = |name: &str| readers.iter().find(|reader| reader.name() == name).map(Reader::sql);
    let lacking = rows.iter().map(|row| Ok((of_name(row.get(0)?).unwrap_or_default(), row.get(1)?)));
    lacking.collect()
}
