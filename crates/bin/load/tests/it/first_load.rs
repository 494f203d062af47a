//! `--first-load`: an empty server does not wait for its disk until the rows are in, and does so again before the swap.

use pilotfish_harness::{PATIENCE, Server, ServerKind, World, eventually};

use crate::{load, release_no, two_releases};

const KINDS: [ServerKind; 2] = [ServerKind::MariaDb1011, ServerKind::MySql97];
const LOOSENED: &str = "--check=SELECT @@global.innodb_flush_log_at_trx_commit = 0";
const AS_EVER: &str = "--check=SELECT @@global.innodb_flush_log_at_trx_commit = 2";

fn grant(server: &Server) {
    change_rights(server, "GRANT", "TO");
}

fn revoke(server: &Server) {
    change_rights(server, "REVOKE", "FROM");
}

fn change_rights(server: &Server, verb: &str, whose: &str) {
    let rights = match server.kind().is_mariadb() {
        true => "SUPER, PROCESS, REPLICATION MASTER ADMIN",
        false => "SYSTEM_VARIABLES_ADMIN, INNODB_REDO_LOG_ENABLE, PROCESS, REPLICATION SLAVE",
    };
    server.sql(&format!(
        "{verb} {rights} ON *.* {whose} 'pilotfish'@'127.0.0.1'"
    ));
}

/// All that decides whether a commit waits for the disk.
fn durability(server: &Server) -> String {
    server.sql(
        "SELECT @@global.innodb_flush_log_at_trx_commit; \
         SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_enabled'; \
         SELECT table_name FROM information_schema.tables WHERE table_schema = 'pilotfish' AND table_name = 'loosened'",
    )
}

#[test]
fn an_empty_server_is_loosened_until_its_swap() {
    for kind in KINDS {
        let world = World::new();
        let server = Server::start(kind, &world, &["--innodb-flush-log-at-trx-commit=2"]);
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
        assert!(refused.stderr.contains("the account may not"), "{refused}");
        server.sql("DROP DATABASE app; DROP DATABASE pilotfish");

        grant(&server);
        // The account has no rights on it.
        server.sql("CREATE DATABASE crm; CREATE TABLE crm.t (id INT)");
        let refused = run(&first, AS_EVER).success();
        assert!(refused.stderr.contains("crm.t is there"), "{refused}");
        server.sql("DROP DATABASE app; DROP DATABASE crm; DROP DATABASE pilotfish");
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
        let meanwhile = load(&server).arg(&first).arg("--into=app_2").run();
        let _ = meanwhile.fails_with(75, "the first load of this server is under way");
        killed.signal("KILL");
        let _ = killed.wait();
        assert_ne!(durability(&server), before);
        // Nothing becomes live on it by somebody who may not put it back.
        revoke(&server);
        let refused = load(&server).arg(&first).arg("--into=app").run();
        let _ = refused.fails_with(77, "put back what a killed first load loosened");
        grant(&server);
        let next = load(&server).arg(&first).arg("--into=app").run().success();
        assert_eq!(durability(&server), before);
        assert!(
            next.stderr.contains("put back what a first load loosened"),
            "{next}"
        );
    }
}
