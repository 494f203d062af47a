//! What the stock client and server make of a dump, and what `load` makes of it: the same, or `load`
//! says why not.
//!
//! The client gets each fixture as the official images' entrypoints give it; see [`fixture`] for the
//! fixtures' format.

mod again;
mod fixture;
mod long;

use std::fs::File;

use pilotfish_harness::{Finished, Server, ServerKind, World};

use crate::{checksums, load};
use fixture::{Case, Outcome};

/// Nobody pulls the plug here: the many small statements need not wait for a disk.
const QUICK: &[&str] = &[
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
];

/// How `load` brings rows.
#[derive(Debug, Clone, Copy)]
enum Rows {
    LoadData,
    Insert,
}

/// Two servers of a kind, one for the client, one for `load`.
struct Pair {
    world: World,
    client: Server,
    load: Server,
}

#[test]
fn mariadb_10_11_makes_of_a_dump_what_the_client_makes() {
    compare_all(ServerKind::MariaDb1011, &[Rows::LoadData, Rows::Insert]);
}

#[test]
fn mariadb_11_8_makes_of_a_dump_what_the_client_makes() {
    compare_all(ServerKind::MariaDb118, &[Rows::LoadData]);
}

#[test]
fn mysql_9_7_makes_of_a_dump_what_the_client_makes() {
    compare_all(ServerKind::MySql97, &[Rows::LoadData, Rows::Insert]);
}

fn compare_all(kind: ServerKind, ways: &[Rows]) {
    let pair = Pair::start(kind);
    for server in [&pair.client, &pair.load] {
        server.sql("CREATE USER 'dumper'@'localhost'; GRANT ALL ON app.* TO 'dumper'@'localhost'");
    }
    let mut complaints = Vec::new();
    for case in fixture::all(kind) {
        let taken = pair.by_client(&case);
        // Only rows know how they travel.
        let rows = ["07", "08", "09"]
            .iter()
            .any(|item| case.name.starts_with(item));
        let judged: Vec<_> = ways
            .iter()
            .filter(|way| rows || matches!(way, Rows::LoadData))
            .filter_map(|way| Some((way, pair.compare(&case, &taken, *way).err()?)))
            .collect();
        match judged.as_slice() {
            [(_, one), (_, other)] if one == other => {
                complaints.push(format!("{}: {one}", case.name));
            }
            some => complaints.extend(
                some.iter()
                    .map(|(way, what)| format!("{} by {way:?}: {what}", case.name)),
            ),
        }
    }
    assert!(
        complaints.is_empty(),
        "{} of {}:\n\n{}",
        complaints.len(),
        kind.name(),
        complaints.join("\n\n")
    );
}

/// What stands in a database.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    dump: Vec<u8>,
    checksums: String,
}

impl Pair {
    fn start(kind: ServerKind) -> Self {
        let world = World::new();
        Self {
            client: Server::start(kind, &world, QUICK),
            load: Server::start(kind, &world, QUICK),
            world,
        }
    }

