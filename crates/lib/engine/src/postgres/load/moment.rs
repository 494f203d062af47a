//! The moment of a swap: everything that leaves is locked, so that no transaction has any of it.
//!
//! New readers queue behind whoever waits for a lock, so a try waits for a moment only, and all of it is let go again.

use std::time::{Duration, Instant};

use pilotfish_sql::postgres::quote;
use tokio_postgres::{GenericClient, Transaction};

use super::schemas::qualified;
use crate::Error;
use crate::postgres::cell;

/// All that can be locked.
const RELATIONS: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind::text, r.rolname FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_roles r ON r.oid = c.relowner \
    WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_class'::regclass \
    AND e.objid = c.oid AND e.deptype = 'e') ORDER BY 2, 3";

/// What of it transactions of others have.
const HELD: &str = "SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY($1) AND l.granted \
    AND l.locktype = 'relation' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND l.pid <> pg_backend_pid() LIMIT 16";

/// Whose transaction has something of it for the longest time. Who may not see when that began gets any of them.
const READER: &str = "SELECT format('process %s, %s%s, has %s in a transaction', a.pid, a.usename, \
    ', ' || nullif(a.application_name, ''), c.oid::regclass) FROM pg_catalog.pg_locks l \
    JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid JOIN pg_catalog.pg_class c ON c.oid = l.relation \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ANY($1) AND l.granted \
    AND l.locktype = 'relation' AND c.relkind <> 'i' AND l.pid <> pg_backend_pid() ORDER BY a.xact_start LIMIT 1";

/// `out_of_memory`, which is shared memory where locks are taken.
const NO_ROOM: &str = "53200";

/// What stands in the way of an exchange at this moment.
pub(super) enum Obstacle {
    /// It passes: somebody reads.
    Passing(String),
    Lasting(Error),
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        match error {
            Error::Busy { message, .. } | Error::Locked(message) => Self::Passing(message),
            error => Self::Lasting(error),
        }
    }
}

impl From<tokio_postgres::Error> for Obstacle {
    fn from(error: tokio_postgres::Error) -> Self {
        Error::from(error).into()
    }
}

/// Tries to have everything in some schemas.
pub(super) struct Moment {
    schemas: Vec<String>,
    /// Each is waited for by itself and in this order, the others not at all: a reader who has one of them goes on
    /// to the next, and nobody must stand there before him.
    contended: Vec<u32>,
    pub(super) tries: u32,
    wait: Duration,
    longest: Duration,
}

/// One relation.
struct Relation {
    oid: u32,
    name: String,
    kind: String,
    owner: String,
}

impl Moment {
    /// How long the second try waits; the first does not.
    const SECOND: Duration = Duration::from_millis(4);
    /// Who reads for longer is waited for with pauses.
    const LONGEST: Duration = Duration::from_millis(25);
    /// More than these cannot be waited for in that time.
    const CONTENDED: usize = 64;
    /// Pauses for one wait: most of the time nobody queues.
    const PAUSES: u32 = 8;

    pub(super) async fn new(
        client: &impl GenericClient,
        schemas: Vec<String>,
    ) -> Result<Self, Error> {
        // A reader who waits for what is locked already must not be found to be in a deadlock with us: the server
        // ends whoever looks first.
        const DEADLOCK: &str =
            "SELECT setting::int4 FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'";
        let milliseconds: i32 = cell(&client.query_one(DEADLOCK, &[]).await?, 0)?;
        let deadlock = Duration::from_millis(milliseconds.unsigned_abs().into());
        Ok(Self {
            schemas,
            contended: Vec::new(),
            tries: 0,
            wait: Duration::ZERO,
            longest: Self::LONGEST.min(deadlock / 2),
        })
    }

