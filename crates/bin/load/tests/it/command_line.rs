//! What a person sees who types.

use pilotfish_harness::{World, help_on_a_screen, tool};

#[test]
fn help_fits_a_screen_groups_flags_and_shows_defaults_and_variables() {
    let (help, all) = help_on_a_screen(|| tool!("load"));
    assert!(all.contains("--no-binlog"), "{all}");
    for part in [
        "Load:",
        "Server:",
        "Process:",
        "PILOTFISH_LOG_LEVEL",
        "status",
        "rollback",
    ] {
        assert!(help.contains(part), "no {part} in\n{help}");
    }
}

#[test]
fn a_typo_is_named_with_the_right_flag() {
    let done = tool!("load").args(["dump.sql", "--max-shrinc", "5"]).run();
    let _ = done.fails_with(64, "--max-shrink");
}

#[test]
fn without_arguments_what_is_missing_is_named() {
    let _ = tool!("load").run().fails_with(64, "<DUMP> is required");
}

#[test]
fn all_mistakes_come_at_once() {
    let done = tool!("load")
        .args(["x.sql", "--user=u", "--threads=0", "--sha256=abc"])
        .run();
    let done = done.fails_with(78, "--threads 0");
    assert!(done.stderr.contains("--sha256"), "{done}");
}

#[test]
fn a_typo_of_a_verb_is_named_with_the_right_verb_and_nothing_is_asked() {
    for (typo, verb) in [
        ("rollbak", "rollback"),
        ("satus", "status"),
        ("resum", "resume"),
    ] {
        let done = tool!("load").args([typo, "--url=mysql://u:p@127.0.0.1:1"]);
        let done = done.run().fails_with(64, &format!("{verb} is one"));
        assert!(done.stderr.contains(typo), "{done}");
    }
    // A file of that name is a dump.
    let world = pilotfish_harness::World::new();
    world.write("rollbak", "CREATE TABLE t (id INT);\n");
    let _ = tool!("load")
        .args(["rollbak", "--url=mysql://u:p@127.0.0.1:1", "--retry-for=0s"])
        .current_dir(world.path())
        .run()
        .fails_with(69, "127.0.0.1:1");
}

#[test]
fn a_time_that_could_be_read_otherwise_is_refused() {
    for (flag, hint) in [
        ("--retry-for=0", "0s"),
        ("--retry-for=5M", "5m is five minutes"),
        ("--swap-timeout=0", "0s"),
        ("--swap-timeout=5M", "5m is five minutes"),
        ("--connect-timeout=5M", "5m is five minutes"),
    ] {
        let done = tool!("load")
            .args(["x.sql", "--url=mysql://u:p@127.0.0.1:1", flag])
            .run();
        let _ = done.fails_with(64, hint);
    }
}

#[test]
fn a_result_is_written_whatever_else_is_wrong_with_the_command_line() {
    let world = World::new();
    let result = world.write("result.json", "");
    let flag = format!("--result-file={}", result.display());
    let _ = tool!("load")
        .args(["--bogus", &flag])
        .run()
        .fails_with(64, "--bogus");
    let written = std::fs::read_to_string(&result).expect("a result");
    assert!(written.contains("<DUMP> is required"), "{written}");
}
