//! The way back from a statement that made something which belongs to the database.

use std::borrow::Cow;

use pilotfish_sql::postgres::{Mode, Token, tokens};

use super::Head;

/// A CREATE that fails where there is such a thing already: without OR REPLACE and IF NOT EXISTS.
pub(in crate::postgres::load) fn strictly(text: &[u8], mode: Mode) -> Cow<'_, [u8]> {
    let all: Vec<Token<'_>> = tokens(text, mode).take(super::HEAD).collect();
    let says = |at: usize, words: &[&str]| Head { tokens: &all }.at(at, words);
    let tolerant = [&["OR", "REPLACE"][..], &["IF", "NOT", "EXISTS"]];
    let found = (0..all.len()).find_map(|at| {
        let words = tolerant.iter().find(|words| says(at, words))?;
        Some((all[at].at, all[at + words.len() - 1].end()))
    });
    match found {
        Some((from, to)) => Cow::Owned([&text[..from], &text[to..]].concat()),
        None => Cow::Borrowed(text),
    }
}

/// What unmakes something that a CREATE has made and that belongs to the database.
pub(in crate::postgres::load) fn undo(text: &[u8], mode: Mode) -> Option<String> {
    const PASSED: [&str; 5] = ["CREATE", "OR", "REPLACE", "TRUSTED", "PROCEDURAL"];
    let mut all: Vec<Token<'_>> = tokens(text, mode).collect();
    all.retain(|token| !["IF", "NOT", "EXISTS"].iter().any(|word| token.is(word)));
    let begins = all
        .iter()
        .position(|token| !PASSED.iter().any(|word| token.is(word)))?;
    let rest = all.get(begins..)?;
    let head = Head { tokens: rest };
    let text_of = |from: usize, to: usize| {
        let (first, last) = (rest.get(from)?, rest.get(to)?);
        Some(String::from_utf8_lossy(&text[first.at..last.end()]).into_owned())
    };
    let kind = match () {
        () if head.at(0, &["CAST"]) => {
            let end = rest.iter().position(|token| token.is_punctuation(b')'))?;
            return Some(format!("DROP CAST IF EXISTS {}", text_of(1, end)?));
        }
        () if head.at(0, &["TRANSFORM"]) => {
            let end = head.position(&["LANGUAGE"])?;
            return Some(format!("DROP TRANSFORM IF EXISTS {}", text_of(1, end + 1)?));
        }
        () if head.at(0, &["USER", "MAPPING"]) => {
            let end = head.position(&["SERVER"])?;
            return Some(format!(
                "DROP USER MAPPING IF EXISTS {}",
                text_of(2, end + 1)?
            ));
        }
        () if head.at(0, &["FOREIGN", "DATA", "WRAPPER"]) => 3,
        () if head.at(0, &["ACCESS", "METHOD"]) => 2,
        () if head.at(0, &["SERVER"]) || head.at(0, &["LANGUAGE"]) => 1,
        () => return None,
    };
    let words = text_of(0, kind - 1)?;
    Some(format!("DROP {words} IF EXISTS {}", text_of(kind, kind)?))
}
