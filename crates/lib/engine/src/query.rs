//! One statement after the other over one session, for tools that only look.
//!
//! Answers are text, as the server writes them: whoever asks knows what the columns mean.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;

use crate::{EngineName, Error, LiveRelease, Settings, mysql_family, postgres};

/// Longest answer, in bytes: of tens of thousands of tables, say. One that is longer is an error, not half an answer.
pub(crate) const ANSWER_LIMIT: usize = 16 << 20;

/// Opens sessions that ask.
#[async_trait]
pub trait Query: Send + Sync {
    /// A session in `database`, else in the default one. It may only read, where the server can hold it to that.
    ///
    /// # Errors
    /// As [`crate::Probe::server`].
    async fn session(&self, database: Option<&str>) -> Result<Box<dyn Session>, Error>;
}

/// Opens no connection. A server of MariaDB or MySQL says in its session which of them it is; without an engine in the
/// settings it is one of these.
///
/// Whoever only asks links none of what loads, which is most of this crate.
#[must_use]
pub fn open(settings: &Settings) -> Box<dyn Query> {
    match settings.engine {
        Some(EngineName::Postgres) => postgres::query(settings),
        Some(EngineName::MariaDb | EngineName::MySql) | None => mysql_family::query(settings),
    }
}

/// A session that asks.
#[async_trait]
pub trait Session: Send {
    /// What answers.
    fn identity(&self) -> &Identity;

    /// From now on the server itself ends statements that take longer, and waits for locks that do. What MySQL shows
    /// with SHOW it cannot end.
    ///
    /// # Errors
    /// `Sql` where the server refuses.
    async fn guard(&mut self, statement: Duration, lock: Duration) -> Result<(), Error>;

    /// All rows of the answer to one statement.
    ///
    /// # Errors
    /// `Sql`, `Denied`, `Busy` in the server's words; `Answer` for one longer than 16 MiB.
    async fn rows(&mut self, sql: &str) -> Result<Rows, Error>;

    /// The live release of every database that pilotfish loaded; of PostgreSQL of the session's.
    ///
    /// # Errors
    /// As [`crate::Probe::live_releases`].
    async fn releases(&mut self) -> Result<Vec<LiveRelease>, Error>;

    /// When the certificate ends that the server showed this session, in seconds since the epoch; none without TLS.
    /// MariaDB and MySQL say it in their status, and not here.
    fn certificate_end(&self) -> Option<u64> {
        None
    }

    /// Says goodbye: the server hears of it before this returns.
    async fn close(self: Box<Self>);
}

/// Which server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The engine it is.
    pub engine: EngineName,
    /// Major, minor and patch; PostgreSQL has no third.
    pub version: [u32; 3],
    /// Its version in its own words.
    pub words: String,
}

impl Identity {
    /// Of a version in the server's words: `10.11.19-MariaDB-ubu2404`, `9.7.0`, `15.18 (Debian 15.18-1)`.
    pub(crate) fn new(engine: EngineName, words: &str) -> Self {
        let mut numbers = words
            .split(|letter: char| !letter.is_ascii_digit())
            .map_while(|digits| digits.parse().ok());
        let version = [(); 3].map(|()| numbers.next().unwrap_or(0));
        Self {
            engine,
            version,
            words: words.to_owned(),
        }
    }

    /// Whether it is this version or a later one.
    #[must_use]
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        self.version >= [major, minor, 0]
    }
}

/// An answer: rows of cells, all in one piece of text.
#[derive(Debug, Default)]
pub struct Rows {
    columns: Vec<String>,
    text: String,
    cells: Vec<Option<Range<usize>>>,
}

impl Rows {
    pub(crate) fn new(columns: Vec<String>) -> Self {
        Self {
            columns,
            ..Self::default()
        }
    }

    /// The next cell, row by row; `None` is NULL. What is no UTF-8 is shown as far as it is.
    pub(crate) fn push(&mut self, cell: Option<&[u8]>) -> Result<(), Error> {
        let range = cell.map(|cell| {
            let start = self.text.len();
            self.text.push_str(&String::from_utf8_lossy(cell));
            start..self.text.len()
        });
        self.cells.push(range);
        let size = self.text.len() + self.cells.len() * size_of::<Option<Range<usize>>>();
        if size > ANSWER_LIMIT {
            return Err(Error::Answer(format!(
                "it has more than {} MiB: ask for less",
                ANSWER_LIMIT >> 20
            )));
        }
        Ok(())
    }

    /// Where a column is; the case of its name does not count, as servers differ in it.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| column.eq_ignore_ascii_case(name))
    }

    /// The names of all columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The rows, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let rows = self.cells.chunks(self.columns.len().max(1));
        rows.map(|cells| Row { all: self, cells })
    }
}

/// One row of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    all: &'a Rows,
    cells: &'a [Option<Range<usize>>],
}

impl<'a> Row<'a> {
    /// The text of a cell; `None` for NULL.
    #[must_use]
    pub fn at(&self, column: usize) -> Option<&'a str> {
        let range = self.cells.get(column)?.as_ref()?;
        self.all.text.get(range.clone())
    }

    /// The same by the name of the column; `None` also where there is none.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&'a str> {
        self.at(self.all.column(column)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_words_of_all_servers() {
        let version = |words| Identity::new(EngineName::MySql, words).version;
        assert_eq!(version("10.11.19-MariaDB-ubu2404"), [10, 11, 19]);
        assert_eq!(version("9.7.0"), [9, 7, 0]);
        assert_eq!(version("15.18 (Debian 15.18-1)"), [15, 18, 0]);
        assert_eq!(version("18beta1"), [18, 0, 0]);
        assert!(Identity::new(EngineName::MariaDb, "10.11.1").at_least(10, 5));
    }

    #[test]
    fn cells_come_back_by_place_and_by_name() {
        let mut rows = Rows::new(vec!["NAME".to_owned(), "value".to_owned()]);
        for cell in [Some(&b"a"[..]), None, Some(b""), Some(b"7")] {
            rows.push(cell).unwrap();
        }
        let read: Vec<_> = rows
            .iter()
            .map(|row| (row.get("name"), row.at(1), row.get("other")))
            .collect();
        assert_eq!(read, [(Some("a"), None, None), (Some(""), Some("7"), None)]);
    }
}
