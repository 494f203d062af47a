//! What a file that is no SQL text is instead, told by how it begins.

use pilotfish_sql::mysql::{self, Mode, TokenKind};

/// Bytes of a file that are looked at: tar has its mark at 257.
pub(crate) const HEAD: usize = 512;

/// The mark of a byte order that some editors put before UTF-8.
pub(crate) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Tokens behind the first one that must be whole in a head that is cut.
const DECIDING: usize = 3;

/// Bytes among which text has no control characters.
const EARLY: usize = 16;

/// What it is and what to do about it; `None` where it may be SQL. `head` is [`HEAD`] bytes, fewer if the file is
/// shorter.
pub(crate) fn no_sql(head: &[u8], mode: Mode) -> Option<&'static str> {
    let text = head.trim_ascii_start();
    Some(match head {
        // With the mark of its byte order, or without.
        [0xff, 0xfe, ..]
        | [0xfe, 0xff, ..]
        | [_, 0, 1..=127, 0, ..]
        | [0, 1..=127, 0, 1..=127, ..] => {
            "this is UTF-16 text: dump again with --result-file instead of the shell's redirection"
        }
        [b'P', b'K', 3, 4, ..] => "this is a zip archive: unpack it first, fetch does",
        [b'P', b'G', b'D', b'M', b'P', ..] => {
            "this is an archive of pg_dump, for a PostgreSQL server, not for this one"
        }
        _ if is_tar(head) => "this is a tar archive: unpack it first, fetch does",
        _ if head
            .iter()
            .take(EARLY)
            .any(|byte| matches!(byte, 0..=8 | 14..=31)) =>
        {
            "this is a binary file: give a dump as SQL text, as mysqldump and mariadb-dump write it"
        }
        _ if text.starts_with(b"<") => {
            "this is a web page or XML, no SQL dump: look at what the address gives"
        }
        _ if text.starts_with(b"{") || text.starts_with(b"[") => "this is JSON, no SQL dump",
        _ if is_list_of_values(text, head.len() == HEAD, mode) => {
            "this is a list of values (CSV), no SQL dump"
        }
        _ => return None,
    })
}

/// The names of a header are filled up with zeros; text has none.
fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar") && head[..257].contains(&0)
}

/// No statement begins with a value, or has a comma behind its first word.
fn is_list_of_values(text: &[u8], cut: bool, mode: Mode) -> bool {
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
        no_sql(head, mode)
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
