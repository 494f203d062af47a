//! Which schemas a dump fills, and how its statements are brought to act in their stages.

use std::borrow::Cow;
use std::collections::BTreeSet;

use pilotfish_sql::postgres::{self, Ambiguous, Mode};

use super::extensions::Extensions;
use super::names::{Part, is_ours, is_system};
use crate::Error;

/// The schemas of a dump, as far as it was read.
#[derive(Debug, Default, Clone)]
pub(super) struct Schemas {
    /// Names are taken as they are: the dump goes straight into where it says.
    straight: bool,
    own: BTreeSet<String>,
    pub(super) extensions: Extensions,
}

/// A schema's name in a statement, and what of it is meant.
pub(super) type Mention = (String, Option<String>);

impl Schemas {
    pub(super) fn new(straight: bool, extensions: Extensions) -> Self {
        Self {
            straight,
            own: BTreeSet::new(),
            extensions,
        }
    }

    /// The live names of the schemas that the dump fills.
    pub(super) const fn own(&self) -> &BTreeSet<String> {
        &self.own
    }

    pub(super) fn is_own(&self, schema: &str) -> bool {
        self.own.contains(schema)
    }

    pub(super) fn add(&mut self, schema: &str) {
        self.own.insert(schema.to_owned());
    }

    /// Where what the dump puts into `schema` is until the swap.
    pub(super) fn place(&self, schema: &str) -> String {
        if self.straight {
            schema.to_owned()
        } else {
            Part::Next.of(schema)
        }
    }

    /// The staged table of a key, quoted and qualified.
    pub(super) fn table(&self, key: &str) -> Result<String, Error> {
        let (schema, name) = parts(key)?;
        Ok(qualified(&self.place(&schema), &name))
    }

    /// A statement that acts on the stage; `text` where it names nothing of the dump's.
    ///
    /// # Errors
    /// `NeedsDatabase` where a name may be that of a schema or of a table.
    pub(super) fn rewrite<'t>(&self, text: &'t [u8], mode: Mode) -> Result<Cow<'t, [u8]>, Error> {
        self.rewrite_unless(text, mode, &|_, _| false)
    }

    /// As [`Self::rewrite`], where some of what a schema has `stays` under its live name.
    pub(super) fn rewrite_unless<'t>(
        &self,
        text: &'t [u8],
        mode: Mode,
        stays: &dyn Fn(&str, &str) -> bool,
    ) -> Result<Cow<'t, [u8]>, Error> {
        if self.straight {
            return Ok(Cow::Borrowed(text));
        }
        let place = |schema: &str, object: Option<&str>| {
            let shared = object
                .is_some_and(|name| self.extensions.brought(schema, name) || stays(schema, name));
            (self.is_own(schema) && !shared).then(|| Part::Next.of(schema))
        };
        postgres::requalify(text, mode, &place).map_err(|Ambiguous { schema }| {
            Error::NeedsDatabase(format!(
                "`{schema}.` in it may mean the schema or a table of that name"
            ))
        })
    }

    /// As [`Self::rewrite`], for the list of a search path: whatever is not the server's may be the dump's.
    pub(super) fn rewrite_path<'t>(
        &self,
        text: &'t [u8],
        mode: Mode,
    ) -> Result<Cow<'t, [u8]>, Error> {
        if self.straight {
            return Ok(Cow::Borrowed(text));
        }
        let place = |schema: &str, _: Option<&str>| {
            (!is_system(schema) && schema != "$user").then(|| Part::Next.of(schema))
        };
        postgres::requalify(text, mode, &place).map_err(|_| {
            Error::Refused("it names a schema in a way that is not understood".to_owned())
        })
    }
}

/// Every schema that a statement names, in its order.
pub(super) fn mentions(text: &[u8], mode: Mode) -> Vec<Mention> {
    let seen = std::cell::RefCell::new(Vec::new());
    let note = |schema: &str, object: Option<&str>| {
        let mention = (schema.to_owned(), object.map(str::to_owned));
        seen.borrow_mut().push(mention);
        None
    };
    // Nothing is rewritten, so that nothing can be ambiguous.
    let _ = postgres::requalify(text, mode, &note);
    seen.into_inner()
}

/// Refuses a dump that fills the server's schemas, or ours.
pub(super) fn refuse_foreign(schema: &str) -> Result<(), Error> {
    if is_ours(schema) || is_system(schema) {
        return Err(Error::Refused(format!(
            "the schema {schema} belongs to the server or to the ledger: a load never fills it; dump with \
             --exclude-schema='pilotfish*'"
        )));
    }
    Ok(())
}

/// Schema and name of a table's key.
pub(super) fn parts(key: &str) -> Result<(String, String), Error> {
    postgres::of_key(key).ok_or_else(|| Error::Protocol(format!("{key} is no table's name")))
}

/// The live table of a key, quoted and qualified.
pub(super) fn live_table(key: &str) -> Result<String, Error> {
    let (schema, name) = parts(key)?;
    Ok(qualified(&schema, &name))
}

/// `schema.name`, quoted.
pub(super) fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", postgres::quote(schema), postgres::quote(name))
}
