//! What a statement of the dump means for a stage, which shares its database with what is live.
//!
//! What lives in a schema goes into the stage of that schema. What belongs to the whole database does not: it is
//! shared with the live release, follows in the swap's transaction, or is left out. Nothing may reach a live object.

#[cfg(test)]
mod tests;
mod undo;

use pilotfish_sql::postgres::{Mode, Token, quote, tokens};

use super::schemas::{Mention, Schemas, mentions};
use crate::Error;

pub(super) use undo::{strictly, undo};

/// Tokens that are enough to tell what a statement is.
const HEAD: usize = 24;

/// What to do with a statement.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Run it where the dump's objects are.
    Run,
    /// As [`Self::Run`], after it is known that the dump fills this schema; `None`: where unqualified names go.
    Create(Option<String>),
    /// The database has one already, perhaps, which stays: any of these SQLSTATEs is no error.
    Share,
    /// Nothing to do on a stage, for this reason.
    Leave(&'static str),
    /// About a schema that the dump has put nothing into yet.
    Await(String),
    /// `CREATE SCHEMA`.
    Schema { name: String, owner: Option<String> },
    /// `CREATE EXTENSION`.
    Extension(String),
    /// It belongs to the database: it runs in the swap's transaction, by the live names; `first` makes room.
    AtSwap {
        first: Option<String>,
        tolerant: bool,
    },
}

/// Decides about a statement that defines something.
///
/// # Errors
/// `NeedsDatabase` for what cannot be staged beside a live release, `Refused` for what would change it.
pub(super) fn step(text: &[u8], mode: Mode, schemas: &Schemas) -> Result<Step, Error> {
    let head: Vec<Token<'_>> = tokens(text, mode).take(HEAD).collect();
    let head = Head { tokens: &head };
    let Some(verb) = head.tokens.first() else {
        return Ok(Step::Leave("it is empty"));
    };
    if verb.is("CREATE") {
        return head.create(text, mode, schemas);
    }
    if verb.is("DROP") {
        return Ok(head.drop(text, mode, schemas));
    }
    if verb.is("ALTER") || verb.is("COMMENT") || verb.is("SECURITY") {
        return head.change(text, mode, schemas);
    }
    if verb.is("GRANT") || verb.is("REVOKE") {
        return head.grant(text, mode, schemas);
    }
    if verb.is("SELECT")
        && head.says_any(&[
            "pg_restore_relation_stats",
            "pg_restore_attribute_stats",
            "pg_clear_relation_stats",
        ])
    {
        return Ok(Step::Leave(STATISTICS));
    }
    target(text, mode, schemas)
}

/// The first tokens of a statement.
struct Head<'t> {
    tokens: &'t [Token<'t>],
}

