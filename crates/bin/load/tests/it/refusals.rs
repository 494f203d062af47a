//! Bad input and bad luck: the right exit code, one clear message, nothing live changed.

use std::time::Duration;

use pilotfish_harness::{Fault, Proxy, Server, ServerKind, World, tool};

use crate::{load, mariadb, release_no, two_releases};

#[test]
fn bad_dumps_are_refused_and_the_live_release_stays() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let text = std::fs::read(&second).expect("read the dump");
    let cut = world.write("cut.sql", &text[..text.len() - 40]);
    let _ = load(&server)
        .arg(&cut)
        .arg("--into=app")
        .run()
        .fails_with(65, "cut off");
    let _ = load(&server)
        .args(["-", "--into=app"])
        .stdin_file(&cut)
        .run()
        .fails_with(65, "cut off");
    let wrong = format!("--sha256={}", "0".repeat(64));
    let _ = load(&server)
        .arg(&second)
        .args(["--into=app", &wrong])
        .run()
        .fails_with(65, "SHA-256");
    let duplicate = world.write(
        "duplicate.sql",
        "CREATE TABLE a (id INT PRIMARY KEY, release_no INT);\nINSERT INTO a VALUES (1,3),(2,3);\nINSERT INTO a VALUES (3,3),(1,3);\nCREATE TABLE b (id INT PRIMARY KEY, release_no INT);\n",
    );
    let done = load(&server)
        .arg(&duplicate)
        .arg("--into=app")
        .run()
        .fails_with(65, "Duplicate entry");
    assert!(done.stderr.contains("duplicate.sql:"), "{done}");
    let syntax = world.write(
        "syntax.sql",
        "CREATE TABLE a (id INT);\nINSRT INTO a VALUES (1);\n",
    );
    let _ = load(&server)
        .arg(&syntax)
        .arg("--into=app")
        .run()
        .fails_with(65, "syntax.sql:2");
    for (name, text, what) in [
        ("page.sql", "<!DOCTYPE html>\n<html></html>\n", "web page"),
        ("rows.sql", "id,name\n1,x\n", "CSV"),
        ("archive.sql", "PGDMP\x01\x0f", "pg_dump"),
    ] {
        let dump = world.write(name, text);
        let done = load(&server).arg(&dump).arg("--into=app").run();
        let refused = done.fails_with(65, what);
        assert!(!refused.stderr.contains("cut off"), "{refused}");
    }
    let shell = world.write(
        "shell.sql",
        "\\! touch /tmp/pwned\nCREATE TABLE a (id INT);\n",
    );
    let _ = load(&server)
        .arg(&shell)
        .arg("--into=app")
        .run()
        .fails_with(65, "refuse");
    assert_eq!(release_no(&server), "1");
    // And a good one goes through afterwards.
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    assert_eq!(release_no(&server), "2");
}

#[test]
fn wrong_password_and_absent_server_have_their_codes() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let port = server.port().to_string();
    let base = || {
        tool!("load")
            .arg(&first)
            .args(["--into=app", "--host=127.0.0.1", "--user=pilotfish"])
    };
    let _ = base()
        .args(["--port", &port])
        .env("PILOTFISH_PASSWORD", "wrong")
        .run()
        .fails_with(77, "look at the account");
    let _ = base()
        .args(["--port=1", "--retry-for=0s"])
        .env("PILOTFISH_PASSWORD", "x")
        .run()
        .fails_with(69, "127.0.0.1");
    let _ = load(&server)
        .arg(world.join("nowhere.sql"))
        .arg("--into=app")
        .run()
        .fails_with(78, "nowhere.sql");
}

#[test]
fn a_server_that_starts_beside_the_load_is_waited_for() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    server.stop();
    let mut waits = load(&server).arg(&first).arg("--into=app").spawn();
    waits.wait_for_stderr("tries again");
    server.restart();
    let _ = waits.wait().success();
    assert_eq!(release_no(&server), "1");
}

#[test]
fn a_value_that_load_data_would_bend_is_judged_by_insert() {
    let (world, server) = mariadb(&["--local-infile=1", "--sql-mode=STRICT_ALL_TABLES"]);
    let bent = world.write(
        "bent.sql",
        "SET sql_mode='STRICT_ALL_TABLES';\nCREATE TABLE t (id TINYINT);\nINSERT INTO t VALUES (1),(300);\n",
    );
    let _ = load(&server)
        .arg(&bent)
        .arg("--into=app")
        .run()
        .fails_with(65, "Out of range");
    let enums = world.write(
        "enums.sql",
        "CREATE TABLE t (e ENUM('2','1'), y YEAR, i INT);\nINSERT INTO t VALUES (1,0,0x41),('1','2001',b'01');\n",
    );
    let _ = load(&server).arg(&enums).arg("--into=app").run().success();
    assert_eq!(
        server.sql("SELECT * FROM app.t ORDER BY y"),
        "2\t0000\t65\n1\t2001\t1\n"
    );
}

