//! What the dump has defined so far: names resolved, definitions and rows digested.

use pilotfish_sql::mysql::{Name, Token};

use crate::mysql::actions::Ties;
use crate::mysql::digests::Digests;
use crate::mysql::phrase::Phrase;
use crate::mysql::table::{Draws, Layout, Numbering, canonical, counter};
use crate::{Class, Existing, RoutineKind};

/// Tables and objects of the whole dump.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) digests: Digests,
    pub(crate) ties: Ties,
    /// The dump's own database, once the first name has told: `Some(None)` if the dump names none.
    home: Option<Option<String>>,
    /// What `USE` last said in this file.
    current: Option<String>,
    /// Character set and collation that the first CREATE DATABASE gives it, as it spells them.
    charset: Option<String>,
}

impl Catalog {
    /// A new file begins: its session has no database yet.
    pub(crate) fn new_session(&mut self) {
        self.current = None;
    }

    /// The database that the dump itself names, once that is known.
    pub(crate) fn home(&self) -> Option<Option<&str>> {
        self.home.as_ref().map(Option::as_deref)
    }

    /// What the dump's CREATE DATABASE says of character set and collation.
    pub(crate) fn charset(&self) -> Option<&str> {
        self.charset.as_deref()
    }

    /// A name as digests spell it: with its database only where that is not the dump's own.
    pub(crate) fn key(&mut self, name: &Name) -> String {
        let database = name.database.as_ref().or(self.current.as_ref());
        let home = self.home.get_or_insert_with(|| database.cloned());
        match database {
            // A dump that names no database at first may name the one it goes to: others are refused.
            Some(database) if home.as_ref().is_some_and(|home| home != database) => {
                format!("{database}.{}", name.name)
            }
            _ => name.name.clone(),
        }
    }

    /// How rows of a table are numbered, and which of them draw from a sequence.
    pub(crate) fn numbering(&self, table: &str, columns: Option<&[String]>) -> (Numbering, Draws) {
        self.digests.numbering(table, columns)
    }

    /// Takes note of a statement that runs under the session with this key.
    pub(crate) fn record(
        &mut self,
        class: &Class,
        existing: Existing,
        tokens: &[Token<'_>],
        session: &str,
    ) {
        if tokens.first().is_some_and(|verb| verb.is("SET")) {
            self.digests.set(&canonical(tokens));
        }
        match class {
            Class::UseDatabase(database) => {
                self.home.get_or_insert_with(|| Some(database.clone()));
                self.current = Some(database.clone());
            }
            Class::CreateDatabase(database) => {
                let home = self.home.get_or_insert_with(|| Some(database.clone()));
                if self.charset.is_none() && home.as_ref() == Some(database) {
                    self.charset = database_charset(tokens);
                }
            }
            Class::CreateTable { name, references } => {
                let key = self.key(name);
                if existing == Existing::Replace {
                    self.drop_table(&key);
                }
                let keeps = existing == Existing::Keep && self.digests.has_table(&key);
                let table = self.define(name, references, tokens, session);
                if !keeps {
                    *self.digests.layout(&table) = Layout::of_create(tokens);
                    self.note_sequences(&table);
                }
            }
            Class::AlterTable {
                keys_switch: true, ..
            } => {}
            Class::AlterTable {
                name, references, ..
            } => {
                let table = self.define(name, references, tokens, session);
                self.digests.reshape(&table);
                self.digests.layout(&table).alter(tokens);
                self.note_sequences(&table);
            }
            Class::CreateIndex { table } => {
                let table = self.define(table, &[], tokens, session);
                self.digests.reshape(&table);
            }
            Class::DropTable { names } => {
                for name in names {
                    let key = self.key(name);
                    self.drop_table(&key);
                }
            }
            Class::DropView { names } => self.drop_objects("view", names),
            Class::DropSequence { names } => self.drop_objects("sequence", names),
            Class::DropTrigger(name) => self.drop_objects("trigger", std::slice::from_ref(name)),
            Class::DropEvent(name) => self.drop_objects("event", std::slice::from_ref(name)),
            Class::DropRoutine { kind, name } => {
                self.drop_objects(routine(*kind), std::slice::from_ref(name));
            }
            Class::Other { .. } => self.digests.other(session, &canonical(tokens)),
            _ => self.record_object(class, tokens, session),
        }
    }

    fn drop_table(&mut self, key: &str) {
        self.digests.drop_table(key);
        self.ties.drop(key);
    }

    fn note_sequences(&mut self, table: &str) {
        let sequences = self.digests.layout(table).sequences.clone();
        let sequences = sequences.iter().map(|name| self.key(name)).collect();
        self.digests.draws(table, sequences);
    }

    fn record_object(&mut self, class: &Class, tokens: &[Token<'_>], session: &str) {
        let (kind, name) = match class {
            Class::CreateView {
                name,
                placeholder: false,
            } => ("view", name),
            Class::CreateTrigger { name, .. } => ("trigger", name),
            Class::CreateRoutine { kind, name } => (routine(*kind), name),
            Class::CreateEvent(name) => ("event", name),
            Class::CreateSequence(name) | Class::SetSequence(name) => ("sequence", name),
            _ => return,
        };
        let key = self.object_key(kind, name);
        if let Class::CreateTrigger { table, .. } = class {
            let table = self.key(table);
            self.digests.fires(table, key.clone());
        }
        self.digests.object(key, session, &canonical(tokens));
    }

    fn drop_objects(&mut self, kind: &str, names: &[Name]) {
        for name in names {
            let key = self.object_key(kind, name);
            self.digests.drop_object(&key);
        }
    }

    fn object_key(&mut self, kind: &str, name: &Name) -> String {
        format!("{kind} {}", self.key(name))
    }

    fn define(
        &mut self,
        name: &Name,
        references: &[Name],
        tokens: &[Token<'_>],
        session: &str,
    ) -> String {
        let table = self.key(name);
        let database =
            |reference: &Name| reference.database.clone().or_else(|| name.database.clone());
        let references: Vec<String> = references
            .iter()
            .map(|reference| {
                self.key(&Name {
                    database: database(reference),
                    name: reference.name.clone(),
                })
            })
            .collect();
        self.ties.add(&table, &references, tokens);
        self.digests
            .define(&table, session, &canonical(tokens), references);
        if let Some(counter) = counter(tokens) {
            self.digests.counts_from(&table, counter);
        }
        table
    }
}

/// `CHARACTER SET x COLLATE y` of a CREATE DATABASE.
fn database_charset(tokens: &[Token<'_>]) -> Option<String> {
    let mut clauses = Vec::new();
    let mut phrase = Phrase::new(tokens);
    while let Some(token) = phrase.next() {
        let clause = if token.is("COLLATE") {
            "COLLATE"
        } else if token.is("CHARSET") || (token.is("CHARACTER") && phrase.word("SET")) {
            "CHARACTER SET"
        } else {
            continue;
        };
        phrase.punctuation(b'=');
        // Nothing but a name may go into a statement of ours.
        let name = phrase
            .next()
            .map(|token| String::from_utf8_lossy(token.text));
        let name = name.unwrap_or_default();
        let name = name.trim_matches(['\'', '"', '`']);
        if !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            clauses.push(format!("{clause} {name}"));
        }
    }
    (!clauses.is_empty()).then(|| clauses.join(" "))
}

const fn routine(kind: RoutineKind) -> &'static str {
    match kind {
        RoutineKind::Procedure => "procedure",
        RoutineKind::Function => "function",
        RoutineKind::Package => "package",
        RoutineKind::PackageBody => "package body",
    }
}