impl Head<'_> {
    fn says_any(&self, words: &[&str]) -> bool {
        let is = |token: &Token<'_>| words.iter().any(|word| token.is(word));
        self.tokens.iter().any(is)
    }

    /// Whether these words stand next to each other, somewhere.
    fn says(&self, words: &[&str]) -> bool {
        self.position(words).is_some()
    }

    fn position(&self, words: &[&str]) -> Option<usize> {
        let mut windows = self.tokens.windows(words.len());
        windows.position(|window| window.iter().zip(words).all(|(token, word)| token.is(word)))
    }

    /// Whether the statement goes on with these words at `at`.
    fn at(&self, at: usize, words: &[&str]) -> bool {
        let rest = self.tokens.get(at..).unwrap_or_default();
        rest.len() >= words.len() && rest.iter().zip(words).all(|(token, word)| token.is(word))
    }

    /// The name at `at`, behind IF [NOT] EXISTS.
    fn name(&self, at: usize) -> Option<String> {
        self.tokens.get(self.behind_if(at))?.name()
    }

    fn behind_if(&self, at: usize) -> usize {
        match () {
            () if self.at(at, &["IF", "NOT", "EXISTS"]) => at + 3,
            () if self.at(at, &["IF", "EXISTS"]) => at + 2,
            () => at,
        }
    }

    fn create(&self, text: &[u8], mode: Mode, schemas: &Schemas) -> Result<Step, Error> {
        let mut at = 1;
        if self.at(at, &["OR", "REPLACE"]) {
            at += 2;
        }
        let named = |at: usize| self.name(at).map(|name| quote(&name)).unwrap_or_default();
        if self.at(at, &["SCHEMA"]) {
            return Ok(self.create_schema(at + 1));
        }
        if self.at(at, &["EXTENSION"]) {
            let name = self.name(at + 1).unwrap_or_default();
            return Ok(Step::Extension(name));
        }
        if self.at(at, &["PUBLICATION"]) {
            let first = Some(format!("DROP PUBLICATION IF EXISTS {}", named(at + 1)));
            return Ok(Step::AtSwap {
                first,
                tolerant: false,
            });
        }
        if self.at(at, &["EVENT", "TRIGGER"]) {
            let first = Some(format!("DROP EVENT TRIGGER IF EXISTS {}", named(at + 2)));
            return Ok(Step::AtSwap {
                first,
                tolerant: false,
            });
        }
        if self.at(at, &["SUBSCRIPTION"]) {
            return Ok(Step::Leave(SUBSCRIPTION));
        }
        if shared_kind(&self.tokens[at.min(self.tokens.len())..]) {
            return Ok(Step::Share);
        }
        // Between types or of functions that are not the dump's, one may be there and stay.
        if self.at(at, &["CAST"]) || self.at(at, &["TRANSFORM"]) {
            return Ok(Step::Share);
        }
        if self.of_a_table(at) {
            return target(text, mode, schemas);
        }
        let name = self.created(at);
        let qualifier = name.filter(|at| {
            let next = self.tokens.get(at + 1);
            next.is_some_and(|next| next.is_punctuation(b'.'))
        });
        let schema = qualifier.and_then(|at| self.tokens.get(at)?.name());
        let object = qualifier.and_then(|at| self.tokens.get(at + 2));
        if let (Some(schema), Some(object)) = (&schema, object) {
            let object = object
                .name()
                .unwrap_or_else(|| String::from_utf8_lossy(object.text).into_owned());
            if schemas.extensions.brought(schema, &object) {
                return Err(Error::NeedsDatabase(format!(
                    "an extension has something named {schema}.{object} already"
                )));
            }
        }
        let made = |mention: &&Mention| schema.as_ref() != Some(&mention.0);
        let mentioned = mentions(text, mode);
        let stranger = mentioned
            .iter()
            .filter(made)
            .find(|mention| is_strange(mention, schemas));
        match stranger.filter(|_| ties(text, mode)) {
            Some((schema, object)) => Err(strange(schema, object.as_deref())),
            None => Ok(Step::Create(schema)),
        }
    }

    /// Indexes, triggers, rules and policies have their table's schema.
    fn of_a_table(&self, at: usize) -> bool {
        let kinds = ["INDEX", "TRIGGER", "RULE", "POLICY"];
        let modifiers = ["UNIQUE", "CONSTRAINT"];
        let kind = self.tokens.get(at);
        let is = |words: &[&str], token: Option<&Token<'_>>| {
            token.is_some_and(|token| words.iter().any(|word| token.is(word)))
        };
        is(&kinds, kind) || is(&modifiers, kind) && is(&kinds, self.tokens.get(at + 1))
    }

    /// Where the name of what is created stands: behind the words that say what it is.
    fn created(&self, at: usize) -> Option<usize> {
        const KINDS: [&str; 22] = [
            "TABLE",
            "VIEW",
            "FUNCTION",
            "PROCEDURE",
            "AGGREGATE",
            "TYPE",
            "DOMAIN",
            "SEQUENCE",
            "OPERATOR",
            "COLLATION",
            "CONVERSION",
            "STATISTICS",
            "CONFIGURATION",
            "DICTIONARY",
            "PARSER",
            "TEMPLATE",
            "CLASS",
            "FAMILY",
            "TEXT",
            "SEARCH",
            "MATERIALIZED",
            "FOREIGN",
        ];
        const MODIFIERS: [&str; 8] = [
            "UNLOGGED",
            "TEMP",
            "TEMPORARY",
            "GLOBAL",
            "LOCAL",
            "RECURSIVE",
            "DEFAULT",
            "PROCEDURAL",
        ];
        let mut at = at;
        let mut seen = false;
        while let Some(token) = self.tokens.get(at) {
            let kind = KINDS.iter().any(|word| token.is(word));
            // OPERATOR CLASS; but a function may be called `class`, unquoted.
            let dotted = self
                .tokens
                .get(at + 1)
                .is_some_and(|next| next.is_punctuation(b'.'));
            if dotted || !(kind || MODIFIERS.iter().any(|word| token.is(word))) {
                break;
            }
            seen |= kind;
            at += 1;
        }
        seen.then(|| self.behind_if(at))
    }

    fn create_schema(&self, at: usize) -> Step {
        let at = self.behind_if(at);
        let authorization = self.position(&["AUTHORIZATION"]);
        let owner = authorization.and_then(|at| self.tokens.get(at + 1)?.name());
        let name = match authorization {
            Some(keyword) if keyword == at => owner.clone(),
            _ => self.tokens.get(at).and_then(Token::name),
        };
        Step::Schema {
            name: name.unwrap_or_default(),
            owner,
        }
    }

    /// A stage is empty at first: what `--clean` drops there is none of the dump's.
    fn drop(&self, text: &[u8], mode: Mode, schemas: &Schemas) -> Step {
        let mut mentioned = mentions(text, mode).into_iter().peekable();
        let qualified = mentioned.peek().is_some();
        let own = mentioned.all(|(schema, _)| schemas.is_own(&schema));
        let rest = self.tokens.get(1..).unwrap_or_default();
        let of_database = shared_kind(rest)
            || [
                "EXTENSION",
                "PUBLICATION",
                "SUBSCRIPTION",
                "EVENT",
                "CAST",
                "TRANSFORM",
                "OWNED",
                "SCHEMA",
            ]
            .iter()
            .any(|word| self.at(1, &[word]));
        if of_database || qualified && !own {
            return Step::Leave(EMPTY);
        }
        Step::Run
    }

    /// ALTER, COMMENT ON and SECURITY LABEL.
    fn change(&self, text: &[u8], mode: Mode, schemas: &Schemas) -> Result<Step, Error> {
        let at = match self.position(&["ON"]) {
            Some(on) if !self.at(0, &["ALTER"]) => on + 1,
            _ => 1,
        };
        let of = |words: &[&str]| self.at(at, words);
        if of(&["LARGE", "OBJECT"]) {
            return Err(large_objects());
        }
        if of(&["SUBSCRIPTION"]) {
            return Ok(Step::Leave(SUBSCRIPTION));
        }
        if of(&["PUBLICATION"]) || of(&["EVENT", "TRIGGER"]) {
            return Ok(Step::AtSwap {
                first: None,
                tolerant: false,
            });
        }
        if of(&["DEFAULT", "PRIVILEGES"]) && !self.says(&["IN", "SCHEMA"]) {
            return Ok(Step::AtSwap {
                first: None,
                tolerant: false,
            });
        }
        if of(&["DATABASE"]) || of(&["ROLE"]) || of(&["TABLESPACE"]) || of(&["SYSTEM"]) {
            return Ok(Step::Leave("it is about the server"));
        }
        if of(&["EXTENSION"]) || shared_kind(&self.tokens[at.min(self.tokens.len())..]) {
            return Ok(OF_ALL);
        }
        if of(&["DEFAULT", "PRIVILEGES"])
            && let Some(at) = self.position(&["IN", "SCHEMA"])
        {
            return Ok(self.of_schema(at + 2, schemas));
        }
        if of(&["CAST"]) || of(&["TRANSFORM"]) {
            return Ok(Step::Run);
        }
        if of(&["SCHEMA"]) {
            return Ok(self.of_schema(at + 1, schemas));
        }
        target(text, mode, schemas)
    }

    fn of_schema(&self, at: usize, schemas: &Schemas) -> Step {
        let name = self.name(at).unwrap_or_default();
        if schemas.is_own(&name) {
            Step::Run
        } else {
            Step::Await(name)
        }
    }

    fn grant(&self, text: &[u8], mode: Mode, schemas: &Schemas) -> Result<Step, Error> {
        let Some(on) = self.position(&["ON"]) else {
            return Ok(Step::Leave("it is about the server"));
        };
        let of = |words: &[&str]| self.at(on + 1, words);
        if of(&["LARGE", "OBJECT"]) {
            return Err(large_objects());
        }
        if of(&["DATABASE"]) || of(&["TABLESPACE"]) || of(&["PARAMETER"]) {
            return Ok(Step::Leave("it is about the server"));
        }
        if of(&["LANGUAGE"]) || of(&["FOREIGN"]) {
            return Ok(OF_ALL);
        }
        if of(&["SCHEMA"]) {
            return Ok(self.of_schema(on + 2, schemas));
        }
        target(text, mode, schemas)
    }
}

