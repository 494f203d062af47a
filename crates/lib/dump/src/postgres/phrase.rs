//! Reading a statement word by word.

use pilotfish_sql::postgres::{Token, TokenKind};

/// A statement's tokens, and how far they were understood.
#[derive(Debug, Clone)]
pub(crate) struct Phrase<'a> {
    tokens: &'a [Token<'a>],
}

/// A name of one part or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Qualified {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
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

    /// Takes these words if all of them come next.
    pub(crate) fn words(&mut self, keywords: &str) -> bool {
        let mut ahead = self.clone();
        let all = keywords.split(' ').all(|keyword| ahead.word(keyword));
        if all {
            *self = ahead;
        }
        all
    }

    /// Takes the first of these that comes next.
    pub(crate) fn any(&mut self, keywords: &[&'static str]) -> Option<&'static str> {
        keywords.iter().copied().find(|words| self.words(words))
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
        let _ = self.any(&["IF NOT EXISTS", "IF EXISTS"]);
    }

    /// `name`, `schema.name`, `database.schema.name`.
    pub(crate) fn name(&mut self) -> Option<Qualified> {
        let mut name = self.identifier()?;
        let mut schema = None;
        while self.punctuation(b'.') {
            schema = Some(std::mem::replace(&mut name, self.part()?));
        }
        Some(Qualified { schema, name })
    }

    /// One part of a name.
    pub(crate) fn identifier(&mut self) -> Option<String> {
        let name = self.tokens.first()?.name()?;
        self.tokens = &self.tokens[1..];
        Some(name)
    }

    /// What may stand behind a dot: operators too.
    fn part(&mut self) -> Option<String> {
        match self.tokens.first()? {
            token if token.kind == TokenKind::Operator => {
                self.tokens = &self.tokens[1..];
                Some(String::from_utf8_lossy(token.text).into_owned())
            }
            _ => self.identifier(),
        }
    }

    /// `name, name, ..`.
    pub(crate) fn names(&mut self) -> Option<Vec<Qualified>> {
        let mut names = vec![self.name()?];
        while self.punctuation(b',') {
            names.push(self.name()?);
        }
        Some(names)
    }
}

/// How deep in parentheses each token stands; they themselves stand outside.
pub(crate) fn outside<'t, 'a>(
    tokens: &'t [Token<'a>],
) -> impl Iterator<Item = (usize, &'t Token<'a>)> {
    let mut depth = 0_i32;
    tokens.iter().enumerate().filter(move |(_, token)| {
        if token.is_punctuation(b')') {
            depth -= 1;
        }
        let here = depth == 0;
        if token.is_punctuation(b'(') {
            depth += 1;
        }
        here
    })
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
