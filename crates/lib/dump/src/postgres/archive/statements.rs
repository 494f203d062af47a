//! What pg_restore says before, between and after the definitions of an archive.

use std::collections::BTreeMap;
use std::io;

use pilotfish_sql::postgres::quote;

use super::contents::{Entry, Head};
use super::large_objects;
use super::script::between_quotes;

/// The beginning of a definition that only says where rows go.
const BY_THE_ROOT: &[u8] = b"-- load via partition root ";

/// The section of what comes after all rows.
const AFTER_ROWS: i64 = 4;

/// Kinds of what has an owner, by the name under which `ALTER .. OWNER TO` knows them.
const OWNED: [&str; 20] = [
    "COLLATION",
    "CONVERSION",
    "DATABASE",
    "DOMAIN",
    "EVENT TRIGGER",
    "FOREIGN DATA WRAPPER",
    "FOREIGN TABLE",
    "MATERIALIZED VIEW",
    "PROCEDURAL LANGUAGE",
    "PUBLICATION",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "STATISTICS",
    "SUBSCRIPTION",
    "TABLE",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TYPE",
    "VIEW",
];

/// Those whose name is more than one word: what is dropped says it as `ALTER` wants it.
const OWNED_AS_DROPPED: [&str; 6] = [
    "AGGREGATE",
    "FUNCTION",
    "OPERATOR",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "PROCEDURE",
];

/// What was said so far and holds on.
pub(super) struct Statements {
    pub(super) standard_conforming_strings: bool,
    /// The archive sets one search path for all; before PostgreSQL 10.3 entries had their own.
    has_search_path: bool,
    schema: Vec<u8>,
    tablespace: Option<Vec<u8>>,
    access_method: Option<Vec<u8>>,
    /// Before PostgreSQL 16 views and sequences were given their owners as tables are.
    owned_as_tables: bool,
    /// Numbers that entries of many large objects list.
    objects: BTreeMap<i64, Vec<u8>>,
}

impl Statements {
    /// Writes what comes before all entries.
    pub(super) fn new(head: &Head, entries: &[Entry], text: &mut Vec<u8>) -> io::Result<Self> {
        let setting = |kind: &str| entries.iter().rfind(|entry| entry.is(kind));
        let encoding = match setting("ENCODING") {
            Some(entry) => between_quotes(&entry.definition)?,
            None => b"SQL_ASCII",
        };
        let standard_conforming_strings = match setting("STDSTRINGS") {
            Some(entry) => between_quotes(&entry.definition)? == b"on",
            None => false,
        };
        let search_path = setting("SEARCHPATH").map(|entry| entry.definition.as_slice());
        let plain = standard_conforming_strings;
        let (onoff, quiet): (&[u8], &[u8]) = match plain {
            true => (b"on", b""),
            false => (b"off", b"SET escape_string_warning = off;\n"),
        };
        // A server before 17 does not know it, and its pg_dump does not set it.
        let transactions: &[u8] = match major(&head.program) {
            17.. => b"SET transaction_timeout = 0;\n",
            _ => b"",
        };
        let parts: [&[u8]; 19] = [
            b"--\n-- PostgreSQL database dump\n--\n\n",
            b"-- Dumped from database version ",
            &one_line(&head.server),
            b"\n-- Dumped by pg_dump version ",
            &one_line(&head.program),
            b"\n\nSET statement_timeout = 0;\nSET lock_timeout = 0;\n",
            b"SET idle_in_transaction_session_timeout = 0;\n",
            transactions,
            b"SET client_encoding = '",
            encoding,
            b"';\nSET standard_conforming_strings = ",
            onoff,
            b";\n",
            search_path.unwrap_or_default(),
            b"SET check_function_bodies = false;\n",
            b"SET xmloption = content;\n",
            b"SET client_min_messages = warning;\n",
            quiet,
            b"SET row_security = off;\n\n",
        ];
        text.extend(parts.concat());
        let many = entries.iter().filter(|entry| entry.is("BLOB METADATA"));
        Ok(Self {
            standard_conforming_strings,
            has_search_path: search_path.is_some(),
            schema: Vec::new(),
            tablespace: None,
            access_method: None,
            owned_as_tables: head.version < (1, 15),
            objects: many
                .map(|entry| (entry.id, entry.definition.clone()))
                .collect(),
        })
    }

