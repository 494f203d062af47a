//! INSERT and REPLACE .. VALUES: the head, up to the first tuple.

use pilotfish_sql::mysql::{Name, Token, TokenKind, Tokens, tokens};

use crate::Verb;
use crate::mysql::frame::View;

/// Bytes after a token that must be in memory before the token is known to be whole.
const MARGIN: usize = 16;

/// The beginning of a statement that may be an INSERT of rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    NeedMore,
    /// Not `INSERT .. VALUES (`: INSERT .. SELECT, .. SET, .. VALUES ROW(..), .. PARTITION.
    Other,
    Rows(Head),
}

/// The head of an INSERT of rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) table: Name,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) verb: Verb,
    /// Length of the text up to and with VALUES.
    pub(crate) length: usize,
}

/// Reads the head of the statement that the view begins with.
pub(crate) fn beginning(view: &View<'_>) -> Beginning {
    let mut words = Words {
        tokens: tokens(view.data, view.mode),
        view,
        next: None,
    };
    match words.head() {
        Ok(head) => Beginning::Rows(head),
        Err(Stop::NeedMore) => Beginning::NeedMore,
        Err(Stop::Other) => Beginning::Other,
    }
}

enum Stop {
    NeedMore,
    Other,
}

/// One token of lookahead over text that may not be whole.
struct Words<'a, 'v> {
    tokens: Tokens<'a>,
    view: &'v View<'a>,
    next: Option<Token<'a>>,
}

impl<'a> Words<'a, '_> {
    fn peek(&mut self) -> Result<Token<'a>, Stop> {
        if let Some(token) = self.next {
            return Ok(token);
        }
        let more = if self.view.ended {
            Stop::Other
        } else {
            Stop::NeedMore
        };
        let found = self
            .tokens
            .by_ref()
            .find(|token| token.kind != TokenKind::Comment);
        match found {
            Some(token) if self.view.ended || token.end() + MARGIN <= self.view.data.len() => {
                self.next = Some(token);
                Ok(token)
            }
            _ => Err(more),
        }
    }

    fn take(&mut self) -> Result<Token<'a>, Stop> {
        let token = self.peek()?;
        self.next = None;
        Ok(token)
    }

    fn word(&mut self, keyword: &str) -> Result<bool, Stop> {
        let here = self.peek()?.is(keyword);
        if here {
            self.next = None;
        }
        Ok(here)
    }

    fn punctuation(&mut self, byte: u8) -> Result<bool, Stop> {
        let here = self.peek()?.is_punctuation(byte);
        if here {
            self.next = None;
        }
        Ok(here)
    }

    fn identifier(&mut self) -> Result<String, Stop> {
        self.take()?.name().ok_or(Stop::Other)
    }

    fn head(&mut self) -> Result<Head, Stop> {
        let replace = self.take()?.is("REPLACE");
        while self.word("LOW_PRIORITY")? || self.word("HIGH_PRIORITY")? || self.word("DELAYED")? {}
        let ignore = self.word("IGNORE")?;
        self.word("INTO")?;
        let first = self.identifier()?;
        let table = if self.punctuation(b'.')? {
            Name {
                database: Some(first),
                name: self.identifier()?,
            }
        } else {
            Name::bare(first)
        };
        let columns = if self.punctuation(b'(')? {
            Some(self.columns()?)
        } else {
            None
        };
        let values = self.take()?;
        let opens = self.peek()?.is_punctuation(b'(');
        if !(values.is("VALUES") || values.is("VALUE"))
            || !opens
            || self.tokens.inside_conditional()
        {
            return Err(Stop::Other);
        }
        let verb = match (replace, ignore) {
            (true, _) => Verb::Replace,
            (false, true) => Verb::InsertIgnore,
            (false, false) => Verb::Insert,
        };
        Ok(Head {
            table,
            columns,
            verb,
            length: values.end(),
        })
    }

    fn columns(&mut self) -> Result<Vec<String>, Stop> {
        let mut columns = Vec::new();
        if self.punctuation(b')')? {
            return Ok(columns);
        }
        loop {
            let mut column = self.identifier()?;
            while self.punctuation(b'.')? {
                column = self.identifier()?;
            }
            columns.push(column);
            if self.punctuation(b')')? {
                return Ok(columns);
            }
            if !self.punctuation(b',')? {
                return Err(Stop::Other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;
    use pilotfish_sql::mysql::Mode;

    use super::*;

    fn begin(text: &str, ended: bool) -> Beginning {
        let mode = Mode::new(Flavour {
            mariadb: true,
            version: 101_119,
        });
        beginning(&View {
            data: text.as_bytes(),
            ended,
            delimiter: b";",
            mode,
        })
    }

    #[test]
    fn heads() {
        let text = "INSERT /*x*/ LOW_PRIORITY IGNORE INTO `d`.`t` (`a`, b) VALUES\n(1,2);";
        let Beginning::Rows(head) = begin(text, true) else {
            panic!()
        };
        assert_eq!(
            head.table,
            Name {
                database: Some("d".into()),
                name: "t".into()
            }
        );
        assert_eq!(head.columns, Some(vec!["a".into(), "b".into()]));
        assert_eq!(head.verb, Verb::InsertIgnore);
        assert!(text[..head.length].ends_with("VALUES"));
        let Beginning::Rows(head) = begin("replace t value (1)", true) else {
            panic!()
        };
        assert_eq!((head.verb, head.columns), (Verb::Replace, None));
    }

    #[test]
    fn no_heads() {
        for text in [
            "INSERT INTO t SELECT 1",
            "INSERT INTO t (SELECT 1)",
            "INSERT INTO t (a) SELECT 1",
            "INSERT INTO t SET a = 1",
            "INSERT INTO t VALUES ROW(1)",
            "INSERT INTO t PARTITION (p) VALUES (1)",
            "/*! INSERT INTO t VALUES (1) */",
            "INSERT",
        ] {
            assert_eq!(begin(text, true), Beginning::Other, "{text}");
        }
    }

    #[test]
    fn any_prefix_needs_more() {
        let text = "INSERT INTO `t` (`a`,`b`) VALUES (1,2),(3,4);";
        for end in 0..text.find("(1").unwrap() {
            assert_eq!(begin(&text[..end], false), Beginning::NeedMore, "{end}");
        }
    }
}
