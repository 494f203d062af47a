//! The allow-matrix: each class of literal into each type of column, as this server takes it from the
//! loader and as it takes it from an INSERT. Same rows, or refused by both.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use pilotfish_engine::conformance::Fixture as _;
use pilotfish_engine::load::{
    Definer, Owner, RowBatch, SessionState, Stage, SwapMode, TargetOptions,
};
use pilotfish_harness::ServerKind;
use tokio_util::sync::CancellationToken;

use super::fixture::MysqlFamily;

/// Types of both servers.
const TYPES: &[&str] = &[
    "TINYINT",
    "TINYINT UNSIGNED",
    "SMALLINT",
    "MEDIUMINT",
    "INT",
    "INT UNSIGNED",
    "INT(8) ZEROFILL",
    "BIGINT",
    "BIGINT UNSIGNED",
    "BOOLEAN",
    "DECIMAL(10,2)",
    "DECIMAL(5,0) UNSIGNED",
    "DECIMAL(65,30)",
    "FLOAT",
    "FLOAT(7,3)",
    "DOUBLE",
    "DOUBLE UNSIGNED",
    "CHAR(5)",
    "VARCHAR(5)",
    "VARCHAR(20) CHARACTER SET latin1",
    "VARCHAR(20) CHARACTER SET ascii",
    "VARCHAR(20) CHARACTER SET utf16",
    "VARCHAR(20) CHARACTER SET gbk",
    "VARCHAR(20) CHARACTER SET utf8mb3",
    "TINYTEXT",
    "TEXT",
    "LONGTEXT",
    "ENUM('2','1','a','','0','é')",
    "SET('1','2','a','b','é')",
    "DATE",
    "DATETIME",
    "DATETIME(3)",
    "TIMESTAMP",
    "TIME",
    "TIME(6)",
    "YEAR",
    "JSON",
    "BINARY(5)",
    "VARBINARY(5)",
    "TINYBLOB",
    "LONGBLOB",
    "BIT(1)",
    "BIT(12)",
    "GEOMETRY",
];
const MARIADB_TYPES: &[&str] = &["UUID", "INET6", "INET4"];
const MYSQL_TYPES: &[&str] = &["VECTOR(2)"];

/// At least one of each class that a dump may hold, and the values at which types differ.
const LITERALS: &[&str] = &[
    "0",
    "1",
    "2",
    "-1",
    "70",
    "127",
    "128",
    "255",
    "256",
    "1900",
    "1970",
    "2155",
    "2156",
    "007",
    "20200102",
    "20200102030405",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "1.5",
    "-0.005",
    "1234567890.125",
    ".5",
    "1.",
    "1e3",
    "1.5E-3",
    "1e30",
    "1e308",
    "TRUE",
    "false",
    "NULL",
    "DEFAULT",
    "''",
    "'0'",
    "'1'",
    "' 1'",
    "'1 '",
    "'1a'",
    "'1.5'",
    "'1e3'",
    "'a'",
    "'A'",
    "\"a\"",
    "'a,b'",
    "'b,a'",
    "'abcde'",
    "'abcdef'",
    "'abc   '",
    "'é'",
    "'🐟'",
    "'a\\\\b'",
    "'a\tb'",
    "'a\nb'",
    "'a\\tb\\nc\\rd'",
    "'a\\0b'",
    "'\\Z'",
    "'\\N'",
    "'NULL'",
    "'\\%\\_'",
    "'\\a\\''",
    "'it''s'",
    "'a' 'b'",
    "'2020-01-02'",
    "'2020-01-02 03:04:05'",
    "'2020-01-02T03:04:05'",
    "'2020-01-02 03:04:05.6789'",
    "'2020-01-02 03:04:05.999999'",
    "'2020-01-02 03:04:05+01:00'",
    "'0000-00-00'",
    "'0000-00-00 00:00:00'",
    "'2020-02-30'",
    "'2020-01-00'",
    "'20-1-2'",
    "'1970-01-01 00:00:01'",
    "'2038-01-20 00:00:00'",
    "'12:34:56'",
    "'-01:02:03.5'",
    "'900:00:00'",
    "'99'",
    "'{\"a\": [1, null, \"é\"]}'",
    "'[1,2]'",
    "'null'",
    "'\"x\"'",
    "'{broken'",
    "0x41",
    "0x0041",
    "0x4",
    "0xC3A9",
    "X'4142'",
    "x''",
    "0x2020",
    "b'1'",
    "b'01000001'",
    "0b1",
    "_utf8mb4'é'",
    "_utf8mb4 'a'",
    "_latin1'a'",
    "_latin1 0xE9",
    "_binary 'a'",
    "_binary 'é\\0'",
    "_binary''",
    "N'a'",
    "1+1",
    "-(-1)",
    "CONCAT('a','b')",
    "DATE'2020-01-02'",
    "TIMESTAMP'2020-01-02 03:04:05'",
    "'123e4567-e89b-12d3-a456-426655440000'",
    "'::1'",
    "'10.0.0.1'",
];

