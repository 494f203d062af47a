//! Reads SQL dumps: decompresses, frames statements, classifies them, cuts INSERTs into chunks of
//! rows, and digests tables.
//!
//! One streaming pass over bytes with bounded memory, whatever the dump's size; what does not prove
//! to be whole is an error. This crate knows no server, no network and no other crate's settings, and
//! runs nothing: what a statement is good for is decided by the loader.

mod error;
mod item;
mod summary;

pub use error::Error;
pub use item::{Class, InsertHead, Item, Position, RoutineKind, RowOrder, Rows, Statement, Verb};
pub use summary::{Summary, TableDigest, Trailer};
