//! The dump's transactions. A load stores rows for good at once and leaves these statements out: what
//! they undo must not be among its rows.

use pilotfish_sql::mysql::{Token, TokenKind};

use crate::mysql::assignment::{Target, assignments};
use crate::{Class, Position};

/// Where the dump's session stands.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// `autocommit=0`.
    manual: bool,
    /// START TRANSACTION, BEGIN.
    begun: bool,
    /// The first change that is not committed.
    pending: Option<Position>,
}

impl Transaction {
    /// Rows, or another change of rows.
    pub(crate) fn change(&mut self, at: &Position) {
        if self.pending.is_none() && (self.manual || self.begun) {
            self.pending = Some(at.clone());
        }
    }

    /// The change that the file's end undoes.
    pub(crate) fn open(&self) -> Option<&Position> {
        self.pending.as_ref()
    }

    /// Follows a statement.
    ///
    /// # Errors
    /// What it asks for that a load does not do.
    pub(crate) fn apply(
        &mut self,
        class: &Class,
        tokens: &[Token<'_>],
        at: &Position,
    ) -> Result<(), String> {
        let is = |place: usize, word: &str| tokens.get(place).is_some_and(|token| token.is(word));
        match class {
            Class::Transaction if is(0, "SET") => self.set(tokens),
            Class::Transaction if is(0, "XA") => {
                return Err("XA: a load does not follow distributed transactions".to_owned());
            }
            Class::Transaction if is(0, "ROLLBACK") => {
                if self.pending.is_some() {
                    return Err(
                        "ROLLBACK of rows that come before it: take both out of the dump"
                            .to_owned(),
                    );
                }
                self.begun = false;
            }
            Class::Transaction if is(0, "SAVEPOINT") || is(0, "RELEASE") => {}
            Class::Transaction => {
                self.pending = None;
                let chained = tokens
                    .windows(2)
                    .any(|pair| pair[0].is("AND") && pair[1].is("CHAIN"));
                self.begun = !is(0, "COMMIT") || chained;
            }
            Class::Other { changes } if !defines(tokens) || is(0, "ANALYZE") => {
                if !changes.is_empty() {
                    self.change(at);
                }
            }
            Class::Session | Class::UseDatabase(_) | Class::SetSequence(_) | Class::Empty => {}
            // A definition commits what comes before it.
            _ => (self.pending, self.begun) = (None, false),
        }
        Ok(())
    }

    fn set(&mut self, tokens: &[Token<'_>]) {
        for assignment in assignments(tokens) {
            if assignment.target != Target::System("autocommit".to_owned()) {
                continue;
            }
            self.manual = matches!(assignment.value, [value] if is_off(value));
            if !self.manual {
                self.pending = None;
            }
        }
    }
}

/// Whether the server commits before a statement that is not understood.
fn defines(tokens: &[Token<'_>]) -> bool {
    const VERBS: [&str; 9] = [
        "CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "ANALYZE", "OPTIMIZE", "CHECK", "REPAIR",
    ];
    let temporary = tokens.get(1).is_some_and(|token| token.is("TEMPORARY"));
    let verb = tokens
        .first()
        .is_some_and(|verb| VERBS.iter().any(|word| verb.is(word)));
    verb && !temporary
}

fn is_off(value: &Token<'_>) -> bool {
    let spelt = value.text.trim_ascii();
    matches!(
        value.kind,
        TokenKind::Word | TokenKind::Number | TokenKind::String
    ) && [&b"0"[..], b"OFF", b"FALSE", b"'0'", b"'OFF'", b"\"OFF\""]
        .iter()
        .any(|off| spelt.eq_ignore_ascii_case(off))
}
