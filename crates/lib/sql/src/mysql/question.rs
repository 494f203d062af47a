//! What a question that a person wrote asks of a database.

use std::borrow::Cow;

use super::qualifier::{dot, in_place_of_table, is_at, is_name, replaced, spoken};
use super::{Mode, Token};

/// The names in a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Those that stand where only tables and views do, without their databases.
    pub tables: Vec<String>,
    /// Those that are called: the server's own functions have no database.
    pub functions: Vec<(Option<String>, String)>,
}

/// Replaces the qualifier of tables, as [`super::requalify`] does in what a server printed; `is_from` knows the names
/// of the database. People give aliases without AS and quotes, and join by commas: where such a name stands alone, one
/// of two parts moves in the place of a table only, and is a column elsewhere.
#[must_use]
pub fn move_question<'a>(
    text: &'a [u8],
    mode: Mode,
    is_from: impl Fn(&str) -> bool,
    to: &str,
) -> Cow<'a, [u8]> {
    let tokens = spoken(text, mode);
    let places = places(&tokens);
    let spells = |at: usize| tokens[at].name().is_some_and(|name| is_from(&name));
    let ambiguous = (0..tokens.len()).any(|at| spells(at) && !dot(&tokens, at + 1));
    let keeps = |at: usize| ambiguous && !dot(&tokens, at + 3) && !places[at];
    replaced(text, &tokens, |at| spells(at) && !keeps(at), to)
}

/// What a question asks; names that it gives to results of its own (WITH) are no tables.
#[must_use]
pub fn asked(text: &[u8], mode: Mode) -> Asked {
    let tokens = spoken(text, mode);
    let places = places(&tokens);
    let (mut asked, mut own) = (Asked::default(), Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        let first = !(at >= 1 && dot(&tokens, at - 1));
        if !first || !is_name(token) {
            continue;
        }
        let qualified = dot(&tokens, at + 1);
        let last = if qualified { at + 2 } else { at };
        let Some(name) = tokens.get(last).and_then(Token::name) else {
            continue;
        };
        if is_at(&tokens, last + 1, b'(') {
            let database = token.name().filter(|_| qualified);
            asked.functions.push((database, name));
        } else if places[at] {
            asked.tables.push(name);
        } else if tokens.get(at + 1).is_some_and(|next| next.is("AS"))
            && is_at(&tokens, at + 2, b'(')
        {
            own.push(name);
        }
    }
    asked.tables.retain(|name| !own.contains(name));
    asked
}

/// Words that end the list of tables behind FROM.
const ENDS: [&str; 13] = [
    "SELECT",
    "WHERE",
    "GROUP",
    "HAVING",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "INTO",
    "FOR",
    "PROCEDURE",
];

/// At which tokens a table is named: behind FROM or JOIN, or behind a comma of that list.
fn places(tokens: &[Token<'_>]) -> Vec<bool> {
    let joins = |token: &Token<'_>| {
        ["FROM", "JOIN", "STRAIGHT_JOIN"]
            .iter()
            .any(|word| token.is(word))
    };
    // Whether a list is open, within each parenthesis.
    let mut lists = vec![false];
    let mut places = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let within = lists.last() == Some(&true);
        let goes_on =
            at >= 1 && within && (is_at(tokens, at - 1, b',') || is_at(tokens, at - 1, b'('));
        places.push(goes_on || in_place_of_table(tokens, at));
        if token.is_punctuation(b'(') {
            lists.push(goes_on || at >= 1 && joins(&tokens[at - 1]));
        } else if token.is_punctuation(b')') {
            lists.pop();
        } else if let Some(list) = lists.last_mut() {
            *list = token.is("FROM") || *list && !ENDS.iter().any(|word| token.is(word));
        }
        if lists.is_empty() {
            lists.push(false);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flavour;

    const MODE: Mode = Mode::new(Flavour {
        mariadb: true,
        version: 101_119,
    });

    fn moved(text: &str) -> String {
        let is_app = |name: &str| name.eq_ignore_ascii_case("app");
        String::from_utf8(move_question(text.as_bytes(), MODE, is_app, "next").into_owned())
            .unwrap()
    }

    #[test]
    fn tables_move_wherever_they_stand() {
        for (text, expected) in [
            (
                "SELECT COUNT(*) > 'app.b' FROM app.b JOIN `APP`.`c` ON app.b.id = 1",
                "SELECT COUNT(*) > 'app.b' FROM `next`.b JOIN `next`.`c` ON `next`.b.id = 1",
            ),
            (
                "SELECT app.id, app.a.id FROM app AS x, app.b, (app.c, app.d), u JOIN v ON f(u.id, app.id), app.e WHERE app.id IN (1, app.id)",
                "SELECT app.id, `next`.a.id FROM app AS x, `next`.b, (`next`.c, `next`.d), u JOIN v ON f(u.id, app.id), `next`.e WHERE app.id IN (1, app.id)",
            ),
            (
                "SELECT app.x FROM users app WHERE EXISTS (SELECT 1 FROM t, app.b ORDER BY 1, app.x)",
                "SELECT app.x FROM users app WHERE EXISTS (SELECT 1 FROM t, `next`.b ORDER BY 1, app.x)",
            ),
        ] {
            assert_eq!(moved(text), expected);
        }
    }

    #[test]
    fn an_alias_of_that_name_stays() {
        for text in [
            "SELECT COUNT(app.id) FROM app",
            "SELECT 1 FROM users AS app WHERE app.id IS NULL",
            "SELECT 1 FROM x, app WHERE app.id = 1",
            "SELECT app.id, app.n FROM users app GROUP BY 1, app.n",
        ] {
            assert_eq!(moved(text), text);
        }
    }

    #[test]
    fn what_is_asked_is_known_by_its_place() {
        let names = asked(
            b"WITH w AS (SELECT 1) SELECT COUNT(*), app.f(1), g(v) FROM w, app.v JOIN t USING (id, x), u WHERE v IN (1)",
            MODE,
        );
        assert_eq!(names.tables, ["v", "t", "u"]);
        let qualified = (Some("app".to_owned()), "f".to_owned());
        assert!(names.functions.contains(&qualified), "{names:?}");
        assert!(names.functions.contains(&(None, "g".to_owned())));
    }
}
