//! Objects that follow the swap.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::SessionState;

/// An object that cannot be staged: it is made after the swap.
#[derive(Debug, Clone)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name, unquoted.
    pub name: String,
    /// The table a trigger belongs to.
    pub table: Option<String>,
    /// The statement, as the dump has it.
    pub sql: Bytes,
    /// The session it is made under.
    pub session: Arc<SessionState>,
    /// Digest of the definition and its session.
    pub digest: String,
    /// Where the dump has it, for errors.
    pub origin: String,
}

impl Object {
    /// The name the ledger knows it by, such as `view v`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {}", self.kind.name(), self.name)
    }
}

/// Kinds of objects that follow the swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A stored function; before views, which may call it.
    Function,
    /// A stored procedure.
    Procedure,
    /// A package specification (MariaDB, Oracle mode).
    Package,
    /// A package body (MariaDB, Oracle mode).
    PackageBody,
    /// A view.
    View,
    /// A trigger.
    Trigger,
    /// An event.
    Event,
}

impl ObjectKind {
    /// The words of SQL and of ledger keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Procedure => "procedure",
            Self::Package => "package",
            Self::PackageBody => "package body",
            Self::View => "view",
            Self::Trigger => "trigger",
            Self::Event => "event",
        }
    }

    /// `name` as servers compare it: names of routines, packages and events are the same in any case.
    #[must_use]
    pub fn folded(self, name: &str) -> String {
        match self {
            Self::View | Self::Trigger => name.to_owned(),
            _ => name.to_lowercase(),
        }
    }

    /// A ledger's key, such as `view v`, as kind and name.
    #[must_use]
    pub fn of_key(key: &str) -> Option<(Self, &str)> {
        // "package body p" before "package".
        [
            Self::PackageBody,
            Self::Function,
            Self::Procedure,
            Self::Package,
            Self::View,
            Self::Trigger,
            Self::Event,
        ]
        .into_iter()
        .find_map(|kind| {
            let name = key.strip_prefix(kind.name())?.strip_prefix(' ')?;
            Some((kind, name))
        })
    }

    /// A ledger's key as servers compare it: see [`Self::folded`].
    #[must_use]
    pub fn folded_key(key: &str) -> String {
        match Self::of_key(key) {
            Some((kind, name)) => format!("{} {}", kind.name(), kind.folded(name)),
            None => key.to_owned(),
        }
    }

    /// The inverse of [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Function,
            Self::Procedure,
            Self::Package,
            Self::PackageBody,
            Self::View,
            Self::Trigger,
            Self::Event,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}
