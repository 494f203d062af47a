//! The lexical grammar of SQL text: where a token, a literal or a comment begins and ends.
//!
//! It promises to read bytes exactly as the server of its dialect would read them, and never
//! to touch what is inside a string or a comment. It refuses to know files, networks, statements'
//! meaning beyond names and literals, and any character set in which `\` can be the second byte of a
//! character (the reader of dumps turns those away).

pub mod mysql;
pub mod postgres;

/// The grammar a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// MySQL and MariaDB.
    MySql(Flavour),
}

/// The server that is going to read the text: conditional comments run or not depending on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flavour {
    /// Whether the server is MariaDB; otherwise MySQL.
    pub mariadb: bool,
    /// The version as conditional comments spell it: 101119 = 10.11.19, 90700 = 9.7.0.
    pub version: u32,
}
