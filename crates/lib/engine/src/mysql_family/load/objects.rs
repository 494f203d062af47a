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
    sql = without_condition(&sql, mode, object.kind);
    if definer == Definer::Current {
        sql = mysql::set_definer(&sql, mode, None).into_owned();
    }
    // MySQL knows OR REPLACE for views only, and MariaDB's replaces no trigger of another table (1360); there
    // the name is missing for a moment.
    let replaces = flavour.mariadb && object.kind != ObjectKind::Trigger;
    let before = if object.kind == ObjectKind::View || replaces {
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
    let (kind, name) = ObjectKind::of_key(key)?;
    Some(Entry {
        key: format!("drop {key}"),
        detail: Detail {
            session: drop_session(kind),
            ..Detail::default()
        },
        sql: drop_statement(kind, name).into_bytes(),
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

/// Tokens up to an object's name at most; a definer and an algorithm are among them.
const HEAD: usize = 32;

/// Takes IF NOT EXISTS out: what a release brings takes the place of what is there, and no server knows both
/// that and OR REPLACE in one statement (1221).
fn without_condition(sql: &[u8], mode: Mode, kind: ObjectKind) -> Vec<u8> {
    let head: Vec<_> = mysql::tokens(sql, mode)
        .filter(|token| token.kind != TokenKind::Comment)
        .take(HEAD)
        .collect();
    let word = kind.name().rsplit(' ').next().unwrap_or_default();
    let at = head.iter().position(|token| token.is(word));
    match at.and_then(|at| head.get(at + 1..at + 4)) {
        Some([first, not, exists]) if first.is("IF") && not.is("NOT") && exists.is("EXISTS") => {
            [&sql[..first.start], &sql[exists.end()..]].concat()
        }
        _ => sql.to_vec(),
    }
}

/// A CREATE EVENT that never fires.
pub(super) fn disabled(sql: &[u8], mode: Mode) -> Vec<u8> {
    let mut depth = 0_usize;
    let behind_schedule = mysql::tokens(sql, mode).skip_while(|token| !token.is("SCHEDULE"));
    for token in behind_schedule {
        match token.text {
            b"(" => depth += 1,
            b")" => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ if token.is("DISABLE") => break,
            _ if token.is("ENABLE") => {
                return [&sql[..token.start], b"DISABLE", &sql[token.end()..]].concat();
            }
            _ if token.is("COMMENT") || token.is("DO") => {
                return [&sql[..token.start], b"DISABLE ", &sql[token.start..]].concat();
            }
            _ => {}
        }
    }
    sql.to_vec()
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

    const MODE: Mode = Mode {
        flavour: Flavour {
            mariadb: true,
            version: 10_11_00,
        },
        no_backslash_escapes: false,
        ansi_quotes: false,
    };

    #[test]
    fn a_condition_goes_from_the_head_only() {
        let taken = |sql: &str, kind| {
            String::from_utf8(without_condition(sql.as_bytes(), MODE, kind)).unwrap_or_default()
        };
        assert_eq!(
            taken(
                "CREATE DEFINER=`a`@`b` EVENT IF NOT EXISTS `e` ON SCHEDULE EVERY 1 DAY DO SELECT 1",
                ObjectKind::Event
            ),
            "CREATE DEFINER=`a`@`b` EVENT  `e` ON SCHEDULE EVERY 1 DAY DO SELECT 1"
        );
        let inside = "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO CREATE EVENT IF NOT EXISTS x ON SCHEDULE EVERY 1 DAY DO DO 1";
        assert_eq!(taken(inside, ObjectKind::Event), inside);
    }

    #[test]
    fn events_are_made_so_that_they_never_fire() {
        for (sql, made) in [
            (
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
            ),
            (
                "/*!50106 CREATE*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY STARTS (NOW()) ON COMPLETION NOT PRESERVE ENABLE DO SELECT 1 */",
                "/*!50106 CREATE*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY STARTS (NOW()) ON COMPLETION NOT PRESERVE DISABLE DO SELECT 1 */",
            ),
            (
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY COMMENT 'DO it' DO SELECT 1",
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE COMMENT 'DO it' DO SELECT 1",
            ),
            (
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO SELECT 1",
                "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO SELECT 1",
            ),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&disabled(sql.as_bytes(), MODE)),
                made
            );
        }
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