#[test]
fn two_loaders_at_once_do_not_meet() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", server.port()), Fault::None);
    let slow = tool!("load")
        .arg(&first)
        .args(["--into=app", "--threads=2"])
        .args(["--url", &proxied(&server.url(), &proxy)]);
    let mut slow = slow.env("PILOTFISH_CONNECT_TIMEOUT", "60s").spawn();
    let _ = slow.wait_for_stderr("loads");
    slow.signal("STOP");
    let _ = load(&server)
        .arg(&second)
        .arg("--into=app")
        .run()
        .fails_with(75, "another loader");
    slow.signal("CONT");
    let _ = slow.wait().success();
    assert_eq!(release_no(&server), "1");
}

fn proxied(url: &str, proxy: &Proxy) -> String {
    let (head, _) = url.rsplit_once(':').expect("a port");
    format!("{head}:{}", proxy.port())
}

#[test]
fn read_only_servers_are_left_alone() {
    for (kind, setting) in [
        (ServerKind::MariaDb1011, "read_only"),
        (ServerKind::MySql97, "super_read_only"),
    ] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let (first, _) = two_releases(&world, &server);
        server.sql(&format!("SET GLOBAL {setting}=ON"));
        let _ = load(&server)
            .arg(&first)
            .arg("--into=app")
            .run()
            .fails_with(75, "read-only");
        assert_eq!(server.sql("SHOW DATABASES LIKE 'pilotfish%'"), "");
    }
}

#[test]
fn passwords_are_said_nowhere() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let result = world.join("result.json");
    let base = || {
        let port = server.port().to_string();
        tool!("load")
            .arg(&first)
            .args(["--into=app", "--host=127.0.0.1", "--port", &port])
            .args(["--log-level=trace", "--output=json", "--result-file"])
            .arg(&result)
    };
    let file = world.write("password", "s3cr3t-file\n");
    let tries = [
        base()
            .arg("--user=pilotfish")
            .env("PILOTFISH_PASSWORD", "s3cr3t-variable"),
        base()
            .args(["--user=pilotfish", "--password-file"])
            .arg(&file),
        tool!("load").arg(&first).args([
            "--into=app",
            "--log-level=trace",
            "--url",
            &format!(
                "mysql://pilotfish:s3cr3t-url@127.0.0.1:{}/app",
                server.port()
            ),
        ]),
    ];
    for refused in tries {
        let done = refused.run().fails_with(77, "denied");
        let written = std::fs::read_to_string(&result).unwrap_or_default();
        let said = format!("{done}{written}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    server.sql("ALTER USER 'pilotfish'@'127.0.0.1' IDENTIFIED BY 's3cr3t-file'");
    let done = base()
        .args(["--user=pilotfish", "--password-file"])
        .arg(&file)
        .run()
        .success();
    assert!(done.stderr.contains("DEBUG"), "no debug level in {done}");
    let said = format!(
        "{done}{}",
        std::fs::read_to_string(&result).expect("the result")
    );
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[test]
fn sigterm_ends_a_load_within_its_grace_and_changes_nothing() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    // A stream that does not end keeps the load running.
    let pipe = world.join("pipe");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("run mkfifo")
            .success()
    );
    let mut writer = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!(
            "cat '{}' > '{}'; sleep 60 > '{}'",
            second.display(),
            pipe.display(),
            pipe.display()
        ))
        .spawn()
        .expect("start the writer");
    let mut running = load(&server)
        .arg("-")
        .arg("--into=app")
        .stdin_file(&pipe)
        .spawn();
    let _ = running.wait_for_stderr("loads");
    std::thread::sleep(Duration::from_millis(100));
    running.terminate();
    let done = running.wait();
    writer.kill().expect("end the writer");
    writer.wait().expect("end the writer");
    // The dump may have been whole by then; either way the ledger and the rows agree.
    match done.code {
        Some(143) => assert_eq!(release_no(&server), "1"),
        code => assert_eq!((code, release_no(&server).as_str()), (Some(0), "2")),
    }
}

