//! Dependencies across a set of schemas, by `pg_depend`: what a swap would tear or leave pointing at the past.

use pilotfish_sql::postgres::quote;
use tokio_postgres::GenericClient;

use crate::Error;
use crate::postgres::cell;

/// Every object with the schema that it goes with: defaults, rules, triggers and policies with their table's. What
/// an extension brought is nobody's, since it moves with that.
const OBJECTS: &str = "\
    WITH object AS MATERIALIZED ( \
    SELECT 'pg_class'::regclass::oid AS class, oid, relnamespace AS space FROM pg_class \
    UNION ALL SELECT 'pg_type'::regclass, oid, typnamespace FROM pg_type \
    UNION ALL SELECT 'pg_proc'::regclass, oid, pronamespace FROM pg_proc \
    UNION ALL SELECT 'pg_operator'::regclass, oid, oprnamespace FROM pg_operator \
    UNION ALL SELECT 'pg_opclass'::regclass, oid, opcnamespace FROM pg_opclass \
    UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfnamespace FROM pg_opfamily \
    UNION ALL SELECT 'pg_collation'::regclass, oid, collnamespace FROM pg_collation \
    UNION ALL SELECT 'pg_conversion'::regclass, oid, connamespace FROM pg_conversion \
    UNION ALL SELECT 'pg_constraint'::regclass, oid, connamespace FROM pg_constraint \
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, stxnamespace FROM pg_statistic_ext \
    UNION ALL SELECT 'pg_ts_config'::regclass, oid, cfgnamespace FROM pg_ts_config \
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictnamespace FROM pg_ts_dict \
    UNION ALL SELECT 'pg_ts_parser'::regclass, oid, prsnamespace FROM pg_ts_parser \
    UNION ALL SELECT 'pg_ts_template'::regclass, oid, tmplnamespace FROM pg_ts_template \
    UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, c.relnamespace FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid \
    UNION ALL SELECT 'pg_rewrite'::regclass, r.oid, c.relnamespace FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class \
    UNION ALL SELECT 'pg_trigger'::regclass, t.oid, c.relnamespace FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
    UNION ALL SELECT 'pg_policy'::regclass, p.oid, c.relnamespace FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid), \
    outside AS MATERIALIZED (SELECT 'pg_publication_rel'::regclass::oid AS class, oid FROM pg_publication_rel \
    UNION ALL SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger \
    UNION ALL SELECT 'pg_cast'::regclass, c.oid FROM pg_cast c WHERE c.castsource < 16384 AND c.casttarget < 16384 \
    UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid FROM pg_foreign_data_wrapper \
    UNION ALL SELECT 'pg_language'::regclass, oid FROM pg_language), \
    placed AS MATERIALIZED (SELECT o.class, o.oid, n.nspname AS schema FROM object o \
    JOIN pg_namespace n ON n.oid = o.space WHERE n.nspname <> 'pg_toast' AND NOT EXISTS (SELECT FROM pg_depend e \
    WHERE e.classid = o.class AND e.objid = o.oid AND e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e') \
    UNION ALL SELECT o.class, o.oid, '' FROM outside o WHERE NOT EXISTS (SELECT FROM pg_depend e \
    WHERE e.classid = o.class AND e.objid = o.oid AND e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e')) ";

/// What all questions ask: who depends, in which schema that is, and on what. Of a view the server knows its rule.
const EDGE: &str = "SELECT DISTINCT coalesce((SELECT pg_describe_object('pg_class'::regclass, r.ev_class, 0) \
    FROM pg_rewrite r WHERE d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid), \
    pg_describe_object(d.classid, d.objid, 0)), a.schema, pg_describe_object(d.refclassid, d.refobjid, 0) \
    FROM pg_depend d JOIN placed a ON a.class = d.classid AND a.oid = d.objid \
    JOIN placed b ON b.class = d.refclassid AND b.oid = d.refobjid";

/// What points from outside `$1` (and not from `$2`) into `$1`.
const INTO: &str = "WHERE b.schema = ANY($1) AND NOT a.schema = ANY($1) AND NOT a.schema = ANY($2)";

/// What ties the schemas `$1` to the schemas `$2`, in either direction.
const BETWEEN: &str =
    "WHERE a.schema = ANY($1) AND b.schema = ANY($2) OR a.schema = ANY($2) AND b.schema = ANY($1)";

/// So many are named.
const SHOWN: &str = "ORDER BY 1, 3 LIMIT 5";

/// One dependency, in the server's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edge {
    /// Who depends.
    who: String,
    /// Where that is; empty of what belongs to the database, such as a publication.
    schema: String,
    /// On what.
    on: String,
}

impl Edge {
    /// Whether who depends lives in a schema.
    pub(super) const fn is_placed(&self) -> bool {
        !self.schema.is_empty()
    }

    /// The same where schemas are called otherwise: each name with the one to say instead.
    pub(super) fn renamed(mut self, names: &[(String, String)]) -> Self {
        for (name, said) in names {
            let (name, said) = (quote(name) + ".", quote(said) + ".");
            self.who = self.who.replace(&name, &said);
            self.on = self.on.replace(&name, &said);
        }
        self
    }
}

/// Objects outside `schemas` that depend on objects inside; `beside` are schemas that do not count.
pub(super) async fn into(
    client: &impl GenericClient,
    schemas: &[String],
    beside: &[String],
) -> Result<Vec<Edge>, Error> {
    ask(client, INTO, schemas, beside).await
}

/// Objects of `one` that depend on objects of `other`, or the other way round.
pub(super) async fn between(
    client: &impl GenericClient,
    one: &[String],
    other: &[String],
) -> Result<Vec<Edge>, Error> {
    ask(client, BETWEEN, one, other).await
}

async fn ask(
    client: &impl GenericClient,
    which: &str,
    one: &[String],
    other: &[String],
) -> Result<Vec<Edge>, Error> {
    let question = format!("{OBJECTS}{EDGE} {which} {SHOWN}");
    let rows = client.query(&question, &[&one, &other]).await?;
    rows.iter()
        .map(|row| {
            Ok(Edge {
                who: cell(row, 0)?,
                schema: cell(row, 1)?,
                on: cell(row, 2)?,
            })
        })
        .collect()
}

/// Edges in one sentence.
pub(super) fn said(edges: &[Edge]) -> String {
    let words = edges
        .iter()
        .map(|edge| format!("{} depends on {}", edge.who, edge.on));
    words.collect::<Vec<_>>().join(", ")
}
