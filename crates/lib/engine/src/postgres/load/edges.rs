//! Dependencies across a set of schemas, by `pg_depend`: what a swap would tear or leave pointing at the past.

use pilotfish_sql::postgres::quote;
use tokio_postgres::GenericClient;
use tokio_postgres::types::ToSql;

use crate::Error;
use crate::postgres::cell;

/// All dependencies, each with the schemas and homes of both ends.
const EDGES: &str = include_str!("edges.sql");

/// What points from outside `$1` (and not from `$2`) into `$1`.
const INTO: &str =
    "to_schema = ANY($1) AND NOT from_schema = ANY($1) AND NOT from_schema = ANY($2)";

/// What ties the schemas `$1` to the schemas `$2`, in either direction.
const BETWEEN: &str = "from_schema = ANY($1) AND to_schema = ANY($2) OR from_schema = ANY($2) AND to_schema = ANY($1)";

/// What the objects `$2` of the schemas `$1` need of others there.
const WITHIN: &str = "to_schema = ANY($1) AND from_home = ANY($2) AND NOT to_home = ANY($2)";

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

    /// Whether it is gone with somebody's session.
    pub(super) fn is_temporary(&self) -> bool {
        self.schema.starts_with("pg_temp_")
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
    ask(client, INTO, &schemas, &beside).await
}

/// Objects of `one` that depend on objects of `other`, or the other way round.
pub(super) async fn between(
    client: &impl GenericClient,
    one: &[String],
    other: &[String],
) -> Result<Vec<Edge>, Error> {
    ask(client, BETWEEN, &one, &other).await
}

/// What some objects of `schemas`, by their numbers, need of what stands there beside them.
pub(super) async fn of_objects(
    client: &impl GenericClient,
    schemas: &[String],
    objects: &[u32],
) -> Result<Vec<Edge>, Error> {
    ask(client, WITHIN, &schemas, &objects).await
}

async fn ask(
    client: &impl GenericClient,
    which: &str,
    one: &(dyn ToSql + Sync),
    other: &(dyn ToSql + Sync),
) -> Result<Vec<Edge>, Error> {
    // So many are named, what lives in a schema first.
    let question = format!(
        "{EDGES} said AS (SELECT DISTINCT pg_describe_object(class, oid, 0) AS who, from_schema, \
         pg_describe_object(refclassid, refobjid, 0) AS target FROM edge WHERE {which}) \
         SELECT who, from_schema, target FROM said ORDER BY from_schema = '', who, target LIMIT 5"
    );
    // The planner takes a list in WITH for a short one: with 2,000 tables its nested loops took 70 s, hashes 40 ms.
    client.batch_execute("SET enable_nestloop = off").await?;
    let rows = client.query(&question, &[one, other]).await?;
    client.batch_execute("RESET enable_nestloop").await?;
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
