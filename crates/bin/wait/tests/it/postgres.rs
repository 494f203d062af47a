//! The same tool, the same words, on PostgreSQL.

use pilotfish_harness::{PATIENCE, Postgres, PostgresKind, World, eventually};

use super::wait;

#[test]
fn a_server_is_ready_by_address_flags_or_variables() {
    for kind in PostgresKind::all() {
        let world = World::new();
        let server = Postgres::start(kind, &world, &[]);
        let port = server.port().to_string();
        let password = world.write("password", "secret\n");
        let _ = wait().args(["--url", &server.url()]).run().success();
        let _ = wait()
            .args(["--engine=postgres", "--user=pilotfish", "--port", &port])
            .arg("--password-file")
            .arg(&password)
            .run()
            .success();
        let variables = [
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &port),
            ("PGUSER", "pilotfish"),
            ("PGDATABASE", "app"),
        ];
        let by_variables = || {
            variables
                .iter()
                .fold(wait(), |tool, (name, value)| tool.env(name, value))
        };
        let _ = by_variables().env("PGPASSWORD", "secret").run().success();
        let passwords = world.write("pgpass", "*:*:app:pilotfish:secret\n");
        let _ = by_variables().env("PGPASSFILE", passwords).run().success();
        // The socket lets everybody in who says who he is.
        let socket = server.socket_folder().join(format!(".s.PGSQL.{port}"));
        let _ = wait()
            .args(["--user=postgres", "--socket"])
            .arg(socket)
            .run()
            .success();
    }
}

#[test]
fn a_wrong_password_and_a_wrong_kind_of_server_are_named() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &[]);
    let url = server.url().replace("secret", "hunter2");
    let refused = wait()
        .args(["--fail-fast", "--url", &url])
        .run()
        .fails_with(77, "password authentication failed");
    assert!(!refused.stderr.contains("hunter2"), "{refused}");
    let mysql = format!("mysql://pilotfish:secret@127.0.0.1:{}", server.port());
    let _ = wait()
        .args(["--timeout=2s", "--url", &mysql])
        .run()
        .fails_with(124, "");
}

#[test]
fn tables_and_questions_are_waited_for() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres18, &world, &[]);
    let mut waiting = wait()
        .args(["--url", &server.url(), "--writable"])
        .args(["--table=drugs:2", "--table=shop.drugs:2"])
        .args(["--query=SELECT count(*) = 2 FROM shop.drugs"])
        .spawn();
    waiting.wait_for_stderr("drugs");
    server.sql(
        "app",
        "SET ROLE pilotfish; CREATE SCHEMA shop; \
         CREATE TABLE shop.drugs AS SELECT generate_series(1, 2) AS id",
    );
    server.sql(
        "app",
        "CREATE VIEW public.drugs AS TABLE shop.drugs; GRANT SELECT ON public.drugs TO pilotfish",
    );
    let _ = waiting.wait().success();
    for mistake in [
        "SELEKT 1",
        "SELECT 1; DROP TABLE shop.drugs",
        "DELETE FROM shop.drugs",
    ] {
        let query = format!("--query={mistake}");
        let _ = wait()
            .args(["--url", &server.url(), "--fail-fast", &query])
            .run()
            .fails_with(78, "");
    }
    assert_eq!(
        server.sql("app", "SELECT count(*) FROM shop.drugs").trim(),
        "2"
    );
}

#[test]
fn a_question_ends_with_whoever_asked() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &[]);
    let asked = || {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE state = 'active' AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
        server.sql("app", sql).trim().parse::<u32>().unwrap()
    };
    let waiting = wait()
        .args(["--url", &server.url(), "--look-timeout=60s"])
        .arg("--query=SELECT pg_sleep(600) IS NULL")
        .spawn();
    eventually("the question to be asked", PATIENCE, || {
        (asked() == 1).then_some(())
    });
    waiting.signal("KILL");
    let _ = waiting.wait();
    eventually("the question to end", PATIENCE, || {
        (asked() == 0).then_some(())
    });
}

#[test]
fn a_standby_has_a_lag_and_is_not_writable() {
    for kind in PostgresKind::all() {
        let world = World::new();
        let primary = Postgres::start(kind, &world, &[]);
        primary.sql("postgres", "GRANT pg_read_all_stats TO pilotfish");
        let standby = Postgres::standby_of(&primary, &world);
        let url = standby.url();
        let _ = wait()
            .args(["--url", &url, "--max-lag=10s"])
            .run()
            .success();
        let _ = wait()
            .args(["--url", &url, "--writable", "--timeout=1s"])
            .run()
            .fails_with(124, "read-only");
        // Nobody knows the lag of a standby whose primary is away: it must not pass for none.
        primary.stop();
        eventually("the lag to be unknown", PATIENCE, || {
            let look = wait()
                .args(["--url", &url, "--max-lag=10s", "--timeout=1s"])
                .run();
            (look.code == Some(124)).then_some(())
        });
    }
}

#[test]
fn on_postgres_a_release_is_awaited_until_it_is_live_and_whole() {
    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &[]);
    server.create_database("other");
    let look = |database: &str, release: &str| {
        wait()
            .args(["--url", &server.url_of(database), "--timeout=1s"])
            .args(["--release", release])
            .run()
    };
    let _ = look("app", DIGEST).fails_with(124, "is not live");
    // The ledger as a load leaves it.
    server.sql(
        "app",
        &format!(
            "SET ROLE pilotfish; CREATE SCHEMA pilotfish; CREATE SCHEMA shop; \
             CREATE TABLE pilotfish.releases (role text PRIMARY KEY, content text NOT NULL); \
             CREATE TABLE pilotfish.rejected (digest text, contents text, since timestamptz); \
             INSERT INTO pilotfish.releases VALUES ('live', \
             '{{\"release\":{{\"digest\":\"{DIGEST}\",\"since\":1700000000,\"tables\":{{}},\"objects\":{{}}}}, \
             \"schemas\":[\"shop\"],\"objects\":[\"shop.drugs\",\"shop.v\"]}}')"
        ),
    );
    let mut waiting = wait()
        .args(["--url", &server.url(), "--release", &DIGEST[..12]])
        .spawn();
    waiting.wait_for_stderr("is not live");
    server.sql(
        "app",
        "SET ROLE pilotfish; CREATE TABLE shop.drugs (id integer); CREATE VIEW shop.v AS TABLE shop.drugs",
    );
    let _ = waiting.wait().success();
    let _ = look("app", "ffffffffffff").fails_with(124, "is not live");
    let _ = look("other", DIGEST).fails_with(124, "is live in app, not in other");
    server.sql("app", "DROP VIEW shop.v");
    let _ = look("app", DIGEST).fails_with(124, "is not live");
}
