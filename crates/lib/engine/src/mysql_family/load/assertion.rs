//! Assertions on the staged release.

use std::collections::BTreeSet;

use mysql_async::{Conn, Row};
use pilotfish_sql::mysql::{self, Mode, TokenKind, quote};

use super::Access;
use super::lock::Lock;
use super::names::qualified;
use crate::Error;
use crate::mysql_family::ask::Ask as _;
use crate::mysql_family::truth::{is_true, shown};

/// Asks `sql` in `schema`, where `seen_through` are live tables; what came back, when it is not true.
pub(super) async fn ask(
    access: &Access,
    lock: &Lock,
    schema: &str,
    sql: &str,
    seen_through: BTreeSet<&String>,
) -> Result<Option<String>, Error> {
    let mut conn = access.connect().await?;
    conn.query_drop(format!("USE {}", quote(schema))).await?;
    for table in &seen_through {
        lock.held(&mut conn).await?;
        let (view, live) = (
            qualified(schema, table),
            qualified(&access.names.live, table),
        );
        conn.query_drop(format!(
            "CREATE OR REPLACE VIEW {view} AS SELECT * FROM {live}"
        ))
        .await?;
    }
    let answer = read_only(&mut conn, sql).await?;
    for table in seen_through {
        lock.held(&mut conn).await?;
        conn.query_drop(format!("DROP VIEW IF EXISTS {}", qualified(schema, table)))
            .await?;
    }
    let answer = answer?;
    let Some(value) = answer.as_ref().and_then(|row| row.as_ref(0)) else {
        return Ok(Some("no row".to_owned()));
    };
    Ok((!is_true(value)).then(|| shown(value)))
}

/// Tables of the live database by its name would answer for the release of before; functions are there only.
pub(super) fn on_the_stage(sql: &str, mode: Mode, live: &str, schema: &str) -> String {
    let moved = mysql::requalify(sql.as_bytes(), mode, live, schema);
    let moved = String::from_utf8_lossy(&moved);
    let tokens: Vec<_> = mysql::tokens(moved.as_bytes(), mode)
        .filter(|token| token.kind != TokenKind::Comment)
        .collect();
    let mut text = String::new();
    let mut copied = 0;
    for called in tokens.windows(4) {
        let is_call = called[1].is_punctuation(b'.') && called[3].is_punctuation(b'(');
        if is_call && called[0].name().as_deref() == Some(schema) {
            text.push_str(&moved[copied..called[0].start]);
            text.push_str(&quote(live));
            copied = called[0].end();
        }
    }
    text.push_str(&moved[copied..]);
    text
}

/// Whatever it calls: rows of live tables are within its reach.
async fn read_only(conn: &mut Conn, sql: &str) -> Result<Result<Option<Row>, Error>, Error> {
    conn.query_drop("START TRANSACTION READ ONLY").await?;
    let answer = conn.query_first(sql).await.map_err(Error::from);
    conn.query_drop("ROLLBACK").await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;

    use super::*;

    #[test]
    fn tables_of_the_live_database_are_those_of_the_stage() {
        let mode = Mode::new(Flavour {
            mariadb: true,
            version: 101_119,
        });
        let moved = |sql| on_the_stage(sql, mode, "app", "next");
        assert_eq!(
            moved("SELECT COUNT(*) > 'app.b' FROM app.b JOIN `app`.`c` ON app.b.id = 1"),
            "SELECT COUNT(*) > 'app.b' FROM `next`.b JOIN `next`.`c` ON `next`.b.id = 1"
        );
        assert_eq!(moved("SELECT app.f(1)"), "SELECT `app`.f(1)");
        // A table that is called as its database.
        let own = "SELECT COUNT(app.id) FROM app";
        assert_eq!(moved(own), own);
    }
}
