//! The reader of a whole dump: file after file, item after item.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pilotfish_sql::Dialect;

use crate::script::{Script, Shared, Step};
use crate::stored::{Identity, Part, Parts, Tap, TapHash};
use crate::window::Window;
use crate::{Error, Item, Source, Summary, Trailer, compress};

/// How a dump is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the server it goes to reads with.
    pub dialect: Dialect,
    /// Size in bytes that chunks of rows are cut to; a chunk is at most a quarter longer, or one row.
    pub chunk_bytes: usize,
    /// Longest statement in bytes that is no list of rows. As many bytes of rows are held back until
    /// it is known that no ON DUPLICATE KEY UPDATE follows them.
    pub statement_limit: usize,
    /// The connection's character set until the dump names one.
    pub default_charset: String,
}

impl Options {
    /// Chunks of 4 MiB, statements of 16 MiB, utf8mb4.
    #[must_use]
    pub fn new(dialect: impl Into<Dialect>) -> Self {
        Self {
            dialect: dialect.into(),
            chunk_bytes: 4 * 1024 * 1024,
            statement_limit: 16 * 1024 * 1024,
            default_charset: "utf8mb4".to_owned(),
        }
    }
}

/// Items read ahead by [`Reader::database`] at most; a dump says long before which one it is.
const READ_AHEAD: usize = 10_000;

/// Bytes of them at most, beside the last one.
const READ_AHEAD_BYTES: usize = 8 * 1024 * 1024;

/// Reads a dump in one pass. Blocking: give it a thread of its own.
pub struct Reader {
    name: String,
    directory: bool,
    ignored: Vec<String>,
    total_bytes: Option<u64>,
    read_bytes: Arc<AtomicU64>,
    waiting: VecDeque<Part>,
    current: Option<(Part, TapHash, Script)>,
    shared: Shared,
    identity: Identity,
    proven: bool,
    items: u64,
}

impl Reader {
    /// Looks at the source; its first file is opened by [`Self::next`].
    ///
    /// # Errors
    /// Where the path cannot be read or the directory has nothing to load.
    pub fn open(source: &Source, options: Options) -> Result<Self, Error> {
        let Parts {
            parts,
            ignored,
            total_bytes,
            directory,
        } = Parts::of(source)?;
        let name = match source {
            Source::Path(path) => path.display().to_string(),
            Source::Stdin => "standard input".to_owned(),
        };
        let shared = Shared {
            options,
            catalog: Default::default(),
            ready: VecDeque::new(),
            left_out: Vec::new(),
        };
        Ok(Self {
            name,
            directory,
            ignored,
            total_bytes,
            read_bytes: Arc::default(),
            waiting: parts.into(),
            current: None,
            shared,
            identity: Identity::default(),
            proven: true,
            items: 0,
        })
    }

    /// The next item, or `None` after the last file's end.
    ///
    /// # Errors
    /// What cannot be read, is cut off, malformed or refused, with its place; the dump is not usable
    /// after an error.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Item>, Error> {
        while self.shared.ready.is_empty() {
            if !self.step()? {
                return Ok(None);
            }
        }
        self.items += 1;
        Ok(self.shared.ready.pop_front())
    }

    /// The database that the dump itself names, by its first USE, CREATE DATABASE or qualified name;
    /// reads ahead as far as that takes.
    ///
    /// # Errors
    /// Those of [`Self::next`].
    pub fn database(&mut self) -> Result<Option<String>, Error> {
        let (mut seen, mut bytes) = (0, 0);
        while !self.shared.catalog.knows_home() && seen < READ_AHEAD && bytes < READ_AHEAD_BYTES {
            if !self.step()? {
                break;
            }
            bytes += self
                .shared
                .ready
                .range(seen..)
                .map(Item::bytes)
                .sum::<usize>();
            seen = self.shared.ready.len();
        }
        Ok(self.shared.catalog.home().map(str::to_owned))
    }

    /// Character set and collation that the dump's CREATE DATABASE gives it, as SQL spells them; known with
    /// [`Self::database`].
    #[must_use]
    pub fn database_charset(&self) -> Option<String> {
        self.shared.catalog.charset().map(str::to_owned)
    }

    /// Stored (compressed) bytes read so far, for progress.
    #[must_use]
    pub fn read_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read_bytes)
    }

    /// What a directory holds beside the files that are read, by name.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Stored bytes of all files; `None` for a stream.
    #[must_use]
    pub const fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// What is known about the whole dump; reads what is left of it.
    ///
    /// # Errors
    /// Those of [`Self::next`]; [`Error::Empty`] if there was not one statement.
    pub fn finish(mut self) -> Result<Summary, Error> {
        while self.next()?.is_some() {}
        if self.items == 0 {
            return Err(Error::Empty { file: self.name });
        }
        let opaque = self.shared.catalog.digests.is_opaque();
        let (tables, objects) = self.shared.catalog.digests.finish();
        Ok(Summary {
            sha256: self.identity.hex(self.directory),
            trailer: if self.proven {
                Trailer::Present
            } else {
                Trailer::Absent
            },
            tables,
            objects,
            opaque,
            left_out: self.shared.left_out,
            files: self.identity.into_files(),
        })
    }

    /// Does a little; `false` when all files are over.
    fn step(&mut self) -> Result<bool, Error> {
        let Some((_, _, script)) = &mut self.current else {
            return self.open_next();
        };
        if let Step::Over { proven } = script.step(&mut self.shared)? {
            self.proven &= proven;
            if let Some((part, hash, _)) = self.current.take() {
                self.identity.add(&part, hash.hex());
            }
        }
        Ok(true)
    }

    fn open_next(&mut self) -> Result<bool, Error> {
        let Some(part) = self.waiting.pop_front() else {
            return Ok(false);
        };
        let (raw, hash) = Tap::new(part.open()?, Arc::clone(&self.read_bytes));
        let text = compress::reader(raw).map_err(|source| Error::Read {
            file: part.label.to_string(),
            source,
        })?;
        let window = Window::new(text, Arc::clone(&part.label));
        let Dialect::MySql(server) = &self.shared.options.dialect else {
            return Err(Error::NoSql {
                file: part.label.to_string(),
                what: "dumps for this kind of server cannot be read yet",
            });
        };
        let mut script = Script::new(window, server, &self.shared.options.default_charset);
        script.begin()?;
        self.shared.catalog.new_session();
        self.current = Some((part, hash, script));
        Ok(true)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("name", &self.name)
            .field("items", &self.items)
            .finish_non_exhaustive()
    }
}
