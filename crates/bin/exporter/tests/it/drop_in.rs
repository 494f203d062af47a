//! Started as the two exporters are started, in their manifests and by their habits.

use std::process::{Command, Stdio};

use pilotfish_harness::{
    Exposition, PATIENCE, Port, Postgres, PostgresKind, Running, Server, ServerKind, Tool, World,
    certificate_files, eventually, http, tool,
};

use super::{ACCOUNT, Ours, account, role, role_url};

/// The tool with a free port, and where its metrics are.
fn listening(tool: Tool) -> (Running, String) {
    let port = Port::free();
    let running = tool
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .spawn();
    let url = format!("http://127.0.0.1:{port}");
    eventually("the exporter", PATIENCE, || {
        http::get(&format!("{url}/livez")).map(drop)
    });
    (running, url)
}

fn up(url: &str, name: &str) -> Option<f64> {
    let answer = http::get(&format!("{url}/metrics")).expect("an answer");
    Exposition::parse(&answer.body).value(name, &[])
}

#[test]
fn a_server_is_named_as_mysqld_exporter_has_it() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    let _ = account(&server);
    let ((user, password), port) = (ACCOUNT, server.port());
    let file = format!("[client]\nhost=127.0.0.1\nport={port}\nuser={user}\npassword={password}\n");
    let file = world.write("my.cnf", file);
    let file = format!("--config.my-cnf={}", file.display());
    let address = format!("--mysqld.address=127.0.0.1:{port}");
    let name = format!("{user}:{password}@(127.0.0.1:{port})/");
    for tool in [
        tool!("exporter").arg(&file),
        tool!("exporter").env("DATA_SOURCE_NAME", &name),
        tool!("exporter")
            .args([&address, &format!("--mysqld.username={user}")])
            .env("MYSQLD_EXPORTER_PASSWORD", password),
        tool!("exporter")
            .current_dir(world.path())
            .env("DATA_SOURCE_NAME", &name)
            .args([
                "--no-collect.info_schema.innodb_cmp",
                "--collect.engine_tokudb_status",
                "--exporter.lock_wait_timeout=2",
                "--timeout-offset=0.25",
                "--web.telemetry-path=/metrics",
                "--log.level=info",
            ]),
    ] {
        let (_running, url) = listening(tool);
        assert_eq!(up(&url, "mysql_up"), Some(1.0));
    }
}

#[test]
fn a_server_is_named_as_postgres_exporter_has_it() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &[]);
    let url = role(&server);
    let ((user, password), port) = (ACCOUNT, server.port());
    let file = world.write("password", format!("{password}\n"));
    let address = format!("127.0.0.1:{port}/app?sslmode=disable");
    let address_file = world.write("address", format!("{address}\n"));
    let words = format!(
        "host=127.0.0.1 port={port} user={user} password={password} dbname=app sslmode=disable"
    );
    for tool in [
        tool!("exporter").env("DATA_SOURCE_NAME", format!("{url}?sslmode=disable")),
        tool!("exporter").env("DATA_SOURCE_NAME", words),
        tool!("exporter")
            .env("DATA_SOURCE_URI_FILE", address_file)
            .env("DATA_SOURCE_USER", user)
            .env("DATA_SOURCE_PASS", password),
        tool!("exporter")
            .env("DATA_SOURCE_URI", address.replace("=disable", "=require"))
            .env("DATA_SOURCE_USER", user)
            .env("DATA_SOURCE_PASS_FILE", &file)
            .env("PG_EXPORTER_DISABLE_SETTINGS_METRICS", "true")
            .args([
                // What flags say of TLS counts.
                "--tls-mode=disable",
                "--metric-prefix=pg",
                "--no-web.systemd-socket",
                "--no-collector.wal",
                "--collector.replication_slots",
                "--collector.xlog_location",
            ]),
    ] {
        let (_running, url) = listening(tool);
        assert_eq!(up(&url, "pg_up"), Some(1.0));
    }
}