    /// The entries that say something, in the order in which pg_restore takes them: rights wait for everything that
    /// they are about, and what the rights may be needed for waits for them.
    pub(super) fn in_order(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut passes = [Vec::new(), Vec::new(), Vec::new()];
        for entry in entries.into_iter().filter(says_something) {
            passes[pass(&entry)].push(entry);
        }
        passes.into_iter().flatten().collect()
    }

    /// Writes an entry's definition and what belongs to it.
    pub(super) fn define(&mut self, entry: &Entry, text: &mut Vec<u8>) {
        if entry.has_data && !is_definition(entry) {
            return;
        }
        self.settle(entry, text);
        let mut put = |parts: &[&[u8]]| text.extend(parts.concat());
        if entry.is("BLOB METADATA") {
            for number in large_objects::listed(&entry.definition) {
                put(&[b"SELECT pg_catalog.lo_create('", number, b"');\n"]);
            }
            put(&[b"\n"]);
        } else if entry.is("ACL") && entry.tag.starts_with(b"LARGE OBJECTS") {
            let of = entry.depends_on.first().and_then(|id| self.objects.get(id));
            let numbers = of.map(Vec::as_slice).unwrap_or_default();
            let numbers = large_objects::listed(numbers);
            large_objects::for_each(text, &entry.definition, &numbers);
        } else if !entry.definition.is_empty() {
            put(&[&entry.definition, b"\n\n"]);
        }
        self.own(entry, text);
        if let (true, Some(method)) = (entry.is_partitioned, &entry.access_method) {
            let name = qualified(entry);
            let parts = [
                b"ALTER TABLE ",
                &*name,
                b" SET ACCESS METHOD ",
                &quoted(method),
                b";\n\n",
            ];
            text.extend(parts.concat());
        }
    }

    /// Writes what comes before an entry's data.
    pub(super) fn announce(&mut self, entry: &Entry, text: &mut Vec<u8>) {
        self.settle(entry, text);
        if entry.is("BLOBS") {
            self.choose_schema(b"pg_catalog", text);
            return;
        }
        if entry.definition.starts_with(BY_THE_ROOT) {
            text.extend_from_slice(&entry.definition);
            text.extend_from_slice(b"\n\n");
        }
        text.extend_from_slice(&entry.copy);
    }

    /// Writes what comes after all entries.
    pub(super) fn end(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(b"--\n-- PostgreSQL database dump complete\n--\n\n");
    }

    /// Sets what the definition of an entry means, and says which one comes.
    fn settle(&mut self, entry: &Entry, text: &mut Vec<u8>) {
        self.choose_schema(&entry.schema, text);
        if let Some(space) = &entry.tablespace
            && self.tablespace.as_ref() != Some(space)
        {
            let value = if space.is_empty() {
                b"''".to_vec()
            } else {
                quoted(space)
            };
            text.extend([b"SET default_tablespace = ", &*value, b";\n\n"].concat());
            self.tablespace = Some(space.clone());
        }
        if let (false, Some(method)) = (entry.is_partitioned, &entry.access_method)
            && self.access_method.as_ref() != Some(method)
        {
            let parts = [
                b"SET default_table_access_method = ",
                &*quoted(method),
                b";\n\n",
            ];
            text.extend(parts.concat());
            self.access_method = Some(method.clone());
        }
        let label = entry.label();
        text.extend([b"--\n-- ", label.as_bytes(), b"\n--\n\n"].concat());
    }

