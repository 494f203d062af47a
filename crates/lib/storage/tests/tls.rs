//! https and S3 over TLS against live servers: whom to trust, and what is said of whom not to.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking, as tests do"
)]

use std::path::PathBuf;
use std::time::Duration;

use pilotfish_failure::{Classify, Kind};
use pilotfish_harness::{S3, TlsFront, World};
use pilotfish_storage::serving::{Abilities, HttpServer};
use pilotfish_storage::{
    Address, Error, Options, PathStyle, StorageArgs, Timeouts, open, read_small,
};

/// Options with the account in `env`, for `endpoint` if there is one.
fn options(
    endpoint: Option<String>,
    ca_file: Option<PathBuf>,
    env: &[(&'static str, &'static str)],
) -> Options {
    let args = StorageArgs {
        endpoint,
        region: None,
        path_style: PathStyle::Auto,
        anonymous: false,
        header: Vec::new(),
        bearer_token_file: None,
        ca_file,
    };
    let timeouts = Timeouts {
        connect: Duration::from_secs(5),
        read: Duration::from_secs(20),
    };
    let get = |name: &str| {
        let found = env.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    args.into_options(get, timeouts).unwrap()
}

async fn read(url: &str, options: &Options) -> Result<Vec<u8>, Error> {
    let address = Address::parse(url)?;
    let storage = open(&address, options).await?;
    read_small(&*storage, address.key(), 1 << 20).await
}

fn assert_untrusted(answer: &Result<Vec<u8>, Error>) {
    let Err(error @ Error::Untrusted { .. }) = answer else {
        panic!("{answer:?}");
    };
    assert!(error.hint().unwrap().contains("--ca-file"), "{error}");
    // A live release stays good enough, and the same certificate is not tried again at once.
    assert_eq!(
        (error.kind(), error.is_transient()),
        (Kind::Unreachable, false)
    );
}

#[tokio::test]
async fn a_web_server_is_trusted_by_its_authority_only() {
    let (world, server) = (World::new(), HttpServer::start(Abilities::GOOD));
    let content = vec![b'x'; 300_000];
    server.put("/d.sql", &content);
    let (front, other) = (
        TlsFront::start(&server.url("")),
        TlsFront::start("127.0.0.1:1"),
    );
    let url = format!("{}/d.sql", front.url());
    let right = world.write("ca.pem", front.authority());
    let wrong = world.write("other.pem", other.authority());
    let right = options(None, Some(right), &[]);
    assert_eq!(read(&url, &right).await.unwrap(), content);
    assert_untrusted(&read(&url, &options(None, None, &[])).await);
    assert_untrusted(&read(&url, &options(None, Some(wrong), &[])).await);
}

#[tokio::test]
async fn an_s3_server_is_trusted_by_its_authority_only() {
    let world = World::new();
    let s3 = S3::start(&world);
    s3.put("dumps", "d.sql", "some bytes");
    let front = TlsFront::start(s3.endpoint());
    let right = world.write("ca.pem", front.authority());
    let url = "s3://dumps/d.sql";
    let right = options(Some(front.url()), Some(right), &s3.env());
    assert_eq!(read(url, &right).await.unwrap(), b"some bytes");
    assert_untrusted(&read(url, &options(Some(front.url()), None, &s3.env())).await);
}

#[tokio::test]
async fn a_ca_file_that_holds_none_is_named() {
    let world = World::new();
    let empty = world.write("empty.pem", "no certificate");
    for (path, problem) in [
        (empty, "it holds no certificate"),
        (world.join("absent.pem"), "No such file"),
    ] {
        for (url, endpoint) in [
            ("https://127.0.0.1:1/d.sql", None),
            ("s3://dumps/d.sql", Some("https://127.0.0.1:1".to_owned())),
        ] {
            let options = options(endpoint, Some(path.clone()), &[]);
            let refused = read(url, &options).await.unwrap_err();
            let words = refused.to_string();
            assert!(
                words.contains(problem) && words.contains(path.to_str().unwrap()),
                "{words}"
            );
            assert_eq!(refused.kind(), Kind::Config);
        }
    }
}
