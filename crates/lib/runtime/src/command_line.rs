//! From words to typed arguments, with every mistake reported at once.
//!
//! clap stops at the first mistake. Here the offending argument is taken out and the rest is parsed
//! again, until nothing is left to complain about. Parsing does no work: no look-up, no file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::IsTerminal;

use clap::builder::{BoolishValueParser, Resettable};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, ArgMatches, Command, FromArgMatches};

use crate::args::CommonArgs;
use crate::environment::{Environment, PREFIX};

/// More rounds than a person makes mistakes; bounds the loop whatever clap answers.
const ROUNDS: usize = 50;

/// Columns of help that goes into a pipe; a terminal tells its own width.
const PIPE_WIDTH: usize = 100;

/// The flag that shows what `--help` leaves out to fit a screen.
const HELP_ALL: &str = "help-all";

/// What the command line asks for.
pub(crate) enum Request<A> {
    /// Help or version: print it and end.
    Show(String),
    /// Work, or a report of the mistakes.
    Work(Parsed<A>),
}

/// The arguments as far as they could be read.
pub(crate) struct Parsed<A> {
    /// `None` when too little was left to build the arguments.
    pub(crate) args: Option<A>,
    /// One sentence per mistake.
    pub(crate) mistakes: Vec<String>,
    /// Whether a value was dropped, so that later checks would complain about its absence.
    pub(crate) value_dropped: bool,
    /// Log and output flags as far as they are readable, so that mistakes go where results go.
    pub(crate) common: CommonArgs,
}

/// Parses `words` (with the program's name first) and the variables of the flags.
pub(crate) fn parse<A: clap::Parser>(
    tool: &str,
    words: Vec<OsString>,
    environment: &Environment,
) -> Request<A> {
    let program = format!("pilotfish-{tool}");
    let everything = words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| *word == *format!("--{HELP_ALL}"));
    let command = prepare(A::command(), &program, environment, everything);
    let mut search = Search {
        command,
        words,
        ..Search::default()
    };
    let matches = match search.run() {
        Ok(matches) => matches,
        Err(shown) => return Request::Show(shown),
    };
    // Of what is left: clap reads nothing behind an argument that it does not know.
    let common = readable_common(search.command.clone(), &search.words);
    let mut mistakes = search.mistakes;
    let mut known = BTreeSet::new();
    variables(&search.command, &mut known);
    mistakes.extend(environment.misspelt(&program, &known));
    let args = matches.and_then(|mut matches| match A::from_arg_matches_mut(&mut matches) {
        Ok(args) => Some(args),
        Err(error) => {
            // A group without the value that was taken out above.
            if mistakes.is_empty() {
                mistakes.push(sentence(&error));
            }
            None
        }
    });
    Request::Work(Parsed {
        args,
        mistakes,
        value_dropped: search.value_dropped,
        common,
    })
}

