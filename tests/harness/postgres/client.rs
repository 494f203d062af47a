//! What a test asks a PostgreSQL by the programs of its own tree, always as the superuser.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Postgres;
use crate::server::{complete, feed, text_of};

impl Postgres {
    /// Runs SQL through psql and returns its rows, columns split by tabs.
    ///
    /// # Panics
    /// When the server refuses.
    #[track_caller]
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql)
            .unwrap_or_else(|error| panic!("{error}\nin: {sql}"))
    }

    /// Like [`Postgres::sql`], with psql's message when the server refuses.
    ///
    /// # Errors
    /// What psql printed on standard error.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        feed(self.client(database), sql.as_bytes())
    }

    /// Runs a file of SQL through psql.
    ///
    /// # Panics
    /// When it cannot be read or the server refuses.
    #[track_caller]
    pub fn sql_file(&self, database: &str, path: &Path) -> String {
        let mut client = self.client(database);
        client.arg("--file").arg(path).stdin(Stdio::null());
        text_of(&client.output().expect("run psql"))
            .unwrap_or_else(|error| panic!("{error}\nin: {}", path.display()))
    }

    /// The stock client, for a test that needs its own arguments or pipes. It stops at the first error.
    #[must_use]
    pub fn client(&self, database: &str) -> Command {
        let mut psql = self.program("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--field-separator=\t", "--set=ON_ERROR_STOP=1"])
            .args(["--dbname", database]);
        psql
    }

    /// Makes a database that belongs to the tools' account.
    ///
    /// # Panics
    /// When the server refuses.
    #[track_caller]
    pub fn create_database(&self, name: &str) {
        let name = name.replace('"', "\"\"");
        self.sql(
            "postgres",
            &format!("CREATE DATABASE \"{name}\" OWNER pilotfish"),
        );
    }

    /// A database as its own pg_dump writes it. `args` come before the database's name.
    ///
    /// # Panics
    /// When the dump fails.
    #[track_caller]
    #[must_use]
    pub fn dump(&self, database: &str, args: &[&str]) -> Vec<u8> {
        complete(self.dumper(database, args).stdout(Stdio::piped()))
    }

    /// Like [`Postgres::dump`], into a file.
    ///
    /// # Panics
    /// When the dump fails.
    #[track_caller]
    pub fn dump_to(&self, database: &str, args: &[&str], path: &Path) {
        let file = File::create(path).expect("make the dump file");
        complete(self.dumper(database, args).stdout(file));
    }

    /// Runs its own pg_restore over an archive.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn restore(&self, database: &str, args: &[&str], archive: &Path) {
        let mut restore = self.program("pg_restore");
        restore.args(["--exit-on-error", "--dbname", database]);
        restore.args(args).arg(archive).stdin(Stdio::null());
        complete(restore.stdout(Stdio::piped()));
    }

    /// What its own pg_restore writes of an archive, as SQL text.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    #[must_use]
    pub fn restored_text(&self, archive: &Path) -> Vec<u8> {
        let mut restore = self.kind().program("pg_restore");
        restore.arg("--file=-").arg(archive).stdin(Stdio::null());
        complete(restore.stdout(Stdio::piped()))
    }

    fn dumper(&self, database: &str, args: &[&str]) -> Command {
        let mut dumper = self.program("pg_dump");
        dumper.args(args).args(["--dbname", database]);
        dumper.stdin(Stdio::null());
        dumper
    }

    /// A client program on the server's socket.
    fn program(&self, name: &str) -> Command {
        let mut program = self.kind().program(name);
        program
            .arg("--username=postgres")
            .arg(format!("--port={}", self.port()))
            .arg(format!("--host={}", self.socket_folder().display()));
        program
    }
}
