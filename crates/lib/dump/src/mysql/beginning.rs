//! Whether a file begins as a list of values does.

use pilotfish_sql::mysql::{self, Mode, TokenKind};

use crate::beginning::{HEAD, Stranger};

/// Tokens behind the first one that must be whole in a head that is cut.
const DECIDING: usize = 3;

/// What pg_dump and pg_dumpall write.
pub(crate) const STRANGER: Stranger = Stranger {
    archive: "this is an archive of pg_dump, for a PostgreSQL server, not for this one",
    heads: &[
        "--\n-- PostgreSQL database",
        "--\r\n-- PostgreSQL database",
        "\\restrict ",
    ],
    text: "this is a dump of PostgreSQL, and this server is MariaDB or MySQL",
};

/// No statement begins with a value, or has a comma behind its first word.
pub(crate) fn is_list_of_values(head: &[u8], mode: Mode) -> bool {
    let (text, cut) = (head.trim_ascii_start(), head.len() == HEAD);
    let mut tokens = mysql::tokens(text, mode)
        .filter(|token| token.kind != TokenKind::Comment)
        .take(DECIDING + 1);
    let (first, tokens) = match tokens.next() {
        Some(first) => (first, tokens.collect::<Vec<_>>()),
        None => return false,
    };
    // Where the head ends may be the middle of a comment that the server runs, or of a word.
    if cut && tokens.len() < DECIDING {
        return false;
    }
    let mut tokens = tokens.into_iter();
    match first.kind {
        TokenKind::String | TokenKind::Number | TokenKind::QuotedName => true,
        TokenKind::Word if first.is("DELIMITER") => false,
        TokenKind::Word => tokens.next().is_some_and(|second| second.text == b","),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;

    use super::*;
    use crate::beginning::no_sql;

    fn told(head: &[u8]) -> Option<&'static str> {
        let flavour = Flavour {
            mariadb: true,
            version: 101_119,
        };
        let mode = Mode {
            flavour,
            no_backslash_escapes: false,
            ansi_quotes: false,
        };
        no_sql(head, &STRANGER, is_list_of_values(head, mode))
    }

    #[test]
    fn what_is_no_sql_is_called_by_its_name() {
        let mut tar = vec![0; 512];
        tar[..8].copy_from_slice(b"dump.sql");
        tar[257..262].copy_from_slice(b"ustar");
        for (head, name) in [
            (&b"\xff\xfeC\0R\0"[..], "UTF-16"),
            (b"C\0R\0E\0", "UTF-16"),
            (b"PK\x03\x04rest", "zip"),
            (b"PGDMP\x01\x0e", "pg_dump"),
            (b"--\n-- PostgreSQL database dump\n--\n", "PostgreSQL"),
            (&tar, "tar"),
            (b"SQLite format 3\0", "binary"),
            (b"\n<!DOCTYPE html>", "web page"),
            (b"{\"rows\": []}", "JSON"),
            (b"id,name\n1,x\n", "CSV"),
            (b"\"id\";\"name\"\n", "CSV"),
            (b"1\tx\n", "CSV"),
        ] {
            let told = told(head).unwrap_or("nothing");
            assert!(told.contains(name), "{name}: {told}");
        }
    }

    #[test]
    fn where_the_head_ends_decides_nothing() {
        // The first statement may begin at any byte of the head, or behind it.
        for comment in 400..HEAD {
            let mut dump = vec![b'-'; comment];
            dump[2] = b' ';
            dump[comment - 1] = b'\n';
            dump.extend_from_slice(
                b"/*!40101 SET @OLD_A=@@A */;\nINSERT INTO mustard VALUES (1);\n",
            );
            dump.resize(HEAD.max(dump.len()), b'\n');
            assert_eq!(told(&dump[..HEAD]), None, "{comment}");
        }
        let mut dump = b"CREATE TABLE t (c INT COMMENT '".to_vec();
        dump.resize(256, b'x');
        dump.extend_from_slice(b"mustard');\n");
        assert_eq!(told(&dump), None);
    }

    #[test]
    fn what_may_be_sql_is_left_to_the_reader() {
        for head in [
            &b""[..],
            b"-- MySQL dump 10.13\n--\n",
            b"/*!40101 SET NAMES utf8mb4 */;\n",
            b"/*M!999999\\- enable the sandbox mode */ \n",
            b"(SELECT 1);",
            b"\\! ls",
            b"INSRT INTO a VALUES (1);",
            b"; ;",
            b"DELIMITER ,\nSELECT 1,",
        ] {
            assert_eq!(told(head), None, "{}", String::from_utf8_lossy(head));
        }
    }
}
