//! The swap: staged schemas take the live names, and the ledger says so, in one transaction.

use std::collections::BTreeSet;

use async_trait::async_trait;
use pilotfish_sql::postgres::quote;
use tokio_postgres::Transaction;

use super::drift::Moment;
use super::exchange::{self, Exchange, Within};
use super::ledger::{self, Content, Role};
use super::names::Part;
use super::schemas::{parts, qualified};
use super::shared::{AtSwap, Shared};
use super::target::PostgresTarget;
use super::text::utf8;
use super::{attached, grants, objects, room, swap_database};
use crate::Error;
use crate::load::{Owner, SwapPlan};
use crate::postgres::cell;

/// Makes the staged release live.
pub(super) async fn forward(
    target: &mut PostgresTarget,
    shared: &Shared,
    plan: &SwapPlan,
) -> Result<(), Error> {
    let own = shared.schemas().own().clone();
    let before = ledger::read(&*target.session, Role::Live).await?;
    let again = before
        .as_ref()
        .is_some_and(|before| before.release.is(&plan.release));
    let content = content_of(target, plan, &own, before.as_ref());
    let straight = target.access.is_straight();
    let mut ledger = Ledger {
        gives_up: target.access.options.overwrite_modified,
        again: again && !straight,
        content,
        previous: before.filter(|_| !straight),
        statements: statements(shared, plan)?,
        others: BTreeSet::new(),
        grants: Vec::new(),
        straight,
    };
    let nothing = own.is_empty() && plan.retire.is_empty();
    if target.access.is_database() && !nothing {
        let Ledger {
            content, previous, ..
        } = ledger;
        let swap = swap_database::forward(target, shared, plan, content, previous, again);
        return Box::pin(swap).await;
    }
    if straight || nothing {
        return in_place(target, ledger, &plan.retire).await;
    }
    let before = ledger.previous.clone().unwrap_or_default();
    let Standing { leaves, others } = standing(target, &own, plan, &before).await?;
    ledger.others = others;
    let replaced = if again { Part::Gone } else { Part::Previous };
    let exchange = exchange(target, &own, leaves, &before, replaced).await?;
    if ledger.previous.is_none() && !exchange.leaves.is_empty() {
        // What others made comes back by a rollback, too.
        let schemas = exchange.leaving.iter().map(|(live, _)| live.clone());
        ledger.previous = Some(Content {
            schemas: schemas.collect(),
            objects: exchange.leaves.clone(),
            ..Content::default()
        });
    }
    if target.access.options.owner == Owner::Drop {
        let replaced = exchange
            .leaving
            .iter()
            .filter(|(live, _)| own.contains(live));
        ledger.grants = replaced
            .map(|(live, to)| (to.clone(), live.clone()))
            .collect();
    }
    let access = target.access.clone();
    exchange::carry_out(
        &mut target.session,
        &access,
        &exchange,
        &ledger,
        plan.patience,
    )
    .await
}

/// What the ledger will say of the staged release.
fn content_of(
    target: &PostgresTarget,
    plan: &SwapPlan,
    own: &BTreeSet<String>,
    before: Option<&Content>,
) -> Content {
    let mut content = Content {
        release: plan.release.clone(),
        schemas: own.clone(),
        ..Content::default()
    };
    content.release.since = ledger::now();
    content.inherits_rights = target.access.options.owner == Owner::Drop;
    if let Some(before) = before {
        content.release.also = before.release.passed_on(&content.release);
        if plan.swap.is_empty() && own.is_empty() && plan.retire.is_empty() {
            // Nothing changed but the release's name.
            content = Content {
                release: content.release,
                ..before.clone()
            };
        } else {
            content.release.also.clear();
        }
    }
    if let Some(before) = before.filter(|_| plan.keep_objects) {
        for (key, digest) in &before.release.objects {
            let objects = &mut content.release.objects;
            objects.entry(key.clone()).or_insert_with(|| digest.clone());
        }
    }
    content
}

