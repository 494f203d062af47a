//! The session a dump builds up by its SET statements, as far as reading and digests depend on it.

use std::collections::BTreeMap;

use pilotfish_sql::Flavour;
use pilotfish_sql::mysql::{Mode, Token, TokenKind, unescape};

use crate::mysql::assignment::{Assignment, Target, Variable, assignments, variable};
use crate::mysql::classify::is_server_state;

/// Character sets in which `\` can be the second byte of a character: without decoding, nobody can
/// tell where a string ends.
const UNSAFE_CHARSETS: [&str; 5] = ["big5", "cp932", "gbk", "gb18030", "sjis"];

/// Modes that include ANSI_QUOTES.
const ANSI_MODES: [&str; 7] = [
    "ANSI_QUOTES",
    "ANSI",
    "ORACLE",
    "MSSQL",
    "POSTGRESQL",
    "DB2",
    "MAXDB",
];

/// Settings that speak of single rows or of the moment. Rows travel over several connections, which do
/// not follow them; the values beside them change nothing.
const OF_THE_MOMENT: [(&str, &[&str]); 8] = [
    ("timestamp", &["0"]),
    ("insert_id", &["0"]),
    ("last_insert_id", &[]),
    ("identity", &[]),
    ("rand_seed1", &[]),
    ("rand_seed2", &[]),
    ("auto_increment_increment", &["1"]),
    ("auto_increment_offset", &["1"]),
];

/// Settings that change neither what a row says nor what a definition does.
const IDLE: [&str; 13] = [
    "autocommit",
    "character_set_results",
    "innodb_lock_wait_timeout",
    "lock_wait_timeout",
    "max_statement_time",
    "net_read_timeout",
    "net_write_timeout",
    "sql_notes",
    "sql_quote_show_create",
    "sql_warnings",
    "transaction_isolation",
    "unique_checks",
    "wait_timeout",
];

/// What the server has until the dump says otherwise.
const DEFAULT: &str = "default";

/// Bits of a numeric `sql_mode`, the same in both servers.
mod bits {
    pub(super) const ANSI_QUOTES: u64 = 1 << 2;
    /// Unused in MySQL.
    pub(super) const ORACLE: u64 = 1 << 9;
    pub(super) const NO_AUTO_VALUE_ON_ZERO: u64 = 1 << 19;
    pub(super) const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;
}

/// A value as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value {
    text: String,
    /// Of a `sql_mode`.
    flags: Flags,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Flags {
    no_backslash_escapes: bool,
    ansi_quotes: bool,
    no_auto_value_on_zero: bool,
    oracle: bool,
}

/// A session's settings that matter here.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    flavour: Flavour,
    sql_mode: Value,
    time_zone: Value,
    client: Value,
    connection: Value,
    foreign_key_checks: Value,
    database_collation: String,
    /// Others that may shape rows or definitions, where they are not what the server has.
    others: BTreeMap<String, String>,
    user: BTreeMap<String, Value>,
    /// `@OLD_..` variables that hold a setting to be restored; whether it was saved at the dump's top.
    saved: BTreeMap<String, bool>,
    restored: bool,
    /// Definitions or rows came since the top.
    underway: bool,
}

impl Session {
    pub(crate) fn new(flavour: Flavour, charset: &str, sql_mode: &str) -> Self {
        let default = Value::new(DEFAULT);
        let modes = sql_mode.to_ascii_uppercase();
        let sql_mode = Value {
            flags: Flags::of_names(&modes),
            text: if modes.is_empty() {
                DEFAULT.to_owned()
            } else {
                modes
            },
        };
        Self {
            flavour,
            sql_mode,
            time_zone: default,
            client: Value::new(charset),
            connection: Value::new(charset),
            foreign_key_checks: Value::new(unset("foreign_key_checks")),
            database_collation: DEFAULT.to_owned(),
            others: BTreeMap::new(),
            user: BTreeMap::new(),
            saved: BTreeMap::new(),
            restored: false,
            underway: false,
        }
    }

    /// How text is to be read now.
    pub(crate) const fn mode(&self) -> Mode {
        Mode {
            flavour: self.flavour,
            no_backslash_escapes: self.sql_mode.flags.no_backslash_escapes,
            ansi_quotes: self.sql_mode.flags.ansi_quotes,
        }
    }

    /// Whether `0` in an AUTO_INCREMENT column asks for the next number.
    pub(crate) const fn zero_is_next(&self) -> bool {
        !self.sql_mode.flags.no_auto_value_on_zero
    }

    /// Whether the server would let foreign keys act, as it does unless the dump says otherwise.
    pub(crate) fn checks_foreign_keys(&self) -> bool {
        let value = self.foreign_key_checks.text.to_ascii_lowercase();
        !["0", "off", "false"].contains(&value.as_str())
    }

    /// Whether stored programs are written in Oracle's way (MariaDB).
    pub(crate) const fn is_oracle(&self) -> bool {
        self.sql_mode.flags.oracle
    }

