//! One statement before each delimiter.
//!
//! Under a delimiter of its own the client sends whatever stands before it, and the server runs all of it,
//! statement by statement. A load judges a statement by how it begins, so what follows a `;` would be left
//! out with it, or run unjudged. Only the bodies of stored programs hold a `;` that ends no statement.

use pilotfish_sql::mysql::{Token, TokenKind};

use crate::mysql::phrase::{Phrase, at_commas};
use crate::{Class, RoutineKind};

/// What opens in a stored program and holds statements, or a CASE expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// `BEGIN`, and a package as a whole.
    Block,
    Case,
    /// `THEN` of an IF.
    If,
    Loop,
    /// `WHILE`, or `FOR x IN`; in Oracle mode `LOOP` follows instead of `DO`.
    Counted,
    Repeat,
}

/// Refuses more than one statement, and what stands behind a statement that a load leaves out.
///
/// # Errors
/// What is there, and what to do.
pub(crate) fn refuse_several(
    class: &Class,
    tokens: &[Token<'_>],
    oracle: bool,
) -> Result<(), String> {
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| token.is(word));
    if is(0, "BEGIN") && is(1, "NOT") {
        return Err("BEGIN NOT ATOMIC: a load does not follow blocks; write its statements out, each with its delimiter".to_owned());
    }
    // The server takes no notice of those at the very end.
    let tokens = without_last_semicolons(tokens);
    let several = match class {
        Class::CreateRoutine { kind, .. } => {
            let package = matches!(kind, RoutineKind::Package | RoutineKind::PackageBody);
            second_statement(tokens, package, oracle)
        }
        Class::CreateTrigger { .. } | Class::CreateEvent(_) => {
            second_statement(tokens, false, oracle)
        }
        _ => tokens.iter().any(is_semicolon),
    };
    if several {
        return Err(
            "more than one statement before the delimiter: write the delimiter after each of them"
                .to_owned(),
        );
    }
    let whole = match class {
        Class::Transaction => is_transaction(tokens),
        Class::Lock => is_lock(tokens),
        _ => true,
    };
    if whole {
        return Ok(());
    }
    Err("a statement that does not end where it should: is its delimiter missing?".to_owned())
}

/// As [`refuse_several`], for what follows the rows of an INSERT.
pub(crate) fn refuse_several_in_tail(tokens: &[Token<'_>]) -> Result<(), String> {
    refuse_several(&Class::Empty, tokens, false)
}

fn is_semicolon(token: &Token<'_>) -> bool {
    token.is_punctuation(b';')
}

fn without_last_semicolons<'t, 'a>(tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    let end = tokens.iter().rposition(|token| !is_semicolon(token));
    &tokens[..end.map_or(0, |last| last + 1)]
}

/// Whether a `;` stands outside the body of this stored program. `end`, `begin` and the names of functions
/// may also be names of columns: what does not stand where a statement begins or ends is none of these.
fn second_statement(tokens: &[Token<'_>], package: bool, oracle: bool) -> bool {
    let mut open = Vec::new();
    if package {
        open.push(Open::Block);
    }
    // THENs that belong to a CASE, an ELSEIF or a handler; and a WHILE or FOR before its LOOP.
    let (mut whens, mut counted) = (0_u32, false);
    // Oracle's AS, with declarations before BEGIN.
    let mut declares = false;
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        let after = tokens.get(at + 1);
        let ends = before.is_some_and(|before| before.is("END"));
        let is = |words: &[&str]| words.iter().any(|word| token.is(word));
        if is_semicolon(token) {
            if open.is_empty() && !declares {
                return true;
            }
            (whens, counted) = (0, false);
        } else if token.kind != TokenKind::Word || ends {
            // A word after END says what ends.
        } else if token.is("BEGIN") && begins_block(before, after) {
            open.push(Open::Block);
            declares = false;
        } else if token.is("END") {
            end(&mut open, before, after);
        } else if token.is("CASE") {
            open.push(Open::Case);
        } else if is(&["WHEN", "ELSEIF", "ELSIF"]) {
            whens += 1;
        } else if token.is("THEN") {
            if whens == 0 {
                open.push(Open::If);
            }
            whens = whens.saturating_sub(1);
        } else if token.is("WHILE")
            || token.is("FOR") && tokens.get(at + 2).is_some_and(|third| third.is("IN"))
        {
            open.push(Open::Counted);
            counted = true;
        } else if token.is("DO") {
            counted = false;
        } else if token.is("LOOP") {
            if !std::mem::take(&mut counted) {
                open.push(Open::Loop);
            }
        } else if token.is("REPEAT") && after.is_some_and(|after| !after.is_punctuation(b'(')) {
            open.push(Open::Repeat);
        } else if oracle && open.is_empty() && is(&["AS", "IS"]) {
            declares = true;
        }
    }
    false
}

fn begins_block(before: Option<&Token<'_>>, after: Option<&Token<'_>>) -> bool {
    let operand = |before: &Token<'_>| {
        let operator = before.kind == TokenKind::Punctuation
            && ![&b";"[..], b":", b")", b">"].contains(&before.text);
        operator
            || ["SELECT", "WHERE", "AND", "OR", "BY", "SET", "NOT"]
                .iter()
                .any(|word| before.is(word))
    };
    let operator = |after: &Token<'_>| {
        after.kind == TokenKind::Punctuation && ![&b"("[..], b"<"].contains(&after.text)
    };
    !before.is_some_and(operand) && !after.is_some_and(operator)
}

