//! What a statement of the dump can reach beside what it is for.

use std::collections::{BTreeSet, HashSet};

use mysql_async::Conn;
use pilotfish_sql::mysql::{self, Mode};

use super::objects;
use crate::Error;
use crate::mysql_family::ask::Ask as _;

/// Statements that may change staged rows in ways that only the server understands. Not among them:
/// what changes the server (SHUTDOWN, KILL, INSTALL) or hides what it does (CALL, EXECUTE).
const VERBS: &[&str] = &[
    "INSERT", "REPLACE", "UPDATE", "DELETE", "TRUNCATE", "CREATE", "ALTER", "DROP", "RENAME",
    "ANALYZE", "OPTIMIZE", "CHECK", "REPAIR", "DO", "SELECT", "WITH", "SET",
];

/// Those that change no table: the stage has no routines that they could call. Not WITH, which MySQL takes
/// before UPDATE and DELETE, and not ANALYZE, by which MariaDB runs them.
const LOOKS: &[&str] = &["DO", "SELECT", "SET"];

/// Refuses a statement that is not understood and may do more than change rows.
///
/// # Errors
/// `Refused` names it.
pub(super) fn refuse_unfollowed(sql: &[u8], mode: Mode) -> Result<(), Error> {
    let verb = objects::first_word(sql, mode);
    // SET STATEMENT .. FOR hides its verb; INTO OUTFILE writes where the server keeps its files.
    let says = |word| mysql::tokens(sql, mode).any(|token| token.is(word));
    let hidden = verb == "SET" && says("STATEMENT");
    let writes = says("OUTFILE") || says("DUMPFILE");
    if hidden || writes || !VERBS.contains(&verb.as_str()) {
        return Err(Error::Refused(format!(
            "{verb}: a load does not follow such a statement"
        )));
    }
    Ok(())
}

/// Refuses to change what is not there yet: views, routines and events of a dump are made after its rows.
///
/// # Errors
/// `Refused` names it.
pub(super) fn refuse_later(sql: &[u8], mode: Mode) -> Result<(), Error> {
    const HEAD: usize = 24;
    const KINDS: [&str; 6] = ["TABLE", "EVENT", "VIEW", "PROCEDURE", "FUNCTION", "PACKAGE"];
    if objects::first_word(sql, mode) != "ALTER" {
        return Ok(());
    }
    let mut head = mysql::tokens(sql, mode).take(HEAD);
    let kind = head.find_map(|token| KINDS.into_iter().find(|kind| token.is(kind)));
    let later = kind.filter(|kind| *kind != "TABLE");
    later.map_or(Ok(()), |kind| {
        Err(Error::Refused(format!(
            "ALTER {kind}: a load makes views, routines and events as their CREATE says, after all rows; write there what \
             it shall be"
        )))
    })
}

/// Those of `tables` that a statement may change: it must name them, since the stage has no triggers,
/// routines or foreign keys that would carry it on.
pub(super) fn reached(
    sql: &[u8],
    mode: Mode,
    tables: impl Iterator<Item = String>,
) -> BTreeSet<String> {
    if LOOKS.contains(&objects::first_word(sql, mode).as_str()) {
        return BTreeSet::new();
    }
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    let words: HashSet<Vec<u8>> = sql
        .split(|byte| !is_part(byte))
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    // A name of other characters may be spelt in more than one way: it counts as named.
    let named = |table: &String| {
        !table.bytes().all(|byte| is_part(&byte))
            || words.contains(table.to_ascii_lowercase().as_bytes())
    };
    tables.filter(named).collect()
}

/// Refuses what names another database of this server: it would act there, whatever becomes of the load.
/// `sql` reads as it will run, in `schema`; `conn` is a plain session.
///
/// # Errors
/// `Refused` names the database.
pub(super) async fn refuse_foreign(
    conn: &mut Conn,
    schema: &str,
    sql: &[u8],
    mode: Mode,
) -> Result<(), Error> {
    // Most statements have no dot: they need no question to the server.
    if !sql.contains(&b'.') {
        return Ok(());
    }
    let mut named: BTreeSet<String> = objects::qualifiers(sql, mode).into_iter().collect();
    named.remove(schema);
    if named.is_empty() {
        return Ok(());
    }
    let databases: Vec<(String, bool)> = conn
        .query("SELECT schema_name, @@lower_case_table_names > 0 FROM information_schema.schemata")
        .await?;
    // A name that is not in UTF-8 cannot be compared.
    let is_there = |name: &String| {
        name.contains(char::REPLACEMENT_CHARACTER)
            || databases.iter().any(|(database, folded)| {
                database == name || *folded && database.to_lowercase() == name.to_lowercase()
            })
    };
    match named.iter().find(|name| is_there(name)) {
        None => Ok(()),
        Some(database) => Err(Error::Refused(format!(
            "it reaches into the database {database}: a load fills one database only"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;

    use super::*;

    #[test]
    fn what_looks_reaches_nothing_and_what_writes_reaches_what_it_names() {
        let mode = Mode::new(Flavour {
            mariadb: true,
            version: 101_119,
        });
        let reach = |sql: &str| {
            let tables = ["a", "b", "odd name", "2020_x"].map(str::to_owned);
            let reached = reached(sql.as_bytes(), mode, tables.into_iter());
            reached.into_iter().collect::<Vec<_>>().join(",")
        };
        for sql in [
            "SELECT COUNT(*) INTO @m FROM a",
            "SET @m = (SELECT MAX(v) FROM b)",
            "/* a */ do 1",
        ] {
            assert_eq!(reach(sql), "", "{sql}");
        }
        assert_eq!(reach("UPDATE a SET v = 1"), "a,odd name");
        assert_eq!(reach("INSERT INTO `A` SELECT * FROM app.b"), "a,b,odd name");
        assert_eq!(reach("delete from 2020_x"), "2020_x,odd name");
        assert_eq!(
            reach("WITH x AS (SELECT 1) UPDATE b SET v = 1"),
            "b,odd name"
        );
    }
}
