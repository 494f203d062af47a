//! Identifiers, quoted and not.

use std::fmt;

/// A name with its optional database, both unquoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The qualifier, where the text has one.
    pub database: Option<String>,
    /// The object's own name.
    pub name: String,
}

impl Name {
    /// A name without a database.
    pub fn bare(name: impl Into<String>) -> Self {
        Self {
            database: None,
            name: name.into(),
        }
    }
}

/// As SQL text: `` `db`.`name` ``.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{}.", quote(database))?;
        }
        f.write_str(&quote(&self.name))
    }
}

/// Quotes an identifier: ``a`b`` becomes `` `a``b` ``.
#[must_use]
pub fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// The identifier that `text` spells: quotes removed, doubled quotes made one.
///
/// Identifiers are UTF-8 in every dump that announces its character set; other bytes are replaced,
/// which makes the name unknown to the server rather than another table's.
#[must_use]
pub fn unquote(text: &[u8]) -> String {
    match text {
        [quote @ (b'`' | b'"'), inner @ .., last] if quote == last => {
            let doubled = String::from_utf8_lossy(&[*quote, *quote]).into_owned();
            let single = char::from(*quote).to_string();
            String::from_utf8_lossy(inner).replace(&doubled, &single)
        }
        _ => String::from_utf8_lossy(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_and_back() {
        for name in ["t", "a`b", "``", "a\"b", "naïve", "*/"] {
            assert_eq!(unquote(quote(name).as_bytes()), name);
        }
        assert_eq!(unquote(b"\"a\"\"b\""), "a\"b");
        assert_eq!(unquote(b"plain"), "plain");
        assert_eq!(
            Name {
                database: Some("d".into()),
                name: "t".into()
            }
            .to_string(),
            "`d`.`t`"
        );
    }
}