/// Whether that is a reason wherever a dump is loaded.
pub(super) fn is_left_out_everywhere(why: &str) -> bool {
    why == SUBSCRIPTION || why == STATISTICS
}

/// About something that the live release uses, too: as others may own it, it stays as it is where that fails.
const OF_ALL: Step = Step::AtSwap {
    first: None,
    tolerant: true,
};
const EMPTY: &str = "a stage begins empty";
const STATISTICS: &str = "statistics are taken anew";
const SUBSCRIPTION: &str = "a subscription would begin to replicate into what is live";

/// The refusal of large objects, which have numbers of their own in a database.
pub(super) fn large_objects() -> Error {
    Error::NeedsDatabase("large objects belong to a database, by number".to_owned())
}

/// Whether something of this kind exists once in a database and outlives releases.
fn shared_kind(rest: &[Token<'_>]) -> bool {
    let is = |at: usize, word: &str| rest.get(at).is_some_and(|token: &Token<'_>| token.is(word));
    is(0, "SERVER")
        || is(0, "LANGUAGE")
        || is(0, "TRUSTED")
        || is(0, "PROCEDURAL")
        || is(0, "ACCESS") && is(1, "METHOD")
        || is(0, "USER") && is(1, "MAPPING")
        || is(0, "FOREIGN") && is(1, "DATA")
}

/// A statement about something that is there: what it changes must be the dump's own, and so must everything else
/// where that would be changed or tied to it.
fn target(text: &[u8], mode: Mode, schemas: &Schemas) -> Result<Step, Error> {
    let head: Vec<Token<'_>> = tokens(text, mode).take(HEAD).collect();
    let head = Head { tokens: &head };
    let mentioned = mentions(text, mode);
    let first = mentioned.iter().find(|(schema, _)| !harmless(schema));
    if first.is_some_and(|mention| is_brought(mention, schemas)) {
        return Ok(Step::Leave("it belongs to an extension, which stays"));
    }
    let verbs = ["SELECT", "WITH", "UPDATE", "DELETE", "INSERT", "MERGE"];
    let acts = verbs.iter().any(|verb| head.at(0, &[verb]));
    let stranger = if acts || ties(text, mode) {
        mentioned
            .iter()
            .find(|mention| is_strange(mention, schemas))
    } else {
        first.filter(|mention| is_strange(mention, schemas))
    };
    let Some((schema, object)) = stranger else {
        return Ok(Step::Run);
    };
    if head.at(0, &["ALTER"]) && (head.says_any(&["DROP"]) || head.says(&["IF", "EXISTS"])) {
        return Ok(Step::Leave(EMPTY));
    }
    Err(strange(schema, object.as_deref()))
}

/// Whether a statement ties what it makes to tables that it names.
fn ties(text: &[u8], mode: Mode) -> bool {
    let words = ["INHERITS", "INHERIT", "REFERENCES", "ATTACH", "PARTITION"];
    tokens(text, mode).any(|token| words.iter().any(|word| token.is(word)))
}

fn is_brought((schema, object): &Mention, schemas: &Schemas) -> bool {
    let brought = |object: &String| schemas.extensions.brought(schema, object);
    object.as_ref().is_some_and(brought)
}

fn is_strange(mention: &Mention, schemas: &Schemas) -> bool {
    let schema = &mention.0;
    !schemas.is_own(schema) && !harmless(schema) && !is_brought(mention, schemas)
}

fn strange(schema: &str, object: Option<&str>) -> Error {
    let dot = if object.is_some() { "." } else { "" };
    let object = object.unwrap_or_default();
    Error::Refused(format!(
        "it reaches {schema}{dot}{object}, which the dump did not make: a load would change or tie what is live"
    ))
}

/// The server's own names, such as `pg_catalog.setval`, and what rules call rows.
pub(super) fn harmless(schema: &str) -> bool {
    super::names::is_system(schema) || ["new", "old", "excluded"].contains(&schema)
}

/// Refuses a statement that runs code which a load cannot look into.
///
/// # Errors
/// `NeedsDatabase` for it.
pub(super) fn refuse_code(text: &[u8], mode: Mode, schemas: &Schemas) -> Result<(), Error> {
    const LOOKED_INTO: [&str; 10] = [
        "INSERT", "UPDATE", "DELETE", "TRUNCATE", "WITH", "MERGE", "CREATE", "SELECT", "VALUES",
        "TABLE",
    ];
    let head: Vec<Token<'_>> = tokens(text, mode).take(HEAD).collect();
    let head = Head { tokens: &head };
    let large = |name: &str| name.starts_with("lo_") || name == "lowrite";
    if head.says(&["LARGE", "OBJECT"]) || called(text, mode).iter().any(|name| large(name)) {
        return Err(large_objects());
    }
    let verb = head.tokens.first();
    let verb = verb.map(|token| String::from_utf8_lossy(token.text).to_uppercase());
    let verb = verb.unwrap_or_default();
    if !LOOKED_INTO.contains(&verb.as_str()) {
        return Err(Error::NeedsDatabase(format!(
            "{verb} runs code that a load cannot look into, and that may reach what is live"
        )));
    }
    target(text, mode, schemas).map(|_| ())
}

/// The names that stand where a function is called, perhaps.
pub(super) fn called(text: &[u8], mode: Mode) -> Vec<String> {
    let all: Vec<Token<'_>> = tokens(text, mode).collect();
    let calls = all.windows(2).filter(|two| two[1].is_punctuation(b'('));
    calls.filter_map(|two| two[0].name()).collect()
}

/// Whether a statement only looks.
pub(super) fn looks(text: &[u8], mode: Mode) -> bool {
    let verb = tokens(text, mode).next();
    verb.is_some_and(|verb| {
        ["SELECT", "VALUES", "TABLE"]
            .iter()
            .any(|word| verb.is(word))
    })
}

/// `REFRESH MATERIALIZED VIEW`, or one that is made with its rows.
pub(super) fn refreshes(text: &[u8], mode: Mode) -> bool {
    tokens(text, mode)
        .next()
        .is_some_and(|verb| verb.is("REFRESH"))
}

/// Whether a statement says who may do what.
pub(super) fn grants(text: &[u8], mode: Mode) -> bool {
    let head: Vec<Token<'_>> = tokens(text, mode).take(3).collect();
    let head = Head { tokens: &head };
    head.at(0, &["GRANT"])
        || head.at(0, &["REVOKE"])
        || head.at(0, &["ALTER", "DEFAULT", "PRIVILEGES"])
}

/// Whether it takes from everybody what a new routine or type gives to everybody.
pub(super) fn closes(text: &[u8], mode: Mode) -> bool {
    const OPEN: [&str; 5] = ["FUNCTION", "PROCEDURE", "ROUTINE", "TYPE", "DOMAIN"];
    let tokens: Vec<Token<'_>> = tokens(text, mode).collect();
    let Some(on) = tokens.iter().position(|token| token.is("ON")) else {
        return false;
    };
    let last = tokens.iter().rev().find(|token| token.text != b";");
    tokens[0].is("REVOKE")
        && last.is_some_and(|last| last.is("PUBLIC"))
        && tokens
            .get(on + 1)
            .is_some_and(|kind| OPEN.iter().any(|open| kind.is(open)))
}

/// Whether a table's policies shall bind its owner, too.
pub(super) fn forces_row_security(text: &[u8], mode: Mode) -> bool {
    let tokens: Vec<Token<'_>> = tokens(text, mode).collect();
    let says = |words: &[&str]| {
        let is = |these: &[Token<'_>]| these.iter().zip(words).all(|(token, word)| token.is(word));
        tokens.windows(words.len()).any(is)
    };
    says(&["FORCE", "ROW", "LEVEL", "SECURITY"]) && !says(&["NO", "FORCE"])
}

/// Every name in a statement.
pub(super) fn names(text: &[u8], mode: Mode) -> Vec<String> {
    tokens(text, mode)
        .filter_map(|token| token.name())
        .collect()
}
