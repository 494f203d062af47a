//! What foreign keys make of a statement.
//!
//! A load adds foreign keys once all rows are in: what REPLACE, DELETE or an UPDATE of a key would do to the
//! rows that point there (CASCADE, SET NULL, a refusal), and which rows IGNORE would leave out for want of a
//! parent that comes later, nothing does on the stage. Dump tools write with `foreign_key_checks=0`, where
//! the server does none of that either.

use std::collections::{BTreeMap, BTreeSet};

use pilotfish_sql::mysql::{Token, TokenKind};

use crate::Verb;
use crate::mysql::phrase::{Phrase, at_commas};

/// The foreign keys that the dump has defined so far. Names in lower case: a refusal too many costs less
/// than rows.
#[derive(Debug, Default)]
pub(crate) struct Ties {
    /// Child to parent to the columns that it points at.
    parents: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
    /// Parents of rows that came with IGNORE, and the child: those whose parent was not there are left out.
    awaited: BTreeMap<String, String>,
}

impl Ties {
    /// A definition of `child` with foreign keys to `parents`, in its order.
    pub(crate) fn add(&mut self, child: &str, parents: &[String], tokens: &[Token<'_>]) {
        let columns = referenced_columns(tokens);
        for (parent, columns) in parents.iter().zip(columns) {
            let of_child = self.parents.entry(child.to_lowercase()).or_default();
            let known = of_child.entry(parent.to_lowercase()).or_default();
            known.extend(columns);
        }
    }

    /// A table is dropped, and its foreign keys with it.
    pub(crate) fn drop(&mut self, table: &str) {
        let table = table.to_lowercase();
        self.parents.remove(&table);
        self.awaited.retain(|_, child| *child != table);
    }

    /// Refuses rows that do more than come in; `acting`: foreign keys are checked.
    ///
    /// # Errors
    /// What would happen to which rows, and what to do.
    pub(crate) fn refuse_rows(
        &mut self,
        table: &str,
        verb: Verb,
        acting: bool,
    ) -> Result<(), String> {
        self.refuse_late(table)?;
        match verb {
            Verb::InsertIgnore if acting => self.ignore("INSERT IGNORE", table),
            Verb::Replace if acting => self.refuse_carried_on("REPLACE", table),
            _ => Ok(()),
        }
    }

    /// As [`Self::refuse_rows`], for what follows the rows: `ON DUPLICATE KEY UPDATE ..`.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn refuse_tail(&self, table: &str, tokens: &[Token<'_>]) -> Result<(), String> {
        let update = tokens.iter().position(|token| token.is("UPDATE"));
        let list = update.and_then(|at| tokens.get(at + 1..));
        self.refuse_assigned("ON DUPLICATE KEY UPDATE", table, list.unwrap_or_default())
    }

    /// As [`Self::refuse_rows`], for a statement that is not understood; `tables` are those that it names.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn refuse_other(
        &mut self,
        tokens: &[Token<'_>],
        tables: &BTreeSet<String>,
        acting: bool,
    ) -> Result<(), String> {
        // CREATE OR REPLACE .. AS SELECT fills a table that nothing points at yet.
        if tokens.first().is_some_and(|verb| verb.is("CREATE")) {
            return Ok(());
        }
        let changed = match only_target(tokens) {
            Some(target) => BTreeSet::from([target]),
            None => tables.clone(),
        };
        let says = |word: &str| tokens.iter().any(|token| token.is(word));
        // REPLACE( is a function.
        let removes = tokens.iter().enumerate().find_map(|(at, token)| {
            let called = tokens
                .get(at + 1)
                .is_some_and(|next| next.is_punctuation(b'('));
            ["DELETE", "REPLACE"]
                .into_iter()
                .find(|word| token.is(word) && !called)
        });
        let duplicate = tokens
            .windows(2)
            .position(|two| two[0].is("KEY") && two[1].is("UPDATE"));
        let list = duplicate.map(|at| at + 1);
        let list = list.or_else(|| tokens.iter().position(|token| token.is("SET")));
        let list = list.and_then(|at| tokens.get(at + 1..)).unwrap_or_default();
        if removes != Some("DELETE") {
            changed
                .iter()
                .try_for_each(|table| self.refuse_late(table))?;
        }
        for table in changed.iter().filter(|_| acting) {
            if let Some(verb) = removes {
                self.refuse_carried_on(verb, table)?;
            }
            if says("UPDATE") {
                self.refuse_assigned("UPDATE", table, list)?;
            }
            if says("IGNORE") {
                self.ignore("IGNORE", table)?;
            }
        }
        Ok(())
    }

