//! Statements word by word: what is MySQL's own.

use pilotfish_sql::mysql::{Mode, Name, Token, TokenKind, tokens};

use crate::phrase::{self, Word};

pub(crate) use crate::phrase::at_commas;

pub(crate) type Phrase<'a> = phrase::Phrase<'a, Token<'a>>;

impl Word for Token<'_> {
    fn is(&self, keyword: &str) -> bool {
        Token::is(self, keyword)
    }

    fn is_punctuation(&self, byte: u8) -> bool {
        Token::is_punctuation(self, byte)
    }

    fn name(&self) -> Option<String> {
        Token::name(self)
    }
}

/// The tokens that this flavour would run.
pub(crate) fn running(text: &[u8], mode: Mode) -> Vec<Token<'_>> {
    tokens(text, mode)
        .filter(|token| token.kind != TokenKind::Comment)
        .collect()
}

/// Whether a statement or an expression asks tables, which others may still be filling. MySQL has
/// `TABLE a` for `SELECT * FROM a`, and `VALUES ROW(..)`.
pub(crate) fn asks(tokens: &[Token<'_>]) -> bool {
    let rows = |pair: &[Token<'_>]| pair[0].is("VALUES") && pair[1].is("ROW");
    let named = |token: &Token<'_>| token.is("SELECT") || token.is("TABLE");
    tokens.iter().any(named) || tokens.windows(2).any(rows)
}

impl Phrase<'_> {
    /// `name` or `database.name`.
    pub(crate) fn name(&mut self) -> Option<Name> {
        let first = self.identifier()?;
        if !self.punctuation(b'.') {
            return Some(Name::bare(first));
        }
        let name = self.identifier()?;
        Some(Name {
            database: Some(first),
            name,
        })
    }

    /// `name, name, ..`.
    pub(crate) fn names(&mut self) -> Option<Vec<Name>> {
        self.list(Self::name)
    }

    /// Skips to after the first of these words, at most `limit` tokens away.
    pub(crate) fn skip_to(
        &mut self,
        keywords: &[&'static str],
        limit: usize,
    ) -> Option<&'static str> {
        for _ in 0..limit {
            if let Some(found) = self.any(keywords) {
                return Some(found);
            }
            self.next()?;
        }
        None
    }
}
