//! The commands of `load`, one function each.

use std::time::Duration;

use pilotfish_failure::{Context as _, Failure};
use pilotfish_loader::{Phase, Progress, Report, Source, Status};
use pilotfish_runtime::{OutputFormat, Process, Unit};

use crate::Config;

/// How often the progress bar follows the load.
const TICK: Duration = Duration::from_millis(200);

pub(crate) async fn load(config: Config, source: Source, process: &Process) -> Result<(), Failure> {
    let engine = pilotfish_engine::open(&config.server).await?;
    let mut options = config.options;
    options.default_database = config.server.database().await?;
    let progress = Progress::new();
    let report = {
        let work = pilotfish_loader::load(
            engine.as_ref(),
            &source,
            &options,
            &progress,
            &process.shutdown,
        );
        shown(process, &progress, work).await?
    };
    if report.outcome == pilotfish_loader::Outcome::Planned
        && process.output() == OutputFormat::Text
    {
        process.print(&plan_text(&report));
    }
    tracing::info!("{}", report.sentence());
    process.result(&report);
    Ok(())
}

/// Shows how far the work is until it ends.
async fn shown<T>(
    process: &Process,
    progress: &Progress,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let bar = process.progress("load", Unit::Bytes, None);
    let mut tick = tokio::time::interval(TICK);
    let mut work = std::pin::pin!(work);
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            _ = tick.tick() => {
                let now = progress.snapshot();
                if let Some(total) = now.bytes_total {
                    bar.total(total);
                }
                bar.set(now.bytes);
                bar.note(&phase_text(&now));
            }
        }
    };
    bar.finish();
    outcome
}

fn phase_text(now: &pilotfish_loader::Snapshot) -> String {
    match (&now.table, now.phase) {
        (Some(table), Phase::Staging) => format!("{} {table}, {} rows", now.phase.name(), now.rows),
        _ => format!("{}, {} rows", now.phase.name(), now.rows),
    }
}

pub(crate) async fn status(config: &Config, process: &Process) -> Result<(), Failure> {
    let engine = pilotfish_engine::open(&config.server).await?;
    let list = pilotfish_loader::status(engine.as_ref()).await?;
    if process.output() == OutputFormat::Text {
        process.print(&status_text(&list));
    }
    process.result(&list);
    Ok(())
}

pub(crate) async fn rollback(
    config: &Config,
    database: Option<&str>,
    process: &Process,
) -> Result<(), Failure> {
    let engine = pilotfish_engine::open(&config.server).await?;
    let report = pilotfish_loader::rollback(engine.as_ref(), database).await?;
    tracing::info!("{}", report.sentence());
    process.result(&report);
    Ok(())
}

pub(crate) async fn resume(
    config: &Config,
    database: Option<&str>,
    digest: Option<&str>,
    process: &Process,
) -> Result<(), Failure> {
    let engine = pilotfish_engine::open(&config.server)
        .await
        .context("reach the server")?;
    let forgiven = pilotfish_loader::resume(engine.as_ref(), database, digest).await?;
    for digest in &forgiven {
        tracing::info!(digest, "may be loaded again");
    }
    process.result(&forgiven);
    Ok(())
}

fn plan_text(report: &Report) -> String {
    let mut text = format!("database {}, release {}\n", report.database, report.digest);
    let lists = [
        ("load", &report.tables_loaded),
        ("leave unchanged", &report.tables_unchanged),
        ("retire", &report.tables_retired),
    ];
    for (what, tables) in lists {
        if !tables.is_empty() {
            text.push_str(&format!("{what}: {}\n", tables.join(", ")));
        }
    }
    text
}

fn status_text(list: &[Status]) -> String {
    if list.is_empty() {
        return "no release was loaded into this server yet\n".to_owned();
    }
    let mut rows = vec![
        [
            "DATABASE", "RELEASE", "SINCE", "TABLES", "STATE", "PREVIOUS", "REJECTED",
        ]
        .map(str::to_owned),
    ];
    for status in list {
        let short = |digest: &String| digest.chars().take(12).collect::<String>();
        let rejected: Vec<String> = status.rejected.iter().map(short).collect();
        rows.push([
            status.database.clone(),
            short(&status.digest),
            utc(status.since),
            status.tables.to_string(),
            if status.finishing {
                "finishing"
            } else {
                "live"
            }
            .to_owned(),
            status
                .previous
                .as_ref()
                .map_or_else(|| "-".to_owned(), short),
            if rejected.is_empty() {
                "-".to_owned()
            } else {
                rejected.join(",")
            },
        ]);
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

/// Unix seconds as `2026-11-21T10:19:00Z`; the civil calendar after Howard Hinnant's `civil_from_days`.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::utc;

    #[test]
    fn times_are_civil() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_795_256_340), "2026-11-21T10:19:00Z");
    }
}
