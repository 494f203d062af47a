//! Which part of a dump of several databases is read.
//!
//! pg_dumpall writes what belongs to the whole cluster, then one part for each database, behind its
//! `\connect`. `template1` and `postgres` are there even if nobody uses them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pilotfish_sql::postgres::Token;

use crate::{Class, Item, Statement};

/// Databases that every cluster has.
const OWN: [&str; 2] = ["postgres", "template1"];

/// What a database's part is told from.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    wanted: Option<String>,
    /// This file is one of pg_dumpall.
    cluster: bool,
    /// What `\connect` last said in this file.
    current: Option<String>,
    /// The database whose part is read.
    chosen: Option<String>,
    /// The dump's own database, once the first definition or row has told: `Some(None)` if it names none.
    home: Option<Option<String>>,
    /// What came before it is known whether its database is read.
    held: Vec<Statement>,
    /// What CREATE DATABASE says of encoding and locale.
    charsets: BTreeMap<String, String>,
    /// Databases that have a part.
    named: BTreeSet<String>,
    /// Databases that are not read and have something in them.
    passed: BTreeSet<String>,
    /// Statements about roles and tablespaces that were left out.
    cluster_wide: u64,
}

enum Reads {
    Yes,
    No,
    /// Nothing in the part yet that says whether it is read.
    Hold,
}

impl Sections {
    pub(crate) fn new(wanted: Option<String>) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// A new file begins.
    pub(crate) fn begin(&mut self) {
        self.cluster = false;
        self.current = None;
        self.held.clear();
    }

    /// The file says that it is one of pg_dumpall.
    pub(crate) fn is_cluster(&mut self, cluster: bool) {
        self.cluster |= cluster;
    }

    pub(crate) fn home(&self) -> Option<Option<&str>> {
        self.home.as_ref().map(Option::as_deref)
    }

    pub(crate) fn charset(&self) -> Option<&str> {
        let home = self.home.as_ref()?.as_ref()?;
        self.charsets.get(home).map(String::as_str)
    }

    /// `\connect`.
    pub(crate) fn connect(&mut self, database: &str) {
        self.held
            .retain(|statement| of_database(&statement.class) == Some(database));
        self.named.insert(database.to_owned());
        self.current = Some(database.to_owned());
    }

