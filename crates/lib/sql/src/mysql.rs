//! Text for MySQL and MariaDB: tokens, names, literals of `VALUES` lists, and two rewrites.
//!
//! All of it works on bytes: a dump may hold BLOBs that are no valid UTF-8.

mod comment;
mod definer;
mod literal;
mod name;
mod qualifier;
mod question;
mod token;

pub use comment::{Comment, comment_at, dash_comment, skip_comment, skip_line, skip_quoted};
pub use definer::set_definer;
pub use literal::{Literal, Scan, TupleError, Tuples, scan_plain_tuple, scan_tuple, unescape};
pub use name::{Name, quote, unquote};
pub use qualifier::{may_name, requalify};
pub use question::{Asked, asked, move_question};
pub use token::{Token, TokenKind, Tokens, tokens};

use crate::Flavour;

/// How the session that reads the text is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Which conditional comments run.
    pub flavour: Flavour,
    /// `sql_mode` holds NO_BACKSLASH_ESCAPES: `\` is an ordinary byte in strings.
    pub no_backslash_escapes: bool,
    /// `sql_mode` holds ANSI_QUOTES: `"x"` is a name, not a string.
    pub ansi_quotes: bool,
}

impl Mode {
    /// The mode of a session with the server's own defaults.
    #[must_use]
    pub const fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            no_backslash_escapes: false,
            ansi_quotes: false,
        }
    }
}
