//! Moves a statement to other schemas by the names in it.

use std::borrow::Cow;

use super::{Mode, Token, TokenKind, query, quote, quote_literal, tokens};

/// A qualifier that may be a schema, or a table or alias of the same name in the same query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{schema}` is a schema and a table or alias in the same query")]
pub struct Ambiguous {
    /// The name that is both.
    pub schema: String,
}

/// What a schema becomes: asked with its name and, for a qualifier, with what it qualifies.
type To<'a> = dyn Fn(&str, Option<&str>) -> Option<String> + 'a;

/// Replaces schema names where the server reads them as such: qualifiers, the lists of commands about
/// schemas, `search_path`, and the few string literals that the server takes for names. Function bodies,
/// comments and all other strings stay.
///
/// `to` is asked with a schema's name and, where it qualifies something, with that name or operator; it
/// answers the new schema, or `None` to leave it.
///
/// # Errors
/// Where a query uses a name that would be replaced for one of its tables too.
pub fn requalify<'a>(text: &'a [u8], mode: Mode, to: &To<'_>) -> Result<Cow<'a, [u8]>, Ambiguous> {
    let tokens: Vec<_> = tokens(text, mode).collect();
    let mut edits = Edits {
        mode,
        to,
        done: Vec::new(),
    };
    let listed = schemas(&tokens);
    for at in &listed {
        edits.name(&tokens[*at], None);
    }
    let qualifiers = edits.qualifiers(&tokens);
    query::refuse_ambiguous(&tokens, &qualifiers, &listed)?;
    edits.search_path(&tokens);
    edits.literals(&tokens);
    Ok(edits.into_text(text))
}

struct Edits<'a> {
    mode: Mode,
    to: &'a To<'a>,
    /// First byte, byte after the last one, and what stands there now.
    done: Vec<(usize, usize, String)>,
}

impl Edits<'_> {
    fn name(&mut self, token: &Token<'_>, object: Option<&str>) -> bool {
        let moved = token.name().and_then(|name| (self.to)(&name, object));
        let moves = moved.is_some();
        self.done
            .extend(moved.map(|new| (token.at, token.end(), quote(&new))));
        moves
    }

    /// First parts of qualified names; answers where those are that change.
    fn qualifiers(&mut self, tokens: &[Token<'_>]) -> Vec<usize> {
        let mut changed = Vec::new();
        for at in 0..tokens.len() {
            if let Some(object) = qualified(tokens, at)
                && self.name(&tokens[at], Some(&object))
            {
                changed.push(at);
            }
        }
        changed
    }

    fn search_path(&mut self, tokens: &[Token<'_>]) {
        let Some(first) = tokens.first() else {
            return;
        };
        if first.is("SET") {
            let scope = ["LOCAL", "SESSION"];
            let scoped = tokens
                .get(1)
                .is_some_and(|token| scope.iter().any(|word| token.is(word)));
            let at = 1 + usize::from(scoped);
            let list = match tokens.get(at..).unwrap_or_default() {
                [name, is, list @ ..]
                    if name.name().as_deref() == Some("search_path")
                        && (is.is("TO") || is.text == b"=") =>
                {
                    list
                }
                [schema, list @ ..] if schema.is("SCHEMA") => list,
                _ => return,
            };
            list.iter().for_each(|entry| self.entry(entry));
        } else if first.is("SELECT") {
            for five in tokens.windows(5) {
                let [function, open, setting, comma, value] = five else {
                    continue;
                };
                if function.name().as_deref() == Some("set_config")
                    && open.is_punctuation(b'(')
                    && setting.string().as_deref() == Some(b"search_path")
                    && comma.is_punctuation(b',')
                {
                    self.within(value, Self::entries);
                }
            }
        }
    }

    /// A name or string in the list of `SET search_path`.
    fn entry(&mut self, token: &Token<'_>) {
        match token.string() {
            Some(name) if !name.is_empty() => {
                let moved = (self.to)(&String::from_utf8_lossy(&name), None);
                self.done
                    .extend(moved.map(|new| (token.at, token.end(), quote_literal(&new))));
            }
            _ if token.is("DEFAULT") => {}
            _ => {
                self.name(token, None);
            }
        }
    }

    /// The names of a list that stands in a string.
    fn entries(&mut self, tokens: &[Token<'_>]) {
        for token in tokens {
            self.name(token, None);
        }
    }

    /// String literals that name something: what sequences' functions are called with, and casts to `reg*`.
    fn literals(&mut self, tokens: &[Token<'_>]) {
        for at in 0..tokens.len() {
            let cast = cast_after(tokens, at);
            if cast.as_deref() == Some("regnamespace") {
                self.within(&tokens[at], Self::entries);
            } else if cast.is_some_and(|kind| is_named(&kind)) || is_sequence(tokens, at) {
                self.within(&tokens[at], |inner, tokens| {
                    inner.qualifiers(tokens);
                });
            }
        }
    }

    /// Changes what stands inside of a string.
    fn within(&mut self, token: &Token<'_>, change: impl Fn(&mut Self, &[Token<'_>])) {
        let Some(text) = token.string() else {
            return;
        };
        let names: Vec<_> = tokens(&text, self.mode).collect();
        let mut inner = Self {
            mode: self.mode,
            to: self.to,
            done: Vec::new(),
        };
        change(&mut inner, &names);
        if let Cow::Owned(new) = inner.into_text(&text) {
            let new = quote_literal(&String::from_utf8_lossy(&new));
            self.done.push((token.at, token.end(), new));
        }
    }

    fn into_text(mut self, text: &[u8]) -> Cow<'_, [u8]> {
        if self.done.is_empty() {
            return Cow::Borrowed(text);
        }
        self.done.sort_unstable();
        let mut out = Vec::with_capacity(text.len() + 64);
        let mut copied = 0;
        for (from, to, new) in &self.done {
            out.extend_from_slice(&text[copied..*from]);
            out.extend_from_slice(new.as_bytes());
            copied = *to;
        }
        out.extend_from_slice(&text[copied..]);
        Cow::Owned(out)
    }
}

