//! Extensions: whether one is there, and where.

use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

/// An extension in the database of a session.
#[derive(Debug, PartialEq)]
pub(super) struct Extension {
    /// Where its objects are, quoted where needed.
    pub(super) schema: String,
    /// After an upgrade of the server it may be older than the server's own.
    pub(super) version: (u32, u32),
}

impl Extension {
    /// `name` is one of ours. It is looked for each time: that is cheap, and it may come and go.
    pub(super) async fn find(session: &mut dyn Session, name: &str) -> Result<Option<Self>, Error> {
        let sql = format!(
            "SELECT quote_ident(n.nspname), e.extversion FROM pg_extension e \
             JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = '{name}'"
        );
        let rows = session.rows(&sql).await?;
        Ok(rows.iter().next().and_then(|row| {
            Some(Self {
                schema: row.at(0)?.to_owned(),
                version: version(row.at(1)?),
            })
        }))
    }
}

fn version(text: &str) -> (u32, u32) {
    let mut numbers = text.split('.').map_while(|number| number.parse().ok());
    let mut number = || numbers.next().unwrap_or(0);
    (number(), number())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("1.11") > version("1.9"));
        assert_eq!(version("2"), (2, 0));
    }
}
