//! The table of contents of an archive: what its entries are and say.

use std::io::{self, Read};

use super::field::{self, Offset, Width};
use super::{damaged, refused};

/// The file that says it in the archives that are folders and tars, and what each archive begins with.
pub(super) const MAGIC: &[u8] = b"PGDMP";

/// The versions of the format that are read: from the one of PostgreSQL 9.0 to the one of 17 and 18.
const VERSIONS: std::ops::RangeInclusive<(u8, u8)> = (1, 12)..=(1, 16);

/// Compression of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// Without gzip's own head in a custom archive: zlib's.
    Gzip,
    Lz4,
    Zstd,
}

impl Compression {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "not compressed",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// How the rest of an archive is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// All in one stream.
    Custom,
    /// A file or a member of a tar for each entry's data.
    Files,
}

/// What an archive says of itself.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) version: (u8, u8),
    pub(super) width: Width,
    pub(super) layout: Layout,
    pub(super) compression: Compression,
    /// Versions of the server and of pg_dump.
    pub(super) server: Vec<u8>,
    pub(super) program: Vec<u8>,
}

/// One entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) has_data: bool,
    pub(super) tag: Vec<u8>,
    /// `TABLE`, `TABLE DATA`, `ACL` ...
    pub(super) kind: Vec<u8>,
    pub(super) section: i64,
    pub(super) definition: Vec<u8>,
    pub(super) drop: Vec<u8>,
    pub(super) copy: Vec<u8>,
    pub(super) schema: Vec<u8>,
    /// `None` for what lies in none; empty for the database's own.
    pub(super) tablespace: Option<Vec<u8>>,
    pub(super) access_method: Option<Vec<u8>>,
    pub(super) is_partitioned: bool,
    pub(super) owner: Vec<u8>,
    pub(super) depends_on: Vec<i64>,
    pub(super) place: Place,
}

/// Where an entry's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Offset(Offset),
    /// In the file of this name; empty without data.
    File(String),
}

impl Entry {
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind == kind.as_bytes()
    }

    /// Its name in errors: `TABLE DATA app.t`.
    pub(super) fn label(&self) -> String {
        let kind = String::from_utf8_lossy(&self.kind);
        let tag = String::from_utf8_lossy(&self.tag);
        let schema = String::from_utf8_lossy(&self.schema);
        let dot = if schema.is_empty() { "" } else { "." };
        let label = format!("{kind} {schema}{dot}{tag}");
        label.replace(|letter: char| letter.is_control(), " ")
    }
}

/// Reads what comes before the entries.
pub(super) fn head(raw: &mut dyn Read) -> io::Result<Head> {
    let mut magic = [0; MAGIC.len()];
    raw.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(damaged("it does not begin as one of pg_dump"));
    }
    let version = (field::byte(raw)?, field::byte(raw)?);
    let _revision = field::byte(raw)?;
    if !VERSIONS.contains(&version) {
        return Err(refused(&format!(
            "its format is {}.{}, and those of PostgreSQL 9.0 to 18 are read (1.12 to 1.16): make it SQL text \
             with pg_restore --file",
            version.0, version.1
        )));
    }
    let width = Width {
        int: field::byte(raw)?,
        offset: field::byte(raw)?,
    };
    let layout = match field::byte(raw)? {
        1 => Layout::Custom,
        3 => Layout::Files,
        _ => return Err(damaged("it says no format that pg_dump writes")),
    };
    let compression = compression(raw, version, width)?;
    // When it was made: seconds, minutes, hours, day, month, year and summer time.
    for _ in 0..7 {
        field::int(raw, width)?;
    }
    let _database = field::text(raw, width)?;
    Ok(Head {
        version,
        width,
        layout,
        compression,
        server: field::text(raw, width)?.unwrap_or_default(),
        program: field::text(raw, width)?.unwrap_or_default(),
    })
}

fn compression(raw: &mut dyn Read, version: (u8, u8), width: Width) -> io::Result<Compression> {
    // Before PostgreSQL 16 there was gzip only, and its level stood here.
    if version < (1, 15) {
        return Ok(match field::int(raw, width)? {
            0 => Compression::None,
            _ => Compression::Gzip,
        });
    }
    match field::byte(raw)? {
        0 => Ok(Compression::None),
        1 => Ok(Compression::Gzip),
        2 => Ok(Compression::Lz4),
        3 => Ok(Compression::Zstd),
        _ => Err(damaged("it says no compression that pg_dump has")),
    }
}

/// Reads all entries.
pub(super) fn entries(raw: &mut dyn Read, head: &Head) -> io::Result<Vec<Entry>> {
    let count = field::int(raw, head.width)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(entry(raw, head)?);
    }
    Ok(entries)
}

fn entry(raw: &mut dyn Read, head: &Head) -> io::Result<Entry> {
    let width = head.width;
    let id = field::int(raw, width)?;
    if id <= 0 {
        return Err(damaged("it numbers an entry below one"));
    }
    let has_data = field::int(raw, width)? != 0;
    let mut text = || field::text(raw, width);
    let (_table_oid, _oid) = (text()?, text()?);
    let tag = text()?.unwrap_or_default();
    let kind = text()?.unwrap_or_default();
    let section = field::int(raw, width)?;
    let mut text = || field::text(raw, width);
    let definition = text()?.unwrap_or_default();
    let drop = text()?.unwrap_or_default();
    let copy = text()?.unwrap_or_default();
    let schema = text()?.unwrap_or_default();
    let tablespace = text()?;
    let access_method = match head.version {
        (1, 14..) => text()?,
        _ => None,
    };
    let relation = match head.version {
        (1, 16..) => field::int(raw, width)?,
        _ => 0,
    };
    let owner = field::text(raw, width)?.unwrap_or_default();
    if field::text(raw, width)?.as_deref() == Some(b"true") {
        return Err(refused(
            "it has tables WITH OIDS, which servers have no more since PostgreSQL 12",
        ));
    }
    let mut depends_on = Vec::new();
    while let Some(number) = field::text(raw, width)? {
        let number = std::str::from_utf8(&number).ok();
        depends_on.extend(number.and_then(|number| number.trim().parse::<i64>().ok()));
    }
    let place = match head.layout {
        Layout::Custom => Place::Offset(field::offset(raw, width)?),
        Layout::Files => {
            let name = field::text(raw, width)?.unwrap_or_default();
            Place::File(String::from_utf8_lossy(&name).into_owned())
        }
    };
    Ok(Entry {
        id,
        has_data,
        tag,
        kind,
        section,
        definition,
        drop,
        copy,
        schema,
        tablespace,
        access_method,
        is_partitioned: relation == i64::from(b'p'),
        owner,
        depends_on,
        place,
    })
}
