//! Schemas that change places in one transaction, with nobody reading what leaves.
//!
//! Without the locks a statement resolves its second name after the commit and mixes releases, and a transaction
//! reads the old one and then the new one, measured. New readers queue behind whoever waits for them, so that is done
//! for moments only: all are asked for at once, all over again, until they are free together.

use std::collections::BTreeSet;
use std::time::Duration;

use pilotfish_sql::postgres::quote;
use tokio::time::Instant;
use tokio_postgres::{GenericClient, Transaction};

use super::edges;
use super::extensions::Extensions;
use super::moment::{Moment, Obstacle};
use super::names::is_part;
use super::{Access, foresee, objects, room};
use crate::Error;
use crate::postgres::cell;
use crate::postgres::connect::Session;

/// Between two looks at what passes by itself.
const PAUSE: Duration = Duration::from_millis(50);

/// Whose snapshot is the oldest, for people. Sessions of other accounts show theirs to `pg_read_all_stats` only.
const OLDEST: &str = "SELECT pid, coalesce(usename::text, ''), coalesce(application_name, '') \
    FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
    AND backend_type = 'client backend' AND backend_xmin IS NOT NULL ORDER BY age(backend_xmin) DESC LIMIT 1";

/// Which schemas change places.
#[derive(Debug, Clone, Default)]
pub(super) struct Exchange {
    /// Live schemas and where they go.
    pub(super) leaving: Vec<(String, String)>,
    /// Schemas of ours and the live names that they take.
    pub(super) coming: Vec<(String, String)>,
    /// What stands where `leaving` goes, and where that goes.
    pub(super) cleared: Vec<(String, String)>,
    /// What leaves with `leaving`, by key; everything else that stands there stays live.
    pub(super) leaves: BTreeSet<String>,
    /// What comes, by key, where it may have to leave again.
    pub(super) comes: BTreeSet<String>,
    /// The newest transaction that wrote to what comes, where its rows are younger than readers may be.
    pub(super) youngest: Option<u64>,
}

impl Exchange {
    fn leaving_names(&self) -> Vec<String> {
        self.leaving.iter().map(|(live, _)| live.clone()).collect()
    }

    fn coming_names(&self) -> Vec<String> {
        self.coming.iter().map(|(from, _)| from.clone()).collect()
    }

    /// The same, back again, with what leaves then.
    pub(super) fn reversed(&self, leaves: BTreeSet<String>) -> Self {
        let turn = |pairs: &[(String, String)]| {
            let turned = pairs.iter().map(|(from, to)| (to.clone(), from.clone()));
            turned.collect::<Vec<_>>()
        };
        Self {
            leaving: turn(&self.coming),
            coming: turn(&self.leaving),
            cleared: turn(&self.cleared),
            leaves,
            comes: self.leaves.clone(),
            youngest: None,
        }
    }
}

/// Work that belongs into the exchange's transaction.
#[async_trait::async_trait]
pub(super) trait Within: Send + Sync {
    /// Everything that leaves is locked, and nothing is renamed yet.
    async fn seized(&self, _: &Transaction<'_>) -> Result<(), Error> {
        Ok(())
    }
    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), Error>;
}

/// Carries an exchange out, once nobody is in the way.
///
/// # Errors
/// `Locked` when that does not come true within `patience`; `Refused` for what the exchange would tear.
pub(super) async fn carry_out(
    session: &mut Session,
    access: &Access,
    exchange: &Exchange,
    within: &dyn Within,
    patience: Duration,
) -> Result<(), Error> {
    let until = Instant::now() + patience;
    let mut moment = Moment::new(&**session, exchange.leaving_names()).await?;
    refuse_ties(&**session, exchange).await?;
    if let Some(youngest) = exchange.youngest {
        outlive_old_snapshots(session, access, youngest, until).await?;
    }
    loop {
        let why = match attempt(session, exchange, within, &mut moment).await {
            Ok(()) => {
                tracing::debug!(tries = moment.tries, "swapped");
                return Ok(());
            }
            Err(Obstacle::Lasting(error)) => return Err(error),
            Err(Obstacle::Passing(why)) => why,
        };
        if access.options.cancel.is_cancelled() {
            return Err(Error::Stopped("look for a moment to swap".to_owned()));
        }
        if Instant::now() >= until {
            let who = moment.reader(&**session).await?.unwrap_or(why);
            return Err(Error::Locked(format!(
                "no moment to swap came within {patience:?} ({} tries): {who}",
                moment.tries
            )));
        }
        moment.pause(&**session).await?;
    }
}

