//! One file of a dump, read as one session: pieces in, items out.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use pilotfish_sql::MySql;
use pilotfish_sql::mysql::{Mode, Token};

use crate::beginning::{self, UTF8_MARK};
use crate::error::excerpt;
use crate::grammar::Step;
use crate::marks::Marking;
use crate::mysql::beginning::{STRANGER, is_list_of_values};
use crate::mysql::catalog::Catalog;
use crate::mysql::classify::{classify, existing, is_missed, kept_of_set};
use crate::mysql::frame::{
    Between, Ending, LOOKAHEAD, View, delimiter_argument, is_client_command,
};
use crate::mysql::phrase::running;
use crate::mysql::proof::Proof;
use crate::mysql::rows::{Gathered, Inserting, Known};
use crate::mysql::session::{Session, refuse_looking_back};
use crate::mysql::single::refuse_several;
use crate::mysql::transaction::Transaction;
use crate::mysql::whereabouts;
use crate::window::Window;
use crate::{Class, Error, Existing, Item, Options, Position, Statement};

/// What is not decided with this much in memory beyond the limit of a statement is longer than that.
pub(crate) const BEYOND: usize = 4 * LOOKAHEAD;

/// What all files of a dump share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) catalog: Catalog,
    pub(crate) ready: VecDeque<Item>,
    /// See [`crate::Summary::left_out`].
    pub(crate) left_out: Vec<String>,
    pub(crate) marking: Marking,
}

impl Shared {
    /// Hands out the marks that are ready.
    pub(crate) fn pass_marks(&mut self) {
        self.ready
            .extend(self.marking.take_ready().into_iter().map(Item::Marks));
    }
}

/// One file being read.
pub(crate) struct Script {
    pub(crate) window: Window,
    /// Longest row that the server takes.
    pub(crate) max_packet: usize,
    pub(crate) delimiter: Vec<u8>,
    pub(crate) session: Session,
    pub(crate) transaction: Transaction,
    pub(crate) proof: Proof,
    /// The INSERT whose tuples come next.
    pub(crate) inserting: Option<Inserting>,
    /// The head of the last INSERT, while nothing has changed what it means.
    pub(crate) known: Option<Arc<Known>>,
    /// Rows that may still be joined by more of the same head.
    pub(crate) gathered: Option<Gathered>,
    /// A buffer to be used again.
    pub(crate) spare: Vec<u8>,
}

impl Script {
    pub(crate) fn new(window: Window, server: &MySql, charset: &str) -> Self {
        Self {
            max_packet: server.max_packet,
            window,
            delimiter: b";".to_vec(),
            session: Session::new(server.flavour, charset, &server.sql_mode),
            transaction: Transaction::default(),
            proof: Proof::default(),
            inserting: None,
            known: None,
            gathered: None,
            spare: Vec::new(),
        }
    }

