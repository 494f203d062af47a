//! What was typed, and what it means.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pilotfish_engine::{ServerArgs, Settings};
use pilotfish_loader::{LoadArgs, Options, Source};
use pilotfish_runtime::{CommonArgs, Environment, parse_duration};

/// Load a SQL dump into MariaDB, MySQL or PostgreSQL, unseen by readers
#[derive(Debug, clap::Parser)]
#[command(
    name = "pilotfish-load",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Beside a stock pod no setting is needed: the image's own variables are read.\n\
                  Exit codes: 0 done, 64 usage, 65 bad dump, 69 unreachable, 75 try again later, 77 denied, 78 configuration."
)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Dump file, folder of dumps, published volume, or - for standard input
    #[arg(value_name = "DUMP", required = true)]
    dump: Option<PathBuf>,
    /// Say what would be done and change nothing
    #[arg(long, env = "PILOTFISH_DRY_RUN")]
    dry_run: bool,
    /// Keep trying to reach a server that does not answer yet
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    retry_for: Duration,
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show which release is live, which could come back and which are rejected
    Status {
        /// Only this database
        #[arg(long, env = "PILOTFISH_INTO", value_name = "DB")]
        into: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Bring the previous release back and reject the live one
    Rollback {
        /// Drop live tables that were written to since their load
        #[arg(long, env = "PILOTFISH_OVERWRITE_MODIFIED")]
        overwrite_modified: bool,
        /// Database, where several have releases
        #[arg(long, env = "PILOTFISH_INTO", value_name = "DB")]
        into: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Allow rejected releases again
    Resume {
        /// Digest or its beginning; without it all of them
        digest: Option<String>,
        /// Database, where several have releases
        #[arg(long, env = "PILOTFISH_INTO", value_name = "DB")]
        into: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What to do, checked.
#[derive(Debug, Clone)]
pub enum Command {
    /// Load a dump.
    Load {
        /// Where it is.
        source: Source,
    },
    /// Show the ledger.
    Status {
        /// Of which database alone.
        database: Option<String>,
    },
    /// Undo the last swap.
    Rollback {
        /// Which database.
        database: Option<String>,
        /// Whether rows that somebody wrote since the load may be lost.
        overwrite_modified: bool,
    },
    /// Forgive rejected digests.
    Resume {
        /// Which database.
        database: Option<String>,
        /// Which digest.
        digest: Option<String>,
    },
}

/// Everything the run needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// What to do.
    pub command: Command,
    /// The server.
    pub server: Settings,
    /// How long a load tries to reach it.
    pub retry_for: Duration,
    /// How to load.
    pub options: Options,
}

/// The verb that a person may have meant who gave the name of no file.
pub(crate) fn meant_verb(path: &Path) -> Option<&'static str> {
    let word = path.to_str()?;
    let verbs = ["status", "rollback", "resume"];
    verbs.into_iter().find(|verb| slips(word, verb) <= 2)
}

/// How many letters must be put in, left out or replaced to get from one word to the other.
fn slips(word: &str, wanted: &str) -> usize {
    let mut row: Vec<usize> = (0..=wanted.len()).collect();
    for (line, letter) in word.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (at, other) in wanted.chars().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[wanted.len()]
}

impl Args {
    /// The configuration, or every mistake at once.
    pub(crate) fn into_config(self, env: &Environment) -> Result<Config, Vec<String>> {
        let (command, server) = match self.verb {
            None => {
                let path = self.dump.unwrap_or_default();
                let source = if path.as_os_str() == "-" {
                    Source::Stdin
                } else {
                    Source::Path(path)
                };
                (Command::Load { source }, self.server)
            }
            Some(Verb::Status { into, server }) => (Command::Status { database: into }, server),
            Some(Verb::Rollback {
                overwrite_modified,
                into,
                server,
            }) => (
                Command::Rollback {
                    database: into,
                    overwrite_modified,
                },
                server,
            ),
            Some(Verb::Resume {
                digest,
                into,
                server,
            }) => (
                Command::Resume {
                    database: into,
                    digest,
                },
                server,
            ),
        };
        let server = server.into_settings(|name| env.get(name).map(str::to_owned));
        match (server, self.load.into_options()) {
            (Ok(server), Ok(options)) => Ok(Config {
                command,
                server,
                retry_for: self.retry_for,
                options: Options {
                    dry_run: self.dry_run,
                    ..options
                },
            }),
            (server, options) => Err([server.err(), options.err()]
                .into_iter()
                .flatten()
                .flatten()
                .collect()),
        }
    }
}
