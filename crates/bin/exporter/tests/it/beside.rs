//! Beside a server that comes, goes, hangs, is locked, is large, or shows little.

use std::thread;
use std::time::{Duration, Instant};

use pilotfish_harness::{
    Exposition, Holder, PATIENCE, Postgres, PostgresKind, Server, ServerKind, World, eventually,
};

use super::{ACCOUNT, Ours, account, role};

/// As Prometheus says how long it waits.
const THREE_SECONDS: [(&str, &str); 1] = [("x-prometheus-scrape-timeout-seconds", "3")];

/// Far less than a server that hangs would take, and room for a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(8);

/// A scrape of somebody who waits for three seconds.
fn in_three_seconds(ours: &Ours) -> Exposition {
    let started = Instant::now();
    let found = ours.scrape_with(&THREE_SECONDS);
    let took = started.elapsed();
    assert!(took < SOON, "{took:?}");
    found
}

/// Sessions of the exporter's account.
fn sessions(server: &Server) -> u32 {
    let (user, _) = ACCOUNT;
    let sql = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{user}'");
    server.sql(&sql).trim().parse().expect("a number")
}

fn sessions_of_postgres(server: &Postgres) -> u32 {
    let (user, _) = ACCOUNT;
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{user}'");
    server
        .sql("postgres", &sql)
        .trim()
        .parse()
        .expect("a number")
}

#[test]
fn a_server_that_is_away_is_shown_as_away_at_once_and_comes_back() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    let url = account(&server);
    let ours = Ours::start(&url, &[]);
    assert_eq!(ours.scrape().value("mysql_up", &[]), Some(1.0));
    server.kill9();
    let down = in_three_seconds(&ours);
    assert_eq!(down.value("mysql_up", &[]), Some(0.0));
    assert_eq!(down.value("mysql_global_status_uptime", &[]), None);
    server.restart();
    let up = ours.scrape();
    assert_eq!(up.value("mysql_up", &[]), Some(1.0));
    assert!(up.value("mysql_global_status_uptime", &[]).is_some());
}

#[test]
fn a_postgres_that_is_away_is_shown_as_away_at_once_and_comes_back() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &[]);
    let url = role(&server);
    let ours = Ours::start(&url, &[]);
    assert_eq!(ours.scrape().value("pg_up", &[]), Some(1.0));
    server.kill9();
    let down = in_three_seconds(&ours);
    assert_eq!(down.value("pg_up", &[]), Some(0.0));
    assert_eq!(down.value("pg_exporter_last_scrape_error", &[]), Some(1.0));
    server.restart();
    assert_eq!(ours.scrape().value("pg_up", &[]), Some(1.0));
}

#[test]
fn a_setting_that_changes_is_shown_at_once() {
    let world = World::new();
    for kind in [ServerKind::MariaDb1011, ServerKind::MariaDb118] {
        let server = Server::start(kind, &world, &[]);
        server.sql("SET GLOBAL default_tmp_storage_engine = 'Aria'");
        let ours = Ours::start(&account(&server), &[]);
        let limit = || {
            let name = "mysql_global_variables_max_connections";
            ours.scrape().value(name, &[])
        };
        let _ = limit();
        server.sql("SET GLOBAL max_connections = 77");
        assert_eq!(limit(), Some(77.0));
        // One that becomes NULL is in the way of asking for all by their names.
        server.sql("SET GLOBAL default_tmp_storage_engine = NULL, max_connections = 78");
        assert_eq!(limit(), Some(78.0));
        assert_eq!(limit(), Some(78.0));
    }
}

#[test]
fn whatever_somebody_says_of_his_patience_is_answered() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    let ours = Ours::start(&account(&server), &[]);
    for seconds in ["1e19", "1e6", "-1", "NaN", "soon"] {
        let found = ours.scrape_with(&[("x-prometheus-scrape-timeout-seconds", seconds)]);
        assert_eq!(found.value("mysql_up", &[]), Some(1.0), "{seconds}");
    }
}

#[test]
fn a_postgres_that_hangs_is_shown_as_away_at_once() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &[]);
    let ours = Ours::start(&role(&server), &[]);
    assert_eq!(ours.scrape().value("pg_up", &[]), Some(1.0));
    server.freeze();
    for _ in 0..2 {
        assert_eq!(in_three_seconds(&ours).value("pg_up", &[]), Some(0.0));
    }
    server.thaw();
    eventually("the server", PATIENCE, || {
        (in_three_seconds(&ours).value("pg_up", &[]) == Some(1.0)).then_some(())
    });
}

