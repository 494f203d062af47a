//! libpq's password file, `~/.pgpass`: lines of `host:port:database:user:password`, each of the first four also `*`,
//! with `\:` and `\\` inside (PostgreSQL's manual, "The Password File").

use std::path::PathBuf;

use tokio::io::AsyncReadExt as _;

use crate::settings::FILE_LIMIT;
use crate::{Error, Secret};

/// Where the password of one account is looked up, at every connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassFile {
    pub(crate) path: PathBuf,
    /// `localhost` for a Unix socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) user: String,
}

impl PassFile {
    /// The password that the file has now; none without the file, as for libpq.
    pub(crate) async fn read(&self) -> Result<Option<Secret>, Error> {
        let file = match tokio::fs::File::open(&self.path).await {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(self.unreadable(cause)),
        };
        let mut text = String::new();
        let read = file.take(FILE_LIMIT).read_to_string(&mut text).await;
        read.map_err(|cause| self.unreadable(cause))?;
        Ok(text.lines().find_map(|line| self.password_in(line)))
    }

    fn unreadable(&self, cause: std::io::Error) -> Error {
        Error::Unreadable {
            path: self.path.clone(),
            cause,
        }
    }

    fn password_in(&self, line: &str) -> Option<Secret> {
        if line.starts_with('#') {
            return None;
        }
        let mut rest = line;
        let port = self.port.to_string();
        for wanted in [&self.host, &port, &self.database, &self.user] {
            let (field, after) = split_field(rest)?;
            if field != "*" && unescaped(field) != *wanted {
                return None;
            }
            rest = after;
        }
        Some(Secret::new(unescaped(rest)))
    }
}

/// The text before the next colon that is meant as one, and the text behind it.
fn split_field(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, sign) in text.char_indices() {
        match sign {
            ':' if !escaped => return Some((&text[..at], &text[at + 1..])),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

fn unescaped(field: &str) -> String {
    let mut signs = field.chars();
    let mut text = String::new();
    while let Some(sign) = signs.next() {
        text.extend(if sign == '\\' {
            signs.next()
        } else {
            Some(sign)
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let account = PassFile {
            path: PathBuf::new(),
            host: "db".to_owned(),
            port: 5432,
            database: "a:b".to_owned(),
            user: "me".to_owned(),
        };
        let found = |line: &str| {
            account
                .password_in(line)
                .map(|secret| secret.reveal().to_owned())
        };
        for line in [
            r"db:5432:a\:b:me:x\:y\\z",
            r"*:*:*:me:x\:y\\z",
            r"*:*:*:*:x\:y\\z",
        ] {
            assert_eq!(found(line).as_deref(), Some(r"x:y\z"), "{line}");
        }
        for line in [
            "#*:*:*:*:x",
            "db:5433:*:me:x",
            "other:*:*:*:x",
            "db:5432:a:b:me:x",
            "db",
            "",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }
}
