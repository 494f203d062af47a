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
mod table;
mod transaction;
mod walk;
mod whereabouts;

use std::collections::VecDeque;

use pilotfish_sql::MySql;

use crate::grammar::{Contents, Grammar, Step};
use crate::window::Window;
use crate::{Error, Item, Options};
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
        Self {
            server,
            shared: Shared {
                options,
                catalog: Catalog::default(),
                ready: VecDeque::new(),
                left_out: Vec::new(),
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
        match &mut self.script {
            Some(script) => script.step(&mut self.shared),
            None => Ok(Step::Over { proven: true }),
        }
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
        let (tables, objects) = self.shared.catalog.digests.finish();
        Contents {
            tables,
            objects,
            opaque,
            left_out: self.shared.left_out,
            ..Contents::default()
        }
    }
}