#[test]
fn a_server_that_hangs_costs_no_more_sessions_however_often_it_is_asked() {
    let world = World::new();
    let server = Server::start(ServerKind::MySql97, &world, &[]);
    let url = account(&server);
    let ours = Ours::start(&url, &[]);
    let _ = ours.scrape();
    server.freeze();
    for _ in 0..3 {
        let hung = in_three_seconds(&ours);
        assert_eq!(hung.value("mysql_up", &[]), Some(0.0));
    }
    server.thaw();
    eventually("the server", PATIENCE, || {
        (in_three_seconds(&ours).value("mysql_up", &[]) == Some(1.0)).then_some(())
    });
    let open = sessions(&server);
    assert!(open <= 3, "{open} sessions");
}

#[test]
fn a_table_that_is_locked_costs_its_collector_and_no_other() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres18, &world, &[]);
    let url = role(&server);
    server.sql("app", "CREATE TABLE locked (id int)");
    let ours = Ours::start(&url, &[]);
    let _ = ours.scrape();
    let holder = Holder::begin_on(&server, "app", "LOCK TABLE locked IN ACCESS EXCLUSIVE MODE");
    for _ in 0..3 {
        let found = in_three_seconds(&ours);
        assert_eq!(found.value("pg_up", &[]), Some(1.0));
        let success = |name| found.value("pg_scrape_collector_success", &[("collector", name)]);
        assert_eq!(success("stat_database"), Some(1.0));
        let failed: Vec<_> = found.families["pg_scrape_collector_success"]
            .series
            .iter()
            .filter(|(_, _, value)| *value == 0.0)
            .map(|(_, labels, _)| labels["collector"].as_str())
            .collect();
        assert!(failed.len() <= 1, "{failed:?}");
        let open = sessions_of_postgres(&server);
        assert!(open <= 3, "{open} sessions");
    }
    drop(holder);
}

#[test]
fn two_hundred_databases_are_all_there_over_one_more_session() {
    let world = World::new();
    let server = Postgres::start(PostgresKind::Postgres15, &world, &["fsync=off"]);
    let url = role(&server);
    let names: Vec<String> = (0..200).map(|number| format!("app_{number}")).collect();
    let all: String = names
        .iter()
        .map(|name| format!("CREATE DATABASE {name};\n"))
        .collect();
    server.sql("postgres", &all);
    for name in [&names[0], &names[199]] {
        server.sql(name, "CREATE TABLE t (id int)");
    }
    let ours = Ours::start(&url, &["--databases-every=5s"]);
    let mut most = 0;
    eventually("all databases", 3 * PATIENCE, || {
        let found = ours.scrape();
        most = most.max(sessions_of_postgres(&server));
        let tables = [&names[0], &names[199]].map(|name| {
            found.value(
                "pg_stat_user_tables_n_live_tup",
                &[("datname", name.as_str()), ("relname", "t")],
            )
        });
        let visited = found.value(
            "pilotfish_exporter_other_databases",
            &[("state", "visited")],
        );
        (tables.iter().all(Option::is_some) && visited >= Some(200.0)).then_some(())
    });
    assert!(most <= 4, "{most} sessions");
}

#[test]
fn ten_thousand_tables_come_within_the_time_or_are_called_missing() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &["--sync-frm=OFF"]);
    let url = account(&server);
    let tables: String = (0..10_000)
        .map(|number| format!("CREATE TABLE app.t{number} (id INT) ENGINE=MyISAM;\n"))
        .collect();
    server.sql("CREATE DATABASE app");
    server.sql(&tables);
    let ours = Ours::start(&url, &["--collect.info_schema.tables"]);
    let found = ours.scrape_with(&[("x-prometheus-scrape-timeout-seconds", "30")]);
    assert_eq!(found.value("mysql_up", &[]), Some(1.0));
    let name = [("collector", "collect.info_schema.tables")];
    assert_eq!(
        found.value("mysql_exporter_collector_success", &name),
        Some(1.0)
    );
    assert!(
        found
            .all("mysql_info_schema_table_rows", &[("schema", "app")])
            .len()
            == 10_000
    );
    // And with hardly any time: the scrape ends, and says what is missing.
    let started = Instant::now();
    let hurried = ours.scrape_with(&[("x-prometheus-scrape-timeout-seconds", "0.5")]);
    assert!(started.elapsed() < SOON);
    assert_eq!(hurried.value("mysql_up", &[]), Some(1.0));
}

