//! What would be waited for without an end, and answers that do not tell theirs.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use pilotfish_harness::{Fault, Proxy, World, tool};
use pilotfish_storage::serving::{Abilities, HttpServer};

use crate::{assert_untouched, dump, fetch, published, sha256, stored};

/// A server that answers each request in one way; its address.
fn answering(answer: fn(&mut TcpStream) -> std::io::Result<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // Each request is small, and a client that has seen enough is its own affair.
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 8192]);
                let _ = answer(&mut stream);
            });
        }
    });
    url
}

#[test]
fn an_answer_without_an_end_needs_a_checksum() {
    let world = World::new();
    let server = HttpServer::start(Abilities {
        lengths: false,
        ..Abilities::PLAIN
    });
    let content = dump(300_000, 1);
    server.put("/dump.sql", &content);
    let url = server.url("/dump.sql");
    let refused = fetch(&world, &url).run();
    let refused = refused.fails_with(69, "neither its length nor its end");
    assert!(refused.stderr.contains("--sha256"), "{refused}");
    assert_untouched(&world);
    let streamed = tool!("fetch").args([&url, "--stdout"]).run();
    let streamed = streamed.fails_with(69, "neither its length nor its end");
    assert_eq!(streamed.stdout, "");
    let proven = ["--sha256", &sha256(&content)];
    fetch(&world, &url).args(proven).run().success();
    assert_eq!(published(&world, "dump.sql"), content);
    // Cut by a connection that ends as the whole would.
    let cut = &content[..content.len() / 2];
    server.put("/dump.sql", cut);
    let world = World::new();
    let cut = fetch(&world, &url).args(proven).run();
    cut.fails_with(65, "SHA-256");
    assert_untouched(&world);
}

#[test]
fn a_page_without_an_end_does_not_fill_the_disk() {
    let world = World::new();
    let url = answering(|stream| {
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        )?;
        let page = format!("<!doctype html><title>Log in</title>{}", " ".repeat(4000));
        loop {
            write!(stream, "{:x}\r\n{page}\r\n", page.len())?;
        }
    });
    let page = fetch(&world, &format!("{url}/dump.sql")).run();
    page.fails_with(69, "a web page");
    assert_untouched(&world);
}

#[test]
fn a_store_that_repeats_a_page_of_its_listing_is_given_up() {
    let world = World::new();
    let endpoint = answering(|stream| {
        let list = "<ListBucketResult><IsTruncated>true</IsTruncated>\
                    <NextContinuationToken>again</NextContinuationToken>\
                    <Contents><Key>a.sql</Key><Size>1</Size></Contents></ListBucketResult>";
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{list}",
            list.len()
        )
    });
    let endless = fetch(&world, "s3://dumps/")
        .args(["--endpoint", &endpoint, "--anonymous"])
        .run();
    endless.fails_with(69, "repeats a page");
}

#[test]
fn a_run_ends_when_its_time_is_over() {
    let world = World::new();
    let server = HttpServer::start(Abilities::GOOD);
    let content = dump(400_000, 2);
    server.put("/dump.sql", &content);
    let slow = Fault::Slow {
        bytes_per_second: 20_000,
    };
    let proxy = Proxy::start(&server.url(""), slow);
    let url = format!("{}/dump.sql", proxy.url());
    let run = || fetch(&world, &url).args(["--timeout", "2s"]).run();
    run().fails_with(124, "--timeout");
    assert_untouched(&world);
    let streamed = tool!("fetch")
        .args([&url, "--stdout", "--timeout", "2s"])
        .run();
    streamed.fails_with(124, "--timeout");
    fetch(&world, &server.url("/dump.sql")).run().success();
    server.put("/dump.sql", &dump(400_000, 3));
    let good_enough = run().success();
    assert_eq!(good_enough.json()["outcome"], "source_away");
    assert_eq!(published(&world, "dump.sql"), content);
}

#[test]
fn a_head_without_words_is_a_refusal_of_the_account() {
    let world = World::new();
    let endpoint = answering(|stream| {
        write!(
            stream,
            "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"
        )
    });
    let run = || {
        fetch(&world, "s3://dumps/dump.sql")
            .args(["--endpoint", &endpoint])
            .env("AWS_ACCESS_KEY_ID", "some-key")
            .env("AWS_SECRET_ACCESS_KEY", "some-secret")
            .env("AWS_SESSION_TOKEN", "some-session")
            .run()
    };
    run().fails_with(77, "a session that has expired");
    let path = stored(&world, "dump.sql", dump(1000, 4));
    let url = format!("file://{}", path.display());
    fetch(&world, &url).run().success();
    assert_eq!(run().success().json()["outcome"], "source_away");
}
