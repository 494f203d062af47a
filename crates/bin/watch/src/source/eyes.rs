//! inotify on the folder of the volume.
//!
//! The folder is watched, never a file: a file that is replaced takes its watch with it. Reading
//! makes events too, so only those that change names or end a write count.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Eyes on one folder.
pub(super) struct Eyes {
    path: PathBuf,
    /// The watcher, and the folder it is on as device and inode: a remounted volume is another one.
    open: Option<(RecommendedWatcher, (u64, u64))>,
    heard: Arc<Heard>,
}

#[derive(Default)]
struct Heard {
    pending: AtomicBool,
    /// Writes in progress: no reason to look, but a proof that events come.
    stirred: AtomicBool,
    wake: Notify,
}

impl Eyes {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            open: None,
            heard: Arc::default(),
        }
    }

    /// Starts to watch, or again when the folder was replaced. A folder that does not exist yet is
    /// no error.
    pub(super) fn open(&mut self) -> Result<(), String> {
        let Some((folder, identity)) = self.folder() else {
            self.open = None;
            return Ok(());
        };
        if self
            .open
            .as_ref()
            .is_some_and(|(_, watched)| *watched == identity)
        {
            return Ok(());
        }
        let heard = Arc::clone(&self.heard);
        let on_event = move |event: notify::Result<Event>| {
            // An error (an overflown queue) may hide a change.
            if event.as_ref().map_or(true, counts) {
                heard.pending.store(true, Ordering::SeqCst);
                heard.wake.notify_one();
            } else if event.is_ok_and(|event| event.kind.is_modify()) {
                heard.stirred.store(true, Ordering::SeqCst);
            }
        };
        // Fails where the node's inotify instances or watches are used up.
        let mut watcher = notify::recommended_watcher(on_event).map_err(|e| e.to_string())?;
        watcher
            .watch(&folder, RecursiveMode::NonRecursive)
            .map_err(|e| e.to_string())?;
        self.open = Some((watcher, identity));
        Ok(())
    }

    pub(super) fn are_open(&self) -> bool {
        self.open.is_some()
    }

    /// Waits for the next event.
    pub(super) async fn event(&self) {
        while !self.heard.pending.swap(false, Ordering::SeqCst) {
            self.heard.wake.notified().await;
        }
    }

    /// Whether anything came since the last call; what waits to be looked at goes on waiting.
    pub(super) fn heard(&self) -> bool {
        self.heard.stirred.swap(false, Ordering::SeqCst) | self.heard.pending.load(Ordering::SeqCst)
    }

    fn folder(&self) -> Option<(PathBuf, (u64, u64))> {
        let folder = if self.path.is_dir() {
            self.path.clone()
        } else {
            let parent = self.path.parent()?;
            if parent.as_os_str().is_empty() {
                PathBuf::from(".")
            } else {
                parent.to_owned()
            }
        };
        let metadata = fs::metadata(&folder).ok()?;
        Some((folder, (metadata.dev(), metadata.ino())))
    }
}

fn counts(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Access(AccessKind::Close(AccessMode::Write))
    )
}
