//! `--first-load`: an empty server does not wait for its disk until the rows are in, and does so again before the swap.

use pilotfish_harness::{PATIENCE, Server, ServerKind, World, eventually};

use crate::{load, release_no, two_releases};

const KINDS: [ServerKind; 2] = [ServerKind::MariaDb1011, ServerKind::MySql97];
const LOOSENED: &str =
    "--check=SELECT @@global.innodb_flush_log_at_trx_commit = 0 AND @@global.sync_binlog = 0";
const AS_EVER: &str = "--check=SELECT @@global.innodb_flush_log_at_trx_commit = 1";

fn grant(server: &Server) {
    let rights = match server.kind().is_mariadb() {
        true => "SUPER, BINLOG ADMIN",
        false => "SYSTEM_VARIABLES_ADMIN, INNODB_REDO_LOG_ENABLE",
    };
    server.sql(&format!("GRANT {rights} ON *.* TO 'pilotfish'@'127.0.0.1'"));
}

/// All that decides whether a commit waits for the disk.
fn durability(server: &Server) -> String {
    server.sql(
        "SELECT @@global.innodb_flush_log_at_trx_commit, @@global.sync_binlog; \
         SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'; \
         SELECT table_name FROM information_schema.tables WHERE table_schema = 'pilotfish' AND table_name = 'loosened'",
    )
}

#[test]
fn an_empty_server_is_loosened_until_its_swap() {
    for kind in KINDS {
        let world = World::new();
        let server = Server::start(kind, &world, &["--sync-binlog=7"]);
        let (first, second) = two_releases(&world, &server);
        let before = durability(&server);
        let run = |dump, check| {
            load(&server)
                .arg(dump)
                .args(["--into=app", "--first-load", check])
                .run()
        };
        let refused = run(&first, AS_EVER).success();
        assert!(
            refused.stderr.contains("--first-load changes nothing"),
            "{refused}"
        );
        assert!(
            refused.stderr.contains("the account has no right"),
            "{refused}"
        );
        server.sql("DROP DATABASE app; DROP DATABASE pilotfish");

        grant(&server);
        let _ = run(&first, "--check=SELECT 0").fails_with(65, "SELECT 0");
        assert_eq!(durability(&server), before);
        let _ = run(&first, LOOSENED).success();
        assert_eq!(durability(&server), before);
        let second = run(&second, AS_EVER).success();
        assert!(second.stderr.contains("changes nothing: app."), "{second}");
        assert_eq!(release_no(&server), "2");
    }
}

#[test]
fn what_a_killed_first_load_loosened_is_put_back() {
    for kind in KINDS {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let (first, _) = two_releases(&world, &server);
        grant(&server);
        let before = durability(&server);
        let killed = load(&server)
            .arg(&first)
            .args([
                "--into=app",
                "--first-load",
                "--check=SELECT SLEEP(100) = 0",
            ])
            .spawn();
        eventually("the check to run", PATIENCE, || {
            let query =
                "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'";
            (!server.sql(query).trim().is_empty()).then_some(())
        });
        killed.signal("KILL");
        let _ = killed.wait();
        assert_ne!(durability(&server), before);
        let next = load(&server).arg(&first).arg("--into=app").run().success();
        assert_eq!(durability(&server), before);
        assert!(
            next.stderr.contains("put back what a first load loosened"),
            "{next}"
        );
    }
}
