//! Whether the server is a standby, and how late it is.
//!
//! A standby that has applied all it received is not late, as long as it receives. Where it does not, nobody knows what
//! it misses: it is as late as the last transaction it applied is old.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::{Row, Session};

use super::{Collect, Collector, Plan};
use crate::collect::replication::{Channel, Side, gather};
use crate::metric::{Gathered, Labels};

/// The source is where the receiver is connected to, else where it is told to connect to: the first of several hosts,
/// `key=value` or URI. Its password stays at the server. The functions of a standby are errors on a primary.
const SQL: &str = r"SELECT p.standby, pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AS all_applied,
    extract(epoch FROM now() - pg_last_xact_replay_timestamp()) AS replay_age,
    extract(epoch FROM now() - pg_postmaster_start_time()) AS uptime, r.pid IS NOT NULL AS has_receiver, r.status,
    CASE WHEN p.standby THEN pg_get_wal_replay_pause_state() END AS replay,
    coalesce(r.sender_host, substring(c.told from '(?:^|\s)host(?:addr)?\s*=\s*''?([^\s'',]+)')) AS host,
    coalesce(r.sender_port::text, substring(c.told from '(?:^|\s)port\s*=\s*''?(\d+)')) AS port,
    substring(c.told from '^postgres(?:ql)?://(?:[^@/]*@)?([^/?,]+)') AS authority, c.told = '' AS by_archive,
    CASE WHEN p.standby THEN greatest(r.received_tli, (SELECT timeline_id FROM pg_control_checkpoint()))
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END AS timeline
    FROM (SELECT pg_is_in_recovery() AS standby) p LEFT JOIN pg_stat_wal_receiver r ON true
    CROSS JOIN LATERAL (SELECT CASE WHEN p.standby AND pg_has_role('pg_read_all_settings', 'USAGE')
    THEN current_setting('primary_conninfo') END AS told) c";

const DEFAULT_PORT: &str = "5432";

pub(super) static COLLECTOR: Collector = Collector {
    name: "replication",
    by_default: true,
    help: "whether the server is a standby, and how late it is",
    settings: &[],
    plan: |_, _| Some(Plan::server(Replication)),
};

struct Replication;

#[async_trait]
impl Collect for Replication {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(SQL).await?;
        for row in rows.iter() {
            Seen::of(row).gather(into);
        }
        Ok(())
    }
}

/// A server as it sees itself.
#[derive(Debug, Default)]
struct Seen {
    standby: bool,
    /// All that was received is applied.
    all_applied: bool,
    /// Seconds since the last transaction that was applied was committed; `None` where none ever was.
    replay_age: Option<f64>,
    uptime: f64,
    receiving: bool,
    /// It is told to receive from nobody: the archive feeds it.
    by_archive: bool,
    paused: bool,
    source: String,
    timeline: Option<f64>,
}

impl Seen {
    fn of(row: Row<'_>) -> Self {
        let is = |name| row.get(name) == Some("t");
        let number = |name| row.get(name)?.parse().ok();
        Self {
            standby: is("standby"),
            all_applied: is("all_applied"),
            replay_age: number("replay_age").map(|age: f64| age.max(0.0)),
            uptime: number("uptime").unwrap_or_default(),
            // Accounts that may not see more see that there is a receiver.
            receiving: is("has_receiver") && matches!(row.get("status"), None | Some("streaming")),
            by_archive: is("by_archive"),
            paused: row.get("replay") == Some("paused"),
            source: source(row.get("host"), row.get("port"), row.get("authority")),
            timeline: number("timeline"),
        }
    }

    fn lag(&self) -> f64 {
        match (self.standby, self.receiving) {
            (false, _) => 0.0,
            (true, true) if self.all_applied => 0.0,
            (true, true) => self.replay_age.unwrap_or(0.0),
            // What it began with is as old as its start, at least.
            (true, false) => self.replay_age.unwrap_or(self.uptime),
        }
    }

