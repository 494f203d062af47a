//! What a statement would do, from the words that this flavour runs.

use std::collections::BTreeSet;

use pilotfish_sql::mysql::{Mode, Name, Token, TokenKind};

use crate::mysql::assignment::{Target, assignments};
use crate::mysql::phrase::{Phrase, asks, at_commas, running};
use crate::{Class, Existing, RoutineKind};

/// Tokens before the word that names the kind of a CREATE: OR REPLACE, ALGORITHM, DEFINER, SQL SECURITY.
const HEAD: usize = 24;

/// Classifies one statement.
pub(crate) fn classify(text: &[u8], mode: Mode) -> Class {
    let tokens = running(text, mode);
    if tokens.is_empty() {
        return Class::Empty;
    }
    match statement(&tokens) {
        Some(Class::CreateView { name, .. }) => Class::CreateView {
            name,
            placeholder: is_placeholder(text, &tokens),
        },
        class => class.unwrap_or_else(|| other(&tokens)),
    }
}

/// `None` where the statement is not understood.
fn statement(tokens: &[Token<'_>]) -> Option<Class> {
    let mut phrase = Phrase::new(tokens);
    let verb = phrase.next()?;
    if verb.kind != TokenKind::Word {
        return None;
    }
    let verb = String::from_utf8_lossy(verb.text).to_ascii_uppercase();
    match verb.as_str() {
        "SET" => set(tokens),
        "USE" => Some(Class::UseDatabase(phrase.identifier()?)),
        "CREATE" => create(phrase),
        "ALTER" => alter(phrase),
        "DROP" => drop(phrase),
        "DO" | "SELECT" => set_sequence(phrase),
        "LOCK" | "UNLOCK" if phrase.at_word("INSTANCE") => Some(Class::ServerState),
        "LOCK" | "UNLOCK" => Some(Class::Lock),
        "START" if !phrase.at_word("TRANSACTION") => Some(Class::ServerState),
        "START" | "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "XA" => {
            Some(Class::Transaction)
        }
        "CHANGE" | "STOP" | "RESET" | "FLUSH" | "PURGE" | "INSTALL" | "UNINSTALL" => {
            Some(Class::ServerState)
        }
        "GRANT" | "REVOKE" => Some(Class::Account),
        "RENAME" if phrase.at_word("USER") => Some(Class::Account),
        _ => None,
    }
}

