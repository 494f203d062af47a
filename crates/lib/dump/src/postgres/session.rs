//! What the dump's session has set, as far as it decides how text is read and what it means.

use std::collections::BTreeMap;

use pilotfish_sql::mysql::Name;
use pilotfish_sql::postgres::{Mode, Token, key, tokens};

use super::phrase::{Phrase, Qualified};

/// Settings that change nothing of what is stored.
const IDLE: [&str; 8] = [
    "check_function_bodies",
    "client_min_messages",
    "default_transaction_read_only",
    "idle_in_transaction_session_timeout",
    "lock_timeout",
    "row_security",
    "statement_timeout",
    "transaction_timeout",
];

/// Encodings in which a backslash or a quote may be the second byte of a character, and their other names, in
/// small letters and without punctuation.
const UNSAFE: [&str; 17] = [
    "sjis",
    "shiftjis",
    "mskanji",
    "win932",
    "windows932",
    "shiftjis2004",
    "big5",
    "win950",
    "windows950",
    "gbk",
    "win936",
    "windows936",
    "uhc",
    "win949",
    "windows949",
    "gb18030",
    "johab",
];

/// Schemas of the search path in which nothing is made.
const PASSED: [&str; 4] = ["$user", "pg_catalog", "pg_temp", "information_schema"];

/// One connection of psql.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    mode: Mode,
    /// Where names without a schema are made.
    schema: Option<String>,
    set: BTreeMap<String, String>,
}

impl Session {
    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// What gives text its meaning, for digests.
    pub(crate) fn key(&self) -> String {
        let set = self.set.iter();
        set.map(|(name, value)| format!("{name}={value}\n"))
            .collect()
    }

    /// What a table is called by.
    pub(crate) fn key_of(&self, name: &Qualified) -> String {
        let schema = name.schema.as_deref().or(self.schema.as_deref());
        key(schema, &name.name)
    }

    pub(crate) fn table(&self, name: &Qualified) -> Name {
        Name::bare(self.key_of(name))
    }

    /// Follows a SET, RESET or `SELECT set_config(..)`.
    ///
    /// # Errors
    /// What makes the rest unreadable.
    pub(crate) fn apply(&mut self, text: &[Token<'_>]) -> Result<(), String> {
        let mut phrase = Phrase::new(text);
        if phrase.word("RESET") {
            match phrase.identifier() {
                Some(all) if all == "all" => *self = Self::default(),
                Some(name) => self.reset(&name),
                None => {}
            }
            return Ok(());
        }
        if phrase.word("SELECT") {
            let _ = phrase.words("pg_catalog") && phrase.punctuation(b'.');
            let [_, _, name, _, value, ..] = phrase.rest() else {
                return Ok(());
            };
            let setting = name.string().unwrap_or_default();
            let setting = String::from_utf8_lossy(&setting).to_ascii_lowercase();
            let value = value.string().unwrap_or_default();
            if setting == "search_path" {
                // The text holds names as a statement does.
                self.schema = first_schema(names(&value));
            }
            return self.assign(&setting, &String::from_utf8_lossy(&value));
        }
        phrase.word("SET");
        let _ = phrase.any(&["LOCAL", "SESSION"]);
        if phrase.word("NAMES") {
            return self.assign("client_encoding", &value(phrase.rest()));
        }
        if phrase.words("TIME ZONE") {
            return self.assign("timezone", &value(phrase.rest()));
        }
        if phrase.word("SCHEMA") {
            self.schema = first_schema(phrase.rest().iter().filter_map(spoken));
            return self.assign("search_path", &value(phrase.rest()));
        }
        let Some(name) = phrase.identifier() else {
            return Ok(());
        };
        if phrase.word("TO") || phrase.rest().first().is_some_and(|is| is.text == b"=") {
            let list = phrase.rest();
            let list = match list {
                [is, list @ ..] if is.text == b"=" => list,
                list => list,
            };
            if matches!(list, [only] if only.is("DEFAULT")) {
                self.reset(&name);
                return Ok(());
            }
            if name == "search_path" {
                self.schema = first_schema(list.iter().filter_map(spoken));
            }
            return self.assign(&name, &value(list));
        }
        Ok(())
    }

    fn reset(&mut self, name: &str) {
        self.set.remove(name);
        match name {
            "standard_conforming_strings" => self.mode = Mode::default(),
            "search_path" => self.schema = None,
            _ => {}
        }
    }

    fn assign(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "client_encoding" => refuse_unsafe(value)?,
            "standard_conforming_strings" => {
                let off = ["off", "false", "no", "0", "f", "n", "of", "fa"];
                let value = value.to_ascii_lowercase();
                self.mode.standard_conforming_strings = !off.contains(&&*value);
            }
            _ => {}
        }
        if !IDLE.contains(&name) {
            self.set.insert(name.to_owned(), value.to_owned());
        }
        Ok(())
    }
}

