//! What the digests of objects are called by.

use pilotfish_sql::postgres::{Token, quote};

use super::phrase::Phrase;
use super::session::Session;
use crate::summary::VALUE_OF;

/// Kinds of objects with a schema, or none where the database has only one of a name.
const KINDS: [&str; 33] = [
    "ACCESS METHOD",
    "AGGREGATE",
    "CAST",
    "COLLATION",
    "CONVERSION",
    "DOMAIN",
    "EVENT TRIGGER",
    "EXTENSION",
    "FOREIGN DATA WRAPPER",
    "FOREIGN TABLE",
    "FUNCTION",
    "INDEX",
    "LANGUAGE",
    "MATERIALIZED VIEW",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "OPERATOR",
    "PROCEDURE",
    "PUBLICATION",
    "ROUTINE",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "STATISTICS",
    "SUBSCRIPTION",
    "TABLE",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
    "TRANSFORM",
    "TYPE",
    "VIEW",
];

/// Kinds whose names are unique only within their table, which stands behind ON.
const OF_TABLES: [&str; 4] = ["CONSTRAINT TRIGGER", "TRIGGER", "POLICY", "RULE"];

/// Words that may stand between the verb and the kind.
const BETWEEN: [&str; 10] = [
    "OR REPLACE",
    "UNIQUE",
    "UNLOGGED",
    "RECURSIVE",
    "TRUSTED",
    "PROCEDURAL",
    "DEFAULT",
    "TEMP",
    "TEMPORARY",
    "GLOBAL",
];

/// Kind and name of what a statement defines or changes.
pub(crate) fn object(tokens: &[Token<'_>], session: &Session) -> String {
    told(tokens, session).unwrap_or_else(|| "statement".to_owned())
}

fn told(tokens: &[Token<'_>], session: &Session) -> Option<String> {
    let mut phrase = Phrase::new(tokens);
    if phrase
        .any(&["GRANT", "REVOKE", "ALTER DEFAULT PRIVILEGES"])
        .is_some()
    {
        return Some("acl".to_owned());
    }
    if phrase.any(&["COMMENT", "SECURITY LABEL"]).is_some() {
        return Some("comment".to_owned());
    }
    if phrase.word("SELECT") {
        return sequence(tokens, session).map(|sequence| format!("{VALUE_OF}{sequence}"));
    }
    phrase.any(&["CREATE", "ALTER", "DROP", "REFRESH"])?;
    while phrase.any(&BETWEEN).is_some() {}
    if let Some(kind) = phrase.any(&OF_TABLES) {
        let kind = kind.rsplit(' ').next()?.to_ascii_lowercase();
        phrase.if_exists();
        let name = phrase.identifier()?;
        let table = table_behind(&mut phrase, "ON", session)?;
        return Some(format!("{kind} {} on {table}", quote(&name)));
    }
    let kind = phrase.any(&KINDS)?;
    phrase.word("CONCURRENTLY");
    phrase.if_exists();
    phrase.word("ONLY");
    let lower = kind.to_ascii_lowercase();
    let name = phrase.name()?;
    let plain = name.schema.is_none() && is_of_database(kind);
    let key = if plain {
        quote(&name.name)
    } else {
        session.key_of(&name)
    };
    if kind == "INDEX" && name.schema.is_none() && tokens.first()?.is("CREATE") {
        // An index lives in its table's schema.
        let table = table_behind(&mut phrase, "ON", session)?;
        return Some(match table.rsplit_once('.') {
            Some((schema, _)) => format!("index {schema}.{key}"),
            None => format!("index {key}"),
        });
    }
    if kind.ends_with("TABLE") && phrase.words("ADD CONSTRAINT") {
        let constraint = phrase.identifier()?;
        return Some(format!("constraint {} on {key}", quote(&constraint)));
    }
    Some(format!("{lower} {key}"))
}

/// Whether such objects belong to no schema.
fn is_of_database(kind: &str) -> bool {
    let kinds = [
        "ACCESS METHOD",
        "CAST",
        "EVENT TRIGGER",
        "EXTENSION",
        "FOREIGN DATA WRAPPER",
        "LANGUAGE",
        "PUBLICATION",
        "SCHEMA",
        "SERVER",
        "SUBSCRIPTION",
        "TRANSFORM",
    ];
    kinds.contains(&kind)
}

fn table_behind(phrase: &mut Phrase<'_>, word: &str, session: &Session) -> Option<String> {
    loop {
        // A rule's event is behind ON, its table behind TO.
        let token = phrase.next()?;
        if token.is(word) {
            if phrase
                .any(&["SELECT TO", "INSERT TO", "UPDATE TO", "DELETE TO"])
                .is_none()
            {
                phrase.word("ONLY");
            }
            return phrase.name().map(|name| session.key_of(&name));
        }
    }
}

/// `SELECT setval('app.s', ..)`.
fn sequence(tokens: &[Token<'_>], session: &Session) -> Option<String> {
    let literal = tokens.iter().find_map(Token::string)?;
    let name = pilotfish_sql::postgres::tokens(&literal, session.mode()).collect::<Vec<_>>();
    let name = Phrase::new(&name).name()?;
    Some(format!("sequence {}", session.key_of(&name)))
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::postgres::{Mode, tokens};

    use super::*;

    #[test]
    fn kinds_and_names() {
        for (text, expected) in [
            (
                "CREATE OR REPLACE FUNCTION app.f(a int) RETURNS int",
                "function app.f",
            ),
            ("CREATE FUNCTION \"F\"() RETURNS int", "function \"F\""),
            ("ALTER FUNCTION app.f(a int) OWNER TO o", "function app.f"),
            (
                "CREATE UNIQUE INDEX i ON app.t USING btree (a)",
                "index app.i",
            ),
            ("CREATE INDEX i ON ONLY t (a)", "index i"),
            ("ALTER INDEX app.i ATTACH PARTITION app.j", "index app.i"),
            (
                "CREATE CONSTRAINT TRIGGER g AFTER INSERT ON app.t",
                "trigger g on app.t",
            ),
            (
                "CREATE RULE r AS ON INSERT TO app.t DO INSTEAD NOTHING",
                "rule r on app.t",
            ),
            (
                "ALTER TABLE ONLY app.t ADD CONSTRAINT k PRIMARY KEY (a)",
                "constraint k on app.t",
            ),
            ("ALTER TABLE app.t OWNER TO o", "table app.t"),
            (
                "CREATE MATERIALIZED VIEW app.m AS SELECT 1",
                "materialized view app.m",
            ),
            ("REFRESH MATERIALIZED VIEW app.m", "materialized view app.m"),
            (
                "SELECT pg_catalog.setval('app.s', 5, true)",
                "value of sequence app.s",
            ),
            (
                "CREATE EXTENSION IF NOT EXISTS e WITH SCHEMA app",
                "extension e",
            ),
            ("CREATE SCHEMA IF NOT EXISTS app", "schema app"),
            (
                "CREATE OPERATOR app.+ (FUNCTION = app.f)",
                "operator app.\"+\"",
            ),
            ("GRANT ALL ON TABLE t TO u", "acl"),
            ("COMMENT ON TABLE t IS 'x'", "comment"),
            ("CREATE CAST (a AS b)", "statement"),
        ] {
            let tokens: Vec<_> = tokens(text.as_bytes(), Mode::default()).collect();
            assert_eq!(object(&tokens, &Session::default()), expected, "{text}");
        }
    }
}
