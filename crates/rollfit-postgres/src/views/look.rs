//! The look at views: which are there, and whether they are the ones that rollfit makes.
//!
//! A view is ours if its query, in whatever form the server prints it, is word for word the one that we would make it with, over the table
//! of fits and the functions of this job. No mark is left on it: a copy made by `pg_dump` is ours, and one that somebody
//! replaced is not. Owner, rights, comments and options are its owner's business.

use std::collections::{HashMap, HashSet};

use rollfit_job::few::{few, few_and};
use rollfit_job::lock::lock;
use rollfit_job::partition::Partition;
use rollfit_job::store::{ReaderView, StoreError};
use tokio_postgres::types::Type;

use super::features_view::FeaturesView;
use super::view_function::{FunctionsFound, ViewFunction};
use super::view_text::ViewText;
use super::{Provided, Views};
use crate::PostgresStore;
use crate::connection::answer_row::AnswerRow;
use crate::connection::session::{Session, SqlParameter, Step};
use crate::names::TableName;
use crate::partitioning::catalog::FRESH_FOR;

/// What has the names $2 in the schema $1; of views the query, the relations that it reads and the functions that it calls; what of
/// others would be in the way of dropping it, or lost with it, its own defaults aside; whether the role may drop it.
const FOUND: &str = "
    SELECT c.relname::text, c.relkind::text, CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END,
           ARRAY(SELECT DISTINCT rn.nspname || E'\\n' || r.relname
                 FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d
                     ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
                     AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> c.oid
                 JOIN pg_catalog.pg_class r ON r.oid = d.refobjid
                 JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
                 WHERE w.ev_class = c.oid AND w.rulename = '_RETURN'),
           ARRAY(SELECT DISTINCT pn.nspname || E'\\n' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')'
                 FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend d
                     ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid
                     AND d.refclassid = 'pg_catalog.pg_proc'::regclass
                 JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
                 JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
                 WHERE w.ev_class = c.oid AND w.rulename = '_RETURN'),
           CASE WHEN c.relkind <> 'v' THEN '{}' ELSE
           ARRAY(SELECT DISTINCT o.type || ' ' || o.identity
                 FROM (VALUES ('pg_catalog.pg_class'::regclass::oid, c.oid), ('pg_catalog.pg_type'::regclass::oid, c.reltype),
                              ('pg_catalog.pg_type'::regclass::oid,
                               (SELECT t.typarray FROM pg_catalog.pg_type t WHERE t.oid = c.reltype))) own (class, object)
                 JOIN pg_catalog.pg_depend d ON d.refclassid = own.class AND d.refobjid = own.object
                     AND d.deptype <> 'i' AND d.classid <> 'pg_catalog.pg_attrdef'::regclass
                 LEFT JOIN pg_catalog.pg_rewrite w ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = d.objid
                     AND w.rulename = '_RETURN'
                 CROSS JOIN LATERAL pg_catalog.pg_identify_object(
                     CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::regclass END,
                     coalesce(w.ev_class, d.objid), 0) o
                 WHERE w.ev_class IS DISTINCT FROM c.oid ORDER BY 1) END,
           pg_has_role(c.relowner, 'USAGE') OR pg_has_role(n.nspowner, 'USAGE'),
           pg_get_userbyid(c.relowner) <> current_user OR EXISTS (SELECT FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner)
               OR EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = ANY($2)";

const LOOK_UP_VIEWS: &str = "look up views";

impl Views {
    /// What was seen of a view a moment ago.
    pub(super) fn seen(&self, name: &TableName) -> Option<ReaderView> {
        self.views_found.known(name, FRESH_FOR).map(|state| state.as_ref().clone())
    }

    /// Forgets what was seen and provided: what was there is gone.
    pub(crate) fn start_over(&self) {
        self.forget();
        *lock(&self.provided) = Provided::default();
    }

    /// Forgets what was seen: something was made.
    pub(super) fn forget(&self) {
        self.functions_found.forget();
        self.views_found.forget();
    }
}

