//! The command line.

use pilotfish_harness::{World, help_on_a_screen, tool};

use crate::{dump, fetch, published, stored};

#[test]
fn help_fits_a_screen_and_groups_its_flags() {
    let (help, all) = help_on_a_screen(|| tool!("fetch"));
    for group in ["Release:", "Source:", "Loop:", "Process:"] {
        assert!(help.contains(group), "no {group} in:\n{help}");
    }
    assert!(all.contains("[default: 16MiB]"), "{all}");
}

#[test]
fn all_mistakes_come_at_once_and_nothing_is_started() {
    let args = [
        "ftp://h/d.sql",
        "--sha256",
        "abc",
        "--part-size",
        "1",
        "--notify",
        "watch",
    ];
    let refused = tool!("fetch").args(args).run();
    for mistake in [
        "scheme",
        "64 hex digits",
        "--part-size",
        "--notify takes",
        "--to DIR",
    ] {
        assert!(
            refused.stderr.contains(mistake),
            "no `{mistake}` in {refused}"
        );
    }
    assert_eq!(refused.code, Some(78), "{refused}");
    let secrets = [
        "file:///d.sql",
        "--to",
        "/x",
        "--notify",
        "http://me:s3cr3t@watch:9808",
        "--endpoint",
        "http://me:s3cr3t@minio:9000",
    ];
    let refused = tool!("fetch")
        .args(secrets)
        .run()
        .fails_with(78, "--notify takes");
    assert!(refused.stderr.contains("--endpoint"), "{refused}");
    assert!(!refused.stderr.contains("s3cr3t"), "{refused}");
    let typo = tool!("fetch")
        .args(["file:///d.sql", "--to", "/x", "--paralel", "3"])
        .run();
    typo.fails_with(64, "--parallel");
    let variable = tool!("fetch").args(["file:///d.sql", "--to", "/x"]);
    variable
        .env("PILOTFISH_PARALEL", "3")
        .run()
        .fails_with(64, "PILOTFISH_PARALLEL");
}

#[test]
fn variables_stand_in_for_flags() {
    let world = World::new();
    let path = stored(&world, "dump.sql", dump(1000, 1));
    let url = format!("file://{}", path.display());
    fetch(&world, &url)
        .env("PILOTFISH_NAME", "other.sql")
        .run()
        .success();
    assert_eq!(published(&world, "other.sql"), dump(1000, 1));
}

#[test]
fn without_arguments_what_is_missing_is_named() {
    let done = tool!("fetch").run();
    done.fails_with(64, "is required");
}

#[test]
fn a_missing_file_is_named() {
    let world = World::new();
    let url = format!("file://{}", world.join("absent.sql").display());
    let done = fetch(&world, &url).run();
    done.fails_with(69, "absent.sql");
}
