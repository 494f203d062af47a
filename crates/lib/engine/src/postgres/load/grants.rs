//! Rights that people granted on the live release, for the next one: where a dump's own are left out (`--owner drop`),
//! the swap must not take everybody's rights away.

use std::collections::BTreeSet;

use tokio_postgres::GenericClient;

use crate::Error;
use crate::postgres::cell;

const GRANTED: &str = include_str!("grants.sql");

/// SQLSTATEs of what the next release does not have, or has as something else: tables, routines, columns.
const GONE: [&str; 5] = ["42P01", "42883", "42703", "42704", "42809"];

/// One statement about rights.
struct Right {
    /// It takes what the next release got otherwise; that comes first.
    takes: bool,
    /// What it is about, as GRANT calls it.
    thing: String,
    statement: String,
}

/// Gives what is in `live` the rights that what is in `replaced` has, no more and no less where somebody gave or took any.
pub(super) async fn carry_on(
    client: &impl GenericClient,
    replaced: &str,
    live: &str,
) -> Result<(), Error> {
    let rights = of(client, replaced, live).await?;
    let statements: Vec<_> = rights.into_iter().map(|right| right.statement).collect();
    let done = client.batch_execute(&statements.join("; ")).await;
    done.map_err(|error| denied(error.into(), live))
}

/// As [`carry_on`], from the database of `from` to that of `to`, whose schemas are called the same.
pub(super) async fn carry_over(
    from: &impl GenericClient,
    to: &impl GenericClient,
    schema: &str,
) -> Result<(), Error> {
    let rights = of(from, schema, schema).await?;
    let known: BTreeSet<String> = rights.iter().map(|right| right.thing.clone()).collect();
    // Whom the others' rights are to be taken from is known where they are.
    let taken = of(to, schema, schema).await?.into_iter();
    let taken = taken.filter(|right| right.takes && known.contains(&right.thing));
    let given = rights.into_iter().filter(|right| !right.takes);
    for right in taken.chain(given) {
        let sql = right.statement;
        match to.batch_execute(&sql).await.map_err(Error::from) {
            Err(error)
                if error
                    .code()
                    .is_some_and(|code| GONE.iter().any(|state| code.is(state))) => {}
            outcome => outcome.map_err(|error| denied(error, schema))?,
        }
    }
    Ok(())
}

/// Gives a database the default privileges of another one that hold in all its schemas, of roles that this account is a
/// member of: what is made there has them from the beginning.
pub(super) async fn copy_defaults(
    from: &impl GenericClient,
    to: &impl GenericClient,
) -> Result<(), Error> {
    const DEFAULTS: &str = "WITH held AS (SELECT d.defaclrole::regrole AS role, d.defaclacl AS acl, d.defaclobjtype AS kind, \
        CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES' \
        WHEN 'n' THEN 'SCHEMAS' END AS what FROM pg_catalog.pg_default_acl d \
        WHERE d.defaclnamespace = 0 AND pg_catalog.pg_has_role(d.defaclrole, 'USAGE')) \
        SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %s GRANT %s ON %s TO %s%s', h.role, a.privilege_type, h.what, \
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, \
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) FROM held h, pg_catalog.aclexplode(h.acl) a \
        WHERE h.what IS NOT NULL AND a.grantee <> h.role UNION ALL \
        SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %s REVOKE ALL ON %s FROM PUBLIC', h.role, h.what) FROM held h \
        WHERE h.kind IN ('f', 'T') AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(h.acl) a WHERE a.grantee = 0)";
    for row in from.query(DEFAULTS, &[]).await? {
        to.batch_execute(cell(&row, 0)?).await?;
    }
    Ok(())
}

async fn of(client: &impl GenericClient, old: &str, new: &str) -> Result<Vec<Right>, Error> {
    let rows = client.query(GRANTED, &[&old, &new]).await?;
    rows.iter()
        .map(|row| {
            Ok(Right {
                takes: cell::<i32>(row, 0)? == 0,
                thing: cell(row, 1)?,
                statement: cell(row, 2)?,
            })
        })
        .collect()
}

fn denied(error: Error, schema: &str) -> Error {
    match error {
        Error::Denied(why) => Error::Denied(format!(
            "grant in the schema {schema} what is granted on the replaced release: {why}"
        )),
        error => error,
    }
}
