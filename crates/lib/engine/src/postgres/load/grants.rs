//! Rights that people granted on the live release, for the next one: where a dump's own are left out (`--owner drop`),
//! the swap must not take everybody's rights away.

use tokio_postgres::GenericClient;

use crate::Error;
use crate::postgres::cell;

/// Statements that grant on the schema `$2` and in it what is granted in `$1`: tables, views and sequences, columns, routines, and
/// what is to be granted on what is made there.
const GRANTED: &str = "\
    WITH old AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1), \
    new AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $2) \
    SELECT format('GRANT %s ON %s %s TO %s%s', a.privilege_type, CASE o.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, \
        n.oid::regclass, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, \
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
    FROM pg_class o JOIN pg_class n ON n.relname = o.relname, aclexplode(o.relacl) a \
    WHERE o.relnamespace IN (SELECT oid FROM old) AND n.relnamespace IN (SELECT oid FROM new) \
    AND (o.relkind = 'S') = (n.relkind = 'S') AND a.grantee <> o.relowner \
    UNION ALL SELECT format('GRANT %s (%I) ON TABLE %s TO %s%s', a.privilege_type, c.attname, n.oid::regclass, \
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, \
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
    FROM pg_class o JOIN pg_class n ON n.relname = o.relname JOIN pg_attribute c ON c.attrelid = o.oid \
    JOIN pg_attribute d ON d.attrelid = n.oid AND d.attname = c.attname AND NOT d.attisdropped, aclexplode(c.attacl) a \
    WHERE o.relnamespace IN (SELECT oid FROM old) AND n.relnamespace IN (SELECT oid FROM new) AND a.grantee <> o.relowner \
    UNION ALL SELECT format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', n.oid::regprocedure) \
    FROM pg_proc o JOIN pg_proc n ON n.proname = o.proname AND n.proargtypes = o.proargtypes \
    WHERE o.pronamespace IN (SELECT oid FROM old) AND n.pronamespace IN (SELECT oid FROM new) AND o.proacl IS NOT NULL \
    UNION ALL SELECT format('GRANT %s ON ROUTINE %s TO %s%s', a.privilege_type, n.oid::regprocedure, \
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, \
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
    FROM pg_proc o JOIN pg_proc n ON n.proname = o.proname AND n.proargtypes = o.proargtypes, aclexplode(o.proacl) a \
    WHERE o.pronamespace IN (SELECT oid FROM old) AND n.pronamespace IN (SELECT oid FROM new) AND a.grantee <> o.proowner \
    UNION ALL SELECT format('GRANT %s ON SCHEMA %I TO %s%s', a.privilege_type, $2, \
        CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, \
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
    FROM pg_namespace o, aclexplode(o.nspacl) a WHERE o.nspname = $1 AND a.grantee <> o.nspowner \
    UNION ALL SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %I GRANT %s ON %s TO %s%s', \
        d.defaclrole::regrole, $2, a.privilege_type, CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' \
        WHEN 'f' THEN 'ROUTINES' ELSE 'TYPES' END, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, \
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
    FROM pg_default_acl d, aclexplode(d.defaclacl) a \
    WHERE d.defaclnamespace IN (SELECT oid FROM old) AND a.grantee <> d.defaclrole";

/// SQLSTATEs of what the next release does not have: tables, routines, columns.
const GONE: [&str; 4] = ["42P01", "42883", "42703", "42704"];

/// Grants in `live` what is granted in `replaced`, on what both have.
pub(super) async fn carry_on(
    client: &impl GenericClient,
    replaced: &str,
    live: &str,
) -> Result<(), Error> {
    let grants = of(client, replaced, live).await?;
    let done = client.batch_execute(&grants.join("; ")).await;
    done.map_err(|error| denied(error.into(), live))
}

/// As [`carry_on`], from the database of `from` to that of `to`, whose schemas are called the same.
pub(super) async fn carry_over(
    from: &impl GenericClient,
    to: &impl GenericClient,
    schema: &str,
) -> Result<(), Error> {
    for sql in of(from, schema, schema).await? {
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

async fn of(client: &impl GenericClient, old: &str, new: &str) -> Result<Vec<String>, Error> {
    let rows = client.query(GRANTED, &[&old, &new]).await?;
    rows.iter().map(|row| cell(row, 0)).collect()
}

fn denied(error: Error, schema: &str) -> Error {
    match error {
        Error::Denied(why) => Error::Denied(format!(
            "grant in the schema {schema} what is granted on the replaced release: {why}"
        )),
        error => error,
    }
}
