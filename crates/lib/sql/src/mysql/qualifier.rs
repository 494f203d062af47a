//! Moves a statement from one database to another by its names.

use std::borrow::Cow;

use super::{Mode, Token, TokenKind, quote, tokens, unquote};

/// Whether `name` may stand in a statement, whatever its quoting: a look at bytes, before anything is
/// tokenized.
#[must_use]
pub fn may_name(text: &[u8], name: &str) -> bool {
    memchr::memmem::find(text, name.as_bytes()).is_some() || name.contains(['`', '"'])
}

/// Replaces the qualifier `from`.x by `to`.x, token by token: never inside strings or comments that
/// do not run. Names are compared as written (databases are case-sensitive on Linux).
///
/// `a`.`b` may also be a table and its column. Where the statement itself uses `from` as a table or
/// an alias, a two-part name counts as qualified only in the place of a table or routine (after
/// FROM, JOIN, INTO and the like); a three-part name always does.
#[must_use]
pub fn requalify<'a>(text: &'a [u8], mode: Mode, from: &str, to: &str) -> Cow<'a, [u8]> {
    if !may_name(text, from) {
        return Cow::Borrowed(text);
    }
    let tokens = spoken(text, mode);
    let spells = |token: &Token<'_>| is_name(token) && unquote(token.text) == from;
    let ambiguous = (0..tokens.len()).any(|at| {
        let second = at >= 2 && dot(&tokens, at - 1);
        spells(&tokens[at])
            && !dot(&tokens, at + 1)
            && (second || in_place_of_table(&tokens, at) || is_alias(&tokens, at))
    });
    let keeps = |at: usize| ambiguous && !dot(&tokens, at + 3) && !in_place_of_table(&tokens, at);
    replaced(text, &tokens, |at| spells(&tokens[at]) && !keeps(at), to)
}

/// The text with the first of several parts of a name replaced where `moves` says so.
pub(super) fn replaced<'a>(
    text: &'a [u8],
    tokens: &[Token<'_>],
    moves: impl Fn(usize) -> bool,
    to: &str,
) -> Cow<'a, [u8]> {
    let replacement = quote(to);
    let mut out = Vec::new();
    let mut copied = 0;
    for (at, token) in tokens.iter().enumerate() {
        let first_of_several = dot(tokens, at + 1) && !(at >= 1 && dot(tokens, at - 1));
        if !first_of_several || !moves(at) {
            continue;
        }
        out.extend_from_slice(&text[copied..token.start]);
        out.extend_from_slice(replacement.as_bytes());
        copied = token.end();
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(&text[copied..]);
    Cow::Owned(out)
}

/// The tokens that the server obeys.
pub(super) fn spoken(text: &[u8], mode: Mode) -> Vec<Token<'_>> {
    tokens(text, mode)
        .filter(|token| token.kind != TokenKind::Comment)
        .collect()
}

pub(super) fn dot(tokens: &[Token<'_>], at: usize) -> bool {
    is_at(tokens, at, b'.')
}

pub(super) fn is_at(tokens: &[Token<'_>], at: usize, punctuation: u8) -> bool {
    tokens
        .get(at)
        .is_some_and(|token| token.is_punctuation(punctuation))
}

pub(super) fn is_name(token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Word | TokenKind::QuotedName)
}

/// Words before the name of a table, view or routine.
const BEFORE: [&str; 16] = [
    "FROM",
    "JOIN",
    "STRAIGHT_JOIN",
    "INTO",
    "UPDATE",
    "TABLE",
    "REFERENCES",
    "EXISTS",
    "VIEW",
    "TRIGGER",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "CALL",
    "SEQUENCE",
    "BODY",
];

/// Whether a table, view or routine is named at `at`, judged by the word before it. Servers print
/// views' FROM clauses with parentheses: ``from (`d`.`a` join `d`.`b`)``.
pub(super) fn in_place_of_table(tokens: &[Token<'_>], at: usize) -> bool {
    let before = &tokens[..at];
    let Some(word) = before
        .iter()
        .rev()
        .find(|token| !token.is_punctuation(b'('))
    else {
        return false;
    };
    // ON begins a join's condition, but a trigger's first one names its table.
    let of_trigger = || {
        let ons = before.iter().filter(|token| token.is("ON")).count();
        ons == 1 && before.iter().any(|token| token.is("TRIGGER"))
    };
    BEFORE.iter().any(|known| word.is(known)) || word.is("ON") && of_trigger()
}

fn is_alias(tokens: &[Token<'_>], at: usize) -> bool {
    at.checked_sub(1)
        .is_some_and(|before| tokens[before].is("AS") || is_name(&tokens[before]) && at >= 2)
        && tokens[at].kind == TokenKind::QuotedName
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flavour;

    fn moved(text: &str) -> String {
        let mode = Mode::new(Flavour {
            mariadb: true,
            version: 101_119,
        });
        String::from_utf8(requalify(text.as_bytes(), mode, "app", "app_next").into_owned()).unwrap()
    }

    #[test]
    fn qualifiers_move() {
        for (text, expected) in [
            (
                "SELECT `app`.`t`.`c` FROM app.t",
                "SELECT `app_next`.`t`.`c` FROM `app_next`.t",
            ),
            ("SELECT app.f(1)", "SELECT `app_next`.f(1)"),
            (
                "DEFAULT nextval(`app`.`s`)",
                "DEFAULT nextval(`app_next`.`s`)",
            ),
            (
                "/*!50001 VIEW `v` AS SELECT 1 FROM `app` . `t` */",
                "/*!50001 VIEW `v` AS SELECT 1 FROM `app_next` . `t` */",
            ),
        ] {
            assert_eq!(moved(text), expected);
        }
    }

    #[test]
    fn the_table_of_a_trigger() {
        assert_eq!(
            moved("CREATE TRIGGER g BEFORE INSERT ON `app`.`app` FOR EACH ROW SET @a = 1"),
            "CREATE TRIGGER g BEFORE INSERT ON `app_next`.`app` FOR EACH ROW SET @a = 1"
        );
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "SELECT 'app.t', \"app.t\" /* app.t */ -- app.t\n",
            "/*!99999 SELECT app.t */",
            "SELECT x.app.c, apple.t, App.t, app",
        ] {
            assert_eq!(moved(text), text);
        }
    }

    #[test]
    fn a_table_named_as_its_database() {
        assert_eq!(
            moved(
                "select `app`.`id` AS `id` from (`app`.`app` join `app`.`t` on(`app`.`id` = `t`.`id`))"
            ),
            "select `app`.`id` AS `id` from (`app_next`.`app` join `app_next`.`t` on(`app`.`id` = `t`.`id`))"
        );
    }
}
