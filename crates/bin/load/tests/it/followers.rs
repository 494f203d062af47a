//! Triggers and views whose tables change, stay, or exchange them.

use std::path::PathBuf;

use pilotfish_harness::{Holder, PATIENCE, Server, ServerKind, World, eventually};

use crate::{load, rollback};

/// On each kind of server.
fn on_each(test: impl Fn(&World, &Server)) {
    for (kind, args) in [
        (ServerKind::MariaDb1011, &[][..]),
        (
            ServerKind::MySql97,
            &["--log-bin-trust-function-creators=1"],
        ),
    ] {
        let world = World::new();
        test(&world, &Server::start(kind, &world, args));
    }
}

/// A dump that is whole.
fn whole(world: &World, name: &str, text: &str) -> PathBuf {
    world.write(name, format!("{text}\n-- Dump completed on 1\n"))
}

fn goes_live(server: &Server, dump: &PathBuf) {
    let _ = load(server).arg(dump).arg("--into=app").run().success();
    assert_eq!(open(server), "0", "{}", dump.display());
}

/// What is still to do.
fn open(server: &Server) -> String {
    let todo = server.sql("SELECT COUNT(*) FROM pilotfish.live_app WHERE kind = 'todo'");
    todo.trim().to_owned()
}

/// The triggers, each with its table, in the order in which they fire.
fn triggers(server: &Server) -> String {
    let list = server.sql(
        "SELECT CONCAT(event_object_table, '.', trigger_name) FROM information_schema.triggers WHERE \
         trigger_schema = 'app' ORDER BY event_object_table, action_order",
    );
    list.lines().collect::<Vec<_>>().join(" ")
}

/// `CREATE TRIGGER` that adds a number.
fn trigger(name: &str, table: &str, number: u32) -> String {
    format!(
        "CREATE TRIGGER {name} BEFORE INSERT ON {table} FOR EACH ROW SET NEW.a = NEW.a + {number};\n"
    )
}

#[test]
fn triggers_keep_the_dumps_order_on_a_table_that_stays() {
    on_each(|world, server| {
        let release = |name: &str, triggers: &[(&str, u32)]| {
            let made = triggers.iter().map(|(name, by)| trigger(name, "s", *by));
            let text = format!("CREATE TABLE s (a INT);\n{}", made.collect::<String>());
            whole(world, name, &text)
        };
        let first = release("first.sql", &[("x", 1), ("y", 10)]);
        goes_live(server, &first);
        goes_live(server, &release("changed.sql", &[("x", 2), ("y", 10)]));
        assert_eq!(triggers(server), "s.x s.y");
        let _ = rollback(server).success();
        assert_eq!(triggers(server), "s.x s.y");
        goes_live(server, &release("turned.sql", &[("y", 10), ("x", 1)]));
        assert_eq!(triggers(server), "s.y s.x");
        let _ = rollback(server).success();
        assert_eq!(triggers(server), "s.x s.y");
        goes_live(
            server,
            &release("front.sql", &[("w", 5), ("x", 1), ("y", 10)]),
        );
        assert_eq!(triggers(server), "s.w s.x s.y");
        goes_live(server, &first);
        server.sql("DROP TRIGGER app.x");
        goes_live(server, &first);
        assert_eq!(triggers(server), "s.x s.y");
    });
}

#[test]
fn a_trigger_moves_to_a_table_that_stays_and_back() {
    on_each(|world, server| {
        let release = |name: &str, tables: &str, triggers: &[(&str, &str)]| {
            let made = triggers.iter().map(|(name, table)| trigger(name, table, 1));
            let text = format!("{tables}\n{}", made.collect::<String>());
            whole(world, name, &text)
        };
        let tables = |row: u32| {
            format!(
                "CREATE TABLE t (a INT);\nCREATE TABLE s (a INT);\nINSERT INTO t VALUES ({row});"
            )
        };
        let on_t = release("t.sql", &tables(1), &[("x", "t")]);
        goes_live(server, &on_t);
        goes_live(server, &release("s.sql", &tables(1), &[("x", "s")]));
        assert_eq!(triggers(server), "s.x");
        goes_live(server, &on_t);
        assert_eq!(triggers(server), "t.x");
        // Its old table is loaded anew, and comes back with it.
        goes_live(server, &release("s2.sql", &tables(2), &[("x", "s")]));
        assert_eq!(triggers(server), "s.x");
        let _ = rollback(server).success();
        assert_eq!((triggers(server), open(server)), ("t.x".into(), "0".into()));
        // Its new table is new.
        let more = format!("{}\nCREATE TABLE n (a INT);", tables(1));
        goes_live(server, &release("n.sql", &more, &[("x", "n")]));
        assert_eq!(triggers(server), "n.x");
        // Two change places, on tables that stay and where one of them is loaded anew.
        goes_live(
            server,
            &release("xy.sql", &tables(1), &[("x", "t"), ("y", "s")]),
        );
        for row in [1, 3] {
            let turned = format!("yx{row}.sql");
            goes_live(
                server,
                &release(&turned, &tables(row), &[("y", "t"), ("x", "s")]),
            );
            assert_eq!(triggers(server), "s.x t.y");
            let _ = rollback(server).success();
            assert_eq!(
                (triggers(server), open(server)),
                ("s.y t.x".into(), "0".into())
            );
        }
    });
}

