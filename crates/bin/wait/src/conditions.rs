//! What "ready" asks for, as the user states it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Conditions beyond an answered query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions {
    pub(crate) writable: bool,
    pub(crate) tables: Vec<Table>,
    pub(crate) queries: Vec<String>,
    pub(crate) release: Option<Digest>,
    pub(crate) max_lag: Option<Duration>,
}

/// `db.table:rows`; without a database the default one, without rows the table may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) database: Option<String>,
    pub(crate) name: String,
    pub(crate) min_rows: u64,
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, min_rows) = match text.rsplit_once(':') {
            Some((path, rows)) => {
                let rows = rows
                    .parse()
                    .map_err(|_| "after the colon goes a number of rows")?;
                (path, rows)
            }
            None => (text, 0),
        };
        let (database, name) = match path.split_once('.') {
            Some((database, name)) => (Some(database), name),
            None => (None, path),
        };
        if name.is_empty() || database == Some("") {
            return Err("write database.table or database.table:rows".to_owned());
        }
        Ok(Self {
            database: database.map(ToOwned::to_owned),
            name: name.to_owned(),
            min_rows,
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{database}.")?;
        }
        f.write_str(&self.name)
    }
}

/// The SHA-256 of a dump, or its first digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest(String);

/// Fewer digits could mean another release by chance.
const MIN_DIGITS: usize = 12;

impl Digest {
    /// Whether `digest`, hex in small letters, is meant.
    pub(crate) fn means(&self, digest: &str) -> bool {
        digest.starts_with(&self.0)
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text
            .strip_prefix("sha256:")
            .unwrap_or(text)
            .to_ascii_lowercase();
        let fits = (MIN_DIGITS..=64).contains(&digits.len());
        if !fits || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("write {MIN_DIGITS} to 64 hexadecimal digits"));
        }
        Ok(Self(digits))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_as_written() {
        let table: Table = "shop.drugs:1000".parse().unwrap();
        assert_eq!(
            (table.to_string().as_str(), table.min_rows),
            ("shop.drugs", 1000)
        );
        let table: Table = "drugs".parse().unwrap();
        assert_eq!((table.database, table.min_rows), (None, 0));
        for wrong in ["", "shop.", ".drugs", "shop.drugs:many", "shop.drugs:"] {
            assert!(wrong.parse::<Table>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_digest_may_be_short_but_not_too_short() {
        let digest: Digest = "sha256:ABCDEF012345".parse().unwrap();
        assert!(digest.means("abcdef0123456789") && !digest.means("abcdef01234"));
        assert!("abcdef01234".parse::<Digest>().is_err());
        assert!("abcdef01234g".parse::<Digest>().is_err());
    }
}
