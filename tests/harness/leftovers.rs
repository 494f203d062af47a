//! Ends what a killed test left behind: a test process that dies cannot end its servers itself.

use std::fs::{File, read_dir, read_to_string};
use std::path::Path;
use std::sync::Once;

use rustix::process::{Pid, Signal, kill_process};

use crate::world::lock;

/// A world's owner holds a lock on this file in it; the kernel frees the lock of a dead owner.
const OWNER: &str = "owner";
/// Beside each log: the pid of the process that writes it.
pub(crate) const PID: &str = "log.pid";

/// Marks a world as owned by this process while the file is open. It is renamed when locked, so
/// that a sweep by another process never finds it unlocked.
pub(crate) fn own(world: &Path) -> File {
    let fresh = world.join("owner.new");
    let file = lock(&fresh).expect("a new world is nobody's");
    std::fs::rename(fresh, world.join(OWNER)).expect("own the world");
    file
}

/// Sweeps the worlds in `folder` that lost their owner, once per process.
pub(crate) fn sweep(folder: &Path, prefix: &str) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let entries = read_dir(folder).into_iter().flatten().flatten();
        let worlds = entries.filter(|it| it.file_name().to_string_lossy().starts_with(prefix));
        for world in worlds.map(|entry| entry.path()) {
            // A world that is just being made, or was kept on purpose, has no owner's file.
            if world.join(OWNER).is_file() && lock(&world.join(OWNER)).is_some() {
                end_processes(&world);
                // What another user left is not ours to remove.
                let _ = std::fs::remove_dir_all(&world);
            }
        }
    });
}

fn end_processes(world: &Path) {
    for place in read_dir(world).into_iter().flatten().flatten() {
        let pid = read_to_string(place.path().join(PID))
            .ok()
            .and_then(|pid| pid.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        // The number may be someone else's by now: only a process that names this world is meant.
        let command = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
        let name = world.to_string_lossy();
        if command.is_ok_and(|command| String::from_utf8_lossy(&command).contains(name.as_ref())) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}
