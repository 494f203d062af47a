//! However the input is cut into reads, the same items or the same error come out.

#![allow(clippy::unwrap_used, clippy::panic)] // clippy knows #[test] functions, not their helpers

use pilotfish_sql::Flavour;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::however_cut::{check, read};

/// Pieces that dumps are made of, and pieces that hurt.
const PIECES: [&str; 64] = [
    "INSERT INTO t VALUES (3,'whole');\n",
    "INSERT INTO t VALUES\n(4),\n(5);\n",
    "INSERT INTO t VALUES (6) ;",
    "REPLACE INTO t VALUES (7);",
    ";",
    "\n",
    " ",
    "'",
    "\"",
    "`",
    "\\",
    "(",
    ")",
    ",",
    "*/",
    "/*",
    "/*!",
    "/*!50003 ",
    "/*!80000 ",
    "--",
    "-- ",
    "#",
    "\r\n",
    "''",
    "\\'",
    "\\\\",
    "a",
    "1",
    "-1.5e3",
    "NULL",
    "0x1F",
    "_binary ",
    "NOW()",
    "@x",
    "DEFAULT",
    "INSERT INTO t VALUES ",
    "INSERT INTO `t` (`a`) VALUES\n",
    "REPLACE INTO t VALUES ",
    "(1,'a')",
    "(2,'b;c')",
    "('it''s \\' (')",
    "(NULL)",
    ",\n",
    ";\n",
    " ON DUPLICATE KEY UPDATE a=1",
    "INSERT INTO t SELECT 1",
    "DELIMITER ;;\n",
    "DELIMITER ;\n",
    ";;",
    "DELIMITER //\n",
    "//",
    "USE d;\n",
    "use d\n",
    "CREATE TABLE t (id int AUTO_INCREMENT, a text);\n",
    "DROP TABLE t;\n",
    "SET sql_mode='NO_BACKSLASH_ESCAPES';\n",
    "SET sql_mode='';\n",
    "SET @OLD_SQL_MODE=@@SQL_MODE;\n",
    "SET SQL_MODE=@OLD_SQL_MODE;\n",
    "-- MariaDB dump 10.19\n",
    "-- Dump completed\n",
    "/*!999999\\- enable the sandbox mode */\n",
    "source x;\n",
    "\u{feff}",
];

fn options() -> impl Strategy<Value = Options> {
    (
        any::<bool>(),
        select(vec![8_usize, 64, 4096]),
        select(vec![64_usize, 1024, 1 << 20]),
    )
        .prop_map(|(mariadb, chunk_bytes, statement_limit)| {
            let version = if mariadb { 101_119 } else { 90_700 };
            let flavour = Flavour { mariadb, version };
            Options {
                chunk_bytes,
                statement_limit,
                ..Options::new(flavour)
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn cutting_does_not_show(
        pieces in vec(select(PIECES.to_vec()), 0..60),
        lengths in vec(1_usize..40, 1..8),
        options in options(),
    ) {
        let text = pieces.concat();
        check(text.as_bytes(), lengths, &options);
    }

    #[test]
    fn rows_come_out_as_they_went_in(
        inserts in vec(vec("[a-z'\\\\(),;\n]{0,20}", 1..20), 1..20),
        lengths in vec(1_usize..200, 1..8),
        options in options(),
    ) {
        let tuple = |value: &String| format!("('{}')", value.replace('\\', "\\\\").replace('\'', "''"));
        let tuples: Vec<Vec<String>> = inserts.iter().map(|rows| rows.iter().map(tuple).collect()).collect();
        let text: String = tuples.iter().map(|rows| format!("INSERT INTO t VALUES {};\n", rows.join(","))).collect();
        let read = read(text.as_bytes(), lengths, &options);
        let mut out = Vec::new();
        for item in &read.items {
            let Item::Rows(rows) = item else { panic!("{item:?}") };
            prop_assert!(rows.tuples.len() <= options.chunk_bytes * 5 / 4 + 64);
            out.push(String::from_utf8(rows.tuples.to_vec()).unwrap());
        }
        prop_assert_eq!(out.join(","), tuples.concat().join(","));
    }
}