/// What a dump's header sets, and what a plain session has.
const DUMPED: &str = "NO_AUTO_VALUE_ON_ZERO";
const STRICT: &str = "STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO";

/// The same table twice: on the loader's stage, and where plain INSERTs go.
struct Bench {
    stage: Box<dyn Stage>,
    schema: String,
    plain: Conn,
    session: Arc<SessionState>,
    /// Tables so far: one that had to go by INSERT once takes no stream again.
    tables: u32,
    /// Cells that went by LOAD DATA.
    streamed: u32,
}

impl Bench {
    async fn enter(&mut self, charset: &str, sql_mode: &str) {
        for setting in [
            format!("SET NAMES {charset}"),
            format!("SET sql_mode='{sql_mode}'"),
        ] {
            self.plain.query_drop(&setting).await.unwrap();
            self.stage.execute(setting.as_bytes()).await.unwrap();
        }
        self.session = self.stage.session().await.unwrap();
    }

    async fn renew(&mut self, column: &str) -> String {
        self.tables += 1;
        let table = format!("t{}", self.tables);
        let create = format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, c {column}) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
        );
        self.stage
            .create_table(&table, create.as_bytes())
            .await
            .unwrap();
        self.plain.query_drop(create).await.unwrap();
        table
    }

    /// LOAD DATA statements and INSERTs of all sessions so far.
    async fn counters(&mut self) -> (u64, u64) {
        let status: Vec<(String, u64)> = self
            .plain
            .query("SHOW GLOBAL STATUS WHERE variable_name IN ('Com_load', 'Com_insert')")
            .await
            .unwrap();
        let status: BTreeMap<_, _> = status.into_iter().collect();
        (status["Com_load"], status["Com_insert"])
    }

    /// Every literal into one type of column.
    async fn compare(&mut self, column: &str) {
        let mut worker = self.stage.worker().await.unwrap();
        let mut table = self.renew(column).await;
        let mut before = self.counters().await;
        for (id, literal) in LITERALS.iter().enumerate() {
            let tuple = format!("({id},{literal})");
            let loaded = worker.load(&batch(&table, &tuple, &self.session)).await;
            let insert = format!("INSERT INTO {table} VALUES {tuple}");
            let plain = self.plain.query_drop(insert).await;
            assert_eq!(
                loaded.is_ok(),
                plain.is_ok(),
                "{literal} into {column}: {loaded:?} by the loader, {plain:?} by INSERT"
            );
            let after = self.counters().await;
            let (loads, inserts) = (after.0 - before.0, after.1 - before.1);
            before = after;
            match (loads, inserts) {
                (1, 1) => self.streamed += 1,
                (1, _) => {
                    self.same_rows(&table, column).await;
                    table = self.renew(column).await;
                    before = self.counters().await;
                }
                _ => {}
            }
        }
        self.same_rows(&table, column).await;
    }

    async fn same_rows(&mut self, table: &str, column: &str) {
        // HEX of a number is that of its whole part; not everything becomes text.
        let bytes = ["GEOMETRY", "VECTOR"]
            .iter()
            .any(|kind| column.starts_with(kind));
        let value = if bytes { "c" } else { "CONCAT(c, '')" };
        let shown = format!("SELECT id, CONCAT_WS(' ', c IS NULL, HEX({value})) FROM");
        let staged = format!("{shown} `{}`.{table} ORDER BY id", self.schema);
        let staged: Vec<(usize, String)> = self.plain.query(staged).await.unwrap();
        let plain = format!("{shown} {table} ORDER BY id");
        let plain: Vec<(usize, String)> = self.plain.query(plain).await.unwrap();
        for (staged, plain) in std::iter::zip(&staged, &plain) {
            let literal = LITERALS[plain.0];
            assert_eq!(
                staged, plain,
                "{literal} into {column}: by the loader, by INSERT"
            );
        }
        assert_eq!(staged.len(), plain.len(), "{column}");
    }
}

