//! Where statements begin and end: as psql says, whose lexer knows parentheses and bodies of functions.

use super::lexeme::{Skip, View, is_blank};

/// What stands between two statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    NeedMore,
    End,
    Blank(usize),
    /// Without its line's end.
    LineComment(usize),
    Comment(usize),
    /// A statement of nothing.
    Semicolon,
    /// A command to psql.
    Command,
    /// The text ends inside a comment.
    Open,
    Statement,
}

/// How a statement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    NeedMore,
    At {
        length: usize,
        next: usize,
    },
    Open(&'static str),
    /// A backslash, which begins a command to psql in the middle of a statement too.
    Command(usize),
    /// What psql replaces by the value of a variable.
    Variable(usize),
}

impl View<'_> {
    pub(crate) fn between(&self) -> Between {
        let comment = |skip, is: fn(usize) -> Between| match skip {
            Skip::To(length) => is(length),
            Skip::NeedMore => Between::NeedMore,
            Skip::Open(_) => Between::Open,
        };
        match self.data {
            [] if self.ended => Between::End,
            [] => Between::NeedMore,
            [b';', ..] => Between::Semicolon,
            [b'\\', ..] => Between::Command,
            [b'-' | b'/'] if !self.ended => Between::NeedMore,
            [b'-', b'-', ..] => comment(self.skip(0), Between::LineComment),
            [b'/', b'*', ..] => comment(self.skip(0), Between::Comment),
            [byte, ..] if is_blank(*byte) => {
                let blanks = self.data.iter().position(|byte| !is_blank(*byte));
                Between::Blank(blanks.unwrap_or(self.data.len()))
            }
            _ => Between::Statement,
        }
    }

    /// The end of the statement that begins here.
    pub(crate) fn ending(&self) -> Ending {
        let (mut at, mut parentheses, mut brackets) = (0, 0_u32, 0_u32);
        let mut body = Body::default();
        while let Some(byte) = self.data.get(at) {
            match byte {
                b';' if parentheses == 0 && body.depth == 0 => {
                    let next = at + 1;
                    return Ending::At { length: at, next };
                }
                b'(' => parentheses += 1,
                b')' => parentheses = parentheses.saturating_sub(1),
                b'[' => brackets += 1,
                b']' => brackets = brackets.saturating_sub(1),
                b'\\' => return Ending::Command(at),
                b':' => match self.data.get(at + 1) {
                    None if !self.ended => return Ending::NeedMore,
                    Some(b':') => at += 1,
                    Some(next) if is_variable(*next, brackets > 0) => {
                        return Ending::Variable(at);
                    }
                    _ => {}
                },
                _ => match self.skip(at) {
                    Skip::To(end) => {
                        if parentheses == 0 {
                            body.word(&self.data[at..end]);
                        } else {
                            body.count(&self.data[at..end]);
                        }
                        at = end;
                        continue;
                    }
                    Skip::NeedMore => return Ending::NeedMore,
                    Skip::Open(what) => return Ending::Open(what),
                },
            }
            at += 1;
        }
        let length = self.data.len();
        match self.ended {
            false => Ending::NeedMore,
            true if parentheses > 0 => Ending::Open("parentheses"),
            true if body.depth > 0 => Ending::Open("the body of a function"),
            true => Ending::At {
                length,
                next: length,
            },
        }
    }
}

/// Whether `:` and this byte are a variable to psql. It leaves those alone that are not set, and slices of
/// arrays look like such: their bounds are in small letters or digits, the names of what psql sets are not.
const fn is_variable(next: u8, in_brackets: bool) -> bool {
    match next {
        b'a'..=b'z' | b'0'..=b'9' | b'_' => !in_brackets,
        b'A'..=b'Z' | 0x80.. | b'\'' | b'"' | b'{' => true,
        _ => false,
    }
}

