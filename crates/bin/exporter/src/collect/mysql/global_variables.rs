//! The server's settings: SHOW GLOBAL VARIABLES.
//!
//! MariaDB makes a temporary table for it, with rows of six thousand bytes for six hundred settings. Asked for by their
//! names, as one text, they cost it a third less (10.11: 0.75 ms for 1.12), and that is how it is asked once the names are
//! known. Never as a prepared statement, which would cost a fifth: MariaDB ends in a crash when one names a setting of a
//! plugin that has been uninstalled since. As columns they would cost us more than they save it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pilotfish_engine::query::{Rows, Session};
use pilotfish_engine::{EngineName, Error};
use tokio::time::Instant;

use super::{Collect, Collector, Plan, parse};
use crate::locked;
use crate::metric::{Gathered, Labels, valid_name};

const SQL: &str = "SHOW GLOBAL VARIABLES";
/// Plugins bring settings with them: their names are looked up again after so long.
const NAMES_ARE_GOOD: Duration = Duration::from_secs(300);
const HELP: &str = "From SHOW GLOBAL VARIABLES.";
const PREFIX: &str = "mysql_global_variables_";

/// Variables whose words are shown.
const WORDS: [&str; 7] = [
    "innodb_version",
    "version",
    "version_comment",
    "wsrep_cluster_name",
    "wsrep_provider_options",
    "tx_isolation",
    "transaction_isolation",
];

pub(super) static COLLECTOR: Collector = Collector {
    name: "global_variables",
    by_default: true,
    help: "SHOW GLOBAL VARIABLES",
    settings: &[],
    plan: |identity, _| {
        Some(match identity.engine {
            EngineName::MariaDb => Plan::server(ByName::default()),
            _ => Plan::server(Whole),
        })
    },
};

struct Whole;

#[async_trait]
impl Collect for Whole {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(SQL).await?;
        gather(pairs(&rows), into);
        Ok(())
    }
}

/// Asks for settings by the names that the server said it has.
#[derive(Default)]
struct ByName {
    known: Mutex<Known>,
}

#[derive(Clone, Default)]
enum Known {
    /// Not yet, or no longer.
    #[default]
    Nothing,
    Names(Arc<Names>),
    /// This server was asked so and could not answer: it is asked for the whole from now on.
    Refused,
}

#[async_trait]
impl Collect for ByName {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let mut known = locked(&self.known).clone();
        if let Known::Names(names) = &known {
            if let Some(values) = names.ask(session).await? {
                names.worked.store(true, Ordering::Relaxed);
                gather(names.with(&values), into);
                if names.since.elapsed() > NAMES_ARE_GOOD {
                    *locked(&self.known) = Known::Nothing;
                }
                return Ok(());
            }
            known = match names.worked.load(Ordering::Relaxed) {
                true => Known::Nothing,
                false => Known::Refused,
            };
        }
        let rows = session.rows(SQL).await?;
        if matches!(known, Known::Nothing) {
            known = Names::of(&rows).map_or(Known::Refused, |names| Known::Names(Arc::new(names)));
        }
        *locked(&self.known) = known;
        gather(pairs(&rows), into);
        Ok(())
    }
}

/// What the server calls its settings, but for those that are empty.
struct Names {
    names: Vec<String>,
    since: Instant,
    worked: AtomicBool,
}

/// Between values; no setting has it.
const SEPARATOR: char = '\u{1f}';
/// Names in one statement: the driver keeps as many buffers of its length as an answer ever had columns.
const AT_A_TIME: usize = 150;

impl Names {
    /// `None` where one of them is called as none should be.
    fn of(rows: &Rows) -> Option<Self> {
        let full = pairs(rows).filter(|(_, text)| !text.is_empty());
        let names: Vec<String> = full.map(|(name, _)| name.to_owned()).collect();
        let plain = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'_';
        let is_plain = |name: &String| !name.is_empty() && name.bytes().all(plain);
        names.iter().all(is_plain).then(|| Self {
            names,
            since: Instant::now(),
            worked: AtomicBool::new(false),
        })
    }