    /// What the client made of a dump, or what it complained about.
    fn by_client(&self, case: &Case) -> Result<Content, String> {
        let server = &self.client;
        clear(server);
        let mut client = server.client();
        if !case.names_its_database {
            server.sql("CREATE DATABASE app");
            client.arg("--database=app");
        }
        if !server.kind().is_mariadb() {
            client.arg("--comments");
        }
        let path = self.world.write("dump.sql", &case.dump);
        let output = client
            .current_dir(self.world.path())
            .stdin(File::open(path).expect("open the dump"))
            .output()
            .expect("run the client");
        if output.status.success() {
            Ok(content(server))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    fn compare(
        &self,
        case: &Case,
        client: &Result<Content, String>,
        way: Rows,
    ) -> Result<(), String> {
        let server = &self.load;
        clear(server);
        server.sql(match way {
            Rows::LoadData => "SET GLOBAL local_infile=1",
            Rows::Insert => "SET GLOBAL local_infile=0",
        });
        let path = self.world.write("dump.sql", &case.dump);
        let mut tool = load(server).arg(&path).arg("--threads=4");
        if !case.args.iter().any(|arg| arg.starts_with("--definer")) {
            tool = tool.arg("--definer=keep");
        }
        if !case.names_its_database {
            server.sql("CREATE DATABASE app");
            tool = tool.arg("--into=app");
        }
        let done = tool.args(&case.args).run();
        self.judge(case, client, &done)?;
        for (sql, rows) in &case.gives {
            let found = server.try_sql(&format!("USE app; {sql}"))?;
            let found = found.trim_end().replace('\n', " / ");
            if found != *rows {
                return Err(format!("{sql}\n  gives {found}\n  not   {rows}"));
            }
        }
        Ok(())
    }

    fn judge(
        &self,
        case: &Case,
        client: &Result<Content, String>,
        done: &Finished,
    ) -> Result<(), String> {
        let refused = |text: &str| {
            if done.code != Some(65) || !done.stderr.contains(text) {
                return Err(format!(
                    "not refused with `{text}`:\n  {}",
                    last_words(done)
                ));
            }
            left_alone(&self.load)
        };
        let loaded = || match done.code {
            Some(0) => Ok(content(&self.load)),
            _ => Err(format!("load failed:\n  {}", last_words(done))),
        };
        match (&case.outcome, client) {
            (Outcome::Same | Outcome::Differs | Outcome::Refused(_), Err(error)) => Err(format!(
                "the client failed: {error}\n  load: {}",
                last_words(done)
            )),
            (Outcome::Same, Ok(client)) => same(client, &loaded()?),
            (Outcome::Differs, Ok(client)) => match same(client, &loaded()?) {
                Ok(()) => Err("it does not differ".to_owned()),
                Err(_) => Ok(()),
            },
            (Outcome::OnlyLoad, Err(_)) => loaded().map(drop),
            (Outcome::Refused(text), Ok(_)) | (Outcome::BothRefuse(text), Err(_)) => refused(text),
            (Outcome::LoadRefuses(text), _) => refused(text),
            (Outcome::BothRefuse(_) | Outcome::OnlyLoad, Ok(_)) => {
                Err(format!("the client took it\n  load: {}", last_words(done)))
            }
        }
    }
}

/// How `load` ended, on one line.
fn last_words(done: &Finished) -> String {
    let line = done
        .stderr
        .trim_end()
        .lines()
        .next_back()
        .unwrap_or_default();
    let report: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let message = report["error"].as_str().unwrap_or(line);
    let code = done.code.unwrap_or(-1);
    format!("exit code {code}: {}", &message[..message.len().min(400)])
}

/// As if no dump had ever been here.
fn clear(server: &Server) {
    let ours = "SELECT CONCAT('DROP DATABASE `', schema_name, '`;') FROM information_schema.schemata \
                WHERE schema_name LIKE 'app%' OR schema_name LIKE 'pilotfish%'";
    let drops = server.sql(ours);
    server.sql(&format!("SET foreign_key_checks=0; {drops}"));
}

/// A refused dump leaves nothing behind: no table, no object, no stage.
fn left_alone(server: &Server) -> Result<(), String> {
    let count = server.sql(
        "SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'app') \
              + (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = 'app') \
              + (SELECT COUNT(*) FROM information_schema.events WHERE event_schema = 'app') \
              + (SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name LIKE 'pilotfish\\_next%')",
    );
    match count.trim() {
        "0" => Ok(()),
        count => Err(format!("{count} things are left of a refused dump")),
    }
}

fn content(server: &Server) -> Content {
    let mut args = vec![
        "--routines",
        "--events",
        "--triggers",
        "--hex-blob",
        "--order-by-primary",
        "--skip-comments",
        "--skip-extended-insert",
    ];
    if server.kind().is_mariadb() {
        args.push("--dump-history");
    } else {
        args.push("--set-gtid-purged=OFF");
    }
    let tables = server.sql(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'app' \
         AND table_type <> 'VIEW' AND table_type <> 'SEQUENCE'",
    );
    let database = server.sql(
        "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata \
         WHERE schema_name = 'app'",
    );
    let mut dump = database.into_bytes();
    dump.extend(without_accounts(&server.dump("app", &args)));
    Content {
        dump,
        checksums: if tables.trim() == "0" {
            String::new()
        } else {
            // Names that differ in case only come in any order.
            let checksums = checksums(server, "app");
            let mut lines: Vec<&str> = checksums.lines().collect();
            lines.sort_unstable();
            lines.join("\n")
        },
    }
}

/// Where the dump names no definer it is the account that loads.
fn without_accounts(dump: &[u8]) -> Vec<u8> {
    let mut text: String = dump.iter().copied().map(char::from).collect();
    for account in [
        "`root`@`localhost`",
        "`pilotfish`@`127.0.0.1`",
        "\"root\"@\"localhost\"",
        "\"pilotfish\"@\"127.0.0.1\"",
    ] {
        text = text.replace(account, "CURRENT_USER");
    }
    text.into_bytes()
}

/// The first line that differs.
fn same(client: &Content, load: &Content) -> Result<(), String> {
    let lines = |text: &[u8]| -> Vec<String> {
        let lines = text.split(|byte| *byte == b'\n');
        lines.map(|line| line.escape_ascii().to_string()).collect()
    };
    let (left, right) = (lines(&client.dump), lines(&load.dump));
    for at in 0..left.len().max(right.len()) {
        let (left, right) = (left.get(at), right.get(at));
        if left != right {
            let show = |line: Option<&String>| line.cloned().unwrap_or_else(|| "(end)".to_owned());
            return Err(format!(
                "line {at} of the dumps differs\n  client {}\n  load   {}",
                show(left),
                show(right)
            ));
        }
    }
    if client.checksums == load.checksums {
        return Ok(());
    }
    Err(format!(
        "checksums differ\nclient\n{}\nload\n{}",
        client.checksums, load.checksums
    ))
}
