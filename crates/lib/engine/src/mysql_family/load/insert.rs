//! Rows as INSERT statements: what the dump says, word for word.

use mysql_async::Conn;
use pilotfish_sql::mysql::{Tuples, quote};

use super::lock::Lock;
use super::names::qualified;
use crate::load::{Loaded, RowBatch};
use crate::mysql_family::ask::Ask as _;
use crate::{Code, Error};

/// Longest INSERT that is sent, in bytes, where the server takes that much; the driver holds each
/// statement several times.
const INSERT_BYTES: usize = 256 * 1024;
/// Room in a packet for what is not rows.
const PACKET_MARGIN: usize = 16 * 1024;

/// Sends a batch as INSERT statements that fit the server's packets, in one transaction: what comes in
/// after the lock was lost is undone.
pub(super) async fn send(
    conn: &mut Conn,
    lock: &Lock,
    schema: &str,
    batch: &RowBatch,
    packet: usize,
) -> Result<Loaded, Error> {
    lock.held(conn).await?;
    conn.query_drop("START TRANSACTION").await?;
    let mut outcome = insert_all(conn, schema, batch, packet).await;
    if outcome.is_ok()
        && let Err(error) = lock.held(conn).await
    {
        outcome = Err(error);
    }
    conn.query_drop(if outcome.is_ok() {
        "COMMIT"
    } else {
        "ROLLBACK"
    })
    .await?;
    let affected = outcome?;
    let stored = match (batch.verb, &batch.tail) {
        ("INSERT", None) => Some(batch.rows),
        ("INSERT IGNORE", None) => Some(affected),
        _ => None,
    };
    Ok(Loaded { stored })
}

async fn insert_all(
    conn: &mut Conn,
    schema: &str,
    batch: &RowBatch,
    packet: usize,
) -> Result<u64, Error> {
    let head = insert_head(schema, batch);
    let tail = batch.tail.as_deref().unwrap_or_default();
    let room = INSERT_BYTES
        .min(packet.saturating_sub(PACKET_MARGIN))
        .saturating_sub(head.len() + tail.len());
    let limit = packet.saturating_sub(head.len() + tail.len() + 2);
    let (mut affected, mut before) = (0, 0);
    for (rows, count) in pack(batch, room)? {
        if rows.len() > limit {
            let what = if batch.whole {
                "an INSERT whose rows the server numbers together, into"
            } else {
                "a row of"
            };
            return Err(Error::Config(format!(
                "{what} {} needs {} bytes in one packet and the server takes {packet}: raise max_allowed_packet",
                batch.table,
                rows.len()
            )));
        }
        let statement = [head.as_bytes(), b" ", rows, b" ", tail].concat();
        let sent = conn.query_drop(statement).await.map_err(Error::from);
        sent.map_err(|error| behind(before, error))?;
        affected += conn.affected_rows();
        before += count;
        if batch.lone && conn.get_warnings() > 0 {
            refuse_null(conn).await?;
        }
    }
    Ok(affected)
}

/// The server counts rows from the beginning of its statement, a person from where the batch begins.
fn behind(before: u64, error: Error) -> Error {
    if before == 0 {
        return error;
    }
    error.reworded(|message| format!("{message}, after the first {before} rows"))
}

/// Rows of several INSERTs travel in one, where a NULL in a NOT NULL column is a mere warning outside the
/// strict modes. Alone it is an error.
async fn refuse_null(conn: &mut Conn) -> Result<(), Error> {
    const BAD_NULL: u16 = 1048;
    // In the dump's character set.
    let affected: Vec<(String, u16, Vec<u8>)> = conn.query("SHOW WARNINGS").await?;
    match affected.into_iter().find(|(_, code, _)| *code == BAD_NULL) {
        None => Ok(()),
        Some((_, code, message)) => Err(Error::Sql {
            code: Code::numbered(code, "23000"),
            message: String::from_utf8_lossy(&message).into_owned(),
        }),
    }
}

fn insert_head(schema: &str, batch: &RowBatch) -> String {
    let columns = batch.columns.as_ref().map_or_else(String::new, |names| {
        let names: Vec<String> = names.iter().map(|name| quote(name)).collect();
        format!(" ({})", names.join(", "))
    });
    format!(
        "{} INTO {}{columns} VALUES",
        batch.verb,
        qualified(schema, &batch.table)
    )
}

/// Cuts a batch between tuples, each part at most `room` bytes where tuples allow, with its rows.
fn pack(batch: &RowBatch, room: usize) -> Result<Vec<(&[u8], u64)>, Error> {
    let all: &[u8] = &batch.tuples;
    if all.len() <= room || batch.whole {
        return Ok(vec![(all, batch.rows)]);
    }
    let base = all.as_ptr() as usize;
    let mut parts = Vec::new();
    let (mut start, mut end, mut count) = (0, 0, 0);
    let walked = Tuples::new(batch.no_backslash_escapes).for_each(all, |_, raw| {
        let from = raw.as_ptr() as usize - base;
        let to = from + raw.len();
        if end > start && to - start > room {
            parts.push((start, end, count));
            (start, count) = (from, 0);
        }
        end = to;
        count += 1;
        Ok::<(), std::convert::Infallible>(())
    });
    if let Err(error) = walked {
        return Err(Error::Sql {
            code: Code::numbered(1064, "42000"),
            message: error.to_string(),
        });
    }
    parts.push((start, end, count));
    Ok(parts
        .into_iter()
        .map(|(start, end, count)| (&all[start..end], count))
        .collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn batches_are_cut_between_tuples() {
        let batch = RowBatch {
            lone: false,
            whole: false,
            line: 0,
            table: "t".to_owned(),
            columns: None,
            verb: "INSERT",
            tuples: bytes::Bytes::from_static(b"(1,'a'),(2,'),('),(3,'c')"),
            tail: None,
            rows: 3,
            ordered: false,
            no_backslash_escapes: false,
            session: Arc::default(),
        };
        assert_eq!(
            pack(&batch, 8).unwrap(),
            [(&b"(1,'a')"[..], 1), (b"(2,'),(')", 1), (b"(3,'c')", 1)]
        );
        assert_eq!(
            pack(&batch, 18).unwrap(),
            [(&b"(1,'a'),(2,'),(')"[..], 2), (b"(3,'c')", 1)]
        );
        let whole = RowBatch {
            whole: true,
            line: 0,
            ..batch
        };
        assert_eq!(pack(&whole, 8).unwrap(), [(&whole.tuples[..], 3)]);
    }
}
