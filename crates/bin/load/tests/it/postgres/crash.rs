//! Killed anywhere, live rows are one whole release, and the next run succeeds.

use std::time::{Duration, Instant};

use pilotfish_harness::{Postgres, PostgresKind, Running, seeded, short_or_long};
use rand::Rng as _;

use super::{assert_same, left_behind, live, load, postgres, release_no, two_releases};

/// The whole of `app` as the first release and as the second.
struct Releases([String; 2]);

impl Releases {
    /// Which of them is live, to the last row and definition.
    fn live(&self, server: &Postgres) -> String {
        let seen = release_no(server);
        assert!(seen == "1" || seen == "2", "readers see `{seen}`");
        let whole = &self.0[usize::from(seen == "2")];
        assert_same(whole, &live(server), &format!("release {seen}"));
        seen
    }
}

fn kill_at_random_points(
    kind: PostgresKind,
    swap: &str,
    what: &str,
    kill: impl Fn(&Postgres, Running),
) {
    let mut random = seeded(what);
    let (world, server) = postgres(kind);
    server.sql("postgres", "ALTER ROLE pilotfish CREATEDB");
    let (first, second) = two_releases(&world, &server);
    let start = |dump| load(&server).arg(dump).arg(swap).spawn();
    let _ = start(&first).wait().success();
    let first_whole = live(&server);
    // How long one load takes here decides where the points lie.
    let started = Instant::now();
    let _ = start(&second).wait().success();
    let span = u64::try_from(started.elapsed().as_micros()).expect("a short time");
    let releases = Releases([first_whole, live(&server)]);
    for point in 0..short_or_long(10, 50) {
        let (dump, wanted) = if release_no(&server) == "1" {
            (&second, "2")
        } else {
            (&first, "1")
        };
        let running = start(dump);
        std::thread::sleep(Duration::from_micros(random.random_range(0..span)));
        kill(&server, running);
        let seen = releases.live(&server);
        let _ = start(dump).wait().success();
        assert_eq!(releases.live(&server), wanted);
        eprintln!("{what}: point {point}: {seen} was live, then {wanted}");
        assert_eq!(left_behind(&server), "", "the stage stays");
    }
}

fn loader(_: &Postgres, running: Running) {
    running.signal("KILL");
    let _ = running.wait();
}

fn server(server: &Postgres, running: Running) {
    server.kill9();
    let _ = running.wait();
    server.restart();
}

#[test]
fn the_loader_is_killed() {
    let what = "kill -9 of the loader";
    kill_at_random_points(PostgresKind::Postgres15, "--swap=schema", what, loader);
}

#[test]
fn the_loader_is_killed_while_it_swaps_databases() {
    let what = "kill -9 of the loader that swaps databases";
    kill_at_random_points(PostgresKind::Postgres15, "--swap=database", what, loader);
}

#[test]
fn the_server_is_killed() {
    let what = "kill -9 of PostgreSQL";
    kill_at_random_points(PostgresKind::Postgres15, "--swap=schema", what, server);
}

#[test]
fn the_newer_server_is_killed() {
    let what = "kill -9 of PostgreSQL 18";
    kill_at_random_points(PostgresKind::Postgres18, "--swap=schema", what, server);
}
