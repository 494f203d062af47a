//! Loading into PostgreSQL.
//!
//! The dump's schemas are staged as `pilotfish_next_<schema>` in the live database: its statements are rewritten name
//! by name, and everything that lives in a schema is made there as the dump has it. One transaction then renames the
//! live schemas away and the staged ones in, with everything in them locked, and writes the ledger.

mod assertion;
mod attached;
mod belongings;
mod bodies;
mod database;
mod difference;
mod drift;
mod edges;
mod exchange;
mod extensions;
mod foresee;
mod gauge;
mod grants;
mod history;
mod last_moment;
mod ledger;
mod lock;
mod marks;
mod moment;
mod names;
mod objects;
mod room;
mod schemas;
mod session;
mod shared;
mod stage;
mod statement;
mod statistics;
pub(super) mod status;
mod swap;
mod swap_database;
mod target;
mod text;
mod ties;
mod way_back;
mod withheld;
mod worker;

use async_trait::async_trait;
use pilotfish_sql::Dialect;

use self::database::Use;
use super::connect::Session;
use super::{Postgres, cell};
use crate::load::{Gauge, History, Load, Status, SwapMode, Target, TargetOptions};
use crate::{Error, LiveRelease, Settings};

/// What our own statements are written for, whatever the server's or the account's defaults; and a load may take
/// long between two statements of one session.
const SETUP: &str = "SET search_path = pg_catalog; SET statement_timeout = 0; SET lock_timeout = 0; \
    SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0; \
    SET default_transaction_read_only = off; SET default_transaction_isolation = 'read committed'; \
    SET client_min_messages = warning; SET row_security = off; SET datestyle = 'ISO, YMD'; \
    SET intervalstyle = postgres; SET extra_float_digits = 3; SET lc_monetary = 'C'; SET xmloption = content; \
    SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'transaction_timeout'";

/// What every session of one load shares.
#[derive(Debug, Clone)]
struct Access {
    settings: Settings,
    options: TargetOptions,
}

impl Access {
    /// A session in the live database.
    async fn connect(&self) -> Result<Session, Error> {
        self.connect_to(&self.options.database).await
    }

    /// A session where the next release is staged.
    async fn connect_to_stage(&self) -> Result<Session, Error> {
        let session = match self.is_database() {
            true => {
                self.connect_to(&Use::Next.of(&self.options.database))
                    .await?
            }
            false => self.connect().await?,
        };
        if !self.is_straight() {
            // What a stage commits need not be on disk before its swap is, and that waits for all before it.
            session
                .batch_execute("SET synchronous_commit = off")
                .await?;
        }
        Ok(session)
    }

    async fn connect_to(&self, database: &str) -> Result<Session, Error> {
        let session = Session::open(&self.settings, Some(database)).await?;
        session.batch_execute(SETUP).await?;
        Ok(session)
    }

    /// A session in the default database.
    async fn connect_beside(&self) -> Result<Session, Error> {
        let session = Session::open(&self.settings, None).await?;
        session.batch_execute(SETUP).await?;
        Ok(session)
    }

    /// The dump goes into the live names themselves.
    const fn is_straight(&self) -> bool {
        matches!(self.options.swap, SwapMode::None)
    }

    /// The stage is a database of its own.
    const fn is_database(&self) -> bool {
        matches!(self.options.swap, SwapMode::Database)
    }

    /// The dump's names mean what they say, where it is loaded.
    const fn keeps_names(&self) -> bool {
        self.is_straight() || self.is_database()
    }
}

#[async_trait]
impl Load for Postgres {
    async fn dialect(&self) -> Result<Dialect, Error> {
        let session = self.session(None).await?;
        let row = session
            .query_one(
                "SELECT pg_catalog.current_setting('server_version_num')::int4",
                &[],
            )
            .await?;
        session.close().await;
        let version: i32 = cell(&row, 0)?;
        Ok(Dialect::Postgres {
            version: version.unsigned_abs(),
        })
    }

    fn marks(&self) -> bool {
        true
    }

    async fn target(&self, options: TargetOptions) -> Result<Box<dyn Target>, Error> {
        match options.swap {
            SwapMode::Rename => {
                return Err(Error::Config(
                    "--swap rename is for MariaDB and MySQL: PostgreSQL swaps by schema".to_owned(),
                ));
            }
            SwapMode::Auto | SwapMode::Schema | SwapMode::Database | SwapMode::None => {}
        }
        self.refuse_standby().await?;
        let access = Access {
            settings: self.settings.clone(),
            options,
        };
        Ok(Box::new(target::PostgresTarget::open(access).await?))
    }

    async fn status(&self) -> Result<Vec<Status>, Error> {
        status::all(self).await
    }

    async fn gauge(&self, replicas: &[(String, u16)]) -> Result<Box<dyn Gauge>, Error> {
        if !replicas.is_empty() {
            return Err(Error::Config(
                "replica= is for MariaDB and MySQL: PostgreSQL tells how far its standbys are behind".to_owned(),
            ));
        }
        Ok(Box::new(gauge::PostgresGauge::open(self.clone()).await?))
    }

    fn history(&self) -> &dyn History {
        self
    }
}

impl Postgres {
    /// A standby takes nothing: it gets its rows from its primary.
    async fn refuse_standby(&self) -> Result<(), Error> {
        let server = crate::Probe::server(self).await?;
        if server.replica.is_some() || server.replica_hidden {
            return Err(Error::Locked(
                "the server is a standby: load on its primary, replication brings the release here"
                    .to_owned(),
            ));
        }
        if server.read_only {
            return Err(Error::Locked(
                "the server is read-only: load where it can be written to, or set default_transaction_read_only=off"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// The live release of every database that has a ledger.
    pub(super) async fn releases(&self) -> Result<Vec<LiveRelease>, Error> {
        Ok(live(status::all(self).await?))
    }
}

/// The live release of the session's database.
pub(super) async fn release(session: &Session) -> Result<Vec<LiveRelease>, Error> {
    let row = session
        .query_one("SELECT pg_catalog.current_database()::text", &[])
        .await?;
    let database: String = cell(&row, 0)?;
    let status = status::one(session, &database).await?;
    Ok(live(status))
}

/// Those that are whole: half a release is none.
fn live(all: impl IntoIterator<Item = Status>) -> Vec<LiveRelease> {
    let is_live = |status: &Status| status.is_whole() && !status.digest.is_empty();
    let whole = all.into_iter().filter(is_live);
    whole
        .map(|status| LiveRelease {
            database: status.database,
            digest: status.digest,
            since: status.since,
            finishing: status.finishing,
        })
        .collect()
}
