//! One file of a dump, read as one session of psql: pieces in, items out.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr;
use pilotfish_sql::postgres::{Token, tokens};

use super::classify::{classify, existing, primary_key};
use super::command::{Command, command};
use super::copy::Copying;
use super::digests::{Digests, canonical};
use super::frame::{Between, Ending};
use super::lexeme::View;
use super::object::object;
use super::proof::Proof;
use super::rows::{Gathered, Inserting, Known};
use super::sections::Sections;
use super::session::Session;
use super::transaction::Transaction;
use super::{begins, roles};
use crate::beginning::UTF8_MARK;
use crate::error::excerpt;
use crate::grammar::Step;
use crate::marks::Marking;
use crate::window::Window;
use crate::{Class, Error, Existing, Item, Options, Position, Roles, Statement};

/// What is not decided with this much in memory beyond the limit of a statement is longer than that.
pub(crate) const BEYOND: usize = 256;

/// What all files of a dump share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) digests: Digests,
    pub(crate) ready: VecDeque<Item>,
    pub(crate) sections: Sections,
    pub(crate) roles: Roles,
    pub(crate) large_objects: bool,
    /// The planner's statistics were left out.
    pub(crate) statistics: bool,
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
    pub(crate) session: Session,
    proof: Proof,
    transaction: Transaction,
    /// The key that `\restrict` gave.
    restricted: Option<Vec<u8>>,
    /// The COPY whose lines come next.
    pub(crate) copying: Option<Copying>,
    /// Its own line is not over yet.
    pub(crate) lines_follow: bool,
    /// The INSERT whose rows come next.
    pub(crate) inserting: Option<Inserting>,
    /// The head of the last INSERT, while nothing has changed what it means.
    pub(crate) known: Option<Arc<Known>>,
    /// Rows that may still be joined by more of the same head.
    pub(crate) gathered: Option<Gathered>,
}