impl PostgresStore {
    /// Returns what readers find where they look for the features of a partition, as it was a moment ago.
    ///
    /// # Errors
    /// When a query fails.
    pub(crate) fn reader_view_of(&self, partition: &Partition) -> Result<ReaderView, StoreError> {
        let Some(views) = &self.views else { return Ok(ReaderView::Ready) };
        let ask = || self.in_snapshot(|session| self.current_functions(session, &views.functions));
        let functions = views.functions_found.get(&(), ask)?;
        let names = self.view_names(views, partition);
        let seen: Option<Vec<ReaderView>> = names.iter().map(|name| views.seen(name)).collect();
        let seen = match seen {
            Some(seen) => seen,
            None => {
                let wanted = self.features_views(views, partition);
                self.in_snapshot(|session| self.current_views(session, views, &wanted))?
            }
        };
        let state = self.together(views, &functions, seen);
        if matches!(state, ReaderView::Missing(_)) {
            // What partitions share may have been dropped since it was provided.
            *lock(&views.provided) = Provided::default();
        }
        Ok(state)
    }

    /// Returns the question about the views of a partition, to be asked with others.
    pub(crate) fn view_question(&self, partition: &Partition) -> Option<ViewQuestion<'_>> {
        let views = self.views.as_ref()?;
        let wanted = self.features_views(views, partition);
        let names = wanted.iter().map(|view| view.name.name.clone()).collect();
        Some(ViewQuestion { store: self, views, wanted, names })
    }

    /// What functions and views are together.
    pub(super) fn together(
        &self,
        views: &Views,
        functions: &FunctionsFound,
        seen: Vec<ReaderView>,
    ) -> ReaderView {
        let mut missing = Vec::new();
        let mut foreign: Vec<String> =
            self.foreign_functions(&views.functions, functions).into_iter().collect();
        for state in seen {
            match state {
                ReaderView::Ready => {}
                ReaderView::Missing(what) => missing.push(what),
                ReaderView::Foreign(what) => foreign.push(what),
            }
        }
        if !foreign.is_empty() {
            return ReaderView::Foreign(foreign.join("; "));
        }
        if missing.is_empty() && !functions.missing.is_empty() {
            missing.push("functions of its views are missing".to_owned());
        }
        match missing.is_empty() {
            true => ReaderView::Ready,
            false => ReaderView::Missing(few_and(&missing)),
        }
    }

    /// Looks at views now. Returns the state of each.
    pub(super) fn current_views(
        &self,
        session: &mut Session,
        views: &Views,
        wanted: &[FeaturesView],
    ) -> Result<Vec<ReaderView>, StoreError> {
        let found = current_relations(session, views, wanted)?;
        Ok(self.states(views, wanted, &found))
    }

    /// Looks now at those of some views that are there and are the ones that rollfit makes.
    pub(super) fn current_own_views<'a>(
        &self,
        session: &mut Session,
        views: &Views,
        wanted: &'a [FeaturesView],
    ) -> Result<Vec<(&'a FeaturesView, Relation)>, StoreError> {
        let mut found = current_relations(session, views, wanted)?;
        let states = self.states(views, wanted, &found);
        let ours = wanted.iter().zip(states).filter(|(_, state)| *state == ReaderView::Ready);
        Ok(ours.filter_map(|(view, _)| Some((view, found.remove(&view.name.name)?))).collect())
    }

    /// Returns the state of each view by the answer to [`FOUND`], and notes it.
    fn views_from(
        &self,
        views: &Views,
        wanted: &[FeaturesView],
        rows: &[AnswerRow],
    ) -> Result<Vec<ReaderView>, StoreError> {
        Ok(self.states(views, wanted, &relations_from(rows)?))
    }

    /// Returns the state of each view, and notes it.
    fn states(
        &self,
        views: &Views,
        wanted: &[FeaturesView],
        found: &HashMap<String, Relation>,
    ) -> Vec<ReaderView> {
        let functions = self.function_keys(views);
        let state = |view: &FeaturesView| {
            let state = found.get(&view.name.name).map_or_else(
                || ReaderView::Missing(format!("the view {} is missing", view.name)),
                |relation| relation.state(view, &functions),
            );
            views.views_found.note(&view.name, state.clone());
            state
        };
        wanted.iter().map(state).collect()
    }

    pub(super) fn function_keys(&self, views: &Views) -> HashSet<String> {
        let key = |function: &ViewFunction| format!("{}\n{}", self.schema, function.signature());
        views.functions.iter().map(key).collect()
    }
}