#[test]
fn a_dump_that_nothing_proves_and_that_has_less_is_not_believed() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    let compact = server.dump("app", &["--compact", "--skip-extended-insert"]);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let compact = String::from_utf8(compact).expect("text");
    let cut_at = |words: &str| &compact[..compact.rfind(words).expect("the words")];
    let load = |path: &std::path::Path| load(&server).arg(path).arg("--into=app");
    for (cut, lost) in [
        ("INSERT INTO `same`", "1 rows for same where 2 are live"),
        ("CREATE TABLE `b`", "no table b, no table same"),
    ] {
        let path = world.write("cut.sql", cut_at(cut));
        let _ = load(&path).run().fails_with(65, lost);
        let _ = load(&path).arg("--dry-run").run().fails_with(65, lost);
        assert_eq!(release_no(&server), "1");
    }
    // Somebody vouches for it, and is mistaken.
    let path = world.write("cut.sql", cut_at("INSERT INTO `same`"));
    world.write("cut.sql.sha256", format!("{}  cut.sql", "0".repeat(64)));
    let _ = load(&path).run().fails_with(65, "cut.sql.sha256 says 0000");
    let sum = std::process::Command::new("sha256sum").arg(&path).output();
    world.write("cut.sql.sha256", sum.expect("run sha256sum").stdout);
    let _ = load(&path).run().success();
    assert_eq!(release_no(&server), "2");
    assert_eq!(server.sql("SELECT COUNT(*) FROM app.same").trim(), "1");
    // What has no less goes live, with a word about it.
    let path = world.write("whole.sql", &compact);
    let done = load(&path).arg("--output=json").run().success();
    let notes = done.json()["notes"].to_string();
    assert!(
        notes.contains("nothing proves that the dump is whole"),
        "{notes}"
    );
    // Without the trailer's comments, but asked for.
    let path = world.write("less.sql", cut_at("INSERT INTO `same`"));
    let _ = load(&path).run().fails_with(65, "--no-trailer");
    let _ = load(&path).arg("--no-trailer").run().success();
}

#[test]
fn tables_that_mysql_swaps_one_by_one_are_refused() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let path = world.write(
        "engines.sql",
        "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\n\
         CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM;\nINSERT INTO m VALUES (1);\n",
    );
    let load = || load(&server).arg(&path).arg("--into=app");
    let done = load().run().fails_with(78, "--allow-non-transactional");
    assert!(done.stderr.contains("m (MyISAM)"), "{done}");
    assert_eq!(server.sql("SHOW TABLES FROM app").trim(), "");
    let _ = load().arg("--allow-non-transactional").run().success();
    assert_eq!(server.sql("SELECT id FROM app.m").trim(), "1");
}

#[test]
fn a_trigger_or_event_that_cannot_be_made_stops_before_the_swap_also_beside_tables_that_stay() {
    let (world, server) = mariadb(&[]);
    let dump = |trigger: &str, every: &str| {
        let text = format!(
            "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (1);\n\
             CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW {trigger};\n\
             CREATE EVENT IF NOT EXISTS e ON SCHEDULE EVERY {every} DO DELETE FROM a;\n"
        );
        let path = world.write("dump.sql", text);
        load(&server).arg(path).arg("--into=app").run()
    };
    let live = || {
        server.sql(
            "SELECT action_statement FROM information_schema.triggers WHERE trigger_schema = 'app';
             SELECT interval_field FROM information_schema.events WHERE event_schema = 'app';
             SELECT COUNT(*) FROM pilotfish.live_app WHERE kind = 'todo';
             SELECT COUNT(*) FROM information_schema.events WHERE event_schema <> 'app'",
        )
    };
    let _ = dump("SET NEW.id = NEW.id + 1", "1 DAY").success();
    let first = live();
    assert_eq!(first, "SET NEW.id = NEW.id + 1\nDAY\n0\n0\n");
    let _ = dump("SET NEW.nope = 1", "1 DAY").fails_with(65, "make trigger t");
    assert_eq!(live(), first);
    let _ = dump("SET NEW.id = 7", "0 DAY").fails_with(65, "make event e");
    assert_eq!(live(), first);
    let _ = dump("SET NEW.id = 7", "1 WEEK").success();
    assert_eq!(live(), "SET NEW.id = 7\nWEEK\n0\n0\n");
    server.sql("INSERT INTO app.a VALUES (1)");
    assert_eq!(server.sql("SELECT MAX(id) FROM app.a").trim(), "7");
}
