//! What depends on who loads, and where.
//!
//! A dump is loaded by other connections than the client's, in a database that has another name until it is
//! swapped in. What a row or a definition says of these would be true of the stage, and of no client.

use pilotfish_sql::mysql::{Token, TokenKind};

use crate::Class;

/// The database of a session. MariaDB writes it into a definition as NULL where a session has none, and
/// computes stored columns with it.
const PLACE: [&str; 2] = ["DATABASE", "SCHEMA"];

/// Who and which connection it is.
const PERSON: [&str; 6] = [
    "CONNECTION_ID",
    "CURRENT_ROLE",
    "CURRENT_USER",
    "SESSION_USER",
    "SYSTEM_USER",
    "USER",
];

/// Those that need no parentheses.
const BARE: [&str; 2] = ["CURRENT_ROLE", "CURRENT_USER"];

/// Refuses a statement that would store or define something else than the client's.
///
/// # Errors
/// What it asks, and what to do.
pub(crate) fn refuse(class: &Class, tokens: &[Token<'_>]) -> Result<(), String> {
    match class {
        Class::CreateTable { .. } | Class::AlterTable { .. } | Class::CreateIndex { .. } => {
            refuse_in_definition(tokens).and_then(|()| refuse_directory(tokens))
        }
        Class::Other { .. } if !stores(tokens) => refuse_directory(tokens),
        Class::Session | Class::Other { .. } | Class::SetSequence(_) => refuse_in_value(tokens),
        _ => Ok(()),
    }
}

/// Refuses an expression whose value would be another one here.
///
/// # Errors
/// What it asks, and what to do.
pub(crate) fn refuse_in_value(tokens: &[Token<'_>]) -> Result<(), String> {
    let bare = || {
        let mut words = BARE.iter().copied();
        words.find(|word| tokens.iter().any(|token| token.is(word)))
    };
    let called = called(tokens, &PLACE).or_else(|| called(tokens, &PERSON));
    let asked = called.map(|name| format!("{name}()"));
    let asked = asked.or_else(|| bare().map(str::to_owned));
    asked.map_or(Ok(()), |what| {
        Err(format!(
            "{what}, which is not the client's but the loader's while a dump is staged: write the value into the dump"
        ))
    })
}

fn refuse_in_definition(tokens: &[Token<'_>]) -> Result<(), String> {
    called(tokens, &PLACE).map_or(Ok(()), |what| {
        Err(format!(
            "{what}() in the definition of a table, which is made and filled in a database of another name: write \
             the name as text, or leave the column's expression out"
        ))
    })
}

/// Refuses a table whose files are elsewhere: a link to them stays behind in the folder of the database that
/// the table leaves, which the server cannot drop any more then.
fn refuse_directory(tokens: &[Token<'_>]) -> Result<(), String> {
    let named = tokens.windows(3).find_map(|three| {
        let mut kinds = ["DATA", "INDEX"].into_iter();
        let kind = kinds.find(|kind| three[0].is(kind))?;
        let says = three[2].text == b"=" || three[2].kind == TokenKind::String;
        (three[1].is("DIRECTORY") && says).then_some(kind)
    });
    named.map_or(Ok(()), |kind| {
        Err(format!(
            "{kind} DIRECTORY, files outside of the database's own folder, which tables leave when they are swapped: take \
             it out of the dump"
        ))
    })
}

/// The first of these functions that is called without arguments.
fn called(tokens: &[Token<'_>], names: &[&'static str]) -> Option<&'static str> {
    tokens.windows(3).find_map(|three| {
        let empty = three[1].is_punctuation(b'(') && three[2].is_punctuation(b')');
        let name = names.iter().copied().find(|name| three[0].is(name));
        name.filter(|_| empty)
    })
}

/// Whether a statement may leave what it computes behind: a SELECT for people does not.
fn stores(tokens: &[Token<'_>]) -> bool {
    let looks = tokens
        .first()
        .is_some_and(|verb| verb.is("SELECT") || verb.is("DO"));
    let keeps = |token: &Token<'_>| token.is("INTO") || token.text.starts_with(b"@");
    !looks || tokens.iter().any(keeps)
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;
    use pilotfish_sql::mysql::Mode;

    use super::*;
    use crate::mysql::classify::classify;
    use crate::mysql::phrase::running;

    const MARIA: Mode = Mode::new(Flavour {
        mariadb: true,
        version: 101_119,
    });

    fn refused(text: &str) -> bool {
        let class = classify(text.as_bytes(), MARIA);
        refuse(&class, &running(text.as_bytes(), MARIA)).is_err()
    }

    #[test]
    fn tables_keep_their_files_in_their_database() {
        for text in [
            "CREATE TABLE a (id int) data directory='/some/dir'",
            "CREATE TABLE a (id int) ENGINE=InnoDB /*!50100 DATA DIRECTORY = '/d' */",
            "CREATE TABLE a (id int) INDEX DIRECTORY '/d'",
            "CREATE TABLE a (id int) PARTITION BY HASH (id) (PARTITION p DATA DIRECTORY = '/d')",
        ] {
            assert!(refused(text), "{text}");
        }
        for text in [
            "CREATE TABLE a (data int, directory int, INDEX directory (data))",
            "CREATE TABLE a (id int COMMENT 'DATA DIRECTORY=1')",
        ] {
            assert!(!refused(text), "{text}");
        }
    }

    #[test]
    fn what_is_stored_must_be_the_clients() {
        for text in [
            "CREATE TABLE s (q varchar(90) DEFAULT concat(database(),'-x'))",
            "ALTER TABLE s ADD g varchar(90) AS (concat(schema(), a)) VIRTUAL",
            "SET @db = DATABASE()",
            "UPDATE t SET a = CURRENT_USER",
            "INSERT INTO t SELECT USER()",
            "CREATE TABLE t AS SELECT CONNECTION_ID()",
            "SELECT DATABASE() INTO @db",
            "SELECT @db := DATABASE()",
        ] {
            assert!(refused(text), "{text}");
        }
        for text in [
            "CREATE TABLE s (`database` int, schema_name int, who varchar(90) DEFAULT current_user())",
            "SELECT CONCAT('loads into ', DATABASE())",
            "INSERT INTO t SELECT `user` FROM `database`",
            "CREATE VIEW v AS SELECT DATABASE()",
            "CREATE PROCEDURE p() SELECT CURRENT_USER()",
            "SET @a = 'DATABASE()'",
        ] {
            assert!(!refused(text), "{text}");
        }
    }
}