#[test]
fn a_loader_that_is_killed_between_two_tables_of_a_trigger_is_followed_by_one_that_makes_it() {
    on_each(|world, server| {
        let release = |name: &str, table: &str| {
            let text = format!(
                "CREATE TABLE t (a INT);\nCREATE TABLE s (a INT);\nINSERT INTO s VALUES (1);\n{}",
                trigger("x", table, 1)
            );
            whole(world, name, &text)
        };
        goes_live(server, &release("t.sql", "t"));
        let reader = Holder::begin(server, "SELECT COUNT(*) FROM app.s");
        let moved = release("s.sql", "s");
        let running = load(server).arg(&moved).arg("--into=app").spawn();
        eventually("the trigger is off its old table", PATIENCE, || {
            triggers(server).is_empty().then_some(())
        });
        running.signal("KILL");
        let _ = running.wait();
        drop(reader);
        assert_ne!(open(server), "0");
        goes_live(server, &moved);
        assert_eq!(triggers(server), "s.x");
    });
}

#[test]
fn views_follow_the_columns_of_their_tables() {
    on_each(|world, server| {
        // `a` is over `v` and before it in name order.
        let release = |name: &str, table: &str| {
            let text = format!(
                "{table}\nCREATE VIEW v AS SELECT * FROM t;\nCREATE VIEW a AS SELECT * FROM v;\n\
                 CREATE TABLE other (id INT);\nCREATE VIEW o AS SELECT * FROM other;"
            );
            whole(world, name, &text)
        };
        let columns = || {
            let seen = server.sql(
                "SELECT CONCAT(table_name, ':', GROUP_CONCAT(column_name ORDER BY ordinal_position)) FROM \
                 information_schema.columns WHERE table_schema = 'app' AND table_name IN ('a', 'v') \
                 GROUP BY table_name ORDER BY table_name",
            );
            let _ = server.sql("SELECT * FROM app.a");
            seen.lines().collect::<Vec<_>>().join(" ")
        };
        let one = "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1);";
        let two = "CREATE TABLE t (a INT, b INT);\nINSERT INTO t VALUES (1,2);";
        let three = "CREATE TABLE t (b INT, c INT);\nINSERT INTO t VALUES (1,2);";
        goes_live(server, &release("one.sql", one));
        goes_live(server, &release("two.sql", two));
        assert_eq!(columns(), "a:a,b v:a,b");
        goes_live(server, &release("three.sql", three));
        assert_eq!(columns(), "a:b,c v:b,c");
        let _ = rollback(server).success();
        assert_eq!(columns(), "a:a,b v:a,b");
    });
}

#[test]
fn views_follow_the_columns_that_half_a_load_without_swap_left() {
    on_each(|world, server| {
        let release = |name: &str, table: &str, more: &str| {
            let text = format!(
                "DROP TABLE IF EXISTS t;\n{table}\nCREATE VIEW v AS SELECT * FROM t;\n{more}"
            );
            whole(world, name, &text)
        };
        let one = "CREATE TABLE t (a INT);\nINSERT INTO t VALUES (1);";
        let two = "CREATE TABLE t (a INT, b INT);\nINSERT INTO t VALUES (1,2);";
        let broken = "CREATE TABLE z (id INT NOT NULL);\nINSERT INTO z VALUES (NULL);";
        goes_live(server, &release("one.sql", one, ""));
        let half = release("half.sql", two, broken);
        let straight = load(server).arg(&half).args(["--into=app", "--swap=none"]);
        let _ = straight.run().fails_with(65, "half.sql");
        assert_eq!(server.sql("SELECT b FROM app.t").trim(), "2");
        goes_live(server, &release("two.sql", two, ""));
        assert_eq!(server.sql("SELECT b FROM app.v").trim(), "2");
    });
}
