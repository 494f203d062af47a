//! How hard a server works, and how far its replicas are behind.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::{Conn, Row};

use crate::load::{Gauge, Strain};
use crate::mysql_family::Family;
use crate::mysql_family::ask::Ask as _;
use crate::settings::Route;
use crate::{EngineName, Error, Settings};

/// No right is needed for it.
const RUNNING: &str = "SHOW GLOBAL STATUS LIKE 'Threads_running'";
const MARIADB_HISTORY: &str = "SHOW GLOBAL STATUS LIKE 'Innodb_history_list_length'";
/// MySQL has no such status.
const MYSQL_HISTORY: &str =
    "SELECT name, count FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'";
const DEFAULT_PORT: u16 = 3306;

/// See the module.
pub(super) struct FamilyGauge {
    family: Family,
    /// None after an error: the next look takes another one.
    conn: Option<Conn>,
    said: BTreeSet<String>,
    unsaid: Vec<String>,
}

impl FamilyGauge {
    pub(super) async fn open(family: Family) -> Result<Self, Error> {
        Ok(Self {
            conn: Some(family.session(None).await?),
            family,
            said: BTreeSet::new(),
            unsaid: Vec::new(),
        })
    }

    fn say(&mut self, sentence: String) {
        if self.said.insert(sentence.clone()) {
            self.unsaid.push(sentence);
        }
    }

    /// A number of the server; `None` where the account may not see it.
    async fn number(
        &mut self,
        conn: &mut Conn,
        sql: &str,
        needs: &str,
    ) -> Result<Option<u64>, Error> {
        let row: Result<Option<(String, u64)>, Error> =
            conn.query_first(sql).await.map_err(Error::from);
        match row {
            Ok(row) => Ok(row.map(|(_, number)| number)),
            Err(Error::Denied(_)) => {
                self.say(format!("the history list is not watched: grant {needs}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The replica that is furthest behind. A primary knows where its replicas are by their `report_host`.
    async fn lag(&mut self, conn: &mut Conn) -> Result<Option<(String, Duration)>, Error> {
        let variant = self.family.variant;
        let listed: Result<Vec<Row>, Error> =
            conn.query(variant.replicas).await.map_err(Error::from);
        let listed = match listed {
            Err(Error::Denied(_)) => {
                let right = variant.replicas_right;
                self.say(format!("the lag of replicas is not watched: grant {right}"));
                return Ok(None);
            }
            listed => listed?,
        };
        let mut worst = None;
        for row in listed {
            let host: Option<String> = row.get_opt("Host").and_then(Result::ok);
            let port: Option<u16> = row.get_opt("Port").and_then(Result::ok);
            let Some(host) = host.filter(|host| !host.is_empty()) else {
                self.say("a replica does not say where it is, so its lag is not watched: start it with report_host".to_owned());
                continue;
            };
            let port = port.filter(|port| *port > 0).unwrap_or(DEFAULT_PORT);
            let replica = format!("{host}:{port}");
            if let Some(lag) = self.lag_of(host, port, &replica).await {
                worst = worst.max(Some((lag, replica)));
            }
        }
        Ok(worst.map(|(lag, replica)| (replica, lag)))
    }

    async fn lag_of(&mut self, host: String, port: u16, replica: &str) -> Option<Duration> {
        let family = Family {
            settings: Settings {
                route: Route::Tcp { host, port },
                ..self.family.settings.clone()
            },
            variant: self.family.variant,
        };
        let asked = async {
            let mut conn = family.session(None).await?;
            let state = family.replica(&mut conn).await;
            conn.disconnect().await?;
            state
        };
        match asked.await {
            Ok(state) => {
                let lag = state.and_then(|state| state.lag_seconds);
                if lag.is_none() {
                    self.say(format!(
                        "replica {replica} does not replicate: its lag is not watched"
                    ));
                }
                lag.map(Duration::from_secs)
            }
            Err(error) => {
                self.say(format!(
                    "the lag of replica {replica} is not watched: {error}"
                ));
                None
            }
        }
    }
}

#[async_trait]
impl Gauge for FamilyGauge {
    async fn read(&mut self) -> Result<Strain, Error> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.family.session(None).await?,
        };
        let history = match self.family.variant.engine {
            EngineName::MariaDb => MARIADB_HISTORY,
            _ => MYSQL_HISTORY,
        };
        let strain = Strain {
            running: self.number(&mut conn, RUNNING, "").await?,
            history: self.number(&mut conn, history, "PROCESS").await?,
            lag: self.lag(&mut conn).await?,
            wal: None,
        };
        self.conn = Some(conn);
        Ok(strain)
    }

    fn blind(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unsaid)
    }
}
