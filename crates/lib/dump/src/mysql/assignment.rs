//! SET statements, assignment by assignment.

use std::ops::Range;

use pilotfish_sql::mysql::{Token, TokenKind, unquote};

use crate::mysql::phrase::{Phrase, at_commas};

/// One `target = value` of a SET statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment<'a> {
    pub(crate) target: Target,
    pub(crate) value: &'a [Token<'a>],
    /// Where it stands in the statement.
    pub(crate) span: Range<usize>,
}

/// What is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// `NAMES x`, `CHARACTER SET x`, `CHARSET x`: the value begins with the character set.
    Names,
    /// A variable of this session, in lower case.
    System(String),
    /// A variable of the server: GLOBAL, PERSIST.
    Global(String),
    /// `@name`, in lower case, without the at sign.
    User(String),
    /// `TRANSACTION ..`.
    Transaction,
    /// PASSWORD, ROLE, DEFAULT ROLE.
    Account,
    /// Anything else, such as `SET STATEMENT .. FOR`.
    Unknown,
}

/// The assignments of a statement whose first word is SET; none if it is no SET.
pub(crate) fn assignments<'a>(tokens: &'a [Token<'a>]) -> Vec<Assignment<'a>> {
    let mut phrase = Phrase::new(tokens);
    if !phrase.word("SET") {
        return Vec::new();
    }
    if let Some(target) = special(&phrase) {
        return vec![Assignment {
            target,
            value: phrase.rest(),
            span: span(phrase.rest()),
        }];
    }
    let mut global = false;
    at_commas(phrase.rest())
        .into_iter()
        .map(|tokens| assignment(tokens, &mut global))
        .collect()
}

fn span(tokens: &[Token<'_>]) -> Range<usize> {
    match (tokens.first(), tokens.last()) {
        (Some(first), Some(last)) => first.start..last.end(),
        _ => 0..0,
    }
}

/// Forms that are no list of assignments.
fn special(phrase: &Phrase<'_>) -> Option<Target> {
    let mut phrase = phrase.clone();
    let scoped = phrase.any(&["GLOBAL", "SESSION", "LOCAL"]);
    if phrase.word("TRANSACTION") {
        return Some(match scoped {
            Some("GLOBAL") => Target::Global("transaction".to_owned()),
            _ => Target::Transaction,
        });
    }
    if phrase.at_word("PASSWORD") || phrase.at_word("ROLE") {
        return Some(Target::Account);
    }
    if phrase.word("DEFAULT") && phrase.at_word("ROLE") {
        return Some(Target::Account);
    }
    phrase.at_word("STATEMENT").then_some(Target::Unknown)
}

/// `global`: whether the last scope that was named is the server's; it holds for what follows it.
fn assignment<'a>(tokens: &'a [Token<'a>], global: &mut bool) -> Assignment<'a> {
    let mut phrase = Phrase::new(tokens);
    let scope = tokens
        .first()
        .filter(|first| SCOPES.iter().any(|scope| first.is(scope)));
    if let Some(scope) = scope {
        *global = !(scope.is("SESSION") || scope.is("LOCAL"));
    }
    let bare = scope.is_none()
        && tokens
            .first()
            .is_some_and(|first| first.kind != TokenKind::Variable);
    let target = match target(&mut phrase).unwrap_or(Target::Unknown) {
        Target::System(name) if bare && *global => Target::Global(name),
        target => target,
    };
    let value = match phrase.rest() {
        [token, value @ ..] if token.text == b"=" || token.text == b":=" => value,
        value => value,
    };
    Assignment {
        target,
        value,
        span: span(tokens),
    }
}

const SCOPES: [&str; 5] = ["GLOBAL", "PERSIST", "PERSIST_ONLY", "SESSION", "LOCAL"];

fn target(phrase: &mut Phrase<'_>) -> Option<Target> {
    if phrase.word("NAMES") || phrase.word("CHARSET") {
        return Some(Target::Names);
    }
    if phrase.at_word("CHARACTER") && phrase.rest().get(1).is_some_and(|token| token.is("SET")) {
        phrase.next();
        phrase.next();
        return Some(Target::Names);
    }
    let scope = phrase.any(&SCOPES);
    let global = |scope: &str| matches!(scope, "GLOBAL" | "PERSIST" | "PERSIST_ONLY");
    let token = phrase.next()?;
    if token.kind != TokenKind::Variable {
        let name = token.name()?.to_ascii_lowercase();
        return Some(if scope.is_some_and(global) {
            Target::Global(name)
        } else {
            Target::System(name)
        });
    }
    Some(match variable(token) {
        Variable::User(name) => Target::User(name),
        Variable::System { scope, name } if global(&scope) => Target::Global(name),
        Variable::System { name, .. } => Target::System(name),
    })
}

/// A `@user` or `@@system` variable, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    User(String),
    System {
        /// In upper case, empty without one.
        scope: String,
        name: String,
    },
}

/// Reads a variable token.
pub(crate) fn variable(token: &Token<'_>) -> Variable {
    let spelt = |text: &[u8]| match text {
        [b'\'', inner @ .., b'\''] => String::from_utf8_lossy(inner).to_ascii_lowercase(),
        text => unquote(text).to_ascii_lowercase(),
    };
    match token.text {
        [b'@', b'@', name @ ..] => match name.iter().position(|byte| *byte == b'.') {
            Some(dot) => Variable::System {
                scope: String::from_utf8_lossy(&name[..dot]).to_ascii_uppercase(),
                name: spelt(&name[dot + 1..]),
            },
            None => Variable::System {
                scope: String::new(),
                name: spelt(name),
            },
        },
        text => Variable::User(spelt(&text[1..])),
    }
}