    /// Locks everything, or says what is in the way now.
    pub(super) async fn seize(&mut self, transaction: &Transaction<'_>) -> Result<(), Obstacle> {
        self.tries += 1;
        if self.tries > 1 {
            self.wait = (self.wait * 2).max(Self::SECOND).min(self.longest);
        }
        let mut relations = self.relations(transaction).await?;
        let until = Instant::now() + self.wait;
        for oid in self.contended.clone() {
            let Some(at) = relations.iter().position(|relation| relation.oid == oid) else {
                continue;
            };
            let relation = relations.remove(at);
            // 0 would be for ever.
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            if left == 0 {
                return Err(Obstacle::Passing(format!(
                    "{} is being read",
                    relation.name
                )));
            }
            let sql = format!("SET LOCAL lock_timeout = {left}; {}", relation.lock());
            if let Err(error) = transaction.batch_execute(&sql).await {
                // Whoever has it may want the next one: it comes first.
                self.contended.retain(|other| *other != oid);
                self.contended.insert(0, oid);
                return Err(error.into());
            }
        }
        let (tables, others): (Vec<_>, Vec<_>) =
            relations.iter().partition(|relation| relation.is_table());
        // There is no NOWAIT for views.
        let mut sql = vec!["SET LOCAL lock_timeout = 1".to_owned()];
        if !tables.is_empty() {
            let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
            let names = names.join(", ");
            sql.push(format!(
                "LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE NOWAIT"
            ));
        }
        sql.extend(others.iter().map(|relation| relation.lock()));
        // What follows waits for nobody's rows, only for catalogues.
        sql.push("SET LOCAL lock_timeout = '100ms'".to_owned());
        let locked = transaction.batch_execute(&sql.join("; ")).await;
        locked.map_err(|error| too_many(error.into(), relations.len()).into())
    }

    /// Lets everybody read until the next try.
    pub(super) async fn pause(&mut self, client: &impl GenericClient) -> Result<(), Error> {
        for row in client.query(HELD, &[&self.schemas]).await? {
            let oid = cell(&row, 0)?;
            if !self.contended.contains(&oid) && self.contended.len() < Self::CONTENDED {
                self.contended.push(oid);
            }
        }
        tokio::time::sleep(self.wait.max(Self::SECOND) * Self::PAUSES).await;
        Ok(())
    }

    /// Who is in the way, for people.
    pub(super) async fn reader(
        &self,
        client: &impl GenericClient,
    ) -> Result<Option<String>, Error> {
        let row = client.query_opt(READER, &[&self.schemas]).await?;
        row.map(|row| cell(&row, 0)).transpose()
    }

    async fn relations(&self, client: &impl GenericClient) -> Result<Vec<Relation>, Error> {
        let rows = client.query(RELATIONS, &[&self.schemas]).await?;
        let relation = |row: &tokio_postgres::Row| {
            Ok(Relation {
                oid: cell(row, 0)?,
                name: qualified(&cell::<String>(row, 1)?, &cell::<String>(row, 2)?),
                kind: cell(row, 3)?,
                owner: quote(&cell::<String>(row, 4)?),
            })
        };
        rows.iter().map(relation).collect()
    }
}

/// A server without room for the locks has none at the next try either.
fn too_many(error: Error, relations: usize) -> Error {
    match error {
        Error::Full { code, message } if code.is(NO_ROOM) => Error::Config(format!(
            "lock the {relations} tables and views that leave, all at once: {message}; with a higher \
             max_locks_per_transaction, or by --swap database"
        )),
        error => error,
    }
}

impl Relation {
    fn is_table(&self) -> bool {
        matches!(self.kind.as_str(), "r" | "p")
    }

    /// Tables are locked by LOCK TABLE, the others by a change that changes nothing.
    fn lock(&self) -> String {
        let Self { name, owner, .. } = self;
        match self.kind.as_str() {
            "m" => format!("ALTER MATERIALIZED VIEW {name} OWNER TO {owner}"),
            "f" => format!("ALTER FOREIGN TABLE {name} OWNER TO {owner}"),
            // LOCK would go on to what the view asks, by its owner's rights.
            "v" => format!("ALTER VIEW {name} OWNER TO {owner}"),
            _ => format!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"),
        }
    }
}