/// Closes what an END closes, if it is one.
fn end(open: &mut Vec<Open>, before: Option<&Token<'_>>, after: Option<&Token<'_>>) {
    let names = |word: &str| after.is_some_and(|after| after.is(word));
    let closes = match open.last() {
        None => false,
        Some(Open::Case) => true,
        Some(Open::Repeat) => names("REPEAT"),
        Some(Open::If) => names("IF"),
        Some(Open::Loop) => names("LOOP"),
        Some(Open::Counted) => ["WHILE", "FOR", "LOOP"].iter().any(|word| names(word)),
        Some(Open::Block) => {
            before.is_some_and(|before| is_semicolon(before) || before.is("BEGIN"))
        }
    };
    if closes {
        open.pop();
    }
}

/// START, BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE and their own words. SET and XA are judged elsewhere.
fn is_transaction(tokens: &[Token<'_>]) -> bool {
    const OPTIONS: [&str; 14] = [
        "TRANSACTION",
        "WORK",
        "WITH",
        "CONSISTENT",
        "SNAPSHOT",
        "READ",
        "WRITE",
        "ONLY",
        "AND",
        "NO",
        "CHAIN",
        "RELEASE",
        "TO",
        "SAVEPOINT",
    ];
    let Some((verb, rest)) = tokens.split_first() else {
        return true;
    };
    if verb.is("SET") || verb.is("XA") {
        return true;
    }
    // The name of a savepoint is the last word.
    let named =
        rest.iter().any(|token| token.is("TO")) || verb.is("SAVEPOINT") || verb.is("RELEASE");
    let options = if named {
        &rest[..rest.len().saturating_sub(1)]
    } else {
        rest
    };
    options
        .iter()
        .all(|token| token.is_punctuation(b',') || OPTIONS.iter().any(|option| token.is(option)))
}

/// `LOCK TABLES name [[AS] alias] READ | WRITE, ..`, `UNLOCK TABLES`.
fn is_lock(tokens: &[Token<'_>]) -> bool {
    const MODES: [&str; 7] = [
        "READ",
        "LOCAL",
        "LOW_PRIORITY",
        "WRITE",
        "CONCURRENT",
        "WAIT",
        "NOWAIT",
    ];
    let mut phrase = Phrase::new(tokens);
    let unlocks = phrase.word("UNLOCK");
    if !unlocks {
        phrase.next();
    }
    if phrase.any(&["TABLES", "TABLE"]).is_none() {
        return false;
    }
    if unlocks {
        return phrase.rest().is_empty();
    }
    at_commas(phrase.rest()).into_iter().all(|part| {
        let mut phrase = Phrase::new(part);
        let named = phrase.name().is_some();
        let is_mode = |token: &Token<'_>| MODES.iter().any(|mode| token.is(mode));
        let aliased =
            phrase.word("AS") || phrase.rest().first().is_some_and(|token| !is_mode(token));
        if aliased {
            phrase.next();
        }
        let modes = phrase.rest();
        named
            && !modes.is_empty()
            && modes
                .iter()
                .all(|token| is_mode(token) || token.kind == TokenKind::Number)
    })
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;
    use pilotfish_sql::mysql::Mode;

    use super::*;
    use crate::mysql::classify::classify;
    use crate::mysql::phrase::running;

    const MARIA: Mode = Mode::new(Flavour {
        mariadb: true,
        version: 101_119,
    });

    fn judge(text: &str, oracle: bool) -> Result<(), String> {
        let class = classify(text.as_bytes(), MARIA);
        refuse_several(&class, &running(text.as_bytes(), MARIA), oracle)
    }

    #[test]
    fn one_statement_passes() {
        for text in [
            "COMMIT",
            "COMMIT AND NO CHAIN NO RELEASE;",
            "BEGIN WORK",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            "ROLLBACK WORK TO SAVEPOINT insert_here",
            "RELEASE SAVEPOINT `a;b`",
            "LOCK TABLES `a` WRITE, b.c AS d READ LOCAL, e f LOW_PRIORITY WRITE WAIT 5",
            "UNLOCK TABLES ; ;",
            "SET @a = ';', @b = `;`",
            "CREATE PROCEDURE p() SELECT 1;",
            "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW IF (NEW.v) THEN SET @a = 1; ELSEIF IF(1,2,3) THEN SET @b = 2; END IF",
            "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW FOLLOWS z BEGIN DECLARE EXIT HANDLER FOR 1062 BEGIN END; SET @a = 1; END;",
            "CREATE PROCEDURE p() l: BEGIN SELECT begin, end FROM t WHERE end > begin; SET @x = CASE WHEN 1 THEN 2 END; SELECT t.end; END l",
            "CREATE PROCEDURE p() CASE @x WHEN 1 THEN SELECT 1; ELSE BEGIN END; END CASE",
            "CREATE PROCEDURE p() WHILE @x DO LOOP SELECT 1; END LOOP; END WHILE",
            "CREATE PROCEDURE p() REPEAT SET @a = REPEAT('x', 3); UNTIL @a = CASE 1 WHEN 1 THEN 2 END END REPEAT",
            "CREATE PROCEDURE p() FOR i IN 1..3 DO DROP TABLE IF EXISTS t; END FOR",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN SET @a = 1; END",
            "CREATE DEFINER=`a`@`%` PROCEDURE p() BEGIN IF NOT EXISTS (SELECT 1) THEN SELECT 1; END IF; SELECT 2; END",
        ] {
            assert_eq!(judge(text, false), Ok(()), "{text}");
        }
        for text in [
            "CREATE PROCEDURE p() AS x INT; BEGIN SELECT x; END",
            "CREATE PROCEDURE p() AS BEGIN WHILE TRUE LOOP SELECT 1; EXIT WHEN 1; END LOOP; IF 1 THEN SELECT 1; END IF; END;",
            "CREATE PACKAGE tools AS FUNCTION twice(n INT) RETURN INT; PROCEDURE note; END",
            "CREATE PACKAGE BODY tools AS FUNCTION twice(n INT) RETURN INT AS BEGIN RETURN n; END; END;",
        ] {
            assert_eq!(judge(text, true), Ok(()), "{text}");
        }
    }

    #[test]
    fn more_than_one_is_refused() {
        for text in [
            "START TRANSACTION; INSERT INTO t VALUES (1); COMMIT",
            "LOCK TABLES t WRITE; INSERT INTO t VALUES (1)",
            "SET autocommit=0; INSERT INTO t VALUES (1)",
            "SET FOREIGN_KEY_CHECKS=0; DROP DATABASE app",
            "CREATE DATABASE app; USE app",
            "DROP VIEW v; DROP TABLE t",
            "/*!50000 COMMIT; INSERT INTO t VALUES (1) */",
            "CREATE PROCEDURE p() SELECT 1 AS x; DROP TABLE t",
            "CREATE PROCEDURE p() BEGIN SELECT 1; END; DROP TABLE t",
            "CREATE PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; END; DROP TABLE t",
            "CREATE PROCEDURE p() BEGIN WHILE 1 DO SELECT CASE WHEN 1 THEN 2 END; END WHILE; END; DROP TABLE t",
            "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @a = 1; DROP TABLE t",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t; DROP TABLE t",
            "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW IF 1 THEN SET @a = 1; END IF; DROP TABLE t",
        ] {
            assert!(
                judge(text, false).unwrap_err().starts_with("more than one"),
                "{text}"
            );
        }
        let oracle = [
            "CREATE PROCEDURE p() AS x INT; BEGIN SELECT x; END; DROP TABLE t",
            "CREATE PACKAGE BODY tools AS PROCEDURE p AS BEGIN SELECT 1; END; END; DROP TABLE t",
        ];
        for text in oracle {
            assert!(judge(text, true).is_err(), "{text}");
        }
        assert!(
            judge("BEGIN NOT ATOMIC INSERT INTO t VALUES (1); END", false)
                .unwrap_err()
                .starts_with("BEGIN NOT ATOMIC")
        );
    }

    #[test]
    fn what_stands_behind_a_statement_that_is_left_out_is_seen() {
        for text in [
            "COMMIT INSERT INTO t VALUES (1)",
            "BEGIN DELETE FROM t",
            "LOCK TABLES t WRITE INSERT INTO t VALUES (1)",
            "UNLOCK TABLES INSERT INTO t VALUES (1)",
        ] {
            assert!(
                judge(text, false)
                    .unwrap_err()
                    .contains("delimiter missing"),
                "{text}"
            );
        }
    }
}
