//! Where the programs are: on the machine, or in a rootfs folder that `./x setup` made.
//!
//! A rootfs program runs on the host's file system by its own loader and libraries. That needs no
//! chroot, no bind mount and no root, and its sockets and data folders are plain host paths.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::cache_dir;

// Not the link in `lib64`: bookworm's is absolute and would name the host's loader.
#[cfg(target_arch = "x86_64")]
const LOADER: (&str, &str) = ("usr/lib/x86_64-linux-gnu", "ld-linux-x86-64.so.2");
#[cfg(target_arch = "aarch64")]
const LOADER: (&str, &str) = ("usr/lib/aarch64-linux-gnu", "ld-linux-aarch64.so.1");

/// A file tree with programs in it: `/`, or a rootfs folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The cached rootfs of that name, or with `or_host` the machine itself.
    pub(crate) fn find(name: &str, or_host: bool) -> Self {
        let root = cache_dir().join(format!("rootfs-{name}"));
        if root.is_dir() {
            return Self { root };
        }
        assert!(
            or_host,
            "{name} is not installed in {}: run `./x setup`",
            root.display()
        );
        Self {
            root: PathBuf::from("/"),
        }
    }

    /// The path of something in the tree.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// A command for `program` (such as `usr/sbin/mysqld`) with an empty environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let path = self.path(program);
        assert!(
            path.exists(),
            "{} is missing: run `./x setup`",
            path.display()
        );
        let mut command = if self.root == Path::new("/") {
            Command::new(path)
        } else {
            let libraries = self.path(LOADER.0);
            let mut command = Command::new(libraries.join(LOADER.1));
            command.arg("--library-path").arg(&libraries).arg(path);
            command
        };
        command
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC");
        command
    }
}