    /// Rows of a child come with IGNORE: from here on its parents may not get any, for which the server would
    /// have left some out. One that never comes is an orphan, and the load sees those.
    fn ignore(&mut self, verb: &str, table: &str) -> Result<(), String> {
        let child = table.to_lowercase();
        let Some(parents) = self.parents.get(&child) else {
            return Ok(());
        };
        if parents.contains_key(&child) {
            let what = "would leave out rows whose parent comes after them";
            return Err(refusal(&format!("{verb} of {table}"), what));
        }
        let parents = parents.keys().map(|parent| (parent.clone(), child.clone()));
        self.awaited.extend(parents);
        Ok(())
    }

    fn refuse_late(&self, table: &str) -> Result<(), String> {
        match self.awaited.get(&table.to_lowercase()) {
            None => Ok(()),
            Some(child) => Err(refusal(
                &format!("rows of {table} after rows of {child} with IGNORE"),
                "would leave out those that had no parent yet",
            )),
        }
    }

    fn refuse_carried_on(&self, verb: &str, table: &str) -> Result<(), String> {
        let mut children = self.children(table);
        children.next().map_or(Ok(()), |(child, _)| {
            let what = format!("would change rows of {child}, or be refused for them");
            Err(refusal(&format!("{verb} of {table}"), &what))
        })
    }