pub(super) fn dot(tokens: &[Token<'_>], at: usize) -> bool {
    tokens
        .get(at)
        .is_some_and(|token| token.is_punctuation(b'.'))
}

pub(super) fn is_name(token: &Token<'_>) -> bool {
    matches!(token.kind, TokenKind::Word | TokenKind::QuotedName)
}

fn says(tokens: &[Token<'_>], at: usize, words: &[&str]) -> bool {
    words
        .iter()
        .enumerate()
        .all(|(index, word)| tokens.get(at + index).is_some_and(|token| token.is(word)))
}

/// What the name at `at` qualifies, if it may be a schema.
fn qualified(tokens: &[Token<'_>], at: usize) -> Option<String> {
    let first = is_name(&tokens[at]) && !(at > 0 && dot(tokens, at - 1)) && dot(tokens, at + 1);
    let object = tokens.get(at + 2).filter(|_| first)?;
    let three = dot(tokens, at + 3);
    let before = |back: usize, word: &str| at >= back && tokens[at - back].is(word);
    // Columns are named by their table.
    let column = before(1, "COLUMN") && (before(2, "ON") || before(3, "COMMENT"))
        || before(1, "BY") && before(2, "OWNED")
        || tokens.get(at + 3).is_some_and(|next| next.text == b"%")
            && says(tokens, at + 4, &["TYPE"]);
    if column && !three {
        return None;
    }
    if object.kind == TokenKind::Operator {
        let called = before(1, "OPERATOR") || before(2, "OPERATOR");
        // `t.*` are the columns of a table.
        return (object.text != b"*" || called)
            .then(|| String::from_utf8_lossy(object.text).into_owned());
    }
    object.name()
}

/// Where a command about schemas names them.
fn schemas(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut found = Vec::new();
    let Some(first) = tokens.first() else {
        return found;
    };
    for at in 1..tokens.len() {
        if !tokens[at].is("SCHEMA") {
            continue;
        }
        let before = &tokens[at - 1];
        let any = |words: &[&str]| words.iter().any(|word| first.is(word));
        let speaks = at == 1 && any(&["CREATE", "ALTER", "DROP"])
            || before.is("ON") && any(&["COMMENT", "SECURITY", "GRANT", "REVOKE"])
            || before.is("IN") && any(&["GRANT", "REVOKE", "ALTER", "CREATE"])
            || before.is("SET") && first.is("ALTER")
            || (before.is("ADD") || before.is("DROP")) && says(tokens, 0, &["ALTER", "EXTENSION"])
            || says(tokens, 0, &["CREATE", "EXTENSION"]);
        if !speaks {
            continue;
        }
        let mut name = at + 1;
        for words in [&["IF", "NOT", "EXISTS"][..], &["IF", "EXISTS"]] {
            if says(tokens, name, words) {
                name += words.len();
            }
        }
        while let Some(token) = tokens.get(name).filter(|token| is_name(token)) {
            if !token.is("AUTHORIZATION") {
                found.push(name);
            }
            if !tokens
                .get(name + 1)
                .is_some_and(|next| next.is_punctuation(b','))
            {
                break;
            }
            name += 2;
        }
        if says(tokens, 0, &["ALTER", "SCHEMA"]) && says(tokens, name + 1, &["RENAME", "TO"]) {
            found.extend((name + 3 < tokens.len()).then_some(name + 3));
        }
    }
    found
}

/// The type that a literal at `at` is cast to.
fn cast_after(tokens: &[Token<'_>], at: usize) -> Option<String> {
    let rest = tokens.get(at + 1..)?;
    let [cast, kind @ ..] = rest else {
        return None;
    };
    let word = at >= 2 && tokens[at - 1].is_punctuation(b'(') && tokens[at - 2].is("CAST");
    if cast.text != b"::" && !(word && cast.is("AS")) {
        return None;
    }
    match kind {
        [schema, dot, name, ..] if dot.is_punctuation(b'.') => name
            .name()
            .filter(|_| schema.name().as_deref() == Some("pg_catalog")),
        [name, ..] => name.name(),
        [] => None,
    }
}

/// Types whose text is the name of something in a schema.
fn is_named(kind: &str) -> bool {
    const KINDS: [&str; 9] = [
        "regclass",
        "regproc",
        "regprocedure",
        "regoper",
        "regoperator",
        "regtype",
        "regcollation",
        "regconfig",
        "regdictionary",
    ];
    KINDS.contains(&kind)
}

/// Whether the token at `at` is the first argument of a function of sequences.
fn is_sequence(tokens: &[Token<'_>], at: usize) -> bool {
    if at < 2 || !tokens[at - 1].is_punctuation(b'(') {
        return false;
    }
    let function = tokens[at - 2].name();
    let known = function.is_some_and(|name| ["setval", "nextval", "currval"].contains(&&*name));
    let own =
        at < 4 || !dot(tokens, at - 3) || tokens[at - 4].name().as_deref() == Some("pg_catalog");
    known && own
}

#[cfg(test)]
mod tests;