#[test]
fn rights_that_are_missing_cost_what_they_are_for() {
    let world = World::new();
    for kind in [ServerKind::MariaDb1011, ServerKind::MySql97] {
        let server = Server::start(kind, &world, &[]);
        server.sql("CREATE USER 'bare'@'127.0.0.1' IDENTIFIED BY 'secret'");
        let url = format!("mysql://bare:secret@127.0.0.1:{}", server.port());
        let ours = Ours::start(&url, &[]);
        let found = ours.scrape();
        assert_eq!(found.value("mysql_up", &[]), Some(1.0));
        let success = |name: &str| {
            let collector = format!("collect.{name}");
            found.value(
                "mysql_exporter_collector_success",
                &[("collector", &collector)],
            )
        };
        assert_eq!(success("slave_status"), Some(0.0), "{}", kind.name());
        assert_eq!(
            success("info_schema.innodb_cmp"),
            Some(0.0),
            "{}",
            kind.name()
        );
        assert_eq!(success("global_status"), Some(1.0), "{}", kind.name());
        assert!(found.value("mysql_global_status_uptime", &[]).is_some());
        // Granted while it runs: the next scrape has it.
        let monitor = if kind.is_mariadb() {
            "SLAVE MONITOR, "
        } else {
            ""
        };
        server.sql(&format!(
            "GRANT {monitor}PROCESS, REPLICATION CLIENT ON *.* TO 'bare'@'127.0.0.1'"
        ));
        eventually("the new rights", PATIENCE, || {
            let found = ours.scrape();
            let collector = [("collector", "collect.slave_status")];
            (found.value("mysql_exporter_collector_success", &collector) == Some(1.0)).then_some(())
        });
    }
}

#[test]
fn two_that_ask_at_once_share_one_scrape() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    let url = account(&server);
    let ours = Ours::start(&url, &[]);
    let _ = ours.scrape();
    let asked = || -> u32 {
        let text = server.sql("SHOW GLOBAL STATUS LIKE 'Com_show_slave_status'");
        text.split('\t')
            .nth(1)
            .and_then(|count| count.trim().parse().ok())
            .expect("a number")
    };
    let before = asked();
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16).map(|_| scope.spawn(|| ours.scrape())).collect();
        for one in asking {
            let found = one.join().unwrap();
            assert_eq!(found.value("mysql_up", &[]), Some(1.0));
        }
    });
    let scrapes = asked() - before;
    assert!((1..16).contains(&scrapes), "{scrapes} scrapes for 16");
    let open = sessions(&server);
    assert!(open <= 3, "{open} sessions");
}

/// Whoever has one session only is not away: a second one that is refused is nothing to the first.
#[test]
fn a_second_session_that_is_refused_is_no_server_that_is_away() {
    let world = World::new();
    let server = Server::start(ServerKind::MariaDb1011, &world, &[]);
    let url = account(&server);
    server.sql(&format!(
        "ALTER USER '{0}'@'127.0.0.1' WITH MAX_USER_CONNECTIONS 1; CREATE DATABASE heartbeat; \
         CREATE TABLE heartbeat.heartbeat (ts VARCHAR(26), server_id INT); REVOKE PROCESS ON *.* FROM '{0}'@'127.0.0.1'",
        ACCOUNT.0
    ));
    let ours = Ours::start(&url, &["--collect.heartbeat", "--lock-timeout=1s"]);
    let _locked = Holder::lock(&server, "heartbeat", "heartbeat");
    for _ in 0..3 {
        let found = in_three_seconds(&ours);
        assert_eq!(found.value("mysql_up", &[]), Some(1.0));
        assert!(found.value("mysql_global_status_uptime", &[]).is_some());
    }
    // Long enough for the exporter to want another session, that may have a right which was denied.
    thread::sleep(Duration::from_secs(11));
    let found = in_three_seconds(&ours);
    assert_eq!(found.value("mysql_up", &[]), Some(1.0));
    assert!(found.value("mysql_global_status_uptime", &[]).is_some());
}

/// Roles belong to all databases, each in the bytes of the one that it was made in.
#[test]
fn a_name_that_is_no_utf8_costs_nothing_else() {
    let world = World::new();
    for kind in PostgresKind::all() {
        let server = Postgres::start(kind, &world, &[]);
        let url = role(&server);
        server.sql(
            "postgres",
            "CREATE DATABASE raw TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
        );
        let made = "DO $$ BEGIN EXECUTE format('CREATE ROLE %I', convert_from('\\x636166e9', 'SQL_ASCII')); END $$";
        server.sql("raw", made);
        let found = Ours::start(&url, &[]).scrape();
        assert_eq!(found.value("pg_up", &[]), Some(1.0));
        let limit = "pg_roles_connection_limit";
        assert_eq!(found.value(limit, &[("rolname", "\u{fffd}")]), Some(-1.0));
    }
}