    /// Notes what `CREATE DATABASE` says.
    pub(crate) fn create(&mut self, database: &str, tokens: &[Token<'_>]) {
        if let Some(charset) = charset(tokens) {
            self.charsets.insert(database.to_owned(), charset);
        }
    }

    /// Hands a statement out, holds it, or leaves it out; answers whether it is read.
    ///
    /// # Errors
    /// Where another database's part is read already.
    pub(crate) fn statement(
        &mut self,
        statement: Statement,
        ready: &mut VecDeque<Item>,
    ) -> Result<bool, String> {
        let class = &statement.class;
        let database = match class {
            Class::UseDatabase(_) => None,
            class => of_database(class).map(str::to_owned),
        };
        let reads = match database {
            Some(name) if self.cluster => match &self.chosen {
                None => Reads::Hold,
                Some(chosen) if *chosen == name => Reads::Yes,
                Some(_) => Reads::No,
            },
            _ => self.judge(is_content(class), ready)?,
        };
        if let Class::CreateDatabase(name) = class
            && !self.cluster
        {
            self.home.get_or_insert_with(|| Some(name.clone()));
        }
        let unread = self.cluster && self.current.is_none();
        if unread && matches!(class, Class::Account | Class::ServerState) {
            self.cluster_wide += 1;
        }
        match reads {
            Reads::Yes => ready.push_back(Item::Statement(statement)),
            Reads::Hold => self.held.push(statement),
            Reads::No => {}
        }
        Ok(matches!(reads, Reads::Yes))
    }

    /// Whether rows that come now are read.
    ///
    /// # Errors
    /// Where another database's part is read already.
    pub(crate) fn rows(&mut self, ready: &mut VecDeque<Item>) -> Result<bool, String> {
        Ok(matches!(self.judge(true, ready)?, Reads::Yes))
    }

    fn judge(&mut self, content: bool, ready: &mut VecDeque<Item>) -> Result<Reads, String> {
        let Some(current) = self.current.clone() else {
            if content && !self.cluster {
                self.home.get_or_insert(None);
            }
            return Ok(match self.cluster {
                true => Reads::No,
                false => Reads::Yes,
            });
        };
        if self.chosen.as_ref() == Some(&current) {
            return Ok(Reads::Yes);
        }
        let wanted = self.wanted.as_deref();
        match (&self.chosen, wanted) {
            (_, Some(wanted)) if self.cluster && wanted != current => {
                return Ok(self.pass(current, content));
            }
            (_, None) if self.cluster && OWN.contains(&&*current) => {
                return Ok(self.pass(current, content));
            }
            (None, None) if self.cluster && !content => return Ok(Reads::Hold),
            (None, _) => {}
            (Some(chosen), Some(wanted)) if chosen == wanted => {
                return Ok(self.pass(current, content));
            }
            (Some(_), _) if !content => return Ok(Reads::No),
            (Some(chosen), _) => {
                return Err(format!(
                    "a dump of several databases, {chosen} and {current}: say which one is read with --into"
                ));
            }
        }
        self.home = Some(Some(current.clone()));
        self.chosen = Some(current);
        let held = std::mem::take(&mut self.held);
        ready.extend(held.into_iter().map(Item::Statement));
        Ok(Reads::Yes)
    }

    /// Leaves a part out, and remembers that where it has something in it.
    fn pass(&mut self, database: String, content: bool) -> Reads {
        if content {
            self.passed.insert(database);
        }
        Reads::No
    }

    /// At the end of a file: whether it had what was asked for.
    ///
    /// # Errors
    /// Where it is a dump of other databases.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        match &self.wanted {
            Some(wanted) if self.cluster && self.chosen.is_none() => {
                let named: Vec<_> = self.named.iter().map(String::as_str).collect();
                Err(match named.is_empty() {
                    true => "a dump of roles and tablespaces alone, and of no database: \
                             it is psql that brings these to a server"
                        .to_owned(),
                    false => format!(
                        "a dump of other databases than {wanted}: it has {}",
                        named.join(", ")
                    ),
                })
            }
            _ => Ok(()),
        }
    }

    /// What was left out, in words.
    pub(crate) fn left_out(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.cluster_wide > 0 {
            lines.push(format!(
                "{} statements about roles and tablespaces of the whole cluster",
                self.cluster_wide
            ));
        }
        let passed = self.passed.iter();
        lines.extend(passed.map(|name| format!("what the dump has in the database {name}")));
        lines
    }
}

/// The database that a statement is about.
fn of_database(class: &Class) -> Option<&str> {
    match class {
        Class::CreateDatabase(name) | Class::AlterDatabase(name) | Class::DropDatabase(name) => {
            Some(name)
        }
        _ => None,
    }
}

/// Whether a part with such a statement has something in it.
const fn is_content(class: &Class) -> bool {
    !matches!(
        class,
        Class::Session
            | Class::Transaction
            | Class::UseDatabase(_)
            | Class::CreateDatabase(_)
            | Class::AlterDatabase(_)
            | Class::DropDatabase(_)
            | Class::Account
            | Class::ServerState
            | Class::Lock
            | Class::Empty
    )
}

/// `ENCODING = 'UTF8' LOCALE = 'C'` of a CREATE DATABASE.
fn charset(tokens: &[Token<'_>]) -> Option<String> {
    const CLAUSES: [&str; 8] = [
        "ENCODING",
        "LOCALE_PROVIDER",
        "LOCALE",
        "LC_COLLATE",
        "LC_CTYPE",
        "ICU_LOCALE",
        "ICU_RULES",
        "BUILTIN_LOCALE",
    ];
    let mut clauses = Vec::new();
    for three in tokens.windows(3) {
        let [clause, is, value] = three else {
            continue;
        };
        if is.text == b"="
            && let Some(word) = CLAUSES.iter().find(|word| clause.is(word))
        {
            let text = value
                .string()
                .map(|text| String::from_utf8_lossy(&text).into_owned());
            let text = text.or_else(|| value.name())?;
            clauses.push(format!(
                "{word} = {}",
                pilotfish_sql::postgres::quote_literal(&text)
            ));
        }
    }
    (!clauses.is_empty()).then(|| clauses.join(" "))
}
