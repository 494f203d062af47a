//! Command line of `pilotfish-wait`.

use std::ffi::OsString;
use std::time::Duration;

use pilotfish_engine::{ServerArgs, Settings};
use pilotfish_runtime::{CommonArgs, Environment, parse_duration};

use crate::conditions::{Conditions, Digest, Table};
use crate::patience::Patience;
use crate::{Config, Successor};

/// Wait until database servers are ready, then end with 0 or become another command.
/// Repeat --url, --table and --query for more of them.
#[derive(Debug, clap::Parser)]
#[command(override_usage = "pilotfish-wait [OPTIONS] [-- COMMAND [ARGS]...]")]
pub struct Args {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    ready: ReadyArgs,
    #[command(flatten)]
    patience: PatienceArgs,
    #[command(flatten)]
    common: CommonArgs,
    /// Runs in the place of this process, once ready
    #[arg(last = true, value_name = "COMMAND", hide = true)]
    command: Vec<OsString>,
}

/// Conditions beyond an answered query.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Ready means a query is answered over TCP, and")]
struct ReadyArgs {
    /// Takes writes: not read-only
    #[arg(long)]
    writable: bool,
    /// It has at least so many rows
    #[arg(long, value_name = "DB.TABLE[:ROWS]")]
    table: Vec<Table>,
    /// Its first value is true
    #[arg(long, value_name = "SQL")]
    query: Vec<String>,
    /// It is live: SHA-256 that `load status` shows, or 12 digits of it
    #[arg(long, value_name = "DIGEST")]
    release: Option<Digest>,
    /// A replica is at most so far behind
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    max_lag: Option<Duration>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Patience")]
struct PatienceArgs {
    /// Then code 124; 0s waits forever
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    timeout: Duration,
    /// Pause between two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    interval: Duration,
    /// Longest look at one server; one that stalls is asked anew
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    look_timeout: Duration,
    /// End at once on what cannot heal
    #[arg(long)]
    fail_fast: bool,
}

impl Args {
    pub(crate) const fn common(&self) -> &CommonArgs {
        &self.common
    }

    /// Checks everything and reports all mistakes.
    pub(crate) fn into_config(self, env: &Environment) -> Result<Config, Vec<String>> {
        let mut mistakes = Vec::new();
        if self.patience.interval.is_zero() {
            mistakes.push("--interval: a round needs a pause, such as 200ms".to_owned());
        }
        if self.patience.look_timeout.is_zero() {
            mistakes.push("--look-timeout: a look needs time, such as 10s".to_owned());
        }
        let targets = self
            .server
            .into_targets(|name| env.get(name).map(ToOwned::to_owned));
        let targets = targets.unwrap_or_else(|more| {
            mistakes.extend(more);
            Vec::new()
        });
        for table in self
            .ready
            .table
            .iter()
            .filter(|table| table.database.is_none())
        {
            if !targets.iter().all(Settings::finds_bare_tables) {
                mistakes.push(format!(
                    "--table {table}: name its database, or give --database"
                ));
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let mut words = self.command.into_iter();
        let command = words.next().map(|program| Successor {
            program,
            args: words.collect(),
        });
        Ok(Config {
            targets,
            conditions: Conditions {
                writable: self.ready.writable,
                tables: self.ready.table,
                queries: self.ready.query,
                release: self.ready.release,
                max_lag: self.ready.max_lag,
            },
            patience: Patience {
                timeout: (!self.patience.timeout.is_zero()).then_some(self.patience.timeout),
                interval: self.patience.interval,
                look_timeout: self.patience.look_timeout,
                fail_fast: self.patience.fail_fast,
            },
            command,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser as _};

    fn config(words: &[&str]) -> Result<Config, Vec<String>> {
        let words = std::iter::once("pilotfish-wait").chain(words.iter().copied());
        let args = Args::try_parse_from(words).map_err(|error| vec![error.to_string()])?;
        args.into_config(&Environment::default())
    }

    #[test]
    fn mistakes_come_together() {
        let mistakes =
            config(&["--interval=0s", "--look-timeout=0s", "--url=mysql://u@db?x"]).unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        let mistakes = config(&["--table=drugs", "--url=mysql://u@db"]).unwrap_err();
        assert!(mistakes[0].contains("name its database"), "{mistakes:?}");
    }

    #[test]
    fn help_is_short() {
        for arg in Args::command().get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!((1..=70).contains(&help.len()), "{}: {help}", arg.get_id());
        }
    }

    #[test]
    fn zero_waits_forever_and_commands_are_not_shown() {
        let config = config(&[
            "--url=mysql://u@db",
            "--timeout=0s",
            "--",
            "psql",
            "password=hunter2",
        ])
        .unwrap();
        assert_eq!(config.patience.timeout, None);
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
