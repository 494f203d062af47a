//! What belongs to a whole database, for a swap of two: what the next one does not have would be gone.

use std::collections::BTreeSet;

use pilotfish_sql::postgres::{key, quote};
use tokio_postgres::GenericClient;

use super::ledger::Content;
use crate::Error;
use crate::load::Coming;
use crate::postgres::cell;

/// What is in no schema, and is no extension's: kind and name. Publications and event triggers of a release are in its
/// record; of the others nobody knows who made them once a release is live that came by schemas.
const ALWAYS: &str = "SELECT 'PUBLICATION', pubname::text FROM pg_publication \
    UNION ALL SELECT 'LARGE OBJECT', oid::text FROM pg_largeobject_metadata \
    UNION ALL SELECT 'EVENT TRIGGER', evtname FROM pg_event_trigger e WHERE NOT EXISTS (SELECT FROM pg_depend d \
    WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')";
const UNRECORDED: &str = "SELECT 'SERVER', srvname::text FROM pg_foreign_server \
    UNION ALL SELECT 'USER MAPPING', usename || ' of ' || srvname FROM pg_user_mappings";

/// Name and quoted schema of every extension but the one that each database has; no schema where people may add rows to
/// its tables, as to those of PostGIS.
const EXTENSIONS: &str = "SELECT extname::text, CASE WHEN extconfig IS NULL THEN extnamespace::regnamespace::text ELSE '' END \
    FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1";

/// So many are named.
const SHOWN: usize = 10;

/// Kind and name, or name and schema.
type Pairs = BTreeSet<(String, String)>;

/// Gives the staged database the extensions of the live one, and refuses what it cannot have; `before` is the record of
/// what is live.
///
/// # Errors
/// `Config` with what would be gone.
pub(super) async fn take_along(
    live: &impl GenericClient,
    staged: &impl GenericClient,
    before: Option<&Content>,
) -> Result<(), Error> {
    let mut lost = extensions(live, staged).await?;
    let by_schemas =
        |before: &Content| before.belongings.is_none() && !before.release.digest.is_empty();
    let brought = of(staged).await?;
    let question = match before.is_some_and(by_schemas) {
        true => ALWAYS.to_owned(),
        false => all(),
    };
    for (kind, name) in pairs(live, &question).await?.difference(&brought) {
        if !before.is_some_and(|before| is_of(before, kind, name)) {
            lost.push(format!("{} {name}", kind.to_lowercase()));
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    lost.truncate(SHOWN);
    Err(Error::Config(format!(
        "the live database has what the dump does not bring, and it would be gone: {}; bring it in the dump, or drop it \
         and make it again after the load",
        lost.join(", ")
    )))
}

/// Refuses publications of others with tables in these schemas: they would stay with the replaced ones.
pub(super) async fn refuse_publications(
    client: &impl GenericClient,
    schemas: &[String],
    before: &Content,
    coming: &Coming,
) -> Result<(), Error> {
    const WITH_TABLES: &str = "SELECT DISTINCT 'PUBLICATION', p.pubname::text FROM pg_publication p \
        JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN pg_class c ON c.oid = r.prrelid \
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY($1)";
    for row in client.query(WITH_TABLES, &[&schemas]).await? {
        let (kind, name): (String, String) = (cell(&row, 0)?, cell(&row, 1)?);
        let comes = coming
            .objects
            .contains(&format!("publication {}", key(None, &name)));
        if !comes && !is_of(before, &kind, &name) {
            return Err(Error::Config(format!(
                "the publication {name} has tables that are swapped, and would stay with the replaced ones: bring it \
                 in the dump, or drop it and make it again after the load"
            )));
        }
    }
    Ok(())
}

/// Whether a release brought it: what it drops before it makes it.
fn is_of(release: &Content, kind: &str, name: &str) -> bool {
    let drops = format!("DROP {kind} IF EXISTS {}", quote(name));
    let mut follows = release.follows.iter();
    let follows = follows.any(|statement| statement.first.as_ref() == Some(&drops));
    let mut belongings = release.belongings.iter().flatten();
    follows || belongings.any(|(of, is)| of == kind && is == name)
}

/// All that belongs to a database.
pub(super) async fn of(client: &impl GenericClient) -> Result<Pairs, Error> {
    pairs(client, &all()).await
}

fn all() -> String {
    format!("{ALWAYS} UNION ALL {UNRECORDED}")
}

/// Makes extensions where the account may, each in the schema that it has; returns the others.
async fn extensions(
    live: &impl GenericClient,
    staged: &impl GenericClient,
) -> Result<Vec<String>, Error> {
    let brought = pairs(staged, EXTENSIONS).await?;
    let mut lost = Vec::new();
    for (name, schema) in pairs(live, EXTENSIONS).await? {
        if brought.iter().any(|(brought, _)| *brought == name) {
            continue;
        }
        if schema.is_empty() {
            // People's rows may be in its tables.
            lost.push(format!("extension {name}"));
            continue;
        }
        let sql = format!("CREATE EXTENSION {} SCHEMA {schema}", quote(&name));
        match staged.batch_execute(&sql).await.map_err(Error::from) {
            // A superuser made it, or in a schema that the dump does not have.
            Err(error @ (Error::Denied(_) | Error::Sql { .. })) => {
                tracing::debug!(%error, sql, "not made");
                lost.push(format!("extension {name}"));
            }
            outcome => outcome?,
        }
    }
    Ok(lost)
}

async fn pairs(client: &impl GenericClient, question: &str) -> Result<Pairs, Error> {
    let rows = client.query(question, &[]).await?;
    rows.iter()
        .map(|row| Ok((cell(row, 0)?, cell(row, 1)?)))
        .collect()
}
