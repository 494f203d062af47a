//! Text for PostgreSQL: tokens, names, and moving a statement to other schemas.
//!
//! All of it works on bytes: a dump may be in another encoding than UTF-8.

mod keyword;
mod literal;
mod name;
mod query;
mod requalify;
mod token;

pub use name::{key, of_key, quote, quote_literal};
pub use requalify::{Ambiguous, requalify};
pub use token::{
    Token, TokenKind, Tokens, dollar_tag, end_of_comment, is_name_byte, is_name_start, tokens,
};

/// How the session that reads the text is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// `\` is an ordinary byte in strings without `E` in front.
    pub standard_conforming_strings: bool,
}

impl Default for Mode {
    fn default() -> Self {
        Self {
            standard_conforming_strings: true,
        }
    }
}