/// Whatever follows a verb: an UPDATE may hide behind WITH or, in MariaDB, behind ANALYZE.
fn other(tokens: &[Token<'_>]) -> Class {
    const CHANGES: [&str; 4] = ["INSERT", "REPLACE", "UPDATE", "DELETE"];
    let changes = |token: &Token<'_>| CHANGES.iter().any(|word| token.is(word));
    let names = if tokens.iter().any(changes) {
        tokens.iter().filter_map(Token::name).collect()
    } else {
        BTreeSet::new()
    };
    Class::Other { changes: names }
}

fn set(tokens: &[Token<'_>]) -> Option<Class> {
    if asks(tokens) {
        return None;
    }
    let mut class = Class::Session;
    for assignment in assignments(tokens) {
        match assignment.target {
            Target::Unknown => return None,
            Target::Account => return Some(Class::Account),
            Target::Global(_) => class = Class::ServerState,
            Target::System(name) if is_server_state(&name) => class = Class::ServerState,
            Target::System(name) if name == "autocommit" && class == Class::Session => {
                class = Class::Transaction;
            }
            Target::Transaction => class = Class::Transaction,
            Target::System(_) | Target::User(_) | Target::Names => {}
        }
    }
    Some(class)
}

/// What a load takes of a SET that mixes it with what it leaves out: server state, transactions.
pub(crate) fn kept_of_set(text: &[u8], tokens: &[Token<'_>]) -> Option<Vec<u8>> {
    let list = assignments(tokens);
    let keeps = |target: &Target| match target {
        Target::User(_) | Target::Names => true,
        Target::System(name) => name != "autocommit" && !is_server_state(name),
        _ => false,
    };
    let kept: Vec<&[u8]> = list
        .iter()
        .filter(|assignment| keeps(&assignment.target))
        .filter_map(|assignment| text.get(assignment.span.clone()))
        .collect();
    let set = tokens.first()?.text;
    (!kept.is_empty() && kept.len() < list.len())
        .then(|| [set, b" ", &kept.join(&b", "[..])].concat())
}

/// A statement about the server that others may miss where it is left out: what dumps say of replication and
/// of their own settings is none of these.
pub(crate) fn is_missed(tokens: &[Token<'_>]) -> bool {
    const KINDS: [&str; 5] = ["SERVER", "TABLESPACE", "LOGFILE", "UNDO", "INSTANCE"];
    let mut phrase = Phrase::new(tokens);
    if phrase.any(&["INSTALL", "UNINSTALL"]).is_some() {
        return true;
    }
    let makes = phrase.any(&["CREATE", "ALTER", "DROP"]).is_some();
    if phrase.word("OR") {
        phrase.word("REPLACE");
    }
    makes && KINDS.iter().any(|kind| phrase.at_word(kind))
}

/// Session variables that belong to replication: on a reload they would damage it.
pub(crate) fn is_server_state(name: &str) -> bool {
    name == "sql_log_bin"
        || name == "server_id"
        || name == "pseudo_slave_mode"
        || name.starts_with("gtid_")
}

/// What a CREATE does with one of the same name.
pub(crate) fn existing(tokens: &[Token<'_>]) -> Existing {
    let mut phrase = Phrase::new(tokens);
    if !phrase.word("CREATE") {
        return Existing::Refuse;
    }
    if phrase.word("OR") {
        return Existing::Replace;
    }
    // It follows the kind's name, which DEFINER and the like come before.
    let head = &tokens[..tokens.len().min(HEAD)];
    let keeps = head
        .windows(3)
        .position(|three| three[0].is("IF") && three[1].is("NOT") && three[2].is("EXISTS"));
    let list = head.iter().position(|token| token.is_punctuation(b'('));
    match keeps {
        Some(at) if list.is_none_or(|list| at < list) => Existing::Keep,
        _ => Existing::Refuse,
    }
}

fn create(mut phrase: Phrase<'_>) -> Option<Class> {
    let temporary = phrase.at_word("TEMPORARY");
    let kind = phrase.skip_to(
        &[
            "TABLE",
            "VIEW",
            "TRIGGER",
            "PROCEDURE",
            "FUNCTION",
            "PACKAGE",
            "EVENT",
            "SEQUENCE",
            "DATABASE",
            "SCHEMA",
            "INDEX",
            "USER",
            "ROLE",
            "SERVER",
            "TABLESPACE",
            "LOGFILE",
        ],
        HEAD,
    )?;
    if temporary {
        return None;
    }
    let body = kind == "PACKAGE" && phrase.word("BODY");
    if !matches!(kind, "INDEX") {
        phrase.if_exists();
    }
    match kind {
        "TABLE" => create_table(phrase),
        // Whether it is a placeholder is for the caller to see from the whole text.
        "VIEW" => Some(Class::CreateView {
            name: phrase.name()?,
            placeholder: false,
        }),
        "TRIGGER" => {
            let name = phrase.name()?;
            phrase.skip_to(&["ON"], HEAD)?;
            Some(Class::CreateTrigger {
                name,
                table: phrase.name()?,
            })
        }
        "PROCEDURE" => routine(RoutineKind::Procedure, phrase),
        "FUNCTION" => routine(RoutineKind::Function, phrase),
        "PACKAGE" if body => routine(RoutineKind::PackageBody, phrase),
        "PACKAGE" => routine(RoutineKind::Package, phrase),
        "EVENT" => Some(Class::CreateEvent(phrase.name()?)),
        "SEQUENCE" => Some(Class::CreateSequence(phrase.name()?)),
        "DATABASE" | "SCHEMA" => Some(Class::CreateDatabase(phrase.identifier()?)),
        "INDEX" => {
            phrase.skip_to(&["ON"], HEAD)?;
            Some(Class::CreateIndex {
                table: phrase.name()?,
            })
        }
        "USER" | "ROLE" => Some(Class::Account),
        _ => Some(Class::ServerState),
    }
}

fn create_table(mut phrase: Phrase<'_>) -> Option<Class> {
    let name = phrase.name()?;
    let rest = phrase.rest();
    let listed = phrase.punctuation(b'(') && !phrase.at_word("LIKE");
    // No expression of a table definition may hold a subquery: a SELECT is `.. AS SELECT`. VALUES is a
    // table, too, but for the partitions' VALUES LESS THAN and VALUES IN.
    let values = |pair: &[Token<'_>]| pair[0].is("VALUES") && pair[1].is_punctuation(b'(');
    if !listed || asks(rest) || rest.windows(2).any(values) {
        return None;
    }
    Some(Class::CreateTable {
        name,
        references: references(rest)?,
    })
}

/// Targets of `REFERENCES`, in order.
fn references(tokens: &[Token<'_>]) -> Option<Vec<Name>> {
    let at = tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| token.is("REFERENCES"));
    at.map(|(at, _)| Phrase::new(&tokens[at + 1..]).name())
        .collect()
}

/// mysqldump's stand-in for a view that comes later, `/*!50001 CREATE VIEW v AS SELECT 1 AS c, ..*/`;
/// MariaDB's has NULL for 1. A real view of constants is dumped with its ALGORITHM and DEFINER.
fn is_placeholder(text: &[u8], tokens: &[Token<'_>]) -> bool {
    let mut phrase = Phrase::new(tokens);
    let short = phrase.word("CREATE") && phrase.word("VIEW") && phrase.name().is_some();
    if !(text.starts_with(b"/*!") && short && phrase.word("AS") && phrase.word("SELECT")) {
        return false;
    }
    at_commas(phrase.rest())
        .into_iter()
        .all(|column| match column {
            [value, word, name] => {
                let constant = value.text == b"1" || value.is("NULL");
                constant && word.is("AS") && name.kind == TokenKind::QuotedName
            }
            _ => false,
        })
}

fn routine(kind: RoutineKind, mut phrase: Phrase<'_>) -> Option<Class> {
    let name = phrase.name()?;
    // CREATE FUNCTION f RETURNS STRING SONAME 'lib.so' loads code into the server.
    let loadable = phrase.rest().iter().take(4).any(|token| token.is("SONAME"));
    (!loadable).then_some(Class::CreateRoutine { kind, name })
}

fn alter(mut phrase: Phrase<'_>) -> Option<Class> {
    while phrase.any(&["ONLINE", "OFFLINE", "IGNORE"]).is_some() {}
    let kinds = [
        "TABLE", "DATABASE", "SCHEMA", "USER", "INSTANCE", "SERVER", "SEQUENCE",
    ];
    match phrase.any(&kinds)? {
        "SEQUENCE" => {
            phrase.if_exists();
            Some(Class::SetSequence(phrase.name()?))
        }
        "TABLE" => {
            phrase.if_exists();
            let name = phrase.name()?;
            let rest = phrase.rest();
            let keys_switch = phrase.any(&["DISABLE", "ENABLE"]).is_some() && phrase.word("KEYS");
            let keys_switch = keys_switch && phrase.rest().is_empty();
            Some(Class::AlterTable {
                name,
                references: references(rest)?,
                keys_switch,
            })
        }
        "DATABASE" | "SCHEMA" if is_nameless(&phrase) => Some(Class::ServerState),
        "DATABASE" | "SCHEMA" => Some(Class::AlterDatabase(phrase.identifier()?)),
        "USER" => Some(Class::Account),
        _ => Some(Class::ServerState),
    }
}

/// `ALTER DATABASE CHARACTER SET ..`: the database that is in use.
fn is_nameless(phrase: &Phrase<'_>) -> bool {
    let options = ["CHARACTER", "CHARSET", "COLLATE", "DEFAULT"];
    options.iter().any(|option| phrase.at_word(option))
}

fn drop(mut phrase: Phrase<'_>) -> Option<Class> {
    let kind = phrase.any(&[
        "TABLE",
        "TABLES",
        "VIEW",
        "TRIGGER",
        "PROCEDURE",
        "FUNCTION",
        "PACKAGE",
        "EVENT",
        "SEQUENCE",
        "DATABASE",
        "SCHEMA",
        "USER",
        "ROLE",
        "SERVER",
    ])?;
    let body = kind == "PACKAGE" && phrase.word("BODY");
    phrase.if_exists();
    let routine = |kind, phrase: &mut Phrase<'_>| {
        let name = phrase.name()?;
        Some(Class::DropRoutine { kind, name })
    };
    Some(match kind {
        "TABLE" | "TABLES" => Class::DropTable {
            names: phrase.names()?,
        },
        "VIEW" => Class::DropView {
            names: phrase.names()?,
        },
        "TRIGGER" => Class::DropTrigger(phrase.name()?),
        "PROCEDURE" => routine(RoutineKind::Procedure, &mut phrase)?,
        "FUNCTION" => routine(RoutineKind::Function, &mut phrase)?,
        "PACKAGE" if body => routine(RoutineKind::PackageBody, &mut phrase)?,
        "PACKAGE" => routine(RoutineKind::Package, &mut phrase)?,
        "EVENT" => Class::DropEvent(phrase.name()?),
        "SEQUENCE" => Class::DropSequence {
            names: phrase.names()?,
        },
        "DATABASE" | "SCHEMA" => Class::DropDatabase(phrase.identifier()?),
        "USER" | "ROLE" => Class::Account,
        _ => Class::ServerState,
    })
}

/// `DO SETVAL(s, ..)`, `SELECT SETVAL(s, ..)` and nothing more.
fn set_sequence(mut phrase: Phrase<'_>) -> Option<Class> {
    let called = phrase.word("SETVAL") && phrase.punctuation(b'(');
    let name = phrase.name().filter(|_| called)?;
    let (last, arguments) = phrase.rest().split_last()?;
    let plain = arguments
        .iter()
        .all(|token| !token.is_punctuation(b'(') && !token.is_punctuation(b')'));
    (plain && last.is_punctuation(b')')).then_some(Class::SetSequence(name))
}

#[cfg(test)]
mod tests;
