//! INSERTs of literals: where their heads, rows and tails end.

use pilotfish_sql::postgres::{Mode, Token, TokenKind, tokens};

use super::lexeme::{Skip, View, is_blank};
use super::phrase::{Phrase, Qualified};

/// What an INSERT says before its rows.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) table: Qualified,
    pub(crate) columns: Option<Vec<String>>,
    /// Its bytes up to and with VALUES.
    pub(crate) length: usize,
}

/// How an INSERT begins.
#[derive(Debug)]
pub(crate) enum Beginning {
    NeedMore,
    Rows(Head),
    /// Not by a list of rows.
    Other,
}

/// What comes next in a list of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    NeedMore,
    /// A row of this many bytes.
    Row(usize),
    /// So many bytes of blanks and comments.
    Blank(usize),
    Comma,
    Semicolon,
    End,
    /// Something else, whatever it is.
    Other,
    Open(&'static str),
}

/// What a row consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    Literals,
    /// Literals, and values that the server gives.
    Defaults,
    /// What only the server can judge.
    Expressions,
}

impl View<'_> {
    /// Reads an INSERT up to its rows.
    pub(crate) fn insert(&self) -> Beginning {
        let (mut at, mut depth) = (0, 0_u32);
        let length = loop {
            match self.data.get(at) {
                Some(b'(') => depth += 1,
                Some(b')') => depth = depth.saturating_sub(1),
                Some(b';' | b'\\' | b':') => return Beginning::Other,
                _ => {}
            }
            match self.skip(at) {
                Skip::To(end) if end == at => return Beginning::Other,
                Skip::To(end) => {
                    let word = &self.data[at..end];
                    if depth == 0 && word.eq_ignore_ascii_case(b"values") {
                        break end;
                    }
                    at = end;
                }
                Skip::NeedMore => return Beginning::NeedMore,
                Skip::Open(_) => return Beginning::Other,
            }
        };
        let mut behind = *self;
        behind.data = &self.data[length..];
        loop {
            match behind.next_row() {
                Next::Blank(blank) => behind.data = &behind.data[blank..],
                // How the row ends is looked at later.
                Next::NeedMore if behind.data.first() != Some(&b'(') => {
                    return Beginning::NeedMore;
                }
                Next::NeedMore | Next::Row(_) | Next::Open(_) => break,
                _ if behind.data.first() == Some(&b'(') => break,
                _ => return Beginning::Other,
            }
        }
        let tokens: Vec<_> = tokens(&self.data[..length], self.mode).collect();
        head(&tokens, length).map_or(Beginning::Other, Beginning::Rows)
    }

    /// What stands at the beginning, within a list of rows.
    pub(crate) fn next_row(&self) -> Next {
        let comment = |skip| match skip {
            Skip::To(length) => Next::Blank(length),
            Skip::NeedMore => Next::NeedMore,
            Skip::Open(what) => Next::Open(what),
        };
        match self.data {
            [] if self.ended => Next::End,
            [] => Next::NeedMore,
            [b'(', ..] => self.row(),
            [b',', ..] => Next::Comma,
            [b';', ..] => Next::Semicolon,
            [b'-' | b'/'] if !self.ended => Next::NeedMore,
            [b'-', b'-', ..] | [b'/', b'*', ..] => comment(self.skip(0)),
            [byte, ..] if is_blank(*byte) => {
                let blanks = self.data.iter().position(|byte| !is_blank(*byte));
                Next::Blank(blanks.unwrap_or(self.data.len()))
            }
            _ => Next::Other,
        }
    }

    fn row(&self) -> Next {
        let (mut at, mut depth) = (0, 0_u32);
        loop {
            match self.data.get(at..).unwrap_or_default() {
                [b'(', ..] => depth += 1,
                [b')', ..] if depth == 1 => return Next::Row(at + 1),
                [b')', ..] => depth -= 1,
                [b':'] if !self.ended => return Next::NeedMore,
                [b':', b':', ..] => at += 1,
                [b'\\' | b':', ..] => return Next::Other,
                [] if self.ended => return Next::Open("a row"),
                _ => match self.skip(at) {
                    Skip::To(end) => {
                        at = end;
                        continue;
                    }
                    Skip::NeedMore => return Next::NeedMore,
                    Skip::Open(what) => return Next::Open(what),
                },
            }
            at += 1;
        }
    }
}