#[test]
fn probes_ask_other_servers_with_accounts_that_are_meant_for_them() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    let _ = account(&server);
    let (user, password) = ACCOUNT;
    let file = format!("[client]\nuser=nobody\n[client.other]\nuser={user}\npassword={password}\n");
    let file = world.write("my.cnf", file);
    let (_running, url) =
        listening(tool!("exporter").arg(format!("--config.my-cnf={}", file.display())));
    let probe = |query: &str| http::get(&format!("{url}/probe?{query}")).expect("an answer");
    let target = format!("target=127.0.0.1:{}", server.port());
    let found = probe(&format!("{target}&auth_module=client.other"));
    assert_eq!(
        Exposition::parse(&found.body).value("mysql_up", &[]),
        Some(1.0)
    );
    let nobody = probe(&target);
    assert_eq!(
        Exposition::parse(&nobody.body).value("mysql_up", &[]),
        Some(0.0)
    );
    for wrong in [
        format!("{target}&auth_module=client.none"),
        "target=127.0.0.1:abc".to_owned(),
    ] {
        assert_eq!(probe(&wrong).status, 400, "{wrong}");
    }
    assert_eq!(probe("").status, 400);
    // Without a file nobody is logged in anywhere.
    let ours = Ours::start(&server.url(), &[]);
    let refused = http::get(&ours.url(&format!("/probe?{target}"))).expect("an answer");
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("--config.my-cnf"), "{}", refused.body);
}

#[test]
fn probes_ask_other_servers_of_postgres_by_auth_modules() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &[]);
    let url = role(&server);
    let (user, password) = ACCOUNT;
    let file = format!(
        "auth_modules:\n  one:\n    type: userpass\n    userpass:\n      username: {user}\n      password: {password}\n    \
         options:\n      sslmode: disable\n"
    );
    let file = world.write("postgres_exporter.yml", file);
    let ours = Ours::start(&url, &[&format!("--config.file={}", file.display())]);
    let query = format!(
        "/probe?target=127.0.0.1:{}/app&auth_module=one",
        server.port()
    );
    let found = http::get(&ours.url(&query)).expect("an answer");
    assert_eq!(
        Exposition::parse(&found.body).value("pg_up", &[]),
        Some(1.0),
        "{}",
        found.body
    );
    let unknown = http::get(&ours.url(&query.replace("=one", "=two"))).expect("an answer");
    assert_eq!(
        (unknown.status, unknown.body.contains("no auth module two")),
        (400, true)
    );
}

/// What curl gets: the status.
fn curl(args: &[&str]) -> String {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ])
        .args(args)
        .stderr(Stdio::null())
        .output()
        .expect("curl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_web_config_asks_for_tls_and_a_password() {
    let world = World::new();
    let [authority, _, _] = certificate_files(&world);
    let hash = bcrypt::hash("secret", 4).expect("a hash");
    let file = format!(
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\nbasic_auth_users:\n  prometheus: {hash}\n"
    );
    let file = world.write("web.yml", file);
    let port = Port::free();
    let _running = tool!("exporter")
        .args([
            "--url=mysql://u:p@127.0.0.1:1/",
            &format!("--listen=127.0.0.1:{port}"),
        ])
        .arg(format!("--web.config.file={}", file.display()))
        .spawn();
    let url = format!("https://127.0.0.1:{port}");
    let authority = authority.display().to_string();
    let trusting = ["--cacert", authority.as_str()];
    let ask = |path: &str, more: &[&str]| {
        let url = format!("{url}{path}");
        let args: Vec<&str> = trusting
            .iter()
            .chain(more)
            .copied()
            .chain([url.as_str()])
            .collect();
        curl(&args)
    };
    eventually("the exporter", PATIENCE, || {
        (ask("/livez", &[]) == "200").then_some(())
    });
    assert_eq!(ask("/metrics", &[]), "401");
    assert_eq!(ask("/metrics", &["--user", "prometheus:wrong"]), "401");
    assert_eq!(ask("/metrics", &["--user", "prometheus:secret"]), "200");
    assert_eq!(
        curl(&[&format!("{url}/livez")]),
        "000",
        "the authority is not known"
    );
    assert_eq!(
        curl(&[&format!("http://127.0.0.1:{port}/livez")]),
        "000",
        "no TLS"
    );
}

