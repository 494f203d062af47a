//! The reader of a whole dump: file after file, item after item.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use pilotfish_sql::Dialect;

use crate::ahead::Ahead;
use crate::compress::Format;
use crate::grammar::{Contents, Grammar, Step, grammar};
use crate::marks::Comparer;
use crate::postgres::archive::{self, Archive, Entries, Unpacked};
use crate::stored::{Identity, Part, Parts};
use crate::tap::{FolderHashes, Tap, TapHash};
use crate::timed::{Spent, Timed};
use crate::window::Window;
use crate::{Error, Item, KnownRows, Source, Summary, Trailer, compress};

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
    /// Which database's part of a dump of several is read.
    pub database: Option<String>,
    /// Rows of a COPY are passed over, neither looked at nor hashed, and neither are the stored bytes: for what a dump
    /// says around its rows. No digest of the summary means anything then.
    pub skim: bool,
    /// The connection's character set until the dump names one.
    pub default_charset: String,
    /// Rows are handed out with their marks, where their table and its order let them have some.
    pub marks: bool,
    /// The columns of primary keys by table, for marks and comparisons of dumps that name them behind their rows
    /// (PostgreSQL).
    pub keys: BTreeMap<String, Vec<String>>,
}

impl Options {
    /// Chunks of 4 MiB, statements of 16 MiB, utf8mb4.
    #[must_use]
    pub fn new(dialect: impl Into<Dialect>) -> Self {
        Self {
            dialect: dialect.into(),
            chunk_bytes: 4 * 1024 * 1024,
            statement_limit: 16 * 1024 * 1024,
            database: None,
            skim: false,
            default_charset: "utf8mb4".to_owned(),
            marks: false,
            keys: BTreeMap::new(),
        }
    }
}

/// Items read ahead by [`Reader::database`] at most; a dump says long before which one it is.
const READ_AHEAD: usize = 10_000;

/// Bytes of them at most, beside the last one.
const READ_AHEAD_BYTES: usize = 8 * 1024 * 1024;

/// The hashes of what is being read.
enum Hashes {
    File(TapHash),
    /// Of an archive that is a folder.
    Folder(FolderHashes),
}