async fn attempt(
    session: &mut Session,
    exchange: &Exchange,
    within: &dyn Within,
    moment: &mut Moment,
) -> Result<(), Obstacle> {
    let transaction = session.transaction().await?;
    moment.seize(&transaction).await?;
    within.seized(&transaction).await?;
    rename(&transaction, exchange).await?;
    // What the dump says of the database is made again within.
    within.run(&transaction).await?;
    refuse_torn(&transaction, exchange).await?;
    transaction.commit().await?;
    Ok(())
}

/// Waits until every snapshot is younger than the newest row that comes: an older one would see empty tables. Who once
/// was young stays so.
///
/// The server tells how far back the oldest snapshot of a database reaches by what it dares to freeze: after a VACUUM
/// (FREEZE) of a table its `relfrozenxid` is that, for everybody to see.
async fn outlive_old_snapshots(
    session: &Session,
    access: &Access,
    youngest: u64,
    until: Instant,
) -> Result<(), Error> {
    const TOLD: &str = "SELECT age(relfrozenxid) <= age($1::text::xid) FROM pg_catalog.pg_class \
        WHERE oid = 'pilotfish.releases'::regclass";
    /// Who may see all snapshots need not wait for writers that have none. Snapshots that are taken from now on see
    /// the rows, also where a writer far away makes them look old: only these transactions count.
    const OLD: &str = "SELECT pid || ' ' || xact_start::text FROM pg_catalog.pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' \
        AND age(backend_xmin) > age($1::text::xid)";
    const SEEN: &str = "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE datname = current_database() \
        AND pid || ' ' || xact_start::text = ANY($2) AND age(backend_xmin) > age($1::text::xid))";
    const MAY_SEE: &str =
        "SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')";
    let youngest = (youngest % (1 << 32)).to_string();
    let may_see: bool = cell(&session.query_one(MAY_SEE, &[]).await?, 0)?;
    let mut old: Vec<String> = Vec::new();
    if may_see {
        let rows = session.query(OLD, &[&youngest]).await?;
        old = rows
            .iter()
            .map(|row| cell(row, 0))
            .collect::<Result<_, _>>()?;
    }
    loop {
        let row = if may_see {
            session.query_one(SEEN, &[&youngest, &old]).await?
        } else {
            session
                .batch_execute("VACUUM (FREEZE) pilotfish.releases")
                .await?;
            session.query_one(TOLD, &[&youngest]).await?
        };
        if cell(&row, 0)? {
            return Ok(());
        }
        if access.options.cancel.is_cancelled() {
            return Err(Error::Stopped("look for a moment to swap".to_owned()));
        }
        if Instant::now() >= until {
            let oldest = session.query_opt(OLDEST, &[]).await?;
            let who = match oldest {
                Some(row) => format!(
                    "process {}, {}, {}",
                    cell::<i32>(&row, 0)?,
                    cell::<String>(&row, 1)?,
                    cell::<String>(&row, 2)?
                ),
                None => "of another account; pg_read_all_stats shows whose".to_owned(),
            };
            return Err(Error::Locked(format!(
                "a transaction that began before the rows were loaded would see empty tables: end it, or wait ({who})"
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Refuses a staged release that does not hang together: rule 13 of loading.
async fn refuse_ties(client: &impl GenericClient, exchange: &Exchange) -> Result<(), Error> {
    let ties = edges::between(client, &exchange.coming_names(), &exchange.leaving_names()).await?;
    if ties.is_empty() {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "the staged release is tied to what is live: {}",
        edges::said(&ties)
    )))
}

/// Refuses what points at the replaced release now: it would never see another one.
async fn refuse_torn(client: &impl GenericClient, exchange: &Exchange) -> Result<(), Error> {
    let gone: Vec<String> = exchange.leaving.iter().map(|(_, to)| to.clone()).collect();
    let ours: Vec<String> = room::all(client)
        .await?
        .into_iter()
        .filter(|name| is_part(name))
        .collect();
    refuse_replicated(client, &gone).await?;
    let mut torn = edges::into(client, &gone, &ours).await?;
    let live: Vec<String> = exchange
        .coming
        .iter()
        .map(|(_, live)| live.clone())
        .collect();
    torn.extend(edges::between(client, &gone, &live).await?);
    let turned = |(live, to): &(String, String)| (to.clone(), live.clone());
    let names: Vec<_> = exchange.leaving.iter().map(turned).collect();
    let torn: Vec<_> = torn.into_iter().map(|edge| edge.renamed(&names)).collect();
    if torn.is_empty() {
        return Ok(());
    }
    foresee::refuse_edges(torn.clone())?;
    Err(Error::NeedsDatabase(format!(
        "something that belongs to the database would stay with the replaced release: {}",
        edges::said(&torn)
    )))
}

/// Replication knows schemas and tables by number: it would go on with those that are replaced.
async fn refuse_replicated(client: &impl GenericClient, gone: &[String]) -> Result<(), Error> {
    const SUBSCRIBED: &str = "SELECT 'a subscription fills the table ' || c.relname FROM pg_catalog.pg_subscription_rel s \
        JOIN pg_catalog.pg_class c ON c.oid = s.srrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        WHERE n.nspname = ANY($1) LIMIT 1";
    // PostgreSQL 15 brought FOR TABLES IN SCHEMA.
    const PUBLISHED: &str = "SELECT 'the publication ' || p.pubname || ' has all tables of a swapped schema' \
        FROM pg_catalog.pg_publication_namespace s JOIN pg_catalog.pg_publication p ON p.oid = s.pnpubid \
        JOIN pg_catalog.pg_namespace n ON n.oid = s.pnnspid WHERE n.nspname = ANY($1) LIMIT 1";
    const KNOWS: &str =
        "SELECT pg_catalog.to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL";
    let mut questions = vec![SUBSCRIBED];
    if cell(&client.query_one(KNOWS, &[]).await?, 0)? {
        questions.push(PUBLISHED);
    }
    for question in questions {
        if let Some(row) = client.query_opt(question, &[&gone]).await? {
            return Err(Error::Config(format!(
                "{}, and would stay with the replaced release: drop it, and make it again after the swap",
                cell::<String>(&row, 0)?
            )));
        }
    }
    Ok(())
}

async fn rename(transaction: &Transaction<'_>, exchange: &Exchange) -> Result<(), Obstacle> {
    let extensions = Extensions::of(transaction).await?;
    let standing =
        objects::of(transaction, &objects::themselves(&exchange.leaving_names())).await?;
    let renames = exchange
        .cleared
        .iter()
        .chain(&exchange.leaving)
        .chain(&exchange.coming);
    let renames =
        renames.map(|(from, to)| format!("ALTER SCHEMA {} RENAME TO {}", quote(from), quote(to)));
    transaction
        .batch_execute(&renames.collect::<Vec<_>>().join("; "))
        .await?;
    let mut sql = Vec::new();
    let taken: BTreeSet<&String> = exchange.coming.iter().map(|(_, live)| live).collect();
    let stays = |key: &&String| !exchange.leaves.contains(*key);
    for (live, to) in &exchange.leaving {
        let here: Vec<&String> = extensions.in_schema(live).collect();
        let staying = standing
            .keys()
            .filter(stays)
            .any(|key| standing[key].schema == *live);
        // Everybody counts on `public`, and what stays needs a place.
        if !taken.contains(live) && (live == "public" || staying || !here.is_empty()) {
            room::like(transaction, live, to).await?;
        }
        for extension in here {
            sql.push(format!(
                "ALTER EXTENSION {} SET SCHEMA {}",
                quote(extension),
                quote(live)
            ));
        }
    }
    transaction.batch_execute(&sql.join("; ")).await?;
    // One by one: with a type the names of all routines change that take it.
    for key in standing.keys().filter(stays) {
        let object = &standing[key];
        let sql = objects::moved(transaction, object, &object.schema).await?;
        transaction.batch_execute(&sql).await?;
    }
    let mut sql = Vec::new();
    for (live, to) in &exchange.leaving {
        sql.extend(objects::statistics_follow(transaction, to, live).await?);
    }
    Ok(transaction.batch_execute(&sql.join("; ")).await?)
}
