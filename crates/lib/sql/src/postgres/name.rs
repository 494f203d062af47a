//! Identifiers and literals as PostgreSQL spells them, and the keys that tables are called by.

use super::keyword::must_be_quoted;
use super::{Mode, tokens};

/// The schema that a name without one belongs to.
const PUBLIC: &str = "public";

/// Quotes an identifier where it needs that, as `quote_ident` does.
#[must_use]
pub fn quote(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    let bytes = name.as_bytes();
    let safe = bytes.first().is_some_and(|first| plain(*first))
        && bytes
            .iter()
            .all(|byte| plain(*byte) || byte.is_ascii_digit())
        && !must_be_quoted(name);
    if safe {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// A string literal that means `text` whatever `standard_conforming_strings` says.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// What a table is called by: `t` in the schema public, `schema.t` in any other, quoted where needed.
#[must_use]
pub fn key(schema: Option<&str>, name: &str) -> String {
    match schema {
        None | Some(PUBLIC) => quote(name),
        Some(schema) => format!("{}.{}", quote(schema), quote(name)),
    }
}

/// Schema and name of the table that a [`key`] calls.
#[must_use]
pub fn of_key(key: &str) -> Option<(String, String)> {
    let mut parts = tokens(key.as_bytes(), Mode::default());
    let first = parts.next()?.name()?;
    let Some(dot) = parts.next() else {
        return Some((PUBLIC.to_owned(), first));
    };
    let second = parts.next()?.name()?;
    (dot.is_punctuation(b'.') && parts.next().is_none()).then_some((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_where_needed() {
        for (name, quoted) in [
            ("t", "t"),
            ("_a1", "_a1"),
            ("Name", "\"Name\""),
            ("a$b", "\"a$b\""),
            ("1st", "\"1st\""),
            ("order", "\"order\""),
            ("a\"b", "\"a\"\"b\""),
            ("é", "\"é\""),
            ("", "\"\""),
        ] {
            assert_eq!(quote(name), quoted);
        }
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\'b"), "E'a\\\\''b'");
    }

    #[test]
    fn keys_and_back() {
        for (schema, name, text) in [
            (None, "t", "t"),
            (Some("public"), "t", "t"),
            (Some("app"), "t", "app.t"),
            (Some("Ap.p"), "user", "\"Ap.p\".\"user\""),
            (None, "a.b", "\"a.b\""),
        ] {
            assert_eq!(key(schema, name), text);
            let schema = schema.unwrap_or("public").to_owned();
            assert_eq!(of_key(text), Some((schema, name.to_owned())));
        }
        for text in ["", ".", "a.", ".a", "a b", "a.b.c", "a.1", "'a'"] {
            assert_eq!(of_key(text), None, "{text}");
        }
    }
}
