//! Killed anywhere, live rows are one whole release, and the next run succeeds.

use std::time::Duration;

use pilotfish_harness::{Server, ServerKind, World, seeded, short_or_long};
use rand::Rng as _;

use crate::{checksums, load, release_no, two_releases};

/// What the tables hold as the first release and as the second.
struct Releases([String; 2]);

impl Releases {
    /// Which of them is live, to the last row.
    fn live(&self, server: &Server) -> String {
        let seen = release_no(server);
        let rows = checksums(server, "app");
        assert!(seen == "1" || seen == "2", "readers see `{seen}`");
        let whole = &self.0[usize::from(seen == "2")];
        assert_eq!(&rows, whole, "release {seen} is not whole");
        seen
    }
}

fn kill_at_random_points(
    kind: ServerKind,
    what: &str,
    kill: impl Fn(&Server, pilotfish_harness::Running),
) {
    let mut random = seeded(what);
    let world = World::new();
    let server = Server::start(kind, &world, &["--local-infile=1"]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let sums_of_first = checksums(&server, "app");
    // How long one load takes here decides where the points lie.
    let started = std::time::Instant::now();
    let _ = load(&server).arg(&second).arg("--into=app").run().success();
    let span = u64::try_from(started.elapsed().as_micros()).expect("a short time");
    let releases = Releases([sums_of_first, checksums(&server, "app")]);
    for point in 0..short_or_long(10, 50) {
        let dump = if release_no(&server) == "1" {
            &second
        } else {
            &first
        };
        let running = load(&server).arg(dump).arg("--into=app").spawn();
        std::thread::sleep(Duration::from_micros(random.random_range(0..span)));
        kill(&server, running);
        let seen = releases.live(&server);
        let _ = load(&server).arg(dump).arg("--into=app").run().success();
        let after = releases.live(&server);
        eprintln!("{what}: point {point}: {seen} was live, then {after}");
        let staging = server.sql("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'pilotfish%next%'");
        assert_eq!(staging, "", "the staging schema stays");
    }
}

#[test]
fn the_loader_is_killed() {
    kill_at_random_points(
        ServerKind::MariaDb1011,
        "kill -9 of the loader",
        |_, running| {
            running.signal("KILL");
            let _ = running.wait();
        },
    );
}

#[test]
fn the_server_is_killed() {
    kill_at_random_points(
        ServerKind::MariaDb1011,
        "kill -9 of MariaDB",
        |server, running| {
            server.kill9();
            let _ = running.wait();
            server.restart();
        },
    );
}

#[test]
fn mysql_is_killed() {
    kill_at_random_points(
        ServerKind::MySql97,
        "kill -9 of MySQL",
        |server, running| {
            server.kill9();
            let _ = running.wait();
            server.restart();
        },
    );
}