    /// Writes who owns what an entry defines.
    fn own(&self, entry: &Entry, text: &mut Vec<u8>) {
        if entry.owner.is_empty() || entry.drop.is_empty() {
            return;
        }
        let is = |kinds: &[&str]| kinds.iter().any(|kind| entry.is(kind));
        let owner = quoted(&entry.owner);
        let mut put = |what: &[u8], end: &[u8]| {
            text.extend([b"ALTER ", what, b" OWNER TO ", &owner, end].concat());
        };
        if entry.is("BLOB METADATA") {
            for number in large_objects::listed(&entry.definition) {
                put(&[b"LARGE OBJECT ", number].concat(), b";\n");
            }
            text.push(b'\n');
        } else if entry.is("BLOB") {
            put(&[b"LARGE OBJECT ", &*entry.tag].concat(), b";\n\n");
        } else if is(&OWNED_AS_DROPPED) {
            let dropped = entry.drop.strip_prefix(b"DROP ").unwrap_or(&entry.drop);
            let end = dropped.iter().rposition(|byte| !b";\n".contains(byte));
            put(&dropped[..end.map_or(0, |end| end + 1)], b";\n\n");
        } else if is(&OWNED) {
            let is_table = self.owned_as_tables && is(&["MATERIALIZED VIEW", "SEQUENCE", "VIEW"]);
            let kind: &[u8] = if is_table { b"TABLE" } else { &entry.kind };
            put(&[kind, b" ", &qualified(entry)].concat(), b";\n\n");
        }
    }

    fn choose_schema(&mut self, schema: &[u8], text: &mut Vec<u8>) {
        if self.has_search_path || schema.is_empty() || self.schema == schema {
            return;
        }
        let behind: &[u8] = if schema == b"pg_catalog" {
            b""
        } else {
            b", pg_catalog"
        };
        text.extend([b"SET search_path = ", &*quoted(schema), behind, b";\n\n"].concat());
        self.schema = schema.to_vec();
    }
}

/// Whether pg_restore makes anything of an entry. What is about the database itself it leaves out without `--create`.
fn says_something(entry: &Entry) -> bool {
    const SETTINGS: [&str; 5] = [
        "ENCODING",
        "STDSTRINGS",
        "SEARCHPATH",
        "DATABASE",
        "DATABASE PROPERTIES",
    ];
    const BESIDE: [&str; 3] = ["ACL", "COMMENT", "SECURITY LABEL"];
    let is = |kinds: &[&str]| kinds.iter().any(|kind| entry.is(kind));
    if is(&SETTINGS) || is(&BESIDE) && entry.tag.starts_with(b"DATABASE ") {
        return false;
    }
    entry.has_data || !entry.definition.is_empty()
}

/// Whether there is more to an entry with data than that.
fn is_definition(entry: &Entry) -> bool {
    !entry.definition.is_empty() && !entry.definition.starts_with(BY_THE_ROOT)
}

fn pass(entry: &Entry) -> usize {
    let is = |kinds: &[&str]| kinds.iter().any(|kind| entry.is(kind));
    if is(&["ACL", "ACL LANGUAGE", "DEFAULT ACL"]) {
        return 1;
    }
    let beside_event_trigger =
        is(&["COMMENT", "SECURITY LABEL"]) && entry.tag.starts_with(b"EVENT TRIGGER ");
    let late_statistics = is(&["STATISTICS DATA"]) && entry.section == AFTER_ROWS;
    match is(&["EVENT TRIGGER", "MATERIALIZED VIEW DATA"])
        || beside_event_trigger
        || late_statistics
    {
        true => 2,
        false => 0,
    }
}

fn qualified(entry: &Entry) -> Vec<u8> {
    match entry.schema.is_empty() {
        true => quoted(&entry.tag),
        false => [&*quoted(&entry.schema), b".", &quoted(&entry.tag)].concat(),
    }
}

/// A name as SQL spells it, in whatever encoding the archive has.
fn quoted(name: &[u8]) -> Vec<u8> {
    match std::str::from_utf8(name) {
        Ok(name) => quote(name).into_bytes(),
        Err(_) => {
            let parts: Vec<&[u8]> = name.split(|byte| *byte == b'"').collect();
            [b"\"", &*parts.join(&b"\"\""[..]), b"\""].concat()
        }
    }
}

fn one_line(text: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| if byte.is_ascii_control() { b' ' } else { *byte };
    text.iter().map(blank).collect()
}

/// The first number of a version.
fn major(version: &[u8]) -> u32 {
    let digits = version.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u32, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u32::from(digit - b'0'))
    })
}
