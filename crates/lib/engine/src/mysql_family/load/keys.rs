//! Which keys of a table wait until its rows are in.
//!
//! Read from SHOW CREATE TABLE: the server writes one definition a line, whatever the dump wrote.
//! What stays (measured on MariaDB 10.11 and MySQL 9.7): the primary key; without one, the first
//! UNIQUE key, which may be the clustered key; the key of the AUTO_INCREMENT column; the first
//! FULLTEXT key, which no server adds without a copy of the table; SPATIAL keys.

use pilotfish_sql::mysql::quote;

/// The keys that can wait and the foreign keys that were taken off a staged table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Deferred {
    /// Name and definition of each key, in the table's order.
    pub(super) keys: Vec<(String, String)>,
    /// FULLTEXT keys: one ALTER each, two in one statement are refused.
    pub(super) fulltext: Vec<(String, String)>,
    /// Name and definition of each foreign key.
    pub(super) foreign: Vec<(String, String)>,
    /// The keys were taken off.
    pub(super) aside: bool,
}

impl Deferred {
    /// Reads the canonical definition of a table.
    pub(super) fn from_definition(definition: &str) -> Self {
        let mut deferred = Self::default();
        let lines: Vec<&str> = definition
            .lines()
            .map(|line| line.trim().trim_end_matches(','))
            .collect();
        let auto_increment = lines
            .iter()
            .find(|line| line.starts_with('`') && line.contains(" AUTO_INCREMENT"))
            .and_then(|line| quoted_name(line));
        let has_primary = lines.iter().any(|line| line.starts_with("PRIMARY KEY"));
        let (mut unique_kept, mut fulltext_kept) = (has_primary, false);
        let mut counter_needs_key = auto_increment.is_some()
            && !lines.iter().any(|line| {
                line.starts_with("PRIMARY KEY") && leads_with(line, auto_increment.as_deref())
            });
        for line in &lines {
            if let Some(name) = foreign_key_name(line) {
                deferred.foreign.push((name, (*line).to_owned()));
                continue;
            }
            let Some((class, name)) = key(line) else {
                continue;
            };
            let serves_counter = counter_needs_key && leads_with(line, auto_increment.as_deref());
            match class {
                Class::Unique if !unique_kept => unique_kept = true,
                Class::Unique | Class::Plain if serves_counter => counter_needs_key = false,
                Class::Unique | Class::Plain => deferred.keys.push((name, (*line).to_owned())),
                Class::Fulltext if !fulltext_kept => fulltext_kept = true,
                Class::Fulltext => deferred.fulltext.push((name, (*line).to_owned())),
                Class::Spatial => {}
            }
        }
        deferred
    }

    /// The clauses that take the foreign keys off, for one ALTER TABLE, and the keys with them: a key that the
    /// server made for a foreign key would get another name when that comes back. Empty without foreign keys.
    pub(super) fn drop_foreign(&self) -> String {
        let mut drops: Vec<String> = self
            .foreign
            .iter()
            .map(|(name, _)| format!("DROP FOREIGN KEY {}", quote(name)))
            .collect();
        let keys = self.drop_keys();
        if !drops.is_empty() && !keys.is_empty() {
            drops.push(keys);
        }
        drops.join(", ")
    }

    /// The clauses that take off the keys that can wait, for one ALTER TABLE; empty without any.
    pub(super) fn drop_keys(&self) -> String {
        let drops = self
            .keys
            .iter()
            .chain(&self.fulltext)
            .map(|(name, _)| format!("DROP KEY {}", quote(name)));
        drops.collect::<Vec<_>>().join(", ")
    }