fn batch(table: &str, tuple: &str, session: &Arc<SessionState>) -> RowBatch {
    RowBatch {
        lone: false,
        whole: false,
        line: 0,
        table: table.to_owned(),
        columns: None,
        verb: "INSERT",
        tuples: Bytes::from(tuple.to_owned()),
        tail: None,
        rows: 1,
        ordered: false,
        no_backslash_escapes: false,
        session: Arc::clone(session),
    }
}

async fn every_cell(kind: ServerKind, own_types: &[&str]) {
    let fixture = MysqlFamily::open(kind, true).await;
    let options = TargetOptions {
        database: "app".to_owned(),
        dump_database: None,
        charset: None,
        swap: SwapMode::Auto,
        definer: Definer::Current,
        owner: Owner::Keep,
        no_binlog: false,
        overwrite_modified: false,
        look_only: false,
        cancel: CancellationToken::new(),
    };
    let load = fixture.engine().load().unwrap();
    let mut target = load.target(options).await.unwrap();
    let stage = target.stage().await.unwrap();
    let mut plain = Conn::from_url(&fixture.url()).await.unwrap();
    for sql in ["CREATE DATABASE app_plain", "USE app_plain"] {
        plain.query_drop(sql).await.unwrap();
    }
    let schema: Option<String> = plain
        .query_first(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'pilotfish\\_%app'",
        )
        .await
        .unwrap();
    let mut bench = Bench {
        stage,
        schema: schema.unwrap(),
        plain,
        session: Arc::default(),
        tables: 0,
        streamed: 0,
    };
    let types = || TYPES.iter().chain(own_types);
    bench.enter("utf8mb4", DUMPED).await;
    for column in types() {
        bench.compare(&format!("{column} NULL")).await;
    }
    bench.enter("utf8mb4", STRICT).await;
    for column in types() {
        bench.compare(&format!("{column} NOT NULL")).await;
    }
    bench.enter("latin1", DUMPED).await;
    for column in TYPES.iter().filter(|column| is_text(column)) {
        bench.compare(&format!("{column} NULL")).await;
    }
    // All by INSERT would agree as well, and prove nothing.
    assert!(
        bench.streamed > 2000,
        "only {} cells by LOAD DATA",
        bench.streamed
    );
}

fn is_text(column: &str) -> bool {
    ["CHAR", "TEXT", "ENUM", "SET", "JSON"]
        .iter()
        .any(|word| column.contains(word))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_10_11_takes_every_cell_as_from_an_insert() {
    every_cell(ServerKind::MariaDb1011, MARIADB_TYPES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_11_8_takes_every_cell_as_from_an_insert() {
    every_cell(ServerKind::MariaDb118, MARIADB_TYPES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_9_7_takes_every_cell_as_from_an_insert() {
    every_cell(ServerKind::MySql97, MYSQL_TYPES).await;
}
