//! Reading a statement word by word.

use pilotfish_sql::mysql::{Mode, Name, Token, TokenKind, tokens};

/// A statement's tokens without its comments, and how far they were understood.
#[derive(Debug, Clone)]
pub(crate) struct Phrase<'a> {
    tokens: &'a [Token<'a>],
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

impl<'a> Phrase<'a> {
    pub(crate) const fn new(tokens: &'a [Token<'a>]) -> Self {
        Self { tokens }
    }

    /// What is not understood yet.
    pub(crate) const fn rest(&self) -> &'a [Token<'a>] {
        self.tokens
    }

    pub(crate) fn next(&mut self) -> Option<&'a Token<'a>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    pub(crate) fn at_word(&self, keyword: &str) -> bool {
        self.tokens.first().is_some_and(|token| token.is(keyword))
    }

    /// Takes the next word if it is this one.
    pub(crate) fn word(&mut self, keyword: &str) -> bool {
        let here = self.at_word(keyword);
        if here {
            self.tokens = &self.tokens[1..];
        }
        here
    }

    /// Takes the next word if it is one of these.
    pub(crate) fn any_word(&mut self, keywords: &[&'static str]) -> Option<&'static str> {
        keywords.iter().copied().find(|keyword| self.word(keyword))
    }

    pub(crate) fn punctuation(&mut self, byte: u8) -> bool {
        let here = self
            .tokens
            .first()
            .is_some_and(|token| token.is_punctuation(byte));
        if here {
            self.tokens = &self.tokens[1..];
        }
        here
    }

    /// `IF EXISTS`, `IF NOT EXISTS`.
    pub(crate) fn if_exists(&mut self) {
        if self.word("IF") {
            self.word("NOT");
            self.word("EXISTS");
        }
    }

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

    /// One part of a name.
    pub(crate) fn identifier(&mut self) -> Option<String> {
        let name = self.tokens.first()?.name()?;
        self.tokens = &self.tokens[1..];
        Some(name)
    }

    /// `name, name, ..`.
    pub(crate) fn names(&mut self) -> Option<Vec<Name>> {
        let mut names = vec![self.name()?];
        while self.punctuation(b',') {
            names.push(self.name()?);
        }
        Some(names)
    }

    /// Skips to after the first of these words, at most `limit` tokens away.
    pub(crate) fn skip_to(
        &mut self,
        keywords: &[&'static str],
        limit: usize,
    ) -> Option<&'static str> {
        for _ in 0..limit {
            if let Some(found) = self.any_word(keywords) {
                return Some(found);
            }
            self.next()?;
        }
        None
    }
}

/// Cuts tokens at commas outside parentheses.
pub(crate) fn at_commas<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0_i32;
    tokens
        .split(|token| {
            depth += i32::from(token.is_punctuation(b'(')) - i32::from(token.is_punctuation(b')'));
            depth == 0 && token.is_punctuation(b',')
        })
        .collect()
}