    fn refuse_assigned(
        &self,
        verb: &str,
        table: &str,
        assignments: &[Token<'_>],
    ) -> Result<(), String> {
        let assigned = assigned(assignments);
        let mut children = self.children(table);
        match children.find(|(_, columns)| !columns.is_disjoint(&assigned)) {
            None => Ok(()),
            Some(_) => self.refuse_carried_on(verb, table),
        }
    }

    /// The tables that point at one, with its columns.
    fn children(&self, table: &str) -> impl Iterator<Item = (&String, &BTreeSet<String>)> {
        let table = table.to_lowercase();
        let children = self.parents.iter();
        children.filter_map(move |(child, parents)| Some((child, parents.get(&table)?)))
    }
}

fn refusal(statement: &str, what: &str) -> String {
    format!(
        "{statement} while foreign_key_checks is 1: the server {what}, and a load adds foreign keys once all rows are \
         in: write SET foreign_key_checks=0 before it, as the dump tools do, or plain INSERTs"
    )
}

/// The columns behind each `REFERENCES table`, in the text's order.
fn referenced_columns<'t>(tokens: &'t [Token<'_>]) -> impl Iterator<Item = BTreeSet<String>> + 't {
    let references = tokens.iter().enumerate();
    let references = references.filter(|(_, token)| token.is("REFERENCES"));
    references.map(|(at, _)| {
        let mut phrase = Phrase::new(&tokens[at + 1..]);
        let listed = phrase.name().is_some() && phrase.punctuation(b'(');
        let list = phrase
            .rest()
            .iter()
            .take_while(|token| !token.is_punctuation(b')'));
        let names = list.filter(|_| listed).filter_map(Token::name);
        names.map(|name| name.to_lowercase()).collect()
    })
}

/// The table of an INSERT or a REPLACE, and of a DELETE or an UPDATE of one table.
fn only_target(tokens: &[Token<'_>]) -> Option<String> {
    let mut phrase = Phrase::new(tokens);
    let verb = phrase.any(&["INSERT", "REPLACE", "DELETE", "UPDATE"])?;
    let options = [
        "LOW_PRIORITY",
        "HIGH_PRIORITY",
        "DELAYED",
        "QUICK",
        "IGNORE",
    ];
    while phrase.any(&options).is_some() {}
    if verb == "INSERT" || verb == "REPLACE" {
        phrase.word("INTO");
        return Some(phrase.name()?.name);
    }
    if verb == "DELETE" && !phrase.word("FROM") {
        return None;
    }
    let name = phrase.name()?.name;
    if verb == "UPDATE" {
        return phrase.at_word("SET").then_some(name);
    }
    let next = phrase.rest().first();
    let ends = ["WHERE", "ORDER", "LIMIT", "RETURNING", "PARTITION"];
    let single = next.is_none_or(|next| ends.iter().any(|word| next.is(word)));
    single.then_some(name)
}

/// The columns that `a = .., t.b = ..` gives values to.
fn assigned(tokens: &[Token<'_>]) -> BTreeSet<String> {
    let target = |part: &[Token<'_>]| {
        let equals = part.iter().position(|token| token.text == b"=")?;
        let name = part.get(equals.checked_sub(1)?)?;
        let dots = part[..equals].iter().all(|token| {
            token.is_punctuation(b'.')
                || matches!(token.kind, TokenKind::Word | TokenKind::QuotedName)
        });
        name.name().filter(|_| dots)
    };
    let targets = at_commas(tokens).into_iter().filter_map(target);
    targets.map(|name| name.to_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use pilotfish_sql::Flavour;
    use pilotfish_sql::mysql::Mode;

    use super::*;
    use crate::mysql::phrase::running;

    const MARIA: Mode = Mode::new(Flavour {
        mariadb: true,
        version: 101_119,
    });

    fn ties() -> Ties {
        let mut ties = Ties::default();
        let text = b"CREATE TABLE c (id INT, p INT, CONSTRAINT f FOREIGN KEY (p) REFERENCES `P` (`id`) ON DELETE CASCADE)";
        ties.add("c", &["P".to_owned()], &running(text, MARIA));
        ties
    }

    #[test]
    fn what_foreign_keys_would_carry_on_is_refused() {
        let refused = |text: &str| {
            let tokens = running(text.as_bytes(), MARIA);
            let names = tokens.iter().filter_map(Token::name).collect();
            ties().refuse_other(&tokens, &names, true).is_err()
        };
        for text in [
            "DELETE FROM p",
            "DELETE p FROM p JOIN x ON p.id = x.id",
            "DELETE IGNORE FROM p WHERE id = 1",
            "REPLACE INTO p SELECT * FROM x",
            "REPLACE p SET id = 1",
            "UPDATE p SET v = 1, id = 2",
            "UPDATE p JOIN x ON p.id = x.id SET p.`id` = x.v",
            "INSERT INTO p SET id = 1 ON DUPLICATE KEY UPDATE id = 3",
            "WITH x AS (SELECT 1) DELETE FROM p WHERE id = 1",
        ] {
            assert!(refused(text), "{text}");
        }
        for text in [
            "DELETE FROM c WHERE p IN (SELECT id FROM p)",
            "UPDATE p SET v = REPLACE(v, 'a', 'b') WHERE id = 1",
            "UPDATE c SET p = 2",
            "UPDATE c x JOIN p ON p.id = x.p SET x.p = 3",
            "INSERT INTO c SELECT 1, id FROM p",
            "INSERT IGNORE INTO x SELECT id FROM p",
            "INSERT IGNORE INTO p SELECT 1",
            "DELETE FROM x",
            "INSERT IGNORE INTO c SELECT * FROM x",
            "UPDATE IGNORE c SET p = 9",
            "REPLACE INTO c SELECT 1, 1",
            "CREATE OR REPLACE TABLE x AS SELECT * FROM p",
            "INSERT INTO p SET id = 1 ON DUPLICATE KEY UPDATE v = 3",
        ] {
            assert!(!refused(text), "{text}");
        }
        let tail = |text: &str| {
            ties()
                .refuse_tail("p", &running(text.as_bytes(), MARIA))
                .is_err()
        };
        assert!(tail("ON DUPLICATE KEY UPDATE v = 1, id = VALUES(id) + 1"));
        assert!(!tail("ON DUPLICATE KEY UPDATE v = IF(id = 1, 2, 3)"));
        let rows = |table: &str, verb| ties().refuse_rows(table, verb, true).is_err();
        assert!(rows("p", Verb::Replace) && !rows("c", Verb::Replace));
        assert!(ties().refuse_rows("p", Verb::Replace, false).is_ok());
    }

    #[test]
    fn parents_come_before_rows_with_ignore() {
        let other = |ties: &mut Ties, text: &str| {
            let tokens = running(text.as_bytes(), MARIA);
            let names = tokens.iter().filter_map(Token::name).collect();
            ties.refuse_other(&tokens, &names, true)
        };
        for acting in [true, false] {
            let mut ties = ties();
            ties.refuse_rows("p", Verb::Insert, acting).unwrap();
            ties.refuse_rows("C", Verb::InsertIgnore, acting).unwrap();
            let late = ties.refuse_rows("P", Verb::Insert, false);
            assert_eq!(late.is_err(), acting, "{late:?}");
        }
        let mut ties = ties();
        other(&mut ties, "INSERT IGNORE INTO c SELECT * FROM x").unwrap();
        other(&mut ties, "INSERT INTO c SELECT * FROM p").unwrap();
        assert!(other(&mut ties, "INSERT INTO p SELECT * FROM x").is_err());
        let text = b"CREATE TABLE t (id INT, up INT, FOREIGN KEY (up) REFERENCES t (id))";
        ties.add("t", &["t".to_owned()], &running(text, MARIA));
        assert!(ties.refuse_rows("t", Verb::InsertIgnore, true).is_err());
    }
}