    /// Their values, each set apart; `None` where one has gone with its plugin, or is NULL, which leaves no trace.
    async fn ask(&self, session: &mut dyn Session) -> Result<Option<String>, Error> {
        let mut values = String::new();
        for names in self.names.chunks(AT_A_TIME) {
            let list = names.iter().map(|name| format!("@@global.`{name}`"));
            let list: Vec<_> = list.collect();
            let sql = format!("SELECT CONCAT_WS('{SEPARATOR}',{})", list.join(","));
            let rows = match session.rows(&sql).await {
                Err(Error::Sql { .. }) => return Ok(None),
                answer => answer?,
            };
            let text = rows.iter().next().and_then(|row| row.at(0));
            let Some(text) = text.filter(|text| text.split(SEPARATOR).count() == names.len())
            else {
                return Ok(None);
            };
            values.push_str(text);
            values.push(SEPARATOR);
        }
        Ok(Some(values))
    }

    fn with<'a>(&'a self, values: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names = self.names.iter().map(String::as_str);
        names.zip(values.split(SEPARATOR))
    }
}

/// Names and values of an answer to SHOW.
fn pairs(rows: &Rows) -> impl Iterator<Item = (&str, &str)> {
    rows.iter().filter_map(|row| Some((row.at(0)?, row.at(1)?)))
}

fn gather<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, into: &mut Gathered) {
    let mut words = BTreeMap::new();
    for (name, text) in pairs {
        let name = valid_name(name);
        match parse::status(text) {
            Some(value) => into.gauge(format!("{PREFIX}{name}"), HELP, Labels::none(), value),
            None => {
                if let Some(known) = WORDS.iter().find(|known| **known == name) {
                    words.insert(*known, text.to_owned());
                }
            }
        }
    }
    described(&mut words, into);
}

/// What the server says of itself in words.
fn described(words: &mut BTreeMap<&'static str, String>, into: &mut Gathered) {
    let mut word = |name| words.remove(name).unwrap_or_default();
    let version = ["innodb_version", "version", "version_comment"].map(|name| (name, word(name)));
    into.gauge(
        "mysql_version_info",
        "Version and packager.",
        Vec::from(version),
        1.0,
    );
    let cluster = word("wsrep_cluster_name");
    if !cluster.is_empty() {
        let labels = vec![("wsrep_cluster_name", cluster)];
        into.gauge(
            "mysql_galera_variables_info",
            "Name of the Galera cluster.",
            labels,
            1.0,
        );
    }
    let options = word("wsrep_provider_options");
    if !options.is_empty() {
        let help = "Room for write sets that a node which comes back may ask for.";
        into.gauge(
            "mysql_galera_gcache_size_bytes",
            help,
            Labels::none(),
            gcache_size(&options),
        );
    }
    // MariaDB before 11.1 has the old name only.
    let levels = [word("transaction_isolation"), word("tx_isolation")];
    if let Some(level) = levels.into_iter().find(|level| !level.is_empty()) {
        let help = "Isolation of transactions.";
        into.gauge(
            "mysql_transaction_isolation",
            help,
            vec![("level", level)],
            1.0,
        );
    }
}

/// `...; gcache.size = 128M; ...` in bytes, 0 where it is not there.
fn gcache_size(options: &str) -> f64 {
    let size = options.split(';').find_map(|option| {
        let (name, value) = option.split_once('=')?;
        (name.trim() == "gcache.size").then(|| value.trim())
    });
    let Some(size) = size else { return 0.0 };
    let (digits, unit) = match size.strip_suffix(['M', 'G']) {
        Some(digits) if size.ends_with('M') => (digits, 1024.0 * 1024.0),
        Some(digits) => (digits, 1024.0 * 1024.0 * 1024.0),
        None => (size, 1.0),
    };
    digits.parse::<f64>().map_or(0.0, |number| number * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_gcache_is_bytes() {
        let options = "base_port = 4567; gcache.size = 128M; gcache.page_size = 1G";
        assert_eq!(gcache_size(options), 134_217_728.0);
        assert_eq!(gcache_size("gcache.size = 77;"), 77.0);
        assert_eq!(gcache_size("base_port = 4567"), 0.0);
    }
}
