//! TLS modes against servers with our certificates, with the ones they make themselves, with none.

use std::path::PathBuf;

use pilotfish_engine::{Engine, Error, open};
use pilotfish_harness::{Server, ServerKind, World};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::settings;

/// Files of a CA, and of a certificate and its key.
pub(crate) struct Files {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// A CA, and server options that show a certificate of its for `name`.
fn certificates(world: &World, name: &str) -> (PathBuf, [String; 3]) {
    let Files { ca, cert, key } = authority(world, name);
    let options = [("ca", &ca), ("cert", &cert), ("key", &key)]
        .map(|(what, path)| format!("--ssl-{what}={}", path.display()));
    (ca, options)
}

/// A CA, and a certificate of its for `name`, which is its common name as well.
pub(crate) fn authority(world: &World, name: &str) -> Files {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    leaf.distinguished_name.push(DnType::CommonName, name);
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    Files {
        ca: world.write("ca.pem", authority.pem()),
        cert: world.write("cert.pem", leaf.pem()),
        key: world.write("key.pem", key.serialize_pem()),
    }
}

async fn connect(server: &Server, flags: &[&str]) -> Result<Box<dyn Engine>, Error> {
    open(&settings(&[&["--url", &*server.url()], flags].concat())).await
}

async fn is_encrypted(engine: &dyn Engine) -> bool {
    // A status variable, which no query can read on both; the session's own view of it can.
    let sql = match engine.name() {
        "mysql" => {
            "SELECT variable_value <> '' FROM performance_schema.session_status WHERE variable_name = 'Ssl_cipher'"
        }
        _ => {
            "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
        }
    };
    engine.probe().query_is_true(sql).await.unwrap()
}

#[tokio::test]
async fn the_host_name_counts_only_with_verify_full() {
    for kind in ServerKind::all() {
        let world = World::new();
        let (ca, options) = certificates(&world, "db.example.org");
        let server = Server::start(kind, &world, &options.each_ref().map(String::as_str));
        let ca = ca.to_str().unwrap();
        let engine = connect(&server, &["--tls-mode=verify-ca", "--tls-ca", ca])
            .await
            .unwrap();
        assert!(is_encrypted(&*engine).await);
        let refused = connect(&server, &["--tls-mode=verify-full", "--tls-ca", ca])
            .await
            .err()
            .unwrap();
        assert!(
            matches!(&refused, Error::Config(why) if why.contains("db.example.org")),
            "{refused}"
        );
        let refused = connect(&server, &["--tls-ca", ca]).await.err().unwrap();
        assert!(
            matches!(refused, Error::Config(_)),
            "a CA alone asks for verify-full"
        );
        for mode in ["--tls-mode=verify-ca", "--tls-mode=verify-full"] {
            let refused = connect(&server, &[mode]).await.err().unwrap();
            assert!(
                matches!(&refused, Error::Config(why) if why.contains("--tls-ca")),
                "{refused}"
            );
        }
        let engine = connect(&server, &["--tls-mode=require"]).await.unwrap();
        assert!(is_encrypted(&*engine).await);
        let engine = connect(&server, &["--tls-mode=disable"]).await.unwrap();
        assert!(!is_encrypted(&*engine).await);
        let engine = connect(&server, &[]).await.unwrap();
        assert!(!is_encrypted(&*engine).await, "loopback needs none");
    }
}

#[tokio::test]
async fn the_right_name_and_the_wrong_ca() {
    let world = World::new();
    let (ca, options) = certificates(&world, "127.0.0.1");
    let server = Server::start(
        ServerKind::MariaDb1011,
        &world,
        &options.each_ref().map(String::as_str),
    );
    let engine = connect(&server, &["--tls-ca", ca.to_str().unwrap()])
        .await
        .unwrap();
    assert!(is_encrypted(&*engine).await);
    let other = World::new();
    let (stranger, _) = certificates(&other, "127.0.0.1");
    let refused = connect(&server, &["--tls-ca", stranger.to_str().unwrap()])
        .await
        .err()
        .unwrap();
    assert!(matches!(refused, Error::Config(_)), "{refused}");
    let empty = world.write("empty.pem", "no certificate\n");
    let refused = connect(&server, &["--tls-ca", empty.to_str().unwrap()])
        .await
        .err()
        .unwrap();
    assert!(
        refused.to_string().contains("holds no PEM certificate"),
        "{refused}"
    );
}

#[tokio::test]
async fn certificates_that_servers_make_themselves_are_encryption_without_proof() {
    for kind in [ServerKind::MariaDb118, ServerKind::MySql97] {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        for mode in ["--tls-mode=require", "--tls-mode=prefer"] {
            let engine = connect(&server, &[mode]).await.unwrap();
            assert!(is_encrypted(&*engine).await, "{mode}");
        }
        let refused = connect(&server, &["--tls-mode=verify-ca"])
            .await
            .err()
            .unwrap();
        assert!(matches!(refused, Error::Config(_)), "{refused}");
    }
}

#[tokio::test]
async fn a_server_without_tls() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &["--skip-ssl"]);
    let engine = connect(&server, &["--tls-mode=prefer"]).await.unwrap();
    assert!(!is_encrypted(&*engine).await);
    let refused = connect(&server, &["--tls-mode=require"])
        .await
        .err()
        .unwrap();
    assert!(refused.to_string().contains("offers no TLS"), "{refused}");
}

#[tokio::test]
async fn an_account_that_demands_tls_says_what_to_do() {
    let world = World::new();
    let server = Server::start(
        ServerKind::MySql97,
        &world,
        &["--require-secure-transport=ON"],
    );
    let refused = connect(&server, &["--tls-mode=disable"])
        .await
        .err()
        .unwrap();
    assert!(
        refused.to_string().contains("--tls-mode require"),
        "{refused}"
    );
    connect(&server, &["--tls-mode=require"]).await.unwrap();
}
