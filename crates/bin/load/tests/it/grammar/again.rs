//! What the next dump makes of tables whose text stays, and of those that it leaves alone.

use crate::{load, mariadb};

#[test]
fn rows_that_come_from_elsewhere_are_loaded_anew() {
    let (world, server) = mariadb(&[]);
    let cases = [
        (
            "SET @r='first';\nCREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20));\nINSERT INTO t VALUES (1,@r);\n",
            ("first", "second"),
            "SELECT v FROM t",
            "second",
        ),
        (
            "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT) AUTO_INCREMENT=100;\nINSERT INTO t (v) VALUES (1);\n",
            ("=100", "=500"),
            "SELECT id FROM t",
            "500",
        ),
        (
            "SET default_storage_engine=MyISAM;\nCREATE TABLE t (id INT PRIMARY KEY);\nINSERT INTO t VALUES (1);\n",
            ("MyISAM", "Aria"),
            "SELECT engine FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 't'",
            "Aria",
        ),
        (
            "CREATE SEQUENCE s;\nDO SETVAL(s, 10, 0);\nCREATE TABLE t (id INT DEFAULT NEXTVAL(s), v INT);\nINSERT INTO t (v) VALUES (1);\n",
            ("10,", "50,"),
            "SELECT id FROM t",
            "50",
        ),
        (
            "CREATE TABLE a (id INT PRIMARY KEY);\nINSERT INTO a VALUES (7);\n\
             CREATE TABLE t (id INT PRIMARY KEY, v INT);\nINSERT INTO t VALUES (1,(SELECT MAX(id) FROM a));\n",
            ("(1,(", "(2,("),
            "SELECT id, v FROM t",
            "2\t7",
        ),
    ];
    for (at, (text, (old, new), question, answer)) in cases.into_iter().enumerate() {
        let into = format!("--into=app{at}");
        for (name, text) in [
            ("one.sql", text.to_owned()),
            ("two.sql", text.replace(old, new)),
        ] {
            let path = world.write(name, text);
            let _ = load(&server).arg(&path).arg(&into).run().success();
        }
        let found = server.sql(&format!("USE app{at}; {question}"));
        assert_eq!(found.trim(), answer, "{text}");
    }
}

#[test]
fn a_part_of_a_dump_leaves_the_sequences_of_the_others() {
    let (world, server) = mariadb(&[]);
    let release = |v: u32| {
        format!(
            "CREATE SEQUENCE sa;\nCREATE SEQUENCE sb;\n\
             CREATE TABLE a (id INT DEFAULT NEXTVAL(sa), v INT);\nINSERT INTO a VALUES (1,{v});\n\
             CREATE TABLE b (id INT DEFAULT NEXTVAL(sb), v INT);\nINSERT INTO b VALUES (1,{v});\n"
        )
    };
    let next = |sequence: &str| {
        let found = server.sql(&format!("SELECT NEXTVAL(app.{sequence})"));
        found.trim().to_owned()
    };
    for (v, part) in [(1, None), (2, Some("--only=a")), (3, Some("--skip=b"))] {
        let path = world.write("part.sql", release(v));
        let _ = load(&server)
            .arg(&path)
            .arg("--into=app")
            .args(part)
            .run()
            .success();
        assert_eq!(server.sql("SELECT v FROM app.a").trim(), v.to_string());
        assert_eq!(server.sql("SELECT v FROM app.b").trim(), "1");
        assert_eq!(next("sb"), v.to_string(), "b's sequence goes on");
        assert_eq!(next("sa"), "1", "a's is of the dump");
    }
    // A stream: which sequences are drawn from is known at its end only.
    let _ = load(&server)
        .arg("-")
        .args(["--into=app", "--only=a", "--no-trailer"])
        .stdin(release(4).as_bytes())
        .run()
        .success();
    assert_eq!(server.sql("SELECT v FROM app.a").trim(), "4");
    assert_eq!(next("sb"), "4");
}
