//! What MariaDB and MySQL bring to the conformance suites.

use std::any::Any;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;

use pilotfish_engine::conformance::{Fixture, Row};
use pilotfish_engine::load::ObjectKind;
use pilotfish_engine::{Engine, open};
use pilotfish_harness::{PATIENCE, Server, ServerKind, World, eventually};

use super::settings;

/// A fresh server with the documented grants.
pub(crate) struct MysqlFamily {
    engine: Box<dyn Engine>,
    server: Server,
    _world: World,
}

impl MysqlFamily {
    pub(crate) async fn start(kind: ServerKind, local_infile: bool) -> Arc<dyn Fixture> {
        Arc::new(Self::open(kind, local_infile).await)
    }

    pub(crate) async fn open(kind: ServerKind, local_infile: bool) -> Self {
        let world = World::new();
        let local_infile = format!("--local-infile={}", u8::from(local_infile));
        let server_flags = [
            local_infile.as_str(),
            // With MySQL's binary log, triggers need it.
            "--log-bin-trust-function-creators=1",
            // A machine that builds beside the tests greets slowly.
            "--connect-timeout=60",
        ];
        let server = Server::start(kind, &world, &server_flags);
        let flags = ["--url", &server.url(), "--connect-timeout=60s"];
        let engine = open(&settings(&flags)).await.unwrap();
        Self {
            engine,
            server,
            _world: world,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    fn list(&self, sql: &str) -> BTreeSet<String> {
        self.server.sql(sql).lines().map(str::to_owned).collect()
    }
}

impl Fixture for MysqlFamily {
    fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    fn ask(&self, database: Option<&str>, sql: &str) -> Result<String, String> {
        match database {
            Some(database) => self.server.try_sql(&format!("USE {database}; {sql}")),
            None => self.server.try_sql(sql),
        }
    }

    fn rows(&self, database: &str, table: &str) -> Result<Vec<Row>, String> {
        let sql = format!("SELECT id, HEX(word) FROM {database}.{table} ORDER BY id");
        let lines = self.server.try_sql(&sql)?;
        Ok(lines.lines().map(row).collect())
    }

    fn epochs(&self, database: &str, table: &str) -> Vec<i64> {
        let sql = format!("SELECT FLOOR(UNIX_TIMESTAMP(at)) FROM {database}.{table} ORDER BY id");
        let lines = self.server.sql(&sql);
        lines.lines().map(|line| line.parse().unwrap()).collect()
    }

    fn databases(&self) -> BTreeSet<String> {
        self.list("SHOW DATABASES")
    }

    fn tables(&self, database: &str) -> BTreeSet<String> {
        self.list(&format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = '{database}'"
        ))
    }

    fn keys(&self, database: &str, table: &str) -> BTreeSet<String> {
        self.list(&format!(
            "SELECT CONCAT_WS(' ', index_name, non_unique, GROUP_CONCAT(column_name ORDER BY seq_in_index)) \
             FROM information_schema.statistics WHERE table_schema = '{database}' AND table_name = '{table}' \
             GROUP BY index_name, non_unique; \
             SELECT CONCAT_WS(' ', constraint_name, referenced_table_name, update_rule, delete_rule, \
             IF(unique_constraint_schema = '{database}', 'here', unique_constraint_schema)) \
             FROM information_schema.referential_constraints \
             WHERE constraint_schema = '{database}' AND table_name = '{table}'"
        ))
    }

    fn hold(&self, database: &str, table: &str) -> Box<dyn Any> {
        let mut client = self.server.client();
        let mut client = client
            .args(["--unbuffered", "--skip-column-names", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ask = client.stdin.take().unwrap();
        let answer = client.stdout.take().unwrap();
        writeln!(
            ask,
            "START TRANSACTION; SELECT COUNT(*) FROM {database}.{table};"
        )
        .unwrap();
        // Its answer says that the transaction has the table.
        let mut line = String::new();
        BufReader::new(answer).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the reader could not read {table}");
        Box::new(Held::new(client, ask))
    }

    fn end_loader(&self, database: &str) {
        let holder = || {
            let id = self
                .server
                .sql(&format!("SELECT IS_USED_LOCK('pilotfish.{database}')"));
            id.trim().parse::<u64>().ok()
        };
        self.server.sql(&format!("KILL {}", holder().unwrap()));
        eventually("the lock is gone", PATIENCE, || {
            holder().is_none().then_some(())
        });
    }

    fn read_only(&self, on: bool) {
        self.server
            .sql(&format!("SET GLOBAL read_only = {}", u8::from(on)));
    }

    fn restart(&self) {
        self.server.restart();
    }

    fn table(&self, name: &str) -> String {
        format!(
            "CREATE TABLE {name} (id INT PRIMARY KEY, word VARCHAR(20), UNIQUE KEY word (word), \
             KEY both_ways (word, id)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
        )
    }

    fn child(&self, name: &str, parent: &str) -> String {
        format!(
            "CREATE TABLE {name} (id INT PRIMARY KEY, word VARCHAR(20), KEY word (word), \
             KEY both_ways (word, id), CONSTRAINT {name}_word FOREIGN KEY (word) REFERENCES {parent} (word)) \
             ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
        )
    }

    fn moments(&self, name: &str) -> String {
        format!("CREATE TABLE {name} (id INT PRIMARY KEY, at TIMESTAMP NULL)")
    }

    fn tuples(&self, rows: &[Row]) -> String {
        let tuple = |(id, word): &Row| match word {
            None => format!("({id},NULL)"),
            Some(word) => format!("({id},'{}')", escape(word)),
        };
        rows.iter().map(tuple).collect::<Vec<_>>().join(",")
    }

    fn odd_tuples(&self) -> &'static [&'static str] {
        &[
            "(1,'it''s')",
            r#"(2,"say ""hi"", 'you'")"#,
            r"(3,'\\ \% \_ \n \t \0 \Z \x')",
            "(4,'a\tb\nc')",
            "(5,NULL)",
            "(-6,_utf8mb4'é')",
            "(7,0x414243)",
            "(8,X'6869')",
            "(9,'')",
            "(10,'☃ 🐟')",
            "(0x0B,'a hex number')",
            "(12,TRUE)",
            "(13.4,'rounded')",
            "('14','a quoted number')",
            "(15,15.50)",
            "(16,1.6e1)",
            "(1.7e1,'a float')",
            "(b'10010','bits')",
            "(+19,'plus')",
            "(20,N'national')",
            "(21,'two' ' parts')",
            "(20 + 2,LOWER('COMPUTED'))",
            "( 23 , /* a comment */ 'spaces ' )",
            "(0,'zero')",
            r"(24,'\\N')",
            r"(25,'\N')",
        ]
    }

    fn view(&self, name: &str, table: &str) -> String {
        format!("CREATE VIEW {name} AS SELECT id, word FROM {table}")
    }

    fn trigger(&self, name: &str, table: &str) -> Vec<(ObjectKind, String, String)> {
        let sql = format!(
            "CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW SET NEW.word = UPPER(NEW.word)"
        );
        vec![(ObjectKind::Trigger, name.to_owned(), sql)]
    }

    fn time_zone(&self, hours: i8) -> String {
        let sign = if hours < 0 { '-' } else { '+' };
        format!("SET TIME_ZONE='{sign}{:02}:00'", hours.unsigned_abs())
    }

    fn strict(&self) -> Option<&'static str> {
        Some("SET SQL_MODE='STRICT_ALL_TABLES'")
    }

    fn reach(&self, database: &str, table: &str) -> String {
        format!("DELETE FROM {database}.{table}")
    }

    fn upsert(&self) -> &'static str {
        "ON DUPLICATE KEY UPDATE word = VALUES(word)"
    }

