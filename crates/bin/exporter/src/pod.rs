//! What the server cannot tell of the pod that it is in: room on its volumes, memory, processor and pressure.
//!
//! Control groups are those of the server's container where the pod shares its process namespace
//! (`shareProcessNamespace: true`), else of the exporter's own; a label says which.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::locked;
use crate::metric::{Gathered, Labels};

/// Where the stock images keep their data; looked at where they are mounted here, too.
pub(crate) const DATA_FOLDERS: [&str; 2] = ["/var/lib/mysql", "/var/lib/postgresql"];
/// How the servers' processes are called.
const SERVERS: [&str; 3] = ["mariadbd", "mysqld", "postgres"];
const CGROUP: &str = "/sys/fs/cgroup";

/// A look at all processes costs more than a scrape.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Longest look, and how long what was seen may be shown.
const PATIENCE: Duration = Duration::from_secs(1);
const FRESH: Duration = Duration::from_secs(5);

/// What is looked at.
pub(crate) struct Pod {
    volumes: Vec<PathBuf>,
    /// The server's process, and when all were looked at last.
    server: Mutex<(Option<u32>, Option<Instant>)>,
    /// Somebody looks, or has not come back from it.
    looking: AtomicBool,
    last: Mutex<Option<(Instant, Gathered)>>,
}

/// What somebody chose.
impl fmt::Debug for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.volumes).finish()
    }
}

impl Pod {
    pub(crate) fn new(mut volumes: Vec<PathBuf>) -> Self {
        volumes.sort();
        volumes.dedup();
        Self {
            volumes,
            server: Mutex::default(),
            looking: AtomicBool::new(false),
            last: Mutex::default(),
        }
    }

    /// The server's process, if it can be seen from here.
    fn server(&self) -> Option<u32> {
        let mut known = locked(&self.server);
        let (pid, looked) = *known;
        if pid.is_some_and(is_server) || looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return pid;
        }
        *known = (first_server(), Some(Instant::now()));
        known.0
    }

    /// Looks at all of it aside: a volume whose server is gone does not answer, and must hold nobody up. What is not there,
    /// or does not come, is left out.
    pub(crate) async fn gathered(self: &Arc<Self>) -> Gathered {
        if self.looking.swap(true, Ordering::AcqRel) {
            return self.last();
        }
        let pod = Arc::clone(self);
        let look = tokio::task::spawn_blocking(move || {
            let mut gathered = Gathered::default();
            pod.gather(&mut gathered);
            *locked(&pod.last) = Some((Instant::now(), gathered));
            pod.looking.store(false, Ordering::Release);
        });
        // Whatever has come by then.
        let _ = tokio::time::timeout(PATIENCE, look).await;
        self.last()
    }

    /// What was seen a moment ago.
    fn last(&self) -> Gathered {
        let last = locked(&self.last);
        let fresh = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH);
        fresh
            .map(|(_, gathered)| gathered.clone())
            .unwrap_or_default()
    }

    fn gather(&self, into: &mut Gathered) {
        let server = self
            .server()
            .map(|pid| PathBuf::from(format!("/proc/{pid}/root")));
        for volume in &self.volumes {
            // Mounted here, or as the server has it.
            let inside = volume.strip_prefix("/").unwrap_or(volume);
            let there = server.as_ref().map(|root| root.join(inside));
            let place = there.filter(|_| !volume.exists());
            room(volume, place.as_ref().unwrap_or(volume), into);
        }
        let server = server.map(|root| root.join(CGROUP.trim_start_matches('/')));
        let readable = |folder: &PathBuf| folder.join("cgroup.controllers").exists();
        match server.filter(readable) {
            Some(folder) => group(&folder, "server", into),
            None => group(Path::new(CGROUP), "exporter", into),
        }
    }
}

