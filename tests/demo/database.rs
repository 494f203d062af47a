//! The server of the demonstration, whatever its kind.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use pilotfish_harness::{Postgres, PostgresKind, Server, ServerKind, World, tpch};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Mariadb,
    Mysql,
    Postgres,
}

/// A throwaway server.
#[derive(Debug)]
pub(crate) enum Database {
    MysqlFamily(Server),
    Postgres(Postgres),
}

impl Database {
    pub(crate) fn start(engine: Engine, world: &World) -> Self {
        let kind = match engine {
            Engine::Mariadb => ServerKind::MariaDb1011,
            Engine::Mysql => ServerKind::MySql97,
            Engine::Postgres => {
                let settings = ["shared_buffers=256MB", "max_wal_size=2GB"];
                let server = Postgres::start(PostgresKind::Postgres15, world, &settings);
                return Self::Postgres(server);
            }
        };
        Self::MysqlFamily(Server::start(kind, world, &["--local-infile=ON"]))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::MysqlFamily(server) => server.kind().name(),
            Self::Postgres(server) => server.kind().name(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::MysqlFamily(server) => server.port(),
            Self::Postgres(server) => server.port(),
        }
    }

    /// For the tools, which log in by the account that they need and no more.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::MysqlFamily(server) => server.url(),
            Self::Postgres(server) => server.url(),
        }
    }

    /// Runs SQL in the database `app`.
    pub(crate) fn sql(&self, sql: &str) -> String {
        match self {
            Self::MysqlFamily(server) => server.sql(&format!("USE app; {sql}")),
            Self::Postgres(server) => server.sql("app", sql),
        }
    }

    /// Makes the account of the applications: it reads, nothing else.
    pub(crate) fn make_reader(&self) {
        match self {
            Self::MysqlFamily(server) => server.sql(
                "CREATE USER 'reader'@'127.0.0.1' IDENTIFIED BY 'reader'; \
                 GRANT SELECT ON app.* TO 'reader'@'127.0.0.1'",
            ),
            // Of each release the tables are new ones, which nobody granted anybody yet.
            Self::Postgres(server) => server.sql(
                "app",
                "CREATE ROLE reader LOGIN PASSWORD 'reader'; \
                 ALTER DEFAULT PRIVILEGES FOR ROLE pilotfish GRANT SELECT ON TABLES TO reader",
            ),
        };
    }

    /// The TPC-H tables changed by some SQL, as the stock dump program writes them.
    pub(crate) fn tpch(&self, scale: &str, amendment: &str, world: &World) -> PathBuf {
        match self {
            Self::MysqlFamily(server) => tpch::amended(server.kind(), scale, amendment),
            Self::Postgres(server) => {
                server.create_database("draft");
                server.sql_file("draft", &tpch::for_postgres(server.kind(), scale).plain());
                server.sql("draft", &format!("SET ROLE pilotfish; {amendment}"));
                let path = world.join("v1.sql");
                server.dump_to("draft", &[], &path);
                path
            }
        }
    }

    /// The stock client fills `app` with a dump.
    pub(crate) fn fill(&self, dump: &Path) {
        match self {
            Self::MysqlFamily(server) => {
                server.sql("CREATE DATABASE app");
                server.sql_file("app", dump);
            }
            Self::Postgres(server) => {
                server.sql_file("app", dump);
            }
        }
    }

    /// Changes `app` as its owner.
    pub(crate) fn change(&self, sql: &str) {
        match self {
            Self::MysqlFamily(_) => self.sql(sql),
            Self::Postgres(_) => self.sql(&format!("SET ROLE pilotfish; {sql}")),
        };
    }

    /// A dump of `app` by the stock program.
    pub(crate) fn dump_to(&self, path: &Path) {
        match self {
            Self::MysqlFamily(server) if server.kind().is_mariadb() => {
                server.dump_to("app", &[], path);
            }
            Self::MysqlFamily(server) => server.dump_to("app", &["--set-gtid-purged=OFF"], path),
            Self::Postgres(server) => server.dump_to("app", &[], path),
        }
    }

    /// Tables of `app`.
    pub(crate) fn tables(&self) -> usize {
        let list = match self {
            Self::MysqlFamily(_) => "SHOW TABLES",
            Self::Postgres(_) => "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
        };
        self.sql(list).lines().count()
    }

    /// Rows of a live table.
    pub(crate) fn count(&self, table: &str) -> u64 {
        let answer = self.sql(&format!("SELECT COUNT(*) FROM {table}"));
        answer.trim().parse().expect("a count is a number")
    }

    /// How a person gets in.
    pub(crate) fn client(&self) -> String {
        let port = self.port();
        match self {
            Self::MysqlFamily(_) => format!(
                "mariadb or mysql --protocol=TCP --port={port} --user=reader --password=reader app"
            ),
            Self::Postgres(_) => format!("psql postgres://reader:reader@127.0.0.1:{port}/app"),
        }
    }
}
