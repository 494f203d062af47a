//! Reads SQL dumps: decompresses, frames statements, classifies them, cuts INSERTs into chunks of
//! rows, and digests tables.
//!
//! One streaming pass over bytes with bounded memory, whatever the dump's size; what does not prove
//! to be whole is an error. This crate knows no server, no network and no other crate's settings, and
//! runs nothing: what a statement is good for is decided by the loader.
//!
//! The way of a byte: `stored` files -> [`compress`] -> `window` -> `frame` cuts statements, `insert`
//! and `walk` tuples -> `classify` and `session` say what they mean -> `catalog` digests them ->
//! [`Reader::next`] hands them out.

mod actions;
mod assignment;
mod beginning;
mod catalog;
mod classify;
pub mod compress;
mod computed;
mod digest;
mod error;
mod frame;
#[cfg(any(test, fuzzing))]
pub mod however_cut;
mod insert;
mod item;
mod phrase;
mod proof;
mod reader;
mod rows;
mod script;
mod session;
mod single;
mod sniff;
mod stored;
mod summary;
mod table;
mod transaction;
mod walk;
mod whereabouts;
mod window;

pub use error::Error;
pub use item::{
    Class, Existing, InsertHead, Item, Position, RoutineKind, RowOrder, Rows, Statement, Verb,
};
pub use reader::{Options, Reader};
pub use script::excerpt;
pub use sniff::looks_like_a_dump;
pub use stored::{Source, archive, identify, is_damaged, is_read};
pub use summary::{Summary, TableDigest, Trailer};
