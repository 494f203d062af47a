//! Qualifiers in queries, where `x.c` may be a column of the table or alias `x`.

use super::requalify::{Ambiguous, dot, is_name};
use super::{Token, TokenKind};

/// Refuses a query in which one of the `qualifiers` is called by a name that a table or alias has too.
///
/// # Errors
/// The name.
pub(super) fn refuse_ambiguous(
    tokens: &[Token<'_>],
    qualifiers: &[usize],
    schemas: &[usize],
) -> Result<(), Ambiguous> {
    if qualifiers.is_empty() || !holds_query(tokens) {
        return Ok(());
    }
    for at in qualifiers {
        let name = tokens[*at].name();
        let is_used = |other: usize| {
            let second = other > 0 && dot(tokens, other - 1);
            (second || !dot(tokens, other + 1) && !schemas.contains(&other))
                && tokens[other].name() == name
        };
        if may_be_column(tokens, *at) && (0..tokens.len()).any(is_used) {
            let schema = name.unwrap_or_default();
            return Err(Ambiguous { schema });
        }
    }
    Ok(())
}

fn holds_query(tokens: &[Token<'_>]) -> bool {
    const VERBS: [&str; 6] = ["SELECT", "VALUES", "INSERT", "UPDATE", "DELETE", "MERGE"];
    // Rights are called as the commands are.
    const OTHERS: [&str; 5] = ["GRANT", "REVOKE", "COMMENT", "SECURITY", "COPY"];
    let first = tokens.first();
    let other = first.is_some_and(|first| OTHERS.iter().any(|word| first.is(word)));
    let query = |token: &Token<'_>| VERBS.iter().any(|word| token.is(word));
    let is_policy = || tokens.get(1).is_some_and(|second| second.is("POLICY"));
    !other && (tokens.iter().any(query) || is_policy())
}

/// Words after which a table, type or function is named, never a column.
const BEFORE: [&str; 22] = [
    "FROM",
    "JOIN",
    "INTO",
    "UPDATE",
    "ONLY",
    "TABLE",
    "VIEW",
    "EXISTS",
    "FUNCTION",
    "PROCEDURE",
    "RETURNS",
    "SETOF",
    "TRIGGER",
    "TYPE",
    "DOMAIN",
    "SEQUENCE",
    "INDEX",
    "COLLATE",
    "REFERENCES",
    "OPERATOR",
    "USING",
    "OF",
];

/// Whether the qualified name at `at` stands where a column could.
fn may_be_column(tokens: &[Token<'_>], at: usize) -> bool {
    let called = tokens
        .get(at + 3)
        .is_some_and(|next| next.is_punctuation(b'(') || next.is_punctuation(b'.'));
    let operator = tokens
        .get(at + 2)
        .is_some_and(|object| object.kind == TokenKind::Operator);
    let Some(before) = at.checked_sub(1).map(|before| &tokens[before]) else {
        return false;
    };
    let placed = BEFORE.iter().any(|word| before.is(word)) || before.text == b"::";
    !called && !operator && !placed && !names_table(tokens, at)
}

/// The table of an index, policy, trigger or rule: behind their first ON, or a rule's TO.
fn names_table(tokens: &[Token<'_>], at: usize) -> bool {
    let kinds = ["TRIGGER", "POLICY", "INDEX", "RULE"];
    let head = tokens.iter().take(5);
    let kind = head
        .clone()
        .any(|token| kinds.iter().any(|word| token.is(word)));
    let word = &tokens[at - 1];
    let first = |of: &str| {
        let mut before = tokens[..at].iter().filter(|token| token.is(of));
        word.is(of) && before.nth(1).is_none()
    };
    kind && is_name(&tokens[at]) && (first("ON") || first("TO"))
}
