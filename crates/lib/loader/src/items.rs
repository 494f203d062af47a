//! What each statement of a dump means for a load.

use std::collections::BTreeSet;

use pilotfish_dump::{Class, Existing, Position, RoutineKind, Rows, Statement};
use pilotfish_engine::load::ObjectKind;
use pilotfish_failure::{Failure, Kind};
use pilotfish_sql::mysql::{Name, quote};

/// What to do with a statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing: noise, state of the dump's server, or about a table that is left as it is.
    Leave,
    /// Run it on the dump's session.
    Session,
    /// Run it alone: everything before must have happened. It may fire triggers of tables of these names.
    Barrier(BTreeSet<String>),
    /// Run it on the dump's session, once all rows before it are in.
    Define,
    /// Run it on any connection, once the rows of these tables are in; others may run on them at the same time.
    Key {
        tables: BTreeSet<String>,
        shared: bool,
    },
    /// A sequence is made or set.
    Sequence(String),
    CreateTable {
        name: String,
        existing: Existing,
    },
    AlterTable(String),
    DropTables(Dropped),
    DropSequences(Dropped),
    /// The whole database, which a load begins with anyway.
    DropDatabase,
    /// It follows the swap.
    Object {
        kind: ObjectKind,
        name: String,
        table: Option<String>,
        existing: Existing,
    },
    /// They do not follow the swap after all.
    DropObjects(ObjectKind, Vec<String>),
}

/// What a statement drops.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) names: Vec<String>,
    /// Where others that it names stay as they are: what drops these alone.
    pub(crate) instead: Option<String>,
}

/// Decides per statement; refuses what a load must never do.
#[derive(Debug)]
pub(crate) struct Router {
    /// The dump's own name for its database; other names are refused.
    database: String,
    selection: Selection,
}

/// Which tables take part.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// `None`: all of them.
    pub(crate) only: Option<BTreeSet<String>>,
    /// Not these.
    pub(crate) skip: BTreeSet<String>,
    /// Made as the dump has them, with the rows that are live.
    pub(crate) carried: BTreeSet<String>,
    /// Which sequences; `None`: all of them, until it is known which are drawn from.
    pub(crate) sequences: Option<BTreeSet<String>>,
}

impl Router {
    pub(crate) const fn new(database: String, selection: Selection) -> Self {
        Self {
            database,
            selection,
        }
    }

    /// The table these rows go to; `None` when it is left as it is.
    pub(crate) fn rows(&self, rows: &Rows) -> Result<Option<String>, Failure> {
        self.own(&rows.head.table, &rows.position)?;
        let name = &rows.head.table.name;
        Ok(self.loads(name).then(|| name.clone()))
    }

    /// Whether the dump's rows of a table are loaded.
    pub(crate) fn loads(&self, table: &str) -> bool {
        self.takes(table) && !self.carries(table)
    }

    /// Whether a table keeps the rows that are live.
    pub(crate) fn carries(&self, table: &str) -> bool {
        self.selection.carried.contains(table)
    }

    pub(crate) fn route(&self, statement: &Statement) -> Result<Action, Failure> {
        let at = &statement.position;
        let object = |kind, name: &Name, table: Option<&Name>| {
            self.own(name, at)?;
            let table = table.map(|table| table.name.clone());
            Ok(Action::Object {
                kind,
                name: name.name.clone(),
                table,
                existing: statement.existing,
            })
        };
        let dropped =
            |kind, names: &[Name]| Ok(Action::DropObjects(kind, self.own_names(names, at)?));
        match &statement.class {
            Class::Session => Ok(Action::Session),
            Class::UseDatabase(name) | Class::CreateDatabase(name) | Class::AlterDatabase(name) => {
                self.own_database(name, at)?;
                Ok(Action::Leave)
            }
            Class::DropDatabase(name) => {
                self.own_database(name, at)?;
                Ok(Action::DropDatabase)
            }
            Class::CreateTable { name, .. } => {
                let action = Action::CreateTable {
                    name: name.name.clone(),
                    existing: statement.existing,
                };
                self.table(name, at, action)
            }
            Class::AlterTable {
                name,
                keys_switch: false,
                ..
            }
            | Class::CreateIndex { table: name } => {
                self.table(name, at, Action::AlterTable(name.name.clone()))
            }
            Class::DropTable { names } => self.drop_tables(names, at),
            Class::CreateSequence(name) | Class::SetSequence(name) => self.sequence(name, at),
            Class::CreateView {
                placeholder: true, ..
            }
            | Class::AlterTable { .. }
            | Class::Lock
            | Class::Transaction
            | Class::Empty => Ok(Action::Leave),
            Class::CreateView { name, .. } => object(ObjectKind::View, name, None),
            Class::CreateTrigger { name, table } => object(ObjectKind::Trigger, name, Some(table)),
            Class::CreateRoutine { kind, name } => object(routine(*kind), name, None),
            Class::CreateEvent(name) => object(ObjectKind::Event, name, None),
            Class::DropView { names } => dropped(ObjectKind::View, names),
            Class::DropTrigger(name) => dropped(ObjectKind::Trigger, std::slice::from_ref(name)),
            Class::DropEvent(name) => dropped(ObjectKind::Event, std::slice::from_ref(name)),
            Class::DropRoutine { kind, name } => {
                dropped(routine(*kind), std::slice::from_ref(name))
            }
            Class::DropSequence { names } => self.drop_sequences(names, at),
            Class::ServerState => {
                tracing::debug!(position = %at, "leaves out a statement about the state of the dump's server");
                Ok(Action::Leave)
            }
            Class::Account => Err(Failure::new(
                Kind::BadData,
                format!("read {at}: the dump makes or changes accounts, which a load never does"),
            )
            .with_hint("dump without --system=users and without the mysql database")),
            Class::Other { changes } => Ok(Action::Barrier(changes.clone())),
            Class::Definition | Class::SequenceValue => Ok(Action::Define),
            Class::LargeObject => Ok(Action::Barrier(BTreeSet::new())),
            Class::Key { tables, shared } => Ok(Action::Key {
                tables: self.own_names(tables, at)?.into_iter().collect(),
                shared: *shared,
            }),
        }
    }