    /// Reads enough to see what kind of file it is, and turns away what is no SQL text.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        while self.window.data().len() < beginning::HEAD && !self.window.ended() {
            self.fill()?;
        }
        if self.window.data().starts_with(UTF8_MARK) {
            self.window.consume(UTF8_MARK.len());
        }
        let data = self.window.data();
        let head = &data[..data.len().min(beginning::HEAD)];
        let values = is_list_of_values(head, self.mode());
        match beginning::no_sql(head, &STRANGER, values) {
            Some(what) => Err(Error::NoSql {
                file: self.window.position(0).file.to_string(),
                what,
            }),
            None => Ok(()),
        }
    }

    /// Does a little: one piece of the text, or one read.
    pub(crate) fn step(&mut self, shared: &mut Shared) -> Result<Step, Error> {
        if self.inserting.is_some() {
            self.walk_rows(shared)?;
            return Ok(Step::More);
        }
        match self.view().between() {
            Between::NeedMore => self.fill_within("a comment", shared)?,
            Between::End => return self.end(shared),
            Between::Blank(length) | Between::Delimiter(length) => self.window.consume(length),
            Between::Comment(length) => {
                self.bounded(length, "a comment", shared)?;
                self.window.consume(length);
            }
            Between::LineComment(length) => {
                self.bounded(length, "a comment", shared)?;
                self.line_comment(length)?;
            }
            Between::Open => {
                self.bounded(self.window.data().len(), "a comment", shared)?;
                return Err(Error::cut_off(self.window.position(0), "inside a comment"));
            }
            Between::Statement => self.statement(shared)?,
        }
        Ok(Step::More)
    }

    pub(crate) fn view(&self) -> View<'_> {
        View {
            data: self.window.data(),
            ended: self.window.ended(),
            delimiter: &self.delimiter,
            mode: self.mode(),
        }
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.session.mode()
    }

    fn line_comment(&mut self, length: usize) -> Result<(), Error> {
        let noted = self.proof.comment(&self.window.data()[..length]);
        noted.map_err(|what| Error::cut_off(self.window.position(0), &what))?;
        self.window.consume(length);
        Ok(())
    }

    /// A statement, or something the client would take for one, begins here.
    fn statement(&mut self, shared: &mut Shared) -> Result<(), Error> {
        let word = self.view().first_word();
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
        if is("delimiter") {
            return self.change_delimiter();
        }
        if is_client_command(word) {
            return Err(self.window.refused(
                0,
                "the client command that begins here: take it out of the dump",
            ));
        }
        if is("use") && !self.delimiter_in_line(shared.options.statement_limit) {
            return self.use_line(shared);
        }
        if (is("insert") || is("replace")) && self.begin_rows(shared)? {
            return Ok(());
        }
        self.whole_statement(shared)
    }

    /// Whether the delimiter comes before the line's end. What lies beyond `limit` does not count, in
    /// memory or not: it is too far for a statement.
    fn delimiter_in_line(&self, limit: usize) -> bool {
        let data = self.window.data();
        let near = &data[..data.len().min(limit.saturating_add(BEYOND + 1))];
        let line = memchr::memchr(b'\n', near).map_or(near, |end| &near[..end]);
        memchr::memmem::find(line, &self.delimiter).is_some()
    }

    /// The client carries out USE at the end of its line, delimiter or not.
    fn use_line(&mut self, shared: &mut Shared) -> Result<(), Error> {
        let Some((line, next)) = self.view().line() else {
            return self.fill_within("a statement", shared);
        };
        let text = Bytes::copy_from_slice(line);
        self.bounded(text.len(), "a statement", shared)?;
        let at = self.window.position(0);
        self.window.consume(next);
        self.take_statement(text, at, shared)
    }

    fn whole_statement(&mut self, shared: &mut Shared) -> Result<(), Error> {
        match self.ending("a statement", shared)? {
            Ending::NeedMore => self.fill_within("a statement", shared),
            Ending::At { length, next } => {
                let at = self.window.position(0);
                let text = Bytes::copy_from_slice(self.window.data()[..length].trim_ascii_end());
                self.window.consume(next);
                self.take_statement(text, at, shared)
            }
            Ending::Open(inside) => Err(Error::cut_off(
                self.window.position(0),
                &format!("inside {inside} that began here"),
            )),
            Ending::Command(at) => Err(self.window.refused(
                at,
                "a client command with a backslash: take it out of the dump",
            )),
        }
    }

    /// Where the piece here ends, if that is within the limit.
    pub(crate) fn ending(&mut self, what: &'static str, shared: &Shared) -> Result<Ending, Error> {
        let ending = self.view().ending(0);
        let length = match ending {
            Ending::NeedMore => 0,
            Ending::At { length, .. } | Ending::Command(length) => length,
            Ending::Open(_) => self.window.data().len(),
        };
        self.bounded(length, what, shared).map(|()| ending)
    }

    /// Reads on within a piece that is not whole yet, up to the limit.
    pub(crate) fn fill_within(&mut self, what: &'static str, shared: &Shared) -> Result<(), Error> {
        self.bounded(
            self.window.data().len().saturating_sub(BEYOND),
            what,
            shared,
        )?;
        self.fill()
    }

    /// Holds a piece against the limit, however much of it was read at once.
    pub(crate) fn bounded(
        &mut self,
        length: usize,
        what: &'static str,
        shared: &Shared,
    ) -> Result<(), Error> {
        self.window
            .bounded(length, what, shared.options.statement_limit)
    }

    fn change_delimiter(&mut self) -> Result<(), Error> {
        let Some((line, next)) = self.view().line() else {
            return self.fill();
        };
        let Some(delimiter) = delimiter_argument(line).map(<[u8]>::to_vec) else {
            return Err(self
                .window
                .malformed(0, "this DELIMITER command has no usable argument"));
        };
        self.delimiter = delimiter;
        self.window.consume(next);
        Ok(())
    }

    /// Classifies a statement, follows what it does to the session, and passes it on.
    pub(crate) fn take_statement(
        &mut self,
        text: Bytes,
        at: Position,
        shared: &mut Shared,
    ) -> Result<(), Error> {
        self.pass_gathered(shared);
        self.known = None;
        let class = classify(&text, self.mode());
        let mode = self.mode();
        let tokens = running(&text, mode);
        let followed = self
            .judge(&class, &tokens, &mut shared.catalog)
            .and_then(|()| self.transaction.apply(&class, &tokens, &at))
            .and_then(|()| self.session.apply(&tokens));
        if let Err(what) = followed {
            return Err(Error::Refused {
                at,
                what,
                head: excerpt(&text),
            });
        }
        if matches!(class, Class::Transaction | Class::ServerState)
            && let Some(kept) = kept_of_set(&text, &tokens)
        {
            shared.ready.push_back(Item::Statement(Statement {
                class: Class::Session,
                text: kept.into(),
                position: at.clone(),
                existing: Existing::default(),
            }));
        }
        if class == Class::ServerState && shared.left_out.len() < NAMED && is_missed(&tokens) {
            shared.left_out.push(format!("{} ({at})", excerpt(&text)));
        }
        let aside = matches!(
            class,
            Class::Session
                | Class::Transaction
                | Class::Lock
                | Class::ServerState
                | Class::UseDatabase(_)
                | Class::Empty
        );
        if !aside {
            self.session.goes_on();
            self.proof.goes_on();
        }
        if matches!(class, Class::AlterDatabase(_)) {
            self.session
                .alter_database(tokens.get(3..).unwrap_or_default());
        }
        let existing = existing(&tokens);
        shared
            .catalog
            .record(&class, existing, &tokens, &self.session.key());
        drop(tokens);
        shared.ready.push_back(Item::Statement(Statement {
            class,
            text,
            position: at,
            existing,
        }));
        Ok(())
    }

    /// Refuses what a load would not do as the client does.
    fn judge(
        &self,
        class: &Class,
        tokens: &[Token<'_>],
        catalog: &mut Catalog,
    ) -> Result<(), String> {
        refuse_several(class, tokens, self.session.is_oracle())?;
        if let Class::Session | Class::Other { .. } | Class::SetSequence(_) = class {
            refuse_looking_back(tokens)?;
        }
        whereabouts::refuse(class, tokens)?;
        match class {
            Class::Other { changes } => {
                let acting = self.session.checks_foreign_keys();
                catalog.ties.refuse_other(tokens, changes, acting)
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, shared: &mut Shared) -> Result<Step, Error> {
        self.pass_gathered(shared);
        if let Some(at) = self.transaction.open() {
            let what = "these rows are never committed: the stock client would lose them";
            return Err(Error::cut_off(at.clone(), what));
        }
        let proven = self.proof.finish(&self.session);
        let proven = proven.map_err(|what| Error::cut_off(self.window.position(0), &what))?;
        Ok(Step::Over { proven })
    }

    pub(crate) fn fill(&mut self) -> Result<(), Error> {
        let Err(source) = self.window.fill() else {
            return Ok(());
        };
        let at = self
            .inserting
            .as_ref()
            .map(|inserting| inserting.at.clone());
        let at = at.unwrap_or_else(|| self.window.position(0));
        Err(Error::of_text(at, source))
    }
}

/// Statements that are left out, and named, at most.
const NAMED: usize = 10;

#[cfg(test)]
mod tests;
