//! Archives of pg_dump (`--format=custom`, `tar` and `directory`), read as the text that pg_restore makes of them.
//!
//! A table of contents says what there is, in order; the rows lie behind it as COPY takes them. So an archive
//! becomes the text of a plain dump while it is read, and whoever reads dumps sees no difference.
//!
//! Written after the format's facts in PostgreSQL's sources: the crates for it seek in a file, so they take no stream.
//! libpgdump holds the rows of tars and folders in memory; pgarchive knows custom archives only.

mod contents;
mod custom;
mod directory;
mod field;
mod inflate;
mod large_objects;
mod script;
mod statements;
mod store;
mod tar;
#[cfg(test)]
mod tests;

use std::io::{self, Cursor, Read};
use std::path::Path;

use contents::{Entry, Head, Layout, MAGIC};
pub(crate) use directory::{Files, belongs, is_contents};
pub(crate) use script::Entries;
use script::Script;
use store::Store;

/// Bytes from which an archive is told.
const HEAD: usize = 512;

/// The text of an archive.
pub(crate) struct Archive {
    pub(crate) text: Script,
    /// What it is called in the log.
    pub(crate) said: String,
    pub(crate) entries: Entries,
}

/// What a file holds.
pub(crate) enum Unpacked {
    /// Something else than an archive, as it was.
    Plain(Box<dyn Read + Send>),
    Archive(Box<Archive>),
}

/// The text of an archive, if `text` is one, else `text` itself. `path` is the file that it comes from, where it has
/// one.
///
/// # Errors
/// Those of reading, and a table of contents that is not one.
pub(crate) fn unpack(text: Box<dyn Read + Send>, path: Option<&Path>) -> io::Result<Unpacked> {
    let mut text = text;
    let mut head = Vec::with_capacity(HEAD);
    text.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let kind = Kind::of(&head);
    let text: Box<dyn Read + Send> = Box::new(Cursor::new(head).chain(text));
    Ok(match kind {
        Kind::None => Unpacked::Plain(text),
        Kind::Custom => Unpacked::Archive(Box::new(custom(text, path)?)),
        Kind::Tar => Unpacked::Archive(Box::new(tar(text)?)),
    })
}

/// Whether a file that begins so is an archive.
pub(crate) fn begins(head: &[u8]) -> bool {
    !matches!(Kind::of(head), Kind::None)
}

enum Kind {
    None,
    Custom,
    Tar,
}

impl Kind {
    fn of(head: &[u8]) -> Self {
        if head.starts_with(MAGIC) {
            Self::Custom
        } else if tar::begins(head) {
            Self::Tar
        } else {
            Self::None
        }
    }
}

fn custom(raw: Box<dyn Read + Send>, path: Option<&Path>) -> io::Result<Archive> {
    let mut raw = raw;
    let (head, entries) = contents(&mut raw, Layout::Custom)?;
    let store = custom::Custom::new(raw, path, &head, &entries)?;
    archive("custom archive", &head, entries, store)
}

fn tar(raw: Box<dyn Read + Send>) -> io::Result<Archive> {
    let mut store = tar::Tar::new(raw);
    let (head, entries) = store.contents()?;
    store.expects(&entries);
    archive("tar archive", &head, entries, store)
}

/// The text of an archive that is a folder.
///
/// # Errors
/// Those of reading, and a table of contents that is not one.
pub(crate) fn unpack_folder(files: Files) -> io::Result<Archive> {
    let mut store = directory::Directory::new(files);
    let (head, entries) = store.contents()?;
    archive("directory archive", &head, entries, store)
}

/// Reads the table of contents.
fn contents(raw: &mut dyn Read, layout: Layout) -> io::Result<(Head, Vec<Entry>)> {
    let read = |raw: &mut dyn Read| {
        let head = contents::head(raw)?;
        if head.layout != layout {
            return Err(damaged("it says another format than it has"));
        }
        let entries = contents::entries(raw, &head)?;
        Ok((head, entries))
    };
    read(raw).map_err(|error| within("the table of contents", error))
}

fn archive(
    what: &str,
    head: &Head,
    contents: Vec<Entry>,
    store: impl Store + 'static,
) -> io::Result<Archive> {
    let program = String::from_utf8_lossy(&head.program);
    let version = program.split(' ').next().unwrap_or_default();
    let said = format!("{what} of pg_dump {version}, {}", head.compression.name());
    let entries = Entries::default();
    let script = Script::new(head, contents, Box::new(store), entries.clone())?;
    Ok(Archive {
        text: script,
        said,
        entries,
    })
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(String);

/// What an error of reading says of an archive.
pub(crate) fn broken(error: &io::Error) -> Option<&Broken> {
    error.get_ref()?.downcast_ref()
}

fn cut_off() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        Broken(format!(
            "the archive is damaged, {what}; fetch it again or dump again"
        )),
    )
}

/// Not damaged, and yet not read.
fn refused(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        Broken(format!("refuse this archive, {what}")),
    )
}

/// Says in which part of the archive something is wrong with its bytes.
fn within(part: &str, error: io::Error) -> io::Error {
    let kind = error.kind();
    let what = match kind {
        io::ErrorKind::UnexpectedEof => {
            format!("the archive is cut off in {part}; fetch it again or dump again")
        }
        _ if broken(&error).is_some() => {
            format!("{part}: {error}")
        }
        _ if crate::compress::is_damage(&error) => {
            format!("the archive is damaged in {part}: {error}; fetch it again or dump again")
        }
        // Of the disk or the network.
        _ => return error,
    };
    io::Error::new(kind, Broken(what))
}