/// The body `BEGIN ATOMIC .. END` of a function, in which `;` ends nothing. Like psql, this goes by the
/// first letters of the statement's first words.
#[derive(Debug, Default)]
struct Body {
    depth: u32,
    words: usize,
    first: [u8; 4],
}

impl Body {
    /// Takes note of a piece that may be a word.
    fn count(&mut self, piece: &[u8]) {
        const COUNTED: [&str; 5] = ["create", "or", "replace", "function", "procedure"];
        let [letter, ..] = piece else {
            return;
        };
        if !pilotfish_sql::postgres::is_name_start(*letter) || piece.ends_with(b"'") {
            return;
        }
        if let Some(first) = self.first.get_mut(self.words)
            && COUNTED
                .iter()
                .any(|word| piece.eq_ignore_ascii_case(word.as_bytes()))
        {
            *first = letter.to_ascii_lowercase();
        }
        self.words += 1;
    }

    /// The same for one outside of parentheses.
    fn word(&mut self, piece: &[u8]) {
        self.count(piece);
        let is = |word: &str| piece.eq_ignore_ascii_case(word.as_bytes());
        let defines = matches!(
            self.first,
            [b'c', b'f' | b'p', ..] | [b'c', b'o', b'r', b'f' | b'p']
        );
        if !defines {
        } else if is("begin") || is("case") && self.depth > 0 {
            self.depth += 1;
        } else if is("end") {
            self.depth = self.depth.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::postgres::Mode;

    use super::*;

    fn ending(text: &str) -> Ending {
        let view = View {
            data: text.as_bytes(),
            ended: true,
            mode: Mode::default(),
        };
        view.ending()
    }

    /// The statement ends where `|` stands.
    fn check(text: &str) {
        let length = text.find('|').unwrap();
        let text = text.replace('|', ";");
        let next = length + 1;
        assert_eq!(ending(&text), Ending::At { length, next }, "{text}");
    }

    #[test]
    fn what_hides_a_semicolon() {
        for text in [
            "SELECT ';', E'\\';', $$;$$, $a$;$$;$a$, \";\", U&'\\;', B';'| x",
            "SELECT 1 /* ; /* ; */ ; */ -- ;\n| x",
            "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)| x",
            "SELECT a$b$|$b$",
            "SELECT $1$a$;$a$| x",
            "SELECT E'a'\n  '\\'|'",
            "SELECT 'a\\'|'",
            "SELECT x::text, a[1:2], a[1:n], b := 1| x",
        ] {
            check(text);
        }
    }

    #[test]
    fn bodies_of_functions() {
        for text in [
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END| x",
            "create or replace procedure p() begin atomic insert into t values (1); end| x",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ BEGIN $$| END",
            "CREATE TABLE begin (a int)| x",
            "BEGIN| x",
            "CREATE VIEW f AS SELECT CASE WHEN a THEN 1 END| x",
        ] {
            check(text);
        }
    }

    #[test]
    fn what_psql_would_carry_out() {
        for (text, expected) in [
            ("SELECT 1 \\g x", Ending::Command(9)),
            ("SELECT 1 \\; SELECT 2;", Ending::Command(9)),
            ("SELECT :x;", Ending::Variable(7)),
            ("SELECT :'x';", Ending::Variable(7)),
            ("SELECT a[1:USER];", Ending::Variable(10)),
        ] {
            assert_eq!(ending(text), expected, "{text}");
        }
    }

    #[test]
    fn what_never_ends() {
        for (text, inside) in [
            ("SELECT ('a;", "a string"),
            ("SELECT (1;", "parentheses"),
            ("SELECT $a$;$b$", "a dollar-quoted string"),
            ("SELECT 1 /* /* */ ;", "a comment"),
            ("SELECT \"a;", "a quoted name"),
            (
                "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1;",
                "the body of a function",
            ),
        ] {
            assert_eq!(ending(text), Ending::Open(inside), "{text}");
        }
    }
}
