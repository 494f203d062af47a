//! The servers the tests run against, and how each is called on the command line.

use std::path::Path;
use std::process::Command;

use crate::install::Tree;

/// A server product and its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServerKind {
    /// MariaDB 10.11, as Debian 12 ships it.
    MariaDb1011,
    /// MariaDB 11.8.
    MariaDb118,
    /// MySQL 9.7.
    MySql97,
}

impl ServerKind {
    /// Every kind: what a test loops over.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![Self::MariaDb1011, Self::MariaDb118, Self::MySql97]
    }

    /// `mariadb-10.11`, `mariadb-11.8` or `mysql-9.7`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MariaDb1011 => "mariadb-10.11",
            Self::MariaDb118 => "mariadb-11.8",
            Self::MySql97 => "mysql-9.7",
        }
    }

    /// Whether it is a MariaDB.
    #[must_use]
    pub fn is_mariadb(self) -> bool {
        !matches!(self, Self::MySql97)
    }

    /// The stock client: `mariadb` or `mysql`.
    pub(super) fn client(self) -> Command {
        self.tree().command(if self.is_mariadb() {
            "usr/bin/mariadb"
        } else {
            "usr/bin/mysql"
        })
    }

    /// The stock dump program: `mariadb-dump` or `mysqldump`.
    pub(super) fn dump(self) -> Command {
        let program = if self.is_mariadb() {
            "usr/bin/mariadb-dump"
        } else {
            "usr/bin/mysqldump"
        };
        self.tree().command(program)
    }

    /// Another of its programs, such as `mariadb-import`.
    pub(super) fn program(self, name: &str) -> Command {
        self.tree().command(&format!("usr/bin/{name}"))
    }

    /// The server on a data folder: its own defaults, sizes fit for many servers on one machine.
    pub(super) fn server(self, data: &Path) -> Command {
        let tree = self.tree();
        let program = if self.is_mariadb() {
            "usr/sbin/mariadbd"
        } else {
            "usr/sbin/mysqld"
        };
        let mut command = tree.command(program);
        command
            .arg("--no-defaults")
            .arg(format!("--basedir={}", tree.path("usr").display()))
            .arg(format!("--datadir={}", data.display()))
            .arg("--innodb-buffer-pool-size=64M");
        if rustix::process::geteuid().is_root() {
            command.arg("--user=root");
        }
        if self.is_mariadb() {
            command
                .arg(format!(
                    "--lc-messages-dir={}",
                    self.messages(&tree).display()
                ))
                .arg(format!(
                    "--character-sets-dir={}",
                    self.messages(&tree).join("charsets").display()
                ))
                .arg("--innodb-log-file-size=32M");
        } else {
            command
                // The packaged default is a folder that only the package's own user has.
                .arg("--secure-file-priv=")
                .arg(format!(
                    "--plugin-dir={}",
                    tree.path("usr/lib/mysql/plugin").display()
                ))
                .args(["--mysqlx=OFF", "--innodb-redo-log-capacity=64M"]);
        }
        command
    }

    /// MariaDB's scripts that make the system tables: SQL files of this and that name.
    pub(super) fn system_script(self, name: &str) -> Vec<u8> {
        let folder = self.messages(&self.tree());
        ["mariadb", "mysql"]
            .iter()
            .find_map(|prefix| std::fs::read(folder.join(format!("{prefix}_{name}.sql"))).ok())
            .unwrap_or_else(|| panic!("no system script {name} in {}", folder.display()))
    }

    /// Debian renamed the folder of messages, charsets and system scripts with MariaDB 11.
    fn messages(self, tree: &Tree) -> std::path::PathBuf {
        let new = tree.path("usr/share/mariadb");
        if new.join("charsets").is_dir() {
            new
        } else {
            tree.path("usr/share/mysql")
        }
    }

    fn tree(self) -> Tree {
        Tree::find(self.name(), self == Self::MariaDb1011)
    }
}
