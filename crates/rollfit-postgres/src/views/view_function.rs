//! [`ViewFunction`]: a function that views call, and whether the one that is there is it.

use rollfit::Metric;
use rollfit::sql::{self, Dialect, SqlFunction};
use rollfit_job::config::Series;
use rollfit_job::few::few;
use rollfit_job::store::StoreError;
use tokio_postgres::types::Type;

use super::decimal_function;
use super::foreign_function::ForeignFunction;
use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, SqlParameter, Step};
use crate::names::quoted;

/// A function in the schema of the tables of fits. Nothing in it depends on the caller's settings.
#[derive(Clone, Debug)]
pub(crate) struct ViewFunction {
    name: String,
    /// The types of its arguments, as the server writes them.
    arguments: String,
    /// Their names, by which its body knows them.
    argument_names: String,
    returns: &'static str,
    language: &'static str,
    is_strict: bool,
    /// Its own settings, as the server keeps them, a line each.
    settings: String,
    body: String,
    /// The statement that makes it. It fails where there is one of that name and these arguments.
    pub(super) create: String,
}

/// What there is of the functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FunctionsFound {
    /// Those that are missing, by position.
    pub(super) missing: Vec<usize>,
    /// Those that are others than they should be.
    pub(super) foreign: Vec<ForeignFunction>,
    /// Whether a view can read with the rights of whoever reads it.
    pub(super) has_invoker: bool,
}

/// Whether each function is there, and is the one that it should be: whether it is called in the same way, does the same but for its body,
/// and has the body; which one it is, and whether a view of fits calls it.
const FOUND: &str = "
    SELECT p.oid, c.is_alike AND (p.proargnames IS NULL OR c.has_names), c.has_names AND c.is_alike AND d.does_same, p.prosrc = w.body,
           CASE WHEN c.has_names AND c.is_alike AND d.does_same AND p.prosrc = w.body THEN false
           ELSE EXISTS (SELECT FROM pg_catalog.pg_depend d
                   JOIN pg_catalog.pg_depend t ON t.classid = d.classid AND t.objid = d.objid
                       AND t.refclassid = 'pg_catalog.pg_class'::regclass
                   JOIN pg_catalog.pg_class f ON f.oid = t.refobjid AND f.relnamespace = p.pronamespace
                       AND starts_with(f.relname::text, 'fit_')
                   WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = p.oid
                       AND d.classid = 'pg_catalog.pg_rewrite'::regclass) END,
           current_setting('server_version_num')::int >= 150000
    FROM unnest($2, $3, $4, $5, $6, $7, $8, $9) WITH ORDINALITY
        w (name, arguments, argument_names, returns, language, is_strict, settings, body, at)
    LEFT JOIN (pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace AND n.nspname = $1
               JOIN pg_catalog.pg_language l ON l.oid = p.prolang)
        ON p.proname = w.name AND oidvectortypes(p.proargtypes) = w.arguments
    CROSS JOIN LATERAL (SELECT
        array_to_string(p.proargnames, ',') IS NOT DISTINCT FROM w.argument_names AS has_names,
        format_type(p.prorettype, NULL) = w.returns AND p.prokind = 'f' AND NOT p.proretset AND p.proargmodes IS NULL
            AND p.provariadic = 0 AND p.pronargdefaults = 0 AS is_alike) c
    CROSS JOIN LATERAL (SELECT
        l.lanname = w.language AND p.proisstrict = w.is_strict AND p.provolatile = 'i' AND p.proparallel = 's'
            AND NOT p.prosecdef AND p.prosqlbody IS NULL AND p.prosupport = 0 AND p.protrftypes IS NULL
            AND array_to_string(coalesce(p.proconfig, '{}'), E'\\n') = w.settings AS does_same) d
    ORDER BY w.at";

const LOOK_UP_FUNCTIONS: &str = "look up the functions of views";

/// The question about functions: what each should be.
pub(super) struct FunctionQuestion<'a> {
    schema: &'a str,
    names: Vec<&'a str>,
    arguments: Vec<&'a str>,
    argument_names: Vec<&'a str>,
    returns: Vec<&'a str>,
    languages: Vec<&'a str>,
    is_strict: Vec<bool>,
    settings: Vec<&'a str>,
    bodies: Vec<&'a str>,
}

impl ViewFunction {
    /// Those that the views of `series` call, those first that others call.
    pub(super) fn all(schema: &str, series: &[Series], are_decimals: bool) -> Vec<Self> {
        let mut metrics: Vec<Metric> =
            series.iter().flat_map(|series| series.metrics.iter().copied()).collect();
        metrics.sort_by_key(|metric| Metric::ALL.iter().position(|known| known == metric));
        metrics.dedup();
        let schema = quoted(schema);
        let printed = sql::functions(Dialect::Postgres, &schema, &metrics);
        let mut functions: Vec<Self> = printed.into_iter().map(Self::from_sql).collect();
        if are_decimals {
            functions.extend(decimal_function::all(&schema));
        }
        functions
    }