    fn table(&self, name: &Name, at: &Position, action: Action) -> Result<Action, Failure> {
        self.own(name, at)?;
        Ok(if self.takes(&name.name) {
            action
        } else {
            Action::Leave
        })
    }

    fn drop_tables(&self, names: &[Name], at: &Position) -> Result<Action, Failure> {
        let dropped = self.dropped("TABLE", names, at, |name| self.takes(name))?;
        Ok(dropped.map_or(Action::Leave, Action::DropTables))
    }

    fn sequence(&self, name: &Name, at: &Position) -> Result<Action, Failure> {
        self.own(name, at)?;
        Ok(if self.takes_sequence(&name.name) {
            Action::Sequence(name.name.clone())
        } else {
            Action::Leave
        })
    }

    fn drop_sequences(&self, names: &[Name], at: &Position) -> Result<Action, Failure> {
        let dropped = self.dropped("SEQUENCE", names, at, |name| self.takes_sequence(name))?;
        Ok(dropped.map_or(Action::Leave, Action::DropSequences))
    }

    /// What is taken of several names; `None` where that is nothing. What stays as it is does so without a stage, too.
    fn dropped(
        &self,
        kind: &str,
        names: &[Name],
        at: &Position,
        takes: impl Fn(&str) -> bool,
    ) -> Result<Option<Dropped>, Failure> {
        let mut taken = self.own_names(names, at)?;
        taken.retain(|name| takes(name));
        if taken.is_empty() {
            return Ok(None);
        }
        let instead = (taken.len() < names.len()).then(|| {
            let quoted: Vec<String> = taken.iter().map(|name| quote(name)).collect();
            format!("DROP {kind} IF EXISTS {}", quoted.join(", "))
        });
        Ok(Some(Dropped {
            names: taken,
            instead,
        }))
    }

    fn own_names(&self, names: &[Name], at: &Position) -> Result<Vec<String>, Failure> {
        names
            .iter()
            .map(|name| self.own(name, at).map(|()| name.name.clone()))
            .collect()
    }

    /// Whether a table is staged, with the dump's rows or those that are live.
    pub(crate) fn takes(&self, table: &str) -> bool {
        self.selection
            .only
            .as_ref()
            .is_none_or(|only| only.contains(table) || self.carries(table))
            && !self.selection.skip.contains(table)
    }

    fn takes_sequence(&self, name: &str) -> bool {
        let chosen = self.selection.sequences.as_ref();
        chosen.is_none_or(|chosen| chosen.contains(name))
    }

    fn own(&self, name: &Name, at: &Position) -> Result<(), Failure> {
        name.database
            .as_ref()
            .map_or(Ok(()), |database| self.own_database(database, at))
    }

    fn own_database(&self, database: &str, at: &Position) -> Result<(), Failure> {
        if self.database == database {
            return Ok(());
        }
        let own = &self.database;
        Err(Failure::new(
            Kind::BadData,
            format!(
                "read {at}: the dump names the database {database} beside {own}; one load fills one"
            ),
        )
        .with_hint("dump one database per file"))
    }
}

const fn routine(kind: RoutineKind) -> ObjectKind {
    match kind {
        RoutineKind::Procedure => ObjectKind::Procedure,
        RoutineKind::Function => ObjectKind::Function,
        RoutineKind::Package => ObjectKind::Package,
        RoutineKind::PackageBody => ObjectKind::PackageBody,
    }
}