#[test]
fn what_is_wrong_with_files_and_flags_is_said_at_the_start() {
    let world = World::new();
    let typo = world.write("web.yml", "basic_auth_user: {}\n");
    let run = |args: &[&str]| {
        tool!("exporter")
            .args(["--url=mysql://u:hunter2@127.0.0.1:1/"])
            .args(args)
            .run()
    };
    let done = run(&[&format!("--web.config.file={}", typo.display())]);
    let done = done.fails_with(78, "basic_auth_user");
    assert!(!done.stderr.contains("hunter2"), "{done}");
    let _ = run(&["--web.config.file=/nowhere"]).fails_with(78, "/nowhere");
    let _ = run(&["--collect.global_statuss"]).fails_with(64, "--collect.global_statuss");
    let _ = run(&["--cache=nothing=5m"]).fails_with(64, "there is no collector nothing");
    let _ = tool!("exporter").run().fails_with(78, "no account");
    let _ = tool!("exporter")
        .env("DATA_SOURCE_NAME", "postgres://u@a/,postgres://u@b/")
        .run()
        .fails_with(78, "several servers");
    let _ = tool!("exporter")
        .env("DATA_SOURCE_NAME", "postgres://u@a/")
        .env("PG_EXPORTER_EXTEND_QUERY_PATH", "/queries.yaml")
        .run()
        .fails_with(78, "PG_EXPORTER_EXTEND_QUERY_PATH");
    let _ = tool!("exporter")
        .env("DATA_SOURCE_NAME", "postgres://u@a/")
        .env("PILOTFISH_USER", "somebody")
        .run()
        .fails_with(78, "keep one");
    let _ = run(&["--extend.query-path=/queries.yaml"]).fails_with(78, "--extend.query-path");
    let _ = tool!("exporter")
        .env("DATA_SOURCE_NAME", "u:hunter2@(db")
        .run()
        .fails_with(78, "DATA_SOURCE_NAME");
}

#[test]
fn it_lists_every_metric_of_the_server() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres18, &world, &[]);
    let url = role(&server);
    let listed = tool!("exporter")
        .args(["list", "--output=json", "--url", &url])
        .run()
        .success();
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let metrics = listed["metrics"].as_array().expect("metrics");
    let of = |name: &str| {
        metrics
            .iter()
            .find(|metric| metric["name"] == name)
            .expect("the metric")
    };
    assert_eq!(of("pg_up")["type"], "gauge");
    let xacts = of("pg_stat_database_xact_commit");
    assert_eq!(xacts["type"], "counter");
    assert_eq!(xacts["labels"], serde_json::json!(["datid", "datname"]));
    let text = tool!("exporter")
        .args(["list", "--url", &url])
        .run()
        .success();
    assert!(text.stdout.contains("stat_statements"), "{text}");
    let away = tool!("exporter")
        .args(["list", "--url", "mysql://u:p@127.0.0.1:1/"])
        .run();
    let _ = away.fails_with(69, "127.0.0.1:1");
}

#[test]
fn a_password_that_changes_counts_without_a_restart() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &[]);
    let _ = role(&server);
    let file = world.write("password", "secret");
    let url = role_url(&server).replace(":secret@", "@");
    let ours = Ours::start(&url, &[&format!("--password-file={}", file.display())]);
    assert_eq!(ours.scrape().value("pg_up", &[]), Some(1.0));
    server.sql("postgres", "ALTER ROLE exporter PASSWORD 'other'");
    let _ = world.write("password", "other");
    server.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'exporter'",
    );
    eventually("the new password", PATIENCE, || {
        (ours.scrape().value("pg_up", &[]) == Some(1.0)).then_some(())
    });
    server.sql("postgres", "ALTER ROLE exporter PASSWORD 'third'");
    server.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'exporter'",
    );
    eventually("a refusal", PATIENCE, || {
        let found = ours.scrape();
        let refused = found.value("pilotfish_exporter_login_refused", &[]);
        (found.value("pg_up", &[]) == Some(0.0) && refused == Some(1.0)).then_some(())
    });
}
