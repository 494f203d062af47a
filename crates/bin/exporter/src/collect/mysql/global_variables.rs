//! The server's settings: SHOW GLOBAL VARIABLES.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::Session;

use super::{Collect, Collector, Plan, parse};
use crate::metric::{Gathered, Labels, valid_name};

const SQL: &str = "SHOW GLOBAL VARIABLES";
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
    plan: |_, _| Some(Plan::server(GlobalVariables)),
};

struct GlobalVariables;

#[async_trait]
impl Collect for GlobalVariables {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(SQL).await?;
        let mut words = BTreeMap::new();
        for row in rows.iter() {
            let (Some(name), Some(text)) = (row.at(0), row.at(1)) else {
                continue;
            };
            let name = valid_name(name);
            match parse::status(text) {
                Some(value) => {
                    into.gauge(format!("{PREFIX}{name}"), HELP, Labels::none(), value);
                }
                None => {
                    if let Some(known) = WORDS.iter().find(|known| **known == name) {
                        words.insert(*known, text.to_owned());
                    }
                }
            }
        }
        described(&mut words, into);
        Ok(())
    }
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
