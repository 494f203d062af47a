//! Checksum files that come later than the object they are about, or earlier.

use pilotfish_harness::{PATIENCE, Running, World, eventually};
use pilotfish_storage::serving::{Abilities, HttpServer};

use crate::{assert_untouched, dump, fetch, published, sha256, stopped, until_published};

const SUMS: &str = "/dump.sql.sha256";

fn every_moment(world: &World, server: &HttpServer, from: &str) -> Running {
    fetch(world, &server.url("/dump.sql"))
        .args(["--every", "300ms", "--listen", "127.0.0.1:0"])
        .args(["--init-max-failures", "1000", "--checksum-from", from])
        .spawn()
}

/// Waits until the checksum file was asked for once more.
fn another_look(server: &HttpServer) {
    let looks = || {
        let requests = server.requests();
        requests.iter().filter(|it| it.path == SUMS).count()
    };
    let before = looks();
    // One may be under way with the old answer, and each look is two requests.
    eventually("another look at the checksum", PATIENCE, || {
        (looks() > before + 4).then_some(())
    });
}

#[test]
fn an_object_waits_for_the_checksum_file_that_it_must_have() {
    let (world, server) = (World::new(), HttpServer::start(Abilities::GOOD));
    let content = dump(50_000, 1);
    server.put("/dump.sql", &content);
    let mut running = every_moment(&world, &server, &server.url(SUMS));
    running.wait_for_stderr("dump.sql.sha256: there is no such object");
    assert_untouched(&world);
    server.put(SUMS, sha256(&content).as_bytes());
    until_published(&world, &content);
    stopped(running);
}

#[test]
fn a_checksum_file_that_may_not_be_read_is_said_loudly() {
    let (world, server) = (World::new(), HttpServer::start(Abilities::GOOD));
    let content = dump(50_000, 4);
    server.put("/dump.sql", &content);
    server.redirect(SUMS, &crate::faults::says(403));
    let done = fetch(&world, &server.url("/dump.sql"))
        .args(["--checksum-from", "auto"])
        .run()
        .success();
    assert!(done.stderr.contains("taken without proof"), "{done}");
    assert_eq!(published(&world, "dump.sql"), content);
}

#[test]
fn the_reason_of_a_refusal_is_said_again_in_later_rounds() {
    let (world, server) = (World::new(), HttpServer::start(Abilities::GOOD));
    server.put("/dump.sql", &dump(50_000, 5));
    server.put(SUMS, sha256(b"another").as_bytes());
    let mut running = every_moment(&world, &server, "auto");
    let log = running.wait_for_stderr("was refused before");
    let line = log.lines().find(|line| line.contains("was refused before"));
    assert!(line.unwrap().contains("its SHA-256 is"), "{log}");
    stopped(running);
}

#[test]
fn a_new_object_waits_for_its_checksum_while_the_file_beside_it_is_the_old_one() {
    let (world, server) = (World::new(), HttpServer::start(Abilities::GOOD));
    let (first, second, third) = (dump(50_000, 1), dump(50_000, 2), dump(50_000, 3));
    server.put("/dump.sql", &first);
    server.put(SUMS, sha256(&first).as_bytes());
    let mut running = every_moment(&world, &server, "auto");
    until_published(&world, &first);
    server.put("/dump.sql", &second);
    another_look(&server);
    assert_eq!(published(&world, "dump.sql"), first);
    server.put(SUMS, sha256(&second).as_bytes());
    until_published(&world, &second);
    // A checksum of neither the live release nor the new object: refused until it is mended.
    server.put(SUMS, sha256(&first).as_bytes());
    server.put("/dump.sql", &third);
    running.wait_for_stderr("its SHA-256 is");
    assert_eq!(published(&world, "dump.sql"), second);
    server.put(SUMS, sha256(&third).as_bytes());
    until_published(&world, &third);
    stopped(running);
}