fn refuse_unsafe(encoding: &str) -> Result<(), String> {
    let letters = encoding.chars().filter(char::is_ascii_alphanumeric);
    let plain = letters.collect::<String>().to_ascii_lowercase();
    if UNSAFE.contains(&&*plain) {
        return Err(format!(
            "the encoding {encoding}, in which a backslash may be part of another character: dump again with \
             --encoding=UTF8"
        ));
    }
    Ok(())
}

/// What a SET says, as one text.
fn value(list: &[Token<'_>]) -> String {
    let entry = |token: &Token<'_>| match spoken(token) {
        Some(text) => text,
        None => String::from_utf8_lossy(token.text).into_owned(),
    };
    list.iter().map(entry).collect()
}

/// The names in a list.
fn names(text: &[u8]) -> Vec<String> {
    let tokens = tokens(text, Mode::default());
    tokens.filter_map(|token| token.name()).collect()
}

/// A name, or what a string holds.
fn spoken(token: &Token<'_>) -> Option<String> {
    let string = token.string();
    let string = string.map(|text| String::from_utf8_lossy(&text).into_owned());
    string.or_else(|| token.name())
}

/// Where names without a schema are made under a search path.
fn first_schema(path: impl IntoIterator<Item = String>) -> Option<String> {
    let mut path = path.into_iter();
    path.find(|name| !name.is_empty() && !PASSED.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(texts: &[&str]) -> Result<Session, String> {
        let mut session = Session::default();
        for text in texts {
            let tokens: Vec<_> = tokens(text.as_bytes(), session.mode()).collect();
            session.apply(&tokens)?;
        }
        Ok(session)
    }

    fn table(texts: &[&str]) -> String {
        let name = Qualified {
            schema: None,
            name: "t".to_owned(),
        };
        session(texts).unwrap().key_of(&name)
    }

    #[test]
    fn names_follow_the_search_path() {
        for (text, expected) in [
            ("SET search_path = app, public", "app.t"),
            ("SET search_path TO 'App'", "\"App\".t"),
            ("SET SESSION search_path = \"$user\", public", "t"),
            (
                "SELECT pg_catalog.set_config('search_path', '', false)",
                "t",
            ),
            (
                "SELECT set_config('search_path', 'pg_catalog, app', false)",
                "app.t",
            ),
            ("SET search_path TO DEFAULT", "t"),
            ("SET SCHEMA 'app'", "app.t"),
            ("SET search_path = 'a, b'", "\"a, b\".t"),
        ] {
            assert_eq!(table(&[text]), expected, "{text}");
        }
        assert_eq!(table(&["SET search_path = app", "RESET search_path"]), "t");
        assert_eq!(table(&["SET search_path = app", "RESET ALL"]), "t");
    }

    #[test]
    fn how_strings_are_read() {
        let conforming =
            |texts: &[&str]| session(texts).unwrap().mode().standard_conforming_strings;
        assert!(conforming(&["SET standard_conforming_strings = on"]));
        assert!(!conforming(&["SET standard_conforming_strings = off"]));
        assert!(!conforming(&["SET standard_conforming_strings TO 'OFF'"]));
        assert!(!conforming(&[
            "SELECT set_config('standard_conforming_strings', 'off', false)"
        ]));
        assert!(conforming(&[
            "SET standard_conforming_strings = off",
            "RESET ALL"
        ]));
    }

    #[test]
    fn encodings() {
        for text in [
            "SET client_encoding = 'SJIS'",
            "SET NAMES 'gb18030'",
            "SET client_encoding TO Shift_JIS_2004",
        ] {
            assert!(session(&[text]).is_err(), "{text}");
        }
        for text in [
            "SET client_encoding = 'UTF8'",
            "SET NAMES 'LATIN1'",
            "SET client_encoding TO euc_jp",
        ] {
            assert!(session(&[text]).is_ok(), "{text}");
        }
    }

    #[test]
    fn idle_settings_are_in_no_digest() {
        let plain = session(&[]).unwrap().key();
        assert_eq!(
            session(&["SET statement_timeout = 0"]).unwrap().key(),
            plain
        );
        assert_ne!(
            session(&["SET client_encoding = 'LATIN1'"]).unwrap().key(),
            plain
        );
    }
}
