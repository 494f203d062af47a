//! Black-box tests of `pilotfish-exporter`: real servers, and the exporters whose place it takes.
#![allow(
    clippy::expect_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod beside;
mod differential;
mod drop_in;
mod mixins;
mod named;
mod panels;
mod replication;
mod scene;

use pilotfish_harness::{
    Exposition, PATIENCE, Port, Postgres, Running, Server, eventually, http, tool,
};

/// An account with the rights that the manual of mysqld_exporter asks for, and its password.
pub(crate) const ACCOUNT: (&str, &str) = ("exporter", "secret");

/// The exporter beside a server.
pub(crate) struct Ours {
    _process: Running,
    port: Port,
}

impl Ours {
    pub(crate) fn start(url: &str, args: &[&str]) -> Self {
        let port = Port::free();
        let process = tool!("exporter")
            .args(["--url", url, "--listen", &format!("127.0.0.1:{port}")])
            .args(args)
            .spawn();
        let ours = Self {
            _process: process,
            port,
        };
        eventually("the exporter", PATIENCE, || {
            http::get(&ours.url("/livez")).map(drop)
        });
        ours
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub(crate) fn scrape(&self) -> Exposition {
        self.scrape_with(&[])
    }

    pub(crate) fn scrape_with(&self, headers: &[(&str, &str)]) -> Exposition {
        let answer = http::request("GET", &self.url("/metrics"), headers, "");
        let answer = answer.expect("the exporter answers");
        assert_eq!(answer.status, 200, "{}", answer.body);
        Exposition::parse(&answer.body)
    }
}

/// Makes the account of a MariaDB or MySQL server, and the URL for it.
pub(crate) fn account(server: &Server) -> String {
    let (user, password) = ACCOUNT;
    let monitor = match server.kind().is_mariadb() {
        true => "SLAVE MONITOR, ",
        false => "",
    };
    server.sql(&format!(
        "CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY '{password}'; \
         GRANT {monitor}PROCESS, REPLICATION CLIENT, SELECT ON *.* TO '{user}'@'127.0.0.1'"
    ));
    format!("mysql://{user}:{password}@127.0.0.1:{}", server.port())
}

/// Makes the role of a PostgreSQL server, and the URL for it.
pub(crate) fn role(server: &Postgres) -> String {
    let (user, password) = ACCOUNT;
    server.sql(
        "postgres",
        &format!("CREATE ROLE {user} LOGIN PASSWORD '{password}'; GRANT pg_monitor TO {user}"),
    );
    role_url(server)
}

pub(crate) fn role_url(server: &Postgres) -> String {
    let (user, password) = ACCOUNT;
    format!(
        "postgres://{user}:{password}@127.0.0.1:{}/app",
        server.port()
    )
}
