//! What a failed load leaves behind goes at once, as long as the server answers.

use std::time::Duration;

use crate::steps::Opened;

/// Longest clearing after a failure: a slow server must not keep the failure from being told.
const CLEARING: Duration = Duration::from_secs(60);
/// The same in a process that shall end.
const CLEARING_AT_THE_END: Duration = Duration::from_secs(5);

impl Opened<'_> {
    /// Rows that nobody will see take no room until the next run. As long as the server answers; what
    /// stays is dropped by the next run.
    pub(crate) async fn clear_stage(&mut self, interrupted: bool) {
        if !self.staged && !self.loosened {
            return;
        }
        let patience = if interrupted {
            CLEARING_AT_THE_END
        } else {
            CLEARING
        };
        let target = &mut self.target;
        let clearing = async {
            if interrupted {
                target.refresh().await?;
            }
            target.recover().await
        };
        match tokio::time::timeout(patience, clearing).await {
            Ok(Ok(did)) => {
                for note in did {
                    tracing::info!(note, "cleared");
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, loosened = self.loosened, "the stage stays until the next load");
            }
            Err(_) => tracing::warn!(
                loosened = self.loosened,
                "the stage stays until the next load: the server is slow"
            ),
        }
    }
}
