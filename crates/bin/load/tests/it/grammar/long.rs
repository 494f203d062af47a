//! INSERTs of several MiB whose rows the server numbers: it makes a difference where they are cut.

use pilotfish_harness::ServerKind;

use super::fixture::{Case, Outcome};
use super::{Pair, Rows};

#[test]
fn a_long_insert_gets_the_clients_numbers_on_mariadb() {
    compare(ServerKind::MariaDb1011);
}

#[test]
fn a_long_insert_gets_the_clients_numbers_on_mysql() {
    compare(ServerKind::MySql97);
}

fn compare(kind: ServerKind) {
    let pair = Pair::start(kind);
    for (name, text) in cases(kind) {
        let case = Case {
            name: name.to_owned(),
            outcome: Outcome::Same,
            args: Vec::new(),
            names_its_database: false,
            gives: Vec::new(),
            dump: text.into_bytes(),
        };
        let taken = pair.by_client(&case);
        let judged = pair.compare(&case, &taken, Rows::LoadData);
        assert_eq!(judged, Ok(()), "{name}");
    }
}

/// Rows for 3 MiB, more than travel together.
const ROWS: usize = 9_000;

fn tuples(row: impl Fn(usize) -> String) -> String {
    let rows: Vec<String> = (1..=ROWS).map(row).collect();
    rows.join(",\n")
}

fn cases(kind: ServerKind) -> Vec<(&'static str, String)> {
    let text = "x".repeat(330);
    let number = |row: usize| match row % 1000 {
        0 => (row * 10).to_string(),
        _ => "NULL".to_owned(),
    };
    let mixed = tuples(|row| format!("({},'{text}')", number(row)));
    let unique = tuples(|row| format!("({},'{text}')", if row % 7 == 0 { row - 1 } else { row }));
    let unnumbered = tuples(|_| format!("(NULL,'{text}')"));
    let a = "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(400));";
    let u = "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, u INT UNIQUE, s VARCHAR(400));";
    let after = "INSERT INTO a (s) VALUES ('after');";
    let mut cases = vec![
        (
            "some rows are numbered",
            format!("{a}\nINSERT INTO a VALUES {mixed};\n{after}\n"),
        ),
        (
            "duplicates are updated",
            format!(
                "{u}\nINSERT INTO a (u,s) VALUES {unique} ON DUPLICATE KEY UPDATE s = 'again';\n{after}\n"
            ),
        ),
        (
            "duplicates are ignored",
            format!("{u}\nINSERT IGNORE INTO a (u,s) VALUES {unique};\n{after}\n"),
        ),
        (
            "a column before it is gone",
            format!(
                "CREATE TABLE a (x INT, id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(400));\n\
                 ALTER TABLE a DROP COLUMN x;\nINSERT INTO a VALUES {unnumbered};\n{after}\n"
            ),
        ),
    ];
    if kind.is_mariadb() {
        let drawn = tuples(|row| format!("(DEFAULT,{row},'{text}')"));
        cases.push((
            "DEFAULT draws from a sequence",
            format!(
                "CREATE SEQUENCE q;\nCREATE TABLE a (id INT DEFAULT NEXTVAL(q) PRIMARY KEY, v INT, s VARCHAR(400));\n\
                 INSERT INTO a VALUES {drawn};\n"
            ),
        ));
    }
    cases
}
