//! What a table holds, in a form that changes when any row changes: to see later whether anybody
//! wrote to it.

use mysql_async::Conn;
use pilotfish_sql::mysql::quote;

use super::columns;
use super::names::{literal, qualified};
use super::patience::LOCKED;
use crate::mysql_family::ask::Ask as _;
use crate::{Code, Error};

const CHECKSUM: &str = "checksum ";

/// Before the lengths, behind the checksum.
const LENGTHS: &str = " lengths ";

/// What decides how a table is proven.
#[derive(Debug, Clone, Default)]
pub(super) struct Manner {
    /// Its columns whose values vary in length.
    pub(super) joined: Vec<String>,
    /// It has a multi-valued index (MySQL).
    pub(super) array_key: bool,
}

impl Manner {
    async fn of(conn: &mut Conn, schema: &str, table: &str, mariadb: bool) -> Result<Self, Error> {
        let array_key = !mariadb && has_array_key(conn, schema, table).await?;
        let columns = columns::read(conn, schema, table).await?;
        let joined = columns.into_iter().filter(|column| column.joined);
        Ok(Self {
            joined: joined.map(|column| column.name).collect(),
            array_key,
        })
    }
}

/// The proof of a table as it is now; `None` where the server cannot tell.
pub(super) async fn of(
    conn: &mut Conn,
    schema: &str,
    table: &str,
    mariadb: bool,
) -> Result<Option<String>, Error> {
    let manner = Manner::of(conn, schema, table, mariadb).await?;
    of_known(conn, schema, table, &manner).await
}

/// The same of a table whose definition is known.
pub(super) async fn of_known(
    conn: &mut Conn,
    schema: &str,
    table: &str,
    manner: &Manner,
) -> Result<Option<String>, Error> {
    if manner.array_key {
        return hash(conn, schema, table).await.map(Some);
    }
    let row: Option<(String, Option<u64>)> = conn
        .query_first(format!("CHECKSUM TABLE {}", qualified(schema, table)))
        .await?;
    let Some(checksum) = row.and_then(|(_, checksum)| checksum) else {
        return refuse_locked(conn, schema, table).await.map(|()| None);
    };
    let lengths = lengths(conn, schema, table, &manner.joined).await?;
    Ok(Some(format!("{CHECKSUM}{checksum}{lengths}")))
}

/// Whether what is `found` is what was loaded. Proofs of older versions have no lengths: there the checksum decides.
pub(super) fn holds(recorded: &str, found: Option<&str>) -> bool {
    found.is_some_and(|found| {
        let older = !recorded.contains(LENGTHS);
        let checksum = found.split(LENGTHS).next();
        found == recorded || older && checksum == Some(recorded)
    })
}

/// What proves a table after rows with the proof `went` left it and those with `came` came; `None` where proofs do not add
/// up. Both servers sum the checksums of rows in 32 bits, the lengths in a decimal.
pub(super) fn moved(
    before: Option<&str>,
    went: Option<&str>,
    came: Option<&str>,
) -> Option<String> {
    let (before, went, came) = (parts(before?)?, parts(went?)?, parts(came?)?);
    let checksum = before.0.wrapping_sub(went.0).wrapping_add(came.0);
    let lengths = match (before.1, went.1, came.1) {
        (None, None, None) => String::new(),
        (Some(before), Some(went), Some(came)) => {
            format!("{LENGTHS}{}", (before + came).checked_sub(went)?)
        }
        _ => return None,
    };
    Some(format!("{CHECKSUM}{checksum}{lengths}"))
}

fn parts(proof: &str) -> Option<(u32, Option<u128>)> {
    let sums = proof.strip_prefix(CHECKSUM)?;
    match sums.split_once(LENGTHS) {
        Some((checksum, lengths)) => Some((checksum.parse().ok()?, Some(lengths.parse().ok()?))),
        None => Some((sums.parse().ok()?, None)),
    }
}

/// CHECKSUM TABLE joins values of varying length (`mysql_checksum_table` in both servers): it does not see text that
/// moves from the end of one column to the beginning of the next. Their lengths tell, in tables with more than one.
async fn lengths(
    conn: &mut Conn,
    schema: &str,
    table: &str,
    columns: &[String],
) -> Result<String, Error> {
    if columns.len() < 2 {
        return Ok(String::new());
    }
    let length = |column: &String| format!("COALESCE(LENGTH({}), 'N')", quote(column));
    let lengths: Vec<String> = columns.iter().map(length).collect();
    let sum: Option<String> = conn
        .query_first(format!(
            "SELECT CAST(COALESCE(SUM(CRC32(CONCAT_WS(',', {}))), 0) AS CHAR) FROM {}",
            lengths.join(", "),
            qualified(schema, table)
        ))
        .await?;
    Ok(format!("{LENGTHS}{}", sum.unwrap_or_default()))
}

/// CHECKSUM TABLE says NULL of a table that it cannot look into, and why in a warning (both servers): that
/// somebody holds it is no word about its rows.
async fn refuse_locked(conn: &mut Conn, schema: &str, table: &str) -> Result<(), Error> {
    let warnings: Vec<(String, u16, String)> = conn.query("SHOW WARNINGS").await?;
    let locked = warnings
        .into_iter()
        .find(|(_, code, _)| LOCKED.contains(code));
    locked.map_or(Ok(()), |(_, code, message)| {
        Err(Error::Busy {
            code: Code::numbered(code, "HY000"),
            message: format!("{message}: somebody holds {schema}.{table}, see SHOW PROCESSLIST"),
        })
    })
}

/// MySQL 9.7: CHECKSUM TABLE gives another number each time for a table with a multi-valued index
/// (measured); functional keys of other kinds are well.
pub(super) async fn has_array_key(
    conn: &mut Conn,
    schema: &str,
    table: &str,
) -> Result<bool, Error> {
    let found: Option<u8> = conn
        .query_first(format!(
            "SELECT 1 FROM information_schema.statistics WHERE table_schema = {} AND table_name = {} \
             AND expression LIKE '% array)%' LIMIT 1",
            literal(schema),
            literal(table)
        ))
        .await?;
    Ok(found.is_some())
}

/// Rows counted and hashed by the server itself, in any order.
async fn hash(conn: &mut Conn, schema: &str, table: &str) -> Result<String, Error> {
    let fields: Vec<String> = columns::read(conn, schema, table)
        .await?
        .iter()
        .map(|column| {
            format!(
                "COALESCE(HEX(CAST({} AS BINARY)), 'N')",
                quote(&column.name)
            )
        })
        .collect();
    let answer: Option<String> = conn
        .query_first(format!(
            // A TIMESTAMP reads as the session's time zone says.
            "SELECT /*+ SET_VAR(time_zone='+00:00') */ CONCAT('rows ', COUNT(*), ' hash ', COALESCE(SUM(CRC32(CONCAT_WS(',', {}))), 0)) FROM {}",
            fields.join(", "),
            qualified(schema, table)
        ))
        .await?;
    Ok(answer.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_without_lengths_is_judged_by_its_checksum() {
        for (recorded, found, same) in [
            ("checksum 12", Some("checksum 12"), true),
            ("checksum 12", Some("checksum 12 lengths 3"), true),
            ("checksum 12", Some("checksum 123 lengths 3"), false),
            (
                "checksum 12 lengths 3",
                Some("checksum 12 lengths 4"),
                false,
            ),
            ("checksum 12 lengths 3", Some("checksum 12"), false),
            ("checksum 12", None, false),
        ] {
            assert_eq!(holds(recorded, found), same, "{recorded} {found:?}");
        }
    }
}
