//! Bytes to the disk while more of them come.
//!
//! A release is synced before it is published. Left alone, the kernel starts to write after half a
//! minute or two gigabytes, and all of that would be waited for at the end.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

/// Bytes after which the disk is kept busy again.
const EVERY: u64 = 32 << 20;

/// Writes a growing file back on a thread of its own, which ends with this value. Failures are left
/// to the sync before publication, which sees them again.
#[derive(Debug)]
pub(crate) struct Flusher {
    wake: SyncSender<()>,
    unflushed: u64,
}

impl Flusher {
    pub(crate) fn start(file: Arc<File>) -> Self {
        let (wake, woken) = sync_channel(1);
        std::thread::spawn(move || {
            for () in woken {
                let _ = file.sync_data();
            }
        });
        Self { wake, unflushed: 0 }
    }

    /// Notes bytes that were written to the file.
    pub(crate) fn wrote(&mut self, bytes: u64) {
        self.unflushed += bytes;
        if self.unflushed >= EVERY {
            self.unflushed = 0;
            // One that is still at work finds these bytes, or the next call does.
            let _ = self.wake.try_send(());
        }
    }
}
