//! The lexical grammar of SQL text: where a token, a literal or a comment begins and ends.
//!
//! It promises to read bytes exactly as the server of its dialect would read them, and never
//! to touch what is inside a string or a comment. It refuses to know files, networks, statements'
//! meaning beyond names and literals, and any character set in which `\` can be the second byte of a
//! character (the reader of dumps turns those away).

pub mod mysql;
pub mod postgres;

/// What a server reads a text with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dialect {
    /// MySQL and MariaDB.
    MySql(MySql),
    /// PostgreSQL.
    Postgres {
        /// Its `server_version_num`: 150004 = 15.4.
        version: u32,
    },
}

/// A MySQL or MariaDB server, as a session finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MySql {
    /// Which conditional comments run.
    pub flavour: Flavour,
    /// The `sql_mode` that a session begins with.
    pub sql_mode: String,
    /// Its `max_allowed_packet`: longest statement in bytes.
    pub max_packet: usize,
}

impl From<Flavour> for MySql {
    /// No modes, and the longest packet that a server can be set to take.
    fn from(flavour: Flavour) -> Self {
        Self {
            flavour,
            sql_mode: String::new(),
            max_packet: 1024 * 1024 * 1024,
        }
    }
}

impl From<Flavour> for Dialect {
    fn from(flavour: Flavour) -> Self {
        Self::MySql(flavour.into())
    }
}

/// The server that is going to read the text: conditional comments run or not depending on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flavour {
    /// Whether the server is MariaDB; otherwise MySQL.
    pub mariadb: bool,
    /// The version as conditional comments spell it: 101119 = 10.11.19, 90700 = 9.7.0.
    pub version: u32,
}
