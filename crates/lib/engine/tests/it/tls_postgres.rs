//! TLS modes against PostgreSQL, with our certificates and with none.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use pilotfish_engine::{Engine, Error, open};
use pilotfish_harness::{Postgres, PostgresKind, World};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::settings;
use super::tls::authority;

/// Server settings that show a certificate for `name`; `world/ca.pem` is whose it is.
fn with_certificate(kind: PostgresKind, world: &World, name: &str) -> (Postgres, String) {
    let files = authority(world, name);
    let ca = files.ca.display().to_string();
    (with_files(kind, world, &[files.cert, files.key], &ca), ca)
}

/// With a certificate and its key, and an authority for certificates of clients.
fn with_files(kind: PostgresKind, world: &World, files: &[PathBuf; 2], ca: &str) -> Postgres {
    let [certificate, key] = files;
    // As the server demands it of a key.
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let args = [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", certificate.display()),
        format!("ssl_key_file={}", key.display()),
        format!("ssl_ca_file={ca}"),
    ];
    Postgres::start(kind, world, &args.each_ref().map(String::as_str))
}

async fn connect(server: &Postgres, flags: &[&str]) -> Result<Box<dyn Engine>, Error> {
    let engine = open(&settings(&[&["--url", &*server.url()], flags].concat())).await?;
    engine.probe().server().await?;
    Ok(engine)
}

async fn is_encrypted(engine: &dyn Engine) -> bool {
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    engine.probe().query_is_true(sql).await.unwrap()
}

#[tokio::test]
async fn the_host_name_counts_only_with_verify_full() {
    for kind in PostgresKind::all() {
        let world = World::new();
        let (server, ca) = with_certificate(kind, &world, "db.example.org");
        for (flags, encrypted) in [
            (&["--tls-mode=verify-ca", "--tls-ca", &ca][..], true),
            (&["--tls-mode=require"], true),
            (&["--tls-mode=prefer"], true),
            (&["--tls-mode=disable"], false),
            // Loopback needs none.
            (&[], false),
        ] {
            let engine = connect(&server, flags).await.unwrap();
            assert_eq!(is_encrypted(&*engine).await, encrypted, "{flags:?}");
        }
        for (flags, why) in [
            (
                &["--tls-mode=verify-full", "--tls-ca", &ca][..],
                "db.example.org",
            ),
            (&["--tls-ca", &ca], "db.example.org"),
            (&["--tls-mode=verify-ca"], "--tls-ca"),
            (&["--tls-mode=verify-full"], "--tls-ca"),
        ] {
            let refused = connect(&server, flags).await.err().unwrap();
            assert!(
                matches!(&refused, Error::Config(words) if words.contains(why)),
                "{flags:?}: {refused}"
            );
        }
    }
}

#[tokio::test]
async fn the_right_name_and_the_wrong_ca() {
    let world = World::new();
    let (server, ca) = with_certificate(PostgresKind::Postgres15, &world, "127.0.0.1");
    let engine = connect(&server, &["--tls-ca", &ca]).await.unwrap();
    assert!(is_encrypted(&*engine).await);
    let other = World::new();
    let stranger = authority(&other, "127.0.0.1").ca.display().to_string();
    let refused = connect(&server, &["--tls-ca", &stranger])
        .await
        .err()
        .unwrap();
    assert!(matches!(refused, Error::Config(_)), "{refused}");
}

/// As `openssl req -x509` makes it: an authority's certificate, which the server shows itself.
#[tokio::test]
async fn a_certificate_that_signed_itself_is_trusted_where_it_is_given() {
    let world = World::new();
    for (name, full) in [("127.0.0.1", true), ("db.example.org", false)] {
        let mut itself = CertificateParams::new(vec![name.to_owned()]).unwrap();
        itself.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let itself = itself.self_signed(&key).unwrap().pem();
        let ca = world.write("ca.pem", &itself).display().to_string();
        let files = [
            world.write("cert.pem", &itself),
            world.write("key.pem", key.serialize_pem()),
        ];
        let server = with_files(PostgresKind::Postgres18, &world, &files, &ca);
        let engine = connect(&server, &["--tls-mode=verify-ca", "--tls-ca", &ca])
            .await
            .unwrap();
        assert!(is_encrypted(&*engine).await);
        let verified = connect(&server, &["--tls-mode=verify-full", "--tls-ca", &ca]).await;
        assert_eq!(verified.is_ok(), full, "{name}");
        let other = World::new();
        let stranger = authority(&other, "127.0.0.1").ca.display().to_string();
        let refused = connect(&server, &["--tls-mode=verify-ca", "--tls-ca", &stranger]).await;
        assert!(refused.is_err());
    }
}

#[tokio::test]
async fn a_server_without_tls() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres18, &world, &[]);
    let engine = connect(&server, &["--tls-mode=prefer"]).await.unwrap();
    assert!(!is_encrypted(&*engine).await);
    let refused = connect(&server, &["--tls-mode=require"])
        .await
        .err()
        .unwrap();
    assert!(refused.to_string().contains("offers no TLS"), "{refused}");
}

#[tokio::test]
async fn an_account_without_a_password_logs_in_by_its_certificate() {
    let world = World::new();
    let (server, ca) = with_certificate(PostgresKind::Postgres18, &world, "pilotfish");
    server.authenticate("hostssl all all 127.0.0.1/32 cert");
    let (cert, key) = (world.join("cert.pem"), world.join("key.pem"));
    let url = format!("postgres://pilotfish@127.0.0.1:{}/app", server.port());
    let identity = [
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    let flags = ["--url", &url, "--tls-mode=verify-ca", "--tls-ca", &ca];
    let engine = open(&settings(&[&flags[..], &identity].concat()))
        .await
        .unwrap();
    assert!(is_encrypted(&*engine).await);
    let engine = open(&settings(&flags)).await.unwrap();
    let refused = engine.probe().server().await.unwrap_err();
    assert!(matches!(refused, Error::LoginRefused(_)), "{refused}");
}
