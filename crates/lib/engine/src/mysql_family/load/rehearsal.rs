//! Tries the objects that follow the swap on the stage, before anything live is touched: a view that
//! does not parse, a right that is missing or a collation that the server does not know stops the load
//! while the old release is whole.
//!
//! Nothing runs: routines are made, not called, events are left out (they would fire), and everything
//! is dropped again.

use mysql_async::prelude::Queryable as _;
use pilotfish_sql::mysql::quote;

use super::target::{MysqlTarget, NOT_YET, named};
use super::{objects, session};
use crate::Error;
use crate::load::{Object, ObjectKind, SwapPlan};

/// Makes and drops every object that can be made on the stage.
///
/// # Errors
/// As the server gives them, with the object's name; objects over tables that are not on the stage
/// are passed over.
pub(super) async fn rehearse(target: &mut MysqlTarget, plan: &SwapPlan) -> Result<(), Error> {
    may_create_programs(target, plan).await?;
    let staging = target.access.names.staging.clone();
    target
        .conn
        .query_drop(format!("USE {}", quote(&staging)))
        .await?;
    let mut made = Vec::new();
    let mut outcome = Ok(());
    for kind in objects::ORDER
        .iter()
        .filter(|kind| **kind != ObjectKind::Event)
    {
        for object in plan.objects.iter().filter(|object| object.kind == *kind) {
            if outcome.is_ok() {
                outcome = make(target, object, &staging).await;
                made.push(object);
            }
        }
    }
    for object in made.iter().rev() {
        session::apply(&mut target.conn, &objects::drop_session(object.kind)).await?;
        let drop = objects::drop_statement(object.kind, &object.name);
        target.conn.query_drop(drop).await?;
    }
    target.settle().await?;
    outcome
}

async fn make(target: &mut MysqlTarget, object: &Object, staging: &str) -> Result<(), Error> {
    let access = &target.access;
    let entry = objects::entry(
        object,
        access.flavour,
        &access.dump_database(),
        staging,
        access.options.definer,
    );
    match target.run(&entry).await {
        Err(error) if error.code().is_some_and(|code| NOT_YET.contains(&code)) => Ok(()),
        outcome => outcome.map_err(|error| named(&entry, error)),
    }
}

/// With a binary log, functions and triggers need SUPER or a setting of the server (1419): say so
/// before anything is swapped, not after.
async fn may_create_programs(target: &mut MysqlTarget, plan: &SwapPlan) -> Result<(), Error> {
    let program = plan
        .objects
        .iter()
        .find(|object| matches!(object.kind, ObjectKind::Function | ObjectKind::Trigger));
    let Some(program) = program else {
        return Ok(());
    };
    let trusted: Option<bool> = target
        .conn
        .query_first("SELECT NOT @@global.log_bin OR @@global.log_bin_trust_function_creators")
        .await?;
    if trusted != Some(false) {
        return Ok(());
    }
    let grants: Vec<String> = target.conn.query("SHOW GRANTS").await?;
    let global = |grant: &String| grant.contains(" ON *.* ");
    let may = |grant: &String| grant.contains("SUPER") || grant.contains("ALL PRIVILEGES");
    if grants.iter().any(|grant| global(grant) && may(grant)) {
        return Ok(());
    }
    Err(Error::Denied(format!(
        "the release has the {}, and the server writes a binary log: start it with \
         --log-bin-trust-function-creators=1 or --skip-log-bin, or grant SUPER",
        program.key()
    )))
}
