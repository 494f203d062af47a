//! Whether an expression gives the same wherever and whenever it is computed.

use pilotfish_sql::mysql::{Token, TokenKind};

use crate::mysql::phrase::asks;

/// Functions whose value comes from what they are given, and words before a parenthesis that call nothing.
const PURE: [&str; 104] = [
    "ABS",
    "ADDDATE",
    "ADDTIME",
    "AND",
    "AS",
    "ASCII",
    "BETWEEN",
    "BIN",
    "BINARY",
    "BIN_TO_UUID",
    "CASE",
    "CAST",
    "CEIL",
    "CEILING",
    "CHAR",
    "CHARACTER_LENGTH",
    "CHAR_LENGTH",
    "COALESCE",
    "COLUMN_CREATE",
    "COMPRESS",
    "CONCAT",
    "CONCAT_WS",
    "CONV",
    "CONVERT",
    "CRC32",
    "DATE",
    "DATETIME",
    "DATE_ADD",
    "DATE_FORMAT",
    "DATE_SUB",
    "DECIMAL",
    "DEFAULT",
    "DIV",
    "ELSE",
    "ELT",
    "FIELD",
    "FLOOR",
    "FORMAT",
    "FROM_BASE64",
    "FROM_DAYS",
    "GEOMETRYCOLLECTION",
    "GEOMFROMTEXT",
    "GEOMFROMWKB",
    "GREATEST",
    "HEX",
    "IF",
    "IFNULL",
    "IN",
    "INET6_ATON",
    "INET6_NTOA",
    "INET_ATON",
    "INET_NTOA",
    "INSERT",
    "INTERVAL",
    "LCASE",
    "LEAST",
    "LEFT",
    "LENGTH",
    "LIKE",
    "LINESTRING",
    "LOWER",
    "LPAD",
    "LTRIM",
    "MAKEDATE",
    "MAKETIME",
    "MD5",
    "MID",
    "MOD",
    "MULTILINESTRING",
    "MULTIPOINT",
    "MULTIPOLYGON",
    "NOT",
    "NULLIF",
    "OCT",
    "OR",
    "POINT",
    "POLYGON",
    "POW",
    "POWER",
    "REPEAT",
    "REPLACE",
    "REVERSE",
    "RIGHT",
    "ROUND",
    "ROW",
    "RPAD",
    "RTRIM",
    "SEC_TO_TIME",
    "SHA1",
    "SHA2",
    "SPACE",
    "STR_TO_DATE",
    "SUBSTR",
    "SUBSTRING",
    "THEN",
    "TIME",
    "TIMESTAMP",
    "TO_BASE64",
    "TRIM",
    "TRUNCATE",
    "UCASE",
    "UNHEX",
    "UPPER",
    "UUID_TO_BIN",
];

/// Words that read the clock, the account or a sequence without a parenthesis.
const READS: [&str; 13] = [
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "CURRVAL",
    "LASTVAL",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NEXTVAL",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
];

/// Whether a value may be another one the next time: it reads a variable, a table, a sequence or the
/// clock, or calls what is not known to give the same each time.
pub(crate) fn is_computed(tokens: &[Token<'_>]) -> bool {
    let one_of = |token: &Token<'_>, words: &[&str]| words.iter().any(|word| token.is(word));
    let reads = |token: &Token<'_>| token.kind == TokenKind::Variable || one_of(token, &READS);
    let counts =
        |pair: &[Token<'_>]| (pair[0].is("NEXT") || pair[0].is("PREVIOUS")) && pair[1].is("VALUE");
    let calls = |at: usize| {
        let name = &tokens[at];
        let called = tokens
            .get(at + 1)
            .is_some_and(|next| next.is_punctuation(b'('));
        // `AS new(a, b) ON DUPLICATE KEY UPDATE` calls nothing.
        let alias = at > 0 && tokens[at - 1].is("AS");
        called && !alias && name.name().is_some_and(|_| !is_pure(name))
    };
    asks(tokens)
        || tokens.iter().any(reads)
        || tokens.windows(2).any(counts)
        || (0..tokens.len()).any(calls)
}

fn is_pure(name: &Token<'_>) -> bool {
    let family = |head: &[u8]| {
        let start = name.text.get(..head.len());
        name.kind == TokenKind::Word && start.is_some_and(|start| start.eq_ignore_ascii_case(head))
    };
    // VALUES and VALUE: the row that was to be inserted.
    let values = name.is("VALUES") || name.is("VALUE");
    values || family(b"ST_") || family(b"JSON_") || PURE.iter().any(|pure| name.is(pure))
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;
    use pilotfish_sql::mysql::Mode;

    use super::*;
    use crate::mysql::phrase::running;

    fn computed(text: &str) -> bool {
        let flavour = Flavour {
            mariadb: true,
            version: 101_119,
        };
        is_computed(&running(text.as_bytes(), Mode::new(flavour)))
    }

    #[test]
    fn constants_and_what_is_none() {
        for text in [
            "CONCAT('a', 'NOW()')",
            "1 + 2 * (3 - 4)",
            "DATE '2020-01-01' + INTERVAL 1 DAY",
            "{d '2020-01-01'}",
            "_utf8mb4 'x' COLLATE utf8mb4_bin",
            "st_geomfromtext('POINT(1 1)', 0)",
            "CAST('5' AS DECIMAL(5,2))",
            "a + 1",
            "ON DUPLICATE KEY UPDATE v = v * 10 + VALUES(v)",
            "AS new(x, y) ON DUPLICATE KEY UPDATE v = IF(y > 1, y, v)",
        ] {
            assert!(!computed(text), "{text}");
        }
        for text in [
            "@a",
            "@@hostname",
            "(SELECT MAX(v) FROM a)",
            "(TABLE a)",
            "NOW()",
            "current_timestamp",
            "UUID()",
            "f(1)",
            "`f`(1)",
            "NEXT VALUE FOR s",
            "NEXTVAL(s)",
            "s.nextval",
            "CONCAT('a', RAND())",
        ] {
            assert!(computed(text), "{text}");
        }
    }
}
