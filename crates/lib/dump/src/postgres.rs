//! Dumps of PostgreSQL as SQL text, read as psql does: what they define, copy, insert and set.

pub(crate) mod archive;
mod classify;
mod command;
mod copy;
mod digests;
mod frame;
mod insert;
mod lexeme;
mod object;
mod phrase;
mod proof;
mod roles;
mod rows;
mod script;
mod sections;
mod session;
mod transaction;

use std::collections::VecDeque;

use pilotfish_sql::postgres::{Mode, TokenKind, tokens};

use crate::beginning::Stranger;
use crate::grammar::{Contents, Grammar, Step};
use crate::marks::{Comparer, Marking, Recorder};
use crate::window::Window;
use crate::{Error, Item, Options, Roles, TableDigest, beginning};
use digests::{Digests, Finished};
use script::{Script, Shared};
use sections::Sections;

/// A dump being read.
pub(crate) struct Dump {
    shared: Shared,
    script: Option<Script>,
}

impl Dump {
    pub(crate) fn new(options: Options) -> Self {
        let sections = Sections::new(options.database.clone());
        let marking = match options.marks && !options.skim {
            true => Marking::Record(Recorder::lenient()),
            false => Marking::Off,
        };
        Self {
            shared: Shared {
                options,
                digests: Digests::default(),
                ready: VecDeque::new(),
                sections,
                roles: Roles::default(),
                large_objects: false,
                statistics: false,
                marking,
            },
            script: None,
        }
    }
}

impl Grammar for Dump {
    fn begin(&mut self, window: Window) -> Result<(), Error> {
        let mut script = Script::new(window);
        script.begin()?;
        self.shared.sections.begin();
        self.script = Some(script);
        Ok(())
    }

    fn step(&mut self) -> Result<Step, Error> {
        match &mut self.script {
            Some(script) => script.step(&mut self.shared),
            None => Ok(Step::Over { proven: true }),
        }
    }

    fn compare(&mut self, comparer: Comparer) {
        self.shared.marking = Marking::Compare(comparer);
    }

    fn ready(&mut self) -> &mut VecDeque<Item> {
        &mut self.shared.ready
    }

    fn home(&self) -> Option<Option<&str>> {
        self.shared.sections.home()
    }

    fn charset(&self) -> Option<&str> {
        self.shared.sections.charset()
    }

    fn finish(self: Box<Self>) -> Contents {
        let Shared {
            options,
            marking,
            digests,
            sections,
            roles,
            large_objects,
            statistics,
            ..
        } = self.shared;
        let opaque = digests.is_opaque();
        let Finished {
            mut tables,
            objects,
            unmade,
        } = digests.finish();
        // Rows were marked by the keys that the dump was said to have.
        let as_said = |name: &str, table: &TableDigest| {
            !opaque && options.keys.get(name).is_some_and(|key| *key == table.key)
        };
        for (name, table) in &mut tables {
            table.marked = as_said(name, table) && marking.has_all(name, table.rows);
        }
        let rows = |name: &str| {
            let table = tables.get(name).filter(|table| as_said(name, table));
            table.map(|table| table.rows)
        };
        let differences = marking.differences(rows);
        let mut left_out = sections.left_out();
        left_out.extend(
            statistics.then(|| "the planner's statistics, which ANALYZE makes anew".to_owned()),
        );
        Contents {
            tables,
            objects,
            opaque,
            left_out,
            roles,
            large_objects,
            unmade,
            differences,
        }
    }
}

/// What a file that begins so is instead of SQL text.
fn begins(data: &[u8]) -> Option<&'static str> {
    const STRANGER: Stranger = Stranger {
        archive: "this is an archive of pg_dump: make it SQL text with pg_restore --file, or dump again with --format=plain",
        heads: &["-- MySQL dump", "-- MariaDB dump", "/*M!", "/*!"],
        text: "this is a dump of MariaDB or MySQL, and this server is PostgreSQL",
    };
    let head = &data[..data.len().min(beginning::HEAD)];
    let mut tokens = tokens(head, Mode::default());
    let values = match (tokens.next(), tokens.next()) {
        (Some(first), Some(second)) => {
            let value = matches!(
                first.kind,
                TokenKind::String | TokenKind::Number | TokenKind::QuotedName
            );
            // Where the head ends may be the middle of a word.
            let whole = second.end() < head.len() || head.len() == data.len();
            value || first.kind == TokenKind::Word && second.text == b"," && whole
        }
        _ => false,
    };
    beginning::no_sql(head, &STRANGER, values)
}
