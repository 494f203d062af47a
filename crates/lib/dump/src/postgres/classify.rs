//! What a statement is good for.

use pilotfish_sql::mysql::Name;
use pilotfish_sql::postgres::{Token, TokenKind};

use super::phrase::{Phrase, at_commas, outside};
use super::session::Session;
use crate::{Class, Existing};

/// What a CREATE says of one that is there already.
pub(crate) fn existing(tokens: &[Token<'_>]) -> Existing {
    let mut head = tokens.iter().take(8);
    match tokens {
        [create, or, replace, ..]
            if create.is("CREATE") && or.is("OR") && replace.is("REPLACE") =>
        {
            Existing::Replace
        }
        [create, ..] if create.is("CREATE") && head.any(|token| token.is("EXISTS")) => {
            Existing::Keep
        }
        _ => Existing::Refuse,
    }
}

const fn other() -> Class {
    Class::Other {
        changes: std::collections::BTreeSet::new(),
    }
}

/// Says what one statement is; names without a schema are resolved as the session does.
pub(crate) fn classify(tokens: &[Token<'_>], session: &Session) -> Class {
    let mut phrase = Phrase::new(tokens);
    let Some(first) = phrase.next() else {
        return Class::Empty;
    };
    let word = String::from_utf8_lossy(first.text).to_ascii_uppercase();
    match word.as_str() {
        "SET" if phrase.at_word("CONSTRAINTS") || phrase.at_word("TRANSACTION") => {
            Class::Transaction
        }
        "SET" if phrase.words("SESSION CHARACTERISTICS") => Class::Transaction,
        "SET" | "RESET" => Class::Session,
        "SELECT" => called(&phrase),
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => {
            Class::Transaction
        }
        "PREPARE" if phrase.at_word("TRANSACTION") => Class::Transaction,
        "CREATE" => create(phrase, session),
        "ALTER" => alter(phrase, session),
        "DROP" => drop(phrase, session),
        "COMMENT" | "SECURITY" => remark(phrase),
        "GRANT" | "REVOKE" => right(phrase),
        "REFRESH" => Class::Definition,
        "LOCK" => Class::Lock,
        _ => other(),
    }
}

/// `SELECT f(..)`, and nothing else in it.
fn called(phrase: &Phrase<'_>) -> Class {
    let mut phrase = phrase.clone();
    let tokens = phrase.rest();
    let Some(name) = phrase.name() else {
        return other();
    };
    let own = name
        .schema
        .as_deref()
        .is_none_or(|schema| schema == "pg_catalog");
    let whole = tokens
        .last()
        .is_some_and(|token| token.is_punctuation(b')'))
        && outside(phrase.rest()).count() == 2;
    let is_large = ["lowrite", "loread"].contains(&&*name.name) || name.name.starts_with("lo_");
    match name.name.as_str() {
        _ if !own
            || !phrase
                .rest()
                .first()
                .is_some_and(|open| open.is_punctuation(b'(')) =>
        {
            other()
        }
        // With --if-exists the removal asks the catalog first.
        _ if is_large => Class::LargeObject,
        "set_config" if whole => Class::Session,
        "setval" if whole && is_plain(phrase.rest()) => Class::SequenceValue,
        "setval" if whole => Class::Definition,
        _ => other(),
    }
}

/// `('app.s', 5, true)`: values that ask nobody.
fn is_plain(arguments: &[Token<'_>]) -> bool {
    let is_value = |token: &Token<'_>| {
        token.string().is_some()
            || token.kind == TokenKind::Number
            || token.is("TRUE")
            || token.is("FALSE")
            || token.text == b"-"
    };
    arguments.iter().all(|token| {
        is_value(token)
            || [b'(', b',', b')']
                .iter()
                .any(|mark| token.is_punctuation(*mark))
    })
}

/// The columns of `ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (a, b)`, and its table's key.
pub(crate) fn primary_key(
    tokens: &[Token<'_>],
    session: &Session,
) -> Option<(String, Vec<String>)> {
    let mut phrase = Phrase::new(tokens);
    phrase.words("ALTER TABLE").then_some(())?;
    phrase.if_exists();
    phrase.word("ONLY");
    let table = session.table(&phrase.name()?).name;
    phrase.words("ADD CONSTRAINT").then_some(())?;
    phrase.identifier()?;
    phrase.words("PRIMARY KEY").then_some(())?;
    phrase.punctuation(b'(').then_some(())?;
    let mut columns = Vec::new();
    loop {
        columns.push(phrase.identifier()?);
        if phrase.punctuation(b')') {
            return Some((table, columns));
        }
        phrase.punctuation(b',').then_some(())?;
    }
}

/// The name that comes next, whatever is of that name already.
fn named(phrase: &mut Phrase<'_>) -> String {
    phrase.if_exists();
    phrase.identifier().unwrap_or_default()
}

fn create(mut phrase: Phrase<'_>, session: &Session) -> Class {
    phrase.words("OR REPLACE");
    if let Some(kind) = cluster_wide(&mut phrase) {
        return kind;
    }
    if phrase.word("DATABASE") {
        return Class::CreateDatabase(named(&mut phrase));
    }
    let _ = phrase.any(&["GLOBAL", "LOCAL"]);
    if phrase.any(&["TEMP", "TEMPORARY"]).is_some() {
        return other();
    }
    let _ = phrase.any(&["UNLOGGED", "FOREIGN"]);
    if phrase.word("TABLE") {
        phrase.if_exists();
        let Some(name) = phrase.name() else {
            return other();
        };
        // `CREATE TABLE .. AS` is a query.
        if outside(phrase.rest()).any(|(_, token)| token.is("AS")) {
            return other();
        }
        let name = session.table(&name);
        let references = Vec::new();
        return Class::CreateTable { name, references };
    }
    if phrase.any(&["INDEX", "UNIQUE INDEX"]).is_some() {
        let mut after = Phrase::new(phrase.rest());
        while let Some(token) = after.next() {
            if token.is("ON") {
                after.word("ONLY");
                let tables = after.name().map(|name| session.table(&name));
                return Class::Key {
                    tables: tables.into_iter().collect(),
                    shared: true,
                };
            }
        }
        return other();
    }
    Class::Definition
}

/// What belongs to no database.
fn cluster_wide(phrase: &mut Phrase<'_>) -> Option<Class> {
    if phrase.words("USER MAPPING") {
        return Some(Class::Definition);
    }
    if phrase.any(&["ROLE", "USER", "GROUP"]).is_some() {
        return Some(Class::Account);
    }
    phrase
        .any(&["TABLESPACE", "SYSTEM"])
        .map(|_| Class::ServerState)
}

fn alter(mut phrase: Phrase<'_>, session: &Session) -> Class {
    if let Some(kind) = cluster_wide(&mut phrase) {
        return kind;
    }
    if phrase.word("DATABASE") {
        return Class::AlterDatabase(named(&mut phrase));
    }
    if phrase.words("LARGE OBJECT") {
        return Class::LargeObject;
    }
    if phrase.word("INDEX") {
        // Indexes are made when the rows are in.
        return everything_before();
    }
    if phrase.any(&["TABLE", "FOREIGN TABLE"]).is_none() {
        return Class::Definition;
    }
    phrase.if_exists();
    phrase.word("ONLY");
    let Some(name) = phrase.name() else {
        return other();
    };
    let mut tables = vec![session.table(&name)];
    for action in at_commas(phrase.rest()) {
        match key(Phrase::new(action), session) {
            Some(references) => tables.extend(references),
            None => return Class::Definition,
        }
    }
    Class::Key {
        tables,
        shared: false,
    }
}

const fn everything_before() -> Class {
    Class::Key {
        tables: Vec::new(),
        shared: false,
    }
}

/// The table that an action of ALTER TABLE points at, where it is of keys and constraints at all.
fn key(mut action: Phrase<'_>, session: &Session) -> Option<Option<Name>> {
    let late = ["CLUSTER ON", "REPLICA IDENTITY", "VALIDATE CONSTRAINT"];
    if action.any(&late).is_some() {
        return Some(None);
    }
    if !action.word("ADD") {
        return None;
    }
    if action.word("CONSTRAINT") {
        action.identifier()?;
    }
    let kinds = ["PRIMARY KEY", "UNIQUE", "EXCLUDE", "CHECK", "NOT NULL"];
    if action.any(&kinds).is_some() {
        return Some(None);
    }
    if !action.words("FOREIGN KEY") {
        return None;
    }
    while let Some(token) = action.next() {
        if token.is("REFERENCES") {
            action.word("ONLY");
            return action.name().map(|name| Some(session.table(&name)));
        }
    }
    None
}

fn drop(mut phrase: Phrase<'_>, session: &Session) -> Class {
    if let Some(kind) = cluster_wide(&mut phrase) {
        return kind;
    }
    if phrase.word("DATABASE") {
        return Class::DropDatabase(named(&mut phrase));
    }
    if phrase.word("OWNED") {
        return other();
    }
    if phrase.any(&["TABLE", "FOREIGN TABLE"]).is_some() {
        phrase.if_exists();
        let names = phrase.names().unwrap_or_default();
        let names = names.iter().map(|name| session.table(name)).collect();
        return Class::DropTable { names };
    }
    Class::Definition
}

/// COMMENT and SECURITY LABEL.
fn remark(mut phrase: Phrase<'_>) -> Class {
    while let Some(token) = phrase.next() {
        if token.is("ON") {
            return match on(&mut phrase) {
                Some(class) => class,
                // They name what is made when the rows are in.
                None if phrase.at_word("INDEX") || phrase.at_word("CONSTRAINT") => {
                    everything_before()
                }
                None => Class::Definition,
            };
        }
    }
    other()
}

fn right(mut phrase: Phrase<'_>) -> Class {
    while let Some(token) = phrase.next() {
        if token.is("ON") {
            return on(&mut phrase).unwrap_or(Class::Definition);
        }
    }
    // Without an object, a role is given to others.
    Class::Account
}

/// What a remark or right is about, where that is no definition.
fn on(phrase: &mut Phrase<'_>) -> Option<Class> {
    if phrase.words("LARGE OBJECT") {
        return Some(Class::LargeObject);
    }
    if phrase.word("DATABASE") {
        return Some(Class::AlterDatabase(named(phrase)));
    }
    phrase
        .any(&["ROLE", "TABLESPACE", "PARAMETER"])
        .map(|_| Class::Account)
}

#[cfg(test)]
mod tests;
