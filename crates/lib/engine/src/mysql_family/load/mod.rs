//! Loading into MariaDB and MySQL.
//!
//! A release is staged in a schema of its own (`pilotfish_next_<db>`), swapped in by one RENAME that
//! moves a marker table too, and the tables it replaces wait in `pilotfish_prev_<db>` for a rollback.
//! [`ledger`] says what is live, [`stage`] and [`worker`] fill by [`stream`]
//! or [`insert`], [`swap`] switches, [`target`] holds
//! the lock and recovers.

mod assertion;
mod atomic;
mod columns;
mod convert;
mod definitions;
mod difference;
mod displaced;
mod follow_up;
mod gauge;
mod history;
mod insert;
mod journal;
mod keys;
mod ledger;
mod likeness;
mod lock;
mod loosened;
mod made;
mod marks;
mod names;
mod names_taken;
mod objects;
mod orphans;
mod patience;
mod proof;
mod reach;
mod rehearsal;
mod rejected;
mod rights;
mod schema;
mod seen;
mod sequences;
mod session;
mod spared;
mod stage;
mod status;
mod stream;
mod swap;
mod tables;
mod target;
mod ties;
mod triggers;
mod unproven;
mod views;
mod way_back;
mod worker;

use async_trait::async_trait;
use mysql_async::Conn;
use pilotfish_sql::{Dialect, Flavour, MySql};

use super::Family;
use super::ask::Ask as _;
use super::connect::{SessionSetup, connect};
use crate::load::{Gauge, History, Load, Status, SwapMode, Target, TargetOptions};
use crate::{Error, Settings};
use names::Names;

#[cfg(feature = "testing")]
pub use convert::converted_bytes;
pub(super) use status::status;

/// What our own statements are written for, whatever the server's default; and a load may take long between
/// two statements of one connection: seconds before the server gives up.
const SETUP: &str = "SET SESSION sql_mode='', SESSION wait_timeout=86400, SESSION net_read_timeout=600, \
     SESSION net_write_timeout=600";

/// What every connection of one load shares.
#[derive(Debug, Clone)]
struct Access {
    settings: Settings,
    flavour: Flavour,
    names: Names,
    /// The server takes names of databases and tables in any case.
    any_case: bool,
    options: TargetOptions,
}

impl Access {
    async fn connect(&self) -> Result<Conn, Error> {
        // Limits for the questions of applications: a look at every row of a big table takes as long as it takes.
        let limit = if self.flavour.mariadb {
            "max_statement_time"
        } else {
            "max_execution_time"
        };
        let mut statements = vec![format!("{SETUP}, SESSION {limit}=0")];
        if self.options.no_binlog {
            statements.push("SET SESSION sql_log_bin=0".to_owned());
        }
        connect(
            &self.settings,
            &SessionSetup {
                statements,
                ..SessionSetup::default()
            },
        )
        .await
    }

    /// Whether two names are one to the server.
    fn is_same(&self, one: &str, other: &str) -> bool {
        one == other || self.any_case && one.to_lowercase() == other.to_lowercase()
    }

    /// Whether a name is that of the live database.
    fn is_live(&self, name: &str) -> bool {
        self.is_same(name, &self.names.live)
    }

    /// The name the dump uses for the live database.
    fn dump_database(&self) -> String {
        self.options
            .dump_database
            .clone()
            .unwrap_or_else(|| self.names.live.clone())
    }
}

#[async_trait]
impl Load for Family {
    async fn dialect(&self) -> Result<Dialect, Error> {
        let mut conn = self.session(None).await?;
        let flavour = flavour(&mut conn).await?;
        let set: Option<(String, usize)> = conn
            .query_first("SELECT @@global.sql_mode, @@session.max_allowed_packet")
            .await?;
        conn.disconnect().await?;
        let mut server = MySql::from(flavour);
        if let Some((sql_mode, max_packet)) = set {
            server.sql_mode = sql_mode;
            server.max_packet = max_packet;
        }
        Ok(Dialect::MySql(server))
    }

