//! Statements word by word: what is PostgreSQL's own.

use pilotfish_sql::postgres::{Token, TokenKind};

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

/// A name of one part or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Qualified {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
}

impl Phrase<'_> {
    /// `name`, `schema.name`, `database.schema.name`.
    pub(crate) fn name(&mut self) -> Option<Qualified> {
        let mut name = self.identifier()?;
        let mut schema = None;
        while self.punctuation(b'.') {
            schema = Some(std::mem::replace(&mut name, self.part()?));
        }
        Some(Qualified { schema, name })
    }

    /// What may stand behind a dot: operators too.
    fn part(&mut self) -> Option<String> {
        match self.rest().first()? {
            token if token.kind == TokenKind::Operator => {
                let token = self.next()?;
                Some(String::from_utf8_lossy(token.text).into_owned())
            }
            _ => self.identifier(),
        }
    }

    /// `name, name, ..`.
    pub(crate) fn names(&mut self) -> Option<Vec<Qualified>> {
        self.list(Self::name)
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
