//! Commands to psql that dumps hold: all others are refused, since they reach programs and files.

/// What a line with a backslash asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// `\restrict KEY`: psql takes no other command until it hears the key again.
    Restrict(Vec<u8>),
    /// `\unrestrict KEY`.
    Unrestrict(Vec<u8>),
    /// `\connect db`.
    Connect(String),
}

/// Reads a line that begins with a backslash.
///
/// # Errors
/// Why it is refused.
pub(crate) fn command(line: &[u8]) -> Result<Command, &'static str> {
    const OTHER: &str = "the psql command that begins here: take it out of the dump";
    let line = line.strip_prefix(b"\\").unwrap_or(line);
    let length = line.iter().position(|byte| !byte.is_ascii_alphabetic());
    let (word, rest) = line.split_at(length.unwrap_or(line.len()));
    // Taken literally: psql itself once carried out what stands in backquotes here (CVE-2026-18408).
    let argument = rest.trim_ascii();
    match word {
        b"restrict" if !argument.is_empty() => Ok(Command::Restrict(argument.to_vec())),
        b"unrestrict" if !argument.is_empty() => Ok(Command::Unrestrict(argument.to_vec())),
        b"connect" | b"c" => database(argument)
            .map(Command::Connect)
            .ok_or("a \\connect that says more than the database: write `\\connect name`"),
        _ => Err(OTHER),
    }
}

/// The database that `\connect` names, plain, quoted or as pg_dump writes names with odd characters.
fn database(argument: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(argument).ok()?;
    let (options, text) = match text.strip_prefix("-reuse-previous=on") {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    let name = match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted, '"')?,
        None if text.chars().all(is_plain) && !text.starts_with('-') => text.to_owned(),
        None => return None,
    };
    let name = match name.strip_prefix("dbname=") {
        Some(value) if options => value_of(value)?,
        // psql takes such a name for a connection string.
        _ if name.contains('=') || name.contains("://") => return None,
        _ => name,
    };
    (!name.is_empty()).then_some(name)
}

fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$' | '-' | '.')
}

/// The text up to the closing quote, which must be the last letter; a doubled quote is one.
fn unquoted(text: &str, quote: char) -> Option<String> {
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == quote {
            match letters.next() {
                Some(next) if next == quote => {}
                None => return Some(out),
                Some(_) => return None,
            }
        }
        out.push(letter);
    }
    None
}

/// A value of a connection string: quoted with `'`, in which a backslash escapes.
fn value_of(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('\'') else {
        return text.chars().all(is_plain).then(|| text.to_owned());
    };
    let mut out = String::new();
    let mut letters = inner.chars();
    loop {
        match letters.next()? {
            '\\' => out.push(letters.next()?),
            '\'' => return letters.next().is_none().then_some(out),
            letter => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases() {
        for (line, name) in [
            ("\\connect app", "app"),
            ("\\c app \r", "app"),
            ("\\connect \"My \"\"app\"\"\"", "My \"app\""),
            ("\\connect -reuse-previous=on \"dbname='a=b'\"", "a=b"),
            (
                "\\connect -reuse-previous=on \"dbname='it\\'s \\\\ \"\"x\"\"'\"",
                "it's \\ \"x\"",
            ),
        ] {
            assert_eq!(command(line.as_bytes()), Ok(Command::Connect(name.into())));
        }
        for line in [
            "\\connect",
            "\\connect app - otherhost",
            "\\connect \"host=elsewhere dbname=app\"",
            "\\connect postgres://elsewhere/app",
            "\\connect -reuse-previous=on \"dbname='a' host='b'\"",
            "\\connect `id`",
            "\\connect :x",
        ] {
            assert!(command(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn keys_are_taken_literally() {
        let key = b"`id` x".to_vec();
        assert_eq!(
            command(b"\\unrestrict `id` x\r"),
            Ok(Command::Unrestrict(key))
        );
        assert_eq!(
            command(b"\\restrict k"),
            Ok(Command::Restrict(b"k".to_vec()))
        );
        for line in [
            "\\restrict",
            "\\! id",
            "\\i x",
            "\\copy t from x",
            "\\.",
            "\\if 1",
            "\\",
            "\\restricted k",
        ] {
            assert!(command(line.as_bytes()).is_err(), "{line}");
        }
    }
}
