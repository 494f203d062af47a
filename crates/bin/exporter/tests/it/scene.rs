//! Servers that tests share: a replica of MariaDB or MySQL that follows two, a PostgreSQL with a certificate.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use pilotfish_harness::{PATIENCE, Server, ServerKind, World, certificate_files, eventually};

use super::account;

/// It, and those that it follows: `one` and `two`.
pub(crate) struct Replica {
    pub(crate) sources: [Server; 2],
    pub(crate) source_url: String,
    pub(crate) replica: Server,
    pub(crate) url: String,
}

impl Replica {
    /// Waits until both channels run.
    pub(crate) fn of_two(world: &World, kind: ServerKind) -> Self {
        let sources = [11, 12].map(|id| start(world, kind, id));
        let replica = start(world, kind, 13);
        let source_url = account(&sources[0]);
        let url = account(&replica);
        let mut follow = String::new();
        for (source, name) in sources.iter().zip(["one", "two"]) {
            source.sql(
                "CREATE USER 'replica'@'%' IDENTIFIED BY 'secret'; GRANT REPLICATION SLAVE ON *.* TO 'replica'@'%'",
            );
            let port = source.port();
            let begin = match kind.is_mariadb() {
                true => format!(
                    "CHANGE MASTER '{name}' TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='replica', \
                     MASTER_PASSWORD='secret', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=no; START SLAVE '{name}';"
                ),
                false => format!(
                    "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='replica', \
                     SOURCE_PASSWORD='secret', SOURCE_CONNECT_RETRY=1, GET_SOURCE_PUBLIC_KEY=1 FOR CHANNEL '{name}'; \
                     START REPLICA FOR CHANNEL '{name}';"
                ),
            };
            let _ = write!(follow, "{begin}");
        }
        replica.sql(&follow);
        let scene = Self {
            sources,
            source_url,
            replica,
            url,
        };
        scene.sources[0].sql("CREATE DATABASE app; CREATE TABLE app.t (id INT PRIMARY KEY)");
        eventually("the replica has what its sources have", PATIENCE, || {
            let there = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'app'";
            (scene.replica.sql(there).trim() == "1").then_some(())
        });
        scene
    }

    /// Stops what applies changes of the first source, by a row that is there already.
    pub(crate) fn break_one(&self) {
        self.replica.sql("INSERT INTO app.t VALUES (1)");
        self.sources[0].sql("INSERT INTO app.t VALUES (1)");
        let asked = match self.replica.kind().is_mariadb() {
            true => "SHOW ALL SLAVES STATUS",
            false => "SHOW REPLICA STATUS",
        };
        eventually("the first channel is broken", PATIENCE, || {
            self.replica.sql(asked).contains("1062").then_some(())
        });
    }
}

/// Settings of a PostgreSQL that shows a certificate.
pub(crate) fn with_certificate(world: &World) -> [String; 3] {
    let [_, certificate, key] = certificate_files(world);
    // As the server demands it of a key.
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("hide the key");
    [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", certificate.display()),
        format!("ssl_key_file={}", key.display()),
    ]
}

/// Only what the scene is about travels.
fn options(id: u32) -> [String; 3] {
    [
        "--log-bin".to_owned(),
        format!("--server-id={id}"),
        "--replicate-wild-do-table=app.%".to_owned(),
    ]
}

fn start(world: &World, kind: ServerKind, id: u32) -> Server {
    let options = options(id);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    Server::start(kind, world, &options)
}
