//! The scene before the story begins: secrets, bucket, two database pods, a reader.

use std::path::PathBuf;
use std::time::Instant;

use pilotfish_harness::cluster::{Cluster, Outcome, PATIENCE, until};
use serde_json::Value;

/// The database pods: each has its own server and its own volume of dumps.
pub(crate) const PODS: [&str; 2] = ["db-0", "db-1"];
/// Port of `fetch`.
pub(crate) const FETCH: u16 = 9803;
/// Port of `watch`.
pub(crate) const WATCH: u16 = 9808;

/// What a server answers when it is asked for the version of its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Version(u32),
    /// Rows of these versions in one answer.
    Mix(u32, u32),
    /// No rows, or no tables.
    Nothing,
}

/// What the scenes act on.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) engine: &'static str,
    repository: PathBuf,
    start: Instant,
}

impl Stage {
    pub(crate) fn new(cluster: Cluster, engine: &'static str, repository: PathBuf) -> Self {
        Self {
            cluster,
            engine,
            repository,
            start: Instant::now(),
        }
    }

    /// Another stage of the same story, in a namespace of its own, for an overlay of that engine.
    pub(crate) fn beside(&self, name: &str, engine: &'static str) -> Outcome<Self> {
        let namespace = format!("{}-{name}", self.cluster.namespace());
        Ok(Self {
            cluster: Cluster::with_namespace(&namespace)?,
            engine,
            repository: self.repository.clone(),
            start: self.start,
        })
    }

    /// One line of the account.
    pub(crate) fn say(&self, who: &str, what: &str) {
        println!(
            "{:7.1} s  {who:<9} {what}",
            self.start.elapsed().as_secs_f64()
        );
    }

    /// A folder of the example.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.repository.join("examples/dump-reload").join(name)
    }

    /// A file of the repository.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.repository.join(path)
    }

    /// A folder of the story's own.
    pub(crate) fn prop(&self, name: &str) -> PathBuf {
        self.repository.join("tests/story").join(name)
    }

    /// The Secrets, as the example's README makes them.
    pub(crate) fn make_secrets(&self) -> Outcome<()> {
        let secret = |name, literals| self.cluster.secret(name, literals);
        secret(
            "db",
            &["root-password=the root's", "reader-password=reader's"],
        )?;
        secret(
            "pilotfish",
            &[
                "password=it's \\a secret",
                "token=the-token",
                "exporter-password=the exporter's \\",
            ],
        )?;
        secret("pilotfish-wait", &["password=reader's"])
    }

    pub(crate) fn pod(&self, name: &str) -> Outcome<Value> {
        self.cluster.object(&format!("pod/{name}"))
    }

    /// Waits until both pods are ready; the seconds it took.
    pub(crate) fn wait_ready(&self) -> Outcome<f64> {
        let start = Instant::now();
        for pod in PODS {
            until(&format!("{pod} to be ready"), PATIENCE, || {
                Ok(self.cluster.is_ready(pod)?.then_some(()))
            })?;
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// Port of the server.
    pub(crate) fn port(&self) -> u16 {
        match self.engine {
            "postgres" => 5432,
            _ => 3306,
        }
    }

    /// The version of the dump that is live in a pod.
    pub(crate) fn version(&self, pod: &str) -> Outcome<u32> {
        match self.held(pod)? {
            Held::Version(version) => Ok(version),
            other => Err(format!("{pod} holds {other:?}")),
        }
    }

    /// What the stock client in a pod makes of a statement, as root or superuser. No double quotes or `$` in it.
    pub(crate) fn sql(&self, pod: &str, statement: &str) -> Outcome<String> {
        let client = match self.engine {
            "postgres" => {
                "PGPASSWORD=$password psql --no-psqlrc -q -At -F ' ' -h 127.0.0.1 -U postgres -d app -c"
            }
            "mysql" => {
                "MYSQL_PWD=$password mysql --no-defaults --protocol=tcp -h127.0.0.1 -uroot -N -B -e"
            }
            _ => {
                "MYSQL_PWD=$password mariadb --no-defaults --protocol=tcp -h127.0.0.1 -uroot -N -B -e"
            }
        };
        let ask =
            format!("password=$(cat /run/secrets/db/root-password); {client} \"{statement}\"");
        self.cluster.exec(pod, "db", &["bash", "-c", &ask])
    }

    /// What is live in a pod, asked of its server by the stock client; an error where that does not answer.
    pub(crate) fn held(&self, pod: &str) -> Outcome<Held> {
        let schema = match self.engine {
            "postgres" => "public",
            _ => "app",
        };
        let ask = format!(
            "SELECT MIN(v), MAX(v) FROM (SELECT version AS v FROM {schema}.drugs \
             UNION ALL SELECT version FROM {schema}.makers) AS t"
        );
        // No such table, no such database.
        let absent = ["ERROR 1146", "ERROR 1049", "does not exist"];
        let answer = match self.sql(pod, &ask) {
            Err(error) if absent.iter().any(|words| error.contains(words)) => {
                return Ok(Held::Nothing);
            }
            other => other?,
        };
        let mut words = answer.split_whitespace().map(str::parse::<u32>);
        Ok(match (words.next(), words.next()) {
            (Some(Ok(low)), Some(Ok(high))) if low == high => Held::Version(low),
            (Some(Ok(low)), Some(Ok(high))) => Held::Mix(low, high),
            _ => Held::Nothing,
        })
    }

    /// Waits until both pods hold a version; the seconds until the last one did. A mix on the way is the end.
    pub(crate) fn wait_version(&self, version: u32) -> Outcome<f64> {
        let start = Instant::now();
        for pod in PODS {
            until(&format!("version {version} in {pod}"), PATIENCE, || {
                Ok(match self.held(pod)? {
                    Held::Version(held) if held == version => Some(Ok(())),
                    Held::Version(_) | Held::Nothing => None,
                    mix @ Held::Mix(..) => Some(Err(format!("{pod} holds a {mix:?}"))),
                })
            })??;
        }
        Ok(start.elapsed().as_secs_f64())
    }

    /// Runs the installed `pilotfish-load` inside the stock container.
    pub(crate) fn load(&self, pod: &str, words: &[&str]) -> Outcome<String> {
        let mut command = vec!["/pilotfish/pilotfish-load"];
        command.extend(words);
        self.cluster.exec(pod, "db", &command)
    }

    /// How often a container of a pod was started again.
    pub(crate) fn restarts(&self, pod: &str, container: &str) -> Outcome<u64> {
        let pod = self.pod(pod)?;
        let statuses = ["containerStatuses", "initContainerStatuses"]
            .iter()
            .filter_map(|kind| pod["status"][kind].as_array())
            .flatten();
        let mut found = statuses.filter(|status| status["name"] == container);
        found
            .next()
            .and_then(|status| status["restartCount"].as_u64())
            .ok_or_else(|| format!("no status of container {container}"))
    }
}
