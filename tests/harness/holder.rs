//! Somebody who holds tables, by an open transaction or a lock.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::eventually::{PATIENCE, eventually};
use crate::postgres::Postgres;
use crate::server::Server;

/// A client in the middle of its work; it ends with the pipe.
#[derive(Debug)]
pub struct Holder {
    client: Child,
    ask: Option<ChildStdin>,
}

impl Holder {
    /// Begins a transaction that asks `sql`, and waits until it is open.
    ///
    /// # Panics
    /// When the client cannot be started or does not get there.
    #[must_use]
    pub fn begin(server: &Server, sql: &str) -> Self {
        let holder = Self::says(server.client(), &format!("START TRANSACTION; {sql};"));
        let open = || {
            let open = server.sql("SELECT COUNT(*) FROM information_schema.innodb_trx");
            open.trim().parse::<u32>().ok().filter(|open| *open > 0)
        };
        eventually("the transaction is open", PATIENCE, open);
        holder
    }

    /// Takes `database.table` from readers and writers until it is dropped: the server answers everything
    /// else, and stalls there.
    ///
    /// # Panics
    /// When the client cannot be started or does not get there.
    #[must_use]
    pub fn lock(server: &Server, database: &str, table: &str) -> Self {
        let holder = Self::says(
            server.client(),
            &format!("LOCK TABLES {database}.{table} WRITE;"),
        );
        let question =
            format!("SHOW OPEN TABLES FROM {database} WHERE `Table` = '{table}' AND In_use > 0");
        eventually("the table is locked", PATIENCE, || {
            (!server.sql(&question).is_empty()).then_some(())
        });
        holder
    }

    /// As [`Holder::begin`], in a database of a PostgreSQL.
    ///
    /// # Panics
    /// When the client cannot be started or does not get there.
    #[must_use]
    pub fn begin_on(server: &Postgres, database: &str, sql: &str) -> Self {
        let held = || {
            let open = server.sql(
                "postgres",
                "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'",
            );
            open.trim().parse::<u32>().expect("a number")
        };
        let before = held();
        let holder = Self::says(server.client(database), &format!("BEGIN; {sql};"));
        eventually("the transaction is open", PATIENCE, || {
            (held() > before).then_some(())
        });
        holder
    }

    fn says(mut client: Command, sql: &str) -> Self {
        let mut client = client
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("start a client");
        let mut ask = client.stdin.take().expect("a pipe");
        writeln!(ask, "{sql}").expect("ask");
        Self {
            client,
            ask: Some(ask),
        }
    }

    /// Commits it.
    ///
    /// # Panics
    /// When the client is gone.
    pub fn commit(self) {
        self.commit_after("");
    }

    /// Does something more, and commits all of it.
    ///
    /// # Panics
    /// When the client is gone.
    pub fn commit_after(mut self, sql: &str) {
        let mut ask = self.ask.take().expect("a pipe");
        writeln!(ask, "{sql}; COMMIT;").expect("ask");
        drop(ask);
        self.client.wait().expect("end the client");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.ask.take());
        // It may be gone already; nothing is left to report to.
        let _ = self.client.wait();
    }
}
