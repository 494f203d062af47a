//! Rows that the server refuses may come out of a damaged archive: gzip and bzip2 tell that after the rows
//! which it bent, and whoever reads of a bad value looks for it in the wrong place.

use std::time::{Duration, Instant};

use pilotfish_dump::Source;
use pilotfish_failure::{Failure, Kind};
use tokio_util::sync::CancellationToken;

/// Longest look: the load has failed anyway.
const LONGEST: Duration = Duration::from_secs(60);

/// Says so where the archive is damaged; `refused` as it is otherwise.
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
    let (path, cancel, until) = (path.clone(), cancel.clone(), Instant::now() + LONGEST);
    let looking = tokio::task::spawn_blocking(move || {
        let goes_on = || !cancel.is_cancelled() && Instant::now() < until;
        pilotfish_dump::damaged(&path, goes_on)
    });
    match looking.await {
        Ok(Some(file)) => refused.context(format!(
            "decompress {file}: the stream is damaged, fetch it again; the first sign of it"
        )),
        _ => refused,
    }
}