    /// The clauses that put the keys back, one entry per ALTER TABLE; none where they are in place.
    pub(super) fn adds(&self) -> Vec<String> {
        if !self.aside {
            return Vec::new();
        }
        let together: Vec<String> = self
            .keys
            .iter()
            .map(|(_, definition)| format!("ADD {definition}"))
            .collect();
        let mut statements = Vec::new();
        if !together.is_empty() {
            statements.push(together.join(", "));
        }
        statements.extend(
            self.fulltext
                .iter()
                .map(|(_, definition)| format!("ADD {definition}")),
        );
        statements
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Unique,
    Fulltext,
    Spatial,
}

fn key(line: &str) -> Option<(Class, String)> {
    let (class, rest) = [
        ("KEY ", Class::Plain),
        ("UNIQUE KEY ", Class::Unique),
        ("FULLTEXT KEY ", Class::Fulltext),
        ("SPATIAL KEY ", Class::Spatial),
    ]
    .into_iter()
    .find_map(|(head, class)| line.strip_prefix(head).map(|rest| (class, rest)))?;
    Some((class, quoted_name(rest)?))
}

fn foreign_key_name(line: &str) -> Option<String> {
    let rest = line.strip_prefix("CONSTRAINT ")?;
    let name = quoted_name(rest)?;
    rest[quote(&name).len()..]
        .trim_start()
        .starts_with("FOREIGN KEY")
        .then_some(name)
}

/// Whether the key's first column is `column`.
fn leads_with(line: &str, column: Option<&str>) -> bool {
    let columns = line.find(" (").map(|at| &line[at + 2..]);
    columns.and_then(quoted_name).as_deref() == column
}

/// The name between backticks that `text` starts with.
fn quoted_name(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut chars = text.strip_prefix('`')?.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '`' {
            name.push(char);
        } else if chars.next_if_eq(&'`').is_some() {
            name.push('`');
        } else {
            return Some(name);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "CREATE TABLE `t` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `a``b` int(11) DEFAULT NULL COMMENT 'KEY `x` (`y`),',
  `txt` text DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `u` (`a``b`),
  KEY `k` (`a``b`,`id`),
  FULLTEXT KEY `f1` (`txt`),
  FULLTEXT KEY `f2` (`txt`,`a``b`),
  CONSTRAINT `fk` FOREIGN KEY (`a``b`) REFERENCES `p` (`id`) ON DELETE CASCADE,
  CONSTRAINT `c` CHECK (`id` > 0)
) ENGINE=InnoDB";

    #[test]
    fn everything_but_the_clustered_key_and_the_first_fulltext_waits() {
        let deferred = Deferred::from_definition(TABLE);
        let names = |list: &[(String, String)]| {
            list.iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&deferred.keys), ["u", "k"]);
        assert_eq!(names(&deferred.fulltext), ["f2"]);
        assert_eq!(names(&deferred.foreign), ["fk"]);
        assert_eq!(
            (deferred.drop_foreign(), deferred.drop_keys()),
            (
                "DROP FOREIGN KEY `fk`, DROP KEY `u`, DROP KEY `k`, DROP KEY `f2`".to_owned(),
                "DROP KEY `u`, DROP KEY `k`, DROP KEY `f2`".to_owned()
            )
        );
        assert_eq!(deferred.adds(), Vec::<String>::new());
        let deferred = Deferred {
            aside: true,
            ..deferred
        };
        assert_eq!(
            deferred.adds()[0],
            "ADD UNIQUE KEY `u` (`a``b`), ADD KEY `k` (`a``b`,`id`)"
        );
    }

    #[test]
    fn without_a_primary_key_the_first_unique_stays_and_the_counter_keeps_its_key() {
        let deferred = Deferred::from_definition(
            "CREATE TABLE `t` (\n  `n` int NOT NULL AUTO_INCREMENT,\n  `u` int NOT NULL,\n  UNIQUE KEY `u1` (`u`),\n  UNIQUE KEY `u2` (`u`),\n  KEY `n` (`n`),\n  KEY `k` (`u`)\n)",
        );
        assert_eq!(deferred.drop_keys(), "DROP KEY `u2`, DROP KEY `k`");
    }
}
