//! How hard a server works, and how far replicas are behind.
//!
//! Only replicas that somebody named are asked: a primary knows of them what they say of themselves (`report_host`),
//! and the account's password is not for whoever calls himself one.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::Conn;
use tokio::time::{Instant, timeout};

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

/// Longest look at one replica, and how long one that does not answer is left alone.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct FamilyGauge {
    family: Family,
    /// None after an error: the next look takes another one.
    conn: Option<Conn>,
    replicas: Vec<Replica>,
    said: BTreeSet<String>,
    unsaid: Vec<String>,
}

/// A replica that somebody named.
struct Replica {
    name: String,
    family: Family,
    conn: Option<Conn>,
    /// Until when it is left alone, since it did not answer, and why.
    silent: Option<(Instant, String)>,
}

impl FamilyGauge {
    pub(super) async fn open(family: Family, replicas: &[(String, u16)]) -> Result<Self, Error> {
        let replica = |(host, port): &(String, u16)| Replica {
            name: format!("{host}:{port}"),
            family: Family {
                settings: Settings {
                    route: Route::Tcp {
                        host: host.clone(),
                        port: *port,
                    },
                    ..family.settings.clone()
                },
                variant: family.variant,
            },
            conn: None,
            silent: None,
        };
        Ok(Self {
            conn: Some(family.session(None).await?),
            replicas: replicas.iter().map(replica).collect(),
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

    async fn look(&mut self, conn: &mut Conn) -> Result<Strain, Error> {
        let running: Option<(String, u64)> = conn.query_first(RUNNING).await?;
        let (lag, unknown_lag) = self.lag().await;
        Ok(Strain {
            running: running.map(|(_, number)| number),
            history: self.history(conn).await?,
            lag,
            unknown_lag,
            wal: None,
        })
    }

    /// `None` where the account may not see it.
    async fn history(&mut self, conn: &mut Conn) -> Result<Option<u64>, Error> {
        let sql = match self.family.variant.engine {
            EngineName::MariaDb => MARIADB_HISTORY,
            _ => MYSQL_HISTORY,
        };
        let row: Result<Option<(String, u64)>, Error> =
            conn.query_first(sql).await.map_err(Error::from);
        match row {
            Err(Error::Denied(_)) => {
                self.say("the history list is not watched: grant PROCESS".to_owned());
                Ok(None)
            }
            row => Ok(row?.map(|(_, number)| number)),
        }
    }

    /// The replica that is furthest behind, and why another one's lag is not known.
    async fn lag(&mut self) -> (Option<(String, Duration)>, Option<String>) {
        let (mut worst, mut unknown) = (None, None);
        for replica in &mut self.replicas {
            match replica.lag().await {
                Ok(lag) => worst = worst.max(Some((lag, replica.name.clone()))),
                Err(why) => {
                    unknown = Some(format!("the lag of {} is not known: {why}", replica.name));
                }
            }
        }
        (worst.map(|(lag, name)| (name, lag)), unknown)
    }
}

impl Replica {
    /// How far it is behind, or why nobody knows.
    async fn lag(&mut self) -> Result<Duration, String> {
        if let Some((until, why)) = &self.silent
            && Instant::now() < *until
        {
            return Err(why.clone());
        }
        let asked = timeout(PATIENCE, self.ask()).await;
        let why = match asked {
            Ok(Ok(Some(seconds))) => {
                self.silent = None;
                return Ok(Duration::from_secs(seconds));
            }
            Ok(Ok(None)) => "it does not replicate".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        self.silent = Some((Instant::now() + PAUSE, why.clone()));
        Err(why)
    }

    async fn ask(&mut self) -> Result<Option<u64>, Error> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.family.session(None).await?,
        };
        let state = self.family.replica(&mut conn).await?;
        self.conn = Some(conn);
        Ok(state.and_then(|state| state.lag_seconds))
    }
}

#[async_trait]
impl Gauge for FamilyGauge {
    async fn read(&mut self) -> Result<Strain, Error> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.family.session(None).await?,
        };
        let strain = self.look(&mut conn).await?;
        self.conn = Some(conn);
        Ok(strain)
    }

    fn blind(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unsaid)
    }
}