fn room(volume: &Path, place: &Path, into: &mut Gathered) {
    let Ok(found) = rustix::fs::statvfs(place) else {
        return;
    };
    let mut gauge = |name, help, value: u64| {
        let labels = Labels::of("path", volume.display().to_string());
        into.gauge(
            format!("pilotfish_volume_{name}"),
            help,
            labels,
            value as f64,
        );
    };
    gauge(
        "size_bytes",
        "Size of the volume.",
        found.f_blocks * found.f_frsize,
    );
    gauge(
        "available_bytes",
        "Room for whoever is not root.",
        found.f_bavail * found.f_frsize,
    );
    // Some file systems have no fixed number of them, and say none.
    if found.f_files > 0 {
        gauge("inodes", "Files that it can hold.", found.f_files);
        gauge(
            "inodes_free",
            "Files that it can still take.",
            found.f_favail,
        );
    }
}

fn is_server(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| SERVERS.contains(&name.trim_end()))
}

fn first_server() -> Option<u32> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.into_iter().find(|pid| is_server(*pid))
}

/// A control group of version 2.
fn group(folder: &Path, whose: &str, into: &mut Gathered) {
    let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
    // Not `container`, which the scrape says of the exporter's own.
    let labels = || Labels::of("cgroup", whose);
    let number = |file: &str| read(file)?.trim().parse::<f64>().ok();
    if let Some(bytes) = number("memory.current") {
        let help = "Memory of the container, page cache included.";
        into.gauge("pilotfish_container_memory_bytes", help, labels(), bytes);
        let stat = read("memory.stat").unwrap_or_default();
        let cold = keyed(&stat, "inactive_file").unwrap_or(0.0);
        let help = "The same without pages that the kernel would give up first.";
        let name = "pilotfish_container_memory_working_set_bytes";
        into.gauge(name, help, labels(), (bytes - cold).max(0.0));
    }
    // `max` is no number.
    if let Some(bytes) = number("memory.max") {
        let help = "Limit of the container's memory; absent where it has none.";
        into.gauge(
            "pilotfish_container_memory_limit_bytes",
            help,
            labels(),
            bytes,
        );
    }
    let killed = read("memory.events").and_then(|text| keyed(&text, "oom_kill"));
    if let Some(killed) = killed {
        let help = "Processes that the kernel killed for memory.";
        into.counter(
            "pilotfish_container_oom_kills_total",
            help,
            labels(),
            killed,
        );
    }
    let cpu = read("cpu.stat").unwrap_or_default();
    for (key, name, help) in [
        (
            "usage_usec",
            "cpu_seconds_total",
            "Processor time of the container.",
        ),
        (
            "throttled_usec",
            "cpu_throttled_seconds_total",
            "Time in which it was not let run, by its limit.",
        ),
    ] {
        if let Some(micros) = keyed(&cpu, key) {
            let name = format!("pilotfish_container_{name}");
            into.counter(name, help, labels(), micros / 1e6);
        }
    }
    for resource in ["cpu", "memory", "io"] {
        let text = read(&format!("{resource}.pressure")).unwrap_or_default();
        for (share, micros) in pressure(&text) {
            let labels = labels().with("resource", resource).with("share", share);
            let help = "Time in which some or all of its processes waited for a resource.";
            into.counter(
                "pilotfish_container_pressure_seconds_total",
                help,
                labels,
                micros / 1e6,
            );
        }
    }
}

/// `usage_usec 123` among other lines.
fn keyed(text: &str, key: &str) -> Option<f64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|(name, _)| *name == key)?;
    value.trim().parse().ok()
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`, a line for `some` and one for `full`.
fn pressure(text: &str) -> impl Iterator<Item = (&str, f64)> {
    text.lines().filter_map(|line| {
        let (share, _) = line.split_once(' ')?;
        let (_, total) = line.rsplit_once("total=")?;
        Some((share, total.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_control_groups_are_read() {
        assert_eq!(keyed("usage_usec 5\nuser_usec 3\n", "user_usec"), Some(3.0));
        assert_eq!(keyed("usage_usec 5\n", "usage"), None);
        let text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 total=2\n";
        let found: Vec<_> = pressure(text).collect();
        assert_eq!(found, [("some", 7.0), ("full", 2.0)]);
    }

    #[test]
    fn a_volume_has_a_size() {
        let mut gathered = Gathered::default();
        room(Path::new("/"), Path::new("/"), &mut gathered);
        room(Path::new("/nowhere"), Path::new("/nowhere"), &mut gathered);
        assert!(gathered.series() >= 2);
    }
}
