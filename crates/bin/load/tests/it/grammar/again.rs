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
