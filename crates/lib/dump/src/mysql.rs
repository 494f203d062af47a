//! Dumps of MySQL and MariaDB, read as their clients do: what they define, insert and set.

mod actions;
mod assignment;
mod beginning;
mod catalog;
mod classify;
mod computed;
mod digests;
mod frame;
mod insert;
mod phrase;
mod proof;
mod rows;
mod script;
mod session;
mod single;
pub(crate) mod table;
mod transaction;
mod walk;
mod whereabouts;

use std::collections::VecDeque;

use pilotfish_sql::MySql;

use crate::grammar::{Contents, Grammar, Step};
use crate::marks::{Comparer, Marking, Recorder};
use crate::window::Window;
use crate::{Error, Item, Options, TableDigest};
use catalog::Catalog;
use script::{Script, Shared};

/// A dump being read.
pub(crate) struct Dump {
    server: MySql,
    shared: Shared,
    script: Option<Script>,
}

impl Dump {
    pub(crate) fn new(server: MySql, options: Options) -> Self {
        let marking = match options.marks {
            true => Marking::Record(Recorder::default()),
            false => Marking::Off,
        };
        Self {
            server,
            shared: Shared {
                options,
                catalog: Catalog::default(),
                ready: VecDeque::new(),
                left_out: Vec::new(),
                marking,
            },
            script: None,
        }
    }
}

impl Grammar for Dump {
    fn begin(&mut self, window: Window) -> Result<(), Error> {
        let charset = &self.shared.options.default_charset;
        let mut script = Script::new(window, &self.server, charset);
        script.begin()?;
        self.shared.catalog.new_session();
        self.script = Some(script);
        Ok(())
    }

    fn step(&mut self) -> Result<Step, Error> {
        let Some(script) = &mut self.script else {
            return Ok(Step::Over { proven: true });
        };
        let step = script.step(&mut self.shared)?;
        if matches!(step, Step::Over { .. }) {
            self.shared.marking.end_file();
            self.shared.pass_marks();
        }
        Ok(step)
    }

    fn compare(&mut self, comparer: Comparer) {
        self.shared.marking = Marking::Compare(comparer);
    }

    fn ready(&mut self) -> &mut VecDeque<Item> {
        &mut self.shared.ready
    }

    fn home(&self) -> Option<Option<&str>> {
        self.shared.catalog.home()
    }

    fn charset(&self) -> Option<&str> {
        self.shared.catalog.charset()
    }

    fn finish(self: Box<Self>) -> Contents {
        let opaque = self.shared.catalog.digests.is_opaque();
        let (mut tables, objects) = self.shared.catalog.digests.finish();
        // What changes rows otherwise leaves marks that say nothing of them.
        let rows = |name: &str| {
            let table = tables.get(name).filter(|table| table.marked && !opaque);
            table.map(|table| table.rows)
        };
        let whole =
            |name: &String, table: &TableDigest| self.shared.marking.has_all(name, table.rows);
        let marked: Vec<bool> = tables
            .iter()
            .map(|(name, table)| whole(name, table))
            .collect();
        let differences = self.shared.marking.differences(rows);
        for (table, marked) in tables.values_mut().zip(marked) {
            table.marked &= marked && !opaque;
        }
        Contents {
            tables,
            objects,
            opaque,
            left_out: self.shared.left_out,
            differences,
            ..Contents::default()
        }
    }
}
