//! The commands of `load`, one function each.

use std::time::{Duration, Instant};

use pilotfish_engine::Engine;
use pilotfish_failure::{Context as _, Failure, Kind};
use pilotfish_loader::{Phase, Progress, Report, Source, Status, Wanted};
use pilotfish_runtime::{OutputFormat, Process, Unit};

use crate::Config;
use crate::args::meant_verb;

/// How often the progress bar follows the load.
const TICK: Duration = Duration::from_millis(200);

/// Pause between two tries to reach the server.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is said that the server does not answer yet.
const REMINDER: Duration = Duration::from_secs(10);

pub(crate) async fn load(config: Config, source: Source, process: &Process) -> Result<(), Failure> {
    is_no_verb(&source)?;
    let engine = reach(&config, process).await?;
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

/// A slip in a verb looks like the name of a dump.
fn is_no_verb(source: &Source) -> Result<(), Failure> {
    let Source::Path(path) = source else {
        return Ok(());
    };
    match meant_verb(path) {
        Some(verb) if !path.exists() => Err(Failure::new(
            Kind::Usage,
            format!(
                "there is no file {}, and no verb of this name: {verb} is one",
                path.display()
            ),
        )
        .with_hint("see pilotfish-load --help")),
        _ => Ok(()),
    }
}

/// Opens the server; one that starts in this moment is worth a wait, one that refuses is not.
async fn reach(config: &Config, process: &Process) -> Result<Box<dyn Engine>, Failure> {
    let deadline = Instant::now() + config.retry_for;
    let mut said: Option<Instant> = None;
    loop {
        match answering(config).await {
            Err(failure)
                if failure.kind() == Kind::Unreachable && Instant::now() + PAUSE <= deadline =>
            {
                if said.is_none_or(|said| said.elapsed() >= REMINDER) {
                    tracing::warn!(%failure, "tries again, for {:?}", config.retry_for);
                    said = Some(Instant::now());
                }
            }
            outcome => return outcome,
        }
        tokio::select! {
            () = process.shutdown.cancelled() => {
                return Err(Failure::new(Kind::Cancelled, "stopped before the server answered"));
            }
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn answering(config: &Config) -> Result<Box<dyn Engine>, Failure> {
    let engine = pilotfish_engine::open(&config.server).await?;
    engine.probe().server().await?;
    Ok(engine)
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

pub(crate) async fn status(
    config: &Config,
    database: Option<&str>,
    process: &Process,
) -> Result<(), Failure> {
    let engine = pilotfish_engine::open(&config.server).await?;
    let mut list = pilotfish_loader::status(engine.as_ref()).await?;
    list.retain(|status| database.is_none_or(|database| status.database == database));
    if process.output() == OutputFormat::Text {
        process.print(&status_text(&list, database));
    }
    process.result(&list);
    Ok(())
}

pub(crate) async fn rollback(
    config: &Config,
    database: Option<&str>,
    overwrite_modified: bool,
    process: &Process,
) -> Result<(), Failure> {
    let engine = pilotfish_engine::open(&config.server).await?;
    let default = config.server.database().await?;
    let report = pilotfish_loader::rollback(
        engine.as_ref(),
        Wanted {
            named: database,
            default: default.as_deref(),
        },
        overwrite_modified,
        &process.shutdown,
    )
    .await?;
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
    let default = config.server.database().await?;
    let wanted = Wanted {
        named: database,
        default: default.as_deref(),
    };
    let forgiven = pilotfish_loader::resume(engine.as_ref(), wanted, digest).await?;
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

const fn state(status: &Status) -> &'static str {
    if status.rewriting {
        "being rewritten"
    } else if status.missing > 0 {
        "parts gone"
    } else if status.finishing {
        "finishing"
    } else {
        "live"
    }
}

fn status_text(list: &[Status], database: Option<&str>) -> String {
    if list.is_empty() {
        let where_to = database.map_or_else(
            || "this server".to_owned(),
            |name| format!("{name} of this server"),
        );
        return format!("no release was loaded into {where_to} yet\n");
    }
    let mut rows = vec![
        [
            "DATABASE", "RELEASE", "SINCE", "TABLES", "STATE", "PREVIOUS", "REJECTED",
        ]
        .map(str::to_owned),
    ];
    for status in list {
        // Tables that were taken over from somebody else are a release without name.
        let before = |digest: &String| match digest.as_str() {
            "" => "yours".to_owned(),
            _ => digest.chars().take(12).collect(),
        };
        let short = |digest: &String| digest.chars().take(12).collect::<String>();
        let rejected: Vec<String> = status.rejected.iter().map(short).collect();
        rows.push([
            status.database.clone(),
            short(&status.digest),
            pilotfish_volume::utc(status.since),
            status.tables.to_string(),
            state(status).to_owned(),
            status
                .previous
                .as_ref()
                .map_or_else(|| "-".to_owned(), before),
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
