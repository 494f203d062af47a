//! What `--check` asks: the release to come, never what is live, and never half of each.

use std::path::PathBuf;

use pilotfish_harness::{Finished, Server, ServerKind, World, tool};

use crate::{load, rollback};

const TRAILER: &str = "-- Dump completed on 2026-11-28  4:00:00\n";

/// `t`, `b` and `app` have rows live, and none of them in the dump that follows; `users` keeps its rows.
struct Scene {
    hollow: PathBuf,
    server: Server,
    _world: World,
}

impl Scene {
    fn new(kind: ServerKind, args: &[&str]) -> Self {
        let world = World::new();
        let server = Server::start(kind, &world, args);
        let dump = |name: &str, rows: &str| {
            let table = |name: &str| format!("CREATE TABLE {name} (id INT PRIMARY KEY);\n");
            let text = format!(
                "{}{}{}{}{rows}INSERT INTO users VALUES (1);\nCREATE VIEW v AS SELECT id FROM t;\n\
                 DELIMITER ;;\nCREATE FUNCTION ok() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) > 0 FROM t);;\nDELIMITER ;\n{TRAILER}",
                table("t"),
                table("b"),
                table("app"),
                table("users"),
            );
            world.write(name, text)
        };
        let full =
            "INSERT INTO t VALUES (1);\nINSERT INTO b VALUES (1);\nINSERT INTO app VALUES (1);\n";
        let (full, hollow) = (dump("full.sql", full), dump("hollow.sql", ""));
        let _ = load(&server).arg(&full).arg("--into=app").run().success();
        Self {
            hollow,
            server,
            _world: world,
        }
    }

    /// Loads the hollow dump under an assertion.
    fn asks(&self, check: &str) -> Finished {
        let check = format!("--check={check}");
        load(&self.server)
            .arg(&self.hollow)
            .args(["--into=app", &check])
            .run()
    }

    /// What was refused left no stage behind it, and nothing else.
    fn is_untouched(&self) {
        let rows = self.server.sql("SELECT COUNT(*) FROM app.t");
        assert_eq!(rows.trim(), "1");
    }
}

fn kinds() -> [(ServerKind, &'static [&'static str]); 2] {
    [
        (ServerKind::MariaDb1011, &[]),
        (
            ServerKind::MySql97,
            &["--log-bin-trust-function-creators=1"],
        ),
    ]
}

#[test]
fn an_assertion_through_a_function_is_refused() {
    for (kind, args) in kinds() {
        let scene = Scene::new(kind, args);
        for check in [
            "SELECT app.ok()",
            "SELECT `app` . `ok` () = 1",
            "SELECT ok()",
        ] {
            let _ = scene.asks(check).fails_with(78, "stored function");
            scene.is_untouched();
        }
        let _ = scene.asks("SELECT COUNT(*) = 0 FROM t").success();
    }
}

/// Without a stage its answer would come when what was live is gone.
#[test]
fn an_assertion_without_a_stage_is_refused() {
    let scene = Scene::new(ServerKind::MariaDb1011, &[]);
    let straight = load(&scene.server).arg(&scene.hollow);
    let straight = straight.args([
        "--into=app",
        "--swap=none",
        "--check=SELECT COUNT(*) = 0 FROM t",
    ]);
    let _ = straight.run().fails_with(78, "--check needs a swap");
    scene.is_untouched();
}

/// The servers of MySQL in these tests are made with names in their own case, which they cannot change.
#[test]
fn an_assertion_in_another_case_asks_the_new_release() {
    let scene = Scene::new(ServerKind::MariaDb1011, &["--lower-case-table-names=1"]);
    for check in [
        "SELECT COUNT(*) > 0 FROM APP.b",
        "SELECT COUNT(*) > 0 FROM `App`.B",
    ] {
        let _ = scene.asks(check).fails_with(65, "--check gave 0");
        scene.is_untouched();
    }
    let _ = scene
        .asks("SELECT COUNT(*) > 0 FROM App.V")
        .fails_with(78, "view V");
}

#[test]
fn an_assertion_with_two_meanings_of_one_name_asks_the_new_release() {
    for (kind, args) in kinds() {
        let scene = Scene::new(kind, args);
        for check in [
            "SELECT COUNT(*) > 0 FROM app AS x RIGHT JOIN app.b ON true",
            "SELECT COUNT(*) > 0 FROM users AS app, app.b",
            "SELECT COUNT(*) > 0 FROM users app, (app.t, app.b)",
        ] {
            let _ = scene.asks(check).fails_with(65, "--check gave 0");
            scene.is_untouched();
        }
    }
}

#[test]
fn an_alias_that_is_called_as_the_database_is_an_alias() {
    for (kind, args) in kinds() {
        let scene = Scene::new(kind, args);
        for check in [
            "SELECT COUNT(*) = 0 FROM users AS app WHERE app.id IS NULL",
            "SELECT COUNT(*) = 1 FROM users app WHERE app.id = 1",
            "SELECT COUNT(*) = 0 FROM users, app WHERE app.id = 1",
            "SELECT COUNT(*) = 0 FROM app.users AS app WHERE app.id IS NULL",
        ] {
            let done = scene.asks(check).success();
            assert!(done.stderr.contains("loaded"), "{done}");
            let _ = rollback(&scene.server).success();
            let resume = tool!("load").args(["resume", "--url", &scene.server.url()]);
            let _ = resume.run().success();
        }
    }
}

#[test]
fn an_assertion_over_a_view_is_refused_in_words() {
    for (kind, args) in kinds() {
        let scene = Scene::new(kind, args);
        for check in [
            "SELECT COUNT(*) > 0 FROM app.v",
            "SELECT COUNT(*) > 0 FROM v",
            "SELECT COUNT(*) > 0 FROM t, v",
        ] {
            let _ = scene.asks(check).fails_with(78, "view v");
            scene.is_untouched();
        }
        // Where nothing is live yet, too.
        scene
            .server
            .sql("DROP DATABASE app; DROP DATABASE pilotfish");
        let _ = scene
            .asks("SELECT COUNT(*) > 0 FROM app.v")
            .fails_with(78, "view v");
        let _ = scene
            .asks("SELECT COUNT(*) > 0 FROM missing")
            .fails_with(65, "missing");
    }
}

#[test]
fn a_release_that_is_live_says_that_its_assertion_was_not_asked() {
    let scene = Scene::new(ServerKind::MariaDb1011, &[]);
    let _ = scene.asks("SELECT COUNT(*) = 0 FROM t").success();
    let again = scene.asks("SELECT COUNT(*) > 0 FROM t").success();
    assert!(again.stderr.contains("--check was not asked"), "{again}");
}
