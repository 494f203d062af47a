//! `--collect.NAME` and `--no-collect.NAME` for every collector, and the flags of their own.

use clap::{Arg, ArgAction, ArgMatches, Command, Error, FromArgMatches};

use crate::collect::{Choices, Setting, flags};

/// Collectors of the two exporters that ask what no server has any more. Their flags are in manifests still, and do
/// nothing.
const DEAD: [&str; 4] = [
    "collect.engine_tokudb_status",
    "collect.info_schema.replica_host",
    "collect.info_schema.rocksdb_perf_context",
    "collector.xlog_location",
];
/// Flags of the two exporters that say in many words what is so anyway.
const NEEDLESS: [&str; 7] = [
    "no-auto-discover-databases",
    "no-disable-default-metrics",
    "no-disable-settings-metrics",
    "no-dumpmaps",
    "no-exporter.log_slow_filter",
    "no-tls.insecure-skip-verify",
    "no-web.systemd-socket",
];
/// A flag of postgres_exporter that was renamed in 0.20, and its collector here.
const RENAMED: (&str, &str) = ("replication_slots", "replication_slot");

/// What the flags of collectors say.
#[derive(Debug, Default)]
pub(super) struct CollectorArgs {
    pub(super) choices: Choices,
}

/// A flag that is on or off.
fn is_switch(setting: Option<Setting>) -> bool {
    setting.is_none_or(|setting| matches!(setting.default, "true" | "false"))
}

fn name(prefix: &str, collector: &str, setting: Option<Setting>) -> String {
    match setting {
        None => format!("{prefix}.{collector}"),
        Some(setting) => format!("{prefix}.{collector}.{}", setting.name),
    }
}

impl clap::Args for CollectorArgs {
    fn augment_args(command: Command) -> Command {
        let mut command = command;
        for (prefix, collector, setting) in flags() {
            // Leaked once per flag: clap wants names that live as long as the process.
            let long: &'static str = name(prefix, collector.name, setting).leak();
            let (help, default) = match setting {
                None => (
                    collector.help,
                    if collector.by_default { "on" } else { "off" },
                ),
                Some(setting) => (setting.help, setting.default),
            };
            let heading = match prefix {
                "collect" => "Collectors of MariaDB and MySQL",
                _ => "Collectors of PostgreSQL",
            };
            let flag = |long: &'static str| {
                Arg::new(long)
                    .long(long)
                    .hide_short_help(true)
                    .help_heading(heading)
            };
            let arg = flag(long).help(format!("{help} [default: {default}]"));
            if is_switch(setting) {
                let no: &'static str = format!("no-{long}").leak();
                let both = [arg, flag(no).hide(true)].map(|arg| arg.action(ArgAction::SetTrue));
                let [mut on, mut off] = both;
                if collector.name == RENAMED.1 {
                    let old: &'static str = format!("{prefix}.{}", RENAMED.0).leak();
                    let no: &'static str = format!("no-{prefix}.{}", RENAMED.0).leak();
                    (on, off) = (on.alias(old), off.alias(no));
                }
                command = command.args([on.overrides_with(no), off.overrides_with(long)]);
            } else if default.parse::<u64>().is_ok() {
                let number = clap::value_parser!(u64);
                command = command.arg(arg.value_name("N").value_parser(number));
            } else {
                command = command.arg(arg.value_name("TEXT"));
            }
        }
        for long in NEEDLESS {
            let flag = Arg::new(long).long(long).hide(true);
            command = command.arg(flag.action(ArgAction::SetTrue));
        }
        for dead in DEAD {
            for long in [dead.to_owned(), format!("no-{dead}")] {
                let long: &'static str = long.leak();
                let flag = Arg::new(long).long(long).hide(true);
                command = command.arg(flag.action(ArgAction::SetTrue));
            }
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CollectorArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut args = Self::default();
        args.update_from_arg_matches(matches)?;
        Ok(args)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for dead in DEAD.into_iter().filter(|dead| matches.get_flag(dead)) {
            self.choices.note_dead(dead);
        }
        for (prefix, collector, setting) in flags() {
            let long = name(prefix, collector.name, setting);
            if is_switch(setting) {
                let no = format!("no-{long}");
                let given = [(long.as_str(), true), (no.as_str(), false)];
                let on = given.into_iter().find(|(id, _)| matches.get_flag(id));
                match (on, setting) {
                    (Some((_, on)), None) => self.choices.turn(long, on),
                    (Some((_, on)), Some(_)) => self.choices.set(long, on.to_string()),
                    (None, _) => {}
                }
                continue;
            }
            let number = matches.try_get_one::<u64>(&long).ok().flatten();
            let text = matches.try_get_one::<String>(&long).ok().flatten();
            let value = number.map(u64::to_string).or_else(|| text.cloned());
            if let Some(value) = value {
                self.choices.set(long, value);
            }
        }
        Ok(())
    }
}
