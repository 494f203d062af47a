//! The dump's transactions. A load stores rows for good at once and leaves these statements out, but for
//! those around large objects, which are open in a transaction only.

use pilotfish_sql::postgres::Token;

use crate::{Class, Position, Statement};

/// Where the dump's session stands.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    begun: Option<Position>,
    /// BEGIN, until the next statement says what it is for.
    held: Option<Statement>,
    /// Its first statement is about a large object.
    large: bool,
    /// Something changed in it.
    changed: bool,
}

impl Transaction {
    /// Where a transaction began that the file's end undoes.
    pub(crate) const fn open(&self) -> Option<&Position> {
        self.begun.as_ref()
    }

    /// Follows what is no BEGIN, and gives back the one before it.
    pub(crate) fn before(&mut self, class: Option<&Class>) -> Option<Statement> {
        let mut held = self.held.take();
        if let Some(begin) = &mut held
            && class == Some(&Class::LargeObject)
        {
            self.large = true;
            begin.class = Class::LargeObject;
        }
        let aside = matches!(class, Some(Class::Transaction | Class::Session));
        self.changed |= self.begun.is_some() && !aside;
        held
    }

    /// Follows BEGIN, which is held.
    pub(crate) fn begin(&mut self, statement: Statement) {
        self.begun = Some(statement.position.clone());
        self.held = Some(statement);
    }

    /// Follows one of the other statements about transactions; answers what it is.
    ///
    /// # Errors
    /// What it asks for that a load does not do.
    pub(crate) fn apply(&mut self, tokens: &[Token<'_>]) -> Result<Class, String> {
        let first = |words: &[&str]| {
            let first = tokens.first();
            first.is_some_and(|first| words.iter().any(|word| first.is(word)))
        };
        if first(&["PREPARE"]) || tokens.get(1).is_some_and(|word| word.is("PREPARED")) {
            return Err("transactions that are prepared: a load does not follow them".to_owned());
        }
        if first(&["ROLLBACK", "ABORT"]) && self.changed {
            let what = "ROLLBACK of what comes before it: take both out of the dump";
            return Err(what.to_owned());
        }
        if !first(&["COMMIT", "END", "ROLLBACK", "ABORT"]) {
            return Ok(Class::Transaction);
        }
        let Self { large, .. } = std::mem::take(self);
        Ok(match large {
            true => Class::LargeObject,
            false => Class::Transaction,
        })
    }
}
