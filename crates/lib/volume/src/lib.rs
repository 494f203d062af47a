//! The volume contract: how a release of files is put on a volume and read from it.
//!
//! A release is a folder `..<release>/` with its files and a `release.json`. The name `..data` leads
//! to the live one and is replaced by one rename, the way the kubelet publishes a ConfigMap, so that
//! a reader sees the old release or the new one and nothing else. Each top-level name is a symlink
//! through `..data`. Where the file system has no symlinks, `..data` is a small file that holds the
//! folder's name.
//!
//! ```text
//! volume/
//!   ..20261121T101900Z-3f1c0a9b77de/   the files, 0644, and release.json
//!   ..data -> ..20261121T101900Z-3f1c0a9b77de
//!   dump.sql -> ..data/dump.sql
//!   ..lease                            who may publish now
//!   ..partial-<name>/                  what is being fetched; swept at the next start
//!   ..gone-<release>/                  what is being removed; swept at the next start
//! ```
//!
//! This crate blocks, does its input and output by the standard library, and knows neither where
//! files come from nor what is in them.

mod error;
mod fingerprint;
mod lease;
mod publish;
mod release;

pub use error::Error;
pub use fingerprint::{FileStamp, Fingerprint, fingerprint};
pub use lease::{LEASE_LIFETIME, LEASE_RENEWAL, boot_id};
pub use publish::{Publisher, Staging, Swept, name_without_link};
pub use release::{
    FileEntry, MANIFEST, Manifest, Release, current, current_if_whole, release_name, releases, utc,
};

/// The name that leads to the live release.
pub const DATA: &str = "..data";
