use pilotfish_sql::Flavour;

use super::*;

const MARIA: Mode = Mode::new(Flavour {
    mariadb: true,
    version: 101_119,
});
const MYSQL: Mode = Mode::new(Flavour {
    mariadb: false,
    version: 90_700,
});

fn class(text: &str) -> Class {
    classify(text.as_bytes(), MARIA)
}

fn bare(name: &str) -> Name {
    Name::bare(name)
}

/// Not understood, and no change of rows.
fn asks() -> Class {
    changes(&[])
}

fn changes(names: &[&str]) -> Class {
    Class::Other {
        changes: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

#[test]
fn sessions_transactions_and_server_state() {
    for (text, expected) in [
        ("/*!40101 SET NAMES utf8mb4 */", Class::Session),
        (
            "SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO'",
            Class::Session,
        ),
        (
            "SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN",
            Class::Session,
        ),
        ("SET @@SESSION.SQL_LOG_BIN= 0", Class::ServerState),
        (
            "SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a:1-5'",
            Class::ServerState,
        ),
        ("SET GLOBAL gtid_slave_pos='0-1-2'", Class::ServerState),
        ("SET PERSIST x = 1", Class::ServerState),
        ("SET autocommit=0", Class::Transaction),
        (
            "SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0",
            Class::Transaction,
        ),
        (
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            Class::Transaction,
        ),
        ("SET @n = (SELECT 1)", asks()),
        ("SET @n = (TABLE a)", asks()),
        ("SET @n = (VALUES ROW(1))", asks()),
        ("SET PASSWORD FOR a = 'x'", Class::Account),
        ("SET DEFAULT ROLE ALL TO a", Class::Account),
        (
            "SET STATEMENT max_statement_time=1 FOR DELETE FROM t",
            changes(&[
                "DELETE",
                "FOR",
                "FROM",
                "SET",
                "STATEMENT",
                "max_statement_time",
                "t",
            ]),
        ),
        ("START TRANSACTION", Class::Transaction),
        ("COMMIT", Class::Transaction),
        ("START SLAVE", Class::ServerState),
        ("CHANGE MASTER TO MASTER_LOG_FILE='x'", Class::ServerState),
        ("FLUSH PRIVILEGES", Class::ServerState),
        ("LOCK TABLES `t` WRITE", Class::Lock),
        ("UNLOCK TABLES", Class::Lock),
        ("GRANT ALL ON *.* TO a", Class::Account),
        ("CREATE USER a", Class::Account),
        ("/*!80000 SET x=1 */", Class::Empty),
        ("DELETE FROM t", changes(&["DELETE", "FROM", "t"])),
        (
            "/*!40000 UPDATE `a b`*/ SET x=1",
            changes(&["SET", "UPDATE", "a b", "x"]),
        ),
        ("ANALYZE UPDATE t", changes(&["ANALYZE", "UPDATE", "t"])),
        ("TRUNCATE t", asks()),
    ] {
        assert_eq!(class(text), expected, "{text}");
    }
    assert_eq!(classify(b"/*!80000 SET x=1 */", MYSQL), Class::Session);
}

#[test]
fn tables() {
    let table = "CREATE TABLE IF NOT EXISTS `a`.`t` (`b` int REFERENCES x (y), CONSTRAINT c FOREIGN KEY (`b`) \
                 REFERENCES `a`.`p` (`id`) ON DELETE CASCADE) ENGINE=InnoDB COMMENT='REFERENCES q (SELECT'";
    let references = vec![
        bare("x"),
        Name {
            database: Some("a".into()),
            name: "p".into(),
        },
    ];
    let name = Name {
        database: Some("a".into()),
        name: "t".into(),
    };
    assert_eq!(class(table), Class::CreateTable { name, references });
    for other in [
        "CREATE TABLE t AS SELECT 1",
        "CREATE TABLE t (a int) SELECT 1",
        "CREATE TABLE t (a int) TABLE u",
        "CREATE TABLE t TABLE u",
        "CREATE TABLE t (a int) AS VALUES ROW(1)",
        "CREATE TABLE t (a int) VALUES (1)",
        "CREATE TABLE t LIKE u",
        "CREATE TABLE t (LIKE u)",
        "CREATE TEMPORARY TABLE t (a int)",
    ] {
        assert_eq!(class(other), asks(), "{other}");
    }
    let switch = |text, expected| {
        let Class::AlterTable {
            name, keys_switch, ..
        } = class(text)
        else {
            panic!("{text}")
        };
        assert_eq!((name, keys_switch), (bare("t"), expected), "{text}");
    };
    switch("/*!40000 ALTER TABLE `t` DISABLE KEYS */", true);
    switch("ALTER TABLE t ADD PRIMARY KEY (id), ADD KEY x (y)", false);
    switch("ALTER TABLE t ENABLE KEYS, ADD KEY x (y)", false);
    assert_eq!(
        class("CREATE UNIQUE INDEX i ON t (a)"),
        Class::CreateIndex { table: bare("t") }
    );
    assert_eq!(
        class("DROP TABLE IF EXISTS a, `b`"),
        Class::DropTable {
            names: vec![bare("a"), bare("b")]
        }
    );
}

#[test]
fn views() {
    let view = "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`r`@`%` SQL SECURITY DEFINER */\n\
                /*!50001 VIEW `v` AS select 1 AS `a` from `t` */";
    assert_eq!(
        class(view),
        Class::CreateView {
            name: bare("v"),
            placeholder: false
        }
    );
    for stand_in in [
        "/*!50001 CREATE VIEW `v` AS SELECT\n 1 AS `a`,\n 1 AS `b`*/",
        "/*!50001 CREATE VIEW `v` AS SELECT NULL AS `a` */",
    ] {
        assert_eq!(
            class(stand_in),
            Class::CreateView {
                name: bare("v"),
                placeholder: true
            }
        );
    }
    for real in [
        "/*!50001 CREATE ALGORITHM=UNDEFINED */ /*!50001 VIEW `v` AS select 1 AS `a` */",
        "CREATE VIEW `v` AS SELECT 1 AS `a`",
    ] {
        assert_eq!(
            class(real),
            Class::CreateView {
                name: bare("v"),
                placeholder: false
            }
        );
    }
    assert_eq!(
        class("/*!50001 DROP VIEW IF EXISTS `v`*/"),
        Class::DropView {
            names: vec![bare("v")]
        }
    );
}

#[test]
fn stored_programs_and_sequences() {
    let trigger = "/*!50003 CREATE*/ /*!50017 DEFINER=`r`@`h`*/ /*!50003 TRIGGER `g` BEFORE INSERT ON `t` FOR EACH ROW SET @a = 1 */";
    assert_eq!(
        class(trigger),
        Class::CreateTrigger {
            name: bare("g"),
            table: bare("t")
        }
    );
    for (word, kind) in [
        ("PROCEDURE", RoutineKind::Procedure),
        ("FUNCTION", RoutineKind::Function),
        ("PACKAGE", RoutineKind::Package),
        ("PACKAGE BODY", RoutineKind::PackageBody),
    ] {
        let text = format!("CREATE DEFINER=`r`@`h` {word} `p` () x");
        assert_eq!(
            class(&text),
            Class::CreateRoutine {
                kind,
                name: bare("p")
            }
        );
    }
    assert_eq!(
        class("CREATE FUNCTION f RETURNS STRING SONAME 'x.so'"),
        asks()
    );
    let event = "/*!50106 CREATE*/ /*!50117 DEFINER=`r`@`h`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY DO SELECT 1 */";
    assert_eq!(class(event), Class::CreateEvent(bare("e")));
    assert_eq!(
        class("CREATE SEQUENCE `s` start with 1"),
        Class::CreateSequence(bare("s"))
    );
    assert_eq!(
        class("DO SETVAL(`s`, 1001, 0)"),
        Class::SetSequence(bare("s"))
    );
    assert_eq!(
        class("SELECT SETVAL(`s`, 1001, 0)"),
        Class::SetSequence(bare("s"))
    );
    assert_eq!(class("SELECT SETVAL(s, f(1)), g()"), asks());
    assert_eq!(
        class("DROP TRIGGER IF EXISTS x"),
        Class::DropTrigger(Name::bare("x"))
    );
    assert_eq!(
        class("DROP PACKAGE BODY IF EXISTS x"),
        Class::DropRoutine {
            kind: RoutineKind::PackageBody,
            name: Name::bare("x")
        }
    );
}

#[test]
fn databases() {
    let create =
        "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `a` /*!40100 DEFAULT CHARACTER SET utf8mb4 */";
    assert_eq!(class(create), Class::CreateDatabase("a".into()));
    assert_eq!(class("USE `a``b`"), Class::UseDatabase("a`b".into()));
    assert_eq!(
        class("DROP DATABASE IF EXISTS a"),
        Class::DropDatabase("a".into())
    );
    assert_eq!(
        class("ALTER DATABASE DEFAULT CHARACTER SET utf8mb4"),
        Class::ServerState
    );
    assert_eq!(
        class("ALTER SEQUENCE s RESTART 77"),
        Class::SetSequence(Name::bare("s"))
    );
    assert_eq!(
        class("ALTER DATABASE `a` CHARACTER SET utf8mb4"),
        Class::AlterDatabase("a".into())
    );
}