/// Reads a dump in one pass. Blocking: give it a thread of its own.
pub struct Reader {
    name: String,
    directory: bool,
    ignored: Vec<String>,
    total_bytes: Option<u64>,
    read_bytes: Arc<AtomicU64>,
    unpacking: Spent,
    waiting_for_text: Spent,
    waiting: VecDeque<Part>,
    current: Option<(Part, Hashes)>,
    /// Of the archive that is being read.
    entries: Option<Entries>,
    /// Archives of pg_dump are read.
    archives: bool,
    skim: bool,
    grammar: Box<dyn Grammar>,
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
        Ok(Self {
            name,
            directory,
            ignored,
            total_bytes,
            read_bytes: Arc::default(),
            unpacking: Spent::default(),
            waiting_for_text: Spent::default(),
            waiting: parts.into(),
            current: None,
            entries: None,
            archives: matches!(options.dialect, Dialect::Postgres { .. }),
            skim: options.skim,
            grammar: grammar(options),
            identity: Identity::default(),
            proven: true,
            items: 0,
        })
    }

    /// From here on rows that are stored already, by their marks, are left out, in tables of which no more than `limit`
    /// rows differ; [`Summary::differences`] says which tables could be compared. To be called before the first row.
    pub fn compare(&mut self, known: Box<dyn KnownRows>, limit: u64) {
        self.grammar.compare(Comparer::new(known, limit));
    }

    /// The next item, or `None` after the last file's end.
    ///
    /// # Errors
    /// What cannot be read, is cut off, malformed or refused, with its place; the dump is not usable
    /// after an error.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Item>, Error> {
        while self.grammar.ready().is_empty() {
            if !self.step()? {
                return Ok(None);
            }
        }
        self.items += 1;
        Ok(self.grammar.ready().pop_front())
    }

    /// The database that the dump itself names, by its first USE, CREATE DATABASE or qualified name;
    /// reads ahead as far as that takes.
    ///
    /// # Errors
    /// Those of [`Self::next`].
    pub fn database(&mut self) -> Result<Option<String>, Error> {
        let (mut seen, mut bytes) = (0, 0);
        while self.grammar.home().is_none() && seen < READ_AHEAD && bytes < READ_AHEAD_BYTES {
            if !self.step()? {
                break;
            }
            let ready = self.grammar.ready();
            bytes += ready.range(seen..).map(Item::bytes).sum::<usize>();
            seen = ready.len();
        }
        Ok(self.grammar.home().flatten().map(str::to_owned))
    }

    /// Character set and collation that the dump's CREATE DATABASE gives it, as SQL spells them; known with
    /// [`Self::database`].
    #[must_use]
    pub fn database_charset(&self) -> Option<String> {
        self.grammar.charset().map(str::to_owned)
    }

    /// Stored (compressed) bytes read so far, for progress.
    #[must_use]
    pub fn read_bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read_bytes)
    }

    /// What reading, hashing and decompressing the stored bytes took so far; for compressed ones beside the grammar,
    /// on a thread of its own.
    #[must_use]
    pub fn unpacking(&self) -> Duration {
        self.unpacking.so_far()
    }

    /// How long the grammar waited for text so far; the rest of the time between two items it worked.
    #[must_use]
    pub fn waiting_for_text(&self) -> Duration {
        self.waiting_for_text.so_far()
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
        let Contents {
            tables,
            objects,
            opaque,
            left_out,
            roles,
            large_objects,
            unmade,
            differences,
        } = self.grammar.finish();
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
            left_out,
            roles,
            large_objects,
            unmade,
            differences,
            files: self.identity.into_files(),
        })
    }

    /// Does a little; `false` when all files are over.
    fn step(&mut self) -> Result<bool, Error> {
        if self.current.is_none() {
            return self.open_next();
        }
        let entries = self.entries.as_ref();
        let step = self.grammar.step();
        let step = step.map_err(|error| error.within(|byte| entries?.at(byte)))?;
        if let Step::Over { proven } = step {
            self.proven &= proven;
            match self.current.take() {
                Some((part, Hashes::File(hash))) => self.identity.add(&part, hash.hex()),
                Some((part, Hashes::Folder(hashes))) => {
                    let count = &self.read_bytes;
                    self.identity.add_folder(&part, &hashes, count)?;
                }
                None => {}
            }
        }
        Ok(true)
    }

    fn open_next(&mut self) -> Result<bool, Error> {
        let Some(part) = self.waiting.pop_front() else {
            return Ok(false);
        };
        let opened = match part.files() {
            Some(files) => self.open_folder(&part, files)?,
            None => self.open_file(&part)?,
        };
        let text = Box::new(Timed {
            inner: opened.text,
            spent: self.unpacking.clone(),
        });
        let text = Timed {
            inner: match opened.packed {
                true => Box::new(Ahead::new(text)),
                false => text,
            },
            spent: self.waiting_for_text.clone(),
        };
        let window = Window::new(Box::new(text), Arc::clone(&part.label));
        self.grammar.begin(window)?;
        self.current = Some((part, opened.hashes));
        self.entries = opened.entries;
        Ok(true)
    }

    fn open_file(&self, part: &Part) -> Result<Opened, Error> {
        let (mut raw, hash) = Tap::new(part.open()?, Arc::clone(&self.read_bytes));
        if self.skim {
            raw.get_mut().only_count();
        }
        let (format, text) = compress::sniffed(raw).map_err(|source| Error::Read {
            file: part.label.to_string(),
            source,
        })?;
        let unpacked = match self.archives {
            true => archive::unpack(text, part.path()),
            false => Ok(Unpacked::Plain(text)),
        };
        let hashes = Hashes::File(hash);
        match unpacked.map_err(|source| Error::of_stored(&part.label, source))? {
            Unpacked::Plain(text) => Ok(Opened {
                text,
                packed: format != Format::Plain,
                hashes,
                entries: None,
            }),
            Unpacked::Archive(archive) => Ok(self.opened(*archive, hashes, part)),
        }
    }

    fn open_folder(
        &self,
        part: &Part,
        files: Arc<Vec<(String, PathBuf)>>,
    ) -> Result<Opened, Error> {
        if !self.archives {
            return Err(Error::NoSql {
                file: part.label.to_string(),
                what: "this is an archive of pg_dump, which only PostgreSQL takes",
            });
        }
        let hashes = FolderHashes::default();
        let files = hashes.tapped(files, Arc::clone(&self.read_bytes));
        let archive = archive::unpack_folder(files)
            .map_err(|source| Error::of_stored(&part.label, source))?;
        Ok(self.opened(archive, Hashes::Folder(hashes), part))
    }

    fn opened(&self, mut archive: Archive, hashes: Hashes, part: &Part) -> Opened {
        if self.skim {
            archive.text.only_definitions();
        } else {
            tracing::info!(file = part.label.as_ref(), "reads a {}", archive.said);
        }
        Opened {
            text: Box::new(archive.text),
            packed: !self.skim,
            hashes,
            entries: Some(archive.entries),
        }
    }
}

/// A part as it is read.
struct Opened {
    text: Box<dyn Read + Send>,
    /// Getting at it takes long.
    packed: bool,
    hashes: Hashes,
    entries: Option<Entries>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("name", &self.name)
            .field("items", &self.items)
            .finish_non_exhaustive()
    }
}
