//! Whether one RENAME moves all of its tables or none, also where the server is killed in it. MariaDB (since
//! 10.6) keeps a log of it for every engine; MySQL only keeps InnoDB's tables together.

use crate::mysql_family::ask::Ask as _;

use super::names::literal;
use super::swap::moved;
use super::target::MysqlTarget;
use crate::Error;
use crate::load::SwapPlan;

/// Refuses a swap of which a crash would leave half.
///
/// # Errors
/// `Config`, with the tables.
pub(super) async fn refuse_halves(target: &mut MysqlTarget, plan: &SwapPlan) -> Result<(), Error> {
    if target.access.flavour.mariadb || plan.allow_non_transactional {
        return Ok(());
    }
    let names = target.access.names.clone();
    let rows: Vec<(String, String, String)> = target
        .conn
        .query(format!(
            "SELECT table_schema, table_name, engine FROM information_schema.tables WHERE table_schema IN \
             ({}, {}, {}) AND table_type = 'BASE TABLE' AND engine <> 'InnoDB' ORDER BY table_schema, table_name",
            literal(&names.staging),
            literal(&names.live),
            literal(&names.previous)
        ))
        .await?;
    let leaving = moved(plan);
    let halves: Vec<String> = rows
        .into_iter()
        .filter(|(schema, table, _)| match schema {
            schema if *schema == names.staging => plan.swap.contains(table),
            schema if *schema == names.live => leaving.contains(table),
            _ => true,
        })
        .map(|(schema, table, engine)| format!("{schema}.{table} ({engine})"))
        .collect();
    if halves.is_empty() {
        return Ok(());
    }
    Err(Error::Config(format!(
        "MySQL swaps only InnoDB tables all at once, a crash in the swap would leave a part of them: {}: write \
         ENGINE=InnoDB, or --allow-non-transactional takes the risk",
        halves.join(", ")
    )))
}
