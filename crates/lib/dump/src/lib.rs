//! Reads SQL dumps: decompresses, frames statements, classifies them, cuts INSERTs into chunks of
//! rows, and digests tables.
//!
//! One streaming pass over bytes with bounded memory, whatever the dump's size; what does not prove
//! to be whole is an error. This crate knows no server, no network and no other crate's settings, and
//! runs nothing: what a statement is good for is decided by the loader.
//!
//! The way of a byte: `stored` files -> [`compress`] -> text, which an archive of pg_dump is made into -> `window`
//! -> the `grammar` of a dialect, where `frame` cuts statements, others rows -> `classify` and `session` say what
//! they mean -> they are digested ->
//! [`Reader::next`] hands them out.

mod ahead;
mod beginning;
pub mod compress;
mod digest;
mod error;
mod grammar;
#[cfg(any(test, fuzzing))]
pub mod however_cut;
mod item;
mod marks;
mod mysql;
mod phrase;
mod postgres;
mod reader;
mod sniff;
mod stored;
mod summary;
mod tap;
mod timed;
mod window;

pub use error::{Error, excerpt};
pub use item::{
    Class, Existing, InsertHead, Item, Position, RoutineKind, RowOrder, Rows, Statement, Verb,
};
pub use marks::{Chunks, Difference, KnownRows, Marks};
pub use reader::{Options, Reader};
pub use sniff::looks_like_a_dump;
pub use stored::{Source, archive, identify, is_damaged, is_read, read_of};
pub use summary::{Roles, Summary, TableDigest, Trailer, has_value, is_value};