    fn gather(self, into: &mut Gathered) {
        let lag = self.lag();
        let is_replica = f64::from(u8::from(self.standby));
        let replay_age = self.replay_age.unwrap_or(0.0);
        for (name, help, value) in [
            (
                "pg_replication_lag_seconds",
                "How late a standby is; it grows where nothing is received.",
                Some(lag),
            ),
            // As queries.yaml of postgres_exporter had it, and the alerts of its mixin still have.
            (
                "pg_replication_lag",
                "As pg_replication_lag_seconds.",
                Some(lag),
            ),
            (
                "pg_replication_is_replica",
                "1 on a standby.",
                Some(is_replica),
            ),
            (
                "pg_replication_last_replay_seconds",
                "Age of the last transaction that was applied.",
                Some(replay_age),
            ),
            (
                "pilotfish_replication_timeline",
                "Timeline that the server writes or follows: each promotion begins another.",
                self.timeline,
            ),
        ] {
            if let Some(value) = value {
                into.gauge(name, help, Labels::none(), value);
            }
        }
        let side = |running| Side {
            running,
            error_code: 0.0,
        };
        let channel = self.standby.then(|| Channel {
            name: String::new(),
            receiver: (self.receiving || !self.by_archive).then(|| side(self.receiving)),
            applier: side(!self.paused),
            lag: Some(lag),
            source: self.source,
        });
        gather(channel.as_slice(), into);
    }
}

/// `host:port`; empty where the account may not know.
fn source(host: Option<&str>, port: Option<&str>, authority: Option<&str>) -> String {
    match (host, authority) {
        (Some(host), _) => format!("{host}:{}", port.unwrap_or(DEFAULT_PORT)),
        // An IPv6 address has colons within its brackets.
        (None, Some(authority)) => match authority.rsplit_once(':') {
            Some((_, port)) if !port.ends_with(']') => authority.to_owned(),
            _ => format!("{authority}:{DEFAULT_PORT}"),
        },
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::Format;

    #[test]
    fn the_lag_grows_where_nothing_is_received() {
        let mut seen = Seen {
            standby: true,
            all_applied: true,
            replay_age: Some(90.0),
            uptime: 7.0,
            receiving: true,
            ..Seen::default()
        };
        assert_eq!(seen.lag(), 0.0);
        seen.all_applied = false;
        assert_eq!(seen.lag(), 90.0);
        (seen.receiving, seen.all_applied) = (false, true);
        assert_eq!(seen.lag(), 90.0);
        seen.replay_age = None;
        assert_eq!(seen.lag(), 7.0);
        seen.standby = false;
        assert_eq!(seen.lag(), 0.0);
    }

    #[test]
    fn a_standby_is_one_channel_and_a_primary_none() {
        let text = |standby| {
            let mut gathered = Gathered::default();
            let seen = Seen {
                standby,
                source: "db:5432".to_owned(),
                ..Seen::default()
            };
            seen.gather(&mut gathered);
            Format::shown(&gathered)
        };
        assert!(text(false).contains("pilotfish_replication_configured 0\n"));
        assert!(!text(false).contains("pilotfish_replication_running"));
        let standby = text(true);
        for line in [
            "pg_replication_is_replica 1\n",
            "pilotfish_replication_configured 1\n",
            "running{channel=\"\",source=\"db:5432\",side=\"receiver\"} 0\n",
            "running{channel=\"\",source=\"db:5432\",side=\"applier\"} 1\n",
        ] {
            assert!(standby.contains(line), "{line}: {standby}");
        }
    }

    #[test]
    fn sources_have_a_port() {
        assert_eq!(source(Some("db"), Some("6432"), None), "db:6432");
        assert_eq!(source(Some("/run/pg"), None, None), "/run/pg:5432");
        assert_eq!(source(None, None, Some("db:6432")), "db:6432");
        assert_eq!(source(None, None, Some("[::1]")), "[::1]:5432");
        assert_eq!(source(None, None, None), "");
    }
}