/// Which schemas change places, and what leaves with them.
async fn exchange(
    target: &PostgresTarget,
    own: &BTreeSet<String>,
    leaves: BTreeSet<String>,
    before: &Content,
    replaced: Part,
) -> Result<Exchange, Error> {
    let session = &*target.session;
    let there = room::all(session).await?;
    let leaving: BTreeSet<&String> = own
        .union(&before.schemas)
        .filter(|live| there.contains(*live))
        .collect();
    let row = session
        .query_one(
            "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text",
            &[],
        )
        .await?;
    let youngest: String = cell(&row, 0)?;
    let nothing_leaves = leaves.is_empty();
    let mut cleared = Vec::new();
    for live in leaving.iter().filter(|_| replaced == Part::Gone) {
        refuse_gone(&there, &Part::Gone.of(live))?;
    }
    for previous in there.iter().filter(|_| replaced == Part::Previous) {
        let Some(gone) = Part::Previous.turned(previous, Part::Gone) else {
            continue;
        };
        refuse_gone(&there, &gone)?;
        cleared.push((previous.clone(), gone));
    }
    Ok(Exchange {
        leaves,
        comes: BTreeSet::new(),
        leaving: leaving
            .iter()
            .map(|live| ((*live).clone(), replaced.of(live)))
            .collect(),
        coming: own
            .iter()
            .map(|live| (Part::Next.of(live), live.clone()))
            .collect(),
        cleared,
        // Where nothing was, nobody misses rows.
        youngest: if nothing_leaves {
            None
        } else {
            youngest.parse().ok()
        },
    })
}

/// Refuses to begin while what an earlier swap has replaced for good is in the way: it was to be dropped already.
pub(super) fn refuse_gone(there: &BTreeSet<String>, gone: &str) -> Result<(), Error> {
    if !there.contains(gone) {
        return Ok(());
    }
    Err(Error::Config(format!(
        "the schema {gone}, which an earlier swap has replaced, is still there: somebody uses it, or wrote to it in the \
         last moment, or this account may not drop it; look, DROP SCHEMA {gone} CASCADE, then try again",
        gone = quote(gone)
    )))
}

/// What of the live schemas leaves, and what of others stays.
struct Standing {
    leaves: BTreeSet<String>,
    others: BTreeSet<String>,
}

/// The release before leaves but for what the next one keeps; of others what it may replace.
async fn standing(
    target: &PostgresTarget,
    own: &BTreeSet<String>,
    plan: &SwapPlan,
    before: &Content,
) -> Result<Standing, Error> {
    let session = &*target.session;
    let staged: Vec<_> = own
        .iter()
        .map(|live| (Part::Next.of(live), live.clone()))
        .collect();
    let coming = objects::of(session, &staged).await?;
    let lives = objects::themselves(own.union(&before.schemas));
    let standing = objects::of(session, &lives).await?;
    let is_recorded = |key: &String| before.brought(key);
    // Of a part of a dump what is no table stays, where nothing of its name comes.
    let brought = |key: &String| {
        coming.contains_key(key) || plan.objects.iter().any(|object| object.name == *key)
    };
    let is_kept = |key: &String| {
        let table = before.release.tables.contains_key(key);
        plan.release.tables.contains_key(key) && !plan.swap.contains(key)
            || plan.keep_objects && !table && !brought(key)
    };
    let (recorded, mut others): (BTreeSet<String>, BTreeSet<String>) =
        standing.into_keys().partition(is_recorded);
    let mut leaves: BTreeSet<String> = recorded.into_iter().filter(|key| !is_kept(key)).collect();
    let taken: Vec<String> = others
        .iter()
        .filter(|key| coming.contains_key(*key))
        .cloned()
        .collect();
    if !taken.is_empty() && !plan.adopt {
        return Err(Error::Config(format!(
            "the live schemas have what no release brought, and the dump brings too: {}: --adopt replaces it",
            taken.join(", ")
        )));
    }
    for key in taken {
        others.remove(&key);
        leaves.insert(key);
    }
    Ok(Standing { leaves, others })
}

/// A release that changes nothing but the ledger and what belongs to the database.
async fn in_place(
    target: &mut PostgresTarget,
    mut ledger: Ledger,
    retired: &BTreeSet<String>,
) -> Result<(), Error> {
    if !ledger.straight {
        ledger.previous = None;
        // What others made meanwhile stays theirs.
        let places = objects::themselves(&ledger.content.schemas);
        let there = objects::of(&*target.session, &places).await?;
        let others = there.into_keys().filter(|key| !ledger.content.brought(key));
        ledger.others = others.collect();
    }
    if ledger.straight {
        ledger.others.clone_from(&target.strangers);
    }
    let transaction = target.session.transaction().await?;
    for table in retired {
        let (schema, name) = parts(table)?;
        let table = qualified(&schema, &name);
        transaction
            .batch_execute(&format!("DROP TABLE IF EXISTS {table}"))
            .await?;
    }
    ledger.run(&transaction).await?;
    Ok(transaction.commit().await?)
}

/// What runs by the live names: of the database first, then what a plan brings.
pub(super) fn statements(shared: &Shared, plan: &SwapPlan) -> Result<Vec<AtSwap>, Error> {
    let mut statements = shared.at_swap().clone();
    for object in &plan.objects {
        statements.push(AtSwap {
            first: None,
            tolerant: false,
            in_schema: true,
            sql: utf8(object.sql.to_vec())?,
        });
    }
    Ok(statements)
}