    fn from_sql(printed: SqlFunction) -> Self {
        let (names, types): (Vec<&str>, Vec<&str>) = printed.arguments.iter().copied().unzip();
        Self {
            name: printed.name,
            arguments: types.join(", "),
            argument_names: names.join(","),
            returns: "double precision",
            language: printed.language,
            is_strict: printed.is_strict,
            settings: printed.search_path.map(|path| format!("search_path={path}")).unwrap_or_default(),
            body: printed.body,
            create: printed.sql.replacen("CREATE OR REPLACE FUNCTION", "CREATE FUNCTION", 1),
        }
    }

    /// A function from a double to a decimal.
    pub(super) fn decimal(schema: &str, name: &str, body: String, settings: Vec<String>) -> Self {
        let set: String = settings
            .iter()
            .filter_map(|setting| setting.split_once('='))
            .map(|(name, value)| format!(" SET {name} = {value}"))
            .collect();
        // With its real cost the server would compile queries of many columns, which takes longer than it saves.
        let create = format!(
            "CREATE FUNCTION {schema}.{name}(x double precision)\nRETURNS numeric LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL \
             SAFE COST 1{set}\nAS $rollfit${body}$rollfit$"
        );
        Self {
            name: name.to_owned(),
            arguments: "double precision".to_owned(),
            argument_names: "x".to_owned(),
            returns: "numeric",
            language: "plpgsql",
            is_strict: true,
            settings: settings.join("\n"),
            body,
            create,
        }
    }

    /// Its name, without the schema.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its name and the types of its arguments.
    pub(super) fn signature(&self) -> String {
        format!("{}({})", self.name, self.arguments)
    }

    /// The statement that puts it in the place of another one.
    pub(super) fn replace_sql(&self) -> String {
        self.create.replacen("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1)
    }
}

impl FunctionsFound {
    pub(super) fn from_rows(rows: &[AnswerRow]) -> Result<Self, StoreError> {
        let mut found = Self::default();
        for (at, row) in rows.iter().enumerate() {
            match (row.get(0)?, ForeignFunction::from_row(at, row)?) {
                (None::<u32>, _) => found.missing.push(at),
                (Some(_), None) => {}
                (Some(_), Some(foreign)) => found.foreign.push(foreign),
            }
            found.has_invoker = row.get(5)?;
        }
        Ok(found)
    }
}

impl FunctionQuestion<'_> {
    fn parameters(&self) -> [SqlParameter<'_>; 9] {
        [
            (&self.schema, Type::TEXT),
            (&self.names, Type::TEXT_ARRAY),
            (&self.arguments, Type::TEXT_ARRAY),
            (&self.argument_names, Type::TEXT_ARRAY),
            (&self.returns, Type::TEXT_ARRAY),
            (&self.languages, Type::TEXT_ARRAY),
            (&self.is_strict, Type::BOOL_ARRAY),
            (&self.settings, Type::TEXT_ARRAY),
            (&self.bodies, Type::TEXT_ARRAY),
        ]
    }

    /// Returns it as a step of a batch.
    pub(super) fn step(&self) -> Step<'_> {
        Step::query(LOOK_UP_FUNCTIONS, FOUND, self.parameters().into())
    }

    /// Asks it now.
    pub(super) fn ask(&self, session: &mut Session) -> Result<FunctionsFound, StoreError> {
        FunctionsFound::from_rows(&session.rows(LOOK_UP_FUNCTIONS, FOUND, &self.parameters())?)
    }
}

impl PostgresStore {
    /// Returns what there is of the functions now.
    pub(super) fn current_functions(
        &self,
        session: &mut Session,
        functions: &[ViewFunction],
    ) -> Result<FunctionsFound, StoreError> {
        self.function_question(functions).ask(session)
    }

    /// Returns the question about the functions.
    pub(super) fn function_question<'a>(&'a self, functions: &'a [ViewFunction]) -> FunctionQuestion<'a> {
        let texts = |text: fn(&ViewFunction) -> &str| functions.iter().map(text).collect::<Vec<&str>>();
        FunctionQuestion {
            schema: &self.schema,
            names: texts(|function| &function.name),
            arguments: texts(|function| &function.arguments),
            argument_names: texts(|function| &function.argument_names),
            returns: texts(|function| function.returns),
            languages: texts(|function| function.language),
            is_strict: functions.iter().map(|function| function.is_strict).collect(),
            settings: texts(|function| &function.settings),
            bodies: texts(|function| &function.body),
        }
    }

    /// Returns what to do about functions that are others than they should be, as a clause that follows "but".
    pub(super) fn foreign_functions(
        &self,
        functions: &[ViewFunction],
        found: &FunctionsFound,
    ) -> Option<String> {
        let names = found
            .foreign
            .iter()
            .map(|foreign| format!("{}.{}", self.schema, functions[foreign.at].signature()));
        (!found.foreign.is_empty()).then(|| {
            format!(
                "its views need functions that are others than rollfit makes: {}; somebody replaced them, or another version of \
                 rollfit made them: have their owner run the statements that rollfit schema prints",
                few(names)
            )
        })
    }
}
