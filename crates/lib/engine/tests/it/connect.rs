use std::time::Duration;

use pilotfish_engine::{Error, open};
use pilotfish_harness::{Port, Server, ServerKind, World};

use super::settings;

#[tokio::test]
async fn a_password_rotates_without_a_restart() {
    for kind in ServerKind::all() {
        let world = World::new();
        let server = Server::start(kind, &world, &[]);
        let file = world.write("password", "secret\n");
        let port = server.port().to_string();
        let flags = ["--user=pilotfish", "--port", &port, "--password-file"];
        let settings = settings(&[&flags[..], &[file.to_str().unwrap()]].concat());
        let engine = open(&settings).await.unwrap();
        // The file is ahead of the server, then the server follows.
        world.write("password", "newer\n");
        engine.probe().server().await.unwrap();
        server.sql("ALTER USER 'pilotfish'@'127.0.0.1' IDENTIFIED BY 'newer'");
        engine.probe().server().await.unwrap();
        // The file is gone for a moment, as while a Secret is swapped.
        std::fs::remove_file(&file).unwrap();
        engine.probe().server().await.unwrap();
        server.sql("ALTER USER 'pilotfish'@'127.0.0.1' IDENTIFIED BY 'newest'");
        let error = engine.probe().server().await.unwrap_err();
        assert!(matches!(error, Error::LoginRefused(_)), "{error}");
    }
}

#[tokio::test]
async fn errors_have_meanings_and_no_secrets() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    let wrong = format!("mysql://pilotfish:hunter2@127.0.0.1:{}", server.port());
    let error = open(&settings(&["--url", &wrong])).await.err().unwrap();
    assert!(matches!(error, Error::LoginRefused(_)), "{error}");
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
    let away = format!(
        "mysql://pilotfish:hunter2@127.0.0.1:{}",
        Port::free().number()
    );
    let error = open(&settings(&["--url", &away])).await.err().unwrap();
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
    assert!(error.to_string().contains("127.0.0.1:"), "{error}");
    let lost = settings(&["--user=root", "--socket=/nowhere/socket"]);
    let error = open(&lost).await.err().unwrap();
    assert!(error.to_string().contains("/nowhere/socket"), "{error}");
}

#[tokio::test]
async fn a_socket_reaches_a_server_without_a_network() {
    for kind in ServerKind::all() {
        let world = World::new();
        let server = Server::start(kind, &world, &["--skip-networking"]);
        let socket = server.socket();
        let settings = settings(&["--user=root", "--socket", socket.to_str().unwrap()]);
        let seen = open(&settings)
            .await
            .unwrap()
            .probe()
            .server()
            .await
            .unwrap();
        assert!(!seen.networking, "{seen:?}");
    }
}

#[tokio::test]
async fn a_session_over_tcp_stays_on_tcp() {
    // The driver's default would move it onto the server's own socket, another account's door.
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    let engine = open(&settings(&["--url", &server.url()])).await.unwrap();
    let over_tcp = "SELECT host LIKE '127.0.0.1:%' FROM information_schema.processlist WHERE id = CONNECTION_ID()";
    assert!(engine.probe().query_is_true(over_tcp).await.unwrap());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://u@{}", silent.local_addr().unwrap());
    let mut settings = settings(&["--url", &url]);
    settings.connect_timeout = Duration::from_millis(200);
    let error = open(&settings).await.err().unwrap();
    assert!(
        matches!(&error, Error::Unreachable(why) if why.contains("no session within")),
        "{error}"
    );
}
