//! Replication that is broken stays visible, under the old names and under one set of names for all engines.

use pilotfish_harness::{
    Exposition, PATIENCE, Postgres, PostgresKind, ServerKind, World, eventually,
};

use super::scene::Replica;
use super::{Ours, role, role_url};

fn running(found: &Exposition, channel: &str, side: &str) -> Option<f64> {
    found.value(
        "pilotfish_replication_running",
        &[("channel", channel), ("side", side)],
    )
}

fn lag(found: &Exposition, channel: &str) -> Option<f64> {
    found.value("pilotfish_replication_lag_seconds", &[("channel", channel)])
}

/// A legacy series of a channel, which MariaDB calls a connection.
fn legacy(found: &Exposition, name: &str, channel: &str) -> Option<f64> {
    let name = format!("mysql_slave_status_{name}");
    let labels = ["channel_name", "connection_name"];
    labels
        .iter()
        .find_map(|label| found.value(&name, &[(label, channel)]))
}

#[test]
fn a_broken_channel_has_all_of_its_series_and_a_lag_that_grows() {
    let world = World::new();
    for kind in [
        ServerKind::MariaDb1011,
        ServerKind::MariaDb118,
        ServerKind::MySql97,
    ] {
        let scene = Replica::of_two(&world, kind);
        let ours = Ours::start(&scene.url, &[]);
        let source = Ours::start(&scene.source_url, &[]);
        let configured = "pilotfish_replication_configured";
        assert_eq!(source.scrape().value(configured, &[]), Some(0.0));
        let channels = ["one", "two"];
        let well = eventually("both channels run", PATIENCE, || {
            let found = ours.scrape();
            let sides = ["receiver", "applier"];
            let run = |channel| {
                sides
                    .iter()
                    .all(|side| running(&found, channel, side) == Some(1.0))
            };
            channels.into_iter().all(run).then_some(found)
        });
        assert_eq!(well.value(configured, &[]), Some(1.0));
        scene.break_one();
        let broken = ours.scrape();
        assert_eq!(running(&broken, "one", "applier"), Some(0.0));
        assert_eq!(running(&broken, "two", "applier"), Some(1.0));
        let code = [("channel", "one"), ("side", "applier")];
        assert_eq!(
            broken.value("pilotfish_replication_error_code", &code),
            Some(1062.0)
        );
        assert_eq!(legacy(&broken, "slave_sql_running", "one"), Some(0.0));
        assert_eq!(legacy(&broken, "last_sql_errno", "one"), Some(1062.0));
        assert!(legacy(&broken, "seconds_behind_master", "one").is_some());
        eventually("the lag grows", PATIENCE, || {
            (lag(&ours.scrape(), "one") >= Some(2.0)).then_some(())
        });
        scene.sources[1].kill9();
        eventually("nothing is received", PATIENCE, || {
            let found = ours.scrape();
            let gone = running(&found, "two", "receiver") == Some(0.0);
            (gone && legacy(&found, "slave_io_running", "two") == Some(0.0)).then_some(())
        });
        eventually("that lag grows, too", PATIENCE, || {
            let found = ours.scrape();
            let both = [
                lag(&found, "two"),
                legacy(&found, "seconds_behind_master", "two"),
            ];
            both.iter().all(|lag| *lag >= Some(2.0)).then_some(())
        });
    }
}

#[test]
fn a_standby_whose_primary_is_dead_says_so_and_is_later_and_later() {
    let world = World::new();
    for kind in PostgresKind::all() {
        let primary = Postgres::start(kind, &world, &[]);
        let url = role(&primary);
        let standby = Postgres::standby_of(&primary, &world);
        let of_primary = Ours::start(&url, &[]).scrape();
        assert_eq!(
            of_primary.value("pilotfish_replication_configured", &[]),
            Some(0.0)
        );
        let ours = Ours::start(&role_url(&standby), &[]);
        eventually("the standby streams", PATIENCE, || {
            (running(&ours.scrape(), "", "receiver") == Some(1.0)).then_some(())
        });
        primary.sql("app", "CREATE TABLE t (id int)");
        eventually("it has what the primary has", PATIENCE, || {
            (lag(&ours.scrape(), "") == Some(0.0)).then_some(())
        });
        primary.kill9();
        eventually("nothing is received", PATIENCE, || {
            (running(&ours.scrape(), "", "receiver") == Some(0.0)).then_some(())
        });
        eventually("the lag grows", PATIENCE, || {
            let found = ours.scrape();
            let both = [
                lag(&found, ""),
                found.value("pg_replication_lag_seconds", &[]),
            ];
            both.iter().all(|lag| *lag >= Some(2.0)).then_some(())
        });
        assert_eq!(running(&ours.scrape(), "", "applier"), Some(1.0));
    }
}