    async fn target(&self, options: TargetOptions) -> Result<Box<dyn Target>, Error> {
        if matches!(options.swap, SwapMode::Schema | SwapMode::Database) {
            return Err(Error::Config(
                "--swap schema and --swap database are for PostgreSQL: this server swaps by rename"
                    .to_owned(),
            ));
        }
        self.refuse_replica().await?;
        let mut conn = self.session(None).await?;
        let flavour = flavour(&mut conn).await?;
        let any_case = any_case(&mut conn, &options.database).await?;
        conn.disconnect().await?;
        let names = Names::of(&options.database);
        let access = Access {
            settings: self.settings.clone(),
            flavour,
            names,
            any_case,
            options,
        };
        Ok(Box::new(target::MysqlTarget::open(access).await?))
    }

    async fn status(&self) -> Result<Vec<Status>, Error> {
        let mut conn = self.session(None).await?;
        loosened::warn(&mut conn).await?;
        let status = status(&mut conn).await?;
        conn.disconnect().await?;
        Ok(status)
    }

    async fn gauge(&self, replicas: &[(String, u16)]) -> Result<Box<dyn Gauge>, Error> {
        Ok(Box::new(
            gauge::FamilyGauge::open(self.clone(), replicas).await?,
        ))
    }

    fn marks(&self) -> bool {
        true
    }

    fn history(&self) -> &dyn History {
        self
    }
}

impl Family {
    /// Loading on a replica breaks it: it gets its rows from its primary.
    async fn refuse_replica(&self) -> Result<(), Error> {
        let server = crate::Probe::server(self).await?;
        if server.replica_hidden {
            return Err(Error::Denied(format!(
                "the account may not see whether the server is a replica: grant {}",
                self.variant.replica_right
            )));
        }
        if server.replica.is_some() {
            return Err(Error::Locked(
                "the server is a replica: load on its primary, replication brings the release here"
                    .to_owned(),
            ));
        }
        if server.read_only {
            return Err(Error::Locked(
                "the server is read-only: load where it can be written to, or set read_only=OFF"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// Whether the server takes names in any case. One that stores them in lower case answers by them: nothing here
/// would find `App` again.
async fn any_case(conn: &mut Conn, database: &str) -> Result<bool, Error> {
    let lower = database.to_lowercase();
    let stored = case_of_names(conn).await?;
    if stored != LOWER_CASE || lower == database {
        return Ok(stored != 0);
    }
    Err(Error::Config(format!(
        "the server stores names in lower case (lower_case_table_names=1): load into {lower}, not {database}"
    )))
}

/// `lower_case_table_names`: names are stored in lower case.
const LOWER_CASE: u8 = 1;

async fn case_of_names(conn: &mut Conn) -> Result<u8, Error> {
    let stored: Option<u8> = conn.query_first("SELECT @@lower_case_table_names").await?;
    Ok(stored.unwrap_or_default())
}

async fn flavour(conn: &mut Conn) -> Result<Flavour, Error> {
    let version: Option<String> = conn.query_first("SELECT VERSION()").await?;
    Ok(parse_version(&version.unwrap_or_default()))
}

/// `10.11.19-MariaDB-..` is 101119, `9.7.0` is 90700: as conditional comments count.
fn parse_version(text: &str) -> Flavour {
    let mut parts = text
        .split(|char: char| !char.is_ascii_digit())
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let version = next() * 10_000 + next() * 100 + next();
    Flavour {
        mariadb: text.contains("MariaDB"),
        version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_as_conditional_comments_do() {
        assert_eq!(
            parse_version("10.11.19-MariaDB-0+deb12u1"),
            Flavour {
                mariadb: true,
                version: 101_119
            }
        );
        assert_eq!(
            parse_version("9.7.0"),
            Flavour {
                mariadb: false,
                version: 90_700
            }
        );
    }
}
