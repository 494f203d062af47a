//! Rows that the server refuses may come out of a damaged archive: gzip and bzip2 tell that after the rows
//! which it bent, and whoever reads of a bad value looks for it in the wrong place.

use std::time::{Duration, Instant};

use pilotfish_dump::Source;
use pilotfish_failure::{Failure, Kind};
use tokio_util::sync::CancellationToken;

/// Longest look: the load has failed anyway.
const LONGEST: Duration = Duration::from_secs(60);

/// Says so where the archive whose row was refused is damaged; `refused` as it is otherwise. Archives before it were
/// read to their ends, and those behind it have nothing to do with it.
pub(crate) async fn at_damage(
    source: &Source,
    refused: Failure,
    cancel: &CancellationToken,
) -> Failure {
    let Source::Path(path) = source else {
        return refused;
    };
    if refused.kind() != Kind::BadData {
        return refused;
    }
    let (path, words, cancel) = (path.clone(), refused.to_string(), cancel.clone());
    let looking = tokio::task::spawn_blocking(move || {
        // As a position begins.
        let meant = |file: &str| words.contains(&format!("{file}:"));
        let archive = pilotfish_dump::archive(&path, meant)?;
        let file = archive.display().to_string();
        tracing::info!(
            file,
            seconds = LONGEST.as_secs(),
            "looks whether the archive is damaged, for so long at most"
        );
        let until = Instant::now() + LONGEST;
        let goes_on = || !cancel.is_cancelled() && Instant::now() < until;
        pilotfish_dump::is_damaged(&archive, goes_on).then_some(file)
    });
    match looking.await {
        Ok(Some(file)) => refused.context(format!(
            "decompress {file}: the stream is damaged, fetch it again; the first sign of it"
        )),
        _ => refused,
    }
}
