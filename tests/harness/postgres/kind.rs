//! The PostgreSQL servers the tests run against, and where their programs are.

use std::process::Command;

use crate::install::Tree;

/// A series of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PostgresKind {
    /// PostgreSQL 15, as Debian 12 ships it.
    Postgres15,
    /// PostgreSQL 18.
    Postgres18,
}

impl PostgresKind {
    /// Every kind: what a test loops over.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Self::Postgres15, Self::Postgres18]
    }

    /// `postgres-15` or `postgres-18`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres15 => "postgres-15",
            Self::Postgres18 => "postgres-18",
        }
    }

    pub(super) fn tree(self) -> Tree {
        Tree::find(self.name(), false)
    }

    /// One of its programs.
    pub(super) fn program(self, name: &str) -> Command {
        let (_, series) = self.name().split_once('-').expect("a name with a series");
        self.tree()
            .command(&format!("usr/lib/postgresql/{series}/bin/{name}"))
    }
}
