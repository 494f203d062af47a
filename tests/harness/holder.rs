//! Somebody who holds tables by an open transaction.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Stdio};

use crate::eventually::{PATIENCE, eventually};
use crate::server::Server;

/// A client in the middle of a transaction; it ends with the pipe.
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
        let mut client = server
            .client()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("start a client");
        let mut ask = client.stdin.take().expect("a pipe");
        writeln!(ask, "START TRANSACTION; {sql};").expect("ask");
        let open = || {
            let open = server.sql("SELECT COUNT(*) FROM information_schema.innodb_trx");
            open.trim().parse::<u32>().ok().filter(|open| *open > 0)
        };
        eventually("the transaction is open", PATIENCE, open);
        Self {
            client,
            ask: Some(ask),
        }
    }

    /// Commits it.
    ///
    /// # Panics
    /// When the client is gone.
    pub fn commit(mut self) {
        let mut ask = self.ask.take().expect("a pipe");
        writeln!(ask, "COMMIT;").expect("ask");
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
