//! Assertions on the staged release.

use std::collections::BTreeSet;

use pilotfish_sql::postgres::{Mode, key, quote, tokens};

use super::names::is_system;
use super::schemas::parts;
use super::shared::Shared;
use super::text::{PUBLIC, utf8};
use super::{room, statement};
use crate::Error;
use crate::postgres::cell;
use crate::postgres::connect::Session;
use crate::postgres::truth::Truth;

/// Verbs of statements that look.
const VERBS: [&str; 4] = ["SELECT", "WITH", "VALUES", "TABLE"];

/// Refuses what would not ask the release to come: `coming` are the keys (`view v`) of what follows the swap. The body
/// of a function names tables by itself, and those are live.
pub(super) async fn refuse(
    session: &Session,
    sql: &str,
    coming: &BTreeSet<String>,
) -> Result<(), Error> {
    let mode = Mode::default();
    let verb = tokens(sql.as_bytes(), mode).next();
    let verb = verb.map(|token| String::from_utf8_lossy(token.text).to_uppercase());
    let verb = verb.unwrap_or_default();
    if !VERBS.contains(&verb.as_str()) {
        return Err(Error::Config(format!(
            "an assertion looks and changes nothing: it begins with SELECT, not `{verb}`"
        )));
    }
    let names = statement::names(sql.as_bytes(), mode);
    if let Some(view) = names
        .iter()
        .find(|name| coming.contains(&format!("view {name}")))
    {
        return Err(Error::Config(format!(
            "it asks the view {view}, which follows the swap: ask the tables that it is made of"
        )));
    }
    let all: Vec<_> = tokens(sql.as_bytes(), mode).collect();
    let qualified = all.windows(4).find(|four| {
        four[1].is_punctuation(b'.')
            && four[3].is_punctuation(b'(')
            && four[0].name().is_some_and(|schema| !is_system(&schema))
    });
    let called = match qualified {
        Some(four) => four[2].name(),
        None => {
            let called = statement::called(sql.as_bytes(), mode);
            let comes = |name: &&String| coming.contains(&format!("function {name}"));
            match called.iter().find(comes) {
                Some(name) => Some(name.clone()),
                None => room::own_function(&**session, &called).await?,
            }
        }
    };
    match called {
        None => Ok(()),
        Some(name) => Err(Error::Config(format!(
            "it calls the function {name}, which asks the release that is live: ask the tables themselves"
        ))),
    }
}

/// Asks `sql` of the stage, where `unchanged` are live tables that stay; what came back, when it is not true.
pub(super) async fn ask(
    shared: &Shared,
    sql: &str,
    unchanged: &BTreeSet<String>,
) -> Result<Option<String>, Error> {
    let mut session = shared.access.connect_to_stage().await?;
    let stays = |schema: &str, object: &str| unchanged.contains(&key(Some(schema), object));
    let (sql, place) = {
        let schemas = shared.schemas();
        let moved = schemas.rewrite_unless(sql.as_bytes(), shared.mode(), &stays)?;
        (utf8(moved.into_owned())?, schemas.place(PUBLIC))
    };
    // Names without a schema are those of `public`, as in the client's own session.
    let mut path = quote(&place);
    if unchanged
        .iter()
        .any(|table| parts(table).is_ok_and(|(schema, _)| schema == PUBLIC))
    {
        path.push_str(", public");
    }
    session
        .batch_execute(&format!("SET search_path = {path}"))
        .await?;
    let answer = read_only(&mut session, &sql).await;
    session.close().await;
    answer
}

async fn read_only(session: &mut Session, sql: &str) -> Result<Option<String>, Error> {
    let statement = session.prepare(sql).await?;
    if statement.columns().is_empty() {
        return Err(Error::Refused(
            "an assertion looks and changes nothing: it begins with SELECT".to_owned(),
        ));
    }
    let transaction = session.look_only().await?;
    let portal = transaction.bind(&statement, &[]).await?;
    let rows = transaction.query_portal(&portal, 1).await?;
    transaction.rollback().await?;
    let Some(row) = rows.first() else {
        return Ok(Some("no row".to_owned()));
    };
    let Truth { is_true, shown } = cell(row, 0)?;
    Ok((!is_true).then_some(shown))
}