    /// The settings that decide what a definition or a row means, as one text for digests.
    pub(crate) fn key(&self) -> String {
        let Self {
            sql_mode,
            time_zone,
            client,
            connection,
            database_collation,
            others,
            ..
        } = self;
        let mut key = format!(
            "sql_mode={}\ntime_zone={}\nclient={}\nconnection={}\ndatabase={database_collation}\n",
            sql_mode.text, time_zone.text, client.text, connection.text
        );
        for (name, value) in others {
            key.push_str(&format!("{name}={value}\n"));
        }
        key
    }

    /// A setting the dump saved and has not restored yet, and so has not come to its footer.
    pub(crate) fn unrestored(&self) -> Option<&str> {
        self.saved.keys().next().map(String::as_str)
    }

    /// A definition or rows come: what was restored so far was no footer.
    pub(crate) const fn goes_on(&mut self) {
        self.underway = true;
        self.restored = false;
    }

    /// Whether settings that were saved at the top were restored, as a dump's footer does, and nothing
    /// came after it.
    pub(crate) const fn restored(&self) -> bool {
        self.restored
    }

    /// `ALTER DATABASE`: routines take its character set.
    pub(crate) fn alter_database(&mut self, tokens: &[Token<'_>]) {
        self.database_collation = join(tokens);
    }

    /// Carries out a SET statement.
    ///
    /// # Errors
    /// What it asks for that cannot be read safely.
    pub(crate) fn apply(&mut self, tokens: &[Token<'_>]) -> Result<(), String> {
        for Assignment { target, value, .. } in assignments(tokens) {
            match target {
                Target::Names => self.set_names(value)?,
                Target::System(name) => self.set_system(&name, value)?,
                Target::User(name) => self.set_user(name, value),
                // mysqldump --all-databases saves and restores INNODB_STATS_AUTO_RECALC so.
                Target::Global(name) => self.note_restored(&name, value),
                Target::Transaction | Target::Account | Target::Unknown => {}
            }
        }
        Ok(())
    }

    fn set_names(&mut self, value: &[Token<'_>]) -> Result<(), String> {
        let charset = self.evaluate(value.get(..1).unwrap_or_default());
        refuse_unsafe(&charset.text)?;
        self.client = charset;
        self.connection = Value::new(join(value));
        Ok(())
    }

    fn set_system(&mut self, name: &str, tokens: &[Token<'_>]) -> Result<(), String> {
        let value = self.evaluate(tokens);
        self.note_restored(name, tokens);
        refuse_the_moment(name, tokens)?;
        match name {
            "sql_mode" => self.sql_mode = self.evaluate_mode(tokens, value)?,
            "time_zone" => self.time_zone = value,
            "foreign_key_checks" => self.foreign_key_checks = value,
            "character_set_client" => {
                refuse_unsafe(&value.text)?;
                self.client = value;
            }
            "character_set_connection" | "collation_connection" => self.connection = value,
            name if IDLE.contains(&name) || is_server_state(name) => {}
            name if value.text == unset(name) || value.text == DEFAULT => {
                self.others.remove(name);
            }
            name => {
                self.others.insert(name.to_owned(), value.text);
            }
        }
        Ok(())
    }

    /// A value that is nothing but a saved variable restores what was saved.
    fn note_restored(&mut self, name: &str, value: &[Token<'_>]) {
        if let [token] = value
            && token.kind == TokenKind::Variable
            && let Variable::User(saved) = variable(token)
        {
            // mariadb-dump --no-autocommit saves and restores that one around the rows of each table.
            let at_top = self.saved.remove(&saved) == Some(true) && name != "autocommit";
            self.restored |= at_top;
            // Another dump may follow in the same file.
            self.underway &= !(at_top && self.saved.is_empty());
        }
    }

    fn set_user(&mut self, name: String, tokens: &[Token<'_>]) {
        let saves = tokens
            .first()
            .is_some_and(|token| token.text.starts_with(b"@@"));
        if name.starts_with("old_") && saves {
            self.saved.insert(name.clone(), !self.underway);
        }
        let value = self.evaluate(tokens);
        self.user.insert(name, value);
    }

    fn evaluate(&self, tokens: &[Token<'_>]) -> Value {
        let [token] = tokens else {
            return Value::new(join(tokens));
        };
        match token.kind {
            TokenKind::String => Value::new(self.string(token)),
            TokenKind::Word => Value::new(String::from_utf8_lossy(token.text).to_lowercase()),
            TokenKind::Variable => match variable(token) {
                Variable::User(name) => self
                    .user
                    .get(&name)
                    .cloned()
                    .unwrap_or_else(|| Value::new("null")),
                Variable::System { name, .. } => self.system(&name),
            },
            _ => Value::new(join(tokens)),
        }
    }

    fn system(&self, name: &str) -> Value {
        match name {
            "sql_mode" => self.sql_mode.clone(),
            "time_zone" => self.time_zone.clone(),
            "foreign_key_checks" => self.foreign_key_checks.clone(),
            "character_set_client" => self.client.clone(),
            "character_set_connection" | "collation_connection" => self.connection.clone(),
            _ => Value::new(
                self.others
                    .get(name)
                    .cloned()
                    .unwrap_or_else(|| unset(name)),
            ),
        }
    }

    fn evaluate_mode(&self, tokens: &[Token<'_>], value: Value) -> Result<Value, String> {
        match tokens {
            [token] if token.kind == TokenKind::String => {
                let text = value.text.to_ascii_uppercase();
                Ok(Value {
                    flags: Flags::of_names(&text),
                    text,
                })
            }
            [token] if token.kind == TokenKind::Word => {
                let flags = Flags::of_names(&value.text.to_ascii_uppercase());
                Ok(Value { flags, ..value })
            }
            [token] if token.kind == TokenKind::Number => {
                let flags = value
                    .text
                    .trim()
                    .parse()
                    .map(Flags::of_bits)
                    .unwrap_or_default();
                Ok(Value { flags, ..value })
            }
            [_] => Ok(value),
            _ if value
                .text
                .to_ascii_uppercase()
                .contains("NO_BACKSLASH_ESCAPES") =>
            {
                Err(
                    "a computed sql_mode with NO_BACKSLASH_ESCAPES: set it as one string"
                        .to_owned(),
                )
            }
            // An expression over @@sql_mode: quoting stays, and rows numbered 0 keep their order.
            _ => Ok(Value {
                flags: Flags {
                    no_auto_value_on_zero: false,
                    ..self.sql_mode.flags
                },
                ..value
            }),
        }
    }

    fn string(&self, token: &Token<'_>) -> String {
        let [quote, raw @ .., _] = token.text else {
            return String::new();
        };
        let mut out = Vec::new();
        unescape(
            raw,
            *quote,
            self.sql_mode.flags.no_backslash_escapes,
            &mut out,
        );
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl Value {
    fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            flags: Flags::default(),
        }
    }
}

impl Flags {
    fn of_names(modes: &str) -> Self {
        let mut flags = Self::default();
        for mode in modes.split(',').map(str::trim) {
            flags.no_backslash_escapes |= mode == "NO_BACKSLASH_ESCAPES";
            flags.ansi_quotes |= ANSI_MODES.contains(&mode);
            flags.no_auto_value_on_zero |= mode == "NO_AUTO_VALUE_ON_ZERO";
            flags.oracle |= mode == "ORACLE";
        }
        flags
    }

    const fn of_bits(bits: u64) -> Self {
        Self {
            no_backslash_escapes: bits & bits::NO_BACKSLASH_ESCAPES != 0,
            ansi_quotes: bits & bits::ANSI_QUOTES != 0,
            no_auto_value_on_zero: bits & bits::NO_AUTO_VALUE_ON_ZERO != 0,
            oracle: bits & bits::ORACLE != 0,
        }
    }
}

/// A setting that is as the server has it.
fn unset(name: &str) -> String {
    format!("@@{name}")
}

fn refuse_unsafe(charset: &str) -> Result<(), String> {
    let charset = charset.to_ascii_lowercase();
    if UNSAFE_CHARSETS.contains(&charset.as_str()) {
        return Err(format!(
            "the character set {charset}, where `\\` can be half a character: dump again with --default-character-set=utf8mb4"
        ));
    }
    Ok(())
}

fn refuse_the_moment(name: &str, value: &[Token<'_>]) -> Result<(), String> {
    let Some((name, harmless)) = OF_THE_MOMENT.iter().find(|(of, _)| *of == name) else {
        return Ok(());
    };
    let restores =
        matches!(value, [token] if token.is("DEFAULT") || token.kind == TokenKind::Variable);
    let spelt = join(value);
    if restores || harmless.contains(&spelt.as_str()) {
        return Ok(());
    }
    Err(format!(
        "SET {name}, which the loader's other connections do not follow: write the values into the rows"
    ))
}

/// Refuses what speaks of the statement before: rows go over other connections, cut in other ways.
pub(crate) fn refuse_looking_back(tokens: &[Token<'_>]) -> Result<(), String> {
    const CALLS: [&str; 3] = ["LAST_INSERT_ID", "ROW_COUNT", "FOUND_ROWS"];
    let call = tokens.windows(3).find_map(|three| {
        let name = CALLS.iter().find(|name| three[0].is(name))?;
        let empty = three[1].is_punctuation(b'(') && three[2].is_punctuation(b')');
        empty.then(|| format!("{name}()"))
    });
    let variable = || {
        tokens
            .iter()
            .filter(|token| token.kind == TokenKind::Variable)
            .find_map(|token| match variable(token) {
                Variable::System { name, .. }
                    if ["last_insert_id", "identity", "warning_count", "error_count"]
                        .contains(&name.as_str()) =>
                {
                    Some(format!("@@{name}"))
                }
                _ => None,
            })
    };
    match call.or_else(variable) {
        None => Ok(()),
        Some(what) => Err(format!(
            "{what}, which speaks of the statement before it on one connection: write the value into the dump"
        )),
    }
}

/// Tokens as one text.
fn join(tokens: &[Token<'_>]) -> String {
    let words: Vec<_> = tokens
        .iter()
        .map(|token| String::from_utf8_lossy(token.text))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests;