impl Script {
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            session: Session::default(),
            proof: Proof::default(),
            transaction: Transaction::default(),
            restricted: None,
            copying: None,
            lines_follow: false,
            inserting: None,
            known: None,
            gathered: None,
        }
    }

    /// Reads enough to see what kind of file it is, and turns away what is no SQL text.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        while self.window.data().len() < crate::beginning::HEAD && !self.window.ended() {
            self.fill()?;
        }
        if self.window.data().starts_with(UTF8_MARK) {
            self.window.consume(UTF8_MARK.len());
        }
        match begins(self.window.data()) {
            Some(what) => Err(Error::NoSql {
                file: self.window.position(0).file.to_string(),
                what,
            }),
            None => Ok(()),
        }
    }

    /// Does a little: one piece of the text, or one read.
    pub(crate) fn step(&mut self, shared: &mut Shared) -> Result<Step, Error> {
        if self.lines_follow {
            return self.end_copy_line(shared).map(|()| Step::More);
        }
        if self.copying.is_some() {
            return self.walk_lines(shared).map(|()| Step::More);
        }
        if self.inserting.is_some() {
            return self.walk_rows(shared).map(|()| Step::More);
        }
        let limit = shared.options.statement_limit;
        match self.view().between() {
            Between::NeedMore => self.fill_within("a comment", shared)?,
            Between::End => return self.end(shared),
            Between::Blank(length) => self.window.consume(length),
            Between::Semicolon => self.window.consume(1),
            Between::Comment(length) => {
                self.window.bounded(length, "a comment", limit)?;
                self.window.consume(length);
            }
            Between::LineComment(length) => {
                self.window.bounded(length, "a comment", limit)?;
                let noted = self.proof.comment(&self.window.data()[..length]);
                noted.map_err(|what| Error::cut_off(self.window.position(0), &what))?;
                shared.sections.is_cluster(self.proof.is_cluster());
                self.window.consume(length);
            }
            Between::Open => {
                let length = self.window.data().len();
                self.window.bounded(length, "a comment", limit)?;
                return Err(Error::cut_off(self.window.position(0), "inside a comment"));
            }
            Between::Command => self.command(shared)?,
            Between::Statement => {
                let head = self.window.data().first_chunk::<6>();
                let insert = head.is_some_and(|word| word.eq_ignore_ascii_case(b"insert"));
                if head.is_none() && !self.window.ended() {
                    self.fill()?;
                } else if !(insert && self.begin_rows(shared)?) {
                    self.whole_statement(shared)?;
                }
            }
        }
        Ok(Step::More)
    }

    pub(crate) fn view(&self) -> View<'_> {
        View {
            data: self.window.data(),
            ended: self.window.ended(),
            mode: self.session.mode(),
        }
    }

    /// A backslash: psql takes the rest of the line for a command.
    fn command(&mut self, shared: &mut Shared) -> Result<(), Error> {
        let data = self.window.data();
        let (length, next) = match memchr(b'\n', data) {
            Some(length) => (length, length + 1),
            None if self.window.ended() => (data.len(), data.len()),
            None => return self.fill_within("a line", shared),
        };
        self.window
            .bounded(length, "a line", shared.options.statement_limit)?;
        let line = Bytes::copy_from_slice(self.window.data()[..length].trim_ascii_end());
        let said = command(&line).map_err(|what| self.window.refused(0, what))?;
        let at = self.window.position(0);
        match (said, &self.restricted) {
            (Command::Unrestrict(key), Some(restricted)) if *restricted == key => {
                self.restricted = None;
            }
            (Command::Unrestrict(_), _) => {
                let what = "an \\unrestrict with another key than the \\restrict before it";
                return Err(self.window.refused(0, what));
            }
            (_, Some(_)) => {
                let what = "a psql command between \\restrict and \\unrestrict";
                return Err(self.window.refused(0, what));
            }
            (Command::Restrict(key), None) => self.restricted = Some(key),
            (Command::Connect(database), None) => {
                self.connect(database, line, at, shared)?;
            }
        }
        self.window.consume(next);
        Ok(())
    }

    /// Another connection: nothing that was set holds any more.
    fn connect(
        &mut self,
        database: String,
        text: Bytes,
        at: Position,
        shared: &mut Shared,
    ) -> Result<(), Error> {
        if let Some(begun) = self.transaction.open() {
            return Err(never_committed(begun));
        }
        self.pass_gathered(shared);
        self.known = None;
        self.session = Session::default();
        shared.sections.connect(&database);
        let class = Class::UseDatabase(database);
        self.hand_out(statement(class, text, at), shared)
            .map(|_| ())
    }

    fn whole_statement(&mut self, shared: &mut Shared) -> Result<(), Error> {
        match self.ending("a statement", shared)? {
            Ending::NeedMore => self.fill_within("a statement", shared),
            Ending::At { length, next } => {
                let at = self.window.position(0);
                let text = Bytes::copy_from_slice(self.window.data()[..length].trim_ascii_end());
                self.window.consume(next);
                self.take_statement(&text, at, shared)
            }
            other => Err(self.no_ending(other)),
        }
    }

    /// What is wrong with a statement that does not end.
    pub(crate) fn no_ending(&mut self, ending: Ending) -> Error {
        match ending {
            Ending::Command(at) => self.window.refused(
                at,
                "a psql command with a backslash: take it out of the dump",
            ),
            Ending::Variable(at) => self
                .window
                .refused(at, "a psql variable: write its value into the dump"),
            Ending::Open(inside) => {
                let at = self
                    .inserting
                    .as_ref()
                    .map(|inserting| inserting.at.clone());
                let at = at.unwrap_or_else(|| self.window.position(0));
                Error::cut_off(at, &format!("inside {inside} that began here"))
            }
            Ending::NeedMore | Ending::At { .. } => self.window.malformed(0, "no statement"),
        }
    }

    /// Where the statement here ends, if that is within the limit.
    pub(crate) fn ending(&mut self, what: &'static str, shared: &Shared) -> Result<Ending, Error> {
        let ending = self.view().ending();
        let length = match ending {
            Ending::NeedMore => 0,
            Ending::At { length, .. } | Ending::Command(length) | Ending::Variable(length) => {
                length
            }
            Ending::Open(_) => self.window.data().len(),
        };
        let limit = shared.options.statement_limit;
        self.window.bounded(length, what, limit).map(|()| ending)
    }

    /// Reads on within a piece that is not whole yet, up to the limit.
    pub(crate) fn fill_within(&mut self, what: &'static str, shared: &Shared) -> Result<(), Error> {
        let length = self.window.data().len().saturating_sub(BEYOND);
        self.window
            .bounded(length, what, shared.options.statement_limit)?;
        self.fill()
    }

    /// Classifies a statement, follows what it does to the session, and passes it on.
    pub(crate) fn take_statement(
        &mut self,
        text: &Bytes,
        at: Position,
        shared: &mut Shared,
    ) -> Result<(), Error> {
        self.pass_gathered(shared);
        self.known = None;
        let tokens: Vec<_> = tokens(text, self.session.mode()).collect();
        let refused = |what: &str| Error::Refused {
            at: at.clone(),
            what: what.to_owned(),
            head: excerpt(text),
        };
        if memchr(0, text).is_some() {
            return Err(refused("a byte of zero, which no server takes"));
        }
        if tokens.first().is_some_and(|verb| verb.is("COPY")) {
            return self.begin_copy(text, &tokens, at, shared);
        }
        if restores_statistics(&tokens) {
            shared.statistics = true;
            return Ok(());
        }
        let mut class = classify(&tokens, &self.session);
        let begins = matches!(tokens.first(), Some(verb) if verb.is("BEGIN") || verb.is("START"));
        if begins {
            self.follow(Some(&class), shared)?;
            self.transaction
                .begin(statement(class, text.clone(), at.clone()));
            return Ok(());
        }
        self.follow(Some(&class), shared)?;
        match &class {
            Class::Session => self.session.apply(&tokens).map_err(|what| refused(&what))?,
            Class::Transaction => {
                class = self
                    .transaction
                    .apply(&tokens)
                    .map_err(|what| refused(&what))?;
            }
            Class::CreateDatabase(name) => shared.sections.create(name, &tokens),
            _ => {}
        }
        let handed = Statement {
            existing: existing(&tokens),
            ..statement(class, text.clone(), at.clone())
        };
        let class = handed.class.clone();
        if self.hand_out(handed, shared)? {
            self.record(&class, &tokens, shared);
        }
        Ok(())
    }

    /// What comes before a statement (or rows, which have no class): the BEGIN that was held, and what the
    /// proof of the dump's end makes of it.
    pub(crate) fn follow(
        &mut self,
        class: Option<&Class>,
        shared: &mut Shared,
    ) -> Result<(), Error> {
        let aside = matches!(
            class,
            Some(Class::Session | Class::Transaction | Class::Empty | Class::Lock)
        );
        if !aside {
            self.proof.goes_on();
        }
        match self.transaction.before(class) {
            Some(begin) => self.hand_out(begin, shared).map(|_| ()),
            None => Ok(()),
        }
    }

    fn hand_out(&mut self, statement: Statement, shared: &mut Shared) -> Result<bool, Error> {
        let (at, head) = (statement.position.clone(), excerpt(&statement.text));
        shared
            .sections
            .statement(statement, &mut shared.ready)
            .map_err(|what| Error::Refused { at, what, head })
    }

    /// Takes note of a statement that is read.
    fn record(&self, class: &Class, tokens: &[Token<'_>], shared: &mut Shared) {
        roles::add(tokens, &mut shared.roles);
        let session = self.session.key();
        let text = canonical(tokens);
        let digests = &mut shared.digests;
        match class {
            Class::CreateTable { name, .. } => digests.define(&name.name, &session, &text),
            Class::DropTable { names } => {
                names.iter().for_each(|name| digests.drop_table(&name.name));
            }
            Class::Definition | Class::SequenceValue => {
                digests.object(object(tokens, &self.session), &session, &text);
            }
            Class::Key { tables, .. } => {
                digests.object(object(tokens, &self.session), &session, &text);
                if let Some((table, columns)) = primary_key(tokens, &self.session) {
                    digests.key(&table, columns);
                }
                if let [table, others @ ..] = tables.as_slice() {
                    others
                        .iter()
                        .for_each(|to| digests.refer(&table.name, &to.name));
                }
            }
            Class::LargeObject => {
                shared.large_objects = true;
                digests.other(&session, &text);
            }
            Class::Other { .. } => digests.other(&session, &text),
            _ => {}
        }
    }

    fn end(&mut self, shared: &mut Shared) -> Result<Step, Error> {
        self.pass_gathered(shared);
        if let Some(begun) = self.transaction.open() {
            return Err(never_committed(begun));
        }
        let here = |what: String| Error::cut_off(self.window.position(0), &what);
        let proven = self.proof.finish().map_err(here)?;
        let found = shared.sections.finish();
        found.map_err(|what| self.window.refused(0, &what))?;
        shared.marking.end_file();
        shared.pass_marks();
        Ok(Step::Over { proven })
    }

    pub(crate) fn fill(&mut self) -> Result<(), Error> {
        let Err(source) = self.window.fill() else {
            return Ok(());
        };
        let inserting = self.inserting.as_ref().map(|inserting| &inserting.at);
        let at = inserting.or(self.copying.as_ref().map(|copying| &copying.at));
        let at = at.cloned().unwrap_or_else(|| self.window.position(0));
        Err(Error::of_text(at, source))
    }
}

fn statement(class: Class, text: Bytes, position: Position) -> Statement {
    Statement {
        class,
        text,
        position,
        existing: Existing::default(),
    }
}

fn never_committed(begun: &Position) -> Error {
    let what = "the transaction that began here is never committed: psql would lose what is in it";
    Error::cut_off(begun.clone(), what)
}

/// `SELECT * FROM pg_catalog.pg_restore_relation_stats(..)` (18): it tells the planner about live tables by
/// their names, which staged ones do not have yet; ANALYZE finds out by itself.
fn restores_statistics(tokens: &[Token<'_>]) -> bool {
    let [select, all, from, ..] = tokens else {
        return false;
    };
    let mut names = tokens.iter().skip(3).take(3).filter_map(Token::name);
    select.is("SELECT")
        && all.text == b"*"
        && from.is("FROM")
        && names.any(|name| name.starts_with("pg_restore_") && name.ends_with("_stats"))
}

#[cfg(test)]
mod tests;