/// `INSERT INTO t [(columns)] [OVERRIDING .. VALUE] VALUES`.
fn head(tokens: &[Token<'_>], length: usize) -> Option<Head> {
    let mut phrase = Phrase::new(tokens);
    if !phrase.words("INSERT INTO") {
        return None;
    }
    let table = phrase.name()?;
    let mut columns = None;
    if phrase.punctuation(b'(') {
        let mut names = vec![phrase.identifier()?];
        while phrase.punctuation(b',') {
            names.push(phrase.identifier()?);
        }
        phrase.punctuation(b')').then_some(())?;
        columns = Some(names);
    }
    let _ = phrase.any(&["OVERRIDING SYSTEM VALUE", "OVERRIDING USER VALUE"]);
    let whole = phrase.word("VALUES") && phrase.rest().is_empty();
    whole.then_some(Head {
        table,
        columns,
        length,
    })
}

/// Looks at what stands in a row.
pub(crate) fn values(row: &[u8], mode: Mode) -> Values {
    let tokens: Vec<_> = tokens(row, mode).collect();
    let mut phrase = Phrase::new(&tokens);
    phrase.punctuation(b'(');
    let mut found = Values::Literals;
    loop {
        match value(&mut phrase) {
            Some(Values::Literals) => {}
            Some(Values::Defaults) => found = Values::Defaults,
            _ => return Values::Expressions,
        }
        if !phrase.punctuation(b',') {
            break;
        }
    }
    let whole = phrase.punctuation(b')') && phrase.rest().is_empty();
    if whole { found } else { Values::Expressions }
}

fn value(phrase: &mut Phrase<'_>) -> Option<Values> {
    let mut token = phrase.next()?;
    if token.kind == TokenKind::Operator && matches!(token.text, b"-" | b"+") {
        token = phrase.next()?;
        if token.kind != TokenKind::Number {
            return None;
        }
    }
    match token.kind {
        TokenKind::Word if token.is("DEFAULT") => return Some(Values::Defaults),
        TokenKind::Word => {
            let known = ["NULL", "TRUE", "FALSE"];
            known.iter().find(|word| token.is(word))?;
        }
        TokenKind::UnicodeString => {
            if phrase.word("UESCAPE") {
                phrase.next()?;
            }
        }
        TokenKind::String
        | TokenKind::EscapeString
        | TokenKind::BitString
        | TokenKind::DollarString
        | TokenKind::Number => {}
        _ => return None,
    }
    while phrase
        .rest()
        .first()
        .is_some_and(|token| token.text == b"::")
    {
        phrase.next();
        kind(phrase)?;
    }
    Some(Values::Literals)
}

/// A type: `character varying(10)`, `timestamp(3) with time zone[]`.
fn kind(phrase: &mut Phrase<'_>) -> Option<()> {
    let name = phrase.name()?;
    // The names of tables and functions change with their schemas.
    if name.name.starts_with("reg") {
        return None;
    }
    loop {
        let token = phrase.rest().first()?;
        match token.kind {
            TokenKind::Word => {
                phrase.next();
            }
            _ if phrase.punctuation(b'(') => {
                while phrase.next()?.kind == TokenKind::Number && phrase.punctuation(b',') {}
                phrase.punctuation(b')').then_some(())?;
            }
            _ if phrase.punctuation(b'[') => {
                if !phrase.punctuation(b']') {
                    phrase
                        .next()
                        .filter(|size| size.kind == TokenKind::Number)?;
                    phrase.punctuation(b']').then_some(())?;
                }
            }
            _ => return Some(()),
        }
    }
}

/// Whether a tail only says what happens to duplicates.
pub(crate) fn keeps_duplicates_out(tail: &[u8], mode: Mode) -> bool {
    let tokens: Vec<_> = tokens(tail, mode).collect();
    let mut phrase = Phrase::new(&tokens);
    phrase.words("ON CONFLICT DO NOTHING") && phrase.rest().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_what_is_none() {
        let told = |row: &str| values(row.as_bytes(), Mode::default());
        for row in [
            "(1, -2.5e3, 'a', E'\\n', NULL, true, B'01', $$x$$)",
            "('{1}'::integer[], '2020-01-01'::timestamp(3) with time zone, 1::numeric(10,2)::text)",
            "('a'::character varying(10), '(1)'::app.\"T\"[3], U&'a' UESCAPE '!')",
        ] {
            assert_eq!(told(row), Values::Literals, "{row}");
        }
        assert_eq!(told("(1, DEFAULT)"), Values::Defaults);
        for row in [
            "()",
            "(now())",
            "(1 + 1)",
            "('app.t'::regclass)",
            "(nextval('s'))",
            "(CURRENT_DATE)",
            "(a)",
            "((1))",
            "(- 'a')",
            "(1,)",
            "(ARRAY[1])",
        ] {
            assert_eq!(told(row), Values::Expressions, "{row}");
        }
    }
}
