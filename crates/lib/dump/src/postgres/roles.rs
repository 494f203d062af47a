//! Roles that a statement names: a server without them refuses it.

use std::collections::BTreeSet;

use pilotfish_sql::postgres::Token;

use super::phrase::{Phrase, outside};
use crate::Roles;

/// Words that stand for a role without naming one.
const SOMEBODY: [&str; 6] = [
    "CURRENT_ROLE",
    "CURRENT_USER",
    "DEFAULT",
    "NONE",
    "PUBLIC",
    "SESSION_USER",
];

/// Adds the roles that own something, get or lose rights, or that the session becomes.
pub(crate) fn add(tokens: &[Token<'_>], roles: &mut Roles) {
    let mut owners = BTreeSet::new();
    add_owners(tokens, &mut owners);
    add_others(tokens, &mut roles.named);
    roles.named.extend(owners.iter().cloned());
    roles.owners.append(&mut owners);
}

/// The statements behind which something belongs to them.
fn add_owners(tokens: &[Token<'_>], roles: &mut BTreeSet<String>) {
    let Some(first) = tokens.first() else {
        return;
    };
    let is = |words: &str| Phrase::new(tokens).words(words);
    if is("ALTER DEFAULT PRIVILEGES") {
        let at = find(tokens, &["FOR", "ROLE"]).or(find(tokens, &["FOR", "USER"]));
        list(tokens, at, roles);
    } else if is("SET ROLE") || is("SET LOCAL ROLE") || is("SET SESSION ROLE") {
        list(tokens, find(tokens, &["ROLE"]), roles);
    } else if first.is("SET") || is("CREATE SCHEMA") {
        list(tokens, find(tokens, &["AUTHORIZATION"]), roles);
    } else if first.is("ALTER") {
        list(tokens, find(tokens, &["OWNER", "TO"]), roles);
    }
}

fn add_others(tokens: &[Token<'_>], roles: &mut BTreeSet<String>) {
    let Some(first) = tokens.first() else {
        return;
    };
    let last = |word: &str| {
        let places = outside(tokens).filter(|(_, token)| token.is(word));
        places.last().map(|(at, _)| at)
    };
    let is = |words: &str| Phrase::new(tokens).words(words);
    if first.is("GRANT") {
        list(tokens, last("TO"), roles);
    } else if first.is("REVOKE") {
        list(tokens, last("FROM"), roles);
    } else if is("ALTER DEFAULT PRIVILEGES") {
        list(tokens, last("TO").or(last("FROM")), roles);
    } else if is("CREATE POLICY") || is("ALTER POLICY") {
        list(tokens, last("TO"), roles);
    } else if is("CREATE USER MAPPING") {
        list(tokens, find(tokens, &["FOR"]), roles);
    }
}

/// Where the last of these words first stands.
fn find(tokens: &[Token<'_>], words: &[&str]) -> Option<usize> {
    let says = |these: &[Token<'_>]| these.iter().zip(words).all(|(token, word)| token.is(word));
    let at = tokens.windows(words.len()).position(says)?;
    Some(at + words.len() - 1)
}

/// Adds the names behind the word at `at`, as far as commas join them.
fn list(tokens: &[Token<'_>], at: Option<usize>, roles: &mut BTreeSet<String>) {
    let mut phrase = match at.and_then(|at| tokens.get(at + 1..)) {
        Some(rest) => Phrase::new(rest),
        None => return,
    };
    loop {
        phrase.word("GROUP");
        let Some(token) = phrase.next() else {
            return;
        };
        if !SOMEBODY.iter().any(|word| token.is(word)) {
            let text = token.string();
            let text = text.map(|text| String::from_utf8_lossy(&text).into_owned());
            roles.extend(text.or_else(|| token.name()));
        }
        if !phrase.punctuation(b',') {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::postgres::{Mode, tokens};

    use super::*;

    #[test]
    fn who_is_named() {
        for (text, named, owners) in [
            (
                "ALTER TABLE app.t OWNER TO \"The owner\"",
                "The owner",
                "The owner",
            ),
            (
                "GRANT SELECT(a) ON TABLE app.t TO a, GROUP b WITH GRANT OPTION",
                "a b",
                "",
            ),
            ("REVOKE ALL ON SCHEMA app FROM PUBLIC", "", ""),
            ("REVOKE ALL ON SCHEMA app FROM c", "c", ""),
            ("SET SESSION AUTHORIZATION 'o'", "o", "o"),
            ("SET SESSION AUTHORIZATION DEFAULT", "", ""),
            ("SET ROLE r", "r", "r"),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE o IN SCHEMA app GRANT SELECT ON TABLES TO r",
                "o r",
                "o",
            ),
            (
                "CREATE POLICY p ON app.t FOR SELECT TO r, CURRENT_USER USING ((a > 0))",
                "r",
                "",
            ),
            ("CREATE SCHEMA app AUTHORIZATION o", "o", "o"),
            ("CREATE USER MAPPING FOR u SERVER s", "u", ""),
            ("CREATE RULE r AS ON INSERT TO app.t DO NOTHING", "", ""),
            ("ALTER SCHEMA a RENAME TO b", "", ""),
            ("SET search_path TO app", "", ""),
        ] {
            let tokens: Vec<_> = tokens(text.as_bytes(), Mode::default()).collect();
            let mut roles = Roles::default();
            add(&tokens, &mut roles);
            let words = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
            assert_eq!(words(roles.named), named, "{text}");
            assert_eq!(words(roles.owners), owners, "{text}");
        }
    }
}
