//! A reader's connection, with the one question that it asks again and again.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tokio_postgres::{Client, NoTls, Statement};

use crate::database::Database;

/// One answer out of two tables that both name their release.
const QUERY: &str = "SELECT (SELECT number FROM edition), \
    MIN(n_comment), MAX(n_comment), COUNT(*) FROM nation";

/// Edition, least and greatest comment, rows.
pub(crate) type Answer = (i64, String, String, u64);

/// Where a reader connects to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    port: u16,
    postgres: bool,
}

pub(crate) enum Connection {
    Mysql(Conn),
    /// Prepared once, as pools do.
    Postgres(Client, Statement),
}

impl Address {
    pub(crate) fn of(server: &Database) -> Self {
        Self {
            port: server.port(),
            postgres: matches!(server, Database::Postgres(_)),
        }
    }

    pub(crate) async fn connect(self) -> Result<Connection, String> {
        let connected = match self.postgres {
            true => postgres(self.port).await.map_err(|error| said(&error)),
            false => mysql(self.port).await.map_err(|error| error.to_string()),
        };
        connected.map_err(|error| format!("connect: {error}"))
    }
}

impl Connection {
    pub(crate) async fn ask(&mut self) -> Result<Answer, String> {
        match self {
            Self::Mysql(connection) => {
                let row = connection.query_first(QUERY).await;
                let row = row.map_err(|error| error.to_string())?;
                row.ok_or_else(|| "no answer".to_owned())
            }
            Self::Postgres(client, question) => {
                let row = client.query_one(question, &[]).await;
                let row = row.map_err(|error| said(&error))?;
                let rows: i64 = row.get(3);
                let edition: i32 = row.get(0);
                Ok((edition.into(), row.get(1), row.get(2), rows.unsigned_abs()))
            }
        }
    }
}

async fn mysql(port: u16) -> Result<Connection, mysql_async::Error> {
    let options = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some("reader"))
        .pass(Some("reader"))
        .db_name(Some("app"))
        .prefer_socket(false);
    Ok(Connection::Mysql(Conn::new(options).await?))
}

async fn postgres(port: u16) -> Result<Connection, tokio_postgres::Error> {
    let address = format!("postgres://reader:reader@127.0.0.1:{port}/app");
    let (client, connection) = tokio_postgres::connect(&address, NoTls).await?;
    // Its error is the client's, too.
    tokio::spawn(async move { drop(connection.await) });
    let question = client.prepare(QUERY).await?;
    Ok(Connection::Postgres(client, question))
}

/// The driver's own words leave out the server's.
fn said(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), ToString::to_string)
}
