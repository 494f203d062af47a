//! A whole database beside the live one, and the exchange of their names.
//!
//! A database can be renamed while nobody is in it only: readers lose their sessions, and are served by the new one
//! as soon as they come back. Everything is one transaction, so that a loader which dies leaves the old name in place.

use std::time::{Duration, Instant};

use pilotfish_sql::postgres::{quote, quote_literal};
use tokio_postgres::GenericClient;

use super::Access;
use super::names::shortened;
use crate::Error;
use crate::postgres::cell;
use crate::postgres::connect::Session;

/// Between two rounds of ending whoever came meanwhile.
const ROUND: Duration = Duration::from_millis(10);
/// `object_in_use`: somebody is in the database, and stayed for the five seconds that the server waits.
const IN_USE: &str = "55006";
/// Where our own session is while a database is renamed: each server has one of them.
const ELSEWHERE: [&str; 2] = ["postgres", "template1"];

/// What a database of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The release that is being staged.
    Next,
    /// What a rollback brings back.
    Previous,
    /// What nothing brings back: waits to be dropped.
    Gone,
}

impl Use {
    /// Its name for the live database `live`.
    pub(super) fn of(self, live: &str) -> String {
        let end = match self {
            Self::Next => "__pilotfish_next",
            Self::Previous => "__pilotfish_prev",
            Self::Gone => "__pilotfish_gone",
        };
        shortened("", live, end)
    }
}

/// Whether a database is one of these.
pub(super) fn is_ours(name: &str) -> bool {
    [Use::Next, Use::Previous, Use::Gone]
        .iter()
        .any(|of| name.ends_with(&of.of("")))
}

/// Makes the staged database, empty and like the live one.
pub(super) async fn make(session: &Session, live: &str) -> Result<(), Error> {
    const LIKE: &str = "SELECT pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype, \
        coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), \
        coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'), to_jsonb(d) ->> 'daticurules', (SELECT spcname FROM pg_catalog.pg_tablespace s WHERE s.oid = dattablespace \
        AND dattablespace <> (SELECT t.dattablespace FROM pg_catalog.pg_database t WHERE t.datname = 'template0')) \
        FROM pg_catalog.pg_database d WHERE datname = $1";
    refuse_slots(session, live).await?;
    drop(session, &Use::Next.of(live)).await?;
    let row = session.query_one(LIKE, &[&live]).await?;
    let mut sql = format!(
        "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}",
        quote(&Use::Next.of(live)),
        quote_literal(&cell::<String>(&row, 0)?),
        quote_literal(&cell::<String>(&row, 1)?),
        quote_literal(&cell::<String>(&row, 2)?),
    );
    // PostgreSQL 15 and 17 brought the providers; before, there is the C library's only.
    match (
        cell::<String>(&row, 3)?.as_str(),
        cell::<Option<String>>(&row, 4)?,
    ) {
        ("i", Some(locale)) => {
            sql.push_str(&format!(
                " LOCALE_PROVIDER icu ICU_LOCALE {}",
                quote_literal(&locale)
            ));
        }
        ("b", Some(locale)) => {
            sql.push_str(&format!(
                " LOCALE_PROVIDER builtin BUILTIN_LOCALE {}",
                quote_literal(&locale)
            ));
        }
        _ => {}
    }
    if let Some(rules) = cell::<Option<String>>(&row, 5)? {
        sql.push_str(&format!(" ICU_RULES {}", quote_literal(&rules)));
    }
    // To name the server's default takes rights on it, to get it does not.
    if let Some(tablespace) = cell::<Option<String>>(&row, 6)? {
        sql.push_str(&format!(" TABLESPACE {}", quote(&tablespace)));
    }
    Ok(session.batch_execute(&sql).await?)
}

/// Whether there is such a database.
pub(super) async fn exists(session: &Session, name: &str) -> Result<bool, Error> {
    const NAMED: &str = "SELECT FROM pg_catalog.pg_database WHERE datname = $1";
    Ok(session.query_opt(NAMED, &[&name]).await?.is_some())
}

/// Drops a database of ours, whoever is in it.
pub(super) async fn drop(session: &Session, name: &str) -> Result<bool, Error> {
    let there = exists(session, name).await?;
    if there {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quote(name));
        session.batch_execute(&sql).await?;
    }
    Ok(there)
}