    fn verbs(&self) -> &'static [&'static str] {
        &["INSERT IGNORE", "REPLACE"]
    }
}

/// A client in the middle of a transaction, until it is dropped.
pub(crate) struct Held {
    client: Child,
    ask: Option<ChildStdin>,
}

impl Held {
    pub(crate) fn new(client: Child, ask: ChildStdin) -> Self {
        Self {
            client,
            ask: Some(ask),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ask.take();
        self.client.wait().unwrap();
    }
}

/// As the stock dump programs write a string.
fn escape(word: &str) -> String {
    let mut text = String::new();
    for char in word.chars() {
        match char {
            '\'' | '"' | '\\' => text.extend(['\\', char]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\u{1a}' => text.push_str("\\Z"),
            '\0' => text.push_str("\\0"),
            char => text.push(char),
        }
    }
    text
}

/// `id`, TAB, the word's bytes in hex or `NULL`.
pub(crate) fn row(line: &str) -> Row {
    let (id, hex) = line.split_once('\t').unwrap();
    let word = (hex != "NULL").then(|| {
        let bytes = hex.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).unwrap();
            u8::from_str_radix(pair, 16).unwrap()
        });
        String::from_utf8(bytes.collect()).unwrap()
    });
    (id.parse().unwrap(), word)
}
