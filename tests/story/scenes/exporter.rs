//! An exporter in each pod, scraped by a real Prometheus: every panel of its dashboard has something to show.

use pilotfish_harness::cluster::{Outcome, PATIENCE, bucket, until};
use pilotfish_harness::panel_queries;

use crate::stage::{PODS, Stage};
use crate::{dumps, prometheus};

/// What panels ask of servers that are not on this stage.
const ELSEWHERE: &[(&str, &str)] = &[
    ("pilotfish_replication_running", "a replica"),
    ("pilotfish_replication_lag", "a replica"),
    ("pilotfish_replication_error", "a replica"),
    ("mysql_slave_status_", "a replica"),
    ("pg_stat_replication_", "a standby"),
    ("pg_replication_slot", "a slot"),
    ("pg_stat_wal_receiver_", "a standby"),
    ("pg_stat_progress_vacuum_", "a vacuum under way"),
    ("pg_stat_subscription_", "a subscription"),
    ("wsrep_", "Galera"),
    ("query_response_time", "a plugin"),
    ("pilotfish_container_", "control groups of version 2"),
    ("ssl_server_not_after", "TLS"),
    ("certificate_end", "TLS"),
    ("events_statements_sum", "performance_schema"),
    ("innodb_row_lock_time", "somebody who waits for a row"),
    ("wait_event_type", "somebody who waits at that moment"),
    ("processlist_threads", "somebody at work at that moment"),
    ("mysql_binlog_size_bytes", "a binary log"),
    ("pg_stat_statements_", "an extension"),
];

/// In a namespace of its own.
pub(super) fn act(stage: &Stage) -> Outcome<()> {
    let engine = match stage.engine {
        "postgres" => "postgres",
        _ => "mariadb",
    };
    super::variants::act_beside(stage, "exporter", engine, scraped)
}

fn scraped(stage: &Stage) -> Outcome<()> {
    let (overlay, dashboard) = match stage.engine {
        "postgres" => ("overlays/exporter-postgres", "postgres.json"),
        _ => ("overlays/exporter", "mysql.json"),
    };
    bucket::start(&stage.cluster)?;
    let dump = dumps::dump(stage.engine, 1, 2000);
    bucket::put(&stage.cluster, "v1.sql.gz", &dump)?;
    stage.cluster.apply_folder(&stage.prop(overlay))?;
    stage.wait_version(1)?;
    stage.wait_ready()?;
    prometheus::start(stage)?;
    let targets = PODS.len() * 3;
    until("Prometheus to scrape the exporters", PATIENCE, || {
        let up = prometheus::targets_up(stage)?;
        Ok((up == targets).then_some(()))
    })?;
    let queries = queries(stage, dashboard)?;
    let here = |query: &&String| {
        let elsewhere = ELSEWHERE.iter().any(|(part, _)| query.contains(part));
        // Some show only what is wrong.
        let is_trouble = query.ends_with("> 0") || query.contains("== 0");
        !elsewhere && !is_trouble
    };
    let asked: Vec<&String> = queries.iter().filter(here).collect();
    let mut empty = Vec::new();
    let shown = until("all panels to show something", PATIENCE, || {
        empty.clear();
        for query in &asked {
            if prometheus::series(stage, query)? == 0 {
                empty.push((*query).clone());
            }
        }
        Ok(empty.is_empty().then_some(()))
    });
    shown.map_err(|why| format!("{why}: {}", empty.join("\n")))?;
    let (shown, all) = (asked.len(), queries.len());
    stage.say(
        "exporter",
        &format!("{targets} targets; {shown} of {all} panels show something, the others want what is not here"),
    );
    Ok(())
}

/// What the panels of a dashboard ask.
fn queries(stage: &Stage, dashboard: &str) -> Outcome<Vec<String>> {
    let path = stage.file(&format!("manifests/exporter-dashboards/{dashboard}"));
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("read {dashboard}: {error}"))?;
    let queries = panel_queries(&text);
    match queries.len() {
        0..20 => Err(format!("only {} queries were found", queries.len())),
        _ => Ok(queries),
    }
}