/// Gives every flag its variable, the tool its name, and help its two sizes: a screen, or everything.
fn prepare(
    command: Command,
    program: &str,
    environment: &Environment,
    everything: bool,
) -> Command {
    let mut after = Vec::new();
    after.extend(command.get_after_help().map(ToString::to_string));
    after.push("Each flag can be set by its variable; flags win over variables.".to_owned());
    if everything {
        after.push(crate::install::help(program));
    } else {
        after.push(format!("Rarer flags: {program} --{HELP_ALL}"));
    }
    let command = decorate(command, environment, everything)
        .name(program.to_owned().leak() as &'static str)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(after.join("\n"));
    if std::io::stdout().is_terminal() {
        command
    } else {
        command.term_width(PIPE_WIDTH)
    }
}

fn decorate(command: Command, environment: &Environment, everything: bool) -> Command {
    // The long form of help puts an empty line between flags, and no longer fits a screen.
    let help = switch("help", "Print help", ArgAction::HelpShort).short('h');
    let all = switch(HELP_ALL, "Print help with every flag", ArgAction::HelpShort);
    let version = switch("version", "Print version", ArgAction::Version).short('V');
    command
        .mut_args(|arg| with_variable(arg, environment))
        .mut_args(|arg| {
            let rare = arg.is_hide_short_help_set() && !everything;
            arg.hide_short_help(rare)
        })
        .mut_subcommands(|sub| decorate(sub, environment, everything))
        .disable_help_subcommand(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .version(env!("CARGO_PKG_VERSION"))
        .args([help, all, version])
}

fn switch(name: &'static str, help: &'static str, action: ArgAction) -> clap::Arg {
    clap::Arg::new(name)
        .long(name)
        .help(help)
        .help_heading("Process")
        .action(action)
}

fn with_variable(arg: clap::Arg, environment: &Environment) -> clap::Arg {
    let Some(long) = arg.get_long() else {
        return arg;
    };
    // Names that other programs gave to flags; no variable can be called so.
    if long.contains('.') {
        return arg;
    }
    let name = match arg.get_env() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => format!("{PREFIX}{}", long.to_ascii_uppercase().replace('-', "_")),
    };
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let arg = if is_switch {
        arg.value_parser(BoolishValueParser::new())
    } else {
        arg
    };
    let arg = arg.hide_env_values(true);
    if environment.get(&name).is_some() || !environment.is_set(&name) {
        // Leaked once per flag: clap wants names that live as long as the process.
        arg.env(name.leak() as &'static str)
    } else {
        arg.env(Resettable::Reset)
    }
}

fn variables(command: &Command, known: &mut BTreeSet<String>) {
    for arg in command.get_arguments() {
        if let Some(long) = arg.get_long().filter(|long| !long.contains('.')) {
            known.insert(format!(
                "{PREFIX}{}",
                long.to_ascii_uppercase().replace('-', "_")
            ));
        }
        if let Some(name) = arg.get_env() {
            known.insert(name.to_string_lossy().into_owned());
        }
    }
    for sub in command.get_subcommands() {
        variables(sub, known);
    }
}

fn readable_common(command: Command, words: &[OsString]) -> CommonArgs {
    command
        .ignore_errors(true)
        .mut_args(|arg| arg.required(false))
        .try_get_matches_from(words)
        .ok()
        .and_then(|matches| CommonArgs::from_arg_matches(&matches).ok())
        .unwrap_or_default()
}

/// The loop that takes out one offending argument per round.
#[derive(Default)]
struct Search {
    command: Command,
    words: Vec<OsString>,
    mistakes: Vec<String>,
    value_dropped: bool,
    /// Flags whose values were taken out: that they are missing then is no second mistake.
    dropped: Vec<String>,
    /// The word after an unknown flag: probably its value, and no mistake of its own.
    orphan: Option<OsString>,
}

impl Search {
    /// The matches of what is left, or the help text as the error.
    fn run(&mut self) -> Result<Option<ArgMatches>, String> {
        for _ in 0..ROUNDS {
            let error = match self.command.clone().try_get_matches_from(&self.words) {
                Ok(matches) => return Ok(Some(matches)),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                    return Err(error.render().to_string());
                }
                ErrorKind::MissingRequiredArgument => {
                    self.missing(&error);
                    return Ok(None);
                }
                _ => {
                    if !self.take_out(&error) {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(None)
    }

    fn missing(&mut self, error: &clap::Error) {
        let Some(ContextValue::Strings(names)) = error.get(ContextKind::InvalidArg) else {
            self.mistakes.push(sentence(error));
            return;
        };
        let first_word = |name: &String| name.split(' ').next().unwrap_or_default().to_owned();
        for name in names
            .iter()
            .filter(|name| !self.dropped.contains(&first_word(name)))
        {
            self.mistakes.push(format!("{name} is required"));
        }
    }

    /// Notes the mistake and removes its cause; false when the cause was not found.
    fn take_out(&mut self, error: &clap::Error) -> bool {
        let subject = text(error, ContextKind::InvalidArg)
            .or_else(|| text(error, ContextKind::InvalidSubcommand))
            .unwrap_or_default();
        let flag = subject
            .split([' ', '='])
            .next()
            .unwrap_or_default()
            .to_owned();
        let unknown = matches!(
            error.kind(),
            ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand
        );
        if !(unknown && self.orphan.take().is_some_and(|orphan| orphan == *flag)) {
            self.mistakes.push(sentence(error));
        }
        if let Some(at) = self.words.iter().position(|word| is_flag(word, &flag)) {
            let word = self.words.remove(at);
            let next_is_value = self
                .words
                .get(at)
                .is_some_and(|next| !next.to_string_lossy().starts_with('-'));
            if next_is_value && word == *flag && flag.starts_with('-') {
                if !unknown || suggests_a_value(error, &self.command) {
                    self.words.remove(at);
                } else {
                    self.orphan = self.words.get(at).cloned();
                }
            }
            self.value_dropped |= !unknown;
            self.dropped.push(flag);
            return true;
        }
        self.value_dropped = true;
        self.dropped.push(flag.clone());
        let value = text(error, ContextKind::InvalidValue);
        if let Some(at) = value.and_then(|value| self.words.iter().position(|word| *word == *value))
        {
            self.words.remove(at);
            return true;
        }
        self.forget_variable(&flag)
    }

    /// The value came from the environment: this flag is parsed without its variable from now on.
    fn forget_variable(&mut self, flag: &str) -> bool {
        let Some(long) = flag.strip_prefix("--") else {
            return false;
        };
        let mut found = false;
        self.command = forget(std::mem::take(&mut self.command), long, &mut found);
        found
    }
}

fn forget(command: Command, long: &str, found: &mut bool) -> Command {
    command
        .mut_args(|arg| {
            if arg.get_long() == Some(long) && arg.get_env().is_some() {
                *found = true;
                return arg.env(Resettable::Reset);
            }
            arg
        })
        .mut_subcommands(|sub| forget(sub, long, found))
}

fn is_flag(word: &OsString, flag: &str) -> bool {
    let word = word.to_string_lossy();
    word == flag
        || word
            .strip_prefix(flag)
            .is_some_and(|rest| rest.starts_with('='))
}

/// Whether the flag that clap believes was meant takes a value.
fn suggests_a_value(error: &clap::Error, command: &Command) -> bool {
    let Some(meant) = text(error, ContextKind::SuggestedArg) else {
        return false;
    };
    command
        .get_arguments()
        .chain(command.get_subcommands().flat_map(Command::get_arguments))
        .find(|arg| {
            arg.get_long()
                .is_some_and(|long| meant.trim_start_matches('-') == long)
        })
        .is_some_and(|arg| arg.get_action().takes_values())
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// clap's paragraph as one sentence, without usage and without secrets inside URLs.
fn sentence(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let end = ["\n\nUsage:", "\n\nFor more information"]
        .iter()
        .filter_map(|mark| rendered.find(mark))
        .min()
        .unwrap_or(rendered.len());
    let words: Vec<&str> = rendered[..end]
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("tip: to pass"))
        .collect();
    mask_queries(&mask_userinfo(
        words.join("; ").trim_start_matches("error: "),
    ))
}

/// Replaces the query of every URL by stars: presigned ones carry their signature there.
fn mask_queries(text: &str) -> String {
    let Some(start) = text.find("://").map(|at| at + 3) else {
        return text.to_owned();
    };
    let (before, rest) = text.split_at(start);
    let end = rest.find([' ', '\'', '"']).unwrap_or(rest.len());
    let (url, after) = rest.split_at(end);
    match url.split_once('?') {
        Some((path, _)) => format!("{before}{path}?***{}", mask_queries(after)),
        None => format!("{before}{url}{}", mask_queries(after)),
    }
}

/// Replaces the password of `scheme://user:password@host` by stars: all up to the last `@`, since a
/// password may hold slashes and quotes. Where a `?` is among it, what follows may be a query's secret.
fn mask_userinfo(text: &str) -> String {
    let Some(start) = text.find("://").map(|at| at + 3) else {
        return text.to_owned();
    };
    let url = text[start..].split(' ').next().unwrap_or_default();
    match url
        .rsplit_once('@')
        .map(|(userinfo, _)| userinfo.split_once(':'))
    {
        Some(Some((user, password))) if !user.contains(['?', '#']) => {
            let from = start + user.len() + 1;
            let to = match password.contains(['?', '#']) {
                true => start + url.len(),
                false => from + password.len(),
            };
            format!("{}***{}", &text[..from], mask_userinfo(&text[to..]))
        }
        _ => format!("{}{}", &text[..start], mask_userinfo(&text[start..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Args {
        /// Where to look
        path: String,
        #[arg(long, default_value = "2s", value_parser = crate::parse_duration)]
        settle: std::time::Duration,
        #[arg(long)]
        poll: bool,
        #[arg(long)]
        threads: Option<u8>,
        #[command(flatten)]
        common: CommonArgs,
    }

    fn mistakes(words: &[&str]) -> Vec<String> {
        let words = std::iter::once("pilotfish-test").chain(words.iter().copied());
        match parse::<Args>(
            "test",
            words.map(OsString::from).collect(),
            &Environment::default(),
        ) {
            Request::Work(parsed) => parsed.mistakes,
            Request::Show(text) => panic!("unexpected help: {text}"),
        }
    }

    #[test]
    fn a_right_line_has_no_mistakes() {
        assert_eq!(
            mistakes(&["x", "--settle", "3s", "--poll", "--output=json"]),
            [""; 0]
        );
    }

    #[test]
    fn all_mistakes_come_at_once() {
        let all = mistakes(&[
            "x",
            "--settel",
            "3s",
            "--threads",
            "many",
            "--bogus",
            "--grace=5",
        ]);
        assert_eq!(all.len(), 4, "{all:#?}");
        assert!(
            all.iter()
                .any(|m| m.contains("--settel") && m.contains("'--settle'")),
            "{all:#?}"
        );
        assert!(
            all.iter()
                .any(|m| m.contains("many") && m.contains("--threads")),
            "{all:#?}"
        );
        assert!(all.iter().any(|m| m.contains("--bogus")), "{all:#?}");
        assert!(
            all.iter().any(|m| m.contains("5s, or 5m for minutes")),
            "{all:#?}"
        );
    }

    #[test]
    fn a_missing_argument_is_said_once_and_with_the_others() {
        let all = mistakes(&["--threads", "many"]);
        assert_eq!(all.len(), 2, "{all:#?}");
        assert!(all[1].contains("<PATH> is required"), "{all:#?}");
    }

    #[test]
    fn help_fits_and_names_the_variables() {
        let words = vec![OsString::from("pilotfish-test"), OsString::from("--help")];
        let Request::Show(help) = parse::<Args>("test", words, &Environment::default()) else {
            panic!("no help");
        };
        assert!(help.contains("PILOTFISH_SETTLE"), "{help}");
        assert!(help.contains("[default: 2s]"), "{help}");
        assert!(help.contains("Process:"), "{help}");
        assert!(help.lines().count() <= 60, "{help}");
    }

    #[test]
    fn passwords_in_urls_are_masked() {
        assert_eq!(
            mask_userinfo("bad 'mysql://me:p@ss@host/db' and 'http://x'"),
            "bad 'mysql://me:***@host/db' and 'http://x'"
        );
        for text in [
            "bad 'mysql://me:s3/cr3t@host/db' and",
            "bad 'mysql://me:s3'cr3t@host/db' and",
            "bad 'https://me:s3?cr3t@h/d' and",
            "bad 'https://h:80/d?a=s3@cr3t&b=cr3t' and",
            "bad 'https://h/d?a:b=s3@cr3t&b=cr3t' and",
        ] {
            let masked = mask_queries(&mask_userinfo(text));
            assert!(!masked.contains("cr3t"), "{masked}");
            assert!(
                masked.starts_with("bad '") && masked.ends_with(" and"),
                "{masked}"
            );
        }
    }

    #[test]
    fn queries_of_urls_are_masked_in_mistakes() {
        let all = mistakes(&["x", "https://h/d.sql?X-Amz-Signature=hunter2&a=://?b"]);
        assert_eq!(all.len(), 1, "{all:#?}");
        assert!(all[0].contains("https://h/d.sql?***"), "{all:#?}");
        assert!(!all[0].contains("hunter2"), "{all:#?}");
        assert_eq!(
            mask_queries("'http://x/?a=1' is not 'http://y?b' or what?"),
            "'http://x/?***' is not 'http://y?***' or what?"
        );
    }
}
