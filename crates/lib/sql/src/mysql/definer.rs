//! The account that a view, trigger, routine or event runs as.

use std::borrow::Cow;

use super::{Mode, Token, TokenKind, tokens};

/// Replaces the account in the `DEFINER=account` clause of a CREATE VIEW, TRIGGER, PROCEDURE,
/// FUNCTION, PACKAGE or EVENT by `definer` (SQL text: `CURRENT_USER`, `` `u`@`h` ``), or strips the
/// clause. The clause may stand in a conditional comment of its own; one left empty is harmless.
///
/// Without a clause, or with one this flavour does not run, the text comes back as it is.
#[must_use]
pub fn set_definer<'a>(text: &'a [u8], mode: Mode, definer: Option<&str>) -> Cow<'a, [u8]> {
    let head: Vec<_> = tokens(text, mode)
        .filter(|token| token.kind != TokenKind::Comment)
        .take_while(|token| !OBJECTS.iter().any(|word| token.is(word)))
        .take(HEAD)
        .collect();
    let Some(at) = head.iter().position(|token| token.is("DEFINER")) else {
        return Cow::Borrowed(text);
    };
    let (Some(equals), Some(user)) = (head.get(at + 1), head.get(at + 2)) else {
        return Cow::Borrowed(text);
    };
    if !equals.is_punctuation(b'=') {
        return Cow::Borrowed(text);
    }
    let end = account_end(text, &head[at + 2..], user);
    let start = head[at].start;
    let mut out = Vec::with_capacity(text.len());
    out.extend_from_slice(&text[..start]);
    if let Some(definer) = definer {
        out.extend_from_slice(b"DEFINER=");
        out.extend_from_slice(definer.as_bytes());
    }
    out.extend_from_slice(&text[end..]);
    Cow::Owned(out)
}

/// Words after which a DEFINER is part of the object, not of the statement's head.
const OBJECTS: [&str; 6] = [
    "VIEW",
    "TRIGGER",
    "PROCEDURE",
    "FUNCTION",
    "PACKAGE",
    "EVENT",
];

/// Tokens that a head can have: `CREATE OR REPLACE ALGORITHM = x DEFINER = u @h SQL SECURITY x AGGREGATE`.
const HEAD: usize = 20;

fn account_end(text: &[u8], account: &[Token<'_>], user: &Token<'_>) -> usize {
    match account.get(1) {
        // `u`@`h`: the lexer takes @`h` for a variable.
        Some(host) if host.kind == TokenKind::Variable => host.end(),
        // CURRENT_USER()
        Some(open) if open.is_punctuation(b'(') => account.get(2).map_or(text.len(), Token::end),
        _ => user.end(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flavour;

    fn with(text: &str, definer: Option<&str>) -> String {
        let mode = Mode::new(Flavour {
            mariadb: true,
            version: 101_119,
        });
        String::from_utf8(set_definer(text.as_bytes(), mode, definer).into_owned()).unwrap()
    }

    #[test]
    fn replaced_and_stripped() {
        let trigger = "/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`localhost`*/ /*!50003 TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET @x = 'DEFINER=y' */";
        assert_eq!(
            with(trigger, None),
            trigger.replace("DEFINER=`root`@`localhost`", "")
        );
        assert_eq!(
            with(trigger, Some("CURRENT_USER")),
            trigger.replace("`root`@`localhost`", "CURRENT_USER")
        );
        assert_eq!(
            with("CREATE DEFINER='a'@'%' PROCEDURE p() x", None),
            "CREATE  PROCEDURE p() x"
        );
        assert_eq!(
            with("CREATE DEFINER = CURRENT_USER() FUNCTION f", None),
            "CREATE  FUNCTION f"
        );
        assert_eq!(
            with("CREATE DEFINER=a@localhost EVENT e", Some("b")),
            "CREATE DEFINER=b EVENT e"
        );
        assert_eq!(
            with("CREATE DEFINER=`role` VIEW v", Some("b")),
            "CREATE DEFINER=b VIEW v"
        );
    }

    #[test]
    fn left_alone() {
        for text in [
            "CREATE VIEW v AS SELECT DEFINER = 1 FROM t",
            "CREATE SQL SECURITY DEFINER VIEW v AS SELECT 1",
            "/*!99999 CREATE DEFINER=a VIEW v */",
        ] {
            assert_eq!(with(text, None), text);
        }
    }
}
