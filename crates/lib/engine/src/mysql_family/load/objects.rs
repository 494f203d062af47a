//! Objects that follow the swap, and the rewriting of names in statements.

use std::collections::BTreeSet;

use pilotfish_sql::Flavour;
use pilotfish_sql::mysql::{self, Mode, TokenKind, quote};

use super::ledger::{Detail, Entry};
use crate::load::{Definer, Object, ObjectKind, SessionState};

/// `from`.x becomes `to`.x, token by token; text as it is where both are the same.
pub(super) fn requalify(sql: &[u8], mode: Mode, from: &str, to: &str) -> Vec<u8> {
    if from == to {
        return sql.to_vec();
    }
    mysql::requalify(sql, mode, from, to).into_owned()
}

/// The verb of a statement, in capitals.
pub(super) fn first_word(sql: &[u8], mode: Mode) -> String {
    let word = mysql::tokens(sql, mode).find(|token| token.kind == TokenKind::Word);
    word.map(|word| String::from_utf8_lossy(word.text).to_ascii_uppercase())
        .unwrap_or_default()
}

/// Every name that stands before a dot.
pub(super) fn qualifiers(sql: &[u8], mode: Mode) -> Vec<String> {
    let tokens: Vec<_> = mysql::tokens(sql, mode)
        .filter(|token| token.kind != TokenKind::Comment)
        .collect();
    tokens
        .windows(2)
        .filter(|pair| pair[1].is_punctuation(b'.'))
        .filter_map(|pair| pair[0].name())
        .collect()
}

/// The entry that makes `object` in the live database, safe to repeat.
pub(super) fn entry(
    object: &Object,
    flavour: Flavour,
    dump_database: &str,
    live: &str,
    definer: Definer,
) -> Entry {
    let mode = mode(flavour, &object.session);
    let mut sql = requalify(&object.sql, mode, dump_database, live);
    if definer == Definer::Current {
        sql = mysql::set_definer(&sql, mode, None).into_owned();
    }
    // MySQL knows OR REPLACE for views only; there the name is missing for a moment.
    let before = if object.kind == ObjectKind::View || flavour.mariadb {
        sql = or_replace(&sql, mode);
        None
    } else {
        Some(drop_statement(object.kind, &object.name))
    };
    Entry {
        key: object.key(),
        detail: Detail {
            digest: object.digest.clone(),
            table: object.table.clone(),
            session: (*object.session).clone(),
            before,
        },
        sql,
    }
}

/// The entry that drops what the new release no longer has.
pub(super) fn drop_entry(key: &str) -> Option<Entry> {
    let (kind, name) = split_key(key)?;
    Some(Entry {
        key: format!("drop {key}"),
        detail: Detail {
            session: drop_session(kind),
            ..Detail::default()
        },
        sql: drop_statement(kind, name).into_bytes(),
    })
}

/// `view v` as kind and name.
pub(super) fn split_key(key: &str) -> Option<(ObjectKind, &str)> {
    // "package body p" before "package".
    [
        "package body ",
        "function ",
        "procedure ",
        "package ",
        "view ",
        "trigger ",
        "event ",
    ]
    .into_iter()
    .find_map(|head| {
        Some((
            ObjectKind::from_name(head.trim_end())?,
            key.strip_prefix(head)?,
        ))
    })
}

/// DROP .. IF EXISTS, in the session's database.
pub(super) fn drop_statement(kind: ObjectKind, name: &str) -> String {
    format!(
        "DROP {} IF EXISTS {}",
        kind.name().to_ascii_uppercase(),
        quote(name)
    )
}

/// MariaDB before 11.4 knows packages in Oracle mode only, their DROP too.
pub(super) fn drop_session(kind: ObjectKind) -> SessionState {
    let package = matches!(kind, ObjectKind::Package | ObjectKind::PackageBody);
    let sql_mode = if package { "ORACLE" } else { "" };
    SessionState([("sql_mode".to_owned(), sql_mode.to_owned())].into())
}

/// The order in which objects can be made: what others call comes first.
pub(super) const ORDER: &[ObjectKind] = &[
    ObjectKind::Package,
    ObjectKind::PackageBody,
    ObjectKind::Function,
    ObjectKind::Procedure,
    ObjectKind::View,
    ObjectKind::Trigger,
    ObjectKind::Event,
];

/// Points a foreign key at the live table where its parent is not of this release.
pub(super) fn point_outside(
    definition: &str,
    staged: &BTreeSet<String>,
    release: &BTreeSet<String>,
    live: &str,
) -> String {
    let Some(at) = definition.find(" REFERENCES `") else {
        return definition.to_owned();
    };
    let (head, rest) = definition.split_at(at + " REFERENCES ".len());
    let outside = |name: &String| {
        rest.strip_prefix(quote(name).as_str())
            .is_some_and(|rest| rest.starts_with(" ("))
    };
    let staged_parent = staged.iter().chain(release).any(outside);
    if staged_parent || rest.contains("`.`") {
        return definition.to_owned();
    }
    format!("{head}{}.{rest}", quote(live))
}

/// How a session reads its statements; the modes that combine others (`ANSI`, `ORACLE`) are spelt out in
/// `@@sql_mode`.
pub(super) fn mode(flavour: Flavour, session: &SessionState) -> Mode {
    let has = |name: &str| {
        let modes = session
            .0
            .get("sql_mode")
            .map(String::as_str)
            .unwrap_or_default();
        modes.split(',').any(|mode| mode.eq_ignore_ascii_case(name))
    };
    Mode {
        flavour,
        no_backslash_escapes: has("NO_BACKSLASH_ESCAPES"),
        ansi_quotes: has("ANSI_QUOTES"),
    }
}

/// Puts OR REPLACE behind the statement's CREATE.
fn or_replace(sql: &[u8], mode: Mode) -> Vec<u8> {
    let mut words = mysql::tokens(sql, mode).filter(|token| token.kind == TokenKind::Word);
    let (first, second) = (words.next(), words.next());
    match (first, second) {
        (Some(create), Some(next))
            if create.text.eq_ignore_ascii_case(b"CREATE")
                && !next.text.eq_ignore_ascii_case(b"OR") =>
        {
            let end = create.start + create.text.len();
            [&sql[..end], b" OR REPLACE", &sql[end..]].concat()
        }
        _ => sql.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_name_kinds() {
        assert_eq!(
            split_key("package body p"),
            Some((ObjectKind::PackageBody, "p"))
        );
        assert_eq!(
            split_key("view my view"),
            Some((ObjectKind::View, "my view"))
        );
        assert_eq!(split_key("todo"), None);
    }

    #[test]
    fn foreign_keys_to_tables_outside_the_release_point_at_live() {
        let staged = BTreeSet::from(["a".to_owned()]);
        let inside = "CONSTRAINT `f` FOREIGN KEY (`x`) REFERENCES `a` (`id`)";
        assert_eq!(point_outside(inside, &staged, &staged, "app"), inside);
        assert_eq!(
            point_outside(
                "CONSTRAINT `f` FOREIGN KEY (`x`) REFERENCES `b` (`id`)",
                &staged,
                &staged,
                "app"
            ),
            "CONSTRAINT `f` FOREIGN KEY (`x`) REFERENCES `app`.`b` (`id`)"
        );
    }
}