/// A slot or a subscription would go on with what is replaced, and a prepared transaction keeps a database from being
/// renamed.
pub(super) async fn refuse_slots(session: &Session, live: &str) -> Result<(), Error> {
    const TIED: &str = "SELECT 'the replication slot ' || slot_name FROM pg_catalog.pg_replication_slots \
        WHERE database = $1 UNION ALL SELECT 'the prepared transaction ' || gid FROM pg_catalog.pg_prepared_xacts WHERE database = $1 \
        UNION ALL SELECT 'the subscription ' || s.subname FROM pg_catalog.pg_subscription s \
        JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = $1 LIMIT 1";
    let tied = match session.query_opt(TIED, &[&live]).await.map_err(Error::from) {
        // Who may not see subscriptions has none of his own.
        Err(Error::Denied(_)) => None,
        outcome => outcome?,
    };
    match tied {
        None => Ok(()),
        Some(row) => Err(Error::Config(format!(
            "{} belongs to the database {live}, and would stay with the replaced one: drop it first",
            cell::<String>(&row, 0)?
        ))),
    }
}

/// Gives a database what people set and granted on another one: what a dump says of neither.
pub(super) async fn make_alike(session: &Session, name: &str, model: &str) -> Result<(), Error> {
    const SETTINGS: &str = "SELECT r.rolname, pg_catalog.unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s \
        JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole \
        WHERE d.datname = $1";
    const RIGHTS: &str = "SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE g.rolname END, a.privilege_type, \
        a.is_grantable FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a \
        LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantee WHERE d.datname = $1 AND a.grantee <> d.datdba";
    const ABOUT: &str = "SELECT r.rolname, d.datconnlimit, d.datacl IS NOT NULL, \
        pg_catalog.shobj_description(d.oid, 'pg_database') FROM pg_catalog.pg_database d \
        JOIN pg_catalog.pg_roles r ON r.oid = d.datdba WHERE d.datname = $1";
    let quoted = quote(name);
    let mut sql = Vec::new();
    for row in session.query(SETTINGS, &[&model]).await? {
        let (role, setting): (Option<String>, String) = (cell(&row, 0)?, cell(&row, 1)?);
        let (variable, value) = setting.split_once('=').unwrap_or((&setting, ""));
        let set = format!("SET {} = {}", quote(variable), set_value(variable, value));
        sql.push(match role {
            Some(role) => format!("ALTER ROLE {} IN DATABASE {quoted} {set}", quote(&role)),
            None => format!("ALTER DATABASE {quoted} {set}"),
        });
    }
    let row = session.query_one(ABOUT, &[&model]).await?;
    let (owner, limit, restricted): (String, i32, bool) =
        (cell(&row, 0)?, cell(&row, 1)?, cell(&row, 2)?);
    let rights = session.query(RIGHTS, &[&model]).await?;
    let mut public = 0;
    for row in &rights {
        public += i32::from(cell::<Option<String>>(row, 0)?.is_none());
    }
    // As a new database has it: to connect, and to make temporary tables.
    if restricted && public < 2 {
        sql.push(format!("REVOKE ALL ON DATABASE {quoted} FROM PUBLIC"));
    }
    for row in rights {
        let (who, right, grantable): (Option<String>, String, bool) =
            (cell(&row, 0)?, cell(&row, 1)?, cell(&row, 2)?);
        let who = who.map_or_else(|| "PUBLIC".to_owned(), |who| quote(&who));
        let with = if grantable { " WITH GRANT OPTION" } else { "" };
        sql.push(format!("GRANT {right} ON DATABASE {quoted} TO {who}{with}"));
    }
    if let Some(comment) = cell::<Option<String>>(&row, 3)? {
        sql.push(format!(
            "COMMENT ON DATABASE {quoted} IS {}",
            quote_literal(&comment)
        ));
    }
    sql.push(format!("ALTER DATABASE {quoted} CONNECTION LIMIT {limit}"));
    sql.push(format!(
        "ALTER DATABASE {quoted} OWNER TO {}",
        quote(&owner)
    ));
    for sql in sql {
        let done = session.batch_execute(&sql).await.map_err(Error::from);
        done.map_err(|error| match error {
            Error::Denied(why) => Error::Denied(format!("{sql}: {why}")),
            error => error.reworded(|words| format!("{sql}: {words}")),
        })?;
    }
    Ok(())
}

