//! The instant of the swap: who is waited for, and what older snapshots see of it.

use std::path::PathBuf;

use pilotfish_harness::{Holder, Postgres, World};

use super::{live, load, postgres_15, release_no, script, two_releases};

/// A swap that finds no moment while somebody holds what `sql` reads, and finds one afterwards.
fn waits_for(server: &Postgres, second: &PathBuf, sql: &str) {
    let before = live(server);
    let reader = Holder::begin_on(server, "app", sql);
    let run = |timeout: &str| load(server).arg(second).arg(timeout).run();
    let busy = run("--swap-timeout=1s");
    assert_eq!(busy.code, Some(75), "{sql}: {busy}");
    let table = sql.rsplit(' ').next().expect("a table");
    assert!(busy.stderr.contains("process "), "{sql}: {busy}");
    assert!(busy.stderr.contains(table), "{sql}: {busy}");
    assert_eq!(live(server), before, "{sql}");
    drop(reader);
    let _ = run("--swap-timeout=60s").success();
}

#[test]
fn a_reader_of_a_table_is_waited_for() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    waits_for(&server, &second, "SELECT count(*) FROM app.b");
    assert_eq!(release_no(&server), "2");
}

#[test]
fn a_reader_of_a_materialised_view_is_waited_for() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    // LOCK TABLE takes none, and a swap slipped between this and the table.
    waits_for(&server, &second, "SELECT count(*) FROM app.summed");
    assert_eq!(release_no(&server), "2");
}

fn with_foreign_table(world: &World, name: &str, row: u32) -> PathBuf {
    let body = format!(
        "CREATE SCHEMA app;\nCREATE TABLE app.t (id integer);\n\
         CREATE FOREIGN TABLE app.far (line text) SERVER files OPTIONS (filename '/dev/null');\n\
         CREATE SEQUENCE app.s;\nCOPY app.t (id) FROM stdin;\n{row}\n\\.\n"
    );
    script(world, name, &body)
}

#[test]
fn a_reader_of_a_foreign_table_is_waited_for_and_one_of_a_sequence_is_not() {
    let (world, server) = postgres_15();
    server.sql(
        "app",
        "CREATE SCHEMA tools; CREATE EXTENSION file_fdw SCHEMA tools; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
         GRANT USAGE ON FOREIGN SERVER files TO pilotfish; GRANT pg_read_server_files TO pilotfish",
    );
    let first = with_foreign_table(&world, "first.sql", 1);
    let _ = load(&server).arg(&first).run().success();
    let second = with_foreign_table(&world, "second.sql", 2);
    waits_for(&server, &second, "SELECT count(*) FROM app.far");
    assert_eq!(server.sql("app", "SELECT id FROM app.t"), "2\n");
    // Sequences are exempt, as the page of the swap says.
    let reader = Holder::begin_on(&server, "app", "SELECT last_value FROM app.s");
    let third = with_foreign_table(&world, "third.sql", 3);
    let _ = load(&server)
        .arg(&third)
        .arg("--swap-timeout=10s")
        .run()
        .success();
    assert_eq!(server.sql("app", "SELECT id FROM app.t"), "3\n");
    drop(reader);
}

#[test]
fn new_readers_queue_for_moments_only_behind_a_swap_that_waits() {
    let (world, server) = postgres_15();
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).run().success();
    let reader = Holder::begin_on(&server, "app", "SELECT count(*) FROM public.a");
    let mut waits = load(&server).arg(&second).arg("--swap-timeout=20s").spawn();
    let _ = waits.wait_for_stderr("loads");
    let mut answers = 0;
    let started = std::time::Instant::now();
    while started.elapsed().as_secs() < 4 {
        let impatient =
            "SET statement_timeout = '500ms'; SELECT count(*) FROM public.a, app.summed";
        assert_eq!(server.sql("app", impatient), "500\n");
        answers += 1;
    }
    assert!(waits.is_running(), "it swapped under an open reader");
    drop(reader);
    let _ = waits.wait().success();
    eprintln!("{answers} readers answered beside a swap that waits");
    assert_eq!(release_no(&server), "2");
}

/// The snapshot is from before the rows, and no lock of its holder says which tables it will read.
#[test]
fn an_older_snapshot_sees_rows_after_the_swap_or_the_swap_waits_for_its_end() {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::Stdio;
    for threads in ["--threads=1", "--threads=4"] {
        let (world, server) = postgres_15();
        let (first, second) = two_releases(&world, &server);
        let _ = load(&server).arg(&first).run().success();
        let mut client = server
            .client("app")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start psql");
        let mut ask = client.stdin.take().expect("a pipe");
        let mut answers = BufReader::new(client.stdout.take().expect("a pipe")).lines();
        let mut answer = |sql: &str| {
            writeln!(ask, "{sql};").expect("ask");
            answers.next().expect("an answer").expect("an answer")
        };
        let snapshot =
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT txid_current_snapshot() IS NOT NULL";
        assert_eq!(answer(snapshot), "t");
        let done = load(&server)
            .arg(&second)
            .args([threads, "--swap-timeout=3s"])
            .run();
        let seen =
            answer("SELECT count(*) || ' of ' || coalesce(min(release_no), 0) FROM public.a");
        match done.code {
            Some(0) => assert_eq!(seen, "501 of 2", "{threads}: {done}"),
            code => {
                assert_eq!(code, Some(75), "{threads}: {done}");
                assert_eq!(seen, "500 of 1", "{threads}: {done}");
            }
        }
        drop(ask);
        client.wait().expect("end psql");
        let _ = load(&server).arg(&second).run().success();
        assert_eq!(release_no(&server), "2");
    }
}

/// From some pages on: before, the server takes longer to empty the table than anybody to read it.
#[test]
fn rows_that_come_by_one_copy_are_frozen_from_the_start() {
    let (world, server) = postgres_15();
    server.sql(
        "app",
        "CREATE SCHEMA tools; CREATE EXTENSION pg_visibility SCHEMA tools",
    );
    let tables = ["public.a", "public.b", "public.small"];
    let rows = |table: &str| if table == "public.small" { 100 } else { 5000 };
    let body: String = tables
        .iter()
        .map(|table| {
            let lines: String = (0..rows(table)).map(|row| format!("{row}\tthe text of row {row}\n")).collect();
            format!("CREATE TABLE {table} (id integer, text text);\nCOPY {table} (id, text) FROM stdin;\n{lines}\\.\n")
        })
        .collect();
    let path = script(&world, "frozen.sql", &body);
    let _ = load(&server).arg(&path).run().success();
    for table in tables {
        let sql = format!(
            "SELECT all_frozen, pg_relation_size('{table}') / 8192 FROM tools.pg_visibility_map_summary('{table}')"
        );
        let seen = server.sql("app", &sql);
        let (frozen, pages) = seen.trim().split_once('\t').expect("two numbers");
        assert_eq!(frozen == pages, rows(table) > 100, "{table}: {seen}");
    }
}
