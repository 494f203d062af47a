use super::*;
use crate::mysql::phrase::running;

fn session(statements: &[&str]) -> Session {
    let mut session = Session::new(
        Flavour {
            mariadb: true,
            version: 101_119,
        },
        "utf8mb4",
        "",
    );
    for statement in statements {
        session
            .apply(&running(statement.as_bytes(), session.mode()))
            .unwrap();
    }
    session
}

#[test]
fn sql_mode_is_followed_through_saved_variables() {
    let save = "SET @saved_sql_mode = @@sql_mode";
    let set = "/*!50003 SET sql_mode = 'STRICT_TRANS_TABLES,no_backslash_escapes' */";
    let restore = "SET sql_mode = @saved_sql_mode";
    assert!(session(&[save, set]).mode().no_backslash_escapes);
    assert!(!session(&[save, set, restore]).mode().no_backslash_escapes);
    assert!(
        session(&[set, save, "SET SESSION sql_mode=''", restore])
            .mode()
            .no_backslash_escapes
    );
    assert!(
        session(&["SET sql_mode=1048580"])
            .mode()
            .no_backslash_escapes
    );
    assert!(session(&["SET sql_mode=1048580"]).mode().ansi_quotes);
    assert!(
        session(&["SET @@session.sql_mode='ANSI'"])
            .mode()
            .ansi_quotes
    );
    assert!(!session(&["SET GLOBAL sql_mode='ANSI'"]).mode().ansi_quotes);
    assert!(!session(&["SET sql_mode='NO_AUTO_VALUE_ON_ZERO'"]).zero_is_next());
    assert!(
        session(&[set, "SET sql_mode=CONCAT(@@sql_mode, ',ANSI')"])
            .mode()
            .no_backslash_escapes
    );
    assert!(
        !session(&["/*!80000 SET sql_mode='ANSI' */"])
            .mode()
            .ansi_quotes
    );
}

#[test]
fn foreign_keys_act_unless_the_dump_says_otherwise() {
    let save = "/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */";
    let restore = "/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */";
    for (statements, act) in [
        (&[][..], true),
        (&[save], false),
        (&[save, restore], true),
        (&["SET SESSION foreign_key_checks = OFF"], false),
        (&["SET foreign_key_checks=0", save, restore], false),
        (
            &["SET foreign_key_checks=0", "SET @@foreign_key_checks=1"],
            true,
        ),
    ] {
        assert_eq!(
            session(statements).checks_foreign_keys(),
            act,
            "{statements:?}"
        );
    }
    assert_eq!(session(&[save]).key(), session(&[]).key());
}

#[test]
fn unsafe_character_sets_are_refused() {
    let refused = |text: &str| {
        let mut session = session(&[]);
        session
            .apply(&running(text.as_bytes(), session.mode()))
            .unwrap_err()
    };
    for text in [
        "SET NAMES gbk",
        "SET NAMES 'sjis' COLLATE sjis_bin",
        "SET CHARACTER SET big5",
        "/*!50003 SET character_set_client  = cp932 */",
        "SET @@character_set_client='GB18030'",
    ] {
        assert!(refused(text).contains("character set"), "{text}");
    }
    assert!(
        refused("SET sql_mode=CONCAT(@@sql_mode,',NO_BACKSLASH_ESCAPES')").contains("computed")
    );
}

#[test]
fn what_is_saved_must_be_restored() {
    let save = "SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0";
    assert_eq!(session(&[save]).unrestored(), Some("old_sql_notes"));
    let whole = session(&[save, "SET SQL_NOTES=@OLD_SQL_NOTES"]);
    assert!(whole.unrestored().is_none() && whole.restored());
    assert!(!session(&["SET @saved_cs_client = @@character_set_client"]).restored());
    let mut between = whole;
    between.goes_on();
    assert!(!between.restored());
    let later = [save, "SET SQL_NOTES=@OLD_SQL_NOTES"];
    for statement in later {
        between
            .apply(&running(statement.as_bytes(), between.mode()))
            .unwrap();
    }
    assert!(
        !between.restored(),
        "what is saved between two tables proves nothing"
    );
    let rows = [
        "SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0",
        "SET AUTOCOMMIT=@OLD_AUTOCOMMIT",
    ];
    assert!(!session(&rows).restored());
}

#[test]
fn keys_for_digests() {
    let base = session(&[]).key();
    assert_eq!(session(&["SET SQL_NOTES=0"]).key(), base);
    for text in [
        "SET NAMES latin1",
        "SET time_zone='+00:00'",
        "SET sql_mode='ANSI'",
        "SET default_storage_engine=MyISAM",
        "SET SESSION check_constraint_checks=0",
    ] {
        assert_ne!(session(&[text]).key(), base);
    }
    let there_and_back = [
        "SET @s = @@character_set_client",
        "SET character_set_client=latin1",
        "SET character_set_client=@s",
    ];
    assert_eq!(session(&there_and_back).key(), base);
    let there_and_back = [
        "SET @OLD_X = @@default_storage_engine, default_storage_engine=MyISAM",
        "SET default_storage_engine=@OLD_X",
    ];
    assert_eq!(session(&there_and_back).key(), base);
}