/// Lists are kept with each element quoted where it must be; an empty one has one element, which SET takes as a literal
/// only.
fn set_value(variable: &str, value: &str) -> String {
    const LISTS: [&str; 4] = [
        "search_path",
        "session_preload_libraries",
        "local_preload_libraries",
        "temp_tablespaces",
    ];
    if !LISTS.contains(&variable) {
        return quote_literal(value);
    }
    let mut elements = vec![String::new()];
    let mut quoted = false;
    for letter in value.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => elements.push(String::new()),
            ' ' if !quoted => {}
            letter => elements
                .last_mut()
                .into_iter()
                .for_each(|last| last.push(letter)),
        }
    }
    let elements: Vec<_> = elements
        .iter()
        .map(|element| quote_literal(element))
        .collect();
    elements.join(", ")
}

/// A session that is in none of the databases that change names.
pub(super) async fn elsewhere(access: &Access) -> Result<Session, Error> {
    let mut last = None;
    for name in ELSEWHERE
        .into_iter()
        .filter(|name| *name != access.options.database)
    {
        match access.connect_to(name).await {
            Ok(session) => return Ok(session),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| {
        Error::Config("there is no database to rename another one from".to_owned())
    }))
}

/// Renames databases, each given with its new name, in one transaction; ends the sessions in them. Returns for how
/// long nobody was served.
///
/// # Errors
/// `Locked` when sessions came faster than they were ended, all through `patience`.
pub(super) async fn rename(
    access: &Access,
    renames: &[(String, String)],
    closed: &str,
    patience: Duration,
) -> Result<Duration, Error> {
    let session = elsewhere(access).await?;
    let ender = elsewhere(access).await?;
    let names: Vec<&String> = renames.iter().map(|(from, _)| from).collect();
    let until = Instant::now() + patience;
    loop {
        let begun = Instant::now();
        end_sessions(&ender, &names).await?;
        let renaming = all_in_one(&session, renames, closed);
        let ending = async {
            loop {
                tokio::time::sleep(ROUND).await;
                if let Err(error) = end_sessions(&ender, &names).await {
                    break error;
                }
            }
        };
        let outcome = tokio::select! {
            outcome = renaming => outcome,
            error = ending => Err(error),
        };
        match outcome {
            Ok(()) => return Ok(begun.elapsed()),
            Err(error)
                if error.code().is_some_and(|code| code.is(IN_USE)) && Instant::now() < until =>
            {
                session.batch_execute("ROLLBACK").await?;
            }
            Err(Error::Busy { message, .. }) => {
                return Err(Error::Locked(format!(
                    "no moment to swap came within {patience:?}: {message}"
                )));
            }
            Err(error) => return Err(error),
        }
        if access.options.cancel.is_cancelled() {
            return Err(Error::Stopped("look for a moment to swap".to_owned()));
        }
    }
}

/// The server keeps everybody out of a database from the rename to the transaction's end.
async fn all_in_one(
    session: &Session,
    renames: &[(String, String)],
    closed: &str,
) -> Result<(), Error> {
    let mut sql = vec![
        "BEGIN".to_owned(),
        "SET LOCAL synchronous_commit = on".to_owned(),
    ];
    for (from, to) in renames {
        sql.push(format!(
            "ALTER DATABASE {} RENAME TO {}",
            quote(from),
            quote(to)
        ));
    }
    // What is replaced takes no writes any more.
    sql.push(format!(
        "ALTER DATABASE {} ALLOW_CONNECTIONS false",
        quote(closed)
    ));
    sql.push("COMMIT".to_owned());
    for sql in sql {
        session.batch_execute(&sql).await?;
    }
    Ok(())
}

/// But the server's own: those give way by themselves.
async fn end_sessions(session: &Session, names: &[&String]) -> Result<(), Error> {
    let ended = session
        .execute(
            "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
             WHERE datname = ANY($1) AND pid <> pg_backend_pid() AND usesysid IS NOT NULL",
            &[&names],
        )
        .await
        .map_err(Error::from);
    match ended {
        // They end by themselves, or a person ends them.
        Err(Error::Denied(why)) if may_signal(session).await? => Err(Error::Locked(format!(
            "a session in the live database is not this account's to end: {why}"
        ))),
        ended => ended.map(|_| ()),
    }
}

async fn may_signal(session: &Session) -> Result<bool, Error> {
    const MAY: &str = "SELECT pg_catalog.pg_has_role(current_user, 'pg_signal_backend', 'USAGE')";
    cell(&session.query_one(MAY, &[]).await?, 0)
}

/// Lets sessions into a database of ours, or no more.
pub(super) async fn open(client: &impl GenericClient, name: &str, open: bool) -> Result<(), Error> {
    let sql = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {open}", quote(name));
    Ok(client.batch_execute(&sql).await?)
}
