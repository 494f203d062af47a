//! What the text of a statement says beside what it does.

use std::borrow::Cow;

use pilotfish_sql::postgres::{Mode, Token, TokenKind, tokens};

use crate::Error;

/// Where names without a schema go, until the dump says otherwise.
pub(super) const PUBLIC: &str = "public";

/// Text for the driver, which speaks UTF-8.
pub(super) fn utf8(text: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(text)
        .map_err(|_| Error::Refused("it is not in UTF-8: dump with --encoding=UTF8".to_owned()))
}

/// Whether a statement says whose something is, or whose rights the session has.
pub(super) fn says_whose(sql: &[u8], mode: Mode) -> bool {
    let tokens: Vec<_> = tokens(sql, mode).take(64).collect();
    let says = |words: [&str; 2]| {
        tokens
            .windows(2)
            .any(|two| two[0].is(words[0]) && two[1].is(words[1]))
    };
    let Some(first) = tokens.first() else {
        return false;
    };
    first.is("ALTER") && says(["OWNER", "TO"])
        || first.is("SET") && (says(["SESSION", "AUTHORIZATION"]) || says(["SET", "ROLE"]))
        || first.is("RESET") && (says(["SESSION", "AUTHORIZATION"]) || says(["RESET", "ROLE"]))
}

/// The first schema of a search path that a statement sets; `public` where it is set to nothing.
pub(super) fn first_of_path(sql: &[u8], mode: Mode) -> Option<String> {
    let tokens: Vec<_> = tokens(sql, mode).collect();
    let verb = tokens.first()?;
    if verb.is("SET") {
        let at = tokens.iter().position(|token| token.is("search_path"))?;
        let first = tokens.get(at + 2)?;
        return Some(match first.kind {
            TokenKind::String => String::from_utf8_lossy(&first.string()?).into_owned(),
            _ => first.name()?,
        })
        .map(|name| {
            if name.is_empty() {
                PUBLIC.to_owned()
            } else {
                name
            }
        });
    }
    let at = tokens.iter().position(|token| token.is("set_config"))?;
    let strings: Vec<_> = tokens[at..].iter().filter_map(Token::string).collect();
    let [name, list, ..] = strings.as_slice() else {
        return None;
    };
    if !name.eq_ignore_ascii_case(b"search_path") {
        return None;
    }
    let list = String::from_utf8_lossy(list);
    let first = list
        .split(',')
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches('"');
    Some(if first.is_empty() { PUBLIC } else { first }.to_owned())
}

/// `d.s.t` as `s.t`, where `own` is the database.
pub(super) fn without_database<'s>(
    sql: &'s [u8],
    mode: Mode,
    own: &dyn Fn(&str) -> bool,
) -> Cow<'s, [u8]> {
    let tokens: Vec<_> = tokens(sql, mode).collect();
    let dotted = |at: usize| {
        tokens
            .get(at)
            .is_some_and(|token| token.is_punctuation(b'.'))
    };
    let mut text = Cow::Borrowed(sql);
    for (at, token) in tokens.iter().enumerate().rev() {
        let heads = !at.checked_sub(1).is_some_and(dotted) && dotted(at + 1) && dotted(at + 3);
        if heads && token.name().is_some_and(|name| own(&name)) {
            let schema = tokens.get(at + 2).map_or(sql.len(), |schema| schema.at);
            text.to_mut().drain(token.at..schema);
        }
    }
    text
}

/// `CREATE TABLE .. PARTITION BY ..`; of a partition too.
pub(super) fn is_partitioned(sql: &[u8], mode: Mode) -> bool {
    let tokens: Vec<_> = tokens(sql, mode).collect();
    tokens
        .windows(2)
        .any(|two| two[0].is("PARTITION") && two[1].is("BY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_paths() {
        let first = |sql: &str| first_of_path(sql.as_bytes(), Mode::default());
        assert_eq!(
            first("SET search_path = app, pg_catalog").as_deref(),
            Some("app")
        );
        assert_eq!(first("SET search_path TO ''").as_deref(), Some("public"));
        assert_eq!(
            first("SELECT pg_catalog.set_config('search_path', '', false)").as_deref(),
            Some("public")
        );
        assert_eq!(first("SELECT pg_catalog.setval('app.s', 1)"), None);
    }

    #[test]
    fn a_database_may_stand_before_a_schema() {
        let home = |sql: &'static str| {
            let own = |name: &str| name == "app";
            let text = without_database(sql.as_bytes(), Mode::default(), &own).into_owned();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(home("DELETE FROM app.public.t"), "DELETE FROM public.t");
        assert_eq!(home("DELETE FROM app.t"), "DELETE FROM app.t");
        assert_eq!(home("DELETE FROM x.app.t"), "DELETE FROM x.app.t");
    }

    #[test]
    fn owners_are_told() {
        let says = |sql: &str| says_whose(sql.as_bytes(), Mode::default());
        assert!(says("ALTER TABLE app.t OWNER TO x"));
        assert!(says("SET SESSION AUTHORIZATION 'x'"));
        assert!(!says("ALTER SEQUENCE app.s OWNED BY app.t.id"));
    }
}