/// What the swap's transaction does beside its renames.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) content: Content,
    /// What a rollback brings back from now on; `None` leaves that as it is.
    pub(super) previous: Option<Content>,
    pub(super) statements: Vec<AtSwap>,
    /// What is live in the same schemas and no release's.
    pub(super) others: BTreeSet<String>,
    /// Schemas of which the next ones get the rights that are granted there, and those.
    pub(super) grants: Vec<(String, String)>,
    pub(super) straight: bool,
    /// What people made on the replaced tables may go.
    pub(super) gives_up: bool,
    /// The live release once more, whole again: what a rollback brings back stays that.
    pub(super) again: bool,
}

#[async_trait]
impl Within for Ledger {
    async fn seized(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        match &self.previous {
            Some(previous) if !self.gives_up => attached::refuse(transaction, previous).await,
            _ => Ok(()),
        }
    }

    async fn run(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        self.write(transaction).await
    }
}

impl Ledger {
    /// Runs the statements and writes what is live.
    pub(super) async fn write(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        if let Some(previous) = self.previous.as_ref().filter(|before| !before.in_database) {
            unfollow(transaction, &previous.follows).await?;
        }
        follow(transaction, &self.statements).await?;
        for (replaced, live) in &self.grants {
            grants::carry_on(transaction, replaced, live).await?;
        }
        let mut content = self.content.clone();
        let of_database = self
            .statements
            .iter()
            .filter(|statement| !statement.in_schema);
        if self.previous.is_some() || !self.statements.is_empty() {
            content.follows = of_database.cloned().collect();
        }
        let there = objects::of(transaction, &objects::themselves(&content.schemas)).await?;
        content.objects = there.into_keys().collect();
        content.objects.retain(|key| !self.others.contains(key));
        let moves = !self.straight && self.previous.is_some();
        if content.attached.is_none() || moves || self.straight {
            content.attached = Some(attached::of(transaction, &content.schemas).await?);
        }
        if content.loaded_by == 0 || moves {
            let Moment { by, beside, .. } = Moment::of(transaction).await?;
            (content.loaded_by, content.beside) = (by, beside);
        }
        content.unproven = moves && !self.again;
        ledger::keep_all(transaction).await?;
        if self.again {
            if moves {
                give_up_undo(transaction).await?;
            }
            ledger::write(transaction, Role::Undone, self.previous.as_ref()).await?;
        } else if moves || self.straight {
            ledger::write(transaction, Role::Previous, self.previous.as_ref()).await?;
        }
        ledger::write(transaction, Role::Live, Some(&content)).await
    }
}

/// A repaired release has other tables, and types, than those that an undo knows.
pub(super) async fn give_up_undo(transaction: &Transaction<'_>) -> Result<(), Error> {
    let previous = ledger::read(transaction, Role::Previous).await?;
    if previous.is_none_or(|previous| previous.undo.is_none()) {
        return Ok(());
    }
    tracing::warn!("the release before cannot come back: what differed from it is made anew");
    ledger::write(transaction, Role::Previous, None).await
}

/// Drops what a release that leaves has put into the database beside its schemas: its publications know their tables by
/// number.
pub(super) async fn unfollow(
    transaction: &Transaction<'_>,
    statements: &[AtSwap],
) -> Result<(), Error> {
    for sql in statements
        .iter()
        .filter_map(|statement| statement.first.as_ref())
    {
        transaction.batch_execute(sql).await?;
    }
    Ok(())
}

/// Runs what belongs to the database, by the live names.
pub(super) async fn follow(
    transaction: &Transaction<'_>,
    statements: &[AtSwap],
) -> Result<(), Error> {
    for statement in statements {
        transaction
            .batch_execute("SET LOCAL search_path = public")
            .await?;
        transaction.batch_execute("SAVEPOINT statement").await?;
        for sql in statement.first.iter().chain([&statement.sql]) {
            let ran = transaction.batch_execute(sql).await.map_err(Error::from);
            match ran {
                // It is about what is shared, and others may own that.
                Err(error @ (Error::Sql { .. } | Error::Denied(_))) if statement.tolerant => {
                    tracing::debug!(%error, sql, "left as it is");
                    transaction
                        .batch_execute("ROLLBACK TO SAVEPOINT statement")
                        .await?;
                }
                Err(error) => {
                    return Err(error.reworded(|words| format!("{words}, with the swap: {sql}")));
                }
                Ok(()) => {}
            }
        }
        transaction
            .batch_execute("RELEASE SAVEPOINT statement")
            .await?;
    }
    transaction
        .batch_execute("SET LOCAL search_path = pg_catalog")
        .await?;
    Ok(())
}
