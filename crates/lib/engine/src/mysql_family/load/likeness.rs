//! Whether a live object is what the release would make: the server's own words for both are compared.
//!
//! Who may overrule others has views, routines, triggers and events made again that somebody changed; those that nobody
//! touched stay, since on MySQL most of them are gone for a moment while they are made.

use std::collections::BTreeMap;

use mysql_async::{Row, Value};
use pilotfish_sql::mysql::quote;

use super::ledger::Content;
use super::names::qualified;
use super::names_taken::{Objects, objects_of};
use super::objects;
use super::target::MysqlTarget;
use crate::Error;
use crate::load::{Object, ObjectKind, SessionState, SwapPlan};
use crate::mysql_family::ask::Ask as _;

/// The server's words for an object, its database called as the live one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Words {
    columns: Vec<Option<Vec<u8>>>,
    /// An event that fires; the words are those of one that does not.
    fires: bool,
}

/// An object on the stage, by its key, and how it was made there.
pub(super) type Rehearsed = BTreeMap<String, Option<Words>>;

/// The words for an object that the stage has, where events never fire.
pub(super) async fn staged(
    target: &mut MysqlTarget,
    object: &Object,
) -> Result<Option<Words>, Error> {
    // In words that do not depend on the object's session.
    target.settle().await?;
    let schema = target.access.names.staging.clone();
    let mode = objects::mode(target.access.flavour, &object.session);
    let fires = object.kind == ObjectKind::Event
        && objects::disabled(&object.sql, mode) != object.sql.as_ref();
    let words = words(target, &schema, object).await?;
    Ok(words.map(|words| Words { fires, ..words }))
}

/// The live objects that are what the stage had, and those that a part of a dump leaves as they are.
pub(super) async fn unchanged(
    target: &mut MysqlTarget,
    before: &Content,
    plan: &SwapPlan,
    rehearsed: &Rehearsed,
) -> Result<Objects, Error> {
    let live = target.access.names.live.clone();
    let enter = format!("USE {}", quote(&live));
    target.conn.query_drop(enter).await?;
    let mut same = Vec::new();
    for object in &plan.objects {
        let key = object.key();
        let Some(Some(made)) = rehearsed.get(&key) else {
            continue;
        };
        if words(target, &live, object).await?.as_ref() == Some(made) {
            same.push(key);
        }
    }
    let there = objects_of(target).await?;
    if plan.keep_objects {
        let coming = there.like(
            plan.objects
                .iter()
                .map(Object::key)
                .collect::<Vec<_>>()
                .iter()
                .map(String::as_str),
        );
        let stays = |key: &&String| there.have(key) && !coming.have(key);
        same.extend(before.release.objects.keys().filter(stays).cloned());
    }
    Ok(there.like(same.iter().map(String::as_str)))
}

/// The words for an object in the session's database; `None` where it is not there, or not for the account's eyes.
async fn words(
    target: &mut MysqlTarget,
    schema: &str,
    object: &Object,
) -> Result<Option<Words>, Error> {
    let kind = object.kind.name().to_ascii_uppercase();
    let show = format!("SHOW CREATE {kind} {}", qualified(schema, &object.name));
    let row: Option<Row> = match target.conn.query_first(show).await.map_err(Error::from) {
        Err(Error::Sql { .. } | Error::Denied(_)) => None,
        row => row?,
    };
    let live = target.access.names.live.clone();
    let mode = objects::mode(target.access.flavour, &SessionState::default());
    let mut fires = false;
    let mut word = |value: Option<Value>| match value {
        Some(Value::Bytes(text)) => {
            let mut text = objects::requalify(&text, mode, schema, &live);
            if object.kind == ObjectKind::Event {
                let asleep = objects::disabled(&text, mode);
                fires |= asleep != text;
                text = asleep;
            }
            Some(text)
        }
        _ => None,
    };
    let columns = row.map(|row| {
        let names: Vec<String> = row
            .columns_ref()
            .iter()
            .map(|column| column.name_str().into_owned())
            .collect();
        // When it was made is no word about what it is.
        let pairs = names.into_iter().zip(row.unwrap_raw());
        let pairs = pairs.filter(|(name, _)| name != "Created");
        pairs.map(|(_, value)| word(value)).collect()
    });
    Ok(columns.map(|columns| Words { columns, fires }))
}