pub(super) fn current_relations(
    session: &mut Session,
    views: &Views,
    wanted: &[FeaturesView],
) -> Result<HashMap<String, Relation>, StoreError> {
    let names: Vec<&str> = wanted.iter().map(|view| view.name.name.as_str()).collect();
    let parameters: [SqlParameter<'_>; 2] = [(&views.schema, Type::TEXT), (&names, Type::TEXT_ARRAY)];
    relations_from(&session.rows(LOOK_UP_VIEWS, FOUND, &parameters)?)
}

/// What there is by the answer to [`FOUND`], by name.
fn relations_from(rows: &[AnswerRow]) -> Result<HashMap<String, Relation>, StoreError> {
    rows.iter().map(Relation::from_row).collect()
}

/// The question about the views of a partition.
pub(crate) struct ViewQuestion<'a> {
    store: &'a PostgresStore,
    views: &'a Views,
    wanted: Vec<FeaturesView>,
    names: Vec<String>,
}

impl ViewQuestion<'_> {
    fn parameters(&self) -> [SqlParameter<'_>; 2] {
        [(&self.views.schema, Type::TEXT), (&self.names, Type::TEXT_ARRAY)]
    }

    /// Returns it as a step of a batch.
    pub(crate) fn step(&self) -> Step<'_> {
        Step::query(LOOK_UP_VIEWS, FOUND, self.parameters().into())
    }

    /// Asks it now.
    pub(super) fn ask(&self, session: &mut Session) -> Result<Vec<AnswerRow>, StoreError> {
        session.rows(LOOK_UP_VIEWS, FOUND, &self.parameters())
    }

    /// Returns the state of each view by the answer, and notes it.
    pub(super) fn states(&self, rows: &[AnswerRow]) -> Result<Vec<ReaderView>, StoreError> {
        self.store.views_from(self.views, &self.wanted, rows)
    }

    /// Notes the answer.
    ///
    /// # Errors
    /// When it has another form.
    pub(crate) fn note(&self, rows: &[AnswerRow]) -> Result<(), StoreError> {
        self.states(rows).map(drop)
    }
}

/// What has the name of a view.
pub(super) struct Relation {
    kind: String,
    query: Option<String>,
    reads: Vec<String>,
    calls: Vec<String>,
    /// The objects of others that depend on it.
    pub(super) dependents: Vec<String>,
    /// Whether the role may drop it.
    pub(super) may_drop: bool,
    /// Whether another role owns it or may use it, which is lost if it is dropped.
    is_given: bool,
}

impl Relation {
    /// With its name.
    fn from_row(row: &AnswerRow) -> Result<(String, Self), StoreError> {
        Ok((
            row.get(0)?,
            Self {
                kind: row.get(1)?,
                query: row.get(2)?,
                reads: row.get(3)?,
                calls: row.get(4)?,
                dependents: row.get(5)?,
                may_drop: row.get(6)?,
                is_given: row.get(7)?,
            },
        ))
    }

    fn state(&self, view: &FeaturesView, functions: &HashSet<String>) -> ReaderView {
        let name = &view.name;
        let Some(query) = &self.query else {
            return ReaderView::Foreign(format!(
                "{name} is {}, where the view of its features belongs: set views_schema, or rename it",
                kind_in_words(&self.kind)
            ));
        };
        if self.is_ours(query, view, functions) {
            return ReaderView::Ready;
        }
        let first = match self.dependents.as_slice() {
            [] => String::new(),
            dependents => format!("drop what depends on it ({}), ", few(dependents)),
        };
        let last = match self.is_given {
            true => format!(
                "run what `rollfit doctor` prints, which keeps its owner and readers (DROP VIEW {} alone loses them)",
                name.sql()
            ),
            false => format!("{first}run DROP VIEW {} and rollfit makes it", name.sql()),
        };
        ReaderView::Foreign(format!(
            "{name} is not the view that rollfit makes of {}: rename it, set views_schema, or {last}",
            view.from
        ))
    }

    /// Whether it is a view that rollfit does not make, and another role owns it or may use it.
    pub(super) fn is_others_view(&self, view: &FeaturesView, functions: &HashSet<String>) -> bool {
        let query = self.query.as_ref();
        self.is_given && query.is_some_and(|query| !self.is_ours(query, view, functions))
    }

    fn is_ours(&self, query: &str, view: &FeaturesView, functions: &HashSet<String>) -> bool {
        let reads_fits = self.reads == [format!("{}\n{}", view.from.schema, view.from.name)];
        let calls_ours = self.calls.iter().all(|function| functions.contains(function));
        reads_fits && calls_ours && ViewText::parse(query) == ViewText::parse(&view.select)
    }
}

fn kind_in_words(kind: &str) -> &'static str {
    match kind {
        "r" | "p" => "a table",
        "m" => "a materialized view",
        "f" => "a foreign table",
        "S" => "a sequence",
        "i" | "I" => "an index",
        "c" => "a type",
        _ => "something else",
    }
}
