//! Whether a file that is not read would have been a dump: told by its name, or by how it begins.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use pilotfish_sql::Flavour;
use pilotfish_sql::mysql::{self, Mode, TokenKind};

use crate::beginning::UTF8_MARK;
use crate::compress;
use crate::postgres::archive;

/// Bytes of text that are looked at.
const HEAD: u64 = 16 * 1024;

/// How dumps begin, behind their comments; `@` is any variable.
const BEGINNINGS: [(&str, &[&str]); 9] = [
    (
        "CREATE",
        &[
            "TABLE",
            "DATABASE",
            "SCHEMA",
            "VIEW",
            "OR",
            "DEFINER",
            "EXTENSION",
            "TYPE",
            "ROLE",
        ],
    ),
    ("DROP", &["TABLE", "DATABASE", "SCHEMA", "VIEW"]),
    ("INSERT", &["INTO", "IGNORE"]),
    ("REPLACE", &["INTO"]),
    ("LOCK", &["TABLES"]),
    ("ALTER", &["TABLE"]),
    ("START", &["TRANSACTION"]),
    (
        "SET",
        &[
            "NAMES",
            "@",
            "FOREIGN_KEY_CHECKS",
            "SQL_MODE",
            "STATEMENT_TIMEOUT",
            "DEFAULT_TRANSACTION_READ_ONLY",
            "CLIENT_ENCODING",
        ],
    ),
    ("\\", &["RESTRICT", "CONNECT"]),
];

/// Whether the file at `path` has a dump's name, or begins as one, compressed or not. What cannot be read
/// is none.
#[must_use]
pub fn looks_like_a_dump(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parts = name.to_ascii_lowercase();
    // A checksum or a signature of a dump is none.
    let beside = ["sha256", "sha256sum", "md5", "asc", "sig"];
    match parts.rsplit_once('.') {
        Some((_, ending)) if beside.contains(&ending) => false,
        _ => {
            parts.split('.').skip(1).any(|part| part == "sql")
                || head(path).is_some_and(|text| begins(&text) || archive::begins(&text))
        }
    }
}

fn head(path: &Path) -> Option<Vec<u8>> {
    let file = BufReader::new(File::open(path).ok()?);
    let mut text = Vec::new();
    compress::reader(file)
        .ok()?
        .take(HEAD)
        .read_to_end(&mut text)
        .ok()?;
    Some(text)
}

fn begins(text: &[u8]) -> bool {
    let mode = Mode {
        flavour: Flavour {
            mariadb: false,
            version: u32::MAX,
        },
        no_backslash_escapes: false,
        ansi_quotes: false,
    };
    let text = text.strip_prefix(UTF8_MARK).unwrap_or(text);
    let mut tokens = mysql::tokens(text, mode).filter(|token| token.kind != TokenKind::Comment);
    let (Some(first), Some(second)) = (tokens.next(), tokens.next()) else {
        return false;
    };
    let follows = |word: &str| second.is(word) || (word == "@" && second.text.starts_with(b"@"));
    let says =
        |token: &mysql::Token<'_>, verb: &str| token.is(verb) || token.text == verb.as_bytes();
    BEGINNINGS
        .iter()
        .any(|(verb, objects)| says(&first, verb) && objects.iter().any(|word| follows(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dumps_are_told_by_how_they_begin() {
        for dump in [
            "-- MySQL dump 10.13\n--\n/*!40101 SET NAMES utf8mb4 */;\n",
            "SET @OLD_X=@@X;\n",
            "\u{feff}# by hand\ncreate table a (id INT);\n",
            "--\n-- PostgreSQL database dump\n--\n\n\\restrict k\n",
            "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n",
            "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t */",
        ] {
            assert!(begins(dump.as_bytes()), "{dump}");
        }
        for other in [
            "",
            "# Read me\n\nSet up the server first.\n",
            "#!/bin/sh\nset -e\n",
            "id,name\n1,x\n",
        ] {
            assert!(!begins(other.as_bytes()), "{other}");
        }
    }
}
