//! Schemas of ours: made like the live ones that they stand for, looked into, dropped.

use std::collections::BTreeSet;
use std::time::Duration;

use pilotfish_sql::postgres::{key, quote, quote_literal};
use tokio_postgres::GenericClient;

use super::names::Part;
use super::schemas::qualified;
use crate::Error;
use crate::postgres::cell;

/// Who owns a schema, what is said of it and who may do what there, beside its owner.
const ABOUT: &str = "SELECT r.rolname, pg_catalog.obj_description(n.oid, 'pg_namespace') \
    FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner WHERE n.nspname = $1";
const RIGHTS: &str = "SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE g.rolname END, a.privilege_type, a.is_grantable \
    FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a \
    LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantee \
    WHERE n.nspname = $1 AND a.grantee <> n.nspowner";

/// For one whom a message sent there to look: a drop waits so long for a lock.
const PATIENCE: Duration = Duration::from_secs(5);
/// Tables of one transaction that drops them: the server keeps a lock for each until its end.
const DROPPED_AT_ONCE: usize = 500;

/// Makes the stage of a live schema: with its owner and rights, where there is one.
pub(super) async fn make(client: &impl GenericClient, schema: &str) -> Result<(), Error> {
    like(client, &Part::Next.of(schema), schema).await
}

/// Makes the schema `name` with owner, rights and comment of `model`, where that is there.
pub(super) async fn like(
    client: &impl GenericClient,
    name: &str,
    model: &str,
) -> Result<(), Error> {
    let name = quote(name);
    let mut sql = vec![format!("CREATE SCHEMA {name}")];
    for row in client.query(RIGHTS, &[&model]).await? {
        let (who, right, grantable): (Option<String>, String, bool) =
            (cell(&row, 0)?, cell(&row, 1)?, cell(&row, 2)?);
        let who = who.map_or_else(|| "PUBLIC".to_owned(), |who| quote(&who));
        let with = if grantable { " WITH GRANT OPTION" } else { "" };
        sql.push(format!("GRANT {right} ON SCHEMA {name} TO {who}{with}"));
    }
    if let Some(row) = client.query_opt(ABOUT, &[&model]).await? {
        let (owner, comment): (String, Option<String>) = (cell(&row, 0)?, cell(&row, 1)?);
        if let Some(comment) = comment {
            sql.push(format!(
                "COMMENT ON SCHEMA {name} IS {}",
                quote_literal(&comment)
            ));
        }
        // Whoever gives a schema away cannot grant rights on it any more.
        sql.push(format!("ALTER SCHEMA {name} OWNER TO {}", quote(&owner)));
    }
    Ok(client.batch_execute(&sql.join("; ")).await?)
}

/// Gives the stage of a schema to its owner.
pub(super) async fn give(
    client: &impl GenericClient,
    schema: &str,
    owner: &str,
) -> Result<(), Error> {
    let name = quote(&Part::Next.of(schema));
    let sql = format!("ALTER SCHEMA {name} OWNER TO {}", quote(owner));
    Ok(client.batch_execute(&sql).await?)
}

/// Every schema of the database.
pub(super) async fn all(client: &impl GenericClient) -> Result<BTreeSet<String>, Error> {
    let rows = client
        .query("SELECT nspname FROM pg_catalog.pg_namespace", &[])
        .await?;
    rows.iter().map(|row| cell(row, 0)).collect()
}

/// Keys of the tables in the schema `place`, as they are called in `schema`.
pub(super) async fn tables(
    client: &impl GenericClient,
    place: &str,
    schema: &str,
) -> Result<BTreeSet<String>, Error> {
    const TABLES: &str = "SELECT c.relname FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f') \
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_class'::regclass \
        AND e.objid = c.oid AND e.deptype = 'e')";
    let rows = client.query(TABLES, &[&place]).await?;
    rows.iter()
        .map(|row| Ok(key(Some(schema), &cell::<String>(row, 0)?)))
        .collect()
}

/// Drops schemas of ours with all that is in them; what others made depend on it must not go along.
///
/// Tables go first, some hundred in one transaction.
///
/// # Errors
/// `Busy` where somebody reads from them for longer than [`PATIENCE`].
pub(super) async fn drop(client: &impl GenericClient, schemas: &[String]) -> Result<(), Error> {
    let patience = format!("SET lock_timeout = {}", PATIENCE.as_millis());
    client.batch_execute(&patience).await?;
    let dropped = drop_all(client, schemas).await;
    client.batch_execute("SET lock_timeout = 0").await?;
    dropped
}

async fn drop_all(client: &impl GenericClient, schemas: &[String]) -> Result<(), Error> {
    const TABLES: &str = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition LIMIT $2";
    let many = i64::try_from(DROPPED_AT_ONCE).unwrap_or(i64::MAX);
    loop {
        let rows = client.query(TABLES, &[&schemas, &many]).await?;
        let mut tables = Vec::new();
        for row in &rows {
            tables.push(qualified(
                &cell::<String>(row, 0)?,
                &cell::<String>(row, 1)?,
            ));
        }
        if tables.len() < DROPPED_AT_ONCE {
            break;
        }
        client
            .batch_execute(&format!("DROP TABLE {} CASCADE", tables.join(", ")))
            .await?;
    }
    for schema in schemas {
        client
            .batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", quote(schema)))
            .await?;
    }
    Ok(())
}

/// One of these functions that is neither the server's nor an extension's.
pub(super) async fn own_function(
    client: &impl GenericClient,
    names: &[String],
) -> Result<Option<String>, Error> {
    const OWN: &str = "SELECT p.proname FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n \
        ON n.oid = p.pronamespace WHERE p.proname = ANY($1) AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_proc'::regclass \
        AND e.objid = p.oid AND e.deptype = 'e') LIMIT 1";
    let row = client.query_opt(OWN, &[&names]).await?;
    row.map(|row| cell(&row, 0)).transpose()
}
