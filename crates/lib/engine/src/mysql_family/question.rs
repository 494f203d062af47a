//! A question of somebody else: it looks, and changes nothing.
//!
//! A transaction that is READ ONLY refuses rows that a statement or a function of it would write. What commits
//! by itself ends that transaction first (MariaDB drops a table in it), so only statements that look are asked;
//! and as a prepared one, which is one statement for the server, too.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use pilotfish_sql::Flavour;
use pilotfish_sql::mysql::{self, Mode, TokenKind};

use super::ask::Ask;
use crate::Error;

/// Verbs of statements that look.
const LOOKS: [&str; 10] = [
    "SELECT", "WITH", "VALUES", "TABLE", "DO", "SHOW", "DESC", "DESCRIBE", "EXPLAIN", "CHECKSUM",
];

/// The first row of the answer.
///
/// # Errors
/// `Refused` where the statement is none that only looks; the server's otherwise.
pub(super) async fn ask(conn: &mut Conn, sql: &str, mariadb: bool) -> Result<Option<Row>, Error> {
    // What the server cannot read it says better.
    let statement = Queryable::prep(conn, sql).await?;
    if !only_looks(sql, mariadb) {
        return Err(Error::Refused(
            "it must look and change nothing: begin it with SELECT".to_owned(),
        ));
    }
    Ask::query_drop(conn, "START TRANSACTION READ ONLY").await?;
    let answer = Ask::exec_first(conn, statement, ()).await;
    Ask::query_drop(conn, "ROLLBACK").await?;
    Ok(answer?)
}

/// Whether it begins with a verb that looks, and writes no file where the server keeps its own.
fn only_looks(sql: &str, mariadb: bool) -> bool {
    // Every comment that any version would run counts.
    let version = u32::MAX;
    let mode = Mode::new(Flavour { mariadb, version });
    let tokens = || {
        let all = mysql::tokens(sql.as_bytes(), mode);
        all.filter(|token| token.kind != TokenKind::Comment)
    };
    let verb = tokens().find(|token| !token.is_punctuation(b'('));
    let looks = verb.is_some_and(|verb| LOOKS.iter().any(|word| verb.is(word)));
    looks && !tokens().any(|token| token.is("OUTFILE") || token.is("DUMPFILE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_is_known_by_its_verb() {
        for sql in [
            "SELECT 1",
            "/* is it there? */ (select count(*) from a)",
            "WITH x AS (SELECT 1) SELECT * FROM x",
            "SHOW TABLES",
        ] {
            assert!(only_looks(sql, true), "{sql}");
        }
        for sql in [
            "delete from app.zz",
            "/*!99999 DROP TABLE a */",
            "COMMIT",
            "CALL p()",
            "SET GLOBAL read_only=0",
            "SELECT 1 INTO OUTFILE '/tmp/x'",
            "",
        ] {
            assert!(!only_looks(sql, true), "{sql}");
        }
    }
}
